"""What a run of a mailbox reads: news, and beside it, on a connection of its own, whatever is older.

Old mail is read for minutes or hours. News that came in between two of its batches would wait for the batch and for the
mail server to turn back to the inbox; on a line of its own it waits for neither.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog

from domain import clock
from domain.changes import DiscoveredPage, FolderCursor
from domain.errors import FolderRefused, ProviderError
from domain.events import Origin
from providers.base import MailSession, Scope
from services.accounts import open_session
from services.address_search import run_due_search
from services.discovery import take_page
from services.hydration import hydrate
from services.sync_run import Line, Run, finish_import, is_importing, note_success, tell_progress

log = structlog.get_logger()

NEWS_EVERY_S = 5.0
"""How often a run that is busy with old mail looks for news by itself; a notice makes it look at once."""

_HAS_OLDER = """
SELECT EXISTS (SELECT FROM ledger_entry WHERE mailbox_id = $1 AND origin = 'IMPORT' AND quarantine_reason IS NULL
                  AND next_attempt_at <= now())
    OR EXISTS (SELECT FROM mailbox_search WHERE mailbox_id = $1 AND due_at <= now())
"""


def notice_channel(mailbox_id: UUID) -> str:
    """Where a run that is under way hears that something has arrived."""
    return f"mailbox:{mailbox_id.hex}"


async def read_news(run: Run) -> bool:
    """Whatever arrived, into the ledger, and the first batch of it onto the record; whether there may be more.

    Raises:
        ProviderError: the connection failed; what is in the ledger stays there.
        LeaseLost: another worker has the mailbox.
    """
    run.seen_request = await _last_request(run)
    async with run.line.turn:
        try:
            async with aclosing(run.line.session.discover(await _cursors(run, "live"), want="live")) as pages:
                async for page in pages:
                    await take_page(run.deps, run.lease, run.mailbox, page, found_by="live")
        except FolderRefused as refusal:
            run.refusal = refusal
        more = await _hydrate_batch(run, run.line.session, Origin.LIVE)
    await note_success(run)
    return more


async def has_older(run: Run) -> bool:
    """Whether there is old mail to be read: a search, the ledger's rest, or history."""
    if run.refusal is None and is_importing(run.mailbox):
        return True
    async with run.deps.db.snapshot() as snapshot:
        return bool(await snapshot.fetch_value(_HAS_OLDER, run.lease.mailbox_id))


async def read_older_beside_news(run: Run) -> bool:
    """Reads old mail until there is none or the run's time is up, and news as it comes; whether more is left.

    Raises:
        ProviderError, LeaseLost: as `read_news`, from whichever line meets it first; both have ended then.
    """
    lines = asyncio.create_task(_follow_news(run)), asyncio.create_task(_read_older(run))
    try:
        await asyncio.wait(lines, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for line in lines:
            line.cancel()
        await asyncio.wait(lines)
    following, reading = lines
    if not following.cancelled():
        following.result()  # it ends by an error only
    return reading.result()


async def _follow_news(run: Run) -> None:
    async with run.deps.bus.subscribe(notice_channel(run.lease.mailbox_id)) as notices:
        while True:
            while await read_news(run):
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(NEWS_EVERY_S):
                    await anext(notices)


async def _read_older(run: Run) -> bool:
    """Searches for new addresses first, then the ledger's rest, then history, a batch at a time."""
    async with _line_for_older(run) as line, aclosing(_history(run, line.session)) as history:
        more = True
        while more and clock.monotonic() < run.deadline:
            async with line.turn:
                more = (
                    await run_due_search(run.deps, run.lease, run.mailbox, line.session)
                    or await _hydrate_batch(run, line.session, Origin.IMPORT)
                    or (is_importing(run.mailbox) and await _take_history(run, history))
                )
        return more


@asynccontextmanager
async def _line_for_older(run: Run) -> AsyncIterator[Line]:
    """A connection of its own; where the server admits no further one, that for news, by turns."""
    async with AsyncExitStack() as stack:
        try:
            line = Line(await stack.enter_async_context(open_session(run.deps, run.mailbox)))
        except ProviderError as error:
            log.info("sync_on_one_connection", mailbox_id=run.lease.mailbox_id.hex, code=error.code.value)
            line = run.line
        yield line


async def _hydrate_batch(run: Run, session: MailSession, origin: Origin) -> bool:
    """One batch from the ledger; whether there was anything to do."""
    recorded = await hydrate(run.deps, run.lease, run.mailbox, session, origin)
    if recorded is None:
        return False
    run.recorded += recorded
    await tell_progress(run)
    return True


async def _history(run: Run, session: MailSession) -> AsyncGenerator[DiscoveredPage, None]:
    scope = Scope(run.mailbox["history_oldest"])
    pages = session.discover(await _cursors(run, "history"), want="history", scope=scope)
    async with aclosing(pages):
        async for page in pages:
            yield page


async def _take_history(run: Run, history: AsyncGenerator[DiscoveredPage, None]) -> bool:
    """One page of old mail; whether there may be more."""
    try:
        page = await anext(history, None)
    except FolderRefused as refusal:
        run.refusal = refusal
        return False
    if page is None:
        await finish_import(run)
        return False
    await take_page(run.deps, run.lease, run.mailbox, page, found_by="history")
    await tell_progress(run)
    return True


async def _cursors(run: Run, want: Literal["live", "history"]) -> dict[str, FolderCursor]:
    async with run.deps.db.snapshot() as snapshot:
        rows = await snapshot.fetch(
            f"SELECT folder, {want}_cursor AS cursor FROM folder_state WHERE mailbox_id = $1", run.lease.mailbox_id
        )
    return {row["folder"]: row["cursor"] for row in rows if row["cursor"] is not None}


async def _last_request(run: Run) -> datetime:
    """When a sync was last asked for. What the round about to begin sees answers every request up to then."""
    async with run.deps.db.snapshot() as snapshot:
        asked_at: datetime = await snapshot.fetch_value(
            "SELECT requested_at FROM mailbox WHERE id = $1", run.lease.mailbox_id
        )
    return asked_at
