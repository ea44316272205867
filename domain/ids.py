"""How things are named: UUIDs within, prefixed opaque ids without.

Ids are UUIDs of version 7 (RFC 9562 §5.7), made by the application: rows can be built and linked before they are
stored, they lie in the index in the order they were made, and they count nothing a stranger could read off.
"""

from typing import NewType
from uuid import UUID

from domain import clock

OrganisationId = NewType("OrganisationId", UUID)
UserId = NewType("UserId", UUID)
JobId = NewType("JobId", UUID)
CandidateId = NewType("CandidateId", UUID)
MailboxId = NewType("MailboxId", UUID)
ThreadId = NewType("ThreadId", UUID)
MessageId = NewType("MessageId", UUID)
AttachmentId = NewType("AttachmentId", UUID)

_UUID_HEX_LENGTH = 32


def new_id() -> UUID:
    """A fresh version 7 UUID: 48 bits of milliseconds, then 74 random bits."""
    milliseconds = int(clock.now().timestamp() * 1000)
    value = bytearray(milliseconds.to_bytes(6, "big") + clock.random_bytes(10))
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return UUID(bytes=bytes(value))


def to_global(kind: str, row_id: UUID) -> str:
    """The id that clients see: `thread_0192…`. `kind` is the GraphQL type's name in lower case."""
    return f"{kind}_{row_id.hex}"


def from_global(global_id: str) -> tuple[str, UUID] | None:
    """Kind and row id of a client's id; None where it cannot be one of ours (and so names nothing)."""
    kind, _, digits = global_id.rpartition("_")
    if not kind or len(digits) != _UUID_HEX_LENGTH or not digits.isascii():
        return None
    try:
        return kind, UUID(hex=digits)
    except ValueError:
        return None
