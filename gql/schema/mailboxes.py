"""Connected mailboxes, as far as the viewer has to do with them."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Self
from uuid import UUID

import strawberry
from strawberry import enum_value

from domain.ids import to_global
from gql.context import Info
from gql.schema.hiring import Candidate, load_candidate
from gql.schema.node import Node
from gql.schema.organisation import User, load_user, load_users
from gql.schema.scalars import EmailAddress
from gql.schema.user_errors import ErrorCode
from services.paging import Row


@strawberry.enum(description="Who serves a mailbox.")
class MailProvider(Enum):
    GMAIL = enum_value("GMAIL", description="Google.")
    MICROSOFT = enum_value("MICROSOFT", description="Microsoft 365 or Outlook.")
    IMAP = enum_value("IMAP", description="Any other server, over IMAP and SMTP.")


@strawberry.enum(description="Whose a mailbox is.")
class MailboxKind(Enum):
    PERSONAL = enum_value(
        "PERSONAL", description="Belongs to one user, who alone can connect, change or disconnect it."
    )
    SHARED = enum_value("SHARED", description="Belongs to the organisation; the chosen viewers read and send from it.")


@strawberry.enum(description="How the reading of a mailbox stands.")
class MailboxState(Enum):
    CONNECTING = enum_value("CONNECTING", description="It is about to be read for the first time.")
    IMPORTING = enum_value("IMPORTING", description="Live already, and reading history as well.")
    LIVE = enum_value("LIVE", description="New mail is recorded as it comes.")
    PAUSED = enum_value("PAUSED", description="Switched off by its owner.")
    RETRYING = enum_value(
        "RETRYING", description="A passing fault: retried by itself, `problem` says what and when next."
    )
    NEEDS_REAUTHORIZATION = enum_value("NEEDS_REAUTHORIZATION", description="Only the owner can mend it.")
    DISCONNECTED = enum_value("DISCONNECTED", description="It is read no more.")


@strawberry.enum(description="How a connection is protected.")
class TransportSecurity(Enum):
    TLS = enum_value("TLS", description="From the first byte.")
    STARTTLS = enum_value("STARTTLS", description="Switched on before anything secret is said.")
    PLAIN = enum_value(
        "PLAIN",
        description="Accepted only where the server's operator allows it, and only for loopback by default.",
    )


@strawberry.type(description="What keeps a mailbox from being read.")
class MailboxProblem:
    code: ErrorCode = strawberry.field(description="What broke, for programs.")
    message: str = strawberry.field(description="What broke, for people.")
    hint: str | None = strawberry.field(description="What the person must do.")
    since: datetime = strawberry.field(description="When it began.")
    next_attempt_at: datetime | None = strawberry.field(description="Null where only the owner can mend it.")


@strawberry.type(description="How far the reading of old mail has come.")
class ImportProgress:
    scanned: int = strawberry.field(description="Messages whose headers were looked at.")
    matched: int = strawberry.field(description="Messages that were with a candidate, and are recorded.")
    total: int | None = strawberry.field(description="Null until the provider has told.")
    started_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="Null while it goes on.")


@strawberry.type(
    description="Proof that nothing was missed: what the provider holds in the synced folders, against what was "
    "decided."
)
class MailboxCoverage:
    complete_until: datetime | None = strawberry.field(description="Every message up to here has been decided on.")
    seen: int = strawberry.field(description="Messages looked at.")
    recorded: int = strawberry.field(description="With a candidate, and kept.")
    not_candidate: int = strawberry.field(description="Looked at and not with a candidate; nothing of them is kept.")
    pending: int = strawberry.field(description="Waiting to be fetched or retried.")
    quarantined: int = strawberry.field(
        description="Given up after repeated failures; listed with their cause in `quarantine`."
    )
    audited_at: datetime | None = strawberry.field(description="When the server's holdings were last compared.")
    repaired: int = strawberry.field(description="Messages that the last audit found missing, and fetched.")


@strawberry.type(description="A message that was given up.")
class QuarantinedMessage:
    reason: str = strawberry.field(description="Why it could not be recorded.")
    attempts: int = strawberry.field(description="How often it was tried.")
    received_at: datetime | None = strawberry.field(description="When the mail server took it in.")


@strawberry.type(description="Where a mail server is.")
class ServerSettings:
    host: str = strawberry.field(description="Its name or address.")
    port: int = strawberry.field(description="Its port.")
    security: TransportSecurity = strawberry.field(description="How the connection is protected.")


@strawberry.type(
    description="As connected. Only the owner, or an administrator for a shared mailbox, sees it; a password never "
    "leaves the server."
)
class ServerAccount:
    settings: ServerSettings = strawberry.field(description="Where the server is.")
    username: str = strawberry.field(description="Who logs in.")

    @classmethod
    def of(cls, login: Mapping[str, Any] | None) -> Self | None:
        if not login:
            return None
        security = TransportSecurity(login["security"])
        settings = ServerSettings(host=login["host"], port=login["port"], security=security)
        return cls(settings=settings, username=login["username"])


@strawberry.type(
    description="One search of the mailbox for an address that was added to a candidate: what its owner is told."
)
class MailboxSearch:
    candidate_key: strawberry.Private[UUID | None]
    address: EmailAddress = strawberry.field(description="What was searched for.")
    requested_at: datetime = strawberry.field(description="When the address was added.")
    finished_at: datetime | None = strawberry.field(description="Null while it is going on.")
    found: int = strawberry.field(description="Messages that were found.")

    @strawberry.field(
        description="Whose address it is. Null where the viewer may not see them, and once they are gone."
    )
    async def candidate(self, info: Info) -> Candidate | None:
        return await load_candidate(info, self.candidate_key)


@strawberry.type(description="A mailbox that somebody connected.")
class Mailbox(Node):
    key: strawberry.Private[UUID]
    owner_key: strawberry.Private[UUID | None]
    row: strawberry.Private[Row]
    address: EmailAddress = strawberry.field(description="Its main address.")
    aliases: list[EmailAddress] = strawberry.field(
        description="Other addresses that this mailbox sends and receives as."
    )
    provider: MailProvider = strawberry.field(description="Who serves it.")
    kind: MailboxKind = strawberry.field(description="Whose it is.")
    state: MailboxState = strawberry.field(description="How the reading of it stands.")
    problem: MailboxProblem | None = strawberry.field(description="What keeps it from being read.")
    sync_enabled: bool = strawberry.field(description="False while its owner has switched it off.")
    is_primary: bool = strawberry.field(description="Whether its owner's mail leaves from it.")
    signature: str | None = strawberry.field(description="Put under what is sent from it.")
    imap: ServerAccount | None = strawberry.field(description="Where its mail is read.")
    smtp: ServerAccount | None = strawberry.field(description="Where mail leaves from it.")
    excluded_addresses: list[str] = strawberry.field(
        description="Addresses and domains (`@example.org`) that the owner never wants matched in this mailbox. Shown "
        "to the owner alone, and of a shared mailbox to administrators."
    )
    connected_at: datetime = strawberry.field(description="When it was connected.")
    last_synced_at: datetime | None = strawberry.field(description="When it was last read; null before the first time.")

    @strawberry.field(description="Whose it is; null for a shared one.")
    async def owner(self, info: Info) -> User | None:
        return await load_user(info, self.owner_key)

    @strawberry.field(description="Who reads and sends from a shared mailbox. Empty for a personal one.")
    async def viewers(self, info: Info) -> list[User]:
        if self.kind is MailboxKind.PERSONAL:
            return []
        return await load_users(info, await info.context.loaders.viewers_of.load(self.key) or [])

    @strawberry.field(
        description="Searches for addresses that were added to candidates, told to those who manage the mailbox. "
        "Newest first, the last 100."
    )
    async def searches(self, info: Info) -> list[MailboxSearch]:
        return [
            MailboxSearch(
                candidate_key=row["candidate_id"],
                address=row["address"],
                requested_at=row["requested_at"],
                finished_at=row["finished_at"],
                found=row["found"],
            )
            for row in await info.context.loaders.searches_of.load(self.key) or ()
        ]

    @strawberry.field(
        name="import",
        description="How far the reading of old mail has come; null until it begins, and where none is wanted.",
    )
    async def import_(self, info: Info) -> ImportProgress | None:
        if self.row["import_started_at"] is None:
            return None
        counts = await info.context.loaders.counts_of.load(self.key)
        return ImportProgress(
            scanned=self.row["import_scanned"],
            matched=counts["recorded"] if counts else 0,
            total=self.row["import_total"],
            started_at=self.row["import_started_at"],
            finished_at=self.row["import_finished_at"],
        )

    @strawberry.field(description="What was decided of the mailbox's messages, in numbers.")
    async def coverage(self, info: Info) -> MailboxCoverage:
        counts = await info.context.loaders.counts_of.load(self.key) or dict.fromkeys(_COUNTED, 0)
        seen, recorded, pending, quarantined = (counts[name] for name in _COUNTED)
        return MailboxCoverage(
            complete_until=self.row["complete_until"],
            seen=seen,
            recorded=recorded,
            not_candidate=max(seen - recorded - pending - quarantined, 0),
            pending=pending,
            quarantined=quarantined,
            audited_at=None,
            repaired=0,
        )

    @strawberry.field(description="Messages that were given up, told to those who manage the mailbox. Newest first.")
    async def quarantine(self, info: Info) -> list[QuarantinedMessage]:
        return [
            QuarantinedMessage(
                reason=row["quarantine_reason"], attempts=row["attempts"], received_at=row["received_at"]
            )
            for row in await info.context.loaders.quarantine_of.load(self.key) or ()
        ]

    @classmethod
    def of(cls, row: Row) -> Self:
        login = row["login"] or {}
        return cls(
            id=strawberry.ID(to_global("mailbox", row["id"])),
            key=row["id"],
            owner_key=row["owner_id"],
            row=row,
            address=row["address"],
            aliases=row["aliases"],
            provider=MailProvider(row["provider"]),
            kind=MailboxKind(row["kind"]),
            state=_state(row),
            problem=_problem(row),
            sync_enabled=row["sync_enabled"],
            is_primary=row["is_primary"],
            signature=row["signature"],
            imap=ServerAccount.of(login.get("imap")),
            smtp=ServerAccount.of(login.get("smtp")),
            excluded_addresses=row["excluded"],
            connected_at=row["connected_at"],
            last_synced_at=row["last_synced_at"],
        )


async def load_mailbox(info: Info, mailbox_id: UUID | None) -> Mailbox | None:
    """The mailbox, where the viewer has to do with it."""
    row = None if mailbox_id is None else await info.context.loaders.mailboxes.load(mailbox_id)
    return None if row is None else Mailbox.of(row)


_COUNTED = ("seen", "recorded", "pending", "quarantined")


def _state(row: Row) -> MailboxState:
    """The first that holds, in this order."""
    is_importing = row["import_started_at"] is not None and row["import_finished_at"] is None
    holds = {
        MailboxState.DISCONNECTED: row["disconnected_at"] is not None,
        MailboxState.NEEDS_REAUTHORIZATION: row["needs_reauthorization"],
        MailboxState.PAUSED: not row["sync_enabled"],
        MailboxState.RETRYING: row["problem_code"] is not None,
        MailboxState.CONNECTING: row["last_synced_at"] is None and row["import_started_at"] is None,
        MailboxState.IMPORTING: is_importing,
        MailboxState.LIVE: True,
    }
    return next(state for state, is_so in holds.items() if is_so)


def _problem(row: Row) -> MailboxProblem | None:
    if row["problem_code"] is None:
        return None
    return MailboxProblem(
        code=ErrorCode(row["problem_code"]),
        message=row["problem_message"] or "",
        hint=row["problem_hint"],
        since=row["problem_since"] or row["connected_at"],
        next_attempt_at=None if row["needs_reauthorization"] else row["next_run_at"],
    )
