"""How far has a folder been read: the JSON object that is stored between two looks, and how it moves.

uidvalidity   the UIDs below mean something only while the server gives this number
baseline      UIDNEXT when the mailbox was connected: smaller UIDs are history, others have arrived
live          the smallest UID, from the baseline on, not yet looked at
seen          the history already looked at, as UID ranges: "1:500,700:900"
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from domain.changes import FolderCursor
from providers.imap.ranges import UIDRanges


@dataclass(frozen=True, slots=True)
class FolderState:
    """What the server says of a folder before anything is read from it."""

    uidvalidity: int
    uidnext: int


@dataclass(frozen=True, slots=True)
class IMAPCursor:
    """The cursor with its types; `stored` is its JSON form."""

    uidvalidity: int
    baseline: int
    live: int
    seen: UIDRanges

    @classmethod
    def at(cls, state: FolderState) -> Self:
        """For a folder as it is when the mailbox is connected: nothing has arrived, no history is read."""
        return cls(state.uidvalidity, state.uidnext, state.uidnext, UIDRanges())

    @classmethod
    def anew(cls, state: FolderState) -> Self:
        """For a folder that is new or whose UIDs are void: everything in it counts as arrived."""
        return cls(state.uidvalidity, 1, 1, UIDRanges())

    @classmethod
    def from_stored(cls, stored: FolderCursor | None, state: FolderState) -> Self:
        """The stored cursor where it still holds for the folder's present state, else a new one."""
        if stored is None or stored["uidvalidity"] != state.uidvalidity:
            return cls.anew(state)
        return cls(
            int(stored["uidvalidity"]), int(stored["baseline"]), int(stored["live"]), UIDRanges.parse(stored["seen"])
        )

    def stored(self) -> FolderCursor:
        return {
            "uidvalidity": self.uidvalidity,
            "baseline": self.baseline,
            "live": self.live,
            "seen": str(self.seen),
        }

    def after_live(self, next_uid: int) -> Self:
        """Everything below `next_uid` that has arrived is looked at."""
        return replace(self, live=max(self.live, next_uid))

    def after_history(self, looked_at: Iterable[int], existing: Sequence[int]) -> Self:
        """These UIDs of the history are looked at as well.

        UIDs that no message has are folded in between neighbours that are both seen, so that a folder with gaps does
        not end as thousands of ranges. `existing` is every UID of the history, ascending.
        """
        done = UIDRanges.of(looked_at) | self.seen
        return replace(self, seen=done | (_widened(run, existing, done, self.baseline) for run in done))


def _widened(run: tuple[int, int], existing: Sequence[int], done: UIDRanges, baseline: int) -> tuple[int, int]:
    """The range with the gaps around it: up to the next existing UID if that is done too, down to 1 from the lowest."""
    start, end = run
    if bisect_left(existing, start) == 0:
        start = 1
    above = bisect_right(existing, end)
    if above == len(existing):
        return start, max(end, baseline - 1)
    return start, existing[above] - 1 if existing[above] in done else end
