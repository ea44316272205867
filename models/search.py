"""What messages are found by."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import TSVectorField
from tortoise.models import Model


class MessageSearch(Model):
    """The words of a message, by which its thread is found; nothing that its readers are not all shown."""

    message_id: UUID = fields.UUIDField(primary_key=True)
    """A foreign key too, by migration 0005: in one that is the primary key Tortoise sees a change each time."""
    thread_id: UUID = fields.UUIDField(db_index=True)
    """The message's, which a trigger keeps in step."""
    vector = TSVectorField()
    """As `domain.search_index` says."""

    class Meta:
        table = "message_search"
