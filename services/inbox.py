"""Which threads may a viewer read, and in which order are they shown?

Every statement here asks for the same two things of a thread: its organisation is the viewer's, and one of its readers
is one of the viewer's principals.
"""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.gate import READABLE_THREAD, seen_candidate
from services.paging import EMPTY, Page, Row, Slice, cut, window
from services.reading import Reader
from services.search_pages import found_page
from services.thread_lists import (
    COLUMNS,
    EVERYTHING,
    READS_SINCE,
    UNREAD,
    ThreadFilter,
    narrowing,
    searching,
    values_of,
)

UNREAD_LIMIT = 100
"""Unread threads are counted no further."""


async def inbox_page(reader: Reader, page: Page, narrowed: ThreadFilter = EVERYTHING) -> Slice:
    """Threads that the viewer reads, newest activity first, in one statement whose cost follows the page.

    A search takes two or more (services.search_pages).
    """
    if not reader.viewer.principals:
        return EMPTY
    if narrowed.candidate_id is not None:
        return (await candidate_pages(reader, [narrowed.candidate_id], page, narrowed))[narrowed.candidate_id]
    if narrowed.search is not None:
        return await found_page(reader, page, narrowed, narrowed.search)
    values = values_of(reader)
    walk = window(page, values, at="r.last_message_at", id="r.thread_id", newest_first=True)
    merge = walk.order.replace("r.", "w.")
    join = "JOIN thread t ON t.id = r.thread_id" if narrowed.asks_of_thread else ""
    rows = await reader.db.fetch(
        f"""
        WITH walked AS (
          SELECT DISTINCT w.last_message_at, w.thread_id
            FROM unnest($2::uuid[]) AS p(principal)
           CROSS JOIN LATERAL (
             SELECT r.last_message_at, r.thread_id FROM thread_reader r {join}
              WHERE r.principal = p.principal {walk.where} {narrowing(narrowed, values)}
              ORDER BY {walk.order} LIMIT {walk.limit}) w
           ORDER BY {merge} LIMIT {walk.limit})
        SELECT {COLUMNS} FROM walked w JOIN thread t ON t.id = w.thread_id
         WHERE {READABLE_THREAD} ORDER BY {merge}
        """,
        *values.all,
    )
    return cut(rows, page)


async def candidate_pages(
    reader: Reader, candidate_ids: Sequence[UUID], page: Page, narrowed: ThreadFilter = EVERYTHING
) -> dict[UUID, Slice]:
    """The same stretch of each candidate's record, newest activity first, in one statement for all of them."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    if reader.viewer.principals:
        values = values_of(reader)
        walk = window(page, values, at="r.last_message_at", id="r.thread_id", newest_first=True)
        merge = walk.order.replace("r.thread_id", "w.id").replace("r.", "w.")
        chosen = values.add(list(candidate_ids))
        for row in await reader.db.fetch(
            f"""
            SELECT c.id AS record_of, w.* FROM candidate c
             CROSS JOIN LATERAL (
               SELECT {COLUMNS} FROM thread_candidate r JOIN thread t ON t.id = r.thread_id
                WHERE r.candidate_id = c.id AND {READABLE_THREAD} {walk.where}
                      {narrowing(narrowed, values)} {searching(narrowed, values)}
                ORDER BY {walk.order} LIMIT {walk.limit}) w
             WHERE c.id = ANY({chosen}::uuid[])
               AND {seen_candidate("c", every="$4", principals="$2", organisation="$1")}
             ORDER BY {merge}
            """,
            *values.all,
        ):
            found[row["record_of"]].append(row)
    return {candidate_id: cut(found[candidate_id], page) for candidate_id in candidate_ids}


async def threads_by_id(reader: Reader, thread_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Threads by the ids asked for, ids from before a merge among them; what the viewer does not read is missing."""
    if not reader.viewer.principals:
        return {}
    rows = await reader.db.fetch(
        f"""
        SELECT a.id AS asked_for, {COLUMNS}
          FROM unnest($5::uuid[]) AS a(id)
          LEFT JOIN retired_thread g ON g.id = a.id
          JOIN thread t ON t.id = coalesce(g.thread_id, a.id)
         WHERE {READABLE_THREAD}
        """,
        *values_of(reader).all,
        list(thread_ids),
    )
    return {row["asked_for"]: row for row in rows}


async def unread_thread_count(reader: Reader) -> int:
    """How many threads are unread to the viewer, counted to 100: `UNREAD` for all threads at once."""
    if not reader.viewer.principals:
        return 0
    count: int = await reader.db.fetch_value(
        f"""
        SELECT count(*) FROM (
          SELECT 1 FROM thread t LEFT JOIN thread_read r ON r.user_id = $3 AND r.thread_id = t.id
           WHERE {READABLE_THREAD} AND t.last_live_inbound_at > coalesce(r.read_until, {READS_SINCE})
           LIMIT {UNREAD_LIMIT}) unread
        """,
        *values_of(reader).all[:3],
    )
    return count


async def unread_thread_counts(reader: Reader, candidate_ids: Sequence[UUID]) -> dict[UUID, int]:
    """For each candidate, how many threads on the record are unread to the viewer, counted to 100."""
    counts = dict.fromkeys(candidate_ids, 0)
    if reader.viewer.principals:
        rows = await reader.db.fetch(
            f"""
            SELECT a.id, (SELECT count(*) FROM (
                     SELECT 1 FROM thread_candidate tc JOIN thread t ON t.id = tc.thread_id
                      WHERE tc.candidate_id = a.id AND {READABLE_THREAD} AND {UNREAD}
                      LIMIT {UNREAD_LIMIT}) unread) AS unread
              FROM unnest($4::uuid[]) AS a(id)
            """,
            *values_of(reader).all[:3],
            list(candidate_ids),
        )
        counts.update({row["id"]: row["unread"] for row in rows})
    return counts
