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


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A message as read from its bytes. Every field has a value, however broken the message.

    Attributes:
        rfc_message_id: without angle brackets; None where there is none.
        in_reply_to: ids named by In-Reply-To, without brackets, in order.
        references: ids named by References, oldest first, without brackets, no repeats.
        date: the Date header in UTC; None where it is missing or cannot be read. Whether it is credible is judged
            against the time of receipt, by `credible_date`.
        text: the whole body as plain text.
        reply_text: `text` without quoted history and signature.
        snippet: the first words of `reply_text` on one line, at most 200 characters.
        html: the body as safe HTML (domain.html), None where the message has no HTML part.
        defects: short fixed codes of what was wrong with it, never content.
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
    subject: str
    date: datetime | None
    text: str
    reply_text: str
    snippet: str
    html: str | None
    kind: MessageKind
    attachments: tuple[AttachmentPart, ...]
    defects: tuple[str, ...] = field(default=())

    @property
    def ancestry(self) -> tuple[str, ...]:
        """Ids of the messages that it continues, oldest first: References, then what In-Reply-To adds."""
        return (*self.references, *(parent for parent in self.in_reply_to if parent not in self.references))
