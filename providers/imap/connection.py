"""How do we get to an authenticated IMAP connection, and how is a command asked on it within its deadline."""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

import aioimaplib

from domain.errors import ErrorCode, ProviderError, Retry
from providers.base import ServerLogin, TransportSecurity
from providers.errors import boundary
from providers.imap.failures import (
    CommandNotUnderstood,
    CommandRefused,
    ConnectionLost,
    NotIMAP,
    ServerBusy,
    TLSRefused,
)
from providers.imap.protocol import IdleRequest, IMAPProtocol, Reply, Request
from providers.imap.replies import asks_for_patience, judge_login
from providers.imap.wire import Response, parse
from providers.network import NetworkGuard, ascii_host

SHORT_LITERAL_BYTES = 16 * 1024
SHORT_LITERALS_BYTES = 4 * 2**20
"""What is kept of literals where names are expected and no mail; what is longer is cut."""

_UNQUOTABLE = re.compile(rb"[\x00\r\n\x80-\xff]")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each step may take in all, in seconds, however steadily the server trickles."""

    connect_s: float = 15.0
    greeting_s: float = 15.0
    login_s: float = 30.0
    command_s: float = 60.0
    transfer_s: float = 180.0
    logout_s: float = 2.0
    probe_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Text:
    """A string argument: quoted where it can be, else sent as a literal."""

    octets: bytes

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(text.encode("utf-8", "replace"))


class Connection:
    """One authenticated connection, used by one task at a time. After any error it is of no more use."""

    def __init__(self, protocol: IMAPProtocol, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self._protocol = protocol
        self._capabilities: frozenset[str] = frozenset()
        self._ahead: Request | None = None

    def offers(self, capability: str) -> bool:
        """Whether the server said, since login, that it has this capability (in capitals)."""
        return capability in self._capabilities

    async def ask(
        self,
        name: str,
        *arguments: bytes | Text,
        sink: Callable[[Response], None] | None = None,
        deadline_s: float | None = None,
        literal_bytes: int = SHORT_LITERAL_BYTES,
        total_literal_bytes: int = SHORT_LITERALS_BYTES,
    ) -> Reply:
        """Runs a command to its end, whether that is OK or NO.

        Args:
            name: with UID before it where wanted: `UID FETCH`.
            arguments: bytes go as they are.
            sink: takes each untagged response as it comes; without it they are collected in the reply.
            deadline_s: for all of it; None for the usual.
            literal_bytes: how much is kept of a literal, at most.
            total_literal_bytes: how much is kept of all literals.

        Raises:
            ProviderError: the connection broke, or the server did not understand.
        """
        with boundary():
            reply = await self._converse(
                name,
                *arguments,
                sink=sink,
                deadline_s=deadline_s or self.deadlines.command_s,
                literal_bytes=literal_bytes,
                total_literal_bytes=total_literal_bytes,
            )
            _judge(name, reply)
        return reply

    async def demand(
        self,
        name: str,
        *arguments: bytes | Text,
        sink: Callable[[Response], None] | None = None,
        deadline_s: float | None = None,
        literal_bytes: int = SHORT_LITERAL_BYTES,
        total_literal_bytes: int = SHORT_LITERALS_BYTES,
    ) -> Reply:
        """As `ask`, where only OK will do."""
        reply = await self.ask(
            name,
            *arguments,
            sink=sink,
            deadline_s=deadline_s,
            literal_bytes=literal_bytes,
            total_literal_bytes=total_literal_bytes,
        )
        with boundary():
            if reply.result != "OK":
                raise CommandRefused(name)
        return reply

    async def begin(
        self,
        name: str,
        *arguments: bytes | Text,
        sink: Callable[[Response], None],
        literal_bytes: int,
        total_literal_bytes: int,
    ) -> Request:
        """Sends a command, for its responses to come while the caller does something else; `finish` gives them.

        Whatever is asked on this connection before it has ended waits for its end.
        """
        with boundary():
            async with asyncio.timeout(self.deadlines.command_s):
                await self._settle()
            request = self._request(name, arguments, sink)
            self._protocol.begin(request, literal_bytes=literal_bytes, total_literal_bytes=total_literal_bytes)
            self._ahead = request
        return request

    async def finish(self, request: Request, *, deadline_s: float) -> Reply:
        """The reply to a command that was begun, as of `demand`; `deadline_s` from now on."""
        with boundary():
            async with asyncio.timeout(deadline_s):
                await self._settle()
            await request.wait()  # it has ended: well, or by raising
            _judge(request.name, request.reply)
            if request.reply.result != "OK":
                raise CommandRefused(request.name)
        return request.reply

    def abandon(self, failure: Exception) -> None:
        """Ends the connection, and with this error whatever waits for it: what the server says makes no sense."""
        self._protocol.fail(failure)

    async def attempt(self, name: str, *arguments: bytes | Text) -> Reply | None:
        """Runs a command the server may not know although it says so; None where it refuses."""
        with boundary():
            reply = await self._converse(name, *arguments, deadline_s=self.deadlines.transfer_s)
        return reply if reply.result == "OK" else None

    @asynccontextmanager
    async def idling(self) -> AsyncIterator[IdleRequest]:
        """IDLE, begun; within, only the request's own calls are allowed. Leaving ends it, or the connection.

        Raises:
            ProviderError: UNSUPPORTED_PROTOCOL where the server refuses; the connection is then still good.
        """
        request = IdleRequest(self._protocol.new_tag())
        with boundary():
            async with asyncio.timeout(self.deadlines.command_s):
                await self._settle()
            self._protocol.begin(request)
            try:
                async with asyncio.timeout(self.deadlines.command_s):
                    await request.wait_until_begun()
                yield request
                if not request.is_done:
                    self._protocol.send_octets(b"DONE\r\n")
                    async with asyncio.timeout(self.deadlines.command_s):
                        await request.wait()
            finally:
                if not request.is_done:
                    self._protocol.fail(ConnectionLost("left in the middle of IDLE"))

    async def close(self) -> None:
        """Says goodbye where that is still possible, and closes in any case, in a short time."""
        try:
            if self._protocol.is_usable:
                with suppress(aioimaplib.AioImapException, TimeoutError, OSError):
                    await self._converse("LOGOUT", deadline_s=self.deadlines.logout_s)
        finally:
            self._protocol.fail(ConnectionLost("closed"))
            if self._protocol.transport is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.deadlines.logout_s):
                        await self._protocol.closed.wait()

    # --- Opening ---

    async def greet(self) -> None:
        """Waits for the server's first line."""
        async with asyncio.timeout(self.deadlines.greeting_s):
            await self._protocol.greeting()
        if self._protocol.state != aioimaplib.NONAUTH:
            # PREAUTH proves nothing about the password, and is how STARTTLS is stripped (RFC 9051 §11.1).
            raise NotIMAP("greeted as if logged in")
        await self._read_capabilities()

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        """Puts TLS under the connection; what was said before counts no more."""
        reply = await self._converse("STARTTLS", deadline_s=self.deadlines.command_s)
        if reply.result != "OK":
            raise TLSRefused("refused")
        async with asyncio.timeout(self.deadlines.connect_s):
            await self._protocol.start_tls(tls, host)
        await self._read_capabilities()

    async def log_in(self, login: ServerLogin, host: str) -> None:
        """Proves who we are by AUTHENTICATE PLAIN or else LOGIN.

        Raises:
            ProviderError: the login was refused; the code says why.
        """
        reply: Reply | None = None
        if self.offers("AUTH=PLAIN"):
            reply = await self._authenticate_plain(login)
        if reply is None or reply.result == "BAD":
            if self.offers("LOGINDISABLED"):
                raise ProviderError(
                    ErrorCode.UNSUPPORTED_PROTOCOL,
                    "The server allows no login with a password on this connection.",
                    hint="Try another security setting: TLS on port 993, or STARTTLS.",
                    retry=Retry.AFTER_REAUTHORISATION,
                )
            reply = await self._converse(
                "LOGIN", Text.of(login.username), Text.of(login.password), deadline_s=self.deadlines.login_s
            )
        if reply.result != "OK":
            refusal = judge_login(reply.text, protocol="IMAP", host=host)
            raise ProviderError(refusal.code, refusal.message, hint=refusal.hint, retry=refusal.retry)
        await self._read_capabilities()

    async def _authenticate_plain(self, login: ServerLogin) -> Reply:
        """SASL PLAIN (RFC 4616), with the answer sent along where the server takes that (RFC 4959)."""
        answer = base64.b64encode(f"\0{login.username}\0{login.password}".encode("utf-8", "replace"))
        tag = self._protocol.new_tag()
        if self.offers("SASL-IR"):
            pieces = [b"%s AUTHENTICATE PLAIN %s\r\n" % (tag.encode(), answer)]
        else:
            pieces = [b"%s AUTHENTICATE PLAIN\r\n" % tag.encode(), answer + b"\r\n"]
        async with asyncio.timeout(self.deadlines.login_s):
            return await self._protocol.execute(Request("AUTHENTICATE", tag, pieces))

    async def _read_capabilities(self) -> None:
        reply = await self._converse("CAPABILITY", deadline_s=self.deadlines.command_s)
        words: set[str] = set()
        for response in reply.responses:
            if response[0][:10].upper() == b"CAPABILITY":
                words.update(
                    word.decode("ascii", "replace").upper() for word in parse(response) if isinstance(word, bytes)
                )
        if not words & {"IMAP4REV1", "IMAP4REV2", "IMAP4"}:
            raise NotIMAP("no IMAP among the capabilities")
        self._capabilities = frozenset(words)

    async def _converse(
        self,
        name: str,
        *arguments: bytes | Text,
        deadline_s: float,
        sink: Callable[[Response], None] | None = None,
        literal_bytes: int = SHORT_LITERAL_BYTES,
        total_literal_bytes: int = SHORT_LITERALS_BYTES,
    ) -> Reply:
        async with asyncio.timeout(deadline_s):
            await self._settle()
            request = self._request(name, arguments, sink)
            return await self._protocol.execute(
                request, literal_bytes=literal_bytes, total_literal_bytes=total_literal_bytes
            )

    def _request(
        self, name: str, arguments: Sequence[bytes | Text], sink: Callable[[Response], None] | None
    ) -> Request:
        tag = self._protocol.new_tag()
        return Request(name.rpartition(" ")[2], tag, compose(tag, name, arguments), sink)

    async def _settle(self) -> None:
        """Waits for the end, good or bad, of a command that was begun."""
        request, self._ahead = self._ahead, None
        if request is None or request.is_done:
            return
        try:
            await request.ended()
        except BaseException:
            self._protocol.fail(ConnectionLost("cut short"))
            raise


def _judge(name: str, reply: Reply) -> None:
    """Raises where the server did not understand, or wants to be left alone for a while."""
    if reply.result == "BAD":
        raise CommandNotUnderstood(name)
    if reply.result == "NO" and asks_for_patience(reply.text):
        raise ServerBusy(name)


def compose(tag: str, name: str, arguments: Sequence[bytes | Text]) -> list[bytes]:
    """The command as the pieces to send; each piece but the first waits until the server says to go on."""
    pieces = [f"{tag} {name}".encode()]
    for argument in arguments:
        if isinstance(argument, bytes):
            pieces[-1] += b" " + argument
        elif _UNQUOTABLE.search(argument.octets):
            pieces[-1] += b" {%d}\r\n" % len(argument.octets)
            pieces.append(argument.octets)
        else:
            pieces[-1] += b' "%s"' % argument.octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    pieces[-1] += b"\r\n"
    return pieces


async def connect(login: ServerLogin, guard: NetworkGuard, tls: ssl.SSLContext, deadlines: Deadlines) -> Connection:
    """An authenticated connection; the caller closes it.

    Raises:
        ProviderError: as `providers.base.MailProvider.open`.
    """
    host = ascii_host(login.host)
    in_the_clear = login.security is TransportSecurity.PLAIN
    sock = await guard.connect(host, login.port, in_the_clear=in_the_clear, timeout_s=deadlines.connect_s)
    loop = asyncio.get_running_loop()
    protocol = IMAPProtocol(loop)
    connection = Connection(protocol, deadlines)
    implicit_tls = login.security is TransportSecurity.TLS
    try:
        with boundary():
            async with asyncio.timeout(deadlines.connect_s):
                await loop.create_connection(
                    lambda: protocol,
                    sock=sock,
                    ssl=tls if implicit_tls else None,
                    server_hostname=host if implicit_tls else None,
                )
            await connection.greet()
            if login.security is TransportSecurity.STARTTLS:
                await connection.start_tls(tls, host)
            await connection.log_in(login, host)
    except BaseException:
        await connection.close()  # and with it the socket, which is the transport's by now
        raise
    return connection
