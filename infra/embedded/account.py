"""Under which account do the embedded servers run?

PostgreSQL refuses to be root. A normal user runs them as themselves. Root runs them, in this order of preference, as
whoever owns the cluster already; as root's own shadow in a user namespace, where root has no power and no other account
is touched; or, where namespaces are not permitted (many containers), as an account that exists on every Debian.
"""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.errors import NoAccountForPostgres
from infra.embedded.folder import DataFolder

_CHILD_PROGRAM = Path(__file__).with_name("child.py")
_FALLBACK_NAMES = ("postgres", "nobody")
_PROBE_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Account:
    """Who a server runs as.

    Attributes:
        spec: as `child.py` takes it.
        uid: who owns its files, seen from outside.
        gid: their group, seen from outside.
    """

    spec: str
    uid: int
    gid: int

    def command(self, program: Sequence[str | Path], *, folder: Path, signal_on_parent_death: int) -> list[str]:
        """The command line that runs `program` under this account, ended with its parent: with this process."""
        start = (sys.executable, "-I", "-S", str(_CHILD_PROGRAM))
        how = (str(os.getpid()), str(int(signal_on_parent_death)), self.spec, str(folder))
        return [*start, *how, *map(str, program)]


def ourselves() -> Account:
    """Whoever this process is."""
    return Account("same", os.geteuid(), os.getegid())


def choose_account(folder: DataFolder, programs: Path) -> Account:
    """The account for servers in `folder`, seen to be able to run what is in `programs`; gets the socket folder.

    Raises:
        NoAccountForPostgres: this is root, and none of the ways to be someone else is open.
    """
    if os.geteuid() != 0:
        return ourselves()
    for account in _candidates(folder):
        folder.hand_sockets_to(account.uid, account.gid)
        if _is_permitted(account, folder, programs):
            return account
    raise NoAccountForPostgres(
        "PostgreSQL does not run as root, and this system permits neither a user namespace nor another account for it. "
        "Start Postroom as a normal user, or name a PostgreSQL server in DATABASE_URL."
    )


def _candidates(folder: DataFolder) -> Iterator[Account]:
    owner = (folder.postgres if folder.postgres.exists() else folder.path).stat()
    if owner.st_uid != 0:
        yield Account(f"{owner.st_uid}:{owner.st_gid}", owner.st_uid, owner.st_gid)
    # Within the namespace root goes by a name that the system knows, since initdb looks itself up.
    known = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0), None)
    if known is not None:
        yield Account(f"namespace:{known}", 0, os.getegid())
    for name in _FALLBACK_NAMES:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            yield Account(f"{entry.pw_uid}:{entry.pw_gid}", entry.pw_uid, entry.pw_gid)


def _is_permitted(account: Account, folder: DataFolder, programs: Path) -> bool:
    """Tries it really: what a container permits cannot be read off anywhere. `pg_config` looks for itself first."""
    probe = subprocess.run(  # noqa: S603 - our own program
        account.command(
            [programs / "pg_config", "--bindir"], folder=folder.sockets, signal_on_parent_death=signal.SIGKILL
        ),
        cwd="/",
        capture_output=True,
        timeout=_PROBE_TIMEOUT_S,
        check=False,
    )
    return probe.returncode == 0
