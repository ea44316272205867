"""What do a viewer's searches find, and where in the messages?

A search goes one of two ways, which find the same. What few messages hold is taken from the index, and those threads
are sorted. What many hold is looked for in the threads themselves, newest first, until the page is full: the index
would give all of them first. PostgreSQL's statistics of words choose; where they are wrong, it costs time alone.

A message is found by those to whom all of it is told: a bounce that may name a blind recipient is not (R3.5).
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from domain.search_index import BODY_LENGTH, SUBJECT_LENGTH, person_text, search_mark, shown_people
from domain.search_marks import Fragment, excerpt
from domain.search_query import SearchQuery
from services.gate import FULLY_TOLD, READABLE_THREAD
from services.paging import Row, Values
from services.reading import Reader

FEW = 5_000
"""Messages up to which the index is quicker than looking into threads."""
MATCHES_PER_THREAD = 2
"""Messages of a thread whose matches are shown, the newest that were found."""
PEOPLE_PER_MESSAGE = 3


@dataclass(frozen=True, slots=True)
class Match:
    """A part of a message in which something was found.

    Attributes:
        field: SUBJECT, PARTICIPANT or BODY.
    """

    message_id: UUID
    field: str
    fragments: tuple[Fragment, ...]


async def is_of_few(reader: Reader, query: SearchQuery) -> bool:
    """Whether few messages hold it, as far as PostgreSQL knows without looking."""
    plan: str = await reader.db.fetch_value(
        "EXPLAIN (FORMAT JSON) SELECT FROM message_search s WHERE s.vector @@ $1::text::tsquery",
        _tsquery(query, reader.viewer.organisation_id),
    )
    estimate: int = orjson.loads(plan)[0]["Plan"]["Plan Rows"]
    return estimate <= FEW


def found_by_index(query: SearchQuery, values: Values, *, most: int | None) -> str:
    """A query of the index: `thread_id`, once for each message that holds it, `most` of them and one more.

    As `holds`, it takes $1 and $3 as services.thread_lists says, and leaves it to the caller to ask who reads a thread.
    """
    limit = "" if most is None else f"LIMIT {most + 1}"
    return f"""
      SELECT s.thread_id FROM message_search s LEFT JOIN bounce b ON b.message_id = s.message_id
       WHERE s.vector @@ {values.add(_tsquery(query, values.all[0]))}::text::tsquery AND {FULLY_TOLD} {limit}
    """


def holds(query: SearchQuery, values: Values, *, thread: str) -> str:
    """Of a thread: a message in it holds it. Looks at the thread's messages, never into the index."""
    sought = values.add(_tsquery(query, values.all[0]))
    return f"""coalesce((
      SELECT true FROM message_search s LEFT JOIN bounce b ON b.message_id = s.message_id
       WHERE s.thread_id = {thread} AND ts_match_vq(s.vector, {sought}::text::tsquery) AND {FULLY_TOLD} LIMIT 1), false)
    """


async def matches_of(reader: Reader, query: SearchQuery, thread_ids: Sequence[UUID]) -> dict[UUID, list[Match]]:
    """What was found in each of these threads, newest message first, in one statement; texts the viewer may read."""
    viewer = reader.viewer
    rows = await reader.db.fetch(
        f"""
        SELECT w.* FROM thread t
         CROSS JOIN LATERAL (
           SELECT m.thread_id, m.id, m.people - 'bcc' AS people, left(m.subject, {SUBJECT_LENGTH}) AS subject,
                  left(m.text, {BODY_LENGTH}) AS text
             FROM message m JOIN message_search s ON s.message_id = m.id LEFT JOIN bounce b ON b.message_id = m.id
            WHERE m.thread_id = t.id AND ts_match_vq(s.vector, $5::text::tsquery) AND {FULLY_TOLD}
            ORDER BY m.sent_at DESC, m.id DESC LIMIT {MATCHES_PER_THREAD}) w
         WHERE t.id = ANY($4::uuid[]) AND {READABLE_THREAD}
        """,
        viewer.organisation_id,
        reader.principals,
        viewer.user_id,
        list(thread_ids),
        _tsquery(query, viewer.organisation_id),
    )
    found: dict[UUID, list[Match]] = defaultdict(list)
    for row in rows:
        found[row["thread_id"]] += _matches(row, query)
        await asyncio.sleep(0)  # long texts take milliseconds, and others wait
    return found


def _matches(row: Row, query: SearchQuery) -> list[Match]:
    people = [person_text(entry) for entry in shown_people(row["people"])]
    shown = [("PARTICIPANT", pieces) for person in people if (pieces := excerpt(person, query))]
    parts = [("SUBJECT", excerpt(row["subject"], query)), *shown[:PEOPLE_PER_MESSAGE]]
    parts.append(("BODY", excerpt(row["text"], query)))
    return [Match(row["id"], field, pieces) for field, pieces in parts if pieces]


def _tsquery(query: SearchQuery, organisation_id: UUID) -> str:
    return query.tsquery(search_mark(organisation_id))
