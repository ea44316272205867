"""What a subscriber is told."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import enum_value

from gql.schema.hiring import Candidate
from gql.schema.mailboxes import Mailbox
from gql.schema.messages import Message
from gql.schema.scalars import Cursor
from gql.schema.threads import Thread


@strawberry.interface(
    description="One ordered stream of all that changes for the viewer. Every event is checked against the viewer's "
    "rights at the moment of delivery. A client that reconnects with the last cursor it saw misses nothing and sees "
    "nothing twice."
)
class Event:
    cursor: Cursor = strawberry.field(description="Where it stands in the viewer's stream; resume after it.")
    at: datetime = strawberry.field(description="When it happened.")


@strawberry.enum(description="How a message was come upon.")
class MessageOrigin(Enum):
    LIVE = enum_value("LIVE", description="It has just arrived, or has just been sent.")
    IMPORT = enum_value("IMPORT", description="Found while reading old mail; not news.")


@strawberry.type(
    description="A message was recorded. Of a live one, this alone tells what it changes of its thread: the order, the "
    "counts and whether it is unread."
)
class MessageAdded(Event):
    origin: MessageOrigin = strawberry.field(description="Whether it is news.")
    message: Message = strawberry.field(description="The message.")


@strawberry.type(
    description="Visibility, readers, candidates or unread state; after an import once for each thread that it touched."
)
class ThreadChanged(Event):
    thread: Thread = strawberry.field(description="The thread as it is now.")


@strawberry.type(description="The viewer can no longer read the thread, or it is gone. Drop it.")
class ThreadWithdrawn(Event):
    thread_id: strawberry.ID = strawberry.field(description="The thread's id.")


@strawberry.type(description="Two threads turned out to be one. The retired id goes on working.")
class ThreadMerged(Event):
    thread: Thread = strawberry.field(description="The one that holds both now.")
    retired_id: strawberry.ID = strawberry.field(description="The id of the other.")


@strawberry.type(description="A candidate's name, addresses, jobs or state.")
class CandidateChanged(Event):
    candidate: Candidate = strawberry.field(description="The candidate as they are now.")


@strawberry.type(description="The candidate is gone, or out of the viewer's reach.")
class CandidateWithdrawn(Event):
    candidate_id: strawberry.ID = strawberry.field(description="The candidate's id.")


@strawberry.type(
    description="The viewer's rights changed widely (access level, hiring team, shared mailbox): drop what is cached "
    "and fetch again."
)
class AccessChanged(Event):
    pass


@strawberry.type(description="Nothing for the viewer up to here: keep the cursor. Comes at least once an hour.")
class Checkpoint(Event):
    pass


@strawberry.type(description="A mailbox's state, progress or settings.")
class MailboxChanged(Event):
    mailbox: Mailbox = strawberry.field(description="The mailbox as it is now.")


@strawberry.type(
    description="The cursor given is older than what is kept: fetch the lists again, then go on from this cursor."
)
class StreamReset(Event):
    pass


@strawberry.input(
    description="Each field narrows; none means everything. Withdrawals, merges, AccessChanged, Checkpoint and "
    "StreamReset always pass."
)
class EventFilter:
    thread_id: strawberry.ID | None = strawberry.field(default=None, description="What happens in this thread.")
    candidate_id: strawberry.ID | None = strawberry.field(
        default=None, description="What happens on this candidate's record."
    )
    mailbox_id: strawberry.ID | None = strawberry.field(default=None, description="What happens to this mailbox.")
    include_imports: bool | None = strawberry.field(
        default=False,
        description="Messages found while reading old mail are left out unless this is true.",
    )
