"""What the mutation fields do: call the use case, then answer with what is there now."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import strawberry

from domain.access import AccessLevel, Viewer
from domain.errors import ProviderError, UserMistake
from gql.context import Info
from gql.schema.arguments import row_id
from gql.schema.hiring import load_candidate, load_job
from gql.schema.inputs import (
    CandidateEmailInput,
    ConnectImapMailboxInput,
    HistoryInput,
    ImportHistoryInput,
    JobInput,
    MarkThreadReadInput,
    ServerSettingsInput,
    UpdateOrganisationInput,
    UpsertCandidateInput,
    UpsertJobInput,
    UpsertUserInput,
)
from gql.schema.mailboxes import load_mailbox
from gql.schema.organisation import load_organisation, load_user
from gql.schema.payloads import (
    CandidatePayload,
    JobPayload,
    MailboxPayload,
    OrganisationPayload,
    ThreadPayload,
    UserPayload,
)
from gql.schema.threads import load_thread
from gql.schema.user_errors import UserError, user_error
from services import connecting, conversations, hiring, organisations, people
from services.connecting import HistoryChoice
from services.deps import Deps
from services.logins import server_login

if TYPE_CHECKING:
    from providers.base import ServerLogin

Thing = TypeVar("Thing")

EraseMail = Annotated[
    bool, strawberry.argument(description="Whether mail that is on no other record is erased, not only withdrawn.")
]


def _input(description: str) -> object:
    return strawberry.argument(description=description)


async def update_organisation(
    info: Info, input: Annotated[UpdateOrganisationInput, _input("What changes.")]
) -> OrganisationPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return organisations.update_organisation(
            deps,
            viewer,
            name=input.name,
            internal_domains=input.internal_domains,
            branch_policy=None if input.branch_policy is None else input.branch_policy.name,
        )

    organisation, errors = await _changed(info, change, load_organisation)
    return OrganisationPayload(organisation=organisation, errors=errors)


async def upsert_user(
    info: Info, input: Annotated[UpsertUserInput, _input("The user as they are to be.")]
) -> UserPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return people.upsert_user(
            deps,
            viewer,
            external_id=input.external_id,
            name=input.name,
            email=input.email,
            other_emails=input.other_emails,
            access_level=None if input.access_level is None else AccessLevel(input.access_level.name),
            is_active=input.is_active,
        )

    user, errors = await _changed(info, change, load_user)
    return UserPayload(user=user, errors=errors)


async def upsert_job(info: Info, input: Annotated[UpsertJobInput, _input("The job as it is to be.")]) -> JobPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return hiring.upsert_job(
            deps, viewer, external_id=input.external_id, title=input.title, hiring_team=input.hiring_team
        )

    job, errors = await _changed(info, change, load_job)
    return JobPayload(job=job, errors=errors)


async def archive_job(info: Info, input: Annotated[JobInput, _input("Which job.")]) -> JobPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return hiring.archive_job(deps, viewer, job_id=row_id("job", input.id))

    job, errors = await _changed(info, change, load_job)
    return JobPayload(job=job, errors=errors)


async def reopen_job(info: Info, input: Annotated[JobInput, _input("Which job.")]) -> JobPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return hiring.reopen_job(deps, viewer, job_id=row_id("job", input.id))

    job, errors = await _changed(info, change, load_job)
    return JobPayload(job=job, errors=errors)


async def upsert_candidate(
    info: Info, input: Annotated[UpsertCandidateInput, _input("The candidate as they are to be.")]
) -> CandidatePayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return hiring.upsert_candidate(
            deps, viewer, external_id=input.external_id, name=input.name, emails=input.emails, jobs=input.jobs
        )

    candidate, errors = await _changed(info, change, load_candidate)
    return CandidatePayload(candidate=candidate, errors=errors)


async def add_candidate_email(
    info: Info, input: Annotated[CandidateEmailInput, _input("The address, and whose it is.")]
) -> CandidatePayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return hiring.add_candidate_email(
            deps, viewer, candidate_id=row_id("candidate", input.candidate_id), address=input.address
        )

    candidate, errors = await _changed(info, change, load_candidate)
    return CandidatePayload(candidate=candidate, errors=errors)


async def remove_candidate_email(
    info: Info,
    input: Annotated[CandidateEmailInput, _input("The address, and whose it is.")],
    erase_mail: EraseMail = False,
) -> CandidatePayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return hiring.remove_candidate_email(
            deps,
            viewer,
            candidate_id=row_id("candidate", input.candidate_id),
            address=input.address,
            erase_mail=erase_mail,
        )

    candidate, errors = await _changed(info, change, load_candidate)
    return CandidatePayload(candidate=candidate, errors=errors)


async def connect_imap_mailbox(
    info: Info, input: Annotated[ConnectImapMailboxInput, _input("The mailbox, and what of it is read.")]
) -> MailboxPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return connecting.connect_imap_mailbox(
            deps,
            viewer,
            address=input.address,
            imap=_login(input.imap, input.address),
            smtp=_login(input.smtp, input.address),
            kind=input.kind.name,
            history=_history(input.history),
            signature=input.signature,
            viewer_ids=tuple(row_id("user", user_id) for user_id in input.viewer_ids or ()),
        )

    mailbox, errors = await _changed(info, change, load_mailbox)
    return MailboxPayload(mailbox=mailbox, errors=errors)


async def import_history(
    info: Info, input: Annotated[ImportHistoryInput, _input("The mailbox, and how far back.")]
) -> MailboxPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return connecting.import_history(
            deps, viewer, mailbox_id=row_id("mailbox", input.id), history=_history(input.history)
        )

    mailbox, errors = await _changed(info, change, load_mailbox)
    return MailboxPayload(mailbox=mailbox, errors=errors)


async def mark_thread_read(
    info: Info, input: Annotated[MarkThreadReadInput, _input("The thread, and how it is to look.")]
) -> ThreadPayload:
    def change(deps: Deps, viewer: Viewer) -> Awaitable[UUID]:
        return conversations.mark_thread_read(
            deps, viewer, thread_id=row_id("thread", input.thread_id), is_unread=input.is_unread
        )

    thread, errors = await _changed(info, change, load_thread)
    return ThreadPayload(thread=thread, errors=errors)


async def _changed(
    info: Info,
    change: Callable[[Deps, Viewer], Awaitable[UUID]],
    load: Callable[[Info, UUID], Awaitable[Thing | None]],
) -> tuple[Thing | None, list[UserError]]:
    """Does it, and reads the outcome at a moment after it; or says what the person can mend."""
    await info.context.begin_again()
    try:
        changed = await change(info.context.deps, info.context.viewer)
    except (UserMistake, ProviderError) as mistake:
        return None, [user_error(mistake)]
    return await load(info, changed), []


def _login(given: ServerSettingsInput, address: str) -> "ServerLogin":
    return server_login(
        host=given.host,
        port=given.port,
        security=given.security.name,
        username=given.username or address,
        password=given.password,
    )


def _history(given: HistoryInput) -> HistoryChoice:
    return HistoryChoice(given.scope.name, since=given.since, count=given.count)
