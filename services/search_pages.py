"""Which threads does a search list? Two ways to the same page (services.search), and the choice between them."""

from collections.abc import Sequence

from domain.search_query import SearchQuery
from services.gate import READABLE_THREAD
from services.paging import Page, Row, Slice, cut, window
from services.reading import Reader
from services.search import FEW, found_by_index, is_of_few
from services.thread_lists import COLUMNS, ThreadFilter, narrowing, searching, values_of

FAR = 5_000
"""Threads of each principal that are looked into before the rest is left to the index."""


async def found_page(reader: Reader, page: Page, narrowed: ThreadFilter, query: SearchQuery) -> Slice:
    """Threads that the viewer reads and the filter with its search fits, newest activity first.

    Two statements; one or two more where the statistics of words are wrong, or what many messages hold is all in old
    ones.
    """
    if await is_of_few(reader, query):
        rows = await _by_index(reader, page, narrowed, query, most=FEW)
        if rows is not None:
            return cut(rows, page)
    rows = await _by_looking(reader, page, narrowed)
    if rows is None:
        rows = await _by_index(reader, page, narrowed, query, most=None) or []
    return cut(rows, page)


async def _by_index(
    reader: Reader, page: Page, narrowed: ThreadFilter, query: SearchQuery, *, most: int | None
) -> Sequence[Row] | None:
    """None where more than `most` messages hold it."""
    values = values_of(reader)
    found = found_by_index(query, values, most=most)
    walk = window(page, values, at="t.last_message_at", id="t.id", newest_first=True)
    rows = await reader.db.fetch(
        f"""
        WITH found AS MATERIALIZED ({found}),
             told AS MATERIALIZED (SELECT count(*) <= {values.add(most)}::bigint IS NOT FALSE AS is_all FROM found)
        SELECT told.is_all, w.* FROM told
          LEFT JOIN LATERAL (
            SELECT {COLUMNS} FROM (SELECT DISTINCT thread_id FROM found) f JOIN thread t ON t.id = f.thread_id
             WHERE told.is_all AND {READABLE_THREAD} {walk.where} {narrowing(narrowed, values, thread="t.id")}
             ORDER BY {walk.order} LIMIT {walk.limit}) w ON true
         ORDER BY {walk.order.replace("t.", "w.")}
        """,
        *values.all,
    )
    return [row for row in rows if row["id"] is not None] if rows[0]["is_all"] else None


async def _by_looking(reader: Reader, page: Page, narrowed: ThreadFilter) -> Sequence[Row] | None:
    """None where FAR threads do not fill the page, and there are more."""
    values = values_of(reader)
    walk = window(page, values, at="r.last_message_at", id="r.thread_id", newest_first=True)
    merge = walk.order.replace("r.", "w.")
    steps = f"""
        SELECT r.last_message_at, r.thread_id FROM thread_reader r
        {"JOIN thread t ON t.id = r.thread_id" if narrowed.asks_of_thread else ""}
         WHERE r.principal = p.principal {walk.where} {narrowing(narrowed, values)} ORDER BY {walk.order}"""
    rows = await reader.db.fetch(
        f"""
        WITH walked AS (
          SELECT DISTINCT w.last_message_at, w.thread_id
            FROM unnest($2::uuid[]) AS p(principal)
           CROSS JOIN LATERAL (
             SELECT r.* FROM ({steps} LIMIT {FAR}) r WHERE true {searching(narrowed, values)}
              ORDER BY {walk.order} LIMIT {walk.limit}) w
           ORDER BY {merge} LIMIT {walk.limit}),
        told AS MATERIALIZED (
          SELECT (SELECT count(*) FROM walked) >= {walk.limit} OR NOT EXISTS (
            SELECT FROM unnest($2::uuid[]) AS p(principal)
             CROSS JOIN LATERAL ({steps} OFFSET {FAR} LIMIT 1) beyond) AS is_all)
        SELECT told.is_all, w.* FROM told
          LEFT JOIN LATERAL (
            SELECT {COLUMNS} FROM walked w JOIN thread t ON t.id = w.thread_id WHERE {READABLE_THREAD}) w ON true
         ORDER BY {merge.replace("w.thread_id", "w.id")}
        """,
        *values.all,
    )
    return [row for row in rows if row["id"] is not None] if rows[0]["is_all"] else None
