"""Who listens at the mail servers: every mailbox that can say "something arrived" is held by one watch process.

A notice only wakes the mailbox's loop (services.sync); a poll runs underneath, so nothing depends on a notice.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from domain import clock
from domain.errors import ProviderError, Retry
from domain.ids import new_id
from infra.metrics import MAIL_NOTICES, WATCHED
from providers.base import IdleSession
from services.accounts import open_session
from services.deps import Deps
from services.sync import request_sync

log = structlog.get_logger()

CLAIM_S = 10
"""How long mailboxes stay unwatched after their process died."""
ROUND_S = 2
"""How soon a newly connected mailbox is watched."""
MAX_WATCHED = 2_000
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 300.0
STABLE_S = 120
"""A connection that lived this long was a good one: the next failure starts from the first pause again."""
FOLDER = "INBOX"

_RENEW = f"""
UPDATE mailbox SET watch_until = now() + interval '{CLAIM_S} seconds'
 WHERE watch_token = $1 AND sync_enabled AND disconnected_at IS NULL AND NOT needs_reauthorization
RETURNING id
"""
_CLAIM = f"""
UPDATE mailbox SET watch_token = $1, watch_until = now() + interval '{CLAIM_S} seconds'
 WHERE id IN (SELECT id FROM mailbox
               WHERE sync_enabled AND disconnected_at IS NULL AND NOT needs_reauthorization
                 AND (watch_until IS NULL OR watch_until < now() OR watch_token = $1)
                 AND NOT (id = ANY($2)) LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING *
"""
_GIVE_BACK = "UPDATE mailbox SET watch_until = NULL, watch_token = NULL WHERE watch_token = $1"

DATABASE_TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""PostgreSQL restarts or the way to it breaks; both pass."""


async def run_watch(deps: Deps) -> None:
    """Watches until cancelled; then gives its mailboxes back for others to take at once."""
    watch = _Watch(deps)
    try:
        async with asyncio.TaskGroup() as tasks:
            await watch.run(tasks)
    finally:
        async with deps.db.transaction() as tx:
            await tx.execute(_GIVE_BACK, watch.token)


class _Watch:
    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.token = new_id()
        self.watched: dict[UUID, asyncio.Task[None]] = {}

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            try:
                await self._share_out(tasks)
            except DATABASE_TROUBLE as error:
                log.warning("watch_without_database", error=type(error).__name__)
            await asyncio.sleep(ROUND_S)

    async def _share_out(self, tasks: asyncio.TaskGroup) -> None:
        """Keeps what this process has, lets go of what was switched off, takes what nobody has."""
        async with self.deps.db.transaction(durable=False) as tx:
            kept = {row["id"] for row in await tx.fetch(_RENEW, self.token)}
            room = MAX_WATCHED - len(kept & self.watched.keys())
            claimed = await tx.fetch(_CLAIM, self.token, list(self.watched), room)
        for mailbox_id in self.watched.keys() - kept:
            self.watched.pop(mailbox_id).cancel()
        for row in claimed:
            self.watched[row["id"]] = tasks.create_task(self._hold(dict(row)))

    async def _hold(self, mailbox: Mapping[str, Any]) -> None:
        """Listens to one mailbox, again and again, with a pause that grows while it fails."""
        pause = FIRST_RETRY_S
        while True:
            started = clock.monotonic()
            try:
                await self._listen(mailbox)
            except ProviderError as error:
                log.info("watch_interrupted", mailbox_id=mailbox["id"].hex, code=error.code.value)
                if error.retry is not Retry.LATER:
                    pause = LONGEST_RETRY_S
            except DATABASE_TROUBLE as error:
                log.warning("watch_without_database", error=type(error).__name__)
            except Exception as error:
                log.exception("watch_failed", mailbox_id=mailbox["id"].hex, error=type(error).__name__)
            if clock.monotonic() - started > STABLE_S:
                pause = FIRST_RETRY_S
            await asyncio.sleep(clock.jitter(pause))
            pause = min(pause * 2, LONGEST_RETRY_S)

    async def _listen(self, mailbox: Mapping[str, Any]) -> None:
        """Wakes the mailbox's loop at the start, for what came while nobody listened, and at every notice."""
        async with open_session(self.deps, dict(mailbox)) as session:
            if not isinstance(session, IdleSession):
                await asyncio.sleep(LONGEST_RETRY_S)
                return
            with WATCHED.track_inprogress():
                async with aclosing(session.wait_for_news(FOLDER)) as notices:
                    async for _ in notices:
                        MAIL_NOTICES.inc()
                        await self._wake(mailbox["id"])

    async def _wake(self, mailbox_id: UUID) -> None:
        """Asks for a sync, as soon as the database takes it: its trouble is no reason to log in again everywhere."""
        while True:
            try:
                await request_sync(self.deps, mailbox_id)
            except DATABASE_TROUBLE as error:
                log.warning("watch_without_database", error=type(error).__name__)
            else:
                return
            await asyncio.sleep(clock.jitter(ROUND_S))
