"""How is a mailbox read over IMAP: the provider contract in terms of folders, UIDs and cursors."""

import heapq
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from domain.changes import DiscoveredPage, FetchedMessage, FolderCursor, RemoteHeader, RemoteRef
from domain.errors import ErrorCode, FolderRefused, ProviderError
from providers.base import Scope, Snapshot
from providers.imap.connection import Connection
from providers.imap.criteria import address_batches, any_of, reports_naming, since
from providers.imap.cursor import FolderState, IMAPCursor
from providers.imap.fetching import fetch_messages
from providers.imap.folders import Folder
from providers.imap.mailbox import HeadersAsked, RemoteMailbox
from providers.imap.protocol import Request

HEADERS_PER_PAGE = 1_000
REISSUE_IDLE_S = 9 * 60.0
"""Well under the half hour of RFC 2177, because providers and routers drop quiet connections after ten minutes."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The part of a folder's history that is still to be read, as it was when the pass began."""

    folder: Folder
    state: FolderState
    cursor: IMAPCursor
    existing: list[int]
    waiting: list[int]
    is_renumbered: bool


class _PassedOver:
    """The folders that the server would not open, for no lasting reason, while one pass went over the mailbox.

    A pass keeps count by itself: the session may have opened such a folder again since, for somebody else.
    """

    def __init__(self) -> None:
        self.folders: set[str] = set()

    def tell(self) -> None:
        """Raises FolderRefused where there are any: the pass has not seen everything."""
        if self.folders:
            raise FolderRefused(
                ErrorCode.CONNECTION_REFUSED,
                "The mail server does not open one of the folders.",
                hint="The other folders are read. If it stays so, open the folder in a mail program.",
            )


class IMAPSession:
    """`providers.base.MailSession` over one connection."""

    def __init__(self, connection: Connection, *, max_message_bytes: int) -> None:
        self._connection = connection
        self._mailbox = RemoteMailbox(connection)
        self._max_message_bytes = max_message_bytes

    async def snapshot(self) -> Snapshot:
        cursors: dict[str, FolderCursor] = {}
        for folder, told in await self._mailbox.look():
            state = told or await self._open(folder)
            if state is not None:
                cursors[folder.name] = IMAPCursor.at(state).stored()
        return Snapshot(cursors)

    async def date_of_latest(self, count: int) -> datetime | None:
        latest: list[datetime] = []
        for folder, _ in await self._mailbox.look():
            if await self._open(folder) is not None:
                latest = heapq.nlargest(count, latest + await self._mailbox.dates())
        return latest[count - 1] if 0 < count <= len(latest) else None

    async def discover(
        self,
        cursors: Mapping[str, FolderCursor],
        *,
        want: Literal["live", "history"],
        scope: Scope | None = None,
        folders: Sequence[str] | None = None,
    ) -> AsyncGenerator[DiscoveredPage, None]:
        looked = await self._mailbox.look()
        # A hint that names none of the folders read (the inbox, where All Mail is read) means: look at all.
        hinted = [each for each in looked if folders is None or each[0].name in folders] or looked
        passed_over = _PassedOver()
        pages = (
            self._history([folder for folder, _ in hinted], cursors, scope.oldest if scope else None, passed_over)
            if want == "history"
            else self._news(hinted, cursors, passed_over)
        )
        async with aclosing(pages):
            async for page in pages:
                yield page
        passed_over.tell()

    async def fetch(self, refs: Sequence[RemoteRef]) -> AsyncGenerator[FetchedMessage, None]:
        async for message in fetch_messages(self._mailbox, refs, max_message_bytes=self._max_message_bytes):
            yield message

    async def search(
        self, addresses: Sequence[str], scope: Scope, *, cursors: Mapping[str, FolderCursor] | None = None
    ) -> AsyncGenerator[DiscoveredPage, None]:
        passed_over = _PassedOver()
        for folder, _ in await self._mailbox.look():
            state = await self._open(folder, passed_over)
            if state is None:
                continue
            found: set[int] = set()
            for batch in address_batches(addresses):
                criteria = [since(scope.oldest)] if scope.oldest else []
                for wanted in (any_of(batch), reports_naming(batch)):
                    found.update(await self._mailbox.find([*criteria, *wanted]))
            stored = (cursors or {}).get(folder.name)
            baseline = None if stored is None else IMAPCursor.from_stored(stored, state).baseline
            waiting = sorted(found)
            while waiting:
                uids, waiting = waiting[-HEADERS_PER_PAGE:], waiting[:-HEADERS_PER_PAGE]
                if not await self._still_open(folder, state, passed_over):
                    break
                asked = await self._mailbox.ask_for_headers(uids, state, baseline=baseline)
                headers = _within(await self._mailbox.headers(*asked), scope.oldest)
                yield DiscoveredPage(folder.name, tuple(reversed(headers)), {}, len(uids), len(waiting))
        passed_over.tell()

    # --- Within ---

    async def _news(
        self,
        looked: Sequence[tuple[Folder, FolderState | None]],
        cursors: Mapping[str, FolderCursor],
        passed_over: _PassedOver,
    ) -> AsyncGenerator[DiscoveredPage, None]:
        for folder, told in looked:
            stored = cursors.get(folder.name)
            if not _nothing_new(stored, told):
                async with aclosing(self._live(folder, stored, passed_over)) as pages:
                    async for page in pages:
                        yield page

    async def _live(
        self, folder: Folder, stored: FolderCursor | None, passed_over: _PassedOver
    ) -> AsyncGenerator[DiscoveredPage, None]:
        """What came since, oldest first. The state is read before anything is fetched; `n:*` is never asked."""
        state = await self._open(folder, passed_over, arrived_from=int(stored["live"]) if stored else 1)
        if state is None:
            return
        cursor = IMAPCursor.from_stored(stored, state)
        waiting = await self._mailbox.uids(cursor.live, state.uidnext - 1)
        while waiting:
            uids, waiting = waiting[:HEADERS_PER_PAGE], waiting[HEADERS_PER_PAGE:]
            if not await self._still_open(folder, state, passed_over):
                return
            asked = await self._mailbox.ask_for_headers(uids, state, baseline=cursor.baseline)
            headers = await self._mailbox.headers(*asked)
            cursor = cursor.after_live(uids[-1] + 1 if waiting else state.uidnext)
            yield DiscoveredPage(folder.name, tuple(headers), cursor.stored(), len(uids), len(waiting))
        final = cursor.after_live(state.uidnext)
        if final.stored() != (stored if cursor.live < state.uidnext else cursor.stored()):
            yield DiscoveredPage(folder.name, (), final.stored(), 0, 0)

    async def _history(
        self,
        folders: Sequence[Folder],
        cursors: Mapping[str, FolderCursor],
        oldest: datetime | None,
        passed_over: _PassedOver,
    ) -> AsyncGenerator[DiscoveredPage, None]:
        """What was there when the mailbox was connected, newest first, as far back as the scope goes.

        Every folder is counted before the first is read, so that the first page can say how much there is.
        """
        stretches = [
            stretch
            for folder in folders
            if folder.name in cursors
            and (stretch := await self._stretch(folder, cursors[folder.name], oldest, passed_over))
        ]
        for position, stretch in enumerate(stretches):
            elsewhere = sum(len(later.waiting) for later in stretches[position + 1 :])
            async with aclosing(self._read_stretch(stretch, elsewhere, oldest, passed_over)) as pages:
                async for page in pages:
                    yield page

    async def _stretch(
        self, folder: Folder, stored: FolderCursor, oldest: datetime | None, passed_over: _PassedOver
    ) -> _Stretch | None:
        """What is to be read of a folder's history; None where the server refuses the folder."""
        state = await self._open(folder, passed_over)
        if state is None:
            return None
        cursor = IMAPCursor.from_stored(stored, state)
        existing = await self._mailbox.uids(1, cursor.baseline - 1)
        in_scope = existing if oldest is None else await self._mailbox.uids(1, cursor.baseline - 1, oldest=oldest)
        waiting = [uid for uid in in_scope if uid not in cursor.seen]
        return _Stretch(
            folder, state, cursor, existing, waiting, is_renumbered=cursor.uidvalidity != stored["uidvalidity"]
        )

    async def _read_stretch(
        self, stretch: _Stretch, elsewhere: int, oldest: datetime | None, passed_over: _PassedOver
    ) -> AsyncGenerator[DiscoveredPage, None]:
        """The next page is asked for before one is given away, so that it comes while the caller stores that one."""
        folder, state, cursor, waiting = stretch.folder, stretch.state, stretch.cursor, stretch.waiting
        ahead: tuple[Request, HeadersAsked] | None = None
        while waiting:
            uids, waiting = waiting[-HEADERS_PER_PAGE:], waiting[:-HEADERS_PER_PAGE]
            if ahead is None:
                if not await self._still_open(folder, state, passed_over):
                    return
                ahead = await self._mailbox.ask_for_headers(uids, state, baseline=cursor.baseline)
            headers = await self._mailbox.headers(*ahead)
            ahead = None
            if waiting and await self._still_open(folder, state, passed_over):
                following = waiting[-HEADERS_PER_PAGE:]
                ahead = await self._mailbox.ask_for_headers(following, state, baseline=cursor.baseline)
            kept = _within(headers, oldest)
            too_old = {_uid(header) for header in headers if header.received_at < oldest} if oldest else set()
            cursor = cursor.after_history((uid for uid in uids if uid not in too_old), stretch.existing)
            remaining = len(waiting) + elsewhere
            yield DiscoveredPage(folder.name, tuple(reversed(kept)), cursor.stored(), len(uids), remaining)
        if stretch.is_renumbered:
            yield DiscoveredPage(folder.name, (), cursor.stored(), 0, elsewhere)

    async def _open(
        self, folder: Folder, passed_over: _PassedOver | None = None, *, arrived_from: int | None = None
    ) -> FolderState | None:
        """Opens the folder; where only what has arrived from a UID on is wanted, not again if it is open already."""
        if arrived_from is None:
            state = await self._mailbox.open(folder)
        else:
            state = await self._mailbox.open_or_refresh(folder, arrived_from)
        if state is None:
            log.warning("imap_folder_refused")
            if passed_over is not None and folder.name in self._mailbox.refused:
                passed_over.folders.add(folder.name)
        return state

    async def _still_open(self, folder: Folder, state: FolderState, passed_over: _PassedOver) -> bool:
        """Between two pages the caller may have used the session for another folder; the UIDs must hold still."""
        present = await self._mailbox.keep_open(folder)
        if present is None and folder.name in self._mailbox.refused:
            passed_over.folders.add(folder.name)
        return present is not None and present.uidvalidity == state.uidvalidity


class IdlingIMAPSession(IMAPSession):
    """A session on a server that offers IDLE; `providers.base.IdleSession`.

    Any folder can be watched, also one that is not read because All Mail is: not every server tells of news there.
    """

    async def wait_for_news(self, folder: str) -> AsyncGenerator[None, None]:
        remote = await self._mailbox.folder(folder) or Folder.named(folder)
        if await self._open(remote) is None:
            raise ProviderError(ErrorCode.CONNECTION_REFUSED, "The mail server does not open this folder.")
        while True:
            async with self._connection.idling() as idle:
                # Whatever came while nobody was listening is covered by this: it makes the caller look.
                yield
                while await idle.changes_within(REISSUE_IDLE_S):
                    yield
            await self._connection.demand("NOOP")


def _nothing_new(stored: FolderCursor | None, told: FolderState | None) -> bool:
    if stored is None or told is None:
        return False
    cursor = IMAPCursor.from_stored(stored, told)
    return cursor.uidvalidity == stored["uidvalidity"] and told.uidnext <= cursor.live


def _within(headers: list[RemoteHeader], oldest: datetime | None) -> list[RemoteHeader]:
    """The server counts by days; this is exact."""
    return headers if oldest is None else [header for header in headers if header.received_at >= oldest]


def _uid(header: RemoteHeader) -> int:
    return int(header.remote_id.partition(":")[2])
