"""How fetched messages become part of the record: one transaction for a batch, and nothing twice.

The batch is judged again inside the transaction, under the mailbox's lease and the organisation's lock: candidate,
address, job and history may have changed since the headers were seen.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import clock
from domain.addresses import canonical
from domain.conversations import Arrival, Conversations, ProviderThread, known_threads
from domain.events import EventKind, NewEvent, Origin
from domain.identity import message_id_key
from domain.ids import new_id
from domain.mail import ParsedMessage
from domain.mime.dates import credible_date
from infra.db import Transaction
from infra.metrics import MESSAGES_RECORDED
from services.blob_claims import settle
from services.bounces import disclose_bounces
from services.deps import Deps
from services.leases import Lease, hold
from services.matching import AddressBook, CandidateMatch, address_book
from services.message_rows import (
    RecordedCopy,
    direction_of,
    people_of,
    write_bcc,
    write_copies,
    write_messages,
)
from services.readers import announce_readers, announce_withdrawal, write_readers
from services.thread_summaries import write_summaries
from services.unit_of_work import UnitOfWork, unit_of_work


@dataclass(frozen=True, slots=True)
class FetchedCopy:
    """A message as one mailbox holds it, read and with its bytes already in the blob store.

    Attributes:
        ledger_id: the entry that asked for it.
        addresses: by which it is matched (services.message_rows.addresses_of).
        fingerprint: what makes it the same message in another mailbox (domain.identity).
        attachment_keys: where its attachments' bytes lie, in their order.
        provider_thread_id: the conversation that the mailbox's server has put it in; None where it does not tell.
    """

    ledger_id: int
    folder: str
    remote_id: str
    received_at: datetime
    size_bytes: int
    origin: Origin
    message: ParsedMessage
    addresses: frozenset[str]
    fingerprint: bytes
    source_key: str
    attachment_keys: tuple[str, ...]
    provider_thread_id: str | None = None


_YIELDS_EVERY = 10
"""Messages decided on in one go: the loop has others to serve."""

_KNOWN = "SELECT id, thread_id, fingerprint FROM message WHERE organisation_id = $1 AND fingerprint = ANY($2)"

_THREADS = """
WITH near AS (SELECT thread_id FROM thread_key WHERE organisation_id = $1 AND key = ANY($2)
              UNION SELECT unnest($3::uuid[]))
SELECT t.id, t.created_at, t.forwarded_from_id IS NOT NULL AS is_branch,
       array(SELECT candidate_id FROM thread_candidate c WHERE c.thread_id = t.id) AS candidate_ids,
       array(SELECT DISTINCT entry->>'canonical' FROM message m,
                    jsonb_array_elements((m.people->'from') || (m.people->'to') || (m.people->'cc')) AS entry
              WHERE m.thread_id = t.id AND entry->>'canonical' IS NOT NULL) AS people,
       array(SELECT key FROM thread_key k WHERE k.thread_id = t.id) AS keys
  FROM near JOIN thread t ON t.id = near.thread_id
"""

_PROVIDER_THREADS = """
SELECT DISTINCT c.provider_thread_id, m.thread_id FROM message_copy c JOIN message m ON m.id = c.message_id
 WHERE c.mailbox_id = $1 AND c.provider_thread_id = ANY($2)
"""


async def record(deps: Deps, lease: Lease, mailbox: dict[str, Any], copies: Sequence[FetchedCopy]) -> int:
    """Stores a batch of one mailbox's copies, threads them, and tells who may know; how many messages are new.

    The bytes of what turns out to be nobody's stay claimed, and are swept away (services.blob_claims).

    Raises:
        LeaseLost: nothing was stored; another worker will.
    """
    organisation_id: UUID = mailbox["organisation_id"]
    async with unit_of_work(deps, organisation_id) as work:
        await hold(work.tx, lease)
        await _serialise(work.tx, organisation_id)
        due = await _still_due(work.tx, lease, copies)
        batch = await _Batch.load(work, mailbox, due)
        for number, copy in enumerate(due, start=1):
            batch.take(copy)
            if number % _YIELDS_EVERY == 0:
                await asyncio.sleep(0)
        await batch.write()
    for message in batch.messages:
        MESSAGES_RECORDED.labels(origin=message["origin"]).inc()
    return len(batch.messages)


async def _serialise(tx: Transaction, organisation_id: UUID) -> None:
    """One recording of an organisation at a time: the same mail from two mailboxes, and merges, cannot cross."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"record:{organisation_id.hex}")


async def _still_due(tx: Transaction, lease: Lease, copies: Sequence[FetchedCopy]) -> list[FetchedCopy]:
    """Takes the batch out of the ledger: what another run has stored meanwhile is not there any more."""
    rows = await tx.fetch(
        "DELETE FROM ledger_entry WHERE mailbox_id = $1 AND id = ANY($2) RETURNING id",
        lease.mailbox_id,
        [copy.ledger_id for copy in copies],
    )
    taken = {row["id"] for row in rows}
    return [copy for copy in copies if copy.ledger_id in taken]


class _Batch:
    """Decides on each copy in memory, then writes everything in a fixed number of statements."""

    def __init__(
        self,
        work: UnitOfWork,
        mailbox: dict[str, Any],
        book: AddressBook,
        conversations: Conversations,
        known: dict[bytes, tuple[UUID, UUID]],
    ) -> None:
        self.work = work
        self.mailbox = mailbox
        self.book = book
        self.conversations = conversations
        self.known = known
        """Fingerprint to message and thread, as the organisation has them."""
        self.messages: list[dict[str, Any]] = []
        self.attachments: list[tuple[Any, ...]] = []
        self.copies: list[RecordedCopy] = []
        self.blob_keys: set[str] = set()
        self.matches: set[tuple[UUID, UUID, UUID]] = set()
        self.bcc: dict[UUID, list[dict[str, Any]]] = {}
        self.touched: set[UUID] = set()
        self.imported: set[UUID] = set()
        self.former_readers: dict[UUID, frozenset[UUID]] = {}
        """Of threads that were merged into others."""

    @classmethod
    async def load(cls, work: UnitOfWork, mailbox: dict[str, Any], copies: Sequence[FetchedCopy]) -> "_Batch":
        organisation_id = work.organisation_id
        addresses = {address for copy in copies for address in copy.addresses}
        book = await address_book(work.tx, organisation_id, addresses, excluded=mailbox["excluded"])
        rows = await work.tx.fetch(_KNOWN, organisation_id, [copy.fingerprint for copy in copies])
        known = {row["fingerprint"]: (row["id"], row["thread_id"]) for row in rows}
        return cls(work, mailbox, book, await _conversations(work, mailbox["id"], copies, known), known)

    def take(self, copy: FetchedCopy) -> None:
        """Decides on one copy: nobody's, one more copy of a known message, or a new message."""
        matches = self.book.candidates_of(copy.addresses)
        if not matches:
            return
        mark = copy.fingerprint
        message_id, thread_id = self.known.get(mark) or self._add(copy, matches, mark)
        if (provider_thread := self._provider_thread(copy)) is not None:
            self.conversations.hear(provider_thread, thread_id)
        if copy.message.bcc and self._is_senders(copy.message):
            self.bcc[message_id] = people_of(copy.message, self.book)["bcc"]
        self.touched.add(thread_id)
        self.blob_keys |= {copy.source_key, *copy.attachment_keys}
        self.matches |= {(message_id, match.candidate_id, match.email_id) for match in matches}
        self.copies.append(
            RecordedCopy(
                message_id=message_id,
                mailbox_id=self.mailbox["id"],
                folder=copy.folder,
                remote_id=copy.remote_id,
                rfc_message_id=copy.message.rfc_message_id,
                received_at=copy.received_at,
                size_bytes=copy.size_bytes,
                source_key=copy.source_key,
                provider_thread_id=copy.provider_thread_id,
            )
        )

    def _add(self, copy: FetchedCopy, matches: frozenset[CandidateMatch], mark: bytes) -> tuple[UUID, UUID]:
        message = copy.message
        people = people_of(message, self.book) | {"bcc": []}
        # A server's name under its report is nobody's: it takes part in no thread, and makes none of two.
        sender = None if message.bounce else next((entry["canonical"] for entry in people["from"]), None)
        thread_id = self.conversations.place(
            Arrival(
                own_key=message_id_key(message.rfc_message_id) if message.rfc_message_id else None,
                reference_keys=[message_id_key(reference) for reference in message.ancestry],
                candidate_ids=frozenset(match.candidate_id for match in matches),
                sender=sender,
                people=frozenset(
                    entry["canonical"] for role in ("from", "to", "cc") for entry in people[role] if entry["canonical"]
                ),
                at=clock.now(),
                provider_thread=self._provider_thread(copy),
            )
        )
        message_id = new_id()
        self.messages.append(
            {
                "id": message_id,
                "thread_id": thread_id,
                "fingerprint": mark,
                "direction": direction_of(message, people, self.book),
                "origin": copy.origin,
                "people": people,
                "sent_at": credible_date(message.date, copy.received_at),
                "received_at": copy.received_at,
                "sender_user_id": self.book.users.get(sender) if sender else None,
                "candidate_ids": tuple(sorted({match.candidate_id for match in matches})),
                "parsed": message,
                "attachment_keys": copy.attachment_keys,
            }
        )
        self.known[mark] = (message_id, thread_id)
        if copy.origin is Origin.IMPORT:
            self.imported.add(thread_id)
        return message_id, thread_id

    def _provider_thread(self, copy: FetchedCopy) -> ProviderThread | None:
        return ProviderThread(self.mailbox["id"], copy.provider_thread_id) if copy.provider_thread_id else None

    def _is_senders(self, message: ParsedMessage) -> bool:
        """Whether this mailbox is the sender's own: its copy alone is believed about Bcc (R3.5)."""
        senders = {form for entry in message.from_ if entry.address and (form := canonical(entry.address))}
        owner = self.mailbox["owner_id"]
        if owner is None:
            return self.mailbox["is_proven"] and self.mailbox["canonical"] in senders
        return any(self.book.users.get(sender) == owner for sender in senders)

    async def write(self) -> None:
        tx = self.work.tx
        await self._write_threads(tx)
        for message in self.messages:
            message["thread_id"] = self.conversations.current(message["thread_id"])
        await write_messages(tx, self.work.organisation_id, self.messages)
        await write_copies(tx, self.copies)
        await write_bcc(tx, self.bcc)
        await settle(tx, self.blob_keys)
        await self._write_matches(tx)
        touched = {self.conversations.current(thread_id) for thread_id in self.touched}
        await disclose_bounces(tx, touched)
        await write_summaries(tx, touched)
        await self._announce(await write_readers(tx, touched))

    async def _write_threads(self, tx: Transaction) -> None:
        """New threads, merges, and what each thread has learned to know."""
        now = clock.now()
        organisation_id = self.work.organisation_id
        fresh = [thread_id for thread_id in self.conversations.created if thread_id in self.conversations.threads]
        await tx.insert_many(
            "thread",
            ("id", "organisation_id", "subject", "snippet", "last_message_at", "created_at"),
            [(thread_id, organisation_id, "", "", now, now) for thread_id in fresh],
        )
        stored = {retired for retired in self.conversations.merged if retired not in self.conversations.created}
        for retired in stored:
            self.former_readers[retired] = await _move_thread(tx, retired, self.conversations.current(retired))
        learned = [(thread, key) for thread, key in self.conversations.learned if thread in self.conversations.threads]
        await tx.execute(
            "INSERT INTO thread_key (organisation_id, thread_id, key) "
            "SELECT $1, * FROM unnest($2::uuid[], $3::bytea[]) ON CONFLICT DO NOTHING",
            organisation_id,
            [thread for thread, _ in learned],
            [key for _, key in learned],
        )

    async def _write_matches(self, tx: Transaction) -> None:
        rows = sorted(self.matches)
        await tx.execute(
            "INSERT INTO message_candidate (message_id, candidate_id, email_id) "
            "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) ON CONFLICT DO NOTHING",
            *([row[position] for row in rows] for position in range(3)),
        )
        await tx.execute(
            "INSERT INTO thread_candidate (thread_id, candidate_id, last_message_at) "
            "SELECT DISTINCT m.thread_id, c.candidate_id, m.sent_at::timestamptz FROM message m "
            "JOIN message_candidate c ON c.message_id = m.id WHERE m.id = ANY($1) "
            "ON CONFLICT (thread_id, candidate_id) DO NOTHING",
            [row[0] for row in rows],
        )

    async def _announce(self, changes: Sequence[Any]) -> None:
        by_thread = {change.thread_id: change for change in changes}
        for retired, readers in self.former_readers.items():
            thread_id = self.conversations.current(retired)
            self.work.announce(NewEvent(EventKind.THREAD_MERGED, thread_id=thread_id, retired_id=retired))
            announce_withdrawal(self.work, retired, readers - by_thread[thread_id].after)
        for message in self.messages:
            self.work.announce(
                NewEvent(
                    EventKind.MESSAGE_ADDED,
                    origin=message["origin"],
                    thread_id=message["thread_id"],
                    message_id=message["id"],
                    mailbox_id=self.mailbox["id"],
                    candidate_ids=by_thread[message["thread_id"]].candidate_ids,
                )
            )
        imported = {self.conversations.current(thread_id) for thread_id in self.imported}
        for change in changes:
            if change.thread_id in imported:
                self.work.announce(
                    NewEvent(
                        EventKind.THREAD_CHANGED,
                        origin=Origin.IMPORT,
                        thread_id=change.thread_id,
                        candidate_ids=change.candidate_ids,
                    )
                )
                announce_withdrawal(self.work, change.thread_id, change.lost)
            elif change.before:
                announce_readers(self.work, change)


async def _move_thread(tx: Transaction, retired: UUID, kept: UUID) -> frozenset[UUID]:
    """Everything of one thread goes to another, and the old id is remembered (R4.1); who had read it.

    If either is private, both are (R3.4).
    """
    await tx.execute(
        "UPDATE thread SET visibility = 'PRIVATE' "
        "WHERE id = $2 AND 'PRIVATE' = (SELECT visibility FROM thread WHERE id = $1)",
        retired,
        kept,
    )
    await tx.execute("UPDATE message SET thread_id = $2 WHERE thread_id = $1", retired, kept)
    await tx.execute("UPDATE retired_thread SET thread_id = $2 WHERE thread_id = $1", retired, kept)
    await tx.execute(
        "INSERT INTO thread_candidate (thread_id, candidate_id, last_message_at) "
        "SELECT $2, candidate_id, last_message_at FROM thread_candidate WHERE thread_id = $1 "
        "ON CONFLICT (thread_id, candidate_id) DO NOTHING",
        retired,
        kept,
    )
    await tx.execute(
        "INSERT INTO thread_read (user_id, thread_id, read_until) "
        "SELECT user_id, $2, read_until FROM thread_read WHERE thread_id = $1 "
        "ON CONFLICT (user_id, thread_id) DO UPDATE "
        "SET read_until = least(thread_read.read_until, excluded.read_until)",
        retired,
        kept,
    )
    readers = await tx.fetch_value("DELETE FROM thread WHERE id = $1 RETURNING readers", retired)
    await tx.execute("INSERT INTO retired_thread (id, thread_id) VALUES ($1, $2)", retired, kept)
    return frozenset(readers)


async def _conversations(
    work: UnitOfWork, mailbox_id: UUID, copies: Sequence[FetchedCopy], known: Mapping[bytes, tuple[UUID, UUID]]
) -> Conversations:
    """The threads that the batch may have to do with: by references, and as its mailbox's server sees it."""
    told = sorted({copy.provider_thread_id for copy in copies if copy.provider_thread_id is not None})
    heard: list[tuple[str, UUID]] = []
    near: set[UUID] = set()
    if told:
        heard = [tuple(row) for row in await work.tx.fetch(_PROVIDER_THREADS, mailbox_id, told)]
        near = {thread_id for _, thread_id in heard} | {thread_id for _, thread_id in known.values()}
    keys = sorted({key for copy in copies for key in _keys(copy.message)})
    rows = await work.tx.fetch(_THREADS, work.organisation_id, keys, sorted(near))
    conversations = Conversations(known_threads(rows))
    for provider_thread_id, thread_id in heard:
        conversations.hear(ProviderThread(mailbox_id, provider_thread_id), thread_id)
    return conversations


def _keys(message: ParsedMessage) -> list[bytes]:
    own = [message.rfc_message_id] if message.rfc_message_id else []
    return [message_id_key(reference) for reference in (*message.ancestry, *own)]
