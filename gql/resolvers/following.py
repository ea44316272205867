"""How a subscriber follows what changes: each event read at its own moment, by the rights of that moment."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from domain.events import EventKind, Origin, moment_of
from domain.ids import to_global
from gql.context import Info
from gql.schema.arguments import optional_row_id
from gql.schema.events import (
    AccessChanged,
    CandidateChanged,
    CandidateWithdrawn,
    Checkpoint,
    Event,
    EventFilter,
    MailboxChanged,
    MessageAdded,
    MessageOrigin,
    StreamReset,
    ThreadChanged,
    ThreadMerged,
    ThreadWithdrawn,
)
from gql.schema.hiring import load_candidate
from gql.schema.mailboxes import load_mailbox
from gql.schema.messages import load_message
from gql.schema.scalars import Cursor
from gql.schema.threads import load_thread
from services import stream
from services.cursors import open_cursor, seal_cursor
from services.stream import StreamEvent

AfterCursor = Annotated[
    Cursor | None,
    strawberry.argument(
        description="The last cursor that was seen: what came since is told first. From now on without."
    ),
]
Narrowing = Annotated[EventFilter | None, strawberry.argument(description="Only events that it fits.")]

_ALWAYS = frozenset(
    {
        EventKind.THREAD_WITHDRAWN,
        EventKind.THREAD_MERGED,
        EventKind.CANDIDATE_WITHDRAWN,
        EventKind.ACCESS_CHANGED,
        stream.CHECKPOINT,
        stream.STREAM_RESET,
    }
)


async def events(info: Info, after: AfterCursor = None, filter: Narrowing = None) -> AsyncIterator[Event]:
    operation = info.context
    position = None if after is None else open_cursor(operation.deps.vault, operation.viewer, after)
    wanted = await _Wanted.of(info, filter)
    async with operation.stream.subscribe(operation.viewer, position) as following:
        await operation.close()
        async for event in following:
            if wanted.passes(event) and (told := await _told(info, event, wanted)) is not None:
                yield told


@dataclass(slots=True)
class _Wanted:
    """What a subscription asked for. A thread that is merged into another is followed there."""

    thread_id: UUID | None
    candidate_id: UUID | None
    mailbox_id: UUID | None
    includes_imports: bool

    @classmethod
    async def of(cls, info: Info, filter: EventFilter | None) -> "_Wanted":
        given = filter or EventFilter()
        wanted = cls(
            thread_id=optional_row_id("thread", given.thread_id),
            candidate_id=optional_row_id("candidate", given.candidate_id),
            mailbox_id=optional_row_id("mailbox", given.mailbox_id),
            includes_imports=bool(given.include_imports),
        )
        if (thread := await load_thread(info, wanted.thread_id)) is not None:
            wanted.thread_id = thread.key
        return wanted

    def passes(self, event: StreamEvent) -> bool:
        if event.retired_id is not None and event.retired_id == self.thread_id:
            self.thread_id = event.thread_id
        if event.kind in _ALWAYS:
            return True
        if event.kind == EventKind.MESSAGE_ADDED and event.origin is Origin.IMPORT and not self.includes_imports:
            return False
        return (
            self.thread_id in (None, event.thread_id)
            and self.mailbox_id in (None, event.mailbox_id)
            and self.candidate_id in (None, event.candidate_id, *event.candidate_ids)
        )

    async def names_only_seen(self, info: Info) -> bool:
        """Whether the viewer sees what the filter names: by what they may not see, nothing is found."""
        if self.candidate_id is not None and await load_candidate(info, self.candidate_id) is None:
            return False
        return self.mailbox_id is None or await load_mailbox(info, self.mailbox_id) is not None


async def _told(info: Info, event: StreamEvent, wanted: _Wanted) -> Event | None:
    """The event as the viewer is told of it; None where they no longer see what it is about."""
    operation = info.context
    cursor = Cursor(seal_cursor(operation.deps.vault, operation.viewer, event.position))
    at = moment_of(event.position)
    show = _SHOWN.get(event.kind)
    if show is None:
        return _bare(event, cursor, at)
    await operation.begin_event()
    is_wanted = event.kind in _ALWAYS or await wanted.names_only_seen(info)
    told = await show(info, event, cursor, at) if is_wanted else None
    if told is None:
        await operation.close()
    return told


def _bare(event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    """An event that tells of itself and shows nothing."""
    match event.kind:
        case EventKind.THREAD_WITHDRAWN if event.thread_id is not None:
            return ThreadWithdrawn(cursor=cursor, at=at, thread_id=_global("thread", event.thread_id))
        case EventKind.CANDIDATE_WITHDRAWN if event.candidate_id is not None:
            return CandidateWithdrawn(cursor=cursor, at=at, candidate_id=_global("candidate", event.candidate_id))
        case EventKind.ACCESS_CHANGED:
            return AccessChanged(cursor=cursor, at=at)
        case stream.CHECKPOINT:
            return Checkpoint(cursor=cursor, at=at)
        case stream.STREAM_RESET:
            return StreamReset(cursor=cursor, at=at)
    return None


async def _message_added(info: Info, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    message = None if event.message_id is None else await load_message(info, event.message_id)
    origin = MessageOrigin.IMPORT if event.origin is Origin.IMPORT else MessageOrigin.LIVE
    return None if message is None else MessageAdded(cursor=cursor, at=at, origin=origin, message=message)


async def _thread_changed(info: Info, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    thread = await load_thread(info, event.thread_id)
    return None if thread is None else ThreadChanged(cursor=cursor, at=at, thread=thread)


async def _thread_merged(info: Info, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    thread = await load_thread(info, event.thread_id)
    if thread is None or event.retired_id is None:
        return None
    return ThreadMerged(cursor=cursor, at=at, thread=thread, retired_id=_global("thread", event.retired_id))


async def _candidate_changed(info: Info, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    candidate = await load_candidate(info, event.candidate_id)
    return None if candidate is None else CandidateChanged(cursor=cursor, at=at, candidate=candidate)


async def _mailbox_changed(info: Info, event: StreamEvent, cursor: Cursor, at: datetime) -> Event | None:
    mailbox = await load_mailbox(info, event.mailbox_id)
    return None if mailbox is None else MailboxChanged(cursor=cursor, at=at, mailbox=mailbox)


_SHOWN: dict[str, Callable[[Info, StreamEvent, Cursor, datetime], Awaitable[Event | None]]] = {
    EventKind.MESSAGE_ADDED: _message_added,
    EventKind.THREAD_CHANGED: _thread_changed,
    EventKind.THREAD_MERGED: _thread_merged,
    EventKind.CANDIDATE_CHANGED: _candidate_changed,
    EventKind.MAILBOX_CHANGED: _mailbox_changed,
}
"""Events that show a thing as it is at this moment."""


def _global(kind: str, row_id: UUID) -> strawberry.ID:
    return strawberry.ID(to_global(kind, row_id))
