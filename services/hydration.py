"""How what the ledger asks for is fetched, read and recorded, a bounded batch at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from domain.changes import FetchedMessage, RemoteRef
from domain.events import Origin
from infra.blobs import BlobStoreUnavailable, blob_key
from infra.parse_pool import ParseFailure
from providers.base import MailSession
from services.blob_claims import claim
from services.deps import Deps
from services.leases import Lease, hold
from services.matching import match_candidates
from services.message_rows import addresses_of
from services.recording import FetchedCopy, record

log = structlog.get_logger()

BATCH_MESSAGES = 50
BATCH_BYTES = 8 * 1024 * 1024
"""A batch's messages are in memory together; one that is larger than this comes alone."""
MAX_FAILURES = 3
"""Times that a message may prove unreadable before it is put aside (R7.3)."""
CROWD_ATTEMPTS = 3
"""Starts together with others, after which a message is fetched alone: one of its batch may be killing the worker."""
MAX_ATTEMPTS = 9
"""Starts, alone at the end, after which a message that never came to an end is put aside as well."""
RETRY_S = 60
BLOB_WRITES = 8
"""Files written at once."""


@dataclass(frozen=True, slots=True)
class _Entry:
    id: int
    ref: RemoteRef
    received_at: Any
    origin: Origin
    attempts: int


_NEXT = """
SELECT id, folder, remote_id, received_at, size_bytes, origin, attempts, failures FROM ledger_entry
 WHERE mailbox_id = $1 AND origin = $4 AND quarantine_reason IS NULL AND next_attempt_at <= now()
 ORDER BY attempts >= $2, received_at DESC LIMIT $3
"""


async def hydrate(
    deps: Deps, lease: Lease, mailbox: dict[str, Any], session: MailSession, origin: Origin
) -> int | None:
    """Fetches and records a batch of news or of old mail, from the newest backwards.

    Returns:
        Messages that are new to the record; None where the ledger holds nothing that is due.

    Raises:
        ProviderError: the connection failed; what was asked for stays in the ledger and has lost no attempt.
        LeaseLost: another worker has the mailbox.
    """
    entries = await _claim(deps, lease, origin)
    if not entries:
        return None
    try:
        return await _take(deps, lease, mailbox, session, entries)
    except BaseException:
        await _unclaim(deps, lease, entries)
        raise


async def _take(
    deps: Deps, lease: Lease, mailbox: dict[str, Any], session: MailSession, entries: Sequence[_Entry]
) -> int:
    """Fetches, reads and records a batch; how many messages are new."""
    async with aclosing(session.fetch([entry.ref for entry in entries])) as messages:
        fetched = [message async for message in messages]
    by_ref = {(entry.ref.folder, entry.ref.remote_id): entry for entry in entries}
    readable = await _settle_unfetched(deps, lease, by_ref, fetched)
    copies = await _read(deps, lease, mailbox, by_ref, readable)
    return await record(deps, lease, mailbox, copies)


async def _claim(deps: Deps, lease: Lease, origin: Origin) -> list[_Entry]:
    """The next batch, its attempts counted before anything is started."""
    async with deps.db.transaction(durable=False) as tx:
        await hold(tx, lease)
        rows = await tx.fetch(_NEXT, lease.mailbox_id, CROWD_ATTEMPTS, BATCH_MESSAGES, origin.value)
        batch = _bounded(rows)
        await tx.execute(
            "UPDATE ledger_entry SET attempts = attempts + 1, quarantine_reason = CASE WHEN attempts >= $2 "
            "THEN 'Reading it never came to an end.' END WHERE id = ANY($1)",
            [row["id"] for row in batch],
            MAX_ATTEMPTS,
        )
    return [
        _Entry(
            row["id"],
            RemoteRef(row["folder"], row["remote_id"], row["size_bytes"]),
            row["received_at"],
            Origin(row["origin"]),
            row["attempts"],
        )
        for row in batch
        if row["attempts"] < MAX_ATTEMPTS
    ]


def _bounded(rows: Sequence[Any]) -> list[Any]:
    """As many as may be in memory together; a suspect comes alone."""
    batch: list[Any] = []
    total = 0
    for row in rows:
        alone = row["attempts"] >= CROWD_ATTEMPTS
        if batch and (alone or total + row["size_bytes"] > BATCH_BYTES):
            break
        batch.append(row)
        total += row["size_bytes"]
        if alone:
            break
    return batch


async def _unclaim(deps: Deps, lease: Lease, entries: Sequence[_Entry]) -> None:
    """A connection or a store that failed says nothing about the messages: only a worker that died leaves a count."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        async with deps.db.transaction() as tx:
            await tx.execute(
                "UPDATE ledger_entry SET attempts = attempts - 1 WHERE mailbox_id = $1 AND id = ANY($2)",
                lease.mailbox_id,
                [entry.id for entry in entries],
            )


async def _settle_unfetched(
    deps: Deps, lease: Lease, by_ref: dict[tuple[str, str], _Entry], fetched: Sequence[FetchedMessage]
) -> list[FetchedMessage]:
    """Takes out what is gone, too large, refused or out of reach; gives back what can be read.

    What is gone from its place was deleted, or moved and then is found there by the next discovery.
    """
    large = [message for message in fetched if message.too_large]
    refused = [message for message in fetched if message.refused]
    unreachable = [message for message in fetched if message.unreachable]
    gone = [message for message in fetched if message.raw is None and message not in (*large, *refused, *unreachable)]
    if gone or large:
        async with deps.db.transaction() as tx:
            await hold(tx, lease)
            await tx.execute("DELETE FROM ledger_entry WHERE id = ANY($1)", _ids(by_ref, gone))
            await tx.execute(
                "UPDATE ledger_entry SET quarantine_reason = 'It is larger than this server reads.', "
                "failures = failures + 1 WHERE id = ANY($1)",
                _ids(by_ref, large),
            )
    if refused:
        await _count_failures(deps, lease, _ids(by_ref, refused))
    if unreachable:
        await _postpone(deps, lease, _ids(by_ref, unreachable))
    return [message for message in fetched if message.raw is not None]


async def _postpone(deps: Deps, lease: Lease, ids: list[int]) -> None:
    async with deps.db.transaction() as tx:
        await hold(tx, lease)
        await tx.execute(
            "UPDATE ledger_entry SET attempts = attempts - 1, next_attempt_at = now() + make_interval(secs => $2) "
            "WHERE id = ANY($1)",
            ids,
            RETRY_S,
        )


async def _read(
    deps: Deps,
    lease: Lease,
    mailbox: dict[str, Any],
    by_ref: dict[tuple[str, str], _Entry],
    fetched: Sequence[FetchedMessage],
) -> list[FetchedCopy]:
    """Parses, and puts the bytes of what is still with a candidate into the blob store."""
    raws = [message.raw or b"" for message in fetched]
    parsed = await deps.parser.parse_many(raws)
    failed = [message for message, result in zip(fetched, parsed, strict=True) if isinstance(result, ParseFailure)]
    if failed:
        await _count_failures(deps, lease, _ids(by_ref, failed))
    organisation_id = mailbox["organisation_id"]
    copies = []
    for message, raw, result in zip(fetched, raws, parsed, strict=True):
        if isinstance(result, ParseFailure):
            continue
        entry = by_ref[message.ref.folder, message.ref.remote_id]
        copies.append(
            FetchedCopy(
                ledger_id=entry.id,
                folder=entry.ref.folder,
                remote_id=entry.ref.remote_id,
                received_at=entry.received_at,
                size_bytes=len(raw),
                origin=entry.origin,
                message=result,
                source_key=blob_key(organisation_id, raw),
                attachment_keys=tuple(blob_key(organisation_id, part.content) for part in result.attachments),
                provider_thread_id=message.provider_thread_id,
            )
        )
    await _keep_bytes(deps, mailbox, copies, {blob_key(organisation_id, raw): raw for raw in raws})
    return copies


async def _keep_bytes(
    deps: Deps, mailbox: dict[str, Any], copies: Sequence[FetchedCopy], raw_by_key: dict[str, bytes]
) -> None:
    """Written before the rows that name them. What is nobody's any more is not written at all (R1.3).

    Raises:
        BlobStoreUnavailable, BlobsGoing: some may have been written; trying again later may help.
    """
    addresses = {address for copy in copies for address in addresses_of(copy.message)}
    async with deps.db.snapshot() as snapshot:
        matches = await match_candidates(snapshot, mailbox["organisation_id"], addresses, excluded=mailbox["excluded"])
    kept = [copy for copy in copies if addresses_of(copy.message) & matches.keys()]
    blobs = {copy.source_key: raw_by_key[copy.source_key] for copy in kept}
    for copy in kept:
        parts = zip(copy.attachment_keys, copy.message.attachments, strict=True)
        blobs.update({key: part.content for key, part in parts})
    await claim(deps, blobs.keys())
    # In a task of its own: before Python 3.11.4 a task in which a TaskGroup has failed takes the next timeout of
    # anything that it awaits for its own cancellation.
    await asyncio.create_task(_write_blobs(deps, blobs))


async def _write_blobs(deps: Deps, blobs: Mapping[str, bytes]) -> None:
    slots = asyncio.Semaphore(BLOB_WRITES)

    async def write(key: str, content: bytes) -> None:
        async with slots:
            await deps.blobs.put(key, content)

    unavailable: BaseExceptionGroup[BlobStoreUnavailable] | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for key, content in blobs.items():
                tasks.create_task(write(key, content))
    except* BlobStoreUnavailable as failures:
        unavailable = failures
    if unavailable is not None:  # raised out here: within `except*` it would come out in a group again
        raise BlobStoreUnavailable("The store of files does not answer.") from unavailable


async def _count_failures(deps: Deps, lease: Lease, ids: list[int]) -> None:
    async with deps.db.transaction() as tx:
        await hold(tx, lease)
        await tx.execute(
            "UPDATE ledger_entry SET failures = failures + 1, "
            "next_attempt_at = now() + make_interval(secs => $2 * (failures + 1)), "
            "quarantine_reason = CASE WHEN failures + 1 >= $3 THEN 'It could not be read.' END WHERE id = ANY($1)",
            ids,
            RETRY_S,
            MAX_FAILURES,
        )
    log.warning("messages_unreadable", mailbox_id=lease.mailbox_id.hex, count=len(ids))


def _ids(by_ref: dict[tuple[str, str], _Entry], messages: Sequence[FetchedMessage]) -> list[int]:
    return [by_ref[message.ref.folder, message.ref.remote_id].id for message in messages]
