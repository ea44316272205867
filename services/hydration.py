"""How what the ledger asks for is fetched, read and recorded, a bounded batch at a time."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from domain import clock
from domain.changes import FetchedMessage, RemoteRef
from domain.events import Origin
from domain.identity import fingerprint
from domain.mail import ParsedMessage
from infra.blobs import blob_key
from infra.parse_pool import ParseFailure
from providers.base import MailSession
from services.blob_claims import claim
from services.deps import Deps
from services.leases import Lease, hold
from services.matching import match_candidates
from services.message_rows import addresses_of
from services.recording import FetchedCopy, record

log = structlog.get_logger()

BATCH_MESSAGES = 100
BATCH_BYTES = 8 * 1024 * 1024
"""A batch's messages are in memory together; one that is larger than this comes alone."""
MAX_FAILURES = 3
"""Times that a message may prove unreadable before it is put aside (R7.3)."""
CROWD_ATTEMPTS = 3
"""Starts together with others, after which a message is fetched alone: one of its batch may be killing the worker."""
MAX_ATTEMPTS = 9
"""Starts, alone at the end, after which a message that never came to an end is put aside as well."""
RETRY_S = 60
_YIELDS_EVERY = 10
"""Messages hashed in one go: the loop has others to serve."""
GOES_ON_S = 1.0
"""After this no further batch is begun in one go: whoever shares the connection waits for the end of it."""


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
   AND NOT id = ANY($5::bigint[]) AND ($6::int IS NULL OR attempts < $6)
 ORDER BY attempts >= $2, received_at DESC LIMIT $3
"""


async def hydrate(
    deps: Deps, lease: Lease, mailbox: dict[str, Any], session: MailSession, origin: Origin
) -> int | None:
    """Fetches and records news or old mail for about a second, from the newest backwards, in batches.

    While one batch is recorded, the next is fetched and read.

    Returns:
        Messages that are new to the record; None where the ledger holds nothing that is due.

    Raises:
        ProviderError: the connection failed; what was asked for stays in the ledger and has lost no attempt.
        LeaseLost: another worker has the mailbox.
    """
    batches = _Batches(deps, lease, mailbox, session, origin)
    entries = await batches.claim()
    if not entries:
        return None
    began = clock.monotonic()
    recorded = 0
    copies = await batches.read(entries)
    while True:
        following = await batches.claim_beside(entries) if clock.monotonic() - began < GOES_ON_S else []
        ahead = asyncio.create_task(batches.read(following)) if following else None
        try:
            recorded += await batches.record(entries, copies)
        except BaseException:
            if ahead is not None:
                await batches.give_up(following, ahead)
            raise
        if ahead is None:
            return recorded
        entries, copies = following, await ahead


@dataclass(frozen=True, slots=True)
class _Batches:
    """The steps of a batch. Whatever cuts one short leaves its messages in the ledger, with no attempt counted."""

    deps: Deps
    lease: Lease
    mailbox: dict[str, Any]
    session: MailSession
    origin: Origin

    async def claim(self) -> list[_Entry]:
        """The most urgent batch."""
        return await _claim(self.deps, self.lease, self.origin)

    async def claim_beside(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """The next batch, while another is still to be recorded. What may have killed a worker has no company."""
        if any(entry.attempts >= CROWD_ATTEMPTS for entry in entries):
            return []
        try:
            return await _claim(self.deps, self.lease, self.origin, beside=entries)
        except BaseException:
            await _unclaim(self.deps, self.lease, entries)
            raise

    async def read(self, entries: Sequence[_Entry]) -> list[FetchedCopy]:
        """Fetches and parses, and stores the bytes."""
        try:
            async with aclosing(self.session.fetch([entry.ref for entry in entries])) as messages:
                fetched = [message async for message in messages]
            by_ref = {(entry.ref.folder, entry.ref.remote_id): entry for entry in entries}
            readable = await _settle_unfetched(self.deps, self.lease, by_ref, fetched)
            return await _read(self.deps, self.lease, self.mailbox, by_ref, readable)
        except BaseException:
            await _unclaim(self.deps, self.lease, entries)
            raise

    async def record(self, entries: Sequence[_Entry], copies: Sequence[FetchedCopy]) -> int:
        """How many messages are new."""
        try:
            return await record(self.deps, self.lease, self.mailbox, copies)
        except BaseException:
            await _unclaim(self.deps, self.lease, entries)
            raise

    async def give_up(self, entries: Sequence[_Entry], reading: asyncio.Task[list[FetchedCopy]]) -> None:
        """Ends the reading of a batch that is not going to be recorded."""
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled() and reading.exception() is None:
            await _unclaim(self.deps, self.lease, entries)


async def _claim(deps: Deps, lease: Lease, origin: Origin, *, beside: Sequence[_Entry] = ()) -> list[_Entry]:
    """The next batch, its attempts counted before anything is started.

    Args:
        beside: a batch that is under way: it is passed over, and so is what is to be read alone.
    """
    async with deps.db.transaction(durable=False) as tx:
        await hold(tx, lease)
        rows = await tx.fetch(
            _NEXT,
            lease.mailbox_id,
            CROWD_ATTEMPTS,
            BATCH_MESSAGES,
            origin.value,
            [entry.id for entry in beside],
            CROWD_ATTEMPTS if beside else None,
        )
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
    copies: list[FetchedCopy] = []
    raw_by_key: dict[str, bytes] = {}
    for number, (message, raw, result) in enumerate(zip(fetched, raws, parsed, strict=True), start=1):
        if isinstance(result, ParsedMessage):
            copy = _copy(mailbox, by_ref[message.ref.folder, message.ref.remote_id], message, result)
            copies.append(copy)
            raw_by_key[copy.source_key] = raw
        if number % _YIELDS_EVERY == 0:
            await asyncio.sleep(0)
    await _keep_bytes(deps, mailbox, copies, raw_by_key)
    return copies


def _copy(mailbox: dict[str, Any], entry: _Entry, message: FetchedMessage, parsed: ParsedMessage) -> FetchedCopy:
    raw, organisation_id = message.raw or b"", mailbox["organisation_id"]
    return FetchedCopy(
        ledger_id=entry.id,
        folder=entry.ref.folder,
        remote_id=entry.ref.remote_id,
        received_at=entry.received_at,
        size_bytes=len(raw),
        origin=entry.origin,
        message=parsed,
        addresses=frozenset(addresses_of(parsed)),
        fingerprint=fingerprint(parsed),
        source_key=blob_key(organisation_id, raw),
        attachment_keys=tuple(blob_key(organisation_id, part.content) for part in parsed.attachments),
        provider_thread_id=message.provider_thread_id,
    )


async def _keep_bytes(
    deps: Deps, mailbox: dict[str, Any], copies: Sequence[FetchedCopy], raw_by_key: dict[str, bytes]
) -> None:
    """Written before the rows that name them. What is nobody's any more is not written at all (R1.3).

    Raises:
        BlobStoreUnavailable, BlobsGoing: some may have been written; trying again later may help.
    """
    addresses = {address for copy in copies for address in copy.addresses}
    async with deps.db.snapshot() as snapshot:
        matches = await match_candidates(snapshot, mailbox["organisation_id"], addresses, excluded=mailbox["excluded"])
    kept = [copy for copy in copies if copy.addresses & matches.keys()]
    blobs = {copy.source_key: raw_by_key[copy.source_key] for copy in kept}
    for copy in kept:
        parts = zip(copy.attachment_keys, copy.message.attachments, strict=True)
        blobs.update({key: part.content for key, part in parts})
    await claim(deps, blobs.keys())
    await deps.blobs.put_many(blobs)


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
