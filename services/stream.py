"""How events reach those whom they are for: one reader of the table for each organisation in this process.

The bus says only that there is something to read. The table is read once for all subscribers, in the order of commits;
whether an event is for a viewer is decided by the rights that both have in that very snapshot, once for all who are of
its audience. What looks the same to several is shown once, in that snapshot too, and handed to each (services.sharing);
what does not, each works out for themselves. A subscriber that comes back with a position reads from the table up to
where the live stream begins, so there is neither gap nor double.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import asyncpg
import structlog

from domain import clock
from domain.access import Viewer
from domain.errors import AppError, NotAuthenticated
from domain.events import position_now
from infra.db import Snapshot
from infra.metrics import SLOW_READERS, SUBSCRIBERS, note_delivered
from services.cursors import CursorSealer
from services.deps import Deps
from services.event_rows import CHECKPOINT, PAGE, STREAM_RESET, ReadEvent, StreamEvent, read_events
from services.reading import Reader
from services.sharing import Follower, Outlet, Selection, StreamLagged, alike
from services.unit_of_work import channel
from services.upkeep import EVENTS_KEPT
from services.viewers import viewers_by_id

log = structlog.get_logger()

BACKLOG = 1_000
"""Events that wait for one slow subscriber before it is cut off."""
POLL_S = 5.0
"""A wake-up that was lost costs at most this."""
CHECKPOINT_S = 3600.0
BREATH = 500
"""Followers that are told in a row before anything else in the process may run."""

TURNS = 4
"""Subscribers that work out an event for themselves at the same time."""

_NOW = "SELECT event_position, access_version FROM organisation WHERE id = $1"
_END = 2**63 - 1
_HAS_LEFT = "This user is no longer active."
DATABASE_TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""PostgreSQL or Valkey restarts, or the way there breaks; both pass."""


@dataclass(eq=False, slots=True)
class _Subscriber:
    """One who is handed bare events, and works out by themselves what to make of them."""

    viewer: Viewer
    waiting: asyncio.Queue[StreamEvent | AppError]

    def see_as(self, viewer: Viewer) -> None:
        self.viewer = viewer

    def give(self, event: StreamEvent) -> bool:
        """Hands over, unless the subscriber is full: then it is told to resume, and gets nothing more."""
        if self.waiting.qsize() >= BACKLOG:
            SLOW_READERS.labels(where="events").inc()
            self.end(StreamLagged.told())
            return False
        self.waiting.put_nowait(event)
        return True

    def end(self, reason: AppError) -> None:
        self.waiting.put_nowait(reason)


_Listener: TypeAlias = _Subscriber | Follower
_Plan: TypeAlias = list[tuple[StreamEvent, Mapping[Selection, list[Follower]]]]


class EventStream:
    """All subscriptions of this process. `run` must be running while anything subscribes."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._channels: dict[UUID, _Channel] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._opening = asyncio.Lock()
        self.turns = asyncio.Semaphore(TURNS)
        """To be held by who works out an event for one subscriber: others need the database too."""

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
        subscriber = _Subscriber(viewer, asyncio.Queue())
        hub, start = await self._join(subscriber)
        try:
            yield self._events(hub, subscriber, start, after)
        finally:
            self._leave(hub, subscriber)

    async def follow(self, viewer: Viewer, after: int | None, selection: Selection, outlet: Outlet) -> Follower:
        """Shows the viewer's events after a position, or from now on, through an outlet, until `leave`.

        Returns when what the table holds has been told. From then on only the outlet's `end` says that no more comes:
        StreamLagged when the follower is too slow, NotAuthenticated when the viewer has left.

        Raises:
            NotAuthenticated: the viewer has left already.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the database; trying again helps.
        """
        sealer = CursorSealer(self._deps.vault, viewer)
        follower = Follower(viewer, selection, outlet, sealer, clock.monotonic())
        hub, start = await self._join(follower)
        follower.last = start if after is None else max(start, after)
        try:
            await self._catch_up(hub, follower, start, after)
        except BaseException:
            self._leave(hub, follower)
            raise
        follower.release()
        return follower

    def leave(self, follower: Follower) -> None:
        """Tells nothing more. Idempotent."""
        hub = self._channels.get(follower.viewer.organisation_id)
        if hub is not None:
            self._leave(hub, follower)

    async def _join(self, listener: _Listener) -> tuple["_Channel", int]:
        """The channel, and the position after which the listener hears all that comes."""
        organisation_id = listener.viewer.organisation_id
        async with self._opening:
            hub = self._channels.get(organisation_id)
            if hub is None:
                if self._tasks is None:
                    raise RuntimeError("the event stream is not running")
                hub = _Channel(self._deps, organisation_id)
                await hub.find_position()
                # In a context of its own: it outlives the operation that it is begun for.
                hub.task = self._tasks.create_task(hub.run(), context=Context())
                self._channels[organisation_id] = hub
            return hub, hub.join(listener)

    def _leave(self, hub: "_Channel", listener: _Listener) -> None:
        hub.leave(listener)
        if not hub.listeners and hub.task is not None and self._channels.get(hub.organisation_id) is hub:
            del self._channels[hub.organisation_id]
            hub.task.cancel()

    async def _events(
        self, hub: "_Channel", subscriber: _Subscriber, start: int, after: int | None
    ) -> AsyncIterator[StreamEvent]:
        """First what the table holds up to where the live stream began, then the live stream."""
        last = start if after is None else after
        if _is_forgotten(last, start):
            last = start
            yield StreamEvent(start, STREAM_RESET)
        while last < start:
            async with self._deps.db.snapshot() as snapshot:
                page = await hub.read_for(snapshot, subscriber.viewer, last, start)
            for event in page.events:
                yield event
            last = page.read_up_to
        async for event in _live(hub, subscriber):
            if event.position > last or event.kind == CHECKPOINT:
                last = event.position
                yield event

    async def _catch_up(self, hub: "_Channel", follower: Follower, start: int, after: int | None) -> None:
        """Tells what the table holds up to where the live stream began."""
        last = start if after is None else after
        is_forgotten = _is_forgotten(last, start)
        if is_forgotten:
            last = start
        while last < start or is_forgotten:
            async with self._deps.db.snapshot() as snapshot:
                page = await hub.read_for(snapshot, follower.viewer, last, start)
                events = [StreamEvent(start, STREAM_RESET)] if is_forgotten else page.events
                for event in filter(follower.selection.wants, events):
                    shown = await follower.selection.show(Reader(page.viewer, snapshot), event)
                    if shown is not None:
                        follower.outlet.write(shown.payload(follower.sealer))
            await follower.outlet.drained()
            last, is_forgotten = page.read_up_to, False


@dataclass(frozen=True, slots=True)
class _Page:
    viewer: Viewer
    events: Sequence[StreamEvent]
    read_up_to: int


class _Channel:
    """One organisation's events in this process."""

    def __init__(self, deps: Deps, organisation_id: UUID) -> None:
        self._deps = deps
        self.organisation_id = organisation_id
        self.listeners: set[_Listener] = set()
        self._by_principal: defaultdict[UUID, set[_Listener]] = defaultdict(set)
        self._unsure: set[_Listener] = set()
        """Those whose rights may have changed since they were read."""
        self._told_up_to = 0
        """All up to here has been handed out."""
        self.position = 0
        """All up to here has been handed out, or is being."""
        self._access_version = -1
        self._checked_at = clock.monotonic()
        self.task: asyncio.Task[None] | None = None

    def join(self, listener: _Listener) -> int:
        """From now on the listener gets what comes after the position that is given back."""
        self.listeners.add(listener)
        SUBSCRIBERS.inc()
        self._unsure.add(listener)
        self._enter(listener)
        return self.position

    def leave(self, listener: _Listener) -> None:
        if listener in self.listeners:
            self.listeners.remove(listener)
            self._unsure.discard(listener)
            self._strike_out(listener)
            SUBSCRIBERS.dec()

    async def find_position(self) -> None:
        async with self._deps.db.snapshot() as snapshot:
            row = await snapshot.fetch_row(_NOW, self.organisation_id)
        self.position = self._told_up_to = row["event_position"] if row else 0

    async def run(self) -> None:
        """Reads at every wake-up, and now and then without one. Trouble with the servers passes."""
        while True:
            try:
                await self._follow()
            except DATABASE_TROUBLE as error:
                log.warning("event_stream_interrupted", error=type(error).__name__)
                await asyncio.sleep(clock.jitter(1.0))

    async def read_for(self, snapshot: Snapshot, viewer: Viewer, after: int, up_to: int) -> _Page:
        """A page of the table as one viewer may see it, by the rights of this moment.

        Raises:
            NotAuthenticated: the viewer has left.
        """
        present = viewer
        if viewer.user_id is not None:
            found = await viewers_by_id(snapshot, self.organisation_id, [viewer.user_id])
            if viewer.user_id not in found:
                raise NotAuthenticated(_HAS_LEFT)
            present = found[viewer.user_id]
        reads = await read_events(snapshot, self.organisation_id, after, up_to)
        events = [event for read in reads if (event := read.told_to(present.principals)) is not None]
        return _Page(present, events, reads[-1].event.position if len(reads) == PAGE else up_to)

    async def _follow(self) -> None:
        async with self._deps.bus.subscribe(channel(self.organisation_id)) as wakes:
            while True:
                while await self._pump():
                    pass
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await anext(wakes, None)

    async def _pump(self) -> bool:
        """Reads what is new and hands it out; whether there may be more."""
        async with self._deps.db.snapshot() as snapshot:
            now = await snapshot.fetch_row(_NOW, self.organisation_id)
            if now is None:
                return False
            if now["access_version"] != self._access_version:
                self._unsure |= self.listeners
                self._access_version = now["access_version"]
            has_news = now["event_position"] > self._told_up_to
            reads = await read_events(snapshot, self.organisation_id, self._told_up_to, _END) if has_news else []
            while self._unsure:  # others may join while these are looked up
                await self._renew_viewers(snapshot)
            # Who joins from here on is not told, and begins after what is being handed out now. Where that fails it is
            # done again, and each skips what it has had.
            plan = self._hand_out(reads)
            if has_news:
                self.position = reads[-1].event.position if len(reads) == PAGE else now["event_position"]
            for event, followers in plan:
                for selection, asked in followers.items():
                    await self._show(snapshot, event, selection, asked)
            self._told_up_to = self.position
            await self._check(snapshot)
        return len(reads) == PAGE

    def _hand_out(self, reads: Sequence[ReadEvent]) -> _Plan:
        """Gives subscribers their events; which followers are to be shown which."""
        known: dict[frozenset[UUID], set[_Listener]] = {}
        plan: _Plan = []
        for read in reads:
            for event, listeners in self._told(read, known):
                followers: defaultdict[Selection, list[Follower]] = defaultdict(list)
                for listener in listeners:
                    if isinstance(listener, Follower):
                        followers[listener.selection].append(listener)
                    elif listener in self.listeners and not listener.give(event):
                        self.leave(listener)
                plan.append((event, followers))
        return plan

    def _told(
        self, read: ReadEvent, known: dict[frozenset[UUID], set[_Listener]]
    ) -> Iterator[tuple[StreamEvent, set[_Listener]]]:
        """What is told to whom: as ReadEvent.told_to has it, for all at once.

        Args:
            known: who has one of these principals; each set of them is looked up once.
        """

        def having(principals: frozenset[UUID]) -> set[_Listener]:
            if principals not in known:
                known[principals] = set().union(*(self._by_principal.get(each, ()) for each in principals))
            return known[principals]

        told = having(read.audience)
        if read.except_for:
            told = told - having(read.except_for)
        if read.who_see is None:
            yield read.event, told
            return
        seeing = having(read.who_see)
        yield read.event, told & seeing
        if read.otherwise is not None:
            yield read.otherwise, told - seeing

    async def _show(
        self, snapshot: Snapshot, event: StreamEvent, selection: Selection, followers: Sequence[Follower]
    ) -> None:
        """Shows an event once to all who see it alike."""
        waiting = [each for each in followers if each.last < event.position and each in self.listeners]
        if not waiting or not selection.wants(event):
            return
        for like in await alike(snapshot, event, selection.varies_by, waiting):
            shown = await selection.show(Reader(like[0].viewer, snapshot), event)
            if shown is None:
                continue
            now = clock.monotonic()
            for number, follower in enumerate(like, start=1):
                if follower in self.listeners:
                    follower.tell(shown, now)
                if number % BREATH == 0:
                    await asyncio.sleep(0)
            note_delivered(event.kind, event.position, to=len(like))

    async def _check(self, snapshot: Snapshot) -> None:
        """Tells followers that have heard nothing for long where the stream stands."""
        now = clock.monotonic()
        if now - self._checked_at < CHECKPOINT_S / 60:
            return
        self._checked_at = now
        event = StreamEvent(self.position, CHECKPOINT)
        for listener in list(self.listeners):
            if isinstance(listener, Follower) and listener.held is None and now - listener.told_at > CHECKPOINT_S:
                shown = await listener.selection.show(Reader(listener.viewer, snapshot), event)
                if shown is not None:
                    listener.told_at = now
                    listener.outlet.write(shown.payload(listener.sealer))

    async def _renew_viewers(self, snapshot: Snapshot) -> None:
        """Whose rights may have changed is given the present ones, or shown out."""
        asked = list(self._unsure)
        viewers = await viewers_by_id(snapshot, self.organisation_id, _user_ids(asked))
        for listener in asked:
            if listener not in self.listeners:
                continue  # has left meanwhile
            viewer = _present(listener, viewers)
            if viewer is None:
                self.leave(listener)
                listener.end(NotAuthenticated(_HAS_LEFT))
            elif viewer != listener.viewer:
                self._strike_out(listener)
                listener.see_as(viewer)
                self._enter(listener)
        self._unsure.difference_update(asked)

    def _enter(self, listener: _Listener) -> None:
        """Into the index by which an audience is found."""
        for principal in listener.viewer.principals:
            self._by_principal[principal].add(listener)

    def _strike_out(self, listener: _Listener) -> None:
        for principal in listener.viewer.principals:
            entered = self._by_principal.get(principal)
            if entered is not None:
                entered.discard(listener)
                if not entered:
                    del self._by_principal[principal]


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


def _is_forgotten(after: int, start: int) -> bool:
    """Whether events after a position are no longer kept."""
    return after < min(start, position_now() - int(EVENTS_KEPT.total_seconds() * 1_000_000))


def _user_ids(listeners: Iterable[_Listener]) -> list[UUID]:
    return sorted({each.viewer.user_id for each in listeners if each.viewer.user_id is not None})


def _present(listener: _Listener, viewers: dict[UUID, Viewer]) -> Viewer | None:
    """The listener's rights as they are now; a service token has none to lose."""
    if listener.viewer.user_id is None:
        return listener.viewer
    return viewers.get(listener.viewer.user_id)
