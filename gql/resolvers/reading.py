"""What the query fields answer."""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast
from uuid import UUID

import strawberry

from domain.errors import BadInput, NotAuthenticated
from domain.ids import from_global
from gql.context import Info
from gql.pagination import MAX_SIZE, page_of
from gql.schema.arguments import After, Before, First, Last, optional_row_id, row_id
from gql.schema.connections import edges_of
from gql.schema.filters import ThreadFilter, narrowed_by
from gql.schema.hiring import (
    Candidate,
    CandidateConnection,
    CandidateEdge,
    Job,
    JobConnection,
    JobEdge,
    JobStatus,
    load_candidate,
    load_job,
)
from gql.schema.mailboxes import Mailbox, load_mailbox
from gql.schema.messages import load_attachment, load_message
from gql.schema.node import Node
from gql.schema.organisation import Organisation, User, UserConnection, UserEdge, load_organisation, load_user
from gql.schema.scalars import Cursor
from gql.schema.threads import Thread, ThreadConnection, load_thread, page_of_threads
from services import directory, inbox, mailbox_views
from services.cursors import seal_cursor
from services.paging import EMPTY, Row

Id = Annotated[strawberry.ID, strawberry.argument(description="As the API gave it.")]
OptionalId = Annotated[strawberry.ID | None, strawberry.argument(description="As the API gave it.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="As the API gave them; at most 100.")]
ExternalId = Annotated[str | None, strawberry.argument(description="The applicant tracking system's id.")]
Search = Annotated[
    str | None,
    strawberry.argument(
        description="Words, each a part of a name or address, whatever the case and the accents; at most 10."
    ),
]
IsActive = Annotated[
    bool | None, strawberry.argument(description="Only those who are (not) active; null for everyone.")
]
OfJob = Annotated[strawberry.ID | None, strawberry.argument(description="Only those who applied to this job.")]
OfStatus = Annotated[JobStatus | None, strawberry.argument(description="Only jobs of this status.")]
Filter = Annotated[ThreadFilter | None, strawberry.argument(description="Only threads that it fits.")]
Manageable = Annotated[
    bool | None, strawberry.argument(description="Those the viewer may change the settings of, as an administrator.")
]


async def node(info: Info, id: Id) -> Node | None:
    found = from_global(id)
    load = _LOADERS.get(found[0]) if found is not None else None
    _ = info.context.viewer
    return None if found is None or load is None else await load(info, found[1])


async def nodes(info: Info, ids: Ids) -> list[Node | None]:
    if len(ids) > MAX_SIZE:
        raise BadInput(f"At most {MAX_SIZE} ids can be asked for at once.")
    _ = info.context.viewer
    return cast(
        "list[Node | None]", [node(info, each) for each in ids]
    )  # coroutines, which the executor awaits together


async def viewer(info: Info) -> User | None:
    return await load_user(info, info.context.viewer.user_id)


async def organisation(info: Info) -> Organisation:
    found = await load_organisation(info, info.context.viewer.organisation_id)
    if found is None:
        raise NotAuthenticated("The organisation is gone.")
    return found


async def user(info: Info, id: OptionalId = None, external_id: ExternalId = None) -> User | None:
    if (key := _chosen("user", id, external_id)) is not None:
        return await load_user(info, key)
    row = await directory.user_by_external_id(await info.context.reader(), external_id or "")
    return None if row is None else User.of(row)


async def users(
    info: Info, first: First = None, after: After = None, search: Search = None, is_active: IsActive = True
) -> UserConnection:
    page = page_of(first, after)
    found = await directory.user_page(await info.context.reader(), page, search=search, is_active=is_active)
    edges, place = edges_of(found, lambda cursor, row: UserEdge(cursor=cursor, node=User.of(row)), at="created_at")
    return UserConnection(edges=edges, page_info=place)


async def job(info: Info, id: OptionalId = None, external_id: ExternalId = None) -> Job | None:
    if (key := _chosen("job", id, external_id)) is not None:
        return await load_job(info, key)
    row = await directory.job_by_external_id(await info.context.reader(), external_id or "")
    return None if row is None else Job.of(row)


async def jobs(info: Info, first: First = None, after: After = None, status: OfStatus = None) -> JobConnection:
    page = page_of(first, after)
    wanted = None if status is None else status.name
    found = await directory.job_page(await info.context.reader(), page, status=wanted)
    edges, place = edges_of(found, lambda cursor, row: JobEdge(cursor=cursor, node=Job.of(row)), at="created_at")
    return JobConnection(edges=edges, page_info=place)


async def candidate(info: Info, id: OptionalId = None, external_id: ExternalId = None) -> Candidate | None:
    if (key := _chosen("candidate", id, external_id)) is not None:
        return await load_candidate(info, key)
    row = await directory.candidate_by_external_id(await info.context.reader(), external_id or "")
    return None if row is None else Candidate.of(row)


async def candidates(
    info: Info, first: First = None, after: After = None, search: Search = None, job_id: OfJob = None
) -> CandidateConnection:
    page = page_of(first, after)
    reader = await info.context.reader()
    found = await directory.candidate_page(reader, page, search=search, job_id=optional_row_id("job", job_id))
    edges, place = edges_of(found, _candidate_edge, at="created_at")
    return CandidateConnection(edges=edges, page_info=place)


def _candidate_edge(cursor: str, row: Row) -> CandidateEdge:
    return CandidateEdge(cursor=cursor, node=Candidate.of(row))


async def mailbox(info: Info, id: Id) -> Mailbox | None:
    return await load_mailbox(info, row_id("mailbox", id))


async def shared_mailboxes(info: Info, manageable: Manageable = False) -> list[Mailbox]:
    reader = await info.context.reader()
    return [Mailbox.of(row) for row in await mailbox_views.shared_mailboxes(reader, manageable=bool(manageable))]


async def thread(info: Info, id: Id) -> Thread | None:
    return await load_thread(info, row_id("thread", id))


async def threads(
    info: Info,
    *,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: Filter = None,
) -> ThreadConnection:
    page, narrowed = page_of(first, after, last, before), narrowed_by(filter)
    reader = await info.context.reader()
    if narrowed is None:
        return page_of_threads(EMPTY)
    return page_of_threads(await inbox.inbox_page(reader, page, narrowed), narrowed.search)


async def unread_thread_count(info: Info) -> int:
    return await inbox.unread_thread_count(await info.context.reader())


async def event_cursor(info: Info) -> Cursor:
    position = await directory.event_position(await info.context.reader())
    return Cursor(seal_cursor(info.context.deps.vault, info.context.viewer, position))


_LOADERS: dict[str, Callable[[Info, UUID], Awaitable[Node | None]]] = {
    "organisation": load_organisation,
    "user": load_user,
    "job": load_job,
    "candidate": load_candidate,
    "mailbox": load_mailbox,
    "thread": load_thread,
    "message": load_message,
    "attachment": load_attachment,
}


def _chosen(kind: str, id: str | None, external_id: str | None) -> UUID | None:
    """The row that the id names; None where the external id is given instead.

    Raises:
        BadInput: both or neither are.
    """
    if (id is None) == (external_id is None):
        raise BadInput("Give one of `id` and `externalId`.")
    return optional_row_id(kind, id)
