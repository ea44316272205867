"""Does every subscriber hear of what is published, or that it may have missed something?"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from infra import bus as bus_module
from infra.bus import BACKLOG, Bus, BusUnavailable, Wake
from tests.support.valkey import MortalValkey

GAP = Wake(None)


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[MortalValkey]:
    server = MortalValkey()
    server.start()
    yield server
    server.close()


@pytest.fixture
def valkey(shared_valkey: MortalValkey) -> Iterator[MortalValkey]:
    """The shared server, which a test may kill: it runs again afterwards."""
    yield shared_valkey
    shared_valkey.kill()
    shared_valkey.start()


@asynccontextmanager
async def open_bus(url: str) -> AsyncIterator[Bus]:
    bus = Bus(url)
    await bus.connect()
    try:
        yield bus
    finally:
        await bus.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def heard(wakes: AsyncIterator[Wake]) -> Wake:
    async with asyncio.timeout(20):
        return await anext(wakes)


async def test_a_wake_up_reaches_every_subscriber_of_its_channel_in_every_process_and_no_other(
    shared_valkey: MortalValkey,
) -> None:
    async with (
        open_bus(shared_valkey.url) as here,
        open_bus(shared_valkey.url) as there,
        here.subscribe("a") as first,
        here.subscribe("a") as second,
        there.subscribe("a") as remote,
        there.subscribe("b") as stranger,
    ):
        await here.publish("a", "4711")
        await here.publish("b", "4712")
        assert [await heard(w) for w in (first, second, remote, stranger)] == [
            Wake("4711"),
            Wake("4711"),
            Wake("4711"),
            Wake("4712"),
        ]


async def test_wake_ups_arrive_in_order(shared_valkey: MortalValkey) -> None:
    async with open_bus(shared_valkey.url) as bus, bus.subscribe("a") as wakes:
        for number in range(50):
            await bus.publish("a", str(number))
        assert [await heard(wakes) for _ in range(50)] == [Wake(str(number)) for number in range(50)]


async def test_many_first_subscribers_of_a_new_channel_all_hear_what_is_published_after_they_entered(
    shared_valkey: MortalValkey,
) -> None:
    async with open_bus(shared_valkey.url) as bus:
        heard_by_each: list[Wake] = []

        async def listen(entered: asyncio.Event) -> None:
            async with bus.subscribe("fresh") as wakes:
                entered.set()
                heard_by_each.append(await heard(wakes))

        entered = [asyncio.Event() for _ in range(20)]
        async with asyncio.TaskGroup() as tasks:
            for event in entered:
                tasks.create_task(listen(event))
            for event in entered:
                await event.wait()
            await bus.publish("fresh", "1")
        assert heard_by_each == [Wake("1")] * 20


async def test_coming_and_going_at_random_never_loses_a_wake_up(shared_valkey: MortalValkey) -> None:
    async with open_bus(shared_valkey.url) as bus, open_bus(shared_valkey.url) as publisher:

        async def come_and_go(seed: int) -> None:
            chance = random.Random(seed)
            for turn in range(40):
                channel = f"c{chance.randrange(3)}"
                async with bus.subscribe(channel) as wakes:
                    text = f"{seed}.{turn}"
                    await publisher.publish(channel, text)
                    while (wake := await heard(wakes)) != Wake(text):
                        assert wake.text is not None, "nothing broke, so there is no gap to report"
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.random() / 500)

        async with asyncio.TaskGroup() as tasks:
            for seed in range(12):
                tasks.create_task(come_and_go(seed))


async def test_cancelled_subscribers_leave_nothing_behind_and_disturb_nobody(shared_valkey: MortalValkey) -> None:
    async with open_bus(shared_valkey.url) as bus, bus.subscribe("a") as wakes:

        async def listen() -> None:
            async with bus.subscribe("a") as own, bus.subscribe("other") as others:
                await anext(own)
                await anext(others)

        chance = random.Random(1)
        for _ in range(60):
            task = asyncio.create_task(listen())
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        assert set(bus._hub._subscribers) == {"a"}
        await until(lambda: bus._wire._asked == {"a"})
        await bus.publish("a", "still here")
        assert await heard(wakes) == Wake("still here")


async def test_a_restarted_server_brings_every_subscriber_one_gap_notice_and_then_wake_ups_again(
    valkey: MortalValkey,
) -> None:
    async with open_bus(valkey.url) as bus, bus.subscribe("a") as first, bus.subscribe("b") as second:
        valkey.kill()
        await until(lambda: not bus.is_connected)
        valkey.start()
        assert await heard(first) == GAP
        assert await heard(second) == GAP
        await bus.publish("a", "1")
        await bus.publish("b", "2")
        assert await heard(first) == Wake("1")
        assert await heard(second) == Wake("2")


async def test_who_subscribes_while_the_server_is_away_gets_a_gap_notice_when_it_is_back(valkey: MortalValkey) -> None:
    async with open_bus(valkey.url) as bus:
        valkey.kill()
        await until(lambda: not bus.is_connected)
        async with bus.subscribe("late") as wakes:
            valkey.start()
            assert await heard(wakes) == GAP
            await bus.publish("late", "1")
            assert await heard(wakes) == Wake("1")


async def test_a_server_that_is_absent_at_the_start_is_found_later(
    valkey: MortalValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "CONNECT_DEADLINE_S", 0.05)
    valkey.kill()
    async with open_bus(valkey.url) as bus, bus.subscribe("a") as wakes:
        assert not bus.is_connected
        valkey.start()
        assert await heard(wakes) == GAP
        assert bus.is_connected


async def test_a_server_that_keeps_its_connections_and_answers_no_more_is_given_up(
    valkey: MortalValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(bus_module, "PUBLISH_DEADLINE_S", 0.1)
    async with open_bus(valkey.url) as bus, bus.subscribe("a") as wakes:
        valkey.freeze()
        await until(lambda: not bus.is_connected)
        with pytest.raises(BusUnavailable):
            await bus.publish("a", "0")
        valkey.thaw()
        assert await heard(wakes) == GAP


async def test_a_quiet_connection_is_kept_and_brings_no_gap_notices(
    shared_valkey: MortalValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "HEARTBEAT_S", 0.02)
    async with open_bus(shared_valkey.url) as bus, bus.subscribe("a") as wakes:
        await asyncio.sleep(0.3)  # some fifteen heartbeats
        await bus.publish("a", "1")
        assert await heard(wakes) == Wake("1")


async def test_a_reader_that_falls_behind_finds_one_gap_notice_and_holds_up_nobody(shared_valkey: MortalValkey) -> None:
    async with open_bus(shared_valkey.url) as bus, bus.subscribe("a") as slow, bus.subscribe("a") as quick:
        last = BACKLOG + 10
        for number in range(last + 1):
            await bus.publish("a", str(number))
            assert await heard(quick) == Wake(str(number))
        assert await heard(slow) == GAP
        assert await heard(slow) == Wake(str(BACKLOG + 1))


async def test_publishing_to_a_server_that_is_away_raises_or_is_logged_as_the_caller_chose(
    valkey: MortalValkey,
) -> None:
    async with open_bus(valkey.url) as bus:
        valkey.kill()
        with pytest.raises(BusUnavailable):
            await bus.publish("a", "1")
        assert await bus.publish_quietly("a", "1") is False
        valkey.start()
        await bus.publish("a", "1")
        assert await bus.publish_quietly("a", "1") is True


async def test_closing_ends_the_iterators_and_every_task(shared_valkey: MortalValkey) -> None:
    before = asyncio.all_tasks()
    bus = Bus(shared_valkey.url)
    await bus.connect()
    async with bus.subscribe("a") as wakes:
        await bus.aclose()
        assert [wake async for wake in wakes] == []
    assert asyncio.all_tasks() == before


async def test_a_bus_that_only_publishes_needs_no_connect(shared_valkey: MortalValkey) -> None:
    async with open_bus(shared_valkey.url) as bus, bus.subscribe("a") as wakes:
        publisher = Bus(shared_valkey.url)
        await publisher.publish("a", "1")
        await publisher.aclose()
        assert await heard(wakes) == Wake("1")


async def test_a_cancelled_connect_leaves_no_task(valkey: MortalValkey) -> None:
    valkey.kill()
    before = asyncio.all_tasks()
    connecting = asyncio.create_task(Bus(valkey.url).connect())
    await asyncio.sleep(0.02)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    assert asyncio.all_tasks() == before
