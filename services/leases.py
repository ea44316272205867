"""Who works on a mailbox: a lease that runs out by itself, and a token that fences off who had it before.

The database's clock alone decides, so workers on machines with different clocks agree.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.errors import AppError
from infra.db import Statements
from services.deps import Deps

LEASE_S = 20
"""How long a mailbox waits for a worker that died."""
HEARTBEAT_S = 5


class LeaseLost(AppError):
    """Another worker has the mailbox now, or it was switched off: stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class Lease:
    mailbox_id: UUID
    token: int


_ACQUIRE = f"""
UPDATE mailbox SET lease_token = lease_token + 1, lease_until = now() + interval '{LEASE_S} seconds'
 WHERE id = $1 AND sync_enabled AND disconnected_at IS NULL AND NOT needs_reauthorization
   AND (lease_until IS NULL OR lease_until < now())
RETURNING *
"""
_HOLD = f"""
UPDATE mailbox SET lease_until = now() + interval '{LEASE_S} seconds'
 WHERE id = $1 AND lease_token = $2 AND lease_until IS NOT NULL AND sync_enabled AND disconnected_at IS NULL
RETURNING requested_at
"""
_RELEASE = """
UPDATE mailbox SET lease_until = NULL, next_run_at = now() + make_interval(secs => $3)
 WHERE id = $1 AND lease_token = $2 AND (requested_at <= $4 OR $5)
RETURNING id
"""


async def acquire(deps: Deps, mailbox_id: UUID) -> tuple[Lease, dict[str, Any]] | None:
    """The lease and the mailbox's row; None where somebody has it, or there is nothing to do.

    Durable, or a crash of PostgreSQL could give the same token out twice.
    """
    async with deps.db.transaction() as tx:
        row = await tx.fetch_row(_ACQUIRE, mailbox_id)
    return None if row is None else (Lease(mailbox_id, row["lease_token"]), dict(row))


async def hold(db: Statements, lease: Lease) -> datetime:
    """Proves and renews the lease, in the transaction that writes; gives when a sync was last asked for.

    The row stays locked to the end of the transaction, so nobody can take over in between.

    Raises:
        LeaseLost: the transaction must not go on.
    """
    requested_at: datetime | None = await db.fetch_value(_HOLD, lease.mailbox_id, lease.token)
    if requested_at is None:
        raise LeaseLost("The lease on this mailbox is gone.")
    return requested_at


async def release(deps: Deps, lease: Lease, *, next_run_in_s: float, seen_request: datetime, force: bool) -> bool:
    """Gives the mailbox back, unless a sync was asked for meanwhile (then False: go another round).

    Args:
        force: give it back all the same; `next_run_in_s` then says when to go on.
    """
    async with deps.db.transaction(durable=False) as tx:
        given = await tx.fetch_value(_RELEASE, lease.mailbox_id, lease.token, next_run_in_s, seen_request, force)
    return given is not None


@asynccontextmanager
async def kept_alive(deps: Deps, lease: Lease) -> AsyncIterator[None]:
    """Renews the lease beside the block; ends the block with LeaseLost when that fails."""
    try:
        async with asyncio.TaskGroup() as tasks:
            heart = tasks.create_task(_beat(deps, lease))
            yield
            heart.cancel()
    except BaseExceptionGroup as group:
        raise _only(group) from None


async def _beat(deps: Deps, lease: Lease) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        async with deps.db.transaction(durable=False) as tx:
            await hold(tx, lease)


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one that explains the others: a lost lease first, else the first that was raised."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        lost = first.subgroup(LeaseLost)
        first = (lost or first).exceptions[0]
    return first
