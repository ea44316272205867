"""What a mail server reports of a message that was sent: which addresses it did not reach, and why."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry
from strawberry import enum_value

from gql.context import Info

if TYPE_CHECKING:
    from gql.schema.messages import Message


@strawberry.enum(description="Whether it is of use to try an address again.")
class BouncePermanence(Enum):
    HARD = enum_value("HARD", description="It is not: there is no such address, or it takes no mail.")
    SOFT = enum_value("SOFT", description="Given up this time; at another time, or another message, may arrive.")
    DELAYED = enum_value("DELAYED", description="Not given up: the server goes on trying.")


@strawberry.enum(description="Why a message did not arrive, as far as the report says.")
class BounceReason(Enum):
    USER_UNKNOWN = enum_value("USER_UNKNOWN", description="There is no such address.")
    RECIPIENT_REFUSED = enum_value(
        "RECIPIENT_REFUSED", description="The address is refused; there may be none, or a filter says so."
    )
    HOST_UNKNOWN = enum_value("HOST_UNKNOWN", description="There is no such domain, or no server for it.")
    NOT_ACCEPTING = enum_value("NOT_ACCEPTING", description="The domain takes no mail at all.")
    MOVED = enum_value("MOVED", description="The recipient has another address now.")
    MAILBOX_FULL = enum_value("MAILBOX_FULL", description="The mailbox is full.")
    MAILBOX_DISABLED = enum_value("MAILBOX_DISABLED", description="The mailbox is closed or suspended.")
    TOO_LARGE = enum_value("TOO_LARGE", description="The message is larger than the server takes.")
    DELAYED = enum_value("DELAYED", description="Not delivered so far.")
    EXPIRED = enum_value("EXPIRED", description="Tried for as long as the server tries, and given up.")
    NETWORK = enum_value("NETWORK", description="The other server could not be reached.")
    RATE_LIMITED = enum_value("RATE_LIMITED", description="Too many messages or connections at once.")
    BLOCKED = enum_value("BLOCKED", description="The sending server is not trusted, as by a block list.")
    AUTHENTICATION = enum_value("AUTHENTICATION", description="SPF, DKIM or DMARC failed.")
    SENDER_REJECTED = enum_value("SENDER_REJECTED", description="The sender's address is refused.")
    RELAY_DENIED = enum_value("RELAY_DENIED", description="The server takes no mail for this recipient from here.")
    POLICY = enum_value("POLICY", description="A rule of the other server forbids it.")
    REJECTED_AS_SPAM = enum_value("REJECTED_AS_SPAM", description="Taken for spam.")
    VIRUS = enum_value("VIRUS", description="Taken for malware.")
    MALFORMED = enum_value("MALFORMED", description="The other server finds the message broken.")
    SERVER_ERROR = enum_value("SERVER_ERROR", description="The other server has a fault of its own.")
    COMPLAINT = enum_value("COMPLAINT", description="It arrived, and its reader called it spam.")
    OTHER = enum_value("OTHER", description="The report does not say, or says something else.")


@strawberry.type(description="What became of a message for one of its recipients.")
class DeliveryFailure:
    address: str | None = strawberry.field(description="As the report has it; null where it names none.")
    status_code: str | None = strawberry.field(
        description="An enhanced status code (RFC 3463), as `5.1.1`; null of a complaint."
    )
    permanence: BouncePermanence | None = strawberry.field(
        description="Whether it is of use to try again; null of a complaint: the message arrived."
    )
    reason: BounceReason = strawberry.field(description="Why, in one word.")
    diagnostic: str | None = strawberry.field(
        description="What the server said, on one line; null where it said nothing, or where its words may name people "
        "whom the viewer is not shown."
    )

    @classmethod
    def of(cls, failure: dict[str, Any]) -> Self:
        permanence = failure["permanence"]
        return cls(
            address=failure["address"],
            status_code=failure["status"],
            permanence=None if permanence is None else BouncePermanence(permanence),
            reason=BounceReason(failure["reason"]),
            diagnostic=failure["diagnostic"],
        )


@strawberry.type(
    description="A server's report on a message that was sent: it did not arrive, is late, or is complained of."
)
class Bounce:
    about_key: strawberry.Private[UUID | None]
    is_complaint: bool = strawberry.field(description="The message arrived, and its reader called it spam.")
    failures: list[DeliveryFailure] = strawberry.field(
        description="One for each recipient that it names, at most 100. Of recipients in Bcc the sender alone is told: "
        "to others this may be empty, and the subject and the text of the bounce are then."
    )
    about_rfc_message_id: str | None = strawberry.field(
        description="The Message-ID of the message that it is about, without angle brackets; null where none is told."
    )

    @strawberry.field(
        description="The message of this thread that it is about; null where the thread does not hold it (yet)."
    )
    async def about(self, info: Info) -> Annotated["Message", strawberry.lazy("gql.schema.messages")] | None:
        from gql.schema.messages import load_message  # noqa: PLC0415 - messages hold bounces, and bounces name messages

        return None if self.about_key is None else await load_message(info, self.about_key)

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        return cls(
            about_key=UUID(found["about_id"]) if found["about_id"] else None,
            is_complaint=found["is_complaint"],
            failures=[DeliveryFailure.of(failure) for failure in found["failures"]],
            about_rfc_message_id=found["about"],
        )
