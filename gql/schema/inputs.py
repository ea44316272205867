"""What mutations take."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import enum_value

from gql.schema.mailboxes import MailboxKind, TransportSecurity
from gql.schema.organisation import AccessLevel, BranchPolicy
from gql.schema.scalars import EmailAddress


@strawberry.enum(description="How much of the mail that lies in a mailbox already is read.")
class HistoryScope(Enum):
    NONE = enum_value("NONE", description="Nothing from before it was connected.")
    ALL = enum_value("ALL", description="Everything.")
    SINCE = enum_value("SINCE", description="From `since` on.")
    LATEST = enum_value("LATEST", description="The latest `count` messages of the mailbox.")


@strawberry.input(description="A choice of history; `since` and `count` go with their scopes.")
class HistoryInput:
    scope: HistoryScope = strawberry.field(description="How much is read.")
    since: datetime | None = strawberry.field(default=None, description="For SINCE: the oldest moment.")
    count: int | None = strawberry.field(default=None, description="For LATEST: how many.")


@strawberry.input(description="Where a mail server is, and who logs in.")
class ServerSettingsInput:
    host: str = strawberry.field(description="Its name or address.")
    port: int = strawberry.field(description="Its port.")
    security: TransportSecurity = strawberry.field(
        default=TransportSecurity.TLS, description="How the connection is protected."
    )
    username: str | None = strawberry.field(default=None, description="The address, where left out.")
    password: str = strawberry.field(description="Where two-step verification is on, an app password.")


@strawberry.input(description="A mailbox over IMAP and SMTP.")
class ConnectImapMailboxInput:
    address: EmailAddress = strawberry.field(description="The mailbox's address.")
    imap: ServerSettingsInput = strawberry.field(description="Where its mail is read.")
    smtp: ServerSettingsInput = strawberry.field(description="Where mail leaves from it.")
    kind: MailboxKind = strawberry.field(
        default=MailboxKind.PERSONAL, description="The viewer's own, or the organisation's."
    )
    history: HistoryInput = strawberry.field(
        default_factory=lambda: {"scope": HistoryScope.NONE}, description="How much old mail is read."
    )
    signature: str | None = strawberry.field(default=None, description="Put under what is sent from it.")
    viewer_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Who reads and sends from a shared mailbox."
    )


@strawberry.input(description="More of a mailbox's history.")
class ImportHistoryInput:
    id: strawberry.ID = strawberry.field(description="The mailbox.")
    history: HistoryInput = strawberry.field(description="How much is read from now on.")


@strawberry.input(description="A thread, opened or not.")
class MarkThreadReadInput:
    thread_id: strawberry.ID = strawberry.field(description="The thread.")
    is_unread: bool = strawberry.field(default=False, description="True to have it look unread again.")


@strawberry.input(description="Changes to the organisation; what is left out stays.")
class UpdateOrganisationInput:
    name: str | None = strawberry.field(default=None, description="As people call it.")
    internal_domains: list[str] | None = strawberry.field(
        default=None, description="Replaces the domains whose addresses are colleagues'."
    )
    branch_policy: BranchPolicy | None = strawberry.field(
        default=None, description="How forwards and internal asides are recorded."
    )


@strawberry.input(
    description="In every upsert: what is left out stays as it is (when new: HIRING_TEAM, active, empty lists); a list "
    "that is given replaces the old one."
)
class UpsertUserInput:
    external_id: str = strawberry.field(description="The applicant tracking system's id; says which user it is.")
    name: str | None = strawberry.field(default=None, description="As colleagues know them.")
    email: EmailAddress | None = strawberry.field(default=None, description="The address in the directory.")
    other_emails: list[EmailAddress] | None = strawberry.field(
        default=None, description="Further addresses that are the user's."
    )
    access_level: AccessLevel | None = strawberry.field(default=None, description="What the user may see.")
    is_active: bool | None = strawberry.field(
        default=None,
        description="False for a user who left: signs in no more, mailboxes are disconnected, mail stays.",
    )


@strawberry.input(description="A job; what is left out stays as it is.")
class UpsertJobInput:
    external_id: str = strawberry.field(description="The applicant tracking system's id; says which job it is.")
    title: str | None = strawberry.field(default=None, description="As it is advertised.")
    hiring_team: list[str] | None = strawberry.field(default=None, description="External ids of users.")


@strawberry.input(description="Names a job.")
class JobInput:
    id: strawberry.ID = strawberry.field(description="The job.")


@strawberry.input(description="A candidate; what is left out stays as it is.")
class UpsertCandidateInput:
    external_id: str = strawberry.field(description="The applicant tracking system's id; says which candidate it is.")
    name: str | None = strawberry.field(default=None, description="As the applicant tracking system has it.")
    emails: list[EmailAddress] | None = strawberry.field(default=None, description="The candidate's addresses.")
    jobs: list[str] | None = strawberry.field(default=None, description="External ids of the jobs applied to.")


@strawberry.input(description="An address of a candidate.")
class CandidateEmailInput:
    candidate_id: strawberry.ID = strawberry.field(description="The candidate.")
    address: EmailAddress = strawberry.field(description="The address.")
