"""Conversations, who reads them, and what leads a message to its thread."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField

from models.base import Link, Row
from models.hiring import Candidate
from models.organisation import Organisation, User


class Thread(Row):
    """A conversation, with all that a list shows of it kept in the row itself."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False, db_index=True
    )
    organisation_id: UUID
    subject: str = fields.TextField()
    snippet: str = fields.TextField()
    visibility = fields.CharField(max_length=8, db_default="SHARED")
    readers: list[UUID] = ArrayField("uuid", db_default=[])
    """The principals that may read it; written together with `thread_reader`, in services.threading alone."""
    participants: list[dict[str, Any]] = fields.JSONField(db_default=[])
    last_message: dict[str, Any] = fields.JSONField(db_default={})
    last_message_at = fields.DatetimeField()
    last_live_inbound_at = fields.DatetimeField(null=True)
    """Live mail from outside makes a thread unread; imports do not."""
    message_count: int = fields.IntField(db_default=0)
    has_attachments = fields.BooleanField(db_default=False)
    forwarded_from_id: UUID | None = fields.UUIDField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "thread"


class RetiredThread(Row):
    """The id of a thread that was merged into another, and goes on working (R4.1)."""

    thread: fields.ForeignKeyRelation[Thread] = fields.ForeignKeyField(
        "models.Thread", related_name=False, db_index=True
    )
    thread_id: UUID

    class Meta:
        table = "retired_thread"


class ThreadKey(Link):
    """A Message-ID that a thread holds or has heard of: how parents, children and siblings find each other."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    key: bytes = fields.BinaryField()
    """The first 16 bytes of the id's SHA-256: ids can be longer than an index entry may be."""
    thread: fields.ForeignKeyRelation[Thread] = fields.ForeignKeyField(
        "models.Thread", related_name=False, db_index=True
    )
    thread_id: UUID

    class Meta:
        table = "thread_key"
        unique_together = (("organisation_id", "key", "thread_id"),)


class ThreadReader(Link):
    """The inbox index: a thread under each principal that reads it, in order of its newest message."""

    thread: fields.ForeignKeyRelation[Thread] = fields.ForeignKeyField("models.Thread", related_name=False)
    thread_id: UUID
    principal: UUID = fields.UUIDField()
    reason = fields.CharField(max_length=16)
    last_message_at = fields.DatetimeField()

    class Meta:
        table = "thread_reader"
        unique_together = (("thread_id", "principal"),)
        indexes = (("principal", "last_message_at", "thread_id"),)


class ThreadCandidate(Link):
    """A thread on a candidate's record, in order of its newest message."""

    thread: fields.ForeignKeyRelation[Thread] = fields.ForeignKeyField("models.Thread", related_name=False)
    thread_id: UUID
    candidate: fields.ForeignKeyRelation[Candidate] = fields.ForeignKeyField("models.Candidate", related_name=False)
    candidate_id: UUID
    last_message_at = fields.DatetimeField()

    class Meta:
        table = "thread_candidate"
        unique_together = (("thread_id", "candidate_id"),)
        indexes = (("candidate_id", "last_message_at", "thread_id"),)


class ThreadRead(Link):
    """When a user last opened a thread here."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False)
    user_id: UUID
    thread: fields.ForeignKeyRelation[Thread] = fields.ForeignKeyField(
        "models.Thread", related_name=False, db_index=True
    )
    thread_id: UUID
    read_until = fields.DatetimeField()

    class Meta:
        table = "thread_read"
        unique_together = (("user_id", "thread_id"),)
