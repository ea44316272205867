"""What messages are found by."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import TSVectorField
from tortoise.models import Model

from models.message import Message


class MessageSearch(Model):
    """The words of a message, by which its thread is found; nothing that its readers are not all shown."""

    message: fields.OneToOneRelation[Message] = fields.OneToOneField(
        "models.Message", related_name=False, primary_key=True
    )
    message_id: UUID
    thread_id: UUID = fields.UUIDField(db_index=True)
    """The message's, which a trigger keeps in step."""
    vector = TSVectorField()
    """As `domain.search_index` says."""

    class Meta:
        table = "message_search"
