"""When does the mail server tell of a new message: one bare socket in IDLE, and nothing of Postroom?"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from demo.mailserver import MailSandbox
from domain import clock

_EXISTS = re.compile(rb"\* (\d+) EXISTS\r\n")
ENDED = b""


@dataclass(slots=True)
class Notices:
    """The moments at which the mailbox was said to hold so many messages."""

    count: int = 0
    told_at: asyncio.Queue[float] = field(default_factory=asyncio.Queue)


@asynccontextmanager
async def idling(server: MailSandbox, user: str, password: str) -> AsyncIterator[Notices]:
    """Notices of INBOX while the block runs, by the clock of `clock.monotonic`."""
    reader, writer = await asyncio.open_connection(
        server.host, server.imaps_port, ssl=server.client_tls(), server_hostname=server.host
    )
    try:
        await reader.readline()  # the greeting
        await _command(reader, writer, f'LOGIN "{user}" "{password}"')
        notices = Notices(count=await _command(reader, writer, "EXAMINE INBOX"))
        writer.write(b"t IDLE\r\n")
        await reader.readuntil(b"+ ")
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(_listen(reader, notices))
            yield notices
            listening.cancel()
    finally:
        writer.close()


async def _command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str) -> int:
    """Runs a command; the number of messages, where it told it."""
    writer.write(f"t {command}\r\n".encode())
    count = 0
    while not (line := await reader.readline()).startswith(b"t "):
        if line == ENDED:
            raise ConnectionError("The mail server closed the connection.")
        if exists := _EXISTS.fullmatch(line):
            count = int(exists[1])
    if not line.startswith(b"t OK"):
        raise RuntimeError("The mail server refused a command.")
    return count


async def _listen(reader: asyncio.StreamReader, notices: Notices) -> None:
    while line := await reader.readline():
        if exists := _EXISTS.fullmatch(line):
            told_at = clock.monotonic()
            for _ in range(notices.count, int(exists[1])):
                notices.told_at.put_nowait(told_at)
            notices.count = int(exists[1])
    raise ConnectionError("The mail server closed the connection.")
