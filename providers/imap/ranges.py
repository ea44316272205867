"""Which UIDs: sets of them as few ranges, in the notation of IMAP (`1:5,9`)."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Self

LAST_UID = 2**32 - 1
_RANGE = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")


class UIDRanges:
    """An immutable set of UIDs, kept as ascending, disjoint ranges that do not touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(ranges):
            if self._ends and start <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], end)
            elif start <= end:
                self._starts.append(start)
                self._ends.append(end)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `1:5,9`.

        Raises:
            ValueError: the text is not of that form.
        """
        return cls(_parse_range(part) for part in text.split(",")) if text else cls()

    @classmethod
    def of(cls, uids: Iterable[int]) -> Self:
        return cls((uid, uid) for uid in uids)

    def __contains__(self, uid: int) -> bool:
        index = bisect_right(self._starts, uid) - 1
        return index >= 0 and uid <= self._ends[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """How many ranges, not how many UIDs."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UIDRanges) and self._starts == other._starts and self._ends == other._ends

    def __hash__(self) -> int:
        return hash((tuple(self._starts), tuple(self._ends)))

    def __or__(self, other: Iterable[tuple[int, int]]) -> "UIDRanges":
        return UIDRanges([*self, *other])

    def __str__(self) -> str:
        return ",".join(str(start) if start == end else f"{start}:{end}" for start, end in self)

    def __repr__(self) -> str:
        return f"UIDRanges({self})"


def _parse_range(part: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(part)
    if found is None:
        raise ValueError("not a range of UIDs")
    start, end = sorted((int(found[1]), int(found[2] or found[1])))
    if not 1 <= start <= end <= LAST_UID:
        raise ValueError("a UID is a positive number of 32 bits")
    return start, end
