"""A TCP server that says what a test wants: for everything a proper mail server never does."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

from providers.base import MailProvider, ServerLogin, TransportSecurity
from providers.imap.connection import Deadlines
from providers.imap.provider import IMAPProvider
from providers.network import NetworkGuard

LOOPBACK = NetworkGuard.allowing(["127.0.0.0/8"])
SECRET = "secret"
SOON = Deadlines(connect_s=2, greeting_s=0.5, login_s=1, command_s=0.5, transfer_s=0.5, logout_s=0.2, probe_s=0.5)
"""For servers that stall: the tests need not wait as long as people."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def line(self) -> bytes:
        """The next line without its end; empty at the end of the connection."""
        return (await self._reader.readline()).rstrip(b"\r\n")

    async def exactly(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await self._writer.start_tls(context)

    async def stall(self) -> None:
        """Says nothing more until the client leaves."""
        await self._reader.read()


Script: TypeAlias = Callable[[Peer], Awaitable[None]]
Answer: TypeAlias = "bytes | Callable[[Peer, bytes, bytes], Awaitable[None]]"

USUAL: Mapping[bytes, Answer] = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n%(tag)s OK\r\n",
    b"AUTHENTICATE": b"%(tag)s OK\r\n",
    b"LOGIN": b"%(tag)s OK\r\n",
    b"LIST": b'* LIST (\\HasNoChildren) "/" INBOX\r\n%(tag)s OK\r\n',
    b"STATUS": b"* STATUS INBOX (UIDNEXT 4 UIDVALIDITY 7)\r\n%(tag)s OK\r\n",
    b"EXAMINE": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] .\r\n* OK [UIDNEXT 4] .\r\n%(tag)s OK [READ-ONLY]\r\n",
    b"NOOP": b"%(tag)s OK\r\n",
    b"UID SEARCH": b"* SEARCH 1 2 3\r\n%(tag)s OK\r\n",
    b"LOGOUT": b"* BYE\r\n%(tag)s OK\r\n",
}


def imap(answers: Mapping[bytes, Answer] | None = None, *, greeting: bytes = b"* OK ready\r\n") -> Script:
    """A script that answers each command by its name; `%(tag)s` stands for the command's tag."""
    book = {**USUAL, **(answers or {})}

    async def converse(peer: Peer) -> None:
        await peer.send(greeting)
        while command := await peer.line():
            tag, _, rest = command.partition(b" ")
            words = rest.upper().split(b" ")
            name = b" ".join(words[:2]) if words[0] == b"UID" else words[0]
            answer = book.get(name, b"%(tag)s BAD unknown\r\n")
            if isinstance(answer, bytes):
                await peer.send(answer.replace(b"%(tag)s", tag))
            else:
                await answer(peer, tag, rest)

    return converse


@asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Runs the script for each connection, on the port given."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await script(Peer(reader, writer))
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=2**20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def login_at(
    port: int, security: TransportSecurity = TransportSecurity.PLAIN, *, password: str = SECRET
) -> ServerLogin:
    return ServerLogin("127.0.0.1", port, security, "rita@firm.example", password)


def provider_at(
    port: int, *, password: str = SECRET, deadlines: Deadlines = SOON, tls: ssl.SSLContext | None = None
) -> MailProvider:
    security = TransportSecurity.STARTTLS if tls else TransportSecurity.PLAIN
    context = tls or ssl.create_default_context()
    return IMAPProvider(login_at(port, security, password=password), LOOPBACK, tls=context, deadlines=deadlines)
