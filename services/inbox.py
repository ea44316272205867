"""Which threads may a viewer read, and in which order are they shown?

Every statement here asks for the same two things of a thread: its organisation is the viewer's, and one of its readers
is one of the viewer's principals.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.access import Visibility
from services.gate import READABLE_THREAD, seen_candidate
from services.paging import EMPTY, Page, Row, Slice, Values, cut, window
from services.reading import Reader

UNREAD_LIMIT = 100
"""Unread threads are counted no further."""

_UNREAD = (
    "t.last_live_inbound_at > coalesce("
    "(SELECT r.read_until FROM thread_read r WHERE r.user_id = $3 AND r.thread_id = t.id), "
    "(SELECT u.reads_since FROM user_account u WHERE u.id = $3))"
)

_COLUMNS = f"""
t.id, t.subject, t.snippet, t.visibility, t.participants, t.last_message, t.last_message_at, t.message_count,
t.has_attachments, t.forwarded_from_id, coalesce({_UNREAD}, false) AS is_unread,
(SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'external_id', c.external_id, 'name', c.name) ORDER BY c.id),
                 '[]')
   FROM thread_candidate tc JOIN candidate c ON c.id = tc.candidate_id
  WHERE tc.thread_id = t.id AND {seen_candidate("c", every="$4", principals="$2", organisation="$1")}) AS candidates
"""


@dataclass(frozen=True, slots=True)
class ThreadFilter:
    """Each attribute narrows; None means everything. What names something unseen finds nothing."""

    candidate_id: UUID | None = None
    job_id: UUID | None = None
    mailbox_id: UUID | None = None
    visibility: Visibility | None = None
    unread: bool | None = None


EVERYTHING = ThreadFilter()


async def inbox_page(reader: Reader, page: Page, narrowed: ThreadFilter = EVERYTHING) -> Slice:
    """Threads that the viewer reads, newest activity first, in one statement whose cost follows the page."""
    if not reader.viewer.principals:
        return EMPTY
    if narrowed.candidate_id is not None:
        return (await candidate_pages(reader, [narrowed.candidate_id], page, narrowed))[narrowed.candidate_id]
    values = _values(reader)
    walk = window(page, values, at="r.last_message_at", id="r.thread_id", newest_first=True)
    merge = walk.order.replace("r.", "w.")
    rows = await reader.db.fetch(
        f"""
        WITH walked AS (
          SELECT DISTINCT w.last_message_at, w.thread_id
            FROM unnest($2::uuid[]) AS p(principal)
           CROSS JOIN LATERAL (
             SELECT r.last_message_at, r.thread_id FROM thread_reader r {_join_for(narrowed)}
              WHERE r.principal = p.principal {walk.where} {_narrowing(narrowed, values)}
              ORDER BY {walk.order} LIMIT {walk.limit}) w
           ORDER BY {merge} LIMIT {walk.limit})
        SELECT {_COLUMNS} FROM walked w JOIN thread t ON t.id = w.thread_id
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
        values = _values(reader)
        walk = window(page, values, at="r.last_message_at", id="r.thread_id", newest_first=True)
        merge = walk.order.replace("r.thread_id", "w.id").replace("r.", "w.")
        chosen = values.add(list(candidate_ids))
        for row in await reader.db.fetch(
            f"""
            SELECT c.id AS record_of, w.* FROM candidate c
             CROSS JOIN LATERAL (
               SELECT {_COLUMNS} FROM thread_candidate r JOIN thread t ON t.id = r.thread_id
                WHERE r.candidate_id = c.id AND {READABLE_THREAD} {walk.where} {_narrowing(narrowed, values)}
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
        SELECT a.id AS asked_for, {_COLUMNS}
          FROM unnest($5::uuid[]) AS a(id)
          LEFT JOIN retired_thread g ON g.id = a.id
          JOIN thread t ON t.id = coalesce(g.thread_id, a.id)
         WHERE {READABLE_THREAD}
        """,
        *_values(reader).all,
        list(thread_ids),
    )
    return {row["asked_for"]: row for row in rows}


async def unread_thread_count(reader: Reader) -> int:
    """How many threads are unread to the viewer, counted to 100."""
    if not reader.viewer.principals:
        return 0
    count: int = await reader.db.fetch_value(
        f"""
        SELECT count(*) FROM (
          SELECT 1 FROM thread t
           WHERE {READABLE_THREAD} AND {_UNREAD}
           LIMIT {UNREAD_LIMIT}) unread
        """,
        *_values(reader).all[:3],
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
                      WHERE tc.candidate_id = a.id AND {READABLE_THREAD} AND {_UNREAD}
                      LIMIT {UNREAD_LIMIT}) unread) AS unread
              FROM unnest($4::uuid[]) AS a(id)
            """,
            *_values(reader).all[:3],
            list(candidate_ids),
        )
        counts.update({row["id"]: row["unread"] for row in rows})
    return counts


def _values(reader: Reader) -> Values:
    """What the parts above take as $1 to $4."""
    viewer = reader.viewer
    return Values(viewer.organisation_id, reader.principals, viewer.user_id, viewer.sees_every_candidate)


def _join_for(narrowed: ThreadFilter) -> str:
    needs_thread = narrowed.visibility is not None or narrowed.unread is not None
    return "JOIN thread t ON t.id = r.thread_id" if needs_thread else ""


def _narrowing(narrowed: ThreadFilter, values: Values) -> str:
    """The filter on `r.thread_id` and, where it asks of the thread itself, on `t`."""
    parts: list[str] = []
    if narrowed.visibility is not None:
        parts.append(f"t.visibility = {values.add(narrowed.visibility.value)}")
    if narrowed.unread is not None:
        parts.append(f"coalesce({_UNREAD}, false) = {values.add(narrowed.unread)}")
    if narrowed.job_id is not None:
        parts.append(
            "EXISTS (SELECT 1 FROM thread_candidate tc JOIN application a ON a.candidate_id = tc.candidate_id "
            "JOIN job j ON j.id = a.job_id "
            f"WHERE tc.thread_id = r.thread_id AND a.job_id = {values.add(narrowed.job_id)} "
            "AND j.organisation_id = $1 AND ($4 OR j.id = ANY($2::uuid[])))"
        )
    if narrowed.mailbox_id is not None:
        parts.append(
            "EXISTS (SELECT 1 FROM message m JOIN message_copy mc ON mc.message_id = m.id "
            "JOIN mailbox b ON b.id = mc.mailbox_id "
            f"WHERE m.thread_id = r.thread_id AND b.id = {values.add(narrowed.mailbox_id)} "
            "AND b.organisation_id = $1 AND (b.owner_id = $3 OR b.id = ANY($2::uuid[])))"
        )
    return "".join(f" AND {part}" for part in parts)
