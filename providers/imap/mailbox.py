"""What can be asked of a mailbox over IMAP: its folders, their state, which UIDs there are, headers, bodies.

Nothing here changes the mailbox: folders are opened by EXAMINE and bodies read by PEEK.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from domain.changes import RemoteHeader
from providers.errors import boundary
from providers.imap.connection import Connection, Text
from providers.imap.criteria import since
from providers.imap.cursor import FolderState
from providers.imap.failures import ProtocolViolation
from providers.imap.fetched import FetchedItems, read_fetch
from providers.imap.folders import Folder, folders_to_read, read_foreign_prefixes, read_listing
from providers.imap.headers import HeaderReader
from providers.imap.protocol import Request
from providers.imap.ranges import UIDRanges
from providers.imap.wire import Response, parse

SLICE_BYTES = 2**20
HEADER_BYTES = 256 * 1024
"""How much of one message's address fields is read; what lies beyond is no correspondence."""

_HEADER_ITEMS = (
    b"(UID INTERNALDATE RFC822.SIZE "
    b"BODY.PEEK[HEADER.FIELDS (FROM TO CC BCC REPLY-TO SENDER MESSAGE-ID IN-REPLY-TO REFERENCES "
    b"CONTENT-TYPE RETURN-PATH AUTO-SUBMITTED X-FAILED-RECIPIENTS X-MS-EXCHANGE-MESSAGE-IS-NDR)])"
)
_READ_AT_ONCE = 50
_STATUS_ITEMS = b"(UIDNEXT UIDVALIDITY)"
_UIDVALIDITY = re.compile(rb"\[UIDVALIDITY (\d{1,10})\]", re.IGNORECASE)
_UIDNEXT = re.compile(rb"\[UIDNEXT (\d{1,10})\]", re.IGNORECASE)
_EXISTS = re.compile(rb"(\d{1,10}) EXISTS", re.IGNORECASE)
_SEARCH = re.compile(rb"SEARCH((?: +\d{1,10})*) *(?:\(.*\))?", re.IGNORECASE)
_FOR_GOOD = re.compile(rb"\[(?:NONEXISTENT|NOPERM)\]", re.IGNORECASE)
"""Source: RFC 5530 §3."""
_LAST_UID = 2**32 - 1
_MESSAGES_PER_DATE_FETCH = 20_000


class HeadersAsked:
    """Headers that have been asked for, read as they come: a few at a time, for the loop has others to serve."""

    def __init__(
        self,
        read: Callable[[Response], tuple[int, RemoteHeader] | None],
        abandon: Callable[[ProtocolViolation], None],
    ) -> None:
        """`abandon` is told what cannot be read, and ends the connection."""
        self.found: dict[int, RemoteHeader] = {}
        self._read = read
        self._abandon = abandon
        self._waiting: deque[Response] = deque()
        self._is_reading = False

    def take(self, response: Response) -> None:
        self._waiting.append(response)
        if not self._is_reading:
            self._is_reading = True
            asyncio.get_running_loop().call_soon(self._read_on)

    async def finish(self) -> None:
        """Reads what is left.

        Raises:
            ProtocolViolation: a response cannot be read.
        """
        while self._waiting:
            self._read_some()
            await asyncio.sleep(0)

    def _read_on(self) -> None:
        try:
            self._read_some()
        except ProtocolViolation as violation:
            self._abandon(violation)
            return
        self._is_reading = bool(self._waiting)
        if self._is_reading:
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_some(self) -> None:
        for _ in range(min(_READ_AT_ONCE, len(self._waiting))):
            read = self._read(self._waiting[0])
            self._waiting.popleft()
            if read is not None:
                uid, header = read
                self.found[uid] = header


class RemoteMailbox:
    """A mailbox through one connection; remembers which folder is open."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._folders: dict[str, Folder] = {}
        self._foreign_prefixes: tuple[bytes, ...] | None = None
        self._open: tuple[Folder, FolderState] | None = None
        self._exists = 0
        self._header_reader = HeaderReader()
        self.refused: set[str] = set()
        """Folders that the server would not open when last asked, for no lasting reason."""

    # --- Folders ---

    async def look(self) -> list[tuple[Folder, FolderState | None]]:
        """The folders that are read, with their state where the server told it along the way.

        The open folder is given without its state: STATUS says nothing reliable of it (RFC 3501 §6.3.10).
        """
        responses, states = await self._list()
        folders = folders_to_read(read_listing(responses), await self._find_foreign_prefixes())
        self._folders = {folder.name: folder for folder in folders}
        return [(folder, None if self._is_open(folder) else await self._state(folder, states)) for folder in folders]

    async def folder(self, name: str) -> Folder | None:
        """The folder of this name among those that are read; None where there is none."""
        if not self._folders:
            await self.look()
        return self._folders.get(name)

    async def open(self, folder: Folder) -> FolderState | None:
        """Opens the folder read-only and returns its state of this moment; None where the server refuses.

        A refusal that may pass is remembered in `refused`; a folder that is gone, or not ours to read, is none.
        """
        self._open = None
        reply = await self.connection.ask("EXAMINE", Text(folder.wire))
        if reply.result != "OK":
            if not _FOR_GOOD.search(reply.text):
                self.refused.add(folder.name)
            return None
        self.refused.discard(folder.name)
        texts = [response[0] for response in reply.responses]
        uidvalidity, uidnext = _first(_UIDVALIDITY, texts), _first(_UIDNEXT, texts)
        self._exists = _first(_EXISTS, texts) or 0
        if uidnext is None:
            told = await self._status(folder)
            uidnext = told.uidnext if told else 1
        state = FolderState(uidvalidity or 0, uidnext)
        self._open = (folder, state)
        return state

    async def open_or_refresh(self, folder: Folder, first: int) -> FolderState | None:
        """As `open`; but where this folder is open already, only what has come since is asked for.

        NOOP shows it (RFC 3501 §6.1.2), and the highest UID from `first` on stands for UIDNEXT, which only opening
        tells. To open a large folder again can take a server seconds.
        """
        if self._open is None or not self._is_open(folder):
            return await self.open(folder)
        await self.connection.demand("NOOP")
        arrived = await self.uids(first, _LAST_UID)
        state = self._open[1]
        if arrived:
            state = FolderState(state.uidvalidity, max(state.uidnext, arrived[-1] + 1))
        self._open = (folder, state)
        return state

    async def keep_open(self, folder: Folder) -> FolderState | None:
        """As `open`, but nothing is asked where this folder is open already."""
        if self._open is not None and self._is_open(folder):
            return self._open[1]
        return await self.open(folder)

    # --- What is in the open folder ---

    async def uids(self, first: int, last: int, *, oldest: datetime | None = None) -> list[int]:
        """The UIDs there are from `first` to `last`, ascending; those surely received before `oldest` left out."""
        if first > last:
            return []
        criteria = [b"UID %d:%d" % (first, last)]
        if oldest is not None:
            criteria.append(since(oldest))
        # The set is checked again: `n:m` with both past the end still names the last message on some servers.
        return [uid for uid in await self.find(criteria) if first <= uid <= last]

    async def find(self, criteria: Sequence[bytes | Text]) -> list[int]:
        """The UIDs of the messages that fulfil the criteria, ascending."""
        ascii_only = all(isinstance(each, bytes) or each.octets.isascii() for each in criteria)
        charset = () if ascii_only else (b"CHARSET UTF-8",)
        reply = await self.connection.demand(
            "UID SEARCH", *charset, *criteria, deadline_s=self.connection.deadlines.transfer_s
        )
        found: set[int] = set()
        for response in reply.responses:
            hits = _SEARCH.fullmatch(response[0])
            if hits is not None:
                found.update(map(int, hits[1].split()))
        return sorted(found)

    async def ask_for_headers(
        self, uids: Iterable[int], state: FolderState, *, baseline: int | None
    ) -> tuple[Request, HeadersAsked]:
        """Has the server send the headers of these messages of the open folder; `headers` gives them.

        `baseline` is the cursor's; None where it is unknown which have arrived since.
        """

        def read(response: Response) -> tuple[int, RemoteHeader] | None:
            items = read_fetch(response)
            if items is None or items.uid is None or items.octets is None:
                return None
            return items.uid, self._header(items, items.uid, state, baseline)

        asked = HeadersAsked(read, self.connection.abandon)
        request = await self.connection.begin(
            "UID FETCH",
            str(UIDRanges.of(uids)).encode(),
            _HEADER_ITEMS,
            sink=asked.take,
            literal_bytes=HEADER_BYTES,
            total_literal_bytes=2**30,  # they are not held together
        )
        return request, asked

    async def headers(self, request: Request, asked: HeadersAsked) -> list[RemoteHeader]:
        """The messages that were asked for by their headers, ascending; those that are gone are left out."""
        await self.connection.finish(request, deadline_s=self.connection.deadlines.transfer_s)
        with boundary():
            await asked.finish()
        return [asked.found[uid] for uid in sorted(asked.found)]

    async def dates(self) -> list[datetime]:
        """When each message of the open folder was received."""
        found: list[datetime] = []

        def take(response: Response) -> None:
            items = read_fetch(response)
            if items is not None:
                found.append(items.internal_date)

        for first in range(1, self._exists + 1, _MESSAGES_PER_DATE_FETCH):
            last = min(first + _MESSAGES_PER_DATE_FETCH - 1, self._exists)
            await self.connection.demand(
                "FETCH",
                b"%d:%d (INTERNALDATE)" % (first, last),
                sink=take,
                deadline_s=self.connection.deadlines.transfer_s,
            )
        return found

    async def bodies(self, uids: Iterable[int], *, total_bytes: int) -> tuple[dict[int, FetchedItems], bool]:
        """The whole messages of these UIDs, those above a slice cut; and whether the server gave all it has."""
        found: dict[int, FetchedItems] = {}

        def take(response: Response) -> None:
            items = read_fetch(response)
            if items is not None and items.uid is not None and items.octets is not None:
                found[items.uid] = items

        reply = await self.connection.ask(
            "UID FETCH",
            str(UIDRanges.of(uids)).encode(),
            b"(%s BODY.PEEK[])" % self._body_items(),
            sink=take,
            deadline_s=self.connection.deadlines.transfer_s,
            literal_bytes=SLICE_BYTES,
            total_literal_bytes=total_bytes,
        )
        return found, reply.result == "OK"

    async def body_slice(self, uid: int, offset: int) -> FetchedItems | None:
        """At most SLICE_BYTES of the message from the offset on; None where the message is gone or withheld."""
        found: list[FetchedItems] = []

        def take(response: Response) -> None:
            items = read_fetch(response)
            if items is not None and items.uid == uid and items.octets is not None:
                found.append(items)

        reply = await self.connection.ask(
            "UID FETCH",
            b"%d (%s BODY.PEEK[]<%d.%d>)" % (uid, self._body_items(), offset, SLICE_BYTES),
            sink=take,
            deadline_s=self.connection.deadlines.transfer_s,
            literal_bytes=SLICE_BYTES,
            total_literal_bytes=SLICE_BYTES,
        )
        return found[-1] if found and reply.result == "OK" else None

    # --- Within ---

    def _body_items(self) -> bytes:
        """What is asked for with a body: Gmail tells which conversation it shows the message in."""
        return b"UID X-GM-THRID" if self.connection.offers("X-GM-EXT-1") else b"UID"

    def _header(self, items: FetchedItems, uid: int, state: FolderState, baseline: int | None) -> RemoteHeader:
        fields = self._header_reader.read(items.octets or b"")
        return RemoteHeader(
            remote_id=f"{state.uidvalidity}:{uid}",
            received_at=items.internal_date,
            size_bytes=items.size_bytes,
            arrived_after_connect=baseline is not None and uid >= baseline,
            addresses=fields.addresses,
            rfc_message_id=fields.rfc_message_id,
            references=fields.references,
            may_be_report=fields.may_be_report,
        )

    def _is_open(self, folder: Folder) -> bool:
        return self._open is not None and self._open[0].wire == folder.wire

    async def _list(self) -> tuple[Sequence[Response], dict[bytes, FolderState] | None]:
        """The LIST responses, and the states where they came along (RFC 5819); asks only for what is offered."""
        offers = self.connection.offers
        wanted = [b"SPECIAL-USE"] if offers("SPECIAL-USE") else []
        with_status = offers("LIST-STATUS")
        if with_status:
            wanted.append(b"STATUS " + _STATUS_ITEMS)
        if wanted and offers("LIST-EXTENDED"):
            reply = await self.connection.attempt("LIST", b'"" "*"', b"RETURN (" + b" ".join(wanted) + b")")
            if reply is not None:
                return reply.responses, _states(reply.responses) if with_status else None
        plain = await self.connection.demand("LIST", b'"" "*"')
        return plain.responses, None

    async def _find_foreign_prefixes(self) -> tuple[bytes, ...]:
        if self._foreign_prefixes is None:
            self._foreign_prefixes = ()
            if self.connection.offers("NAMESPACE"):
                reply = await self.connection.attempt("NAMESPACE")
                self._foreign_prefixes = read_foreign_prefixes(reply.responses) if reply else ()
        return self._foreign_prefixes

    async def _state(self, folder: Folder, states: dict[bytes, FolderState] | None) -> FolderState | None:
        if states is not None:
            return states.get(folder.wire)
        return await self._status(folder)

    async def _status(self, folder: Folder) -> FolderState | None:
        reply = await self.connection.ask("STATUS", Text(folder.wire), _STATUS_ITEMS)
        return next(iter(_states(reply.responses).values()), None) if reply.result == "OK" else None


def _first(pattern: re.Pattern[bytes], texts: Iterable[bytes]) -> int | None:
    for text in texts:
        found = pattern.search(text)
        if found is not None:
            return int(found[1])
    return None


def _states(responses: Iterable[Response]) -> dict[bytes, FolderState]:
    """Folder states by wire name, of the STATUS responses that have both numbers."""
    states: dict[bytes, FolderState] = {}
    for response in responses:
        if response[0][:7].upper() != b"STATUS ":
            continue
        match parse(response):
            case [_, bytes(wire), list(items)]:
                told = {
                    name.upper(): value
                    for name, value in zip(items[::2], items[1::2], strict=False)
                    if isinstance(name, bytes)
                }
                uidvalidity, uidnext = told.get(b"UIDVALIDITY"), told.get(b"UIDNEXT")
                if isinstance(uidvalidity, bytes) and isinstance(uidnext, bytes) and (uidvalidity + uidnext).isdigit():
                    states[wire] = FolderState(int(uidvalidity[:10]), int(uidnext[:10]))
            case _:
                raise ProtocolViolation("unreadable STATUS")
    return states
