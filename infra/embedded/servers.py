"""How does Postroom bring its own PostgreSQL and Valkey, and take them away again?"""

import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.embedded.account import choose_account, ourselves
from infra.embedded.errors import ServersNotInstalled
from infra.embedded.folder import DataFolder
from infra.embedded.postgres import EmbeddedPostgres, database_url, postgres_binaries
from infra.embedded.valkey import EmbeddedValkey, redis_url


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """Where the embedded servers are reached: DSN and URL of unix sockets."""

    database_url: str
    redis_url: str


class EmbeddedServers:
    """PostgreSQL and Valkey in one data folder, living no longer than this process.

    Start them in the main thread: Linux ends them with the *thread* that started them. Starting and stopping block
    for up to a second, so both belong outside the event loop's life.
    """

    def __init__(self, data_dir: Path, *, postgres: bool = True, valkey: bool = True, fast: bool = False) -> None:
        """Starts nothing yet.

        Args:
            data_dir: keeps everything; made where it is missing.
            postgres: whether PostgreSQL is wanted.
            valkey: whether Valkey is wanted.
            fast: give up safety against power cuts, for tests.
        """
        self._folder = DataFolder(data_dir)
        self.postgres = EmbeddedPostgres(self._folder, fast=fast) if postgres else None
        self.valkey = EmbeddedValkey(self._folder, fast=fast) if valkey else None
        self._account = ourselves()
        self._stops = ExitStack()

    @property
    def addresses(self) -> ServerAddresses:
        """The same for the same folder, whoever started the servers."""
        return ServerAddresses(database_url(self._folder), redis_url(self._folder))

    def start(self) -> ServerAddresses:
        """Takes the folder and starts the servers; on a failure all that was begun is undone.

        Raises:
            DataFolderInUse: another Postroom runs there.
            EmbeddedServersError: another reason, and what to do about it.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("embedded servers are started in the main thread, since they end with it")
        if sys.platform != "linux":
            raise ServersNotInstalled("Embedded servers run on Linux only. Set DATABASE_URL and REDIS_URL.")
        with ExitStack() as undo:
            self._folder.take()
            undo.callback(self._folder.release)
            # Valkey alone may be root.
            if self.postgres:
                self._account = choose_account(self._folder, postgres_binaries())
            for server in (self.postgres, self.valkey):
                if server is not None:
                    undo.callback(server.stop)
                    server.start(self._account)
            self._stops = undo.pop_all()
        return self.addresses

    def restart_valkey(self) -> None:
        """Starts Valkey again after it has ended, with PostgreSQL undisturbed: it has no processes to leave behind.

        Raises:
            EmbeddedServersError: it does not start.
        """
        if self.valkey is not None:
            self.valkey.stop()
            self.valkey.start(self._account)

    def stop(self) -> None:
        """Stops the servers in good order and gives the folder back; may be called again."""
        self._stops.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def running_servers(data_dir: Path) -> ServerAddresses | None:
    """Where the servers are that another process runs in `data_dir`; None where none does."""
    folder = DataFolder(data_dir)
    return ServerAddresses(database_url(folder), redis_url(folder)) if folder.is_taken() else None
