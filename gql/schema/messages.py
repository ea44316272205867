"""Messages and their files."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from uuid import UUID

import strawberry
from strawberry import enum_value

from domain.html import render
from domain.ids import to_global
from gql.context import Info
from gql.execution.at_hand import AT_HAND, NOT_READ, AtHand, NotRead
from gql.schema.arguments import row_id
from gql.schema.bounces import Bounce
from gql.schema.hiring import Candidate
from gql.schema.node import Node, PageInfo
from gql.schema.people import Participant
from services.files import attachment_url, source_url
from services.paging import Row

if TYPE_CHECKING:
    from gql.schema.threads import Thread


@strawberry.enum(description="Which way a message went.")
class MessageDirection(Enum):
    INBOUND = enum_value("INBOUND", description="From outside the organisation.")
    OUTBOUND = enum_value("OUTBOUND", description="From a user or a shared mailbox to someone outside.")
    INTERNAL = enum_value("INTERNAL", description="Between colleagues only, as a forward.")


@strawberry.enum(description="What sort of message it is.")
class MessageKind(Enum):
    REGULAR = enum_value("REGULAR", description="Written by a person, as far as can be told.")
    AUTO_REPLY = enum_value("AUTO_REPLY", description="An automatic answer, such as of somebody on holiday.")
    BOUNCE = enum_value("BOUNCE", description="A mail server's report that a message did not arrive.")
    INVITATION = enum_value("INVITATION", description="It carries an invitation to a calendar event.")


@strawberry.type(description="A file within a message.")
class Attachment(Node):
    key: strawberry.Private[UUID]
    content_id: strawberry.Private[str | None]
    filename: str = strawberry.field(description="Safe to show and to save under.")
    content_type: str = strawberry.field(description="As the message says, in lower case: `application/pdf`.")
    size: int = strawberry.field(description="In bytes.")
    is_inline: bool = strawberry.field(description="Shown within the HTML body.")

    @strawberry.field(
        description="A link, good for 15 minutes, for this viewer alone, and checked again when it is used."
    )
    def url(self, info: Info) -> str:
        return attachment_url(info.context.deps, info.context.viewer, self.key)

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=strawberry.ID(to_global("attachment", row["id"])),
            key=row["id"],
            content_id=row["content_id"],
            filename=row["filename"],
            content_type=row["content_type"],
            size=row["size_bytes"],
            is_inline=row["is_inline"],
        )


RemoteContent = Annotated[
    bool | None,
    strawberry.argument(description="Whether images are loaded from the web, which tells their owner who reads when."),
]


@strawberry.type(description="A message, once however many mailboxes hold it.")
class Message(Node):
    SUMMARISED: ClassVar = frozenset({"id", "from", "sentAt", "snippet"})
    """What `of_summary` knows, as the API names it."""

    thread_key: strawberry.Private[UUID]
    has_html: strawberry.Private[bool]
    files: strawberry.Private[list[Attachment] | NotRead]
    direction: MessageDirection = strawberry.field(description="Which way it went.")
    kind: MessageKind = strawberry.field(description="What sort of message it is.")
    candidates: list[Candidate] = strawberry.field(
        description="Those on whose record this message is and whom the viewer may see."
    )
    from_: Participant | None = strawberry.field(name="from", description="Null where the message names no sender.")
    to: list[Participant] = strawberry.field(description="Those it is addressed to.")
    cc: list[Participant] = strawberry.field(description="Those who were sent a copy.")
    bcc: list[Participant] = strawberry.field(description="Shown to the sender alone.")
    subject: str = strawberry.field(description="As in the header, decoded.")
    sent_at: datetime = strawberry.field(
        description="The Date header; the time of receipt where that is missing or not credible."
    )
    snippet: str = strawberry.field(description="The first words on one line.")
    reply_text: str = strawberry.field(description="Without the quoted history and the signature, as plain text.")
    text: str = strawberry.field(description="The whole body as plain text.")
    rfc_message_id: str | None = strawberry.field(
        description="The RFC 5322 Message-ID without angle brackets; null where the message has none."
    )
    bounce: Bounce | None = strawberry.field(
        description="What it reports of a message that was sent; null of every message that is no bounce or complaint."
    )

    @property
    def key(self) -> UUID:
        return row_id("message", self.id)

    @strawberry.field(description="The conversation that it is part of.")
    async def thread(self, info: Info) -> Annotated["Thread", strawberry.lazy("gql.schema.threads")]:
        from gql.schema.threads import load_thread  # noqa: PLC0415 - threads hold messages, and messages name theirs

        thread = await load_thread(info, self.thread_key)
        if thread is None:
            raise LookupError("a message was read whose thread was not")
        return thread

    @strawberry.field(
        description="The whole body as safe HTML: no script, no form, no remote content loaded without "
        "`remoteContent`. Null where the message has no HTML."
    )
    async def html(self, info: Info, remote_content: RemoteContent = False) -> str | None:
        stored = await info.context.loaders.html.load(self.key) if self.has_html else None
        if stored is None:
            return None
        links = _inline_links(info, await self._files(info)) if "cid" in stored else {}
        return render(stored, remote_content=bool(remote_content), cid_url=links.get)

    @strawberry.field(
        description="The files within the message, those shown in its HTML among them.",
        metadata={AT_HAND: AtHand("files")},
    )
    async def attachments(self, info: Info) -> list[Attachment]:
        return await self._files(info)

    @strawberry.field(
        description="A link, good for 15 minutes, for this viewer alone and checked again when it is used, to the "
        "message as received (message/rfc822): the viewer's own copy, or one without Bcc, Delivered-To, X-Original-To "
        "and Received."
    )
    def source_url(self, info: Info) -> str:
        return source_url(info.context.deps, info.context.viewer, self.key)

    async def _files(self, info: Info) -> list[Attachment]:
        if not isinstance(self.files, NotRead):
            return self.files
        return [Attachment.of(row) for row in await info.context.loaders.attachments_of.load(self.key) or ()]

    @classmethod
    def of(cls, row: Row) -> Self:
        people = row["people"]
        return cls(
            id=strawberry.ID(to_global("message", row["id"])),
            thread_key=row["thread_id"],
            has_html=row["has_html"],
            files=NOT_READ,
            direction=MessageDirection(row["direction"]),
            kind=MessageKind(row["kind"]),
            candidates=Candidate.of_summaries(row["candidates"]),
            from_=Participant.of_first(people.get("from")),
            to=Participant.of_all(people.get("to")),
            cc=Participant.of_all(people.get("cc")),
            bcc=Participant.of_all(people.get("bcc")),
            subject=row["subject"],
            sent_at=row["sent_at"],
            snippet=row["snippet"],
            reply_text=row["reply_text"],
            text=row["text"],
            rfc_message_id=row["rfc_message_id"],
            bounce=Bounce.of(row["bounce"]) if row["bounce"] else None,
        )

    @classmethod
    def of_summary(cls, summary: dict[str, Any], thread_id: UUID) -> Self:
        """The message as its thread's row carries it, for who asks for no more than SUMMARISED."""
        unread: Any = None
        return cls(
            id=strawberry.ID(f"message_{summary['id']}"),
            thread_key=thread_id,
            has_html=False,
            files=NOT_READ,
            direction=unread,
            kind=unread,
            candidates=unread,
            from_=Participant.of(summary["from"]) if summary["from"] else None,
            to=unread,
            cc=unread,
            bcc=unread,
            subject=unread,
            sent_at=datetime.fromisoformat(summary["sent_at"]),
            snippet=summary["snippet"],
            reply_text=unread,
            text=unread,
            rfc_message_id=None,
            bounce=None,
        )


@strawberry.type(description="A message in its thread.")
class MessageEdge:
    cursor: str = strawberry.field(description="Where the message stands in the thread.")
    node: Message = strawberry.field(description="The message.")


@strawberry.type(description="The messages of a thread, oldest first.")
class MessageConnection:
    edges: list[MessageEdge] = strawberry.field(description="The messages of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


async def load_message(info: Info, message_id: UUID) -> Message | None:
    """The message, where the viewer reads its thread."""
    row = await info.context.loaders.messages.load(message_id)
    return None if row is None else Message.of(row)


async def read_attachments(info: Info, messages: Sequence[Message]) -> None:
    """Puts their files into these messages, which saves each from asking for its own."""
    keys = [message.key for message in messages]
    found = await info.context.loaders.attachments_of_all(keys)
    for key, message in zip(keys, messages, strict=True):
        message.files = [Attachment.of(row) for row in found.get(key, ())]


async def load_attachment(info: Info, attachment_id: UUID) -> Attachment | None:
    """The file, where the viewer reads the thread of its message."""
    row = await info.context.loaders.attachments.load(attachment_id)
    return None if row is None else Attachment.of(row)


def _inline_links(info: Info, files: list[Attachment]) -> dict[str, str]:
    """Where the HTML's `cid:` references lead."""
    deps, viewer = info.context.deps, info.context.viewer
    return {file.content_id: attachment_url(deps, viewer, file.key) for file in files if file.content_id is not None}
