"""Which stretch of a list is asked for: keyset pages that stay in place while the list grows at its head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

Row: TypeAlias = Mapping[str, Any]
"""A row of a query, by the names of its columns."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands in a list that is ordered by time, then by id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list: `size` entries from its beginning, or from its end, between two positions.

    Attributes:
        after, before: exclusive, in the order that the list is shown in; None where it is open.
        from_end: the last `size` entries instead of the first.
    """

    size: int
    after: Position | None = None
    before: Position | None = None
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """The entries of a page in the order that the list is shown in, and whether there is more on either side."""

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool


EMPTY = Slice((), has_next=False, has_previous=False)


class Values:
    """The parameters of a statement that is put together from parts: `add` keeps a value and names its place."""

    def __init__(self, *values: Any) -> None:
        self.all = list(values)

    def add(self, value: Any) -> str:
        self.all.append(value)
        return f"${len(self.all)}"


@dataclass(frozen=True, slots=True)
class Window:
    """A page as SQL.

    Attributes:
        where: a condition that begins with AND, or nothing.
        order: what follows ORDER BY; from the end of the list where the page is.
        limit: one more than the page holds, which tells whether there is more.
    """

    where: str
    order: str
    limit: str


def window(page: Page, values: Values, *, at: str, id: str, newest_first: bool) -> Window:
    """The page of a list ordered by the columns `at` and `id`."""
    beyond, short_of = ("<", ">") if newest_first else (">", "<")
    bounds = [(page.after, beyond), (page.before, short_of)]
    where = "".join(
        f" AND ({at}, {id}) {sign} ({values.add(bound.at)}, {values.add(bound.id)})"
        for bound, sign in bounds
        if bound is not None
    )
    direction = "DESC" if newest_first is not page.from_end else "ASC"
    return Window(where, f"{at} {direction}, {id} {direction}", values.add(page.size + 1))


def cut(rows: Sequence[Row], page: Page) -> Slice:
    """What was read through a window, without the row too many and in the order of the list."""
    has_more, kept = len(rows) > page.size, rows[: page.size]
    if page.from_end:
        return Slice(kept[::-1], has_next=page.before is not None, has_previous=has_more)
    return Slice(kept, has_next=has_more, has_previous=page.after is not None)
