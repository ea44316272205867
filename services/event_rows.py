"""Which events lie between two positions, and for whom is each by the rights of this moment?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from domain.events import EventKind, Origin
from infra.db import Snapshot
from services.thread_lists import UNREAD

PAGE = 500
"""Events read at a time."""
CHECKPOINT = "Checkpoint"
STREAM_RESET = "StreamReset"

_EVENTS = """
SELECT e.position, e.kind, e.origin, e.message_id, e.thread_id AS named_thread_id,
       coalesce(m.thread_id, r.thread_id, e.thread_id) AS thread_id,
       e.candidate_id, e.mailbox_id, e.retired_id, e.candidate_ids, e.audience, t.readers,
       array(SELECT job_id FROM application a WHERE a.candidate_id = e.candidate_id) AS candidate_job_ids
  FROM event e
  LEFT JOIN message m ON m.id = e.message_id
  LEFT JOIN retired_thread r ON r.id = e.thread_id
  LEFT JOIN thread t ON t.id = coalesce(m.thread_id, r.thread_id, e.thread_id)
 WHERE e.organisation_id = $1 AND e.position > $2 AND e.position <= $3
 ORDER BY e.position LIMIT $4
"""
_NOT_OPEN = """
SELECT b.message_id, b.told FROM bounce b JOIN message m ON m.id = b.message_id WHERE m.thread_id = $1 AND NOT b.is_open
"""
_UNREAD = f"""
SELECT v.id FROM unnest($2::uuid[]) AS v(id) JOIN thread t ON t.id = $1 WHERE {UNREAD.replace("$3", "v.id")}
"""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event that a viewer may be told, or a Checkpoint or StreamReset."""

    position: int
    kind: str
    origin: Origin | None = None
    thread_id: UUID | None = None
    message_id: UUID | None = None
    candidate_id: UUID | None = None
    mailbox_id: UUID | None = None
    retired_id: UUID | None = None
    candidate_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event as read, with those it is for at the moment of reading.

    Attributes:
        audience: who is told, of those who are none of `except_for`, and one of `who_see`.
        who_see: who may see what the event shows; None where it shows nothing, or nothing that has readers.
        otherwise: what the audience is told that does not see it.
    """

    event: StreamEvent
    audience: frozenset[UUID]
    except_for: frozenset[UUID] = frozenset()
    who_see: frozenset[UUID] | None = None
    otherwise: StreamEvent | None = None

    def told_to(self, principals: frozenset[UUID]) -> StreamEvent | None:
        """The event as a viewer with these principals is told of it; None where it is none of theirs."""
        if principals.isdisjoint(self.audience) or not principals.isdisjoint(self.except_for):
            return None
        if self.who_see is not None and principals.isdisjoint(self.who_see):
            return self.otherwise
        return self.event


async def read_events(snapshot: Snapshot, organisation_id: UUID, after: int, up_to: int) -> list[ReadEvent]:
    """The first PAGE of them, in order."""
    rows = await snapshot.fetch(_EVENTS, organisation_id, after, up_to, PAGE)
    return [_judged(row, organisation_id) for row in rows]


async def users_unread_to(snapshot: Snapshot, thread_id: UUID, user_ids: Sequence[UUID]) -> set[UUID]:
    """Of these users, those to whom the thread is unread."""
    return {row["id"] for row in await snapshot.fetch(_UNREAD, thread_id, list(user_ids))}


async def users_told_of_bounces(snapshot: Snapshot, thread_id: UUID) -> dict[UUID, frozenset[UUID]]:
    """For each of the thread's bounces that is not open to all readers: the users to whom it is (services.bounces)."""
    rows = await snapshot.fetch(_NOT_OPEN, thread_id)
    return {row["message_id"]: frozenset(row["told"] or ()) for row in rows}


def _judged(row: Any, organisation_id: UUID) -> ReadEvent:
    """For whom an event is, by the rights of this moment.

    A thread's event is for its readers; a withdrawal for those who lost it; a candidate's for those who see it, and for
    those who saw it until this change: from them it is withdrawn.
    """
    readers = frozenset(row["readers"] or ())
    audience = None if row["audience"] is None else frozenset(row["audience"])
    event = StreamEvent(
        position=row["position"],
        kind=row["kind"],
        origin=Origin(row["origin"]) if row["origin"] else None,
        thread_id=row["thread_id"],
        message_id=row["message_id"],
        candidate_id=row["candidate_id"],
        mailbox_id=row["mailbox_id"],
        retired_id=row["retired_id"],
        candidate_ids=tuple(row["candidate_ids"]),
    )
    match row["kind"]:
        case EventKind.THREAD_WITHDRAWN:
            # By the id that they know it by: the thread that it may have gone into since is none of theirs.
            withdrawn = replace(event, thread_id=row["named_thread_id"])
            return ReadEvent(withdrawn, audience or frozenset(), except_for=readers)
        case EventKind.CANDIDATE_CHANGED:
            return ReadEvent(
                event,
                audience or frozenset(),
                who_see=frozenset({organisation_id, *row["candidate_job_ids"]}),
                otherwise=replace(event, kind=EventKind.CANDIDATE_WITHDRAWN),
            )
        case EventKind.MESSAGE_ADDED | EventKind.THREAD_CHANGED | EventKind.THREAD_MERGED if audience is not None:
            return ReadEvent(event, audience, who_see=readers)
    return ReadEvent(event, readers if audience is None else audience)
