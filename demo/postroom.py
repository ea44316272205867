"""How does a program of ours run a whole Postroom beside itself, on a folder and a port of its own?"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import httpx

from demo.mailserver import HOST
from infra.settings import Settings
from server.processes import die_with

USUAL_PORT = 8000
START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 20.0
COMMAND_DEADLINE_S = 60.0
LOOK_S = 0.1
LOG_LINES_SHOWN = 12


class PostroomEnded(RuntimeError):
    """Postroom is not running (any more), or a command of it failed."""


class Postroom:
    """A running `postroom up`.

    Attributes:
        url: of the GraphQL API, and of GraphiQL for a browser.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], port: int) -> None:
        self.url = f"http://{HOST}:{port}/graphql"
        self.log = folder / "postroom.log"
        self._ready_url = f"http://{HOST}:{port}/ready"
        self._folder = folder
        self._environment = environment
        self._process: Process | None = None

    @property
    def process_id(self) -> int | None:
        """Of `postroom up`, under which all the others are."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Starts it, and does not wait for it."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_command("up"),
                cwd=self._folder,  # no `.env` of somebody else's lies there
                env=self._environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for the demonstration, which then ends it in order
                preexec_fn=partial(die_with, os.getpid()),
            )

    async def ready(self) -> None:
        """Returns when it serves.

        Raises:
            PostroomEnded: it has ended instead, or takes too long.
        """
        try:
            async with asyncio.timeout(START_DEADLINE_S), httpx.AsyncClient(trust_env=False) as client:
                while not await self._is_ready(client):
                    self._check()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise PostroomEnded("Postroom takes too long to start.") from None

    async def ended(self) -> None:
        """Waits for its end, which nobody wanted.

        Raises:
            PostroomEnded: always.
        """
        if self._process is not None:
            await self._process.wait()
        self._check()

    async def command(self, *arguments: str) -> dict[str, str]:
        """Runs a `postroom` command beside it; what it prints, by name.

        Raises:
            PostroomEnded: the command failed.
        """
        process = await asyncio.create_subprocess_exec(
            *_command(*arguments), cwd=self._folder, env=self._environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(COMMAND_DEADLINE_S):
                printed, _ = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        text = printed.decode(errors="replace")
        if process.returncode:
            raise PostroomEnded(f"`postroom {arguments[0]}` failed. It said:\n{text.strip()}")
        facts = (line.partition(": ") for line in text.splitlines())
        return {name: value for name, separator, value in facts if separator}

    async def stop(self) -> None:
        """Ends it and everything under it; safe to call twice."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self._process = None

    def last_words(self) -> str:
        """The end of its log, for a person."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:] if self.log.exists() else []
        return "\n".join(["The end of its log:", *lines]) if lines else "It said nothing."

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(self._ready_url)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _check(self) -> None:
        if self._process is None or self._process.returncode is not None:
            raise PostroomEnded("Postroom has ended.")


@contextlib.asynccontextmanager
async def started_postroom(
    trusted_authority: Path, *, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Postroom]:
    """A Postroom that is starting; afterwards neither a process nor a file is left of it.

    Args:
        trusted_authority: the certificates of mail servers are checked against this one, and no other.
        settings: further environment variables for it. Those of this program's own Postroom are not passed on.
    """
    folder = Path(tempfile.mkdtemp(prefix="postroom-demo-"))
    port = _free_port(USUAL_PORT)
    foreign = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in foreign}
    environment |= {
        "SSL_CERT_FILE": str(trusted_authority),
        "POSTROOM_DATA_DIR": str(folder / "data"),
        "POSTROOM_HOST": HOST,
        "POSTROOM_PORT": str(port),
        "POSTROOM_ALLOWED_PRIVATE_HOSTS": HOST,  # where the mail server is
        **(settings or {}),
    }
    postroom = Postroom(folder, environment, port)
    try:
        await postroom.start()
        yield postroom
    finally:
        await postroom.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "server", *arguments]


def _free_port(wanted: int) -> int:
    """This port where it is free, else another that is."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise PostroomEnded("There is no free port on this machine.")
