"""What a mailbox reports: messages seen by their headers, and messages fetched whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

FolderCursor: TypeAlias = Mapping[str, Any]
"""How far a folder has been read, as its provider writes it: a JSON object that nobody else looks into."""


@dataclass(frozen=True, slots=True)
class RemoteHeader:
    """A message judged by its headers. It lives in memory only, until it is decided on.

    Attributes:
        remote_id: the server's name for this copy, unique in its folder and never reused (IMAP: `uidvalidity:uid`).
        received_at: when the server took it in (IMAP: INTERNALDATE), aware UTC.
        arrived_after_connect: it came into this folder after the mailbox was connected (IMAP: its UID is at or past
            the UIDNEXT of that moment). A message that was moved here counts as arrived; its date tells it apart.
        addresses: every addr-spec in From, To, Cc, Bcc, Reply-To and Sender, as written.
        references: ids of References, then In-Reply-To, without brackets.
        may_be_report: it looks like a server's report on mail that was sent, which names whom it concerns in its body
            alone (`domain.mime.bounces.may_be_report`).
    """

    remote_id: str
    received_at: datetime
    size_bytes: int
    arrived_after_connect: bool
    addresses: tuple[str, ...]
    rfc_message_id: str | None
    references: tuple[str, ...]
    may_be_report: bool = False


@dataclass(frozen=True, slots=True)
class DiscoveredPage:
    """Some messages of one folder, and the cursor that says they have been looked at.

    Attributes:
        folder: the folder's name, decoded.
        cursor: what to store, in the transaction that keeps what matched of `headers`, to go on after this page.
        scanned: how many messages this page moved the cursor over.
        remaining: how many, in all folders, are still to be looked at in this pass; None where unknown.
    """

    folder: str
    headers: tuple[RemoteHeader, ...]
    cursor: FolderCursor
    scanned: int
    remaining: int | None


@dataclass(frozen=True, slots=True)
class RemoteRef:
    """Names a message to fetch."""

    folder: str
    remote_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """A message's bytes, or why there are none.

    Attributes:
        raw: None where the server no longer has it under that name, and in the cases below.
        too_large: it is there, but larger than the provider was told to take.
        refused: it is there, but the server would not hand it out; another time it may.
        unreachable: its folder was not opened, which says nothing about the message; another time it may be.
        provider_thread_id: the conversation that the server has put it in (Gmail: X-GM-THRID), meaningful within its
            mailbox alone; None where the server does not tell.
    """

    ref: RemoteRef
    raw: bytes | None
    too_large: bool = False
    refused: bool = False
    unreachable: bool = False
    provider_thread_id: str | None = None
