"""What happened, in order: the stream that subscribers read, and the log that nobody rewrites."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField

from models.base import Link
from models.organisation import Organisation


class Event(Link):
    """One change, written in the transaction that made it. Kept for seven days."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    position: int = fields.BigIntField()
    """Microseconds since 1970, unique in the organisation and rising in commit order."""
    kind = fields.CharField(max_length=24)
    origin = fields.CharField(max_length=8, null=True)
    thread_id: UUID | None = fields.UUIDField(null=True)
    message_id: UUID | None = fields.UUIDField(null=True)
    candidate_id: UUID | None = fields.UUIDField(null=True)
    mailbox_id: UUID | None = fields.UUIDField(null=True)
    retired_id: UUID | None = fields.UUIDField(null=True)
    candidate_ids: list[UUID] = ArrayField("uuid", db_default=[])
    """For the filter of a subscription: whose record the thread is on."""
    audience: list[UUID] | None = ArrayField("uuid", null=True)
    """The principals it is for; null where the thread's own readers decide at the moment of delivery."""

    class Meta:
        table = "event"
        unique_together = (("organisation_id", "position"),)


class AuditEntry(Link):
    """Who did what, without content. Append-only: the database refuses change and deletion."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    at = fields.DatetimeField()
    actor_id: UUID | None = fields.UUIDField(null=True)
    action = fields.CharField(max_length=64)
    subject_ids: list[str] = ArrayField("text", db_default=[])
    reason: str | None = fields.TextField(null=True)

    class Meta:
        table = "audit_entry"
        indexes = (("organisation_id", "at"),)
