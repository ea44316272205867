"""Connected mailboxes, how far each has been read, and what is still to be fetched."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.indexes import Index

from models.base import Link, Row
from models.hiring import Candidate
from models.organisation import Organisation, User


class Mailbox(Row):
    """A mailbox that somebody connected, with their consent and their choice of history."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False, db_index=True
    )
    organisation_id: UUID
    owner: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, null=True, db_index=True
    )
    owner_id: UUID | None
    provider = fields.CharField(max_length=16)
    kind = fields.CharField(max_length=16)
    address = fields.CharField(max_length=320)
    canonical = fields.CharField(max_length=320)
    base = fields.CharField(max_length=320)
    """For the guard (R1.7): whatever is delivered here under a tag is not a candidate's either."""
    is_proven = fields.BooleanField(db_default=False)
    """The address counts as sender, participant and guard only once it is proven to be this mailbox's (R2.1)."""
    proof_message_id: str | None = fields.TextField(null=True)
    """The Message-ID of the letter that proves the address once it is found here; nobody else can know it."""
    proof_sent_at = fields.DatetimeField(null=True)
    aliases: list[str] = ArrayField("text", db_default=[])
    excluded: list[str] = ArrayField("text", db_default=[])
    signature: str | None = fields.TextField(null=True)
    is_primary = fields.BooleanField(db_default=False)
    sync_enabled = fields.BooleanField(db_default=True)
    account: str = fields.TextField()
    """Which mailbox it is, whatever address is claimed for it: host and user name, folded. Connected once (R2.6)."""
    login: dict[str, Any] = fields.JSONField(db_default={})
    """Hosts, ports, security and user names: what the owner may see again."""
    credentials: bytes = fields.BinaryField()
    """Passwords or tokens, sealed and bound to this row."""

    consented_by: UUID = fields.UUIDField()
    consented_at = fields.DatetimeField()
    connected_at = fields.DatetimeField()
    disconnected_at = fields.DatetimeField(null=True)
    history_scope = fields.CharField(max_length=16)
    history_oldest = fields.DatetimeField(null=True)
    """Received at or after this is in scope; null for everything, and for NONE nothing older than connecting."""
    history_count: int | None = fields.IntField(null=True)
    """For LATEST: how many. The first run turns it into `history_oldest`."""

    import_scanned: int = fields.IntField(db_default=0)
    import_total: int | None = fields.IntField(null=True)
    import_started_at = fields.DatetimeField(null=True)
    import_finished_at = fields.DatetimeField(null=True)

    problem_code = fields.CharField(max_length=32, null=True)
    problem_message: str | None = fields.TextField(null=True)
    problem_hint: str | None = fields.TextField(null=True)
    problem_since = fields.DatetimeField(null=True)
    needs_reauthorization = fields.BooleanField(db_default=False)
    failures: int = fields.IntField(db_default=0)

    requested_at = fields.DatetimeField()
    """When somebody last asked for a sync: a run that began before it does another round."""
    next_run_at = fields.DatetimeField(null=True)
    """When it is due. Null only while it is switched off, disconnected or waiting for its owner."""
    lease_token: int = fields.BigIntField(db_default=0)
    """Fencing: moves with every lease, and every transaction of a sync names the one it holds."""
    lease_until = fields.DatetimeField(null=True)
    watch_token: UUID | None = fields.UUIDField(null=True)
    watch_until = fields.DatetimeField(null=True)
    """Which watch process holds its IDLE connection, and until when without a further word."""
    last_synced_at = fields.DatetimeField(null=True)
    complete_until = fields.DatetimeField(null=True)

    class Meta:
        table = "mailbox"
        indexes = (("organisation_id", "base"), ("next_run_at",))


class MailboxViewer(Link):
    """A user who reads and sends from a shared mailbox."""

    mailbox: fields.ForeignKeyRelation[Mailbox] = fields.ForeignKeyField("models.Mailbox", related_name=False)
    mailbox_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, db_index=True)
    user_id: UUID

    class Meta:
        table = "mailbox_viewer"
        unique_together = (("mailbox_id", "user_id"),)


class FolderState(Link):
    """How far a folder has been read: everything the cursor covers is stored, in the ledger, or nobody's."""

    mailbox: fields.ForeignKeyRelation[Mailbox] = fields.ForeignKeyField("models.Mailbox", related_name=False)
    mailbox_id: UUID
    folder: str = fields.TextField()
    live_cursor: dict[str, Any] = fields.JSONField()
    history_cursor: dict[str, Any] | None = fields.JSONField(null=True)
    """News and history move by cursors of their own. Null: the folder came after connecting, and all in it is news."""
    scanned: int = fields.BigIntField(db_default=0)
    """Messages looked at here; what was nobody's is counted and otherwise forgotten."""

    class Meta:
        table = "folder_state"
        unique_together = (("mailbox_id", "folder"),)


class LedgerEntry(Link):
    """A message with a candidate that is still to be fetched, or was given up."""

    mailbox: fields.ForeignKeyRelation[Mailbox] = fields.ForeignKeyField("models.Mailbox", related_name=False)
    mailbox_id: UUID
    folder: str = fields.TextField()
    remote_id = fields.CharField(max_length=200)
    received_at = fields.DatetimeField()
    size_bytes: int = fields.BigIntField()
    origin = fields.CharField(max_length=8)
    attempts: int = fields.IntField(db_default=0)
    """Counted before each start, so that a message that kills its worker is found out."""
    failures: int = fields.IntField(db_default=0)
    """Times that it was fetched and could not be read."""
    next_attempt_at = fields.DatetimeField()
    quarantine_reason: str | None = fields.TextField(null=True)

    class Meta:
        table = "ledger_entry"
        unique_together = (("mailbox_id", "folder", "remote_id"),)
        indexes = (Index(fields=("mailbox_id", "origin", "received_at")),)


class MailboxSearch(Row):
    """A search of a mailbox for an address that was added to a candidate (R1.11, R1.13)."""

    mailbox: fields.ForeignKeyRelation[Mailbox] = fields.ForeignKeyField(
        "models.Mailbox", related_name=False, db_index=True
    )
    mailbox_id: UUID
    candidate: fields.ForeignKeyNullableRelation[Candidate] = fields.ForeignKeyField(
        "models.Candidate", related_name=False, null=True, on_delete=fields.SET_NULL, db_index=True
    )
    candidate_id: UUID | None
    address = fields.CharField(max_length=320)
    requested_at = fields.DatetimeField()
    due_at = fields.DatetimeField(null=True)
    """When to run it (again): provider search lags, so it is repeated once. Null when done."""
    rounds: int = fields.IntField(db_default=0)
    finished_at = fields.DatetimeField(null=True)
    found: int = fields.IntField(db_default=0)

    class Meta:
        table = "mailbox_search"
