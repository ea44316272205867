"""`postroom` as a person runs it: a process of its own, with a data folder and a port of its own."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Installation:
    """Where one Postroom keeps its things, and where it answers."""

    folder: Path
    port: int

    @classmethod
    def fresh(cls, folder: Path) -> "Installation":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return cls(folder, probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *arguments: str, **settings: str) -> Process:
        """Starts a command; nothing of the tests' own environment reaches it."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent)}
        environment |= {"POSTROOM_DATA_DIR": str(self.folder), "POSTROOM_PORT": str(self.port), **settings}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "server",
            *arguments,
            cwd=self.folder.parent,
            env=environment,
            stdout=PIPE,
            stderr=STDOUT,
        )

    async def run(self, *arguments: str, **settings: str) -> tuple[int | None, str]:
        """A command to its end: its status, and all it said."""
        process = await self.start(*arguments, **settings)
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
        return process.returncode, output.decode()

    @asynccontextmanager
    async def up(self, **settings: str) -> AsyncIterator[Process]:
        """A Postroom that is ready; killed at the end, unless it has ended by then."""
        process = await self.start("up", **settings)
        try:
            await until(self.is_ready, process)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    async def is_ready(self) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url}/ready")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


async def stopped(process: Process, with_signal: signal.Signals = signal.SIGTERM) -> tuple[int | None, str]:
    """Tells it to stop; its status, and all it has said."""
    process.send_signal(with_signal)
    async with asyncio.timeout(PATIENCE_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def until(condition: Callable[[], object], process: Process | None = None) -> None:
    """Waits for a condition, a coroutine function's or a plain one's; gives up where the process has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if process is not None and process.returncode is not None:
                assert process.stdout is not None
                raise AssertionError((await process.stdout.read()).decode())
            await asyncio.sleep(0.05)


def children(parent: int) -> dict[str, int]:
    """The processes that a process has started, by what they are: a role, `postgres` or `valkey-server`."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(status[1]) == parent and status[0] != "Z":
            is_role = b"-m" in command
            name = command[command.index(b"-m") + 2] if is_role else os.path.basename(command[0].split(b" ")[0])  # noqa: PTH119 - bytes
            found[name.decode()] = int(entry.name)
    return found


def is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
