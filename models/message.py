"""Messages, their copies in mailboxes, and their files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField

from models.base import Link, Row
from models.hiring import Candidate, CandidateEmail
from models.mailbox import Mailbox
from models.organisation import Organisation
from models.thread import Thread


class Message(Row):
    """The content of a message, once for the organisation however many mailboxes hold it (R1.10)."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    thread: fields.ForeignKeyRelation[Thread] = fields.ForeignKeyField("models.Thread", related_name=False)
    thread_id: UUID
    fingerprint: bytes = fields.BinaryField()
    """What makes it the same message in two mailboxes; domain.identity says how."""
    rfc_message_id: str | None = fields.TextField(null=True)
    references: list[str] = fields.JSONField(db_default=[])
    direction = fields.CharField(max_length=8)
    kind = fields.CharField(max_length=16)
    origin = fields.CharField(max_length=8)
    subject: str = fields.TextField()
    people: dict[str, Any] = fields.JSONField()
    """from, to, cc, bcc, reply_to and sender, each a list of {name, address, raw, canonical, user_id}."""
    sender_user_id: UUID | None = fields.UUIDField(null=True)
    """The colleague who wrote it: the one person who is shown Bcc."""
    sent_at = fields.DatetimeField()
    received_at = fields.DatetimeField()
    snippet: str = fields.TextField()
    reply_text: str = fields.TextField()
    text: str = fields.TextField()
    html: str | None = fields.TextField(null=True)
    defects: list[str] = fields.JSONField(db_default=[])
    has_attachments = fields.BooleanField(db_default=False)
    recorded_at = fields.DatetimeField()

    class Meta:
        table = "message"
        unique_together = (("organisation_id", "fingerprint"),)
        indexes = (("thread_id", "sent_at", "id"),)


class MessageCopy(Link):
    """A message as it lies in one mailbox."""

    message: fields.ForeignKeyRelation[Message] = fields.ForeignKeyField(
        "models.Message", related_name=False, db_index=True
    )
    message_id: UUID
    mailbox: fields.ForeignKeyRelation[Mailbox] = fields.ForeignKeyField("models.Mailbox", related_name=False)
    mailbox_id: UUID
    folder: str = fields.TextField()
    remote_id = fields.CharField(max_length=200)
    rfc_message_id_key: bytes | None = fields.BinaryField(null=True)
    received_at = fields.DatetimeField()
    size_bytes: int = fields.BigIntField()
    source_key = fields.CharField(max_length=200, db_index=True)
    """Where the bytes lie as this mailbox received them."""
    provider_thread_id = fields.CharField(max_length=255, null=True)
    """The conversation that the mailbox's own server has put it in, where it tells. Indexed where there is one."""

    class Meta:
        table = "message_copy"
        unique_together = (("mailbox_id", "folder", "remote_id"),)
        indexes = (("mailbox_id", "rfc_message_id_key"),)


class MessageCandidate(Link):
    """A message on a candidate's record, and the address that put it there (R1.14)."""

    message: fields.ForeignKeyRelation[Message] = fields.ForeignKeyField("models.Message", related_name=False)
    message_id: UUID
    candidate: fields.ForeignKeyRelation[Candidate] = fields.ForeignKeyField(
        "models.Candidate", related_name=False, db_index=True
    )
    candidate_id: UUID
    email: fields.ForeignKeyRelation[CandidateEmail] = fields.ForeignKeyField(
        "models.CandidateEmail", related_name=False, db_index=True
    )
    email_id: UUID

    class Meta:
        table = "message_candidate"
        unique_together = (("message_id", "candidate_id", "email_id"),)


class Bounce(Link):
    """What a message reports of one that was sent before: that it did not arrive, is late, or was complained of."""

    message: fields.OneToOneRelation[Message] = fields.OneToOneField("models.Message", related_name=False)
    message_id: UUID
    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    about: str | None = fields.TextField(null=True)
    """The Message-ID of the message that it reports on."""
    about_key: bytes | None = fields.BinaryField(null=True)
    """The same as `thread_key.key` has it: how the bounces of a message are found."""
    is_complaint = fields.BooleanField()
    failures: list[dict[str, Any]] = fields.JSONField()
    """One for each recipient: {address, status, permanence, reason, diagnostic}."""
    shown: list[dict[str, Any]] = fields.JSONField(db_default=[])
    """What of `failures` is told to everybody; written, with the two below, in services.bounces alone."""
    is_open = fields.BooleanField(db_default=False)
    """It names nobody but those whom the message itself names: all its readers may read all of it (R3.5)."""
    told: list[UUID] = ArrayField("uuid", db_default=[])
    """The users who may read all of it in any case."""

    class Meta:
        table = "bounce"
        indexes = (("organisation_id", "about_key"),)


class Attachment(Row):
    message: fields.ForeignKeyRelation[Message] = fields.ForeignKeyField(
        "models.Message", related_name=False, db_index=True
    )
    message_id: UUID
    position: int = fields.IntField()
    filename: str = fields.TextField()
    content_type: str = fields.TextField()
    size_bytes: int = fields.BigIntField()
    content_id: str | None = fields.TextField(null=True)
    is_inline = fields.BooleanField()
    blob_key = fields.CharField(max_length=200, db_index=True)

    class Meta:
        table = "attachment"


class BlobClaim(Link):
    """Bytes that no row may be naming: written ahead of the rows that will, or left by rows that are gone."""

    key = fields.CharField(max_length=200, unique=True)
    due_at = fields.DatetimeField()
    """From then on they are thrown away, unless a row names them."""
    is_going = fields.BooleanField(db_default=False)
    """They are being thrown away: whoever wants to write the same bytes waits until that is done."""

    class Meta:
        table = "blob_claim"
