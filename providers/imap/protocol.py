"""How is one IMAP command carried over a connection: aioimaplib's protocol with reading and waiting replaced.

aioimaplib's own class recurses once per line (it dies of a reply with a thousand), leaves its callers waiting when the
connection ends, and alters lines on the way. Here, time is linear, memory bounded, one command runs at a time, and
whatever ends the connection ends the command that waits: at once, and for good.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aioimaplib

from providers.errors import boundary
from providers.imap.failures import (
    CommandNotUnderstood,
    ConnectionLost,
    NotIMAP,
    ProtocolViolation,
    ServerBusy,
    ServerSaidBye,
    TLSRefused,
)
from providers.imap.replies import asks_for_patience
from providers.imap.wire import Response, ResponseReader

_GREETING = re.compile(rb"\* (OK|PREAUTH|BYE)\b", re.IGNORECASE)
_TAGGED = re.compile(rb"([A-P]+\d+) (OK|NO|BAD)\b ?(.*)", re.IGNORECASE | re.DOTALL)
_BYE = re.compile(rb"\* BYE\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """How a command ended: OK, NO or BAD, the server's words, and the untagged responses that no sink took."""

    result: str
    text: bytes
    responses: Sequence[Response]


class Request(aioimaplib.Command):  # type: ignore[misc] # aioimaplib has no types
    """A command on its way: what to send, piece by piece, and where its responses go."""

    def __init__(
        self, name: str, tag: str, pieces: Sequence[bytes], sink: Callable[[Response], None] | None = None
    ) -> None:
        super().__init__(name, tag)
        self.pieces = deque(pieces)
        self.responses: list[Response] = []
        self.take_response = sink or self.responses.append
        self.is_done = False

    def next_piece(self) -> bytes | None:
        """What to send when the server says to go on; None where nothing is left."""
        return self.pieces.popleft() if self.pieces else None

    async def ended(self) -> None:
        """Returns once the command has ended, well or not."""
        await self._event.wait()

    def finish(self, result: str, text: bytes) -> None:
        self.is_done = True
        self.reply = Reply(result, text, self.responses)
        self.close(text, result)

    def fail(self, failure: Exception) -> None:
        self.is_done = True
        self._exception = failure
        self.close(b"", "KO")


class IdleRequest(Request):
    """IDLE: `changed` is set when it begins, at each notice, and when it ends in whatever way."""

    def __init__(self, tag: str) -> None:
        super().__init__("IDLE", tag, [f"{tag} IDLE\r\n".encode()], self._take_notice)
        self.changed = asyncio.Event()
        self.has_begun = False

    def next_piece(self) -> bytes | None:
        if not self.pieces:
            self.has_begun = True
            self.changed.set()
        return super().next_piece() or b""

    def close(self, line: bytes, result: str) -> None:
        super().close(line, result)
        self.changed.set()

    async def wait_until_begun(self) -> None:
        """Returns once the server watches.

        Raises:
            CommandNotUnderstood: it refuses.
            ConnectionLost: the connection ended.
        """
        await self.changed.wait()
        if self.is_done:
            await self.wait()
            raise CommandNotUnderstood("IDLE")
        self.changed.clear()

    async def changes_within(self, timeout_s: float) -> bool:
        """True at once when the server has told of something, False when it was quiet for so long.

        Raises:
            ProviderError: the connection ended.
        """
        with boundary():
            try:
                async with asyncio.timeout(timeout_s):
                    await self.changed.wait()
            except TimeoutError:
                return False
            self.changed.clear()
            if self.is_done:
                await self.wait()
                raise ConnectionLost("the server ended IDLE by itself")
        return True

    def _take_notice(self, response: Response) -> None:
        if response[0].upper().endswith((b" EXISTS", b" RECENT")) or b" EXPUNGE" in response[0].upper():
            self.changed.set()


class IMAPProtocol(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc] # aioimaplib has no types
    """One connection. Once anything has gone wrong with it, every use raises what went wrong."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.transport: asyncio.Transport | None
        self._reader = ResponseReader()
        self._failure: Exception | None = None
        self._pending: Request | None = Request("GREETING", "", ())
        self._greeting = self._pending
        self._expects_tls = False
        self.closed = asyncio.Event()

    @property
    def is_usable(self) -> bool:
        """The connection stands and no command is under way."""
        return self._failure is None and self._pending is None

    async def greeting(self) -> bytes:
        """The server's first line."""
        await self._greeting.wait()
        return self._greeting.reply.text

    async def execute(self, command: Request, *, literal_bytes: int = 0, total_literal_bytes: int = 0) -> Reply:
        """Sends the command and waits for its end; what cuts that short ends the connection.

        Raises:
            aioimaplib.AioImapException: the connection broke or the server does not speak IMAP.
        """
        self.begin(command, literal_bytes=literal_bytes, total_literal_bytes=total_literal_bytes)
        try:
            await command.wait()
        except BaseException:
            self.fail(ConnectionLost("cut short"))
            raise
        return command.reply

    def begin(self, command: Request, *, literal_bytes: int = 0, total_literal_bytes: int = 0) -> None:
        """Sends the command without waiting for its end."""
        if self._failure is not None:
            raise self._failure
        if self._pending is not None:
            raise RuntimeError(f"{command.name} while {self._pending.name} is under way")
        self._pending = command
        self._reader.allow(literal_bytes=literal_bytes, total_literal_bytes=total_literal_bytes)
        self._expects_tls = command.name == "STARTTLS"
        self._send_next_piece(command)

    def fail(self, failure: Exception) -> None:
        """Ends the connection, and the command that waits on it; the first failure is the one remembered."""
        if self._failure is None:
            self._failure = failure
        command, self._pending = self._pending, None
        if command is not None:
            command.fail(self._failure)
        if self.transport is not None:
            self.transport.abort()

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        """Puts TLS under the conversation, after the server agreed to it."""
        assert self.transport is not None  # noqa: S101 - it has carried the server's answer, for the type checker
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, tls, server_hostname=host)
        self._expects_tls = False

    # --- What asyncio calls ---

    def data_received(self, data: bytes) -> None:
        try:
            for response in self._reader.feed(data):
                self._dispatch(response)
            if self._expects_tls and self._pending is None and not self._reader.is_empty:
                raise TLSRefused("plain text where TLS was to begin")
        except aioimaplib.AioImapException as failure:
            self.fail(failure)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(ConnectionLost("connection lost"))
        super().connection_lost(exc)
        self.closed.set()

    # --- Within ---

    def _dispatch(self, response: Response) -> None:
        text, command = response[0], self._pending
        if self._failure is not None:
            return
        if command is self._greeting:
            self._take_greeting(text)
        elif self._expects_tls and command is None:
            raise TLSRefused("plain text where TLS was to begin")
        elif text.startswith(b"* "):
            self._take_untagged(response)
        elif text.startswith(b"+"):
            if command is not None:
                self._send_next_piece(command)
        else:
            self._take_end(text)

    def _take_greeting(self, text: bytes) -> None:
        if not _GREETING.match(text):
            raise NotIMAP("no IMAP greeting")
        if _BYE.match(text):
            raise _farewell(text)
        self.state = aioimaplib.NONAUTH if text[:4].upper() == b"* OK" else aioimaplib.AUTH
        self._pending = None
        self._greeting.finish("OK", text)

    def _take_untagged(self, response: Response) -> None:
        command = self._pending
        if _BYE.match(response[0]) and (command is None or command.name != "LOGOUT"):
            raise _farewell(response[0])
        if command is not None:
            command.take_response([response[0][2:], *response[1:]])

    def _take_end(self, text: bytes) -> None:
        end, command = _TAGGED.match(text), self._pending
        if end is None or command is None or end[1].decode() != command.tag:
            raise ProtocolViolation("not an answer to what was asked")
        self._pending = None
        command.finish(end[2].decode().upper(), end[3])

    def _send_next_piece(self, command: Request) -> None:
        piece = command.next_piece()
        if piece is None and command.name == "AUTHENTICATE":
            piece = b"\r\n"  # a refused login may come as a challenge; an empty answer brings the plain refusal
        if piece:
            self.send_octets(piece)

    def send_octets(self, octets: bytes) -> None:
        """Sends as it is; nothing happens where the connection is gone, for its end is told otherwise."""
        if self.transport is not None:
            self.transport.write(octets)


def _farewell(text: bytes) -> ConnectionLost:
    return ServerBusy("asked for patience") if asks_for_patience(text) else ServerSaidBye("said bye")
