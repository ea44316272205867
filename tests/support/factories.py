"""Rows with sensible defaults: messages as a sync leaves them, with the threads, readers and summaries they make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.addresses import base, canonical
from domain.events import EventKind, NewEvent, Origin, position_now
from domain.identity import message_id_key
from domain.ids import new_id
from infra.blobs import blob_key
from services.bounces import disclose_bounces
from services.deps import Deps
from services.readers import write_readers
from services.search_index import IndexedMessage, index_messages
from services.thread_summaries import write_summaries
from services.unit_of_work import UnitOfWork, unit_of_work

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Person:
    """A user or a candidate."""

    id: UUID
    address: str
    name: str

    def entry(self, *, is_user: bool) -> dict[str, Any]:
        return {
            "name": self.name,
            "address": self.address,
            "raw": f"{self.name} <{self.address}>",
            "canonical": canonical(self.address),
            "user_id": self.id.hex if is_user else None,
        }


@dataclass(frozen=True)
class Colleague(Person):
    pass


@dataclass(frozen=True)
class Applicant(Person):
    email_id: UUID = field(default_factory=new_id)


def stranger(address: str) -> dict[str, Any]:
    return {"name": None, "address": address, "raw": address, "canonical": canonical(address), "user_id": None}


def entry(person: Person | dict[str, Any]) -> dict[str, Any]:
    if isinstance(person, Person):
        return person.entry(is_user=isinstance(person, Colleague))
    return person


@dataclass(frozen=True)
class Letter:
    """A message and its thread."""

    id: UUID
    thread_id: UUID


class Firm:
    """An organisation whose rows are made directly in the database."""

    def __init__(self, deps: Deps, organisation_id: UUID) -> None:
        self.deps = deps
        self.id = organisation_id

    @classmethod
    async def open(cls, deps: Deps, name: str = "Acme") -> "Firm":
        firm = cls(deps, new_id())
        async with deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO organisation (id, name, event_position, created_at) VALUES ($1, $2, $3, $4)",
                firm.id,
                name,
                position_now(),
                LONG_AGO,
            )
        return firm

    async def colleague(self, name: str, level: str = "FULL", *, reads_since: datetime = LONG_AGO) -> Colleague:
        colleague = Colleague(new_id(), f"{name.lower()}@{self.id.hex[-6:]}.example", name)
        async with self.deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO user_account (id, organisation_id, external_id, name, email, access_level, reads_since, "
                "created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
                colleague.id,
                self.id,
                name,
                name,
                colleague.address,
                level,
                reads_since,
            )
            await tx.execute(
                "INSERT INTO user_address (organisation_id, user_id, address, canonical, base) "
                "VALUES ($1, $2, $3, $3, $4)",
                self.id,
                colleague.id,
                colleague.address,
                base(colleague.address),
            )
        return colleague

    async def job(self, title: str, *team: Colleague, status: str = "OPEN") -> UUID:
        job_id = new_id()
        async with self.deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO job (id, organisation_id, external_id, title, status, created_at) "
                "VALUES ($1, $2, $3, $3, $4, $5)",
                job_id,
                self.id,
                title,
                status,
                NOON,
            )
            await tx.insert_many("job_member", ("job_id", "user_id"), [(job_id, member.id) for member in team])
        return job_id

    async def applicant(self, name: str, *jobs: UUID, address: str | None = None) -> Applicant:
        applicant = Applicant(new_id(), address or f"{name.lower()}@mail.example", name)
        async with self.deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO candidate (id, organisation_id, external_id, name, created_at) VALUES ($1, $2, $3, $4, $5)",
                applicant.id,
                self.id,
                f"ats-{name}",
                name,
                NOON,
            )
            await tx.execute(
                "INSERT INTO candidate_email (id, organisation_id, candidate_id, address, canonical, base, added_at) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7)",
                applicant.email_id,
                self.id,
                applicant.id,
                applicant.address,
                canonical(applicant.address),
                base(canonical(applicant.address) or ""),
                NOON,
            )
            await tx.insert_many("application", ("candidate_id", "job_id"), [(applicant.id, job_id) for job_id in jobs])
        return applicant

    async def mailbox(self, owner: Colleague | None, *viewers: Colleague, address: str | None = None) -> UUID:
        """Of its owner's, or shared among viewers."""
        mailbox_id = new_id()
        where = address or (owner.address if owner else f"jobs-{mailbox_id.hex[-6:]}@acme.example")
        async with self.deps.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO mailbox (id, organisation_id, owner_id, provider, kind, address, canonical, base, is_proven, "
                "account, login, excluded, credentials, consented_by, consented_at, connected_at, history_scope, requested_at, "
                "last_synced_at, import_scanned, import_started_at, import_finished_at) VALUES ($1, $2, $3, 'IMAP', $4, "
                "$5::text, $5::text, $5::text, true, $5::text, $6, $7, $8, $9, $10, $10, 'ALL', $10, $10, 10, $10, $10)",
                mailbox_id,
                self.id,
                owner.id if owner else None,
                "PERSONAL" if owner else "SHARED",
                where,
                {
                    role: {"host": "mail.example", "port": 993, "security": "TLS", "username": where}
                    for role in ("imap", "smtp")
                },
                ["@private.example"],
                b"sealed",
                owner.id if owner else new_id(),
                NOON,
            )
            await tx.insert_many(
                "mailbox_viewer", ("mailbox_id", "user_id"), [(mailbox_id, viewer.id) for viewer in viewers]
            )
        return mailbox_id

    async def letter(
        self,
        *applicants: Applicant,
        sender: Person | dict[str, Any] | None = None,
        to: Sequence[Person | dict[str, Any]] = (),
        bcc: Sequence[Person | dict[str, Any]] = (),
        thread_id: UUID | None = None,
        sent_at: datetime = NOON,
        mailboxes: Iterable[UUID] = (),
        subject: str = "Your application",
        text: str = "Hello there.",
        html: str | None = None,
        source: bytes | None = None,
        files: Sequence[tuple[str, bytes, str | None]] = (),
        visibility: str = "SHARED",
        origin: Origin = Origin.LIVE,
        forwarded_from: UUID | None = None,
        reports: tuple[Letter, Sequence[str]] | None = None,
    ) -> Letter:
        """A message on the record of the applicants, from the first of them unless told, with all that follows.

        Args:
            files: name, content and content id (which makes it inline) of each.
            reports: it is a bounce of that letter, which did not reach those addresses.
        """
        written_by = sender or applicants[0]
        letter = Letter(new_id(), thread_id or new_id())
        keys = [await self._stored(content) for _, content, _ in files]
        source_key = await self._stored(source or b"Subject: x\r\n\r\nx\r\n")
        async with unit_of_work(self.deps, self.id) as work:
            if thread_id is None:
                await work.tx.execute(
                    "INSERT INTO thread (id, organisation_id, subject, snippet, visibility, last_message_at, "
                    "forwarded_from_id, created_at) VALUES ($1, $2, '', '', $3, $4, $5, $4)",
                    letter.thread_id,
                    self.id,
                    visibility,
                    sent_at,
                    forwarded_from,
                )
            people = {
                "from": [entry(written_by)],
                "to": [entry(person) for person in to],
                "cc": [],
                "bcc": [entry(person) for person in bcc],
                "reply_to": [],
                "sender": [],
            }
            is_ours = isinstance(written_by, Colleague)
            await work.tx.execute(
                "INSERT INTO message (id, organisation_id, thread_id, fingerprint, rfc_message_id, direction, kind, "
                "origin, subject, people, sender_user_id, sent_at, received_at, snippet, reply_text, text, html, "
                "has_attachments, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, 'REGULAR', $7, $8, $9, $10, $11, $11, "
                "$12, $12, $12, $13, $14, $11)",
                letter.id,
                self.id,
                letter.thread_id,
                letter.id.bytes,
                f"{letter.id.hex}@mail.example",
                "OUTBOUND" if is_ours else "INBOUND",
                origin.value,
                subject,
                people,
                written_by.id if isinstance(written_by, Colleague) else None,
                sent_at,
                text,
                html,
                any(content_id is None for _, _, content_id in files),
            )
            indexed = IndexedMessage(letter.id, letter.thread_id, subject, people, text)
            await index_messages(work.tx, self.id, [indexed])
            await self._hang_on(work, letter, applicants, files, keys, sent_at)
            await work.tx.insert_many(
                "message_copy",
                ("message_id", "mailbox_id", "folder", "remote_id", "received_at", "size_bytes", "source_key"),
                [
                    (letter.id, mailbox_id, "INBOX", letter.id.hex, sent_at, len(source or b""), source_key)
                    for mailbox_id in mailboxes
                ],
            )
            if reports is not None:
                await _report(work, letter, *reports)
            await disclose_bounces(work.tx, [letter.thread_id])
            await write_summaries(work.tx, [letter.thread_id])
            await write_readers(work.tx, [letter.thread_id])
            work.announce(
                NewEvent(
                    EventKind.MESSAGE_ADDED,
                    origin=origin,
                    thread_id=letter.thread_id,
                    message_id=letter.id,
                    candidate_ids=tuple(applicant.id for applicant in applicants),
                )
            )
        return letter

    async def threads(self, count: int, *applicants: Applicant, **letter: Any) -> list[Letter]:
        """As many threads of one message each, a minute apart, the newest last."""
        return [
            await self.letter(*applicants, sent_at=NOON + timedelta(minutes=number), **letter)
            for number in range(count)
        ]

    async def do(self, sql: str, *values: Any) -> None:
        async with self.deps.db.transaction() as tx:
            await tx.execute(sql, *values)

    async def _stored(self, content: bytes) -> str:
        key = blob_key(self.id, content)
        await self.deps.blobs.put(key, content)
        return key

    async def _hang_on(
        self,
        work: UnitOfWork,
        letter: Letter,
        applicants: Sequence[Applicant],
        files: Sequence[tuple[str, bytes, str | None]],
        keys: Sequence[str],
        sent_at: datetime,
    ) -> None:
        """What belongs to the message: whose record it is on, and its files."""
        for applicant in applicants:
            await work.tx.execute(
                "INSERT INTO message_candidate (message_id, candidate_id, email_id) VALUES ($1, $2, $3)",
                letter.id,
                applicant.id,
                applicant.email_id,
            )
            await work.tx.execute(
                "INSERT INTO thread_candidate (thread_id, candidate_id, last_message_at) VALUES ($1, $2, $3) "
                "ON CONFLICT (thread_id, candidate_id) DO UPDATE SET last_message_at = "
                "greatest(thread_candidate.last_message_at, excluded.last_message_at)",
                letter.thread_id,
                applicant.id,
                sent_at,
            )
        await work.tx.insert_many(
            "attachment",
            (
                "id",
                "message_id",
                "position",
                "filename",
                "content_type",
                "size_bytes",
                "content_id",
                "is_inline",
                "blob_key",
            ),
            [
                (new_id(), letter.id, number, name, "application/pdf", len(content), content_id, bool(content_id), key)
                for number, ((name, content, content_id), key) in enumerate(zip(files, keys, strict=True))
            ],
        )


async def _report(work: UnitOfWork, letter: Letter, about: Letter, addresses: Sequence[str]) -> None:
    about_id = f"{about.id.hex}@mail.example"
    await work.tx.execute("UPDATE message SET kind = 'BOUNCE' WHERE id = $1", letter.id)
    await work.tx.insert_many(
        "bounce",
        ("message_id", "organisation_id", "about", "about_key", "is_complaint", "failures"),
        [
            (
                letter.id,
                work.organisation_id,
                about_id,
                message_id_key(about_id),
                False,
                [
                    {
                        "address": address,
                        "status": "5.1.1",
                        "permanence": "HARD",
                        "reason": "USER_UNKNOWN",
                        "diagnostic": f"550 5.1.1 {address}: unknown",
                    }
                    for address in addresses
                ],
            )
        ],
    )
