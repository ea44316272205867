"""What every mail provider promises: a small core, and capabilities beside it.

A provider opens *sessions*. A session is one authenticated connection (or HTTP client) to one mailbox, used by one task
at a time. All of its calls have an overall deadline, raise only `domain.errors.ProviderError`, and never change
anything in the mailbox: no flag set, nothing moved or deleted. After any error the session is closed, never used again.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from domain.changes import DiscoveredPage, FetchedMessage, FolderCursor, RemoteRef


class TransportSecurity(StrEnum):
    """How a connection is protected; PLAIN only where the operator allows it."""

    TLS = "TLS"
    STARTTLS = "STARTTLS"
    PLAIN = "PLAIN"


@dataclass(frozen=True, slots=True)
class ServerLogin:
    """Where a mail server is and who logs in there."""

    host: str
    port: int
    security: TransportSecurity
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The mailbox at the moment it was connected: for each folder to be read, the cursor to start from."""

    cursors: Mapping[str, FolderCursor]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which messages may be looked at besides those that arrive.

    Attributes:
        oldest: received at or after this; None for all.
    """

    oldest: datetime | None


class MailSession(Protocol):
    """One open, authenticated connection to a mailbox."""

    async def snapshot(self) -> Snapshot:
        """Where each folder stands now, taken before anything is read from it."""

    async def date_of_latest(self, count: int) -> datetime | None:
        """When the `count`-th newest message of the mailbox was received; None where it holds fewer."""

    def discover(
        self,
        cursors: Mapping[str, FolderCursor],
        *,
        want: Literal["live", "history"],
        scope: Scope | None = None,
        folders: Sequence[str] | None = None,
    ) -> AsyncGenerator[DiscoveredPage, None]:
        """Messages not yet looked at, page by page, each page with its folder's next cursor.

        Args:
            cursors: as stored, by folder. A folder without one is new since connecting: all in it has arrived.
            want: "live" for what came after connecting, oldest first; "history" for what was there before, newest
                first.
            scope: for history, how far back.
            folders: only these, where given (a hint from a notice); for all, None.

        A page may come without headers, to report a cursor that moved. Closing the iterator is safe at any page.

        Raises:
            FolderRefused: at the end, where a folder could not be opened; all others have been read, and the session
                may be used further.
        """

    def fetch(self, refs: Sequence[RemoteRef]) -> AsyncGenerator[FetchedMessage, None]:
        """The messages, one at a time, in any order; each `ref` is answered once. Memory stays near one message."""

    def search(
        self, addresses: Sequence[str], scope: Scope, *, cursors: Mapping[str, FolderCursor] | None = None
    ) -> AsyncGenerator[DiscoveredPage, None]:
        """Messages with one of the addresses in their headers; pages carry the cursors unchanged (empty mapping).

        Args:
            scope: how far back.
            cursors: as stored for news; they tell what has arrived since connecting. Without them nothing has.

        Raises:
            FolderRefused: at the end, as `discover`.
        """


@runtime_checkable
class IdleSession(Protocol):
    """Capability: the server says by itself that something has arrived."""

    def wait_for_news(self, folder: str) -> AsyncGenerator[None, None]:
        """Yields once when watching has begun, then at each notice. Ends only by raising ProviderError."""


class MailProvider(Protocol):
    """Opens sessions on mailboxes of one kind."""

    def open(self) -> AbstractAsyncContextManager[MailSession]:
        """Connects and logs in; closes on exit.

        Raises:
            ProviderError: with the code that tells the failure apart (HOST_NOT_FOUND, CONNECTION_REFUSED, TIMED_OUT,
                TLS_FAILED, NOT_A_MAIL_SERVER, HOST_NOT_ALLOWED, AUTHENTICATION_FAILED, APP_PASSWORD_REQUIRED …).
        """
