"""Which fields need no resolver where their values have been read already?

A field with a resolver says in its metadata in which attribute its value may stand. Where it does, compiled code takes
it from there; a value that stands there is the one that the resolver would give.
"""

from dataclasses import dataclass
from typing import Final

AT_HAND = "at_hand"
"""The key in a field's metadata."""


class NotRead:
    """The kind of `NOT_READ`."""

    def __repr__(self) -> str:
        return "NOT_READ"


NOT_READ: Final = NotRead()
"""Stands in the attribute where the value has not been read: the resolver is to be asked."""


@dataclass(frozen=True, slots=True)
class AtHand:
    """Where the value of a field may stand.

    Attributes:
        only: it is right for those who select nothing but these fields of it; None where it is right for everyone.
    """

    attribute: str
    only: frozenset[str] | None = None
