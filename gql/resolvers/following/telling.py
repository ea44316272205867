"""What is told of an event: the thing that it is about, as it is at this moment and as far as the viewer sees it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import strawberry

from domain.events import EventKind, Origin, moment_of
from domain.ids import to_global
from gql.context import Operation
from gql.schema.events import (
    AccessChanged,
    CandidateChanged,
    CandidateWithdrawn,
    Checkpoint,
    Event,
    MailboxChanged,
    MessageAdded,
    MessageOrigin,
    StreamReset,
    ThreadChanged,
    ThreadMerged,
    ThreadWithdrawn,
)
from gql.schema.hiring import Candidate
from gql.schema.mailboxes import Mailbox
from gql.schema.messages import Message
from gql.schema.scalars import Cursor
from gql.schema.threads import Thread
from services import event_rows
from services.event_rows import StreamEvent

ALWAYS = frozenset(
    {
        EventKind.THREAD_WITHDRAWN,
        EventKind.THREAD_MERGED,
        EventKind.CANDIDATE_WITHDRAWN,
        EventKind.ACCESS_CHANGED,
        event_rows.CHECKPOINT,
        event_rows.STREAM_RESET,
    }
)
"""Events that pass every filter."""


def shows_something(event: StreamEvent) -> bool:
    """Whether more is told than the event itself says."""
    return event.kind in _SHOWN


async def told(operation: Operation, event: StreamEvent, cursor: str) -> Event | None:
    """The event as the operation's viewer is told of it; None where they do not see (any more) what it is about."""
    show = _SHOWN.get(event.kind)
    at = moment_of(event.position)
    if show is None:
        return _bare(event, Cursor(cursor), at)
    return await show(operation, event, Cursor(cursor), at)


def _bare(event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    """An event that tells of itself and shows nothing."""
    match event.kind:
        case EventKind.THREAD_WITHDRAWN if event.thread_id is not None:
            return ThreadWithdrawn(cursor=cursor, at=at, thread_id=_global("thread", event.thread_id))
        case EventKind.CANDIDATE_WITHDRAWN if event.candidate_id is not None:
            return CandidateWithdrawn(cursor=cursor, at=at, candidate_id=_global("candidate", event.candidate_id))
        case EventKind.ACCESS_CHANGED:
            return AccessChanged(cursor=cursor, at=at)
        case event_rows.CHECKPOINT:
            return Checkpoint(cursor=cursor, at=at)
        case event_rows.STREAM_RESET:
            return StreamReset(cursor=cursor, at=at)
    return None


async def _message_added(operation: Operation, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    row = None if event.message_id is None else await operation.loaders.messages.load(event.message_id)
    origin = MessageOrigin.IMPORT if event.origin is Origin.IMPORT else MessageOrigin.LIVE
    return None if row is None else MessageAdded(cursor=cursor, at=at, origin=origin, message=Message.of(row))


async def _thread(operation: Operation, event: StreamEvent) -> Thread | None:
    row = None if event.thread_id is None else await operation.loaders.threads.load(event.thread_id)
    return None if row is None else Thread.of(row)


async def _thread_changed(operation: Operation, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    thread = await _thread(operation, event)
    return None if thread is None else ThreadChanged(cursor=cursor, at=at, thread=thread)


async def _thread_merged(operation: Operation, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    thread = await _thread(operation, event)
    if thread is None or event.retired_id is None:
        return None
    return ThreadMerged(cursor=cursor, at=at, thread=thread, retired_id=_global("thread", event.retired_id))


async def _candidate_changed(operation: Operation, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    row = None if event.candidate_id is None else await operation.loaders.candidates.load(event.candidate_id)
    return None if row is None else CandidateChanged(cursor=cursor, at=at, candidate=Candidate.of(row))


async def _mailbox_changed(operation: Operation, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    row = None if event.mailbox_id is None else await operation.loaders.mailboxes.load(event.mailbox_id)
    return None if row is None else MailboxChanged(cursor=cursor, at=at, mailbox=Mailbox.of(row))


_SHOWN: dict[str, Callable[[Operation, StreamEvent, Cursor, datetime], Awaitable[Event | None]]] = {
    EventKind.MESSAGE_ADDED: _message_added,
    EventKind.THREAD_CHANGED: _thread_changed,
    EventKind.THREAD_MERGED: _thread_merged,
    EventKind.CANDIDATE_CHANGED: _candidate_changed,
    EventKind.MAILBOX_CHANGED: _mailbox_changed,
}
"""Events that show a thing as it is at this moment."""


def _global(kind: str, row_id: UUID) -> strawberry.ID:
    return strawberry.ID(to_global(kind, row_id))
