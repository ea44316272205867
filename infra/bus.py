"""How does one process tell the others that there is something new to read?

The bus carries wake-ups only ("4711"); what is true stands in PostgreSQL. So nothing is logged or replayed: after
anything that may have swallowed a wake-up (a lost connection, a reader that fell behind) the subscriber receives a gap
notice instead, and reads its table again.

It is broadcaster with two holes closed, by its own hook for backends: the stock Redis backend goes silent for ever when
its connection breaks, and the stock queues have no bound.

    Bus > _Hub (Broadcast) > _Wire (BroadcastBackend) > one connection, read and written by one task each
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from broadcaster import Broadcast, BroadcastBackend, Event
from broadcaster._base import Subscriber, Unsubscribed
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from domain import clock
from domain.errors import AppError, Retry

log = structlog.get_logger()

PREFIX = "postroom:"  # the server may be shared: its channels are one name space, across its databases too
BACKLOG = 64  # wake-ups a subscriber may leave unread before they become one gap notice
CONNECTIONS = 16
CONNECT_DEADLINE_S = 5.0
PUBLISH_DEADLINE_S = 2.0
CONFIRM_DEADLINE_S = 2.0
HEARTBEAT_S = 10.0  # a connection that is silent for two of them is dead, whatever TCP says
BACKOFF_S = (0.05, 5.0)  # first and longest pause between attempts to connect


class BusUnavailable(AppError):
    """The wake-up was not handed over; doing it again may send it twice, which harms nobody."""

    retry = Retry.LATER


@dataclass(frozen=True, slots=True)
class Wake:
    """One wake-up: its text, or None where some may have been lost and the table must be read again."""

    text: str | None


class Bus:
    """Publishes wake-ups and hands them to subscribers, over a Redis or Valkey server that may come and go."""

    def __init__(self, redis_url: str) -> None:
        """`redis_url`: `redis://`, `rediss://` or `unix://`. Nothing is connected yet; publishing works already."""
        pool = BlockingConnectionPool.from_url(
            redis_url, max_connections=CONNECTIONS, socket_connect_timeout=CONNECT_DEADLINE_S
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._wire = _Wire(self._redis)
        self._hub = _Hub(backend=self._wire)
        self._is_receiving = False

    @property
    def is_connected(self) -> bool:
        """Whether wake-ups can be received at this moment."""
        return self._wire.connected.is_set()

    async def connect(self) -> None:
        """Starts receiving, and waits for the server, 5 s at most.

        A server that is not there then is tried further in the background: wake-ups save time, and their absence must
        not keep a process from starting.
        """
        await self._hub.connect()
        self._is_receiving = True
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._wire.connected.wait()
        except TimeoutError:
            log.warning("bus_absent_at_start")
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Ends every task and connection; the iterators of subscribers that are still there come to their end."""
        if self._is_receiving:
            self._is_receiving = False
            await self._hub.disconnect()
        await self._redis.aclose()

    async def publish(self, channel: str, text: str) -> None:
        """Wakes the subscribers of `channel` in all processes.

        Raises:
            BusUnavailable: the server did not take it within 2 s; trying again later may help.
        """
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                await self._hub.publish(channel, text)
        except (RedisError, OSError) as failure:  # TimeoutError is an OSError
            raise BusUnavailable("The message bus cannot be reached.") from failure

    async def publish_quietly(self, channel: str, text: str) -> bool:
        """As `publish`, for callers who have a slower way besides: a failure is logged and False comes back."""
        try:
            await self.publish(channel, text)
        except BusUnavailable as failure:
            log.warning("bus_publish_failed", error=type(failure.__cause__).__name__)
            return False
        return True

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[Wake]]:
        """An iterator of the wake-ups of `channel`, for one reader.

        What is published after the context is entered arrives, or a gap notice does. With no server in reach the
        context is entered all the same, and a gap notice comes once there is one: subscribe first, then read the table.
        """
        async with self._hub.subscribe(channel) as subscriber:
            yield _Wakes(subscriber)


class _Wakes(AsyncIterator[Wake]):
    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    async def __anext__(self) -> Wake:
        try:
            event = await self._subscriber.get()
        except Unsubscribed:
            raise StopAsyncIteration from None
        return Wake(None if isinstance(event, _Gap) else event.message)


class _Gap(Event):
    """Stands in a subscriber's queue for wake-ups that may have been lost."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel, "")


class _Backlog(asyncio.Queue[Event | None]):
    """A queue whose `put` never waits: one slow reader must not hold up the others."""

    def __init__(self, channel: str) -> None:
        super().__init__(BACKLOG)
        self._channel = channel

    async def put(self, item: Event | None) -> None:
        if self.full():
            while not self.empty():
                self.get_nowait()
            item = item and _Gap(self._channel)
        self.put_nowait(item)


class _Hub(Broadcast):
    """Broadcast with bounded queues, a `subscribe` without races, and an end that waits for its task."""

    async def disconnect(self) -> None:
        self._listener_task.cancel()
        await asyncio.wait([self._listener_task])
        await self._backend.disconnect()
        for queue in [queue for queues in self._subscribers.values() for queue in queues]:
            await queue.put(None)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Subscriber]:
        queue = _Backlog(channel)
        # The set is changed in the same breath as the backend's wish list, before anything is awaited: whoever comes
        # or goes meanwhile sees the whole truth, and no lock is needed.
        self._subscribers.setdefault(channel, set()).add(queue)
        try:
            await self._backend.subscribe(channel)
            yield Subscriber(queue)
        finally:
            queues = self._subscribers[channel]
            queues.discard(queue)
            if not queues:
                del self._subscribers[channel]
                await self._backend.unsubscribe(channel)
            await queue.put(None)


class _Wire(BroadcastBackend):
    """Keeps one connection to the server subscribed to what is wanted, and makes a new one whenever it breaks."""

    def __init__(self, redis: Redis) -> None:
        self.connected = asyncio.Event()
        self._redis = redis
        self._events: asyncio.Queue[Event] = asyncio.Queue(1000)  # a flood waits in the socket, not in memory
        self._wanted: set[str] = set()
        self._wanted_changed = asyncio.Event()
        # Of this connection: what was asked of the server, how many SUBSCRIBEs it has yet to answer, what is live.
        self._asked: set[str] = set()
        self._unanswered: Counter[str] = Counter()
        self._confirmed: set[str] = set()
        self._confirmations: dict[str, asyncio.Event] = {}  # those who wait for one
        self._missed: set[str] = set()  # channels that are owed a gap notice
        self._keeper: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._keeper = asyncio.create_task(self._keep_connected())

    async def disconnect(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def publish(self, channel: str, message: Any) -> None:
        await self._redis.publish(PREFIX + channel, message)

    async def next_published(self) -> Event:
        return await self._events.get()

    async def subscribe(self, group: str) -> None:
        """Returns when the server has confirmed, or when that must wait: then a gap notice will follow."""
        self._wanted.add(group)
        self._wanted_changed.set()
        if group in self._confirmed:
            return
        if not self.connected.is_set():
            self._missed.add(group)
            return
        confirmation = self._confirmations.setdefault(group, asyncio.Event())
        try:
            async with asyncio.timeout(CONFIRM_DEADLINE_S):
                await confirmation.wait()
        except TimeoutError:
            self._missed.add(group)

    async def unsubscribe(self, group: str) -> None:
        self._wanted.discard(group)
        self._missed.discard(group)
        self._wanted_changed.set()

    async def _keep_connected(self) -> None:
        shortest_s, longest_s = BACKOFF_S
        pause_s = shortest_s
        while True:
            # A task for each connection: before Python 3.11.4 a task in which a TaskGroup has failed takes the next
            # timeout of anything that it awaits for its own cancellation, and would end for good.
            holding = asyncio.create_task(self._hold_connection())
            try:
                await asyncio.wait([holding])
                if self.connected.is_set():
                    pause_s = shortest_s
                    log.warning("bus_connection_lost", error=_cause_name(holding))
            finally:
                holding.cancel()
                await asyncio.wait([holding])
                self._forget_connection()
            await asyncio.sleep(clock.jitter(pause_s))
            pause_s = min(pause_s * 2, longest_s)

    async def _hold_connection(self) -> None:
        connection: PubSub = self._redis.pubsub()
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(connection))
                tasks.create_task(self._read(connection))
        finally:
            with suppress(RedisError, OSError):
                await connection.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it so

    async def _write(self, connection: PubSub) -> None:
        """Brings the server's list of channels in line with what is wanted, each time that changes."""
        self.connected.set()
        log.info("bus_connected")
        while True:
            self._wanted_changed.clear()
            # What is asked and what counts as confirmed change in one breath, before the command is awaited.
            if added := self._wanted - self._asked:
                self._asked |= added
                self._unanswered.update(added)
                await connection.subscribe(*(PREFIX + channel for channel in added))
            if dropped := self._asked - self._wanted:
                self._asked -= dropped
                self._confirmed -= dropped
                await connection.unsubscribe(*(PREFIX + channel for channel in dropped))
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wanted_changed.wait()
            except TimeoutError:
                await connection.ping()

    async def _read(self, connection: PubSub) -> None:
        while True:
            reply = await connection.get_message(timeout=2 * HEARTBEAT_S)
            if reply is None:
                raise RedisConnectionError("The server has stopped answering.")
            if reply["type"] not in {"message", "subscribe"}:
                continue
            channel = reply["channel"].decode().removeprefix(PREFIX)
            if reply["type"] == "subscribe":
                await self._confirm(channel)
            else:
                await self._events.put(Event(channel, reply["data"].decode("utf-8", "replace")))

    async def _confirm(self, channel: str) -> None:
        self._unanswered[channel] -= 1
        if self._unanswered[channel] > 0:
            return
        del self._unanswered[channel]
        if channel not in self._asked:
            return
        self._confirmed.add(channel)
        if waiting := self._confirmations.pop(channel, None):
            waiting.set()
        if channel in self._missed:
            self._missed.discard(channel)
            await self._events.put(_Gap(channel))

    def _forget_connection(self) -> None:
        self.connected.clear()
        self._asked.clear()
        self._unanswered.clear()
        self._confirmed.clear()
        self._missed |= self._wanted
        for waiting in self._confirmations.values():
            waiting.set()
        self._confirmations.clear()


def _cause_name(ended: asyncio.Task[None]) -> str:
    failure = None if ended.cancelled() else ended.exception()
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return type(failure).__name__
