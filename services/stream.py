"""How events reach those whom they are for: one reader of the table for each organisation in this process.

The bus says only that there is something to read. The table is read once for all subscribers, in the order of commits;
whether an event is for a viewer is decided by the rights that both have in that very snapshot. A subscriber that comes
back with a position reads from the table up to where the live stream begins, so there is neither gap nor double.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from domain import clock
from domain.access import Viewer
from domain.errors import AppError, NotAuthenticated
from domain.events import EventKind, Origin, position_now
from infra.db import Snapshot
from services.deps import Deps
from services.unit_of_work import channel
from services.upkeep import EVENTS_KEPT
from services.viewers import viewers_by_id

log = structlog.get_logger()

PAGE = 500
"""Events read at a time."""
BACKLOG = 1_000
"""Events that wait for one slow subscriber before it is cut off."""
POLL_S = 5.0
"""A wake-up that was lost costs at most this."""
CHECKPOINT_S = 3600.0
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
_NOW = "SELECT event_position, access_version FROM organisation WHERE id = $1"
_END = 2**63 - 1


class StreamLagged(AppError):
    """The subscriber did not read fast enough. It resumes from its last cursor."""


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
class _Read:
    """An event as read, with those it is for at the moment of reading.

    Attributes:
        audience: who is told.
        except_for: who is not told although of the audience.
        otherwise: what the audience is told that is no longer among `still_see`.
    """

    event: StreamEvent
    audience: frozenset[UUID]
    except_for: frozenset[UUID] = frozenset()
    still_see: frozenset[UUID] | None = None
    otherwise: StreamEvent | None = None

    def told_to(self, principals: frozenset[UUID]) -> StreamEvent | None:
        """The event as a viewer with these principals is told of it; None where it is none of theirs."""
        if not principals & self.audience or principals & self.except_for:
            return None
        if self.still_see is not None and not principals & self.still_see:
            return self.otherwise
        return self.event


@dataclass(eq=False, slots=True)
class _Subscriber:
    viewer: Viewer
    waiting: asyncio.Queue[StreamEvent | AppError]

    def give(self, item: StreamEvent | AppError) -> bool:
        """Hands over, unless the subscriber is full: then it is told to resume, and gets nothing more."""
        if self.waiting.qsize() >= BACKLOG:
            self.waiting.put_nowait(StreamLagged("Too many events are waiting; resume from your last cursor."))
            return False
        self.waiting.put_nowait(item)
        return True


class EventStream:
    """All subscriptions of this process. `run` must be running while anything subscribes."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._channels: dict[UUID, _Channel] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._opening = asyncio.Lock()

    async def run(self) -> None:
        """Owns the readers of the organisations with subscribers, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    @asynccontextmanager
    async def subscribe(self, viewer: Viewer, after: int | None) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """The viewer's events after a position, or from now on; endless.

        The iterator raises StreamLagged when the subscriber is too slow, and NotAuthenticated when the viewer has left.
        """
        hub = await self._channel(viewer.organisation_id)
        subscriber = _Subscriber(viewer, asyncio.Queue())
        start = hub.join(subscriber)
        try:
            yield self._events(hub, subscriber, start, after)
        finally:
            hub.leave(subscriber)
            if not hub.subscribers and hub.task is not None:
                self._channels.pop(viewer.organisation_id, None)
                hub.task.cancel()

    async def _channel(self, organisation_id: UUID) -> "_Channel":
        async with self._opening:
            hub = self._channels.get(organisation_id)
            if hub is None:
                if self._tasks is None:
                    raise RuntimeError("the event stream is not running")
                hub = _Channel(self._deps, organisation_id)
                await hub.find_position()
                hub.task = self._tasks.create_task(hub.run())
                self._channels[organisation_id] = hub
            return hub

    async def _events(
        self, hub: "_Channel", subscriber: _Subscriber, start: int, after: int | None
    ) -> AsyncIterator[StreamEvent]:
        """First what the table holds up to where the live stream began, then the live stream."""
        last = start if after is None else after
        if last < min(start, position_now() - int(EVENTS_KEPT.total_seconds() * 1_000_000)):
            last = start
            yield StreamEvent(start, STREAM_RESET)
        while last < start:
            page = await hub.read_for(subscriber, last, start)
            for event in page.events:
                yield event
            last = page.read_up_to
        async for event in _live(hub, subscriber):
            if event.position > last:
                yield event


@dataclass(frozen=True, slots=True)
class _Page:
    events: Sequence[StreamEvent]
    read_up_to: int


class _Channel:
    """One organisation's events in this process."""

    def __init__(self, deps: Deps, organisation_id: UUID) -> None:
        self._deps = deps
        self._organisation_id = organisation_id
        self.subscribers: set[_Subscriber] = set()
        self._unsure: set[_Subscriber] = set()
        """Those whose rights may have changed since they were read."""
        self.position = 0
        self._access_version = -1
        self.task: asyncio.Task[None] | None = None

    def join(self, subscriber: _Subscriber) -> int:
        """From now on the subscriber gets what comes after the position that is given back."""
        self.subscribers.add(subscriber)
        self._unsure.add(subscriber)
        return self.position

    def leave(self, subscriber: _Subscriber) -> None:
        self.subscribers.discard(subscriber)
        self._unsure.discard(subscriber)

    async def find_position(self) -> None:
        async with self._deps.db.snapshot() as snapshot:
            row = await snapshot.fetch_row(_NOW, self._organisation_id)
        self.position = row["event_position"] if row else 0

    async def run(self) -> None:
        """Reads at every wake-up, and now and then without one. Trouble with the servers passes."""
        while True:
            try:
                await self._follow()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("event_stream_interrupted", error=type(error).__name__)
                await asyncio.sleep(clock.jitter(1.0))

    async def read_for(self, subscriber: _Subscriber, after: int, up_to: int) -> _Page:
        """A page of the table as one viewer may see it, by the rights of this moment."""
        async with self._deps.db.snapshot() as snapshot:
            viewers = await viewers_by_id(snapshot, self._organisation_id, _user_ids([subscriber]))
            reads = await _read(snapshot, self._organisation_id, after, up_to)
        viewer = _present(subscriber, viewers)
        if viewer is None:
            raise NotAuthenticated("This user is no longer active.")
        events = [event for read in reads if (event := read.told_to(viewer.principals)) is not None]
        return _Page(events, reads[-1].event.position if len(reads) == PAGE else up_to)

    async def _follow(self) -> None:
        async with self._deps.bus.subscribe(channel(self._organisation_id)) as wakes:
            while True:
                while await self._pump():
                    pass
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await anext(wakes, None)

    async def _pump(self) -> bool:
        """Reads what is new and hands it out; whether there may be more."""
        async with self._deps.db.snapshot() as snapshot:
            now = await snapshot.fetch_row(_NOW, self._organisation_id)
            if now is None:
                return False
            if now["access_version"] != self._access_version:
                self._unsure |= self.subscribers
                self._access_version = now["access_version"]
            has_news = now["event_position"] > self.position
            reads = await _read(snapshot, self._organisation_id, self.position, _END) if has_news else []
            while self._unsure:  # others may join while these are looked up
                await self._renew_viewers(snapshot)
            # From here to the new position without a pause, so that nobody joins in between.
            self._hand_out(reads)
            if has_news:
                self.position = reads[-1].event.position if reads else now["event_position"]
        return len(reads) == PAGE

    def _hand_out(self, reads: Sequence[_Read]) -> None:
        for subscriber in list(self.subscribers):
            for read in reads:
                event = read.told_to(subscriber.viewer.principals)
                if event is not None and not subscriber.give(event):
                    self.leave(subscriber)
                    break

    async def _renew_viewers(self, snapshot: Snapshot) -> None:
        """Whose rights may have changed is given the present ones, or shown out."""
        asked = list(self._unsure)
        viewers = await viewers_by_id(snapshot, self._organisation_id, _user_ids(asked))
        for subscriber in asked:
            viewer = _present(subscriber, viewers)
            if viewer is None:
                subscriber.give(NotAuthenticated("This user is no longer active."))
                self.leave(subscriber)
            else:
                subscriber.viewer = viewer
        self._unsure.difference_update(asked)


async def _live(hub: _Channel, subscriber: _Subscriber) -> AsyncIterator[StreamEvent]:
    while True:
        try:
            async with asyncio.timeout(CHECKPOINT_S):
                item = await subscriber.waiting.get()
        except TimeoutError:
            item = StreamEvent(hub.position, CHECKPOINT)
        if isinstance(item, AppError):
            raise item
        yield item


async def _read(snapshot: Snapshot, organisation_id: UUID, after: int, up_to: int) -> list[_Read]:
    rows = await snapshot.fetch(_EVENTS, organisation_id, after, up_to, PAGE)
    return [_judged(row, organisation_id) for row in rows]


def _judged(row: Any, organisation_id: UUID) -> _Read:
    """For whom an event is, by the rights of this moment.

    A thread's event is for its readers; a withdrawal for those who lost it; a candidate's for those who see it, and for
    those who saw it until this change: from them it is withdrawn.
    """
    readers = frozenset(row["readers"] or ())
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
    if row["kind"] == EventKind.THREAD_WITHDRAWN:
        # By the id that they know it by: the thread that it may have gone into since is none of theirs.
        withdrawn = replace(event, thread_id=row["named_thread_id"])
        return _Read(withdrawn, frozenset(row["audience"] or ()), except_for=readers)
    if row["kind"] == EventKind.CANDIDATE_CHANGED:
        return _Read(
            event,
            frozenset(row["audience"] or ()),
            still_see=frozenset({organisation_id, *row["candidate_job_ids"]}),
            otherwise=replace(event, kind=EventKind.CANDIDATE_WITHDRAWN),
        )
    return _Read(event, readers if row["audience"] is None else frozenset(row["audience"]))


def _user_ids(subscribers: Iterable[_Subscriber]) -> list[UUID]:
    return sorted({s.viewer.user_id for s in subscribers if s.viewer.user_id is not None})


def _present(subscriber: _Subscriber, viewers: dict[UUID, Viewer]) -> Viewer | None:
    """The subscriber's rights as they are now; a service token has none to lose."""
    if subscriber.viewer.user_id is None:
        return subscriber.viewer
    return viewers.get(subscriber.viewer.user_id)
