"""Jobs, and the candidates who applied to them."""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry
from strawberry import enum_value

from domain.ids import to_global
from gql.context import Info
from gql.pagination import page_of
from gql.schema.arguments import After, Before, First, Last, row_id
from gql.schema.node import Node, PageInfo
from gql.schema.organisation import User
from gql.schema.scalars import EmailAddress
from services.paging import EMPTY, Row

if TYPE_CHECKING:
    from gql.schema.filters import ThreadFilter
    from gql.schema.threads import ThreadConnection


@strawberry.enum(description="Whether people are being hired for a job.")
class JobStatus(Enum):
    OPEN = enum_value("OPEN", description="Mail with those who applied is recorded.")
    ARCHIVED = enum_value("ARCHIVED", description="It gives no reason any more to record mail.")


@strawberry.type(description="A job that people apply to.")
class Job(Node):
    key: strawberry.Private[UUID]
    external_id: str | None = strawberry.field(description="The applicant tracking system's id of the job.")
    title: str = strawberry.field(description="As it is advertised.")
    status: JobStatus = strawberry.field(description="Whether people are being hired for it.")

    @strawberry.field(description="The users who see those who applied to it.")
    async def hiring_team(self, info: Info) -> list[User]:
        return [User.of(row) for row in await info.context.loaders.hiring_teams.load(self.key) or ()]

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=strawberry.ID(to_global("job", row["id"])),
            key=row["id"],
            external_id=row["external_id"],
            title=row["title"],
            status=JobStatus(row["status"]),
        )


@strawberry.enum(description="Whether new mail with a candidate is recorded.")
class CandidateSyncState(Enum):
    ACTIVE = enum_value("ACTIVE", description="New mail with the candidate is recorded.")
    JOB_ARCHIVED = enum_value(
        "JOB_ARCHIVED",
        description="Every job the candidate applied to is archived: nothing new is recorded.",
    )
    INTERNAL_ADDRESS = enum_value(
        "INTERNAL_ADDRESS",
        description="The candidate's only addresses belong to the organisation itself: nothing is recorded.",
    )
    NO_ADDRESS = enum_value("NO_ADDRESS", description="The candidate has no address.")


@strawberry.type(description="An address of a candidate.")
class CandidateEmail:
    address: EmailAddress = strawberry.field(description="As it was given.")
    added_at: datetime = strawberry.field(description="When it was added to the candidate.")
    is_internal: bool = strawberry.field(
        description="The address is a user's, a connected mailbox's or on an internal domain, so it is never matched."
    )


@strawberry.type(description="Somebody who applied, and on whose record the mail with them is.")
class Candidate(Node):
    external_id: str | None = strawberry.field(description="The applicant tracking system's id of the candidate.")
    name: str = strawberry.field(description="As the applicant tracking system has it.")

    @property
    def key(self) -> UUID:
        return row_id("candidate", self.id)

    @strawberry.field(description="The addresses by which mail is recognised as the candidate's, oldest first.")
    async def emails(self, info: Info) -> list[CandidateEmail]:
        return [
            CandidateEmail(address=row["address"], added_at=row["added_at"], is_internal=row["is_internal"])
            for row in await info.context.loaders.emails_of.load(self.key) or ()
        ]

    @strawberry.field(description="The jobs applied to, as far as the viewer may see them.")
    async def jobs(self, info: Info) -> list[Job]:
        return [Job.of(row) for row in await info.context.loaders.applications_of.load(self.key) or ()]

    @strawberry.field(description="Whether new mail with the candidate is recorded, and if not, why.")
    async def sync_state(self, info: Info) -> CandidateSyncState:
        emails = await info.context.loaders.emails_of.load(self.key)
        if not emails:
            return CandidateSyncState.NO_ADDRESS
        if all(row["is_internal"] for row in emails):
            return CandidateSyncState.INTERNAL_ADDRESS
        is_archived = await info.context.loaders.archived.load(self.key)
        return CandidateSyncState.JOB_ARCHIVED if is_archived else CandidateSyncState.ACTIVE

    @strawberry.field(description="Threads on the record that are unread to the viewer. At most 100.")
    async def unread_thread_count(self, info: Info) -> int:
        return await info.context.loaders.unread_counts.load(self.key) or 0

    @strawberry.field(description="The threads on the candidate's record. Newest activity first.")
    async def threads(
        self,
        info: Info,
        *,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[
            Annotated["ThreadFilter", strawberry.lazy("gql.schema.filters")] | None,
            strawberry.argument(description="Only threads that it fits."),
        ] = None,
    ) -> Annotated["ThreadConnection", strawberry.lazy("gql.schema.threads")]:
        from gql.schema.filters import narrowed_by  # noqa: PLC0415 - threads name candidates, and candidates threads
        from gql.schema.threads import page_of_threads  # noqa: PLC0415 - the same circle

        narrowed = narrowed_by(filter)
        page = page_of(first, after, last, before)
        if narrowed is None or narrowed.candidate_id not in (None, self.key):
            return page_of_threads(EMPTY)
        return page_of_threads(await info.context.loaders.candidate_page(self.key, page, narrowed), narrowed.search)

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=strawberry.ID(to_global("candidate", row["id"])),
            external_id=row["external_id"],
            name=row["name"],
        )

    @classmethod
    def of_summaries(cls, summaries: Iterable[dict[str, Any]]) -> list[Self]:
        """Candidates as the row of a thread or message carries them."""
        return [
            cls(
                id=strawberry.ID(f"candidate_{summary['id'].replace('-', '')}"),
                external_id=summary["external_id"],
                name=summary["name"],
            )
            for summary in summaries
        ]


@strawberry.type(description="A candidate in a list.")
class CandidateEdge:
    cursor: str = strawberry.field(description="Where the candidate stands in the list.")
    node: Candidate = strawberry.field(description="The candidate.")


@strawberry.type(description="Candidates whom the viewer may see, newest first.")
class CandidateConnection:
    edges: list[CandidateEdge] = strawberry.field(description="The candidates of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


@strawberry.type(description="A job in a list.")
class JobEdge:
    cursor: str = strawberry.field(description="Where the job stands in the list.")
    node: Job = strawberry.field(description="The job.")


@strawberry.type(description="Jobs that the viewer may see, newest first.")
class JobConnection:
    edges: list[JobEdge] = strawberry.field(description="The jobs of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


async def load_candidate(info: Info, candidate_id: UUID | None) -> Candidate | None:
    """The candidate, where the viewer may see them."""
    row = None if candidate_id is None else await info.context.loaders.candidates.load(candidate_id)
    return None if row is None else Candidate.of(row)


async def load_job(info: Info, job_id: UUID | None) -> Job | None:
    """The job, where the viewer may see it."""
    row = None if job_id is None else await info.context.loaders.jobs.load(job_id)
    return None if row is None else Job.of(row)
