"""Conversations, and the lists of them."""

from datetime import datetime
from typing import Annotated, Any, Self, cast
from uuid import UUID

import strawberry

from domain.ids import to_global
from domain.search_query import SearchQuery
from gql.context import Info
from gql.execution.at_hand import AT_HAND, AtHand
from gql.pagination import page_of
from gql.schema.arguments import After, Before, First, Last
from gql.schema.connections import edges_of
from gql.schema.enums import ReaderReason, SearchField, ThreadVisibility
from gql.schema.hiring import Candidate
from gql.schema.messages import Message, MessageConnection, MessageEdge, load_message, read_attachments
from gql.schema.node import Node, PageInfo
from gql.schema.organisation import User, load_users
from gql.schema.people import Participant
from gql.selections import selects, selects_only
from services.paging import Row, Slice


@strawberry.type(description="A user who reads a thread whatever its visibility.")
class ThreadReader:
    user: User = strawberry.field(description="Who reads it.")
    reason: ReaderReason = strawberry.field(description="Why.")
    is_removable: bool = strawberry.field(description="Whether a participant can take the access away.")


@strawberry.type(description="A piece of a text in which a search found something.")
class TextFragment:
    text: str = strawberry.field(description="The piece.")
    is_match: bool = strawberry.field(description="Whether it is what was sought, or stands beside it.")


@strawberry.type(description="Why a search found a thread.")
class SearchMatch:
    message_id: strawberry.ID = strawberry.field(description="The message in which it was found.")
    field: SearchField = strawberry.field(description="Where in the message.")
    fragments: list[TextFragment] = strawberry.field(description="The text around what was found.")


@strawberry.type(description="A conversation on the record of one candidate or more.")
class Thread(Node):
    key: strawberry.Private[UUID]
    forwarded_from_key: strawberry.Private[UUID | None]
    last: strawberry.Private[dict[str, Any]]
    subject: str = strawberry.field(description="Of its first message.")
    snippet: str = strawberry.field(description="The first words of its newest message, on one line.")
    candidates: list[Candidate] = strawberry.field(
        description="Those on whose record it is and whom the viewer may see."
    )
    participants: list[Participant] = strawberry.field(
        description="Those in From, To and Cc of its messages, each once, in the order they came in; at most 50."
    )
    last_message_at: datetime = strawberry.field(description="When its newest message was sent.")
    message_count: int = strawberry.field(description="How many messages it holds.")
    has_attachments: bool = strawberry.field(description="Whether one of its messages has a file.")
    is_unread: bool = strawberry.field(
        description="A live inbound message has come since the viewer last opened it here. Imports, and mail from "
        "before the viewer could read it, count as read."
    )
    visibility: ThreadVisibility = strawberry.field(description="Who reads it besides its own readers.")

    @strawberry.field(description="What it holds. Oldest first.")
    async def messages(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> MessageConnection:
        found = await info.context.loaders.message_page(self.key, page_of(first, after, last, before))
        edges, place = edges_of(found, _message_edge, at="sent_at")
        if selects(info, "edges", "node", "attachments"):
            await read_attachments(info, [edge.node for edge in edges])
        return MessageConnection(edges=edges, page_info=place)

    # What a list shows of it stands in the thread's own row; only for more is the message read.
    @strawberry.field(
        description="Its newest message.",
        metadata={AT_HAND: AtHand("last_message_summary", only=Message.SUMMARISED)},
    )
    def last_message(self, info: Info) -> Message:
        if selects_only(info, Message.SUMMARISED):
            return self.last_message_summary
        return cast("Message", load_message(info, UUID(self.last["id"])))  # a coroutine, which the executor awaits

    @strawberry.field(
        description="Those who can read it whatever its visibility. A Bcc recipient is listed to themselves and the "
        "sender alone."
    )
    async def readers(self, info: Info) -> list[ThreadReader]:
        rows = await info.context.loaders.readers_of.load(self.key) or ()
        reasons = {row["user_id"]: _REASONS[row["reason"]] for row in rows}
        return [
            ThreadReader(user=user, reason=reasons[user.key], is_removable=reasons[user.key] is ReaderReason.GRANTED)
            for user in await load_users(info, list(reasons))
        ]

    @strawberry.field(description="True for its participants.")
    async def viewer_can_set_visibility(self, info: Info) -> bool:
        return await info.context.loaders.settable.load(self.key)

    @strawberry.field(
        description="The thread of which this one began as a forward. Null too where the viewer may not see that one."
    )
    async def forwarded_from(self, info: Info) -> Annotated["Thread", strawberry.lazy("gql.schema.threads")] | None:
        return await load_thread(info, self.forwarded_from_key)

    @property
    def last_message_summary(self) -> Message:
        """The newest message for those who ask for no more than `Message.SUMMARISED`."""
        return Message.of_summary(self.last, self.key)

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=strawberry.ID(to_global("thread", row["id"])),
            key=row["id"],
            forwarded_from_key=row["forwarded_from_id"],
            last=row["last_message"],
            subject=row["subject"],
            snippet=row["snippet"],
            candidates=Candidate.of_summaries(row["candidates"]),
            participants=Participant.of_all(row["participants"]),
            last_message_at=row["last_message_at"],
            message_count=row["message_count"],
            has_attachments=row["has_attachments"],
            is_unread=row["is_unread"],
            visibility=ThreadVisibility(row["visibility"]),
        )


_REASONS = {
    "PARTICIPANT": ReaderReason.PARTICIPANT,
    "BCC": ReaderReason.PARTICIPANT,
    "SHARED_MAILBOX": ReaderReason.SHARED_MAILBOX,
    "GRANTED": ReaderReason.GRANTED,
}


@strawberry.type(description="A thread in a list.")
class ThreadEdge:
    cursor: str = strawberry.field(description="Where the thread stands in the list.")
    node: Thread = strawberry.field(description="The thread.")
    search: strawberry.Private[SearchQuery | None]

    @strawberry.field(
        description="Why the search found it; empty without a search. Of the two newest messages that it found: the "
        "subject, people, and the text around the first place, as plain text in pieces."
    )
    def matches(self, info: Info) -> list[SearchMatch]:
        if self.search is None:
            return []
        return cast("list[SearchMatch]", _load_matches(info, self.search, self.node.key))  # a coroutine, as above


@strawberry.type(description="Threads that the viewer reads, newest activity first.")
class ThreadConnection:
    edges: list[ThreadEdge] = strawberry.field(description="The threads of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


def _message_edge(cursor: str, row: Row) -> MessageEdge:
    return MessageEdge(cursor=cursor, node=Message.of(row))


def page_of_threads(found: Slice, search: SearchQuery | None = None) -> ThreadConnection:
    """The page as clients see it.

    Args:
        search: what the threads were found by.
    """

    def edge(cursor: str, row: Row) -> ThreadEdge:
        return ThreadEdge(cursor=cursor, node=Thread.of(row), search=search)

    edges, place = edges_of(found, edge, at="last_message_at")
    return ThreadConnection(edges=edges, page_info=place)


async def _load_matches(info: Info, search: SearchQuery, thread_id: UUID) -> list[SearchMatch]:
    return [
        SearchMatch(
            message_id=strawberry.ID(to_global("message", match.message_id)),
            field=SearchField(match.field),
            fragments=[TextFragment(text=piece.text, is_match=piece.is_match) for piece in match.fragments],
        )
        for match in await info.context.loaders.matches(search, thread_id)
    ]


async def load_thread(info: Info, thread_id: UUID | None) -> Thread | None:
    """The thread, or the one that it was merged into, where the viewer reads it."""
    row = None if thread_id is None else await info.context.loaders.threads.load(thread_id)
    return None if row is None else Thread.of(row)
