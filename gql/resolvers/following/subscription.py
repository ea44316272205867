"""How a subscriber follows what changes: each event read at its own moment, by the rights of that moment."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import strawberry

from domain.errors import NotAuthenticated
from domain.events import EventKind, Origin, position_now
from gql.context import Info
from gql.resolvers.following.telling import ALWAYS, shows_something, told
from gql.schema.arguments import optional_row_id
from gql.schema.events import Event, EventFilter
from gql.schema.hiring import load_candidate
from gql.schema.mailboxes import load_mailbox
from gql.schema.scalars import Cursor
from gql.schema.threads import load_thread
from infra.metrics import note_delivered
from services.cursors import CursorSealer, open_cursor
from services.event_rows import StreamEvent
from services.sharing import StreamLagged

AfterCursor = Annotated[
    Cursor | None,
    strawberry.argument(
        description="The last cursor that was seen: what came since is told first. From now on without."
    ),
]
Narrowing = Annotated[EventFilter | None, strawberry.argument(description="Only events that it fits.")]


async def events(info: Info, after: AfterCursor = None, filter: Narrowing = None) -> AsyncIterator[Event]:
    operation = info.context
    position = None if after is None else open_cursor(operation.deps.vault, operation.viewer, after)
    sealer = CursorSealer(operation.deps.vault, operation.viewer)
    wanted = await _Wanted.of(info, filter)
    began = position_now()
    async with operation.stream.subscribe(operation.viewer, position) as following:
        await operation.close()
        try:
            async for event in following:
                if wanted.passes(event):
                    shown = await _told(info, event, wanted, sealer.seal(event.position))
                    if shown is not None:
                        yield shown
                        note_delivered(event.kind, event.position, is_live=event.position > began)
        except (StreamLagged, NotAuthenticated) as reason:
            operation.give_up(reason)
            raise


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
        if event.kind in ALWAYS:
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


async def _told(info: Info, event: StreamEvent, wanted: _Wanted, cursor: str) -> Event | None:
    """The event as the viewer is told of it; None where they no longer see what it is about."""
    operation = info.context
    if not shows_something(event):
        return await told(operation, event, cursor)
    await operation.begin_event()
    is_wanted = event.kind in ALWAYS or await wanted.names_only_seen(info)
    shown = await told(operation, event, cursor) if is_wanted else None
    if shown is None:
        await operation.close()
    return shown
