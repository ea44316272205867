"""What does a message say? From its bytes to a `ParsedMessage`, whatever the bytes.

Deterministic and without I/O. It takes time linear in the size of the message, within limits on header bytes, parts,
nesting and size; run it in a worker process (`infra.parse_pool`) all the same, as it reads what strangers send.
"""

from datetime import datetime

from domain.addresses import canonical
from domain.mail import Envelope, MailAddress, ParsedMessage
from domain.mime import bodies as message_bodies
from domain.mime.address_lists import read_addresses
from domain.mime.bounces import read_bounce
from domain.mime.dates import credible_date, read_date
from domain.mime.enclosures import open_enclosures
from domain.mime.encoded_words import decode_header
from domain.mime.header_block import read_headers
from domain.mime.kinds import read_kind
from domain.mime.message_ids import read_in_reply_to, read_message_id, read_references
from domain.mime.structure import read_structure
from domain.quoting import reply_text

__all__ = ["Envelope", "credible_date", "parse", "read_envelope"]

_SUBJECT_LENGTH = 2000
_SNIPPET_LENGTH = 200


def parse(raw: bytes) -> ParsedMessage:
    """The message, read. Never raises; where it is broken, `defects` says how, and what could be read is there."""
    root, defects = read_structure(raw)
    root = open_enclosures(root)
    envelope = _envelope(root.headers)
    bodies = message_bodies.sort_parts(root)
    text = message_bodies.plain_text(bodies)
    html = message_bodies.safe_html(bodies)
    reply = reply_text(text)
    leaves = message_bodies.leaves(root)
    bounce = read_bounce(root, leaves)
    return ParsedMessage(
        rfc_message_id=envelope.rfc_message_id,
        in_reply_to=envelope.in_reply_to,
        references=envelope.references,
        from_=envelope.from_,
        sender=envelope.sender,
        reply_to=envelope.reply_to,
        to=envelope.to,
        cc=envelope.cc,
        bcc=envelope.bcc,
        subject=_one_line(decode_header(root.header("subject") or b""), _SUBJECT_LENGTH),
        date=_date(root.headers),
        text=text,
        reply_text=reply,
        snippet=_one_line(reply[: 10 * _SNIPPET_LENGTH], _SNIPPET_LENGTH),
        html=html,
        kind=read_kind(root, leaves, bounce),
        attachments=message_bodies.read_attachments(bodies, html),
        defects=defects,
        bounce=bounce,
    )


def read_envelope(raw_headers: bytes) -> Envelope:
    """As `parse`, of the header block alone: for messages that are judged before they are fetched. Never raises."""
    return _envelope(read_headers(raw_headers))


def _envelope(headers: tuple[tuple[str, bytes], ...]) -> Envelope:
    first: dict[str, bytes] = {}
    for name, value in headers:
        first.setdefault(name, value)
    lists: dict[str, tuple[MailAddress, ...]] = {}
    for name in ("from", "sender", "reply-to", "to", "cc", "bcc"):
        values = [value for header, value in headers if header == name]
        lists[name] = read_addresses(b", ".join(values)) if values else ()
    entries = (entry for entries in lists.values() for entry in entries)
    participants = frozenset(form for entry in entries if entry.address and (form := canonical(entry.address)))
    return Envelope(
        rfc_message_id=read_message_id(first.get("message-id")),
        in_reply_to=read_in_reply_to(first.get("in-reply-to"), participants),
        references=read_references(first.get("references"), participants),
        from_=lists["from"],
        sender=lists["sender"],
        reply_to=lists["reply-to"],
        to=lists["to"],
        cc=lists["cc"],
        bcc=lists["bcc"],
    )


def _date(headers: tuple[tuple[str, bytes], ...]) -> datetime | None:
    """Of the first Date header that can be read."""
    dates = (read_date(value) for name, value in headers if name == "date")
    return next((date for date in dates if date is not None), None)


def _one_line(text: str, length: int) -> str:
    return " ".join(text.split())[:length].rstrip()
