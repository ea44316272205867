"""How do the roles of one Postroom run side by side, so that one that dies takes no other with it?"""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import structlog

from domain import clock

log = structlog.get_logger()

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STABLE_S = 60.0
"""A process that lived this long was a good one: the next one starts after the first pause again."""
STOP_GRACE_S = 8.0
"""How long processes may take to stop before they are killed."""
SERVERS_LOOK_S = 1.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Role:
    """A process to keep running.

    Attributes:
        arguments: of the `postroom` command.
        descriptors: open files that it inherits.
    """

    name: str
    arguments: Sequence[str]
    descriptors: Sequence[int] = ()


class Supervisor:
    """Keeps one process of each role, until it is told to stop."""

    def __init__(self, roles: Sequence[Role], *, mend_servers: Callable[[], None]) -> None:
        """`mend_servers` is called once a second: it starts embedded servers again that have died."""
        self._roles = roles
        self._mend_servers = mend_servers
        self._stop = asyncio.Event()

    async def run(self, *, beside: Coroutine[None, None, None]) -> None:
        """Returns after SIGTERM or SIGINT, when every process has ended.

        Args:
            beside: runs along, and is ended at the end.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        async with asyncio.TaskGroup() as tasks:
            aids = [tasks.create_task(beside), tasks.create_task(self._look_after_servers())]
            keeping = [tasks.create_task(self._keep(role)) for role in self._roles]
            await asyncio.wait(keeping)
            for aid in aids:
                aid.cancel()

    async def _keep(self, role: Role) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            started = clock.monotonic()
            status = await self._run_once(role)
            if self._stop.is_set():
                return
            lived_s = clock.monotonic() - started
            pause_s = FIRST_PAUSE_S if lived_s > STABLE_S else pause_s
            log.error("process_ended", role=role.name, status=status, retry_in_s=pause_s)
            try:
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()
            except TimeoutError:
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _run_once(self, role: Role) -> int:
        """Starts the process and waits for its end, or ends it when it is time to stop; its exit status."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a folder named like one of our packages, where somebody happens to stand, is not ours
            "-m",
            "server",
            *role.arguments,
            f"--parent={os.getpid()}",
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=role.descriptors,
            start_new_session=True,  # Ctrl-C in a terminal is for the supervisor, which then ends the others in order
        )
        ended, told = asyncio.create_task(process.wait()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await _end(process, ended)
            return ended.result()
        finally:
            told.cancel()
            if process.returncode is None:
                process.kill()

    async def _look_after_servers(self) -> None:
        while True:
            await asyncio.sleep(SERVERS_LOOK_S)
            if not self._stop.is_set():
                self._mend_servers()


async def _end(process: Process, ended: asyncio.Task[int]) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_GRACE_S):
            await asyncio.shield(ended)
    except TimeoutError:
        process.kill()
        await ended


def has_ended(process_id: int | None) -> bool:
    """Whether a child of this process has ended; it stays to be waited for by whoever started it."""
    if process_id is None:
        return True
    try:
        return os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def die_with(parent: int) -> None:
    """Has this process get SIGTERM when the process that started it ends, however that ends. Linux only."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)
