"""What does a large office with years of mail look like in the database?

Rows by a seeded generator, written by COPY, with the summaries and readers that the services would have worked out for
them. Copies in mailboxes, the keys that lead mail to threads, and the bytes of files are left out: no list reads them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from domain.access import Reason, Visibility, thread_readers
from infra.db import Database, Transaction

SEED = 7
ORGANISATIONS = 20
USERS = 10
"""In an organisation: one administrator, five who see everybody, four of hiring teams."""
JOBS = 10
MESSAGES = 10
"""In a thread."""
PRIVATE_PERCENT = 10
ATTACHMENT_PERCENT = 10
LIVE_FROM = 0.9
"""The newest tenth of the mail came in while the office was connected."""
THREADS_AT_ONCE = 500
FIRST = datetime(2023, 1, 1, tzinfo=UTC)
LAST = datetime(2026, 1, 1, tzinfo=UTC)

_LEVELS = ["ADMIN"] + ["FULL"] * 5 + ["HIRING_TEAM"] * 4
_PROSE = """
thank you for the application we have read it with interest and would like to meet on Tuesday please tell whether that
is possible the team looks forward to the conversation about experience salary start date and references
"""
_WORDS = _PROSE.split()


@dataclass(frozen=True, slots=True)
class Size:
    """Of all organisations together."""

    candidates: int
    threads: int


SIZES = {"small": Size(2_000, 10_000), "full": Size(20_000, 100_000)}


@dataclass(frozen=True, slots=True)
class Person:
    """A user or a candidate of an organisation."""

    id: UUID
    name: str
    address: str
    email_id: UUID | None = None

    def entry(self) -> dict[str, Any]:
        return _entry(self.name, self.address, None if self.email_id else self.id.hex)


@dataclass(frozen=True, slots=True)
class Office:
    """One organisation with its people."""

    id: UUID
    users: list[Person]
    candidates: list[Person]
    jobs: dict[UUID, UUID]
    """Which one each candidate applied to."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Of one table."""

    table: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class OfficeRows:
    """The generator: the same rows for the same seed."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._chance = Random(SEED)  # noqa: S311 - made up, not secret
        self._ids = count(1)

    async def write(self, db: Database) -> list[Office]:
        """Writes everything, and returns the people."""
        offices = []
        for number in range(ORGANISATIONS):
            async with db.transaction(durable=False) as tx:
                offices.append(await self._office(tx, number))
        for office in offices:
            waiting = self._size.threads // ORGANISATIONS
            while waiting > 0:
                async with db.transaction(durable=False) as tx:
                    await self._threads(tx, office, min(THREADS_AT_ONCE, waiting))
                waiting -= THREADS_AT_ONCE
        return offices

    async def _office(self, tx: Transaction, number: int) -> Office:
        organisation_id = self._id(FIRST)
        users = [self._person(f"colleague{n}@office{number}.example") for n in range(USERS)]
        candidates = [
            self._person(f"candidate{n}@mail{number}.example", is_candidate=True)
            for n in range(self._size.candidates // ORGANISATIONS)
        ]
        jobs = [self._id(FIRST) for _ in range(JOBS)]
        applied = {person.id: self._chance.choice(jobs) for person in candidates}
        own = organisation_id, FIRST
        for each in (
            _Rows("organisation", ("id", "name", "created_at"), [(organisation_id, f"Office {number}", FIRST)]),
            _Rows(
                "user_account",
                ("id", "name", "external_id", "email", "access_level", "organisation_id", "reads_since", "created_at"),
                [
                    (user.id, user.name, user.address, user.address, level, organisation_id, FIRST, FIRST)
                    for user, level in zip(users, _LEVELS, strict=True)
                ],
            ),
            _Rows(
                "job",
                ("id", "external_id", "title", "organisation_id", "created_at"),
                [(job, job.hex, "A job", *own) for job in jobs],
            ),
            _Rows(
                "job_member",
                ("job_id", "user_id"),
                [(job, user.id) for user in users[6:] for job in self._chance.sample(jobs, 2)],
            ),
            _Rows(
                "candidate",
                ("id", "external_id", "name", "organisation_id", "created_at"),
                [(person.id, person.address, person.name, *own) for person in candidates],
            ),
            _Rows(
                "candidate_email",
                ("id", "candidate_id", "address", "canonical", "base", "organisation_id", "added_at"),
                [
                    (person.email_id, person.id, person.address, person.address, person.address, *own)
                    for person in candidates
                ],
            ),
            _Rows(
                "application",
                ("candidate_id", "job_id"),
                list(applied.items()),
            ),
        ):
            await tx.insert_many(each.table, each.columns, each.rows)
        return Office(organisation_id, users, candidates, applied)

    async def _threads(self, tx: Transaction, office: Office, number: int) -> None:
        threads = _Rows("thread", _THREAD, [])
        readers = _Rows("thread_reader", ("thread_id", "principal", "reason", "last_message_at"), [])
        listed = _Rows("thread_candidate", ("thread_id", "candidate_id", "last_message_at"), [])
        messages = _Rows("message", _MESSAGE, [])
        records = _Rows("message_candidate", ("message_id", "candidate_id", "email_id"), [])
        files = _Rows("attachment", _ATTACHMENT, [])
        for _ in range(number):
            began_at = FIRST + (LAST - FIRST) * self._chance.random()
            thread_id = self._id(began_at)
            candidate = self._chance.choice(office.candidates)
            found = [
                dict(zip(_MESSAGE, row, strict=True)) for row in self._messages(office, candidate, thread_id, began_at)
            ]
            reasons = self._readers(office, candidate, found)
            last_at = found[-1]["sent_at"]
            visibility = "SHARED" if office.id in reasons else "PRIVATE"
            threads.rows.append(_thread(office.id, found, visibility, list(reasons)))
            readers.rows.extend((thread_id, principal, reason.value, last_at) for principal, reason in reasons.items())
            listed.rows.append((thread_id, candidate.id, last_at))
            messages.rows.extend(tuple(message.values()) for message in found)
            records.rows.extend((message["id"], candidate.id, candidate.email_id) for message in found)
            files.rows.extend(
                (self._id(began_at), message["id"], 0, "cv.pdf", "application/pdf", 80_000, False, "-")
                for message in found
                if message["has_attachments"]
            )
        for each in (threads, readers, listed, messages, records, files):
            await tx.insert_many(each.table, each.columns, each.rows)

    def _readers(self, office: Office, candidate: Person, messages: list[dict[str, Any]]) -> Mapping[UUID, Reason]:
        is_private = self._chance.randrange(100) < PRIVATE_PERCENT
        named = {entry["user_id"] for message in messages for entry in _named(message)}
        return thread_readers(
            office.id,
            Visibility.PRIVATE if is_private else Visibility.SHARED,
            candidate_job_ids=[office.jobs[candidate.id]],
            participant_ids=[UUID(user_id) for user_id in named if user_id is not None],
            bcc_ids=(),
            shared_mailbox_ids=(),
        )

    def _messages(
        self, office: Office, candidate: Person, thread_id: UUID, began_at: datetime
    ) -> Iterator[tuple[Any, ...]]:
        """A conversation of three to five people, in which the candidate and a colleague take turns."""
        chance = self._chance
        colleague, *others = chance.sample(office.users, chance.randint(1, 2))
        stranger = _entry(None, f"referee{chance.randrange(500)}@elsewhere.example", None)
        copied = [*[other.entry() for other in others], *([stranger] if chance.random() < 0.5 else [])]
        copied = copied or [stranger]
        subject = self._text(5)
        for number in range(MESSAGES):
            is_ours = number % 2 == 1
            sender, recipient = (colleague, candidate) if is_ours else (candidate, colleague)
            sent_at = began_at + timedelta(hours=7 * number)
            message_id = self._id(sent_at)
            is_live = sent_at > FIRST + (LAST - FIRST) * LIVE_FROM
            reply = self._text(60)
            yield (
                message_id,
                office.id,
                thread_id,
                message_id.bytes,
                f"{message_id.hex}@mail.example",
                "OUTBOUND" if is_ours else "INBOUND",
                "REGULAR",
                "LIVE" if is_live else "IMPORT",
                subject,
                {"from": [sender.entry()], "to": [recipient.entry()], "cc": copied, "bcc": []},
                colleague.id if is_ours else None,
                sent_at,
                sent_at,
                reply[:120],
                reply,
                reply + "\n\n> " + reply,
                chance.randrange(100) < ATTACHMENT_PERCENT,
                sent_at,
            )

    def _person(self, address: str, *, is_candidate: bool = False) -> Person:
        name = f"{self._chance.choice(_WORDS).title()} {self._chance.choice(_WORDS).title()}"
        return Person(self._id(FIRST), name, address, self._id(FIRST) if is_candidate else None)

    def _text(self, words: int) -> str:
        return " ".join(self._chance.choices(_WORDS, k=words))

    def _id(self, at: datetime) -> UUID:
        """A version 7 UUID of this time, counted up where the real ones are random."""
        value = bytearray(int(at.timestamp() * 1000).to_bytes(6, "big") + next(self._ids).to_bytes(10, "big"))
        value[6], value[8] = 0x70, 0x80
        return UUID(bytes=bytes(value))


def _entry(name: str | None, address: str, user_id: str | None) -> dict[str, Any]:
    raw = f"{name} <{address}>" if name else address
    return {"name": name, "address": address, "raw": raw, "canonical": address, "user_id": user_id}


def _named(message: dict[str, Any]) -> list[dict[str, Any]]:
    people = message["people"]
    return [*people["from"], *people["to"], *people["cc"]]


def _thread(
    organisation_id: UUID, messages: list[dict[str, Any]], visibility: str, readers: list[UUID]
) -> tuple[Any, ...]:
    first, last = messages[0], messages[-1]
    live = [each["recorded_at"] for each in messages if (each["origin"], each["direction"]) == ("LIVE", "INBOUND")]
    summary = {
        "id": last["id"].hex,
        "from": last["people"]["from"][0],
        "sent_at": last["sent_at"].isoformat(),
        "snippet": last["snippet"],
    }
    return (
        last["thread_id"],
        organisation_id,
        first["subject"],
        last["snippet"],
        visibility,
        readers,
        list({entry["canonical"]: entry for message in messages for entry in _named(message)}.values()),
        summary,
        last["sent_at"],
        max(live, default=None),
        len(messages),
        any(message["has_attachments"] for message in messages),
        first["sent_at"],
    )


_THREAD = (
    "id",
    "organisation_id",
    "subject",
    "snippet",
    "visibility",
    "readers",
    "participants",
    "last_message",
    "last_message_at",
    "last_live_inbound_at",
    "message_count",
    "has_attachments",
    "created_at",
)
_MESSAGE = (
    "id",
    "organisation_id",
    "thread_id",
    "fingerprint",
    "rfc_message_id",
    "direction",
    "kind",
    "origin",
    "subject",
    "people",
    "sender_user_id",
    "sent_at",
    "received_at",
    "snippet",
    "reply_text",
    "text",
    "has_attachments",
    "recorded_at",
)
_ATTACHMENT = ("id", "message_id", "position", "filename", "content_type", "size_bytes", "is_inline", "blob_key")
