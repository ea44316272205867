"""Where in the data folder is what, and who may use it now?

Two locks (flock(2)) instead of process ids, which are used again after a restart of a container. The starter's lock is
held by the process that started the servers and says that the folder is taken. The servers' lock is inherited by every
server process and says that one of them still lives, also when its parent was killed: whoever starts next waits for it,
and then knows that nobody uses the files, whatever an old `postmaster.pid` says.
"""

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from domain import clock
from infra.embedded.errors import DataFolderInUse, DataFolderNotUsable

LONGEST_SOCKET_PATH_BYTES = 107
"""Source: unix(7), `sun_path` is 108 bytes with its final zero, checked 2026-11-21."""

_LONGEST_SOCKET_NAME = "/.s.PGSQL.5432.lock"
_STARTER_PATIENCE_S = 0.2  # `is_taken` holds the lock for an instant when it looks
_LEFTOVERS_PATIENCE_S = 30.0
_POLL_S = 0.02
_LOG_KEPT_BYTES = 10_000_000


class DataFolder:
    """A folder that keeps what the embedded servers know, for one Postroom at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.valkey = self.path / "valkey"
        self.logs = self.path / "logs"
        self.sockets = _socket_folder(self.path)
        self._starter_lock: int | None = None
        self._servers_lock: int | None = None

    @property
    def servers_lock(self) -> int:
        """The descriptor that servers inherit, to show that they live."""
        if self._servers_lock is None:
            raise RuntimeError("the folder is not taken")
        return self._servers_lock

    def take(self) -> None:
        """Makes the folder and takes it for this process; waits for servers of a killed process to end.

        Raises:
            DataFolderInUse: another process has it.
            DataFolderNotUsable: it cannot be made or written.
        """
        try:
            for folder in (self.path, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._starter_lock = self._lock_or_refuse()
            os.truncate(self._starter_lock, 0)
            os.pwrite(self._starter_lock, str(os.getpid()).encode(), 0)
            self._servers_lock = self._wait_for_leftovers()
            self._keep_owner(self.logs, self.path / "starter.lock", self.path / "servers.lock")
            _make_socket_folder(self.sockets)
        except OSError as error:
            self.release()
            raise self._not_usable(error) from error
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Gives the folder back; does nothing where it was not taken."""
        if self._servers_lock is not None and self.path not in self.sockets.parents:
            with suppress(OSError):  # a leftover is no harm, and is found again
                self.sockets.rmdir()
        for lock in (self._servers_lock, self._starter_lock):
            if lock is not None:
                os.close(lock)
        self._servers_lock = self._starter_lock = None

    def is_taken(self) -> bool:
        """Whether some process, this one or another, has the folder now.

        Raises:
            DataFolderNotUsable: it is closed to this user.
        """
        try:
            lock = _lock(self.path / "starter.lock")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._not_usable(error) from error
        if lock is None:
            return True
        os.close(lock)
        return False

    def hand_sockets_to(self, uid: int, gid: int) -> None:
        """Makes an account the owner of the socket folder, and lets it through to what is its own. For root only."""
        os.chown(self.sockets, uid, gid)
        if self.path.stat().st_uid != uid:
            self.path.chmod(0o711)

    def open_log(self, name: str) -> BinaryIO:
        """A log file to append to; belongs to whoever owns the data folder, also where root writes it.

        One earlier log is kept, so that a long life does not fill the disk.
        """
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        log = path.open("ab")
        self._keep_owner(path)
        return log

    def _keep_owner(self, *paths: Path) -> None:
        owner = self.path.stat()
        for path in paths:
            if os.geteuid() == 0:
                os.chown(path, owner.st_uid, owner.st_gid)

    def _not_usable(self, error: OSError) -> DataFolderNotUsable:
        return DataFolderNotUsable(
            f"The data folder {self.path} cannot be used: {error.strerror}. "
            "Make it this user's own, or name another one in POSTROOM_DATA_DIR."
        )

    def _lock_or_refuse(self) -> int:
        lock = _lock(self.path / "starter.lock", patience_s=_STARTER_PATIENCE_S)
        if lock is None:
            raise DataFolderInUse(
                f"Postroom already runs on the data folder {self.path}{_holder(self.path / 'starter.lock')}. "
                "Stop that one, or give this one a folder of its own in POSTROOM_DATA_DIR."
            )
        return lock

    def _wait_for_leftovers(self) -> int:
        lock = _lock(self.path / "servers.lock", patience_s=_LEFTOVERS_PATIENCE_S)
        if lock is None:
            raise DataFolderInUse(
                f"Servers of an earlier Postroom still run on the data folder {self.path} and do not end. "
                "Stop them, then start again."
            )
        return lock


def _lock(path: Path, *, patience_s: float = 0.0) -> int | None:
    """An open, locked descriptor; None where another holds the lock for longer than `patience_s`."""
    deadline = clock.monotonic() + patience_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _holder(lock: Path) -> str:
    """Names the process, for a person to look at; nothing is ever done to it."""
    written = lock.read_text()
    return f" (process {written})" if written.isdigit() else ""


def _socket_folder(data: Path) -> Path:
    """Within the data folder where its path is short enough, else a short one that the path always leads to."""
    within = data / "run"
    if len(os.fsencode(f"{within}{_LONGEST_SOCKET_NAME}")) <= LONGEST_SOCKET_PATH_BYTES:
        return within
    fingerprint = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    name = f"postroom-{os.geteuid()}-{fingerprint}"
    temporary = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(f"{temporary}{_LONGEST_SOCKET_NAME}")) <= LONGEST_SOCKET_PATH_BYTES:
        return temporary
    return Path("/tmp") / name  # noqa: S108 - a 0700 folder, checked to be our own


def _make_socket_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:  # it may still be that of the account that the servers ran as
        os.chown(folder, 0, 0, follow_symlinks=False)
    found = folder.lstat()
    # In a folder that all may write, somebody else may have been there first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"{folder} belongs to somebody else")
    folder.chmod(0o700)
    for leftover in folder.iterdir():  # sockets, and lock files with process ids that mean nothing any more
        leftover.unlink()
