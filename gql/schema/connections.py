"""How a slice of rows becomes a page with edges."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gql.pagination import encode_cursor
from gql.schema.node import PageInfo
from services.paging import Row, Slice

Edge = TypeVar("Edge")


def edges_of(found: Slice, edge: Callable[[str, Row], Edge], *, at: str) -> tuple[list[Edge], PageInfo]:
    """The edges of a slice whose list is ordered by the column `at`, and where it lies."""
    cursors: Sequence[str] = [encode_cursor(row[at], row["id"]) for row in found.rows]
    edges = [edge(cursor, row) for cursor, row in zip(cursors, found.rows, strict=True)]
    place: Any = PageInfo(
        has_next_page=found.has_next,
        has_previous_page=found.has_previous,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
    return edges, place
