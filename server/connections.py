"""How does the application reach the connection under a request: to write at once, and to cut off who does not read?

ASGI has no words for that, so uvicorn's protocols are extended here, and nothing of their inside is known elsewhere.
Each request's scope carries its connection; under another server it has none, and frames go the way of ASGI.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Protocol, cast

from starlette.websockets import WebSocketDisconnect
from strawberry.http.exceptions import WebSocketDisconnected
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from infra.metrics import SLOW_READERS

EXTENSION = "postroom.connection"

LOOK_S = 3.0
"""How long the other end may read nothing of what is waiting for it."""
PARTING_S = 2.0
"""How long a client that is cut off has to read why."""
MOST_UNREAD_BYTES = 2_000_000
TRY_AGAIN_LATER = 1013
"""Source: IANA WebSocket Close Code Number Registry, checked 2026-11-22; the client comes back and resumes."""

_TEXT_FRAME = 0x81
_SHORT, _MEDIUM = 126, 1 << 16


def text_frame(*pieces: bytes) -> bytes:
    """An unmasked text frame of one message. Source: RFC 6455 §5.2, checked 2026-11-22."""
    text = b"".join(pieces)
    length = len(text)
    if _SHORT <= length < _MEDIUM:
        return b"\x81\x7e" + length.to_bytes(2, "big") + text
    if length < _SHORT:
        return bytes((_TEXT_FRAME, length)) + text
    return b"\x81\x7f" + length.to_bytes(8, "big") + text


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection at once, here and in the kernel, which else keeps offering what is unread for minutes."""
    shared = transport.get_extra_info("socket")
    if shared is not None and not transport.is_closing():
        with suppress(OSError), socket.socket(fileno=os.dup(shared.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class SocketConnection(Protocol):
    """A WebSocket that is open, or was."""

    def write_text(self, *pieces: bytes) -> None:
        """Sends one message, without waiting. A client that leaves too much unread is cut off, and told to resume."""

    async def drained(self) -> None:
        """Returns when the client has read most of what was sent, or is gone."""

    def cut_off(self, code: int, reason: str) -> None:
        """Closes soon, whether the client reads or not. Idempotent."""


class Patience:
    """With a client that does not read: at an end when nothing of what waits for it was read for a while."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0

    def begin(self, transport: asyncio.WriteTransport) -> None:
        self._unread = transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look, transport)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.WriteTransport) -> None:
        if transport.get_write_buffer_size() < self._unread:
            self.begin(transport)
        else:
            self._give_up()


class LiveSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which lets the application write straight to the transport."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience = Patience(self._not_read)

    async def run_asgi(self) -> None:
        extensions = cast("dict[str, Any]", self.scope["extensions"])
        extensions[EXTENSION] = self
        await super().run_asgi()

    def write_text(self, *pieces: bytes) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.transport.write(text_frame(*pieces))
        if self.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self._not_read()

    async def drained(self) -> None:
        await self.writable.wait()

    def cut_off(self, code: int, reason: str) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        # A close in good form would wait behind all that is unread, for ever.
        self.close_timer = self.loop.call_later(PARTING_S, reset, self.transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience.begin(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._patience.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        reset(self.transport)

    def _not_read(self) -> None:
        if self.close_sent:
            reset(self.transport)
        else:
            SLOW_READERS.labels(where="socket").inc()
            self.cut_off(TRY_AGAIN_LATER, "Too much is unread; resume from your last cursor.")


class LiveHTTPProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the same end to patience, and a word to streams that the server stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience = Patience(self._not_read)
        self.stopping = asyncio.Event()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self}

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience.begin(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._patience.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end()
        super().connection_lost(exc)

    def _not_read(self) -> None:
        SLOW_READERS.labels(where="socket").inc()
        reset(self.transport)


class QueuedSocket:
    """A WebSocket of a server that has no connection to give: messages wait for their turn in ASGI."""

    def __init__(self, send: Callable[[str], Awaitable[None]], close: Callable[[int, str], Awaitable[None]]) -> None:
        self._send = send
        self._close = close
        self._waiting: deque[bytes] = deque()
        self._unread = 0
        self._parting: tuple[int, str] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()

    def write_text(self, *pieces: bytes) -> None:
        if self._parting is not None:
            return
        message = b"".join(pieces)
        self._waiting.append(message)
        self._unread += len(message)
        self._has_room.clear()
        if self._unread > MOST_UNREAD_BYTES:
            self.cut_off(TRY_AGAIN_LATER, "Too much is unread; resume from your last cursor.")
        self._wake()

    async def drained(self) -> None:
        await self._has_room.wait()

    def cut_off(self, code: int, reason: str) -> None:
        if self._parting is None:
            self._parting = code, reason
            self._waiting.clear()
            self._wake()

    async def aclose(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])

    def _wake(self) -> None:
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.popleft()
                async with asyncio.timeout(LOOK_S + PARTING_S):
                    await self._send(message.decode())
                self._unread -= len(message)
            if self._parting is not None:
                async with asyncio.timeout(PARTING_S):
                    await self._close(*self._parting)
        except (TimeoutError, OSError, RuntimeError, WebSocketDisconnect, WebSocketDisconnected):
            # There is nobody any more, or nobody who reads.
            self._parting = self._parting or (TRY_AGAIN_LATER, "")
            self._waiting.clear()
        finally:
            self._has_room.set()


def socket_connection(scope: MutableMapping[str, Any]) -> SocketConnection | None:
    """The connection of a WebSocket; None under another server."""
    found = scope.get("extensions", {}).get(EXTENSION)
    return found if isinstance(found, LiveSocketProtocol) else None


def server_stopping(scope: MutableMapping[str, Any]) -> asyncio.Event:
    """Is set when the server of an HTTP request is told to stop; never under another server."""
    found = scope.get("extensions", {}).get(EXTENSION)
    return found.stopping if isinstance(found, LiveHTTPProtocol) else asyncio.Event()
