"""The roots of the API, and the schema that the server executes and `schema.graphql` is exported from."""

from collections.abc import AsyncIterator
from typing import Any

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext

from gql.errors import translated
from gql.execution import CompiledExecutor
from gql.observed import ObservedOperations
from gql.operations import DocumentsOnce, OperationScope
from gql.resolvers import changing, following, reading
from gql.schema.events import (
    AccessChanged,
    CandidateChanged,
    CandidateWithdrawn,
    Checkpoint,
    Event,
    MailboxChanged,
    MessageAdded,
    StreamReset,
    ThreadChanged,
    ThreadMerged,
    ThreadWithdrawn,
)
from gql.schema.hiring import Candidate, CandidateConnection, Job, JobConnection
from gql.schema.mailboxes import Mailbox
from gql.schema.messages import Attachment, Message
from gql.schema.node import Node
from gql.schema.organisation import Organisation, User, UserConnection
from gql.schema.payloads import (
    CandidatePayload,
    JobPayload,
    MailboxPayload,
    OrganisationPayload,
    ThreadPayload,
    UserPayload,
)
from gql.schema.scalars import SCALARS, Cursor
from gql.schema.threads import Thread, ThreadConnection

DESCRIPTION = """\
The mail side of an applicant tracking system.

- Ids are opaque and global (Relay). An id that the viewer may not see behaves exactly like one that does not exist:
  null from a query, NOT_FOUND from a mutation. Nothing tells the two apart.
- Lists that can grow are Relay cursor connections, at most 100 a page. Short lists are plain lists.
- A mutation that fails in a way a user can act on returns `errors`, changes nothing, and its object field is null.
  Anything else is a GraphQL error with `extensions.code` (UNAUTHENTICATED, FORBIDDEN, BAD_USER_INPUT,
  QUERY_TOO_COMPLEX, RATE_LIMITED, INTERNAL).
- Times are RFC 3339 in UTC. Sizes are bytes.
"""


@strawberry.type(description="All that is read. An operation reads all of it at one moment.")
class Query:
    node: Node | None = strawberry.field(resolver=reading.node, description="The thing with this id.")
    nodes: list[Node | None] = strawberry.field(
        resolver=reading.nodes, description="The things with these ids, in this order; null for each that is not there."
    )
    viewer: User | None = strawberry.field(
        resolver=reading.viewer,
        description="Who is asking. Null for a service token, which reads no mail at all.",
    )
    organisation: Organisation = strawberry.field(
        resolver=reading.organisation, description="The viewer's organisation."
    )
    user: User | None = strawberry.field(
        resolver=reading.user, description="A colleague. One of `id` and `externalId` is given."
    )
    users: UserConnection = strawberry.field(resolver=reading.users, description="The viewer's colleagues.")
    job: Job | None = strawberry.field(
        resolver=reading.job, description="A job. One of `id` and `externalId` is given."
    )
    jobs: JobConnection = strawberry.field(
        resolver=reading.jobs, description="All jobs; for a hiring team, those whose team the viewer is on."
    )
    candidate: Candidate | None = strawberry.field(
        resolver=reading.candidate, description="A candidate. One of `id` and `externalId` is given."
    )
    candidates: CandidateConnection = strawberry.field(
        resolver=reading.candidates, description="The candidates whom the viewer may see."
    )
    mailbox: Mailbox | None = strawberry.field(
        resolver=reading.mailbox, description="A mailbox of the viewer's own, or one they read or manage."
    )
    shared_mailboxes: list[Mailbox] = strawberry.field(
        resolver=reading.shared_mailboxes,
        description="Those the viewer reads from; with `manageable`, all those whose settings the viewer as an "
        "administrator may change, which gives no right to their mail.",
    )
    thread: Thread | None = strawberry.field(
        resolver=reading.thread, description="A thread that the viewer reads; also by an id it had before a merge."
    )
    threads: ThreadConnection = strawberry.field(
        resolver=reading.threads, description="The inbox: newest activity first."
    )
    unread_thread_count: int = strawberry.field(
        resolver=reading.unread_thread_count, description="Threads that are unread to the viewer. At most 100."
    )
    event_cursor: Cursor = strawberry.field(
        resolver=reading.event_cursor,
        description="Where the event stream stands now, as of the same moment as all else in the operation. Ask for it "
        "together with a list, then subscribe from it: no gap.",
    )


@strawberry.type(description="All that is changed. Fields run one after the other.")
class Mutation:
    connect_imap_mailbox: MailboxPayload = strawberry.field(
        resolver=changing.connect_imap_mailbox,
        description="Logs in to both servers, and keeps the mailbox where that works. It is the viewer's own, or for "
        "an administrator one of the organisation's.",
    )
    import_history: MailboxPayload = strawberry.field(
        resolver=changing.import_history, description="Reads further back in a connected mailbox."
    )
    mark_thread_read: ThreadPayload = strawberry.field(
        resolver=changing.mark_thread_read, description="The viewer has opened a thread, or wants it to look unread."
    )
    update_organisation: OrganisationPayload = strawberry.field(
        resolver=changing.update_organisation,
        description="Changes the organisation's settings. For a service token or an administrator.",
    )
    upsert_user: UserPayload = strawberry.field(
        resolver=changing.upsert_user, description="Makes or changes a user. For a service token or an administrator."
    )
    upsert_job: JobPayload = strawberry.field(
        resolver=changing.upsert_job, description="Makes or changes a job. For a service token or an administrator."
    )
    archive_job: JobPayload = strawberry.field(
        resolver=changing.archive_job,
        description="Ends recording for candidates without another open job. For a service token or an administrator.",
    )
    reopen_job: JobPayload = strawberry.field(
        resolver=changing.reopen_job,
        description="Resumes recording, and fills the gap. For a service token or an administrator.",
    )
    upsert_candidate: CandidatePayload = strawberry.field(
        resolver=changing.upsert_candidate,
        description="Makes or changes a candidate. For a service token or an administrator.",
    )
    add_candidate_email: CandidatePayload = strawberry.field(
        resolver=changing.add_candidate_email,
        description="Adds an address, and has every connected mailbox searched for it. For a service token or an "
        "administrator.",
    )
    remove_candidate_email: CandidatePayload = strawberry.field(
        resolver=changing.remove_candidate_email,
        description="Mail that is on the record only through this address is withdrawn from it at once; `eraseMail` "
        "erases it. For a service token or an administrator.",
    )


@strawberry.type(description="All that is followed.")
class Subscription:
    events: AsyncIterator[Event] = strawberry.subscription(
        resolver=following.events, description="All that changes for the viewer, in one ordered stream."
    )


class PostroomSchema(strawberry.Schema):
    """Strawberry's schema, with every error translated on its way out."""

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002 - the hook's shape
    ) -> None:
        """Strawberry's hook for errors, called with the very list that is answered; its own way is to log queries."""
        errors[:] = translated(errors)

    def as_str(self) -> str:
        """The schema as it is written in files; Strawberry's own printer leaves out what is said of the whole."""
        operations = "schema {\n  query: Query\n  mutation: Mutation\n  subscription: Subscription\n}"
        return f'"""\n{DESCRIPTION}"""\n{operations}\n\n{super().as_str()}'


def build_schema() -> PostroomSchema:
    """The schema; a new one at each call."""
    shown: list[Any] = [
        Attachment,
        Message,
        MessageAdded,
        ThreadChanged,
        ThreadWithdrawn,
        ThreadMerged,
        CandidateChanged,
        CandidateWithdrawn,
        AccessChanged,
        Checkpoint,
        MailboxChanged,
        StreamReset,
    ]
    schema = PostroomSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=shown,
        extensions=[ObservedOperations, OperationScope, DocumentsOnce],
        execution_context_class=CompiledExecutor,
        config=StrawberryConfig(disable_field_suggestions=True, scalar_map=SCALARS),
    )
    executable = schema._schema  # noqa: SLF001 - the executable schema has no public name
    executable.description = DESCRIPTION
    _drop_null_defaults(executable)
    return schema


def _drop_null_defaults(schema: GraphQLSchema) -> None:
    """A parameter that Python gives None by itself needs no `= null`, which Strawberry writes for it."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            given: list[GraphQLArgument | GraphQLInputField] = [*kind.fields.values()]
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            given = [argument for field in kind.fields.values() for argument in field.args.values()]
        else:
            continue
        for value in given:
            if value.default_value is None:
                value.default_value = Undefined


schema = build_schema()
