"""Many WebSocket clients in one process, as bare as they can be: when does each event reach each of them?

Run by bench.fanout as `python -m bench.fanout_readers`. A line of JSON on standard input is a command, a line on
standard output its answer: `connect` opens sockets and subscribes; `await` returns, once that many frames have come,
how long each took from the time in its cursor; `deaf` opens one socket that reads nothing, and `is_cut` tells whether
the server has ended it.
"""

import asyncio
import resource
import socket
import sys
from collections import defaultdict
from typing import Any, cast

import orjson
import uvloop

from domain import clock

HANDSHAKES_AT_ONCE = 50
DEADLINE_S = 120.0
_CURSOR = b'"cursor":"'
_CURSOR_DIGITS = 16
_ESTABLISHED = 1  # Source: Linux, include/net/tcp_states.h
_SMALL_BUFFER = 4096


def masked_frame(message: dict[str, Any]) -> bytes:
    """A client's text frame, with a mask of zeros, which is one like any other."""
    text = orjson.dumps(message)
    head = bytes((0x81, 0x80 | len(text))) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + b"\0\0\0\0" + text


class Reader(asyncio.Protocol):
    """One client."""

    def __init__(self, crowd: "Crowd", order: dict[str, Any]) -> None:
        self._crowd = crowd
        self._order = order
        self._buffer = b""
        self._is_open = False
        self._last = 0
        self.subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        received_at = clock.now().timestamp()
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head[:20]:
                self.subscribed.set_exception(ConnectionError(head[:200].decode(errors="replace")))
                return
            self._is_open = True
            self._buffer = rest
            self._say({"type": "connection_init", "payload": {"authorization": f"Bearer {self._order['token']}"}})
        while (message := self._message()) is not None:
            self._take(message, received_at)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._crowd.lost += 1
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionError("closed before it was subscribed"))

    def _message(self) -> bytes | None:
        """The next whole frame's payload. The server masks nothing and sends whole messages."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1], 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        if buffer[0] == 0x89:
            self._transport.write(bytes((0x8A, 0x80 | length)) + b"\0\0\0\0" + buffer[start : start + length])
            return b""
        return buffer[start : start + length]

    def _take(self, message: bytes, received_at: float) -> None:
        at = message.find(_CURSOR)
        if at >= 0:
            digits = message[at + len(_CURSOR) : at + len(_CURSOR) + _CURSOR_DIGITS]
            position = int(digits, 16)
            if position <= self._last:
                self._crowd.doubled += 1
            self._last = position
            self._crowd.take(position, received_at)
        elif b'"connection_ack"' in message:
            payload = {"query": self._order["query"], "variables": self._order["variables"]}
            self._say({"type": "subscribe", "id": "1", "payload": payload})
            # The answer to this comes after the subscription was taken in.
            self._say({"type": "ping"})
        elif b'"pong"' in message and not self.subscribed.done():
            self.subscribed.set_result(None)

    def _say(self, message: dict[str, Any]) -> None:
        self._transport.write(masked_frame(message))


class Crowd:
    """All clients of this process."""

    def __init__(self) -> None:
        self.lost = 0
        self.doubled = 0
        self._count = 0
        self._wanted = 0
        self._has_all = asyncio.Event()
        self._took_ms: defaultdict[int, list[float]] = defaultdict(list)
        self._deaf: list[socket.socket] = []

    def take(self, position: int, received_at: float) -> None:
        self._took_ms[position].append(round((received_at - position / 1_000_000) * 1000, 2))
        self._count += 1
        if self._count == self._wanted:
            self._has_all.set()

    async def connect(self, port: int, orders: list[dict[str, Any]]) -> dict[str, Any]:
        at_once = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

        async def one(order: dict[str, Any]) -> None:
            async with at_once:
                _, reader = await asyncio.get_running_loop().create_connection(
                    lambda: Reader(self, order), "127.0.0.1", port
                )
                await reader.subscribed

        async with asyncio.TaskGroup() as tasks:
            for order in orders:
                tasks.create_task(one(order))
        return {"connected": len(orders)}

    async def wait(self, frames: int) -> dict[str, Any]:
        """What came since the last time, once that many frames did, or no more seem to come."""
        self._wanted = frames
        if self._count < frames:
            self._has_all.clear()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self._has_all.wait()
            except TimeoutError:
                pass
        answer = {
            "took_ms": {str(position): took for position, took in self._took_ms.items()},
            "missing": max(frames - self._count, 0),
            "doubled": self.doubled,
            "lost": self.lost,
        }
        self._count = self._wanted = 0
        self._took_ms.clear()
        return answer

    def deaf(self, port: int, order: dict[str, Any]) -> dict[str, Any]:
        """A client that subscribes, and never reads."""
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        deaf.connect(("127.0.0.1", port))
        handshake = (
            b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        deaf.sendall(handshake)
        deaf.recv(_SMALL_BUFFER)
        deaf.sendall(
            masked_frame({"type": "connection_init", "payload": {"authorization": f"Bearer {order['token']}"}})
        )
        deaf.recv(_SMALL_BUFFER)
        payload = {"query": order["query"], "variables": order["variables"]}
        deaf.sendall(masked_frame({"type": "subscribe", "id": "1", "payload": payload}))
        self._deaf.append(deaf)
        return {}

    def is_cut(self) -> dict[str, Any]:
        state = self._deaf[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return {"is_cut": state != _ESTABLISHED}


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd()
    commands = asyncio.StreamReader(limit=100_000_000)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = orjson.loads(line)
        answer: dict[str, Any]
        match command:
            case {"do": "connect", "port": port, "orders": orders}:
                answer = await crowd.connect(port, orders)
            case {"do": "await", "frames": frames}:
                answer = await crowd.wait(frames)
            case {"do": "deaf", "port": port, "order": order}:
                answer = crowd.deaf(port, order)
            case _:
                answer = crowd.is_cut()
        print(orjson.dumps(answer).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
