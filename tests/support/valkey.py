"""How does a test get a Valkey that it may kill, freeze and start again at the same address?"""

import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from domain import clock
from infra.embedded.valkey import valkey_binary

_START_TIMEOUT_S = 20.0


class MortalValkey:
    """A server of its own on a unix socket in a new folder. With `keeps=True` it survives its death with its data."""

    def __init__(self, *, keeps: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="valkey-")
        self._socket = Path(self._folder.name) / "s"
        self._keeps = keeps
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Returns when commands are answered."""
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": self._folder.name,
            "save": "",
            "appendonly": "yes" if self._keeps else "no",
            "appendfsync": "always",
        }
        options = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [valkey_binary(), *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = clock.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if clock.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("Valkey did not start.")
            time.sleep(0.005)

    def kill(self) -> None:
        """Ends it as a crash does; does nothing where it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """It holds its connections and answers no more, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()

    def _signal(self, which: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(which)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False
