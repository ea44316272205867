"""What a run of a mailbox carries along, and what it writes down of the mailbox's health for its owner to see."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from domain import clock
from domain.errors import FolderRefused, ProviderError, Retry
from domain.events import EventKind, NewEvent
from providers.base import MailSession
from services.deps import Deps
from services.discovery import history_of
from services.leases import Lease, hold
from services.unit_of_work import UnitOfWork, unit_of_work

log = structlog.get_logger()

PROGRESS_EVERY_S = 1.0
"""How often subscribers hear of an import's progress."""
FIRST_RETRY_S = 5
LONGEST_RETRY_S = 900
REFUSED_HINT = "Connect the mailbox again with the password that holds now."

_CLEAR_PROBLEM = """
UPDATE mailbox SET failures = 0, problem_code = NULL, problem_message = NULL, problem_hint = NULL, problem_since = NULL
 WHERE id = $1
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A connection to the mailbox, and whose turn it is on it."""

    session: MailSession
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Run:
    """What one run of a mailbox carries from round to round."""

    deps: Deps
    lease: Lease
    mailbox: dict[str, Any]
    line: Line
    """Where it reads news."""
    deadline: float
    """On the monotonic clock: when it lets other mailboxes read their old mail."""
    seen_request: datetime
    """The last request for a sync that it has answered."""
    progress_at: float = float("-inf")
    recorded: int = 0
    refusal: FolderRefused | None = None
    """A folder that could not be read: told at the end, when everything else has been."""
    has_slot: bool = False
    """Whether it is one of the few runs of this process that may read old mail now."""


def is_importing(mailbox: Mapping[str, Any]) -> bool:
    """Whether there is history to be read that has not been read to its end."""
    return history_of(mailbox).reads_history and mailbox["import_finished_at"] is None


async def note_success(run: Run) -> None:
    """News is read: the mailbox works, and what kept it from working is over."""
    first = run.mailbox["last_synced_at"] is None
    starts_import = first and history_of(run.mailbox).reads_history and run.mailbox["import_started_at"] is None
    now = clock.now()
    async with unit_of_work(run.deps, run.mailbox["organisation_id"], durable=False) as work:
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


async def note_refusal(run: Run) -> None:
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


async def finish_import(run: Run) -> None:
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


async def tell_progress(run: Run) -> None:
    """Lets the mailbox's people see an import move, but not at every page. New mail tells of itself."""
    if not is_importing(run.mailbox) or clock.monotonic() - run.progress_at < PROGRESS_EVERY_S:
        return
    run.progress_at = clock.monotonic()
    async with unit_of_work(run.deps, run.mailbox["organisation_id"], durable=False) as work:
        announce_mailbox(work, run.mailbox)


async def note_failure(deps: Deps, lease: Lease, mailbox: dict[str, Any], error: ProviderError) -> None:
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
