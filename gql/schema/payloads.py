"""What mutations answer: the thing as it is now, or what the person can mend."""

import strawberry

from gql.schema.hiring import Candidate, Job
from gql.schema.mailboxes import Mailbox
from gql.schema.organisation import Organisation, User
from gql.schema.threads import Thread
from gql.schema.user_errors import UserError

_ERRORS = "What the person can mend. Where there is one, nothing was changed."


@strawberry.type(description="The organisation after a change.")
class OrganisationPayload:
    organisation: Organisation | None = strawberry.field(default=None, description="As it is now; null on errors.")
    errors: list[UserError] = strawberry.field(default_factory=list, description=_ERRORS)


@strawberry.type(description="A user after a change.")
class UserPayload:
    user: User | None = strawberry.field(default=None, description="As it is now; null on errors.")
    errors: list[UserError] = strawberry.field(default_factory=list, description=_ERRORS)


@strawberry.type(description="A job after a change.")
class JobPayload:
    job: Job | None = strawberry.field(default=None, description="As it is now; null on errors.")
    errors: list[UserError] = strawberry.field(default_factory=list, description=_ERRORS)


@strawberry.type(description="A candidate after a change.")
class CandidatePayload:
    candidate: Candidate | None = strawberry.field(default=None, description="As it is now; null on errors.")
    errors: list[UserError] = strawberry.field(default_factory=list, description=_ERRORS)


@strawberry.type(description="A mailbox after a change.")
class MailboxPayload:
    mailbox: Mailbox | None = strawberry.field(default=None, description="As it is now; null on errors.")
    errors: list[UserError] = strawberry.field(default_factory=list, description=_ERRORS)


@strawberry.type(description="A thread after a change.")
class ThreadPayload:
    thread: Thread | None = strawberry.field(default=None, description="As it is now; null on errors.")
    errors: list[UserError] = strawberry.field(default_factory=list, description=_ERRORS)
