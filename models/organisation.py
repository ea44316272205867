"""Who works here: the organisation and its users."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField

from models.base import Link, Row


class Organisation(Row):
    """A tenant. Nothing of one organisation is ever seen from another."""

    name = fields.CharField(max_length=200)
    internal_domains: list[str] = ArrayField("text", db_default=[])
    branch_policy = fields.CharField(max_length=16, db_default="PRIVATE")
    event_position: int = fields.BigIntField(db_default=0)
    """The last position given to an event; its row lock puts events in commit order."""
    access_version: int = fields.BigIntField(db_default=0)
    """Moves whenever anybody's principals may have changed."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "organisation"


class User(Row):
    """A colleague who may sign in."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False, db_index=True
    )
    organisation_id: UUID
    external_id = fields.CharField(max_length=200)
    name = fields.CharField(max_length=200)
    # `sought` is beside it as it is beside a candidate's.
    email = fields.CharField(max_length=320)
    access_level = fields.CharField(max_length=16, db_default="HIRING_TEAM")
    is_active = fields.BooleanField(db_default=True)
    reads_since = fields.DatetimeField()
    """Mail from before this counts as read: when the account, or its wider access, began."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "user_account"
        unique_together = (("organisation_id", "external_id"),)


class UserAddress(Link):
    """An address that is a user's. Guards against taking colleagues for candidates (R1.7)."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, db_index=True)
    user_id: UUID
    address = fields.CharField(max_length=320)
    canonical = fields.CharField(max_length=320)
    base = fields.CharField(max_length=320)

    class Meta:
        table = "user_address"
        unique_together = (("organisation_id", "canonical"),)
        indexes = (("organisation_id", "base"),)
