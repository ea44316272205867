"""How are this process and the whole installation at this moment, for those who watch over them?

Asked when somebody scrapes the metrics, never on a request. What is true of the whole installation takes a count over
two tables and a look at the queue: only a process that is told to does that, at most every `EVERY_S`, within a
deadline, and tells nothing rather than something old where it fails. Numbers and codes only: no address, no id.
"""

import asyncio

import asyncpg
import structlog

from domain import clock
from infra import metrics
from infra.jobs import QueueUnavailable
from services.deps import Deps

log = structlog.get_logger()

EVERY_S = 10.0
"""However often it is scraped, and by however many."""
DEADLINE_S = 3.0
"""For each of the looks at the database."""
BEHIND_S = 60
"""A worker looks for what is due every five seconds; what waits for this long has none."""

_MAILBOXES = """
SELECT CASE WHEN disconnected_at IS NOT NULL THEN 'disconnected'
            WHEN needs_reauthorization THEN 'waiting_for_owner'
            WHEN NOT sync_enabled THEN 'switched_off'
            WHEN problem_code IS NOT NULL THEN 'troubled'
            WHEN import_started_at IS NOT NULL AND import_finished_at IS NULL THEN 'importing'
            ELSE 'up_to_date' END AS state,
       problem_code, count(*) AS number,
       count(*) FILTER (WHERE next_run_at < now() - make_interval(secs => $1)
                          AND (lease_until IS NULL OR lease_until < now())) AS behind,
       count(*) FILTER (WHERE connected_at < now() - make_interval(secs => $1)
                          AND (watch_until IS NULL OR watch_until < now())) AS unwatched,
       coalesce(extract(epoch FROM now() - min(next_run_at)
                        FILTER (WHERE lease_until IS NULL OR lease_until < now())), 0)::float8 AS oldest_due_s
  FROM mailbox GROUP BY 1, 2
"""
_STATES = ("up_to_date", "importing", "troubled", "waiting_for_owner", "switched_off", "disconnected")
_WORKED_ON = frozenset({"up_to_date", "importing", "troubled"})
_LEDGER = """
SELECT count(*) FILTER (WHERE quarantine_reason IS NULL AND next_attempt_at <= now()) AS due,
       count(*) FILTER (WHERE quarantine_reason IS NULL AND next_attempt_at > now()) AS postponed,
       count(quarantine_reason) AS quarantined,
       coalesce(extract(epoch FROM now() - min(next_attempt_at) FILTER (WHERE quarantine_reason IS NULL)), 0)::float8
           AS oldest_due_s
  FROM ledger_entry
"""
_OF_DATABASE = (
    "mailboxes",
    "mailbox_problems",
    "mailboxes_behind",
    "mailboxes_unwatched",
    "mailbox_oldest_due_seconds",
    "ledger_entries",
    "ledger_oldest_due_seconds",
)
_OF_QUEUE = ("jobs", "jobs_oldest_waiting_seconds")
_DATABASE_TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Observer:
    """Brings the gauges up to date when they are asked for. For one process."""

    def __init__(self, deps: Deps, *, sees_installation: bool) -> None:
        """`sees_installation`: whether this process also tells of what is true of all of them together."""
        self._deps = deps
        self._sees_installation = sees_installation
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Never fails: what cannot be seen is gone from the metrics, and counted."""
        used, free, limit = self._deps.db.pool_use()
        for state, number in (("used", used), ("free", free), ("limit", limit)):
            metrics.POOL_CONNECTIONS.labels(state=state).set(number)
        metrics.BUS_CONNECTED.set(self._deps.bus.is_connected)
        async with self._looking:
            if clock.monotonic() - self._looked_at < EVERY_S:
                return
            metrics.DATABASE_UP.set(await self._reaches_database())
            if self._sees_installation:
                await self._look_into_database()
                await self._look_into_queue()
            self._looked_at = clock.monotonic()

    async def _reaches_database(self) -> bool:
        try:
            async with asyncio.timeout(DEADLINE_S), self._deps.db.snapshot() as snapshot:
                return await snapshot.fetch_value("SELECT true") is True
        except _DATABASE_TROUBLE:  # TimeoutError is an OSError
            return False

    async def _look_into_database(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S), self._deps.db.snapshot() as snapshot:
                mailboxes = await snapshot.fetch(_MAILBOXES, BEHIND_S)
                ledger = await snapshot.fetch_row(_LEDGER)
        except _DATABASE_TROUBLE as failure:
            metrics.INSTALLATION.forget(*_OF_DATABASE)
            metrics.OBSERVATION_FAILURES.labels(source="database").inc()
            log.warning("installation_not_observed", error=type(failure).__name__)
            return
        _show_mailboxes(mailboxes)
        if ledger is not None:
            metrics.INSTALLATION.show(
                ledger_entries={state: ledger[state] for state in ("due", "postponed", "quarantined")},
                ledger_oldest_due_seconds=max(0.0, ledger["oldest_due_s"]),
            )

    async def _look_into_queue(self) -> None:
        try:
            depth = await self._deps.jobs.depth()
        except QueueUnavailable:
            metrics.INSTALLATION.forget(*_OF_QUEUE)
            metrics.OBSERVATION_FAILURES.labels(source="queue").inc()
            return
        metrics.INSTALLATION.show(
            jobs={"waiting": depth.waiting, "running": depth.running, "delayed": depth.delayed},
            jobs_oldest_waiting_seconds=depth.oldest_waiting_s,
        )


def _show_mailboxes(groups: list[asyncpg.Record]) -> None:
    states = dict.fromkeys(_STATES, 0)
    problems: dict[str, int] = {}
    for group in groups:
        states[group["state"]] += group["number"]
        if group["problem_code"] is not None and group["state"] != "disconnected":
            problems[group["problem_code"]] = problems.get(group["problem_code"], 0) + group["number"]
    live = [group for group in groups if group["state"] in _WORKED_ON]
    metrics.INSTALLATION.show(
        mailboxes=states,
        mailbox_problems=problems,
        mailboxes_behind=sum(group["behind"] for group in live),
        mailboxes_unwatched=sum(group["unwatched"] for group in live),
        mailbox_oldest_due_seconds=max((0.0, *(group["oldest_due_s"] for group in live))),
    )
