"""One loop for every mailbox: news, then what the ledger asks for, then a slice of history, until nothing is left.

Live mail comes first in every round, so it is on screen within a second while years of history are still being read.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog

from domain import clock
from domain.changes import DiscoveredPage, FolderCursor
from domain.errors import AppError, FolderRefused, ProviderError, Retry
from domain.events import EventKind, NewEvent
from providers.base import MailSession, Scope
from services.accounts import open_session
from services.address_proof import ask_for_proof
from services.address_search import run_due_search
from services.deps import Deps
from services.discovery import history_of, take_page
from services.hydration import hydrate
from services.leases import Lease, LeaseLost, acquire, hold, kept_alive, release
from services.unit_of_work import UnitOfWork, unit_of_work

log = structlog.get_logger()

RUN_BUDGET_S = 30
"""After this a run that still has history to read lets other mailboxes go first."""
NEWS_EVERY_S = 5.0
"""How often a run that is busy with old mail asks for news by itself; a notice makes it ask at once."""
QUEUE_S = 1.0
"""How soon a run that had to make room is due again."""
PROGRESS_EVERY_S = 1.0
"""How often subscribers hear of an import's progress."""
FIRST_RETRY_S = 5
LONGEST_RETRY_S = 900
OWN_TROUBLE_S = 15
REFUSED_HINT = "Connect the mailbox again with the password that holds now."
GIVING_BACK_S = 2
"""A worker that is told to stop has this long to hand its mailbox on; else the lease runs out."""


@dataclass(slots=True)
class _Run:
    """What one run of a mailbox carries from round to round."""

    deps: Deps
    lease: Lease
    mailbox: dict[str, Any]
    session: MailSession
    seen_request: datetime
    deadline: float
    news_at: float = -NEWS_EVERY_S
    progress_at: float = -PROGRESS_EVERY_S
    recorded: int = 0
    history: AsyncGenerator[DiscoveredPage, None] | None = None
    """Stays open from round to round: the provider goes on where it was."""
    refusal: FolderRefused | None = None
    """A folder that could not be read: told at the end, when everything else has been."""
    has_slot: bool = False
    """Whether it is one of the few runs of this process that may read old mail now."""


_CLEAR_PROBLEM = """
UPDATE mailbox SET failures = 0, problem_code = NULL, problem_message = NULL, problem_hint = NULL, problem_since = NULL
 WHERE id = $1
"""
_HAS_OLDER = """
SELECT EXISTS (SELECT FROM ledger_entry
                WHERE mailbox_id = $1 AND quarantine_reason IS NULL AND next_attempt_at <= now())
    OR EXISTS (SELECT FROM mailbox_search WHERE mailbox_id = $1 AND due_at <= now())
"""


async def run_mailbox(deps: Deps, mailbox_id: UUID) -> None:
    """Brings a mailbox up to date. Safe to call at any time, from anywhere, as often as one likes."""
    taken = await acquire(deps, mailbox_id)
    if taken is None:
        return
    lease, mailbox = taken
    try:
        async with kept_alive(deps, lease):
            await _run_leased(deps, lease, mailbox)
    except LeaseLost:
        log.info("sync_lease_lost", mailbox_id=mailbox_id.hex)
    except asyncio.CancelledError:
        async with asyncio.timeout(GIVING_BACK_S):
            await _give_back(deps, lease, after_s=0)
        raise


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
    """Asks for a run now; one that is under way goes another round. A lost wake-up costs seconds (see `wake_due`)."""
    async with deps.db.transaction() as tx:
        await tx.execute(
            "UPDATE mailbox SET requested_at = clock_timestamp(), next_run_at = least(next_run_at, now()) "
            "WHERE id = $1 AND next_run_at IS NOT NULL",
            mailbox_id,
        )
    await deps.jobs.enqueue_quietly("sync_mailbox", mailbox_id=mailbox_id.hex)


async def _run_leased(deps: Deps, lease: Lease, mailbox: dict[str, Any]) -> None:
    started = clock.monotonic()
    try:
        async with open_session(deps, mailbox) as session:
            run = _Run(deps, lease, mailbox, session, mailbox["requested_at"], started + RUN_BUDGET_S)
            try:
                await _rounds(run)
            finally:
                if run.has_slot:
                    deps.imports.release()
                if run.history is not None:
                    await run.history.aclose()
    except ProviderError as error:
        await _note_failure(deps, lease, mailbox, error)
        return
    except LeaseLost:
        raise
    except AppError as error:
        # Something of our own is down: the parser, the files. It is not the mailbox's problem, and it passes.
        log.warning("sync_interrupted", mailbox_id=lease.mailbox_id.hex, error=type(error).__name__)
        await _give_back(deps, lease, after_s=OWN_TROUBLE_S)
        return
    log.info(
        "mailbox_synced",
        mailbox_id=lease.mailbox_id.hex,
        count=run.recorded,
        duration_ms=int((clock.monotonic() - started) * 1000),
    )


async def _give_back(deps: Deps, lease: Lease, *, after_s: float) -> None:
    await release(deps, lease, next_run_in_s=after_s, seen_request=clock.now(), force=True)


async def _rounds(run: _Run) -> None:
    """Goes round until there is nothing left, or the budget is spent; then gives the mailbox back."""
    await _resolve_latest(run)
    await ask_for_proof(run.deps, run.lease, run.mailbox)
    while True:
        if await _news_is_due(run):
            await _read_news(run)
            await _note_success(run)
        more = await _has_older(run)
        if more and await _may_read_older(run):
            more = await _read_older(run)
            if more and clock.monotonic() < run.deadline:
                continue
        await _note_refusal(run)
        pause = QUEUE_S if more else clock.jitter(run.deps.settings.postroom_poll_interval_s)
        if await release(run.deps, run.lease, next_run_in_s=pause, seen_request=run.seen_request, force=more):
            if run.has_slot and more:
                mailbox_id = run.lease.mailbox_id.hex
                await run.deps.jobs.enqueue_quietly("sync_mailbox", delay_s=QUEUE_S, mailbox_id=mailbox_id)
            return


async def _has_older(run: _Run) -> bool:
    """Whether there is old mail to be read: a search, the ledger's rest, or history."""
    if run.refusal is None and history_of(run.mailbox).reads_history and run.mailbox["import_finished_at"] is None:
        return True
    async with run.deps.db.snapshot() as snapshot:
        return bool(await snapshot.fetch_value(_HAS_OLDER, run.lease.mailbox_id))


async def _may_read_older(run: _Run) -> bool:
    """Takes one of the few places for reading old mail; where all are taken, the mailbox waits its turn."""
    if not run.has_slot and not run.deps.imports.locked():
        await run.deps.imports.acquire()
        run.has_slot = True
    return run.has_slot


async def _read_news(run: _Run) -> None:
    """Everything that arrived, into the ledger and onto the record."""
    run.news_at = clock.monotonic()
    try:
        async with aclosing(run.session.discover(await _cursors(run, "live"), want="live")) as pages:
            async for page in pages:
                await take_page(run.deps, run.lease, run.mailbox, page, found_by="live")
    except FolderRefused as refusal:
        run.refusal = refusal
    await _hydrate_slice(run)


async def _read_older(run: _Run) -> bool:
    """A slice of what is not news: searches for new addresses, the ledger's rest, history. Whether more is left."""
    if await run_due_search(run.deps, run.lease, run.mailbox, run.session):
        return True
    if await _hydrate_slice(run):
        return True
    if not history_of(run.mailbox).reads_history or run.mailbox["import_finished_at"] is not None:
        return False
    return await _read_history(run)


async def _hydrate_slice(run: _Run) -> bool:
    """One batch from the ledger; whether there was anything to do."""
    recorded = await hydrate(run.deps, run.lease, run.mailbox, run.session)
    if recorded is None:
        return False
    run.recorded += recorded
    await _tell_progress(run)
    return True


async def _read_history(run: _Run) -> bool:
    """One page of old mail; whether there may be more."""
    if run.history is None:
        scope = Scope(run.mailbox["history_oldest"])
        run.history = run.session.discover(await _cursors(run, "history"), want="history", scope=scope)
    try:
        page = await anext(run.history, None)
    except FolderRefused as refusal:
        run.refusal = refusal
        return False
    if page is None:
        await _finish_import(run)
        return False
    await take_page(run.deps, run.lease, run.mailbox, page, found_by="history")
    await _tell_progress(run)
    return True


async def _resolve_latest(run: _Run) -> None:
    """Turns "the latest N" into a date, once: from then on every message is judged by its own date.

    Where an earlier choice reached further back, it stays.
    """
    count = run.mailbox["history_count"]
    if count is None:
        return
    found = await run.session.date_of_latest(count)
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


async def _cursors(run: _Run, want: Literal["live", "history"]) -> dict[str, FolderCursor]:
    async with run.deps.db.snapshot() as snapshot:
        rows = await snapshot.fetch(
            f"SELECT folder, {want}_cursor AS cursor FROM folder_state WHERE mailbox_id = $1", run.lease.mailbox_id
        )
    return {row["folder"]: row["cursor"] for row in rows if row["cursor"] is not None}


async def _news_is_due(run: _Run) -> bool:
    """Whether anybody asked since the last time, or it is long ago; remembers which requests this round answers."""
    async with run.deps.db.transaction() as tx:
        requested_at = await hold(tx, run.lease)
    is_asked = requested_at > run.seen_request
    run.seen_request = requested_at
    return is_asked or clock.monotonic() - run.news_at >= NEWS_EVERY_S


async def _update(run: _Run, sql: str, *values: Any) -> None:
    async with run.deps.db.transaction() as tx:
        await hold(tx, run.lease)
        await tx.execute(sql, run.lease.mailbox_id, *values)


async def _note_success(run: _Run) -> None:
    """News is read: the mailbox works, and what kept it from working is over."""
    first = run.mailbox["last_synced_at"] is None
    starts_import = first and history_of(run.mailbox).reads_history and run.mailbox["import_started_at"] is None
    now = clock.now()
    async with unit_of_work(run.deps, run.mailbox["organisation_id"]) as work:
        await hold(work.tx, run.lease)
        await work.tx.execute(
            "UPDATE mailbox SET last_synced_at = $2, complete_until = CASE WHEN $4 THEN $2 ELSE complete_until END, "
            "import_started_at = CASE WHEN $3 THEN $2 ELSE import_started_at END WHERE id = $1",
            run.lease.mailbox_id,
            now,
            starts_import,
            run.refusal is None,
        )
        if run.mailbox["failures"]:
            await work.tx.execute(_CLEAR_PROBLEM, run.lease.mailbox_id)
        if first or run.mailbox["failures"]:
            announce_mailbox(work, run.mailbox)
    if run.mailbox["failures"]:
        run.mailbox.update(failures=0, problem_code=None)
    run.mailbox["last_synced_at"] = now


async def _note_refusal(run: _Run) -> None:
    """Shows that a folder is not opened while all else works, and when that is over. The poll tries it again."""
    if (run.refusal is None) == (run.mailbox["problem_code"] is None):
        return
    async with unit_of_work(run.deps, run.mailbox["organisation_id"]) as work:
        await hold(work.tx, run.lease)
        if run.refusal is None:
            await work.tx.execute(_CLEAR_PROBLEM, run.lease.mailbox_id)
        else:
            await work.tx.execute(
                "UPDATE mailbox SET problem_code = $2, problem_message = $3, problem_hint = $4, problem_since = $5 "
                "WHERE id = $1",
                run.lease.mailbox_id,
                run.refusal.code.value,
                run.refusal.message,
                run.refusal.hint,
                clock.now(),
            )
        announce_mailbox(work, run.mailbox)


async def _finish_import(run: _Run) -> None:
    now = clock.now()
    async with unit_of_work(run.deps, run.mailbox["organisation_id"]) as work:
        await hold(work.tx, run.lease)
        await work.tx.execute(
            "UPDATE mailbox SET import_finished_at = $2, import_total = import_scanned WHERE id = $1",
            run.lease.mailbox_id,
            now,
        )
        announce_mailbox(work, run.mailbox)
    run.mailbox["import_finished_at"] = now


async def _tell_progress(run: _Run) -> None:
    """Lets the mailbox's people see an import move, but not at every page."""
    if clock.monotonic() - run.progress_at < PROGRESS_EVERY_S:
        return
    run.progress_at = clock.monotonic()
    async with unit_of_work(run.deps, run.mailbox["organisation_id"]) as work:
        announce_mailbox(work, run.mailbox)


async def _note_failure(deps: Deps, lease: Lease, mailbox: dict[str, Any], error: ProviderError) -> None:
    """Writes down what is wrong, for the owner to see, and when it is tried next. Only a real refusal needs them."""
    needs_owner = error.retry is Retry.AFTER_REAUTHORISATION
    failures = mailbox["failures"] + 1
    pause = error.retry_after_s or clock.jitter(min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures - 1, 16)))
    async with unit_of_work(deps, mailbox["organisation_id"]) as work:
        await hold(work.tx, lease)
        await work.tx.execute(
            "UPDATE mailbox SET failures = failures + 1, problem_code = $2, problem_message = $3, problem_hint = $4, "
            "problem_since = coalesce(problem_since, $5), needs_reauthorization = $6, lease_until = NULL, "
            "next_run_at = CASE WHEN $6 THEN NULL ELSE now() + make_interval(secs => $7) END WHERE id = $1",
            lease.mailbox_id,
            error.code.value,
            error.message,
            error.hint or (REFUSED_HINT if needs_owner else None),
            clock.now(),
            needs_owner,
            pause,
        )
        if mailbox["problem_code"] != error.code.value:
            announce_mailbox(work, mailbox)
    log.warning("sync_failed", mailbox_id=lease.mailbox_id.hex, code=error.code.value, failures=failures)


def announce_mailbox(work: UnitOfWork, mailbox: dict[str, Any]) -> None:
    """Tells a mailbox's owner, or a shared one's viewers, that it changed."""
    audience = mailbox["owner_id"] or mailbox["id"]
    work.announce(NewEvent(EventKind.MAILBOX_CHANGED, mailbox_id=mailbox["id"], audience=(audience,)))
