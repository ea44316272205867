"""Does a job that was queued run, whatever becomes of its worker and of the server meanwhile?"""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from domain import clock
from domain.errors import invalid
from infra import jobs as jobs_module
from infra.jobs import JobFunction, JobQueue, Periodic, QueueUnavailable, run_worker
from tests.support.valkey import MortalValkey


@pytest.fixture
def valkey() -> Iterator[MortalValkey]:
    server = MortalValkey(keeps=True)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def queue(valkey: MortalValkey) -> AsyncIterator[JobQueue]:
    queue = JobQueue(valkey.url)
    yield queue
    await queue.aclose()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "POLL_S", 0.05)
    monkeypatch.setattr(jobs_module, "UNREACHABLE_PAUSE_S", 0.05)
    monkeypatch.setattr(jobs_module, "RETRY_BACKOFF_S", (0.02, 0.1))


@asynccontextmanager
async def working(
    valkey: MortalValkey, functions: Mapping[str, JobFunction], cron: Sequence[Periodic] = (), **options: Any
) -> AsyncIterator[asyncio.Event]:
    """A worker in this process; setting the event it yields stops it in good order, leaving the context does so too."""
    stop = asyncio.Event()
    settings: dict[str, Any] = {"max_jobs": 10, "job_timeout_s": 10, "lease_s": 1.0} | options
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_worker(valkey.url, functions, cron, stop=stop, **settings))
        yield stop
        stop.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


class Ledger:
    """A job that notes its arguments."""

    def __init__(self, then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.notes: list[Any] = []
        self._then = then

    async def __call__(self, **arguments: Any) -> None:
        self.notes.append(arguments)
        if self._then is not None:
            await self._then()


async def test_a_job_runs_with_its_arguments(valkey: MortalValkey, queue: JobQueue) -> None:
    ledger = Ledger()
    some_id = uuid4()
    async with working(valkey, {"sync": ledger}):
        await queue.enqueue("sync", mailbox=some_id, pages=[1, 2], name="é", nothing=None)
        await until(lambda: len(ledger.notes) == 1)
    assert ledger.notes == [{"mailbox": str(some_id), "pages": [1, 2], "name": "é", "nothing": None}]


async def test_jobs_queued_before_any_worker_was_there_run_when_one_comes(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    ledger = Ledger()
    for number in range(25):
        await queue.enqueue("sync", number=number)
    async with working(valkey, {"sync": ledger}, max_jobs=3):
        await until(lambda: len(ledger.notes) == 25)
    assert sorted(note["number"] for note in ledger.notes) == list(range(25))


async def test_a_wake_up_starts_a_job_long_before_the_poll_would(
    valkey: MortalValkey, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "POLL_S", 3600.0)
    ledger = Ledger()
    async with working(valkey, {"sync": ledger}, max_jobs=1):
        for number in range(20):  # more than there is room for: the end of one job starts the next
            await queue.enqueue("sync", number=number)
        await until(lambda: len(ledger.notes) == 20)


async def test_no_more_jobs_run_at_a_time_than_allowed(valkey: MortalValkey, queue: JobQueue) -> None:
    gate = asyncio.Event()
    running = peak = done = 0

    async def count() -> None:
        nonlocal running, peak, done
        running += 1
        peak = max(peak, running)
        await gate.wait()
        running -= 1
        done += 1

    async with working(valkey, {"sync": count}, max_jobs=4):
        for _ in range(20):
            await queue.enqueue("sync")
        await until(lambda: running == 4)
        await asyncio.sleep(0.2)  # some more looks at the queue, which must find no room
        gate.set()
        await until(lambda: done == 20)
    assert peak == 4


async def test_two_workers_share_the_jobs_and_run_each_once(valkey: MortalValkey, queue: JobQueue) -> None:
    first, second = Ledger(), Ledger()
    async with working(valkey, {"sync": first}, max_jobs=2), working(valkey, {"sync": second}, max_jobs=2):
        for number in range(60):
            await queue.enqueue("sync", number=number)
        await until(lambda: len(first.notes) + len(second.notes) >= 60)
    assert sorted(note["number"] for note in first.notes + second.notes) == list(range(60))


async def test_a_job_that_fails_is_tried_again_and_given_up_after_the_last_try(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    ledger = Ledger(fail)
    with capture_logs() as logs:
        async with working(valkey, {"sync": ledger}, max_tries=3):
            await queue.enqueue("sync")
            await until(lambda: any(line.get("is_final") for line in logs))
    failures = [line for line in logs if line["event"] == "job_failed"]
    assert [(line["job"], line["error"], line["tries"]) for line in failures] == [
        ("sync", "ZeroDivisionError", tries) for tries in (1, 2, 3)
    ]
    assert len(ledger.notes) == 3
    assert await left_over(valkey) == 0


async def test_an_error_that_time_does_not_mend_is_not_tried_again(valkey: MortalValkey, queue: JobQueue) -> None:
    async def refuse() -> None:
        raise invalid("No.")

    with capture_logs() as logs:
        async with working(valkey, {"sync": refuse}):
            await queue.enqueue("sync")
            await until(lambda: any(line.get("is_final") for line in logs))
    assert [line["tries"] for line in logs if line["event"] == "job_failed"] == [1]


async def test_a_job_that_takes_too_long_is_cancelled_and_tried_again(valkey: MortalValkey, queue: JobQueue) -> None:
    finished = 0

    async def hang_once() -> None:
        nonlocal finished
        if len(ledger.notes) == 1:
            await asyncio.Event().wait()
        finished += 1

    ledger = Ledger(hang_once)
    async with working(valkey, {"sync": ledger}, job_timeout_s=0.05):
        await queue.enqueue("sync")
        await until(lambda: finished == 1)
    assert len(ledger.notes) == 2


async def test_a_delayed_job_does_not_run_before_its_time(valkey: MortalValkey, queue: JobQueue) -> None:
    ran_at: dict[str, float] = {}

    async def note(which: str) -> None:
        ran_at[which] = clock.monotonic()

    async with working(valkey, {"note": note}):
        queued_at = clock.monotonic()
        await queue.enqueue("note", delay_s=0.4, which="later")
        await queue.enqueue("note", which="now")
        await until(lambda: len(ran_at) == 2)
    assert list(ran_at) == ["now", "later"]
    assert ran_at["later"] - queued_at >= 0.39


async def test_a_key_collapses_jobs_until_the_first_has_ended_and_no_longer(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    ledger = Ledger(wait)
    async with working(valkey, {"sync": ledger}):
        await queue.enqueue("sync", key="m1", turn=1)
        await until(lambda: len(ledger.notes) == 1)
        await queue.enqueue("sync", key="m1", turn=2)
        await queue.enqueue("sync", key="m2", turn=3)
        await until(lambda: len(ledger.notes) == 2)
        gate.set()
        await until_queue_is_empty(valkey)
        await queue.enqueue("sync", key="m1", turn=4)
        await until(lambda: len(ledger.notes) == 3)
    assert [note["turn"] for note in ledger.notes] == [1, 3, 4]


async def test_without_a_key_a_job_queued_while_its_like_runs_is_not_lost(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    ledger = Ledger(wait)
    async with working(valkey, {"sync": ledger}):
        await queue.enqueue("sync", mailbox="a")
        await until(lambda: len(ledger.notes) == 1)
        await queue.enqueue("sync", mailbox="a")
        await until(lambda: len(ledger.notes) == 2)
        gate.set()


async def test_a_restart_of_the_server_neither_ends_the_worker_nor_cancels_its_jobs(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    gate = asyncio.Event()
    cancelled: list[bool] = []

    async def wait() -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    long, short = Ledger(wait), Ledger()
    async with working(valkey, {"long": long, "short": short}, max_jobs=2):
        await queue.enqueue("long")
        await until(lambda: len(long.notes) == 1)
        for turn in range(5):
            await queue.enqueue("short", turn=turn)
            valkey.kill()
            with pytest.raises(QueueUnavailable):
                await queue.enqueue("short", turn="lost")
            await asyncio.sleep(0.1)
            valkey.start()
            await until(lambda turn=turn: {"turn": turn} in short.notes)  # type: ignore[misc]
        gate.set()
        # both places are free again, though claims were cut short
        await until_places_are_free(valkey, queue, short, long)
    assert not cancelled


async def until_places_are_free(valkey: MortalValkey, queue: JobQueue, short: Ledger, long: Ledger) -> None:
    await until_queue_is_empty(valkey)
    before = len(long.notes)
    await queue.enqueue("long")
    await queue.enqueue("long")
    await until(lambda: len(long.notes) == before + 2)


async def test_a_worker_that_comes_before_its_server_waits_for_it(
    valkey: MortalValkey, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.bus.CONNECT_DEADLINE_S", 0.05)
    valkey.kill()
    ledger = Ledger()
    async with working(valkey, {"sync": ledger}, [Periodic("sync", 3600)]):
        await asyncio.sleep(0.2)
        valkey.start()
        await until(lambda: len(ledger.notes) == 1)


async def test_queueing_without_a_server_raises_or_is_logged_as_the_caller_chose(
    valkey: MortalValkey, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.kill()
    with pytest.raises(QueueUnavailable):
        await queue.enqueue("sync")
    assert await queue.enqueue_quietly("sync") is False
    valkey.start()
    assert await queue.enqueue_quietly("sync") is True
    monkeypatch.setattr(jobs_module, "SERVER_DEADLINE_S", 0.1)
    valkey.freeze()
    with pytest.raises(QueueUnavailable):
        await queue.enqueue("sync")
    valkey.thaw()


async def test_a_stop_lets_running_jobs_finish_and_starts_no_more(valkey: MortalValkey, queue: JobQueue) -> None:
    gate = asyncio.Event()
    finished = 0

    async def wait() -> None:
        nonlocal finished
        await gate.wait()
        finished += 1

    ledger = Ledger(wait)
    async with working(valkey, {"sync": ledger}, grace_s=20) as stop:
        await queue.enqueue("sync")
        await until(lambda: len(ledger.notes) == 1)
        stop.set()
        await queue.enqueue("sync")
        await asyncio.sleep(0.2)
        gate.set()
    assert finished == 1
    assert len(ledger.notes) == 1
    assert await left_over(valkey) == 1


async def test_after_the_grace_jobs_are_cancelled_and_another_worker_takes_them_up(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    stuck, next_one = Ledger(hang), Ledger()
    async with working(valkey, {"sync": stuck}, grace_s=0.05, lease_s=3600.0):
        await queue.enqueue("sync", mailbox="a")
        await until(lambda: len(stuck.notes) == 1)
    async with working(valkey, {"sync": next_one}):
        await until(lambda: next_one.notes == [{"mailbox": "a"}])


async def test_a_cancelled_worker_gives_its_jobs_back_at_once_and_leaves_no_task(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    stuck, next_one = Ledger(hang), Ledger()
    worker = asyncio.create_task(
        run_worker(valkey.url, {"sync": stuck}, max_jobs=2, job_timeout_s=60, lease_s=3600, stop=asyncio.Event())
    )
    await queue.enqueue("sync", mailbox="a")
    await until(lambda: len(stuck.notes) == 1)
    worker.cancel()
    await asyncio.wait([worker])
    assert worker.cancelled()
    assert asyncio.all_tasks() == before
    async with working(valkey, {"sync": next_one}):
        await until(lambda: next_one.notes == [{"mailbox": "a"}])


async def test_a_job_longer_than_the_lease_is_not_run_twice_while_its_worker_lives(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    async def take_time() -> None:
        await asyncio.sleep(0.9)

    first, second = Ledger(take_time), Ledger(take_time)
    async with (
        working(valkey, {"sync": first}, lease_s=0.3),
        working(valkey, {"sync": second}, lease_s=0.3),
    ):
        await queue.enqueue("sync")
        await until_queue_is_empty(valkey)
    assert len(first.notes) + len(second.notes) == 1


WORKER = """
import asyncio, sys
from redis.asyncio import Redis
from infra.jobs import run_worker
url, = sys.argv[1:]
async def note(text):
    async with Redis.from_url(url) as redis:
        await redis.rpush("notes", "begun " + text)
        await asyncio.sleep(float(text))
        await redis.rpush("notes", "done " + text)
asyncio.run(run_worker(url, {"note": note}, max_jobs=5, job_timeout_s=60, lease_s=1.0, grace_s=20))
"""


@asynccontextmanager
async def worker_process(valkey: MortalValkey) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, valkey.url, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_noted(valkey: MortalValkey, expected: list[bytes]) -> None:
    async with asyncio.timeout(30), Redis.from_url(valkey.url) as redis:
        while await redis.lrange("notes", 0, -1) != expected:
            await asyncio.sleep(0.01)


async def test_the_jobs_of_a_killed_worker_are_run_by_another_when_its_lease_is_over(
    valkey: MortalValkey, queue: JobQueue
) -> None:
    ledger = Ledger()
    async with worker_process(valkey) as process:
        await queue.enqueue("note", text="30")
        await until_noted(valkey, [b"begun 30"])
        process.kill()
        await process.wait()
    async with working(valkey, {"note": ledger}):
        await until(lambda: ledger.notes == [{"text": "30"}])


async def test_sigterm_stops_a_worker_process_after_its_jobs(valkey: MortalValkey, queue: JobQueue) -> None:
    async with worker_process(valkey) as process:
        await queue.enqueue("note", text="0.5")
        await until_noted(valkey, [b"begun 0.5"])
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    await until_noted(valkey, [b"begun 0.5", b"done 0.5"])


async def test_a_periodic_job_runs_once_a_period_however_many_workers_there_are(valkey: MortalValkey) -> None:
    every_s = 0.25
    ledger = Ledger()
    first_period = clock.now().timestamp() // every_s
    async with (
        working(valkey, {"sweep": ledger}, [Periodic("sweep", every_s)]),
        working(valkey, {"sweep": ledger}, [Periodic("sweep", every_s)]),
        working(valkey, {"sweep": ledger}, [Periodic("sweep", every_s)]),
    ):
        await until(lambda: len(ledger.notes) >= 5)
    assert len(ledger.notes) <= clock.now().timestamp() // every_s - first_period + 1


async def test_what_jobs_are_about_stays_out_of_the_logs(
    valkey: MortalValkey, queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def fail() -> None:
        raise ValueError("anna@example.org wrote")

    ledger = Ledger(fail)
    with capture_logs() as logs:
        async with working(valkey, {"sync": ledger}, max_tries=2):
            await queue.enqueue("sync", address="anna@example.org")
            await until(lambda: any(line.get("is_final") for line in logs))
    assert "anna" not in caplog.text
    assert "anna" not in repr(logs)


async def until_queue_is_empty(valkey: MortalValkey) -> None:
    async with asyncio.timeout(30):
        while await left_over(valkey):
            await asyncio.sleep(0.005)


async def left_over(valkey: MortalValkey) -> int:
    async with Redis.from_url(valkey.url) as redis:
        count: int = await redis.zcard(jobs_module.QUEUE)
        return count
