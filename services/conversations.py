"""What does a thread hold: its messages, their files, and who reads it?

All of it is reached through the thread: what the viewer may not read does not come back.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from domain.access import Reason, Viewer
from domain.errors import not_found
from domain.events import EventKind, NewEvent
from services.deps import Deps
from services.gate import FULLY_TOLD, READABLE_THREAD, seen_candidate
from services.paging import Page, Row, Slice, Values, cut, window
from services.reading import Reader
from services.unit_of_work import unit_of_work

# Bcc is its sender's alone, and leaves the database for nobody else; so does what a bounce says of it.
_COLUMNS = f"""
m.id, m.thread_id, m.direction, m.kind, m.sent_at, m.rfc_message_id,
CASE WHEN {FULLY_TOLD} THEN m.subject ELSE '' END AS subject,
CASE WHEN {FULLY_TOLD} THEN m.snippet ELSE '' END AS snippet,
CASE WHEN {FULLY_TOLD} THEN m.reply_text ELSE '' END AS reply_text,
CASE WHEN {FULLY_TOLD} THEN m.text ELSE '' END AS text,
m.has_attachments AND {FULLY_TOLD} AS has_attachments, m.html IS NOT NULL AND {FULLY_TOLD} AS has_html,
CASE WHEN b.message_id IS NOT NULL THEN jsonb_build_object(
  'about', b.about, 'is_complaint', b.is_complaint,
  'failures', CASE WHEN {FULLY_TOLD} THEN b.failures ELSE b.shown END,
  'about_id', (SELECT o.id FROM message o
                WHERE o.thread_id = m.thread_id AND o.rfc_message_id = b.about AND o.id <> m.id
                ORDER BY o.direction = 'INBOUND', o.sent_at, o.id LIMIT 1)) END AS bounce,
CASE WHEN m.sender_user_id = $3 THEN m.people ELSE m.people - 'bcc' END AS people,
(SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'external_id', c.external_id, 'name', c.name) ORDER BY c.id),
                 '[]')
   FROM candidate c
  WHERE c.id IN (SELECT mc.candidate_id FROM message_candidate mc WHERE mc.message_id = m.id)
    AND {seen_candidate("c", every="$4", principals="$2", organisation="$1")}) AS candidates
"""


async def message_pages(reader: Reader, thread_ids: Sequence[UUID], page: Page) -> dict[UUID, Slice]:
    """The same stretch of each thread's messages, oldest first, in one statement for all of them."""
    values = _values(reader)
    walk = window(page, values, at="m.sent_at", id="m.id", newest_first=False)
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in await reader.db.fetch(
        f"""
        SELECT w.* FROM thread t
         CROSS JOIN LATERAL (
           SELECT {_COLUMNS} FROM message m LEFT JOIN bounce b ON b.message_id = m.id
            WHERE m.thread_id = t.id {walk.where}
            ORDER BY {walk.order} LIMIT {walk.limit}) w
         WHERE t.id = ANY({values.add(list(thread_ids))}::uuid[]) AND {READABLE_THREAD}
         ORDER BY {walk.order.replace("m.", "w.")}
        """,
        *values.all,
    ):
        found[row["thread_id"]].append(row)
    return {thread_id: cut(found[thread_id], page) for thread_id in thread_ids}


async def messages_by_id(reader: Reader, message_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Messages of threads that the viewer reads; the others are missing."""
    rows = await reader.db.fetch(
        f"""
        SELECT {_COLUMNS} FROM message m JOIN thread t ON t.id = m.thread_id LEFT JOIN bounce b ON b.message_id = m.id
         WHERE m.id = ANY($5::uuid[]) AND {READABLE_THREAD}
        """,
        *_values(reader).all,
        list(message_ids),
    )
    return {row["id"]: row for row in rows}


async def html_of(reader: Reader, message_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The HTML bodies of messages that have one and that the viewer reads, as stored."""
    rows = await reader.db.fetch(
        f"""
        SELECT m.id, m.html
          FROM message m JOIN thread t ON t.id = m.thread_id LEFT JOIN bounce b ON b.message_id = m.id
         WHERE m.id = ANY($4::uuid[]) AND m.html IS NOT NULL AND {FULLY_TOLD} AND {READABLE_THREAD}
        """,
        *_values(reader).all[:3],
        list(message_ids),
    )
    return {row["id"]: row["html"] for row in rows}


async def attachments_of(reader: Reader, message_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """The files within each message, in the message's order."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in await _attachments(reader, "a.message_id = ANY($4::uuid[])", message_ids):
        found[row["message_id"]].append(row)
    return found


async def attachments_by_id(reader: Reader, attachment_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Files of messages that the viewer reads; the others are missing."""
    return {row["id"]: row for row in await _attachments(reader, "a.id = ANY($4::uuid[])", attachment_ids)}


async def _attachments(reader: Reader, condition: str, ids: Sequence[UUID]) -> Sequence[Row]:
    return await reader.db.fetch(
        f"""
        SELECT a.id, a.message_id, a.filename, a.content_type, a.size_bytes, a.is_inline, a.content_id
          FROM attachment a JOIN message m ON m.id = a.message_id JOIN thread t ON t.id = m.thread_id
          LEFT JOIN bounce b ON b.message_id = m.id
         WHERE {condition} AND {FULLY_TOLD} AND {READABLE_THREAD} ORDER BY a.message_id, a.position
        """,
        *_values(reader).all[:3],
        list(ids),
    )


async def settable_threads(reader: Reader, thread_ids: Sequence[UUID]) -> set[UUID]:
    """Of these threads, those whose privacy the viewer may set: the ones they are a participant of."""
    rows = await reader.db.fetch(
        "SELECT thread_id FROM thread_reader WHERE thread_id = ANY($1::uuid[]) AND principal = $2 AND reason = $3",
        list(thread_ids),
        reader.viewer.user_id,
        Reason.PARTICIPANT.value,
    )
    return {row["thread_id"] for row in rows}


async def readers_of(reader: Reader, thread_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Who reads each thread whatever its visibility: rows of `user_id` and `reason`, one a user.

    A participant is told to others where From, To or Cc names them. Who is in none of these holds a copy, and may have
    been in Bcc: they are told to themselves, and to the sender who put them there. The same goes for shared mailboxes,
    which their own viewers see in any case.
    """
    rows = await reader.db.fetch(
        f"""
        WITH readers AS (
          SELECT t.id AS thread_id, r.principal, r.reason, t.participants
            FROM thread t JOIN thread_reader r ON r.thread_id = t.id
           WHERE t.id = ANY($4::uuid[]) AND r.reason <> 'CANDIDATE_ACCESS' AND {READABLE_THREAD}),
        blind AS (
          SELECT m.thread_id, entry ->> 'user_id' AS user_id, entry ->> 'canonical' AS canonical
            FROM message m CROSS JOIN LATERAL jsonb_array_elements(m.people -> 'bcc') entry
           WHERE m.thread_id = ANY($4::uuid[]) AND m.sender_user_id = $3)
        SELECT r.thread_id, r.principal AS user_id, r.reason
          FROM readers r
         WHERE r.reason = 'GRANTED' OR r.reason IN ('PARTICIPANT', 'BCC') AND (
               r.principal = $3
            OR r.participants @> jsonb_build_array(jsonb_build_object('user_id', replace(r.principal::text, '-', '')))
            OR EXISTS (SELECT 1 FROM blind b WHERE b.thread_id = r.thread_id
                          AND b.user_id = replace(r.principal::text, '-', '')))
        UNION ALL
        SELECT r.thread_id, v.user_id, r.reason
          FROM readers r JOIN mailbox b ON b.id = r.principal JOIN mailbox_viewer v ON v.mailbox_id = b.id
         WHERE r.reason = 'SHARED_MAILBOX' AND (
               r.principal = ANY($2::uuid[])
            OR r.participants @> jsonb_build_array(jsonb_build_object('canonical', b.canonical))
            OR EXISTS (SELECT 1 FROM blind l WHERE l.thread_id = r.thread_id AND l.canonical = b.canonical))
        """,
        *_values(reader).all[:3],
        list(thread_ids),
    )
    strength = list(Reason)
    kept: dict[tuple[UUID, UUID], Row] = {}
    for row in sorted(rows, key=lambda row: (row["user_id"], strength.index(Reason(row["reason"])))):
        kept.setdefault((row["thread_id"], row["user_id"]), row)
    found: dict[UUID, list[Row]] = defaultdict(list)
    for (thread_id, _), row in kept.items():
        found[thread_id].append(row)
    return found


async def mark_thread_read(deps: Deps, viewer: Viewer, *, thread_id: UUID, is_unread: bool) -> UUID:
    """The viewer has seen all that has come in the thread until now, or wants it to look as if they had not.

    What was never unread, since nothing live has come from outside, stays read. Idempotent.

    Raises:
        UserMistake: NOT_FOUND, where the viewer may not read it.
    """
    async with unit_of_work(deps, viewer.organisation_id) as work:
        row = await work.tx.fetch_row(
            f"""
            SELECT t.id, t.last_live_inbound_at, array(SELECT tc.candidate_id FROM thread_candidate tc
                                                        WHERE tc.thread_id = t.id) AS candidate_ids
              FROM thread t
             WHERE t.id = coalesce((SELECT g.thread_id FROM retired_thread g WHERE g.id = $3), $3) AND {READABLE_THREAD}
            """,
            viewer.organisation_id,
            list(viewer.principals),
            thread_id,
        )
        if row is None or viewer.user_id is None:
            raise not_found("thread", "input", "threadId")
        newest = row["last_live_inbound_at"]
        if newest is not None:
            changed = await work.tx.execute(
                "INSERT INTO thread_read (user_id, thread_id, read_until) VALUES ($1, $2, $3) "
                "ON CONFLICT (user_id, thread_id) DO UPDATE SET read_until = excluded.read_until "
                "WHERE thread_read.read_until <> excluded.read_until",
                viewer.user_id,
                row["id"],
                newest - timedelta(microseconds=1) if is_unread else newest,
            )
            if changed:
                work.announce(
                    NewEvent(
                        EventKind.THREAD_CHANGED,
                        thread_id=row["id"],
                        candidate_ids=tuple(row["candidate_ids"]),
                        audience=(viewer.user_id,),
                    )
                )
    found: UUID = row["id"]
    return found


def _values(reader: Reader) -> Values:
    """What the parts above take as $1 to $4."""
    viewer = reader.viewer
    return Values(viewer.organisation_id, reader.principals, viewer.user_id, viewer.sees_every_candidate)
