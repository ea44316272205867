"""How does one server process start, get ready, and stop?"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain import clock
from infra.embedded.account import Account
from infra.embedded.errors import ServerDidNotStart
from infra.embedded.folder import DataFolder

_START_TIMEOUT_S = 60.0  # also after a crash, with much to recover
_STOP_TIMEOUT_S = 30.0
_KILL_TIMEOUT_S = 10.0
_POLL_S = 0.005

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All that a server gets to see of this process's environment, which holds secrets."""


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """What to run, and how to end it.

    Attributes:
        name: of its log file.
        home: the folder it keeps its files in.
        stop_signal: makes it end soon, in good order.
        abort_signal: makes it end at once, without losing what it promised to keep.
    """

    name: str
    command: Sequence[str | Path]
    home: Path
    stop_signal: signal.Signals
    abort_signal: signal.Signals


class ServerProcess:
    """A running server, child of this process and ended with it."""

    def __init__(self, program: ServerProgram, *, account: Account, folder: DataFolder) -> None:
        """Starts it; it is not ready yet."""
        self._program = program
        self._log = folder.logs / f"{program.name}.log"
        command = account.command(program.command, folder=program.home, signal_on_parent_death=program.stop_signal)
        with folder.open_log(program.name) as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=(folder.servers_lock,),
                start_new_session=True,  # Ctrl-C in a terminal is for us; we end the servers last
                umask=0o077,
            )

    @property
    def process_id(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Returns once the server is ready; stops it where it is not in time.

        Raises:
            ServerDidNotStart: it ended, or took too long.
        """
        deadline = clock.monotonic() + _START_TIMEOUT_S
        while not is_ready():
            if not self.is_running():
                raise ServerDidNotStart(f"The embedded {self._program.name} ended at its start. See {self._log}.")
            if clock.monotonic() > deadline:
                self.stop()
                raise ServerDidNotStart(f"The embedded {self._program.name} is not ready. See {self._log}.")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ends the server and waits until it is gone; does nothing where it has ended."""
        patience = (
            (self._program.stop_signal, _STOP_TIMEOUT_S),
            (self._program.abort_signal, _KILL_TIMEOUT_S),
            (signal.SIGKILL, _KILL_TIMEOUT_S),
        )
        for sent, timeout_s in patience:
            self._process.send_signal(sent)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                continue
            return


def run_once(
    command: Sequence[str | Path], *, account: Account, folder: DataFolder, home: Path, stdin: bytes = b""
) -> None:
    """Runs a short program under the servers' account, to its end.

    Raises:
        ServerDidNotStart: it failed; what it said is in the log folder.
    """
    name = Path(command[0]).name
    log = folder.logs / f"{name}.log"
    with folder.open_log(name) as output:
        done = subprocess.run(  # noqa: S603 - our own program
            account.command(command, folder=home, signal_on_parent_death=signal.SIGKILL),
            input=stdin,
            stdout=output,
            stderr=output,
            cwd="/",
            env=ENVIRONMENT,
            pass_fds=(folder.servers_lock,),
            umask=0o077,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise ServerDidNotStart(f"{name} failed while the data folder was made ready. See {log}.")
    log.unlink()


def make_home(home: Path, account: Account) -> None:
    """Makes a folder for a server's files, and its account the owner of all that is in it."""
    home.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0 or home.stat().st_uid == account.uid:
        return
    for parent, _, files in os.walk(home):
        for path in (parent, *(os.path.join(parent, name) for name in files)):  # noqa: PTH118 - thousands of files
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
