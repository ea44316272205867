"""How is work handed to a worker, soon, at a given time, or once a period?

What is due stands in PostgreSQL; a job is only the wake-up for it, may run twice, and may be lost with its server.
So every job is safe to repeat, and a periodic job sweeps up what was lost. All of arq is behind this module, with its
holes closed:

- a Redis that goes away ends arq's worker; here the worker goes on, and so do the jobs that run meanwhile
- arq finds work by polling; here a message on the bus wakes the worker, and the poll is the net below it
- a crashed worker's jobs wait out the longest time a job may take; here a lease, renewed while they run, is short
- arq retries on demand only, pickles, and logs arguments; here failures are retried, JSON is written, names are logged
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import orjson
import structlog
from arq import ArqRedis
from arq import Retry as RetryJob
from arq.constants import in_progress_key_prefix
from arq.worker import Function, Worker
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.exceptions import RedisError

from domain import clock
from domain.errors import AppError, Retry
from infra.bus import Bus
from infra.db.tally import begin_tally
from infra.metrics import JOB_SECONDS
from infra.tracing import span

log = structlog.get_logger()

# arq's own lines of lesser weight hold the arguments of jobs. What it warns of names jobs only.
logging.getLogger("arq").setLevel(logging.WARNING)

QUEUE = "postroom:jobs"
WAKE_CHANNEL = "jobs"
CONNECTIONS = 16
SERVER_DEADLINE_S = 2.0  # for a few commands on a server nearby
POLL_S = 0.5  # finds delayed jobs, and those whose wake-up was lost
POLL_DEADLINE_S = 10.0  # for one look at the queue, which may start many jobs
READ_LIMIT = 1000  # jobs looked at in one poll; those that run stay in the list, and must not hide the rest
DEPTH_COUNTED = 10_000  # jobs that are due, looked at when the queue is measured; the rest counts as delayed
UNREACHABLE_PAUSE_S = 0.5
RETRY_BACKOFF_S = (1.0, 300.0)  # before the second attempt, doubling, and at most
CANCEL_DEADLINE_S = 5.0  # for cancelled jobs to clean up
UNLIMITED = 2**31  # arq's own bound of tries, where ours is the narrower one

JobFunction: TypeAlias = Callable[..., Awaitable[None]]


class QueueUnavailable(AppError):
    """The job was probably not queued; doing it again later may help, and may queue it twice."""

    retry = Retry.LATER


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job without arguments that runs once in each period of `every_s` seconds, on one worker of all."""

    name: str
    every_s: float


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How much stands in the queue, counted to `DEPTH_COUNTED` of what is due.

    Attributes:
        oldest_waiting_s: for how long the first job that nobody has taken up has been due; 0 without one.
    """

    waiting: int
    running: int
    delayed: int
    oldest_waiting_s: float


class JobQueue:
    """Hands jobs to the workers."""

    def __init__(self, redis_url: str) -> None:
        """Connects when it is first needed."""
        self._redis = _client(BlockingConnectionPool, redis_url, max_connections=CONNECTIONS)
        self._bus = Bus(redis_url)

    async def enqueue(self, name: str, /, *, delay_s: float = 0, key: str | None = None, **arguments: Any) -> None:
        """Queues the job `name`, to run at once or after `delay_s` seconds (within POLL_S of it).

        Args:
            name: a function of the workers.
            delay_s: seconds from now.
            key: where given, nothing happens while a job of this name and key is queued *or running*. Safe only where
                the running job would notice the new work by itself before it ends.
            arguments: JSON values, and UUIDs, which arrive as text.

        Raises:
            QueueUnavailable: the server did not take it within 2 s.
        """
        try:
            async with asyncio.timeout(SERVER_DEADLINE_S):
                await _put(self._redis, name, arguments, delay_s=delay_s, job_id=f"{name}:{key}" if key else None)
        except (RedisError, OSError) as failure:  # TimeoutError is an OSError
            raise QueueUnavailable("The job queue cannot be reached.") from failure
        if not delay_s:
            await self._bus.publish_quietly(WAKE_CHANNEL, "")

    async def enqueue_quietly(
        self, name: str, /, *, delay_s: float = 0, key: str | None = None, **arguments: Any
    ) -> bool:
        """As `enqueue`, where a periodic job would find the work anyway: a failure is logged and False comes back."""
        try:
            await self.enqueue(name, delay_s=delay_s, key=key, **arguments)
        except QueueUnavailable as failure:
            log.warning("enqueue_failed", job=name, error=type(failure.__cause__).__name__)
            return False
        return True

    async def depth(self) -> QueueDepth:
        """What stands in the queue now, in a fixed number of commands.

        Raises:
            QueueUnavailable: the server did not answer within 2 s.
        """
        now_ms = clock.now().timestamp() * 1000
        try:
            async with asyncio.timeout(SERVER_DEADLINE_S):
                total = await self._redis.zcard(QUEUE)
                # What runs stays in the list until it has ended.
                due = await self._redis.zrangebyscore(QUEUE, "-inf", now_ms, 0, DEPTH_COUNTED, withscores=True)
                keys = [in_progress_key_prefix.encode() + job_id for job_id, _ in due]
                holders = await self._redis.mget(keys) if keys else []
        except (RedisError, OSError) as failure:
            raise QueueUnavailable("The job queue cannot be reached.") from failure
        waiting = [at_ms for (_, at_ms), holder in zip(due, holders, strict=True) if holder is None]
        return QueueDepth(
            waiting=len(waiting),
            running=len(due) - len(waiting),
            delayed=total - len(due),
            oldest_waiting_s=max(0.0, (now_ms - waiting[0]) / 1000) if waiting else 0.0,
        )

    async def aclose(self) -> None:
        await self._bus.aclose()
        await self._redis.aclose()


async def run_worker(
    redis_url: str,
    functions: Mapping[str, JobFunction],
    cron: Sequence[Periodic] = (),
    *,
    max_jobs: int,
    job_timeout_s: float,
    max_tries: int = 5,
    grace_s: float = 10.0,
    lease_s: float = 15.0,
    stop: asyncio.Event | None = None,
) -> None:
    """Runs jobs until it is told to stop, whatever becomes of Redis meanwhile.

    A job that raises, or takes longer than `job_timeout_s`, is tried again with growing pauses, unless its error says
    that this cannot help. Told to stop, it takes no new jobs, lets the running ones finish for `grace_s` seconds, then
    cancels them; when this coroutine is cancelled, they are cancelled at once. Cancelled jobs go back to the queue, and
    those of a worker that died are run again after `lease_s`.

    Args:
        redis_url: `redis://`, `rediss://` or `unix://`.
        functions: by the names that jobs are queued under; called with the job's arguments as keywords.
        cron: jobs to queue once a period, on whichever worker comes first; also when a first worker starts.
        max_jobs: how many run at a time.
        job_timeout_s: how long one attempt may take.
        max_tries: attempts of one job, those cut short by a crash or a stop included.
        grace_s: how long running jobs may go on after the stop.
        lease_s: how long a job is held without a sign of life of its worker.
        stop: ends the worker when set; None: SIGTERM and SIGINT do (main thread only).
    """
    redis = _client(ConnectionPool, redis_url)
    bus = Bus(redis_url)
    supervised = [_supervised(name, run, job_timeout_s, max_tries) for name, run in functions.items()]
    worker = _Worker(redis, supervised, max_jobs=max_jobs, lease_s=lease_s)
    try:
        with _stop_signals() if stop is None else nullcontext(stop) as stopped:
            await bus.connect()
            async with asyncio.TaskGroup() as tasks:
                aids = [worker.listen(bus), worker.renew_leases(), _keep_time(redis, bus, cron)]
                aiding = [tasks.create_task(aid) for aid in aids]
                picking = tasks.create_task(worker.main())
                await stopped.wait()
                worker.stop_picking()
                await picking
                await worker.drain(grace_s)
                for task in aiding:
                    task.cancel()
    finally:
        await worker.give_back()
        await bus.aclose()
        await redis.aclose()


class _Worker(Worker):
    """arq's worker, with another way to wait for work and to hold what it runs."""

    def __init__(self, redis: ArqRedis, functions: Sequence[Function], *, max_jobs: int, lease_s: float) -> None:
        super().__init__(
            functions,
            queue_name=QUEUE,
            redis_pool=redis,
            handle_signals=False,
            max_jobs=max_jobs,
            max_tries=UNLIMITED,
            keep_result=0,
            log_results=False,
            queue_read_limit=READ_LIMIT,
            job_serializer=orjson.dumps,
            job_deserializer=orjson.loads,
        )
        self.in_progress_timeout_s = lease_s
        self._lease_s = lease_s
        self._wake = asyncio.Event()

    async def main(self) -> None:
        """Starts what is due, at each wake-up and each POLL_S, until `stop_picking`."""
        is_reachable = True
        while self.allow_pick_jobs:
            self._wake.clear()
            try:
                async with asyncio.timeout(POLL_DEADLINE_S):
                    await self._poll_iteration()
                is_reachable = True
            except (RedisError, OSError) as failure:
                if is_reachable:
                    log.warning("job_queue_unreachable", error=type(failure).__name__)
                is_reachable = False
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()

    def stop_picking(self) -> None:
        self.allow_pick_jobs = False
        self._wake.set()

    async def listen(self, bus: Bus) -> None:
        async with bus.subscribe(WAKE_CHANNEL) as wakes:
            async for _ in wakes:
                self._wake.set()

    async def renew_leases(self) -> None:
        """Shows that this worker lives: while it does, nobody else runs its jobs."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                async with asyncio.timeout(SERVER_DEADLINE_S), self.pool.pipeline(transaction=False) as pipe:
                    for job_id in self._running():
                        pipe.pexpire(in_progress_key_prefix + job_id, int(self._lease_s * 1000))
                    await pipe.execute()
            except (RedisError, OSError) as failure:
                log.warning("job_leases_not_renewed", error=type(failure).__name__)

    async def drain(self, grace_s: float) -> None:
        """Returns when no job runs, or after `grace_s`."""
        if running := self._running():
            log.info("worker_waits_for_jobs", count=len(running))
            await asyncio.wait(running.values(), timeout=grace_s)

    async def give_back(self) -> None:
        """Cancels what still runs, so that other workers can take it up at once."""
        if running := self._running():
            log.warning("jobs_cancelled", count=len(running))
            for task in running.values():
                task.cancel()
            await asyncio.wait(running.values(), timeout=CANCEL_DEADLINE_S)
        for task in self.tasks.values():
            if task.done() and not task.cancelled() and (failure := task.exception()):
                log.warning("job_end_not_recorded", error=type(failure).__name__)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Starts those that nobody runs, as far as there is room."""
        running = self._running()
        elsewhere = [job_id for job_id in job_ids if job_id.decode() not in running]
        if not elsewhere:
            return
        holders = await self.pool.mget([in_progress_key_prefix.encode() + job_id for job_id in elsewhere])
        for job_id, holder in zip(elsewhere, holders, strict=True):
            if self.job_counter >= self.max_jobs:
                return
            if holder is None:
                await self._start(job_id)

    async def _start(self, job_id: bytes) -> None:
        before = self.tasks.get(job_id.decode())
        try:
            await super().start_jobs([job_id])
        except BaseException:
            # arq takes a place for the job and loses it when the server fails before the job's task exists.
            if self.tasks.get(job_id.decode()) is before:
                super()._release_sem_dec_counter_on_complete()
            raise

    def _release_sem_dec_counter_on_complete(self) -> None:
        was_full = self.job_counter >= self.max_jobs
        super()._release_sem_dec_counter_on_complete()
        if was_full:
            self._wake.set()

    def _running(self) -> dict[str, asyncio.Task[Any]]:
        return {job_id: task for job_id, task in self.tasks.items() if not task.done()}


def _supervised(name: str, run: JobFunction, timeout_s: float, max_tries: int) -> Function:
    """What arq calls: one attempt of a job, its failure logged by kind and turned into another attempt, or the end."""

    async def attempt(ctx: dict[str, Any], *_: Any, **arguments: Any) -> None:
        tries: int = ctx["job_try"]
        if tries > max_tries:
            log.error("job_given_up", job=name, tries=tries - 1)
            return
        try:
            with _timed(name):
                async with asyncio.timeout(timeout_s):
                    await run(**arguments)
        except Exception as failure:  # noqa: BLE001 - no job's failure is the worker's
            is_final = tries == max_tries or (isinstance(failure, AppError) and failure.retry is not Retry.LATER)
            report = log.error if is_final else log.warning
            report("job_failed", job=name, error=type(failure).__name__, tries=tries, is_final=is_final)
            if not is_final:
                first_s, longest_s = RETRY_BACKOFF_S
                raise RetryJob(defer=clock.jitter(min(first_s * 2 ** (tries - 1), longest_s))) from None

    # arq's own deadline is for a job that ignores ours; it cancels and does not try again.
    backstop_s = timeout_s + CANCEL_DEADLINE_S
    return Function(name, attempt, backstop_s, None, None, None)


@contextmanager
def _timed(name: str) -> Iterator[None]:
    started, outcome, tally = clock.monotonic(), "failed", begin_tally()
    try:
        with span(f"job {name}") as around:
            try:
                yield
            finally:
                around.tell(statements=tally.statements, statements_ms=round(tally.seconds * 1000, 3))
        outcome = "ok"
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    finally:
        JOB_SECONDS.labels(name=name, outcome=outcome).observe(clock.monotonic() - started)


async def _keep_time(redis: ArqRedis, bus: Bus, cron: Sequence[Periodic]) -> None:
    """Queues each periodic job once a period. A period is skipped while the job of the one before still runs."""
    is_reachable = True
    while cron:
        now_s = clock.now().timestamp()
        pause_s = min(periodic.every_s - now_s % periodic.every_s for periodic in cron)
        try:
            async with asyncio.timeout(SERVER_DEADLINE_S):
                for periodic in cron:
                    period = f"{QUEUE}:period:{periodic.name}:{int(now_s // periodic.every_s)}"
                    if await redis.set(period, b"", nx=True, px=int(2000 * periodic.every_s)):
                        await _put(redis, periodic.name, {}, job_id=f"{periodic.name}:periodic")
                        await bus.publish_quietly(WAKE_CHANNEL, "")
            is_reachable = True
        except (RedisError, OSError) as failure:
            if is_reachable:
                log.warning("periodic_jobs_not_queued", error=type(failure).__name__)
            is_reachable = False
            pause_s = UNREACHABLE_PAUSE_S
        await asyncio.sleep(pause_s)


async def _put(
    redis: ArqRedis, name: str, arguments: Mapping[str, Any], *, delay_s: float = 0, job_id: str | None = None
) -> None:
    await redis.enqueue_job(name, _job_id=job_id, _defer_by=delay_s or None, **arguments)


def _client(pool_class: type[ConnectionPool], redis_url: str, **options: Any) -> ArqRedis:
    # No command here blocks on the server, so one that takes long is one that will never end.
    pool = pool_class.from_url(
        redis_url, socket_connect_timeout=SERVER_DEADLINE_S, socket_timeout=SERVER_DEADLINE_S, **options
    )
    redis = cast("ArqRedis", ArqRedis.from_pool(pool))
    redis.job_serializer = orjson.dumps
    redis.job_deserializer = orjson.loads
    redis.default_queue_name = QUEUE
    return redis


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopped.set)
    try:
        yield stopped
    finally:
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signal_number)
