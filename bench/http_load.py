"""How many requests a second does a server answer, and how long does each take?

A process of its own (`python -m bench.http_load`), so that it takes nothing from the server's: the load comes in on
standard input, what was measured goes out on standard output, both as JSON.
"""

import asyncio
import base64
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import orjson
import uvloop

from domain import clock

PATIENCE_S = 30.0
_LENGTH = b"content-length: "
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """Connections that each send a request as soon as the last one was answered.

    Attributes:
        requests: as they go over the wire, one after the other, round and round.
    """

    host: str
    port: int
    connections: int
    seconds: float
    requests: list[bytes]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a load; times in milliseconds."""

    requests: int
    failed: int
    seconds: float
    bytes_each: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def under(load: Load) -> Answered:
    """Puts a server under a load, from a process of its own."""
    described = {**asdict(load), "requests": [base64.b64encode(request).decode() for request in load.requests]}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.http_load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(load.seconds + PATIENCE_S):
            printed, _ = await process.communicate(orjson.dumps(described))
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError("the load ended with an error")
    return Answered(**orjson.loads(printed))


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, requests: Sequence[bytes], first: int) -> None:
        self._requests = requests
        self._next = first
        self._buffer = b""
        self.times_s: list[float] = []
        self.failed = 0
        self.received = 0
        self.ended = asyncio.get_running_loop().create_future()
        self._is_stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(_END)
        if not end:
            return
        length = int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.times_s.append(clock.monotonic() - self._asked_at)
        self.received += length
        if not head.startswith(b"HTTP/1.1 200") or body.startswith(b'{"errors"') or b'"errors":' in body[-500:]:
            self.failed += 1
        self._buffer = b""
        if self._is_stopping:
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.ended.done():
            self.ended.set_result(None)

    def stop(self) -> None:
        """Ends with the answer that is under way."""
        self._is_stopping = True

    def _ask(self) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._asked_at = clock.monotonic()
        self._transport.write(request)


def _itself(connection: _Connection) -> _Connection:
    return connection


async def _measure(load: Load) -> Answered:
    loop = asyncio.get_running_loop()
    opened: list[_Connection] = []
    began_at = clock.monotonic()
    for number in range(load.connections):
        connection = _Connection(load.requests, number * len(load.requests) // load.connections)
        await loop.create_connection(partial(_itself, connection), load.host, load.port)
        opened.append(connection)
    await asyncio.sleep(load.seconds)
    for connection in opened:
        connection.stop()
    for connection in opened:
        await connection.ended
    times_ms = sorted(1000 * time_s for connection in opened for time_s in connection.times_s)
    return Answered(
        requests=len(times_ms),
        failed=sum(connection.failed for connection in opened),
        seconds=clock.monotonic() - began_at,
        bytes_each=sum(connection.received for connection in opened) / len(times_ms),
        p50=times_ms[len(times_ms) // 2],
        p99=times_ms[len(times_ms) * 99 // 100],
    )


def main() -> None:
    described = orjson.loads(sys.stdin.buffer.read())
    described["requests"] = [base64.b64decode(request) for request in described["requests"]]
    uvloop.install()
    sys.stdout.buffer.write(orjson.dumps(asdict(asyncio.run(_measure(Load(**described))))))


if __name__ == "__main__":
    main()
