"""What a message is once it has been read, whatever server it came from."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class MessageKind(StrEnum):
    """The contract's `MessageKind`."""

    REGULAR = "REGULAR"
    AUTO_REPLY = "AUTO_REPLY"
    BOUNCE = "BOUNCE"
    INVITATION = "INVITATION"


@dataclass(frozen=True, slots=True)
class MailAddress:
    """One entry of an address header.

    Attributes:
        name: the decoded display name; None where there is none.
        address: a valid addr-spec as written (case kept); None where the header holds none.
        raw: the entry as in the header, decoded.
    """

    name: str | None
    address: str | None
    raw: str


@dataclass(frozen=True, slots=True)
class AttachmentPart:
    """A file within a message.

    Attributes:
        filename: safe to show and to save: one path component, no control characters, never empty.
        content_type: lower case, as `application/pdf`.
        content_id: without angle brackets; None where the part has none.
        is_inline: shown within the HTML body by `cid:`.
    """

    filename: str
    content_type: str
    content: bytes
    content_id: str | None
    is_inline: bool


class BounceReason(StrEnum):
    """Why a message came back, as far as the report says."""

    USER_UNKNOWN = "USER_UNKNOWN"
    """No such address there: said of the address itself."""
    RECIPIENT_REFUSED = "RECIPIENT_REFUSED"
    """Said to be unknown, but only when the text was seen, or nobody knows when: some filters disguise so."""
    HOST_UNKNOWN = "HOST_UNKNOWN"
    NOT_ACCEPTING = "NOT_ACCEPTING"
    """The domain takes no mail at all."""
    MOVED = "MOVED"
    MAILBOX_FULL = "MAILBOX_FULL"
    MAILBOX_DISABLED = "MAILBOX_DISABLED"
    TOO_LARGE = "TOO_LARGE"
    DELAYED = "DELAYED"
    """Not delivered so far; the server goes on trying."""
    EXPIRED = "EXPIRED"
    NETWORK = "NETWORK"
    RATE_LIMITED = "RATE_LIMITED"
    BLOCKED = "BLOCKED"
    """The sending server is not trusted: its reputation, a block list, its name in the DNS."""
    AUTHENTICATION = "AUTHENTICATION"
    """SPF, DKIM or DMARC failed."""
    SENDER_REJECTED = "SENDER_REJECTED"
    RELAY_DENIED = "RELAY_DENIED"
    POLICY = "POLICY"
    REJECTED_AS_SPAM = "REJECTED_AS_SPAM"
    VIRUS = "VIRUS"
    MALFORMED = "MALFORMED"
    SERVER_ERROR = "SERVER_ERROR"
    COMPLAINT = "COMPLAINT"
    """It arrived, and its reader called it spam."""
    OTHER = "OTHER"


class Permanence(StrEnum):
    """Whether it is of use to try an address again."""

    HARD = "HARD"
    SOFT = "SOFT"
    DELAYED = "DELAYED"


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """What became of a message for one of its recipients.

    Attributes:
        recipient: the address as the report has it; None where it names none.
        status: an enhanced status code (RFC 3463), as `5.1.1`: the server's own where it gave one, else the one that
            its reply code and words come to; None of a complaint.
        is_hard: trying this address again is of no use.
        is_delayed: the server goes on trying; never hard.
        diagnostic: what the server said of it, on one line, at most 500 characters; None where it said nothing.
    """

    recipient: str | None
    status: str | None
    reason: BounceReason
    is_hard: bool
    is_delayed: bool = False
    diagnostic: str | None = None

    @property
    def permanence(self) -> Permanence | None:
        """None of a complaint: the message arrived."""
        if self.reason is BounceReason.COMPLAINT:
            return None
        if self.is_delayed:
            return Permanence.DELAYED
        return Permanence.HARD if self.is_hard else Permanence.SOFT


@dataclass(frozen=True, slots=True)
class BounceReport:
    """A server's report on a message that was sent before.

    Attributes:
        rfc_message_id: of the message that it is about, without brackets; None where the report does not tell.
        failures: one for each recipient that it names, in order; never empty, at most 100.
        addressees: addr-specs in To, Cc and Bcc of that message, as far as it came back; at most 1,000.
    """

    rfc_message_id: str | None
    failures: tuple[DeliveryFailure, ...]
    addressees: tuple[str, ...] = ()

    @property
    def is_complaint(self) -> bool:
        """The message arrived: it did not bounce."""
        return all(failure.reason is BounceReason.COMPLAINT for failure in self.failures)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a header block says about who, and in answer to what.

    Attributes:
        rfc_message_id: without angle brackets; None where there is none.
        in_reply_to: ids named by In-Reply-To, without brackets, in order.
        references: ids named by References, oldest first, without brackets, no repeats.
    """

    rfc_message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    from_: tuple[MailAddress, ...]
    sender: tuple[MailAddress, ...]
    reply_to: tuple[MailAddress, ...]
    to: tuple[MailAddress, ...]
    cc: tuple[MailAddress, ...]
    bcc: tuple[MailAddress, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every addr-spec in the six address headers, as written, each once."""
        entries = (*self.from_, *self.sender, *self.reply_to, *self.to, *self.cc, *self.bcc)
        return tuple(dict.fromkeys(entry.address for entry in entries if entry.address is not None))


@dataclass(frozen=True, slots=True)
class ParsedMessage(Envelope):
    """A message as read from its bytes. Every field has a value, however broken the message.

    Attributes:
        date: the Date header in UTC; None where it is missing or cannot be read. Whether it is credible is judged
            against the time of receipt, by `credible_date`.
        text: the whole body as plain text.
        reply_text: `text` without quoted history and signature.
        snippet: the first words of `reply_text` on one line, at most 200 characters.
        html: the body as safe HTML (domain.html), None where the message has no HTML part.
        defects: short fixed codes of what was wrong with it, never content.
        bounce: what a bounce or a complaint reports; None of every other message.
    """

    subject: str
    date: datetime | None
    text: str
    reply_text: str
    snippet: str
    html: str | None
    kind: MessageKind
    attachments: tuple[AttachmentPart, ...]
    defects: tuple[str, ...] = field(default=())
    bounce: BounceReport | None = None

    @property
    def ancestry(self) -> tuple[str, ...]:
        """Ids of the messages that it continues, oldest first: by References, In-Reply-To, and what it reports."""
        reported = (self.bounce.rfc_message_id,) if self.bounce and self.bounce.rfc_message_id else ()
        return tuple(dict.fromkeys((*self.references, *self.in_reply_to, *reported)))
