"""One loop for every mailbox: news, then, beside further news, what the ledger asks for and history, until all is read.

Live mail never waits for old mail: it is on screen within a second while years of history are still being read.
"""

import asyncio
from typing import Any
from uuid import UUID

import structlog

from domain import clock
from domain.errors import AppError, ProviderError
from infra.metrics import SYNC_SECONDS
from services.accounts import open_session
from services.address_proof import ask_for_proof
from services.deps import Deps
from services.leases import Lease, LeaseLost, acquire, hold, kept_alive, release
from services.sync_reading import has_older, notice_channel, read_news, read_older_beside_news
from services.sync_run import Line, Run, note_failure, note_refusal

log = structlog.get_logger()

RUN_BUDGET_S = 30
"""After this a run that still has history to read lets other mailboxes go first."""
QUEUE_S = 1.0
"""How soon a run that had to make room is due again."""
OWN_TROUBLE_S = 15
GIVING_BACK_S = 2
"""A worker that is told to stop has this long to hand its mailbox on; else the lease runs out."""


async def run_mailbox(deps: Deps, mailbox_id: UUID) -> None:
    """Brings a mailbox up to date. Safe to call at any time, from anywhere, as often as one likes."""
    taken = await acquire(deps, mailbox_id)
    if taken is None:
        return
    lease, mailbox = taken
    started, outcome = clock.monotonic(), "crashed"
    try:
        async with kept_alive(deps, lease):
            outcome = await _run_leased(deps, lease, mailbox)
    except LeaseLost:
        outcome = "lost"
        log.info("sync_lease_lost", mailbox_id=mailbox_id.hex)
    except asyncio.CancelledError:
        outcome = "cancelled"
        async with asyncio.timeout(GIVING_BACK_S):
            await _give_back(deps, lease, after_s=0)
        raise
    finally:
        SYNC_SECONDS.labels(outcome=outcome).observe(clock.monotonic() - started)


async def wake_due(deps: Deps) -> None:
    """Queues every mailbox whose time has come and whom nobody works on: the net beneath every lost wake-up.

    Those that are queued already are not queued again; the next sweep finds what still waits.
    """
    async with deps.db.snapshot() as snapshot:
        rows = await snapshot.fetch(
            "SELECT id FROM mailbox WHERE next_run_at <= now() AND sync_enabled AND disconnected_at IS NULL "
            "AND NOT needs_reauthorization AND (lease_until IS NULL OR lease_until < now()) "
            "ORDER BY next_run_at LIMIT 1000"
        )
    for row in rows:
        await deps.jobs.enqueue_quietly("sync_mailbox", key=f"sync:{row['id'].hex}", mailbox_id=row["id"].hex)


async def request_sync(deps: Deps, mailbox_id: UUID) -> None:
    """Asks for a run now; one that is under way looks again. A lost wake-up costs seconds (see `wake_due`)."""
    # First, as a run under way holds the row while it writes.
    await deps.bus.publish_quietly(notice_channel(mailbox_id), "")
    async with deps.db.transaction(durable=False) as tx:
        await tx.execute(
            "UPDATE mailbox SET requested_at = clock_timestamp(), next_run_at = least(next_run_at, now()) "
            "WHERE id = $1 AND next_run_at IS NOT NULL",
            mailbox_id,
        )
    await deps.jobs.enqueue_quietly("sync_mailbox", mailbox_id=mailbox_id.hex)


async def _run_leased(deps: Deps, lease: Lease, mailbox: dict[str, Any]) -> str:
    """A run and its outcome, as the metrics call it."""
    started = clock.monotonic()
    try:
        async with open_session(deps, mailbox) as session:
            run = Run(deps, lease, mailbox, Line(session), started + RUN_BUDGET_S, mailbox["requested_at"])
            try:
                await _rounds(run)
            finally:
                if run.has_slot:
                    deps.imports.release()
    except ProviderError as error:
        await note_failure(deps, lease, mailbox, error)
        return "failed"
    except LeaseLost:
        raise
    except AppError as error:
        # Something of our own is down: the parser, the files. It is not the mailbox's problem, and it passes.
        log.warning("sync_interrupted", mailbox_id=lease.mailbox_id.hex, error=type(error).__name__)
        await _give_back(deps, lease, after_s=OWN_TROUBLE_S)
        return "interrupted"
    log.info(
        "mailbox_synced",
        mailbox_id=lease.mailbox_id.hex,
        count=run.recorded,
        duration_ms=int((clock.monotonic() - started) * 1000),
    )
    return "ok"


async def _give_back(deps: Deps, lease: Lease, *, after_s: float) -> None:
    await release(deps, lease, next_run_in_s=after_s, seen_request=clock.now(), force=True)


async def _rounds(run: Run) -> None:
    """Goes round until there is nothing left, or the budget is spent; then gives the mailbox back."""
    await _resolve_latest(run)
    await ask_for_proof(run.deps, run.lease, run.mailbox)
    while True:
        more = await read_news(run)
        while more and clock.monotonic() < run.deadline:
            more = await read_news(run)
        if not more and await has_older(run):
            more = not await _may_read_older(run) or await read_older_beside_news(run)
        await note_refusal(run)
        pause = QUEUE_S if more else clock.jitter(run.deps.settings.postroom_poll_interval_s)
        if await release(run.deps, run.lease, next_run_in_s=pause, seen_request=run.seen_request, force=more):
            if run.has_slot and more:
                mailbox_id = run.lease.mailbox_id.hex
                await run.deps.jobs.enqueue_quietly("sync_mailbox", delay_s=QUEUE_S, mailbox_id=mailbox_id)
            return


async def _may_read_older(run: Run) -> bool:
    """Takes one of the few places for reading old mail; where all are taken, the mailbox waits its turn."""
    if not run.has_slot and not run.deps.imports.locked():
        await run.deps.imports.acquire()
        run.has_slot = True
    return run.has_slot


async def _resolve_latest(run: Run) -> None:
    """Turns "the latest N" into a date, once: from then on every message is judged by its own date.

    Where an earlier choice reached further back, it stays.
    """
    count = run.mailbox["history_count"]
    if count is None:
        return
    found = await run.line.session.date_of_latest(count)
    scope = "ALL" if found is None else "LATEST"
    earlier = run.mailbox["history_oldest"]
    oldest = None if found is None else min(found, earlier or found)
    await _update(
        run,
        "UPDATE mailbox SET history_scope = $2, history_oldest = $3, history_count = NULL WHERE id = $1",
        scope,
        oldest,
    )
    run.mailbox.update(history_scope=scope, history_oldest=oldest, history_count=None)


async def _update(run: Run, sql: str, *values: Any) -> None:
    async with run.deps.db.transaction() as tx:
        await hold(tx, run.lease)
        await tx.execute(sql, run.lease.mailbox_id, *values)
