"""One change: a transaction whose events take their place at its end, and whose jobs leave only after the commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from domain.events import NewEvent, position_now, steps
from infra.db import Transaction
from infra.metrics import EVENTS_WRITTEN
from services.deps import Deps


class UnitOfWork:
    """What a use case writes with, and what it leaves to be done once that is committed."""

    def __init__(self, tx: Transaction, organisation_id: UUID) -> None:
        self.tx = tx
        self.organisation_id = organisation_id
        self.events: list[NewEvent] = []
        self.jobs: list[tuple[str, dict[str, Any]]] = []
        self.changes_access = False
        """Set where anybody's principals may have changed: every API process reads them anew."""

    def announce(self, event: NewEvent) -> None:
        self.events.append(event)

    def enqueue(self, job: str, **arguments: Any) -> None:
        """Wakes a worker after the commit. What it is to do must stand in the database: a wake-up can be lost."""
        self.jobs.append((job, arguments))

    async def audit(
        self, action: str, *, actor_id: UUID | None, subject_ids: list[str], at: Any, reason: str | None = None
    ) -> None:
        await self.tx.execute(
            "INSERT INTO audit_entry (organisation_id, at, actor_id, action, subject_ids, reason) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            self.organisation_id,
            at,
            actor_id,
            action,
            subject_ids,
            reason,
        )


@asynccontextmanager
async def unit_of_work(deps: Deps, organisation_id: UUID, *, durable: bool = True) -> AsyncIterator[UnitOfWork]:
    """Commits when the block ends; afterwards subscribers are woken and jobs queued. Raising undoes all of it.

    Args:
        durable: as in `Database.transaction`.
    """
    async with deps.db.transaction(durable=durable) as tx:
        work = UnitOfWork(tx, organisation_id)
        yield work
        last = await _write_events(work)
    for event in work.events:
        EVENTS_WRITTEN.labels(kind=event.kind).inc()
    if last is not None:
        await deps.bus.publish_quietly(channel(organisation_id), str(last))
    for name, arguments in work.jobs:
        await deps.jobs.enqueue_quietly(name, **arguments)


def channel(organisation_id: UUID) -> str:
    """Where an organisation's API processes hear that there is something to read."""
    return f"events:{organisation_id.hex}"


async def _write_events(work: UnitOfWork) -> int | None:
    """Takes the organisation's row last, so that its lock is short and positions rise in commit order."""
    if not work.events and not work.changes_access:
        return None
    offsets = steps(len(work.events))
    total = offsets[-1] if offsets else 0
    last: int = await work.tx.fetch_value(
        "UPDATE organisation SET event_position = greatest(event_position, $2) + $3, "
        "access_version = access_version + $4 WHERE id = $1 RETURNING event_position",
        work.organisation_id,
        position_now(),
        total,
        int(work.changes_access),
    )
    await work.tx.insert_many(
        "event",
        _EVENT_COLUMNS,
        [
            _event_row(work.organisation_id, last - total + offset, event)
            for event, offset in zip(work.events, offsets, strict=True)
        ],
    )
    return last


_EVENT_COLUMNS = (
    "organisation_id",
    "position",
    "kind",
    "origin",
    "thread_id",
    "message_id",
    "candidate_id",
    "mailbox_id",
    "retired_id",
    "candidate_ids",
    "audience",
)


def _event_row(organisation_id: UUID, position: int, event: NewEvent) -> tuple[Any, ...]:
    return (
        organisation_id,
        position,
        event.kind.value,
        event.origin and event.origin.value,
        event.thread_id,
        event.message_id,
        event.candidate_id,
        event.mailbox_id,
        event.retired_id,
        list(event.candidate_ids),
        None if event.audience is None else list(event.audience),
    )
