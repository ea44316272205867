"""When are two copies the same message?

Message-IDs are missing, repeated by different messages, and can be forged, so a Message-ID alone is not an identity.
The fingerprint joins it with sender, date and what was said. Headers that differ between copies (Received, Bcc,
Delivered-To) and the way the content was encoded do not count.
"""

import hashlib
from collections.abc import Iterable

from domain.addresses import canonical
from domain.mail import MailAddress, ParsedMessage

_SEPARATOR = b"\x00"


def fingerprint(message: ParsedMessage) -> bytes:
    """32 bytes that are equal for copies of one message, in whatever mailbox they lie."""
    parts = [
        message.rfc_message_id or "",
        *_addresses(message.from_),
        message.date.isoformat() if message.date else "",
        _squeezed(message.text),
    ]
    if message.rfc_message_id is None:
        parts += [message.subject, *_addresses(message.to), *_addresses(message.cc)]
    digest = hashlib.sha256(_SEPARATOR.join(part.encode("utf-8", "replace") for part in parts))
    for attachment in message.attachments:
        digest.update(_SEPARATOR + hashlib.sha256(attachment.content).digest())
    return digest.digest()


def message_id_key(rfc_message_id: str) -> bytes:
    """A Message-ID as an index keeps it: 16 bytes, however long the id."""
    return hashlib.sha256(rfc_message_id.encode("utf-8", "replace")).digest()[:16]


def _addresses(entries: Iterable[MailAddress]) -> list[str]:
    return sorted(canonical(entry.address) or entry.raw if entry.address else entry.raw for entry in entries)


def _squeezed(text: str) -> str:
    """Without white space: line ends and trailing blanks are a transport's, not the writer's."""
    return "".join(text.split())
