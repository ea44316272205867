"""How a message is laid down in rows: its people, its direction, its files and its copies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from domain import clock
from domain.addresses import canonical
from domain.identity import message_id_key
from domain.ids import new_id
from domain.mail import BounceReport, MailAddress, ParsedMessage
from infra.db import Transaction
from services.matching import AddressBook
from services.search_index import IndexedMessage, index_messages


@dataclass(frozen=True, slots=True)
class RecordedCopy:
    """Where a message lies in a mailbox."""

    message_id: UUID
    mailbox_id: UUID
    folder: str
    remote_id: str
    rfc_message_id: str | None
    received_at: datetime
    size_bytes: int
    source_key: str
    provider_thread_id: str | None


def addresses_of(message: ParsedMessage) -> set[str]:
    """The canonical addresses of all headers by which a message is matched (R1.4).

    A bounce is matched as the message that came back would be, and by those whom it did not reach.
    """
    entries = (
        *message.from_,
        *message.sender,
        *message.reply_to,
        *message.to,
        *message.cc,
        *message.bcc,
    )
    written = [entry.address for entry in entries]
    if message.bounce is not None:
        written += [*message.bounce.addressees, *(failure.recipient for failure in message.bounce.failures)]
    return {form for address in written if address and (form := canonical(address))}


def people_of(message: ParsedMessage, book: AddressBook) -> dict[str, list[dict[str, Any]]]:
    """The message's people as its row keeps them; who is a colleague is settled here, for good (R3.3)."""
    return {
        "from": _entries(message.from_, book),
        "to": _entries(message.to, book),
        "cc": _entries(message.cc, book),
        "bcc": _entries(message.bcc, book),
        "reply_to": _entries(message.reply_to, book),
        "sender": _entries(message.sender, book),
    }


def direction_of(message: ParsedMessage, people: dict[str, list[dict[str, Any]]], book: AddressBook) -> str:
    """INBOUND, OUTBOUND or INTERNAL, by who wrote to whom. A report comes in, also from the own server."""
    senders = people["from"] or people["sender"]
    if message.bounce is not None or not any(entry["canonical"] in book.internal for entry in senders):
        return "INBOUND"
    recipients = (*people["to"], *people["cc"], *people["bcc"])
    return "INTERNAL" if all(entry["canonical"] in book.internal for entry in recipients) else "OUTBOUND"


_INDEXED_AT_ONCE = 20
"""Messages whose words are cut in one go: long ones take a millisecond each, and the loop has others to serve."""

_MESSAGE_COLUMNS = (
    "id",
    "organisation_id",
    "thread_id",
    "fingerprint",
    "rfc_message_id",
    "references",
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
    "html",
    "defects",
    "has_attachments",
    "recorded_at",
)
_BOUNCE_COLUMNS = ("message_id", "organisation_id", "about", "about_key", "is_complaint", "failures")
_ATTACHMENT_COLUMNS = (
    "id",
    "message_id",
    "position",
    "filename",
    "content_type",
    "size_bytes",
    "content_id",
    "is_inline",
    "blob_key",
)


async def write_messages(tx: Transaction, organisation_id: UUID, messages: Sequence[dict[str, Any]]) -> None:
    """Rows of new messages, of what they report and of their attachments."""
    now = clock.now()
    await tx.insert_many("message", _MESSAGE_COLUMNS, [_message_row(organisation_id, now, m) for m in messages])
    bounces = [_bounce_row(organisation_id, m["id"], m["parsed"].bounce) for m in messages if m["parsed"].bounce]
    if bounces:
        await tx.insert_many("bounce", _BOUNCE_COLUMNS, bounces)
    await tx.insert_many("attachment", _ATTACHMENT_COLUMNS, [row for m in messages for row in _attachment_rows(m)])
    for first in range(0, len(messages), _INDEXED_AT_ONCE):
        some = messages[first : first + _INDEXED_AT_ONCE]
        await index_messages(tx, organisation_id, [_indexed(message) for message in some])


async def write_copies(tx: Transaction, copies: Iterable[RecordedCopy]) -> None:
    """Copies, each once, however often a mailbox reports it."""
    rows = [
        (
            copy.message_id,
            copy.mailbox_id,
            copy.folder,
            copy.remote_id,
            message_id_key(copy.rfc_message_id) if copy.rfc_message_id else None,
            copy.received_at,
            copy.size_bytes,
            copy.source_key,
            copy.provider_thread_id,
        )
        for copy in copies
    ]
    if rows:
        await tx.execute(
            "INSERT INTO message_copy (message_id, mailbox_id, folder, remote_id, rfc_message_id_key, received_at, "
            "size_bytes, source_key, provider_thread_id) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], "
            "$4::text[], $5::bytea[], $6::timestamptz[], $7::bigint[], $8::text[], $9::text[]) "
            "ON CONFLICT (mailbox_id, folder, remote_id) DO NOTHING",
            *(list(column) for column in zip(*rows, strict=True)),
        )


async def write_bcc(tx: Transaction, bcc: Mapping[UUID, list[dict[str, Any]]]) -> None:
    """The Bcc of messages, from their senders' own copies, whichever copy came first."""
    if bcc:
        await tx.execute(
            "UPDATE message m SET people = jsonb_set(m.people, '{bcc}', n.bcc) "
            "FROM unnest($1::uuid[], $2::jsonb[]) AS n(id, bcc) WHERE m.id = n.id",
            list(bcc),
            [orjson.dumps(entries).decode() for entries in bcc.values()],  # as text: not to be taken for a matrix
        )


def _message_row(organisation_id: UUID, now: datetime, message: dict[str, Any]) -> tuple[Any, ...]:
    parsed: ParsedMessage = message["parsed"]
    return (
        message["id"],
        organisation_id,
        message["thread_id"],
        message["fingerprint"],
        parsed.rfc_message_id,
        list(parsed.ancestry),
        message["direction"],
        parsed.kind.value,
        message["origin"].value,
        parsed.subject,
        message["people"],
        message["sender_user_id"],
        message["sent_at"],
        message["received_at"],
        parsed.snippet,
        parsed.reply_text,
        parsed.text,
        parsed.html,
        list(parsed.defects),
        any(not part.is_inline for part in parsed.attachments),
        now,
    )


def _bounce_row(organisation_id: UUID, message_id: UUID, bounce: BounceReport) -> tuple[Any, ...]:
    return (
        message_id,
        organisation_id,
        bounce.rfc_message_id,
        message_id_key(bounce.rfc_message_id) if bounce.rfc_message_id else None,
        bounce.is_complaint,
        [
            {
                "address": failure.recipient,
                "status": failure.status,
                "permanence": failure.permanence,
                "reason": failure.reason.value,
                "diagnostic": failure.diagnostic,
            }
            for failure in bounce.failures
        ],
    )


def _indexed(message: dict[str, Any]) -> IndexedMessage:
    parsed: ParsedMessage = message["parsed"]
    # What a server says of a message may name blind recipients, and a hit would tell of them (services.bounces).
    subject, text = ("", "") if parsed.bounce else (parsed.subject, parsed.text)
    return IndexedMessage(message["id"], message["thread_id"], subject, message["people"], text)


def _attachment_rows(message: dict[str, Any]) -> list[tuple[Any, ...]]:
    parsed: ParsedMessage = message["parsed"]
    return [
        (
            new_id(),
            message["id"],
            position,
            part.filename,
            part.content_type,
            len(part.content),
            part.content_id,
            part.is_inline,
            key,
        )
        for position, (part, key) in enumerate(zip(parsed.attachments, message["attachment_keys"], strict=True))
    ]


def _entries(entries: Iterable[MailAddress], book: AddressBook) -> list[dict[str, Any]]:
    found = []
    for entry in entries:
        form = canonical(entry.address) if entry.address else None
        user_id = book.users.get(form) if form else None
        found.append(
            {
                "name": entry.name,
                "address": entry.address if form else None,
                "raw": entry.raw,
                "canonical": form,
                "user_id": user_id.hex if user_id else None,
            }
        )
    return found
