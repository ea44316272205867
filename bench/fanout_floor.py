"""What is the least that it takes to tell many sockets the same? A bare server that writes one frame to each.

Run by bench.fanout as `python -m bench.fanout_floor`: prints its port, and publishes to `all` or `some` at each such
line on standard input.
"""

import asyncio
import resource
import sys
from typing import cast

import uvloop

from domain.events import position_now

_SHAKEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
_PAYLOAD = (
    '{{"id":"1","type":"next","payload":{{"data":{{"events":{{"cursor":"{position:016x}.0123456789abcdef01234567",'
    '"at":"2026-11-22T12:00:00.000Z","__typename":"CandidateChanged","candidate":{{"id":"candidate_{zeros}",'
    '"externalId":"all","name":"Candidate 00000","emails":[{{"address":"all@mail.example","addedAt":'
    '"2026-11-22T12:00:00.000000Z","isInternal":false}}],"syncState":"ACTIVE"}}}}}}}}}}'
)


def _frame(text: bytes) -> bytes:
    """Source: RFC 6455 §5.2; all that is sent here is shorter than 64 KiB."""
    head = bytes((0x81, len(text))) if len(text) < 126 else b"\x81\x7e" + len(text).to_bytes(2, "big")
    return head + text


class Server(asyncio.Protocol):
    everybody: list[asyncio.Transport] = []  # noqa: RUF012 - one server a process
    some: list[asyncio.Transport] = []  # noqa: RUF012 - as above

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        # The clients' masks are zeros, so what they say can be read as it is.
        if data.startswith(b"GET "):
            self._transport.write(_SHAKEN)
        if b"connection_init" in data:
            self._transport.write(_frame(b'{"type":"connection_ack"}'))
        if b'"subscribe"' in data:
            self.everybody.append(self._transport)
            if b'"some":true' in data:
                self.some.append(self._transport)
            self._transport.write(_frame(b'{"type":"pong"}'))


def publish(to: list[asyncio.Transport]) -> None:
    payload = _PAYLOAD.format(position=position_now(), zeros="0" * 32)
    frame = _frame(payload.encode())
    for transport in to:
        transport.write(frame)


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        publish(Server.some if line.strip() == b"some" else Server.everybody)


if __name__ == "__main__":
    uvloop.run(main())
