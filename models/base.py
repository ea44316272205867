"""What every row has."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id


class Row(Model):
    """A row named by an id of its own."""

    id: UUID = fields.UUIDField(primary_key=True, default=new_id)

    class Meta:
        abstract = True


class Link(Model):
    """A row that ties others together and that nobody names: its key is a plain counter."""

    id: int = fields.BigIntField(primary_key=True, generated=True)

    class Meta:
        abstract = True
