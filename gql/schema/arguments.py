"""Arguments that many fields take, and ids as clients write them."""

from typing import Annotated
from uuid import UUID

import strawberry

from domain.ids import from_global

First = Annotated[
    int | None, strawberry.argument(description="How many from the beginning: 50 unless told, 100 at most.")
]
After = Annotated[str | None, strawberry.argument(description="Only what comes after the entry with this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="How many from the end, instead of `first`: 100 at most.")]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before the entry with this cursor.")]

NOTHING = UUID(int=0)
"""Stands for an id that cannot be one of ours: like one that does not exist, it names nothing."""


def row_id(kind: str, global_id: str) -> UUID:
    """The row that a client's id names; `NOTHING` where the id is malformed or of another kind."""
    named = from_global(global_id)
    return named[1] if named is not None and named[0] == kind else NOTHING


def optional_row_id(kind: str, global_id: str | None) -> UUID | None:
    """As `row_id`; None where no id was given."""
    return None if global_id is None else row_id(kind, global_id)
