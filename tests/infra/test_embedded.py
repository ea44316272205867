"""Do the embedded servers start, keep what they were told, and end with whoever started them?"""

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from infra.embedded import (
    DataFolderInUse,
    DataFolderNotUsable,
    EmbeddedServers,
    NoAccountForPostgres,
    ServerAddresses,
    ServerDidNotStart,
    ServersNotInstalled,
    running_servers,
)
from infra.embedded import account as accounts

_PROJECT = Path(__file__).parents[2]
_KEEPER = _PROJECT / "tests" / "support" / "keep_servers.py"
_ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(_PROJECT), str(Path(asyncpg.__file__).parents[1])])}  # and no HOME
_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become someone else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that does not exist yet, where every account may look."""
    with tempfile.TemporaryDirectory(prefix="postroom-") as parent:
        Path(parent).chmod(0o755)
        yield Path(parent) / "data"


class Keeper:
    """Another process that has started the servers, or was refused."""

    def __init__(self, folder: Path, *, python: str = sys.executable, user: str | None = None) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [python, str(_KEEPER), str(folder)],
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
        )
        assert self.process.stdout is not None
        self.said: dict[str, Any] = json.loads(self.process.stdout.readline())

    @property
    def addresses(self) -> ServerAddresses:
        return ServerAddresses(self.said["database_url"], self.said["redis_url"])

    def end(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def keeper(folder: Path, **options: Any) -> Iterator[Keeper]:
    kept = Keeper(folder, **options)
    try:
        yield kept
    finally:
        kept.kill()


async def _remember(addresses: ServerAddresses) -> None:
    """Leaves something in both servers."""
    connection = await asyncpg.connect(addresses.database_url)
    await connection.execute("CREATE TABLE remembered AS SELECT 7 AS what")
    await connection.close()
    async with Redis.from_url(addresses.redis_url) as redis:
        await redis.set("what", 7)


async def _recall(addresses: ServerAddresses) -> tuple[int, int]:
    connection = await asyncpg.connect(addresses.database_url)
    found = await connection.fetchval("SELECT what FROM remembered")
    await connection.close()
    async with Redis.from_url(addresses.redis_url) as redis:
        return found, int(await redis.get("what"))


async def _until_gone(*process_ids: int) -> None:
    async with asyncio.timeout(30):
        while any(map(_lives, process_ids)):
            await asyncio.sleep(0.01)


def _lives(process_id: int) -> bool:
    """Whether it runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_stopped_pair_keeps_what_it_was_told(folder: Path) -> None:
    with EmbeddedServers(folder) as servers:
        await _remember(servers.addresses)
    assert running_servers(folder) is None

    with EmbeddedServers(folder) as servers:
        assert await _recall(servers.addresses) == (7, 7)
        assert running_servers(folder) == servers.addresses


async def test_the_database_sorts_alike_everywhere_and_listens_on_no_network(folder: Path) -> None:
    with EmbeddedServers(folder, valkey=False, fast=True) as servers:
        connection = await asyncpg.connect(servers.addresses.database_url)
        settings = await connection.fetchrow(
            """
            SELECT current_database(), current_setting('listen_addresses') AS listens, current_setting('fsync') AS fsync,
                   datlocprovider::text || ':' || datlocale AS sorts, pg_encoding_to_char(encoding) AS encoding
            FROM pg_database WHERE datname = current_database()
            """
        )
        await connection.close()
    assert tuple(settings) == ("postroom", "", "off", "b:C.UTF-8", "UTF8")


async def test_the_log_of_the_database_has_no_failed_statement_in_it(folder: Path) -> None:
    with EmbeddedServers(folder, valkey=False, fast=True) as servers:
        connection = await asyncpg.connect(servers.addresses.database_url)
        with pytest.raises(asyncpg.DataError):
            await connection.execute("SELECT 'SECRET'::integer")
        await connection.close()
    assert "SECRET" not in (folder / "logs" / "postgres.log").read_text()


async def test_a_second_starter_is_refused_in_the_same_and_in_another_process(folder: Path) -> None:
    with EmbeddedServers(folder, fast=True) as servers:
        with pytest.raises(DataFolderInUse, match=f"process {os.getpid()}.*POSTROOM_DATA_DIR"):
            EmbeddedServers(folder).start()
        with keeper(folder) as second:
            assert second.said["error"] == "DataFolderInUse"
        await _remember(servers.addresses)


async def test_killing_the_parent_leaves_no_server_and_loses_nothing(folder: Path) -> None:
    with keeper(folder) as first:
        await _remember(first.addresses)
        first.kill()
        # At once, while the servers of the first may still be ending.
        with EmbeddedServers(folder) as servers:
            assert await _recall(servers.addresses) == (7, 7)
            await _until_gone(first.said["postgres"], first.said["valkey"])


async def test_killing_everything_loses_nothing(folder: Path) -> None:
    with keeper(folder) as first:
        await _remember(first.addresses)
        for process_id in (first.said["postgres"], first.said["valkey"], first.process.pid):
            os.kill(process_id, 9)
        await _until_gone(first.said["postgres"], first.said["valkey"])
    with EmbeddedServers(folder) as servers:
        assert await _recall(servers.addresses) == (7, 7)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_a_leftover_process_id_harms_nobody_who_has_it_now(
    folder: Path, stranger: subprocess.Popen[bytes]
) -> None:
    with EmbeddedServers(folder) as servers:
        await _remember(servers.addresses)
    lines = [str(stranger.pid), str(folder / "postgres"), "1", "5432", str(folder / "run"), "", "1 1", "ready   "]
    for leftover in (folder / "postgres" / "postmaster.pid", folder / "run" / ".s.PGSQL.5432.lock"):
        leftover.write_text("\n".join(lines) + "\n")
    (folder / "starter.lock").write_text(str(stranger.pid))

    with EmbeddedServers(folder) as servers:
        assert await _recall(servers.addresses) == (7, 7)
    assert stranger.poll() is None


async def test_a_first_start_that_was_interrupted_is_begun_again(folder: Path) -> None:
    draft = folder / "postgres.new"
    draft.mkdir(parents=True, mode=0o700)
    (draft / "PG_VERSION").write_text("18\n")
    with EmbeddedServers(folder, fast=True) as servers:
        await _remember(servers.addresses)


async def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    deep = folder / ("d" * 100) / ("e" * 100)
    with EmbeddedServers(deep, fast=True) as servers:
        await _remember(servers.addresses)
        assert running_servers(deep) == servers.addresses
        with keeper(deep) as second:
            assert second.said["error"] == "DataFolderInUse"


def test_one_server_alone_can_be_wanted(folder: Path) -> None:
    with EmbeddedServers(folder, postgres=False, fast=True) as servers:
        assert servers.postgres is None
        assert not (folder / "postgres").exists()


def test_a_server_that_fails_is_told_and_leaves_the_folder_free(folder: Path) -> None:
    with EmbeddedServers(folder, fast=True):
        pass
    (folder / "postgres" / "global" / "pg_control").write_bytes(b"damaged")

    with pytest.raises(ServerDidNotStart, match=r"postgres\.log"):
        EmbeddedServers(folder).start()
    assert running_servers(folder) is None


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    folder.write_text("in the way")
    with pytest.raises(DataFolderNotUsable, match="POSTROOM_DATA_DIR"):
        EmbeddedServers(folder).start()


def test_a_platform_without_the_programs_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ServersNotInstalled, match="REDIS_URL"):
        EmbeddedServers(folder, postgres=False).start()


def test_a_thread_that_may_end_earlier_cannot_start_them(folder: Path) -> None:
    refused: list[str] = []

    def start() -> None:
        try:
            EmbeddedServers(folder).start()
        except RuntimeError as error:
            refused.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in refused[0]


@_AS_ROOT
@pytest.mark.parametrize("fallback", ["postgres", "nobody"])
async def test_root_without_namespaces_uses_another_account_and_changes_nothing_outside(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fallback: str
) -> None:
    try:
        uid = pwd.getpwnam(fallback).pw_uid
    except KeyError:
        pytest.skip(f"there is no account {fallback} here")
    monkeypatch.setattr(accounts, "_FALLBACK_NAMES", (fallback,))
    monkeypatch.setattr(accounts, "_is_permitted", _all_but_namespaces(accounts._is_permitted))
    folder.parent.chmod(0o700)  # closed to that account, as /root is

    with EmbeddedServers(folder) as servers:
        await _remember(servers.addresses)
        assert servers.postgres is not None
        assert _runs_as(servers.postgres.process_id) == uid
    with EmbeddedServers(folder) as servers:
        assert await _recall(servers.addresses) == (7, 7)
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_uid == 0


@_AS_ROOT
async def test_a_normal_user_without_a_home_keeps_servers_of_their_own(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(folder.parent, nobody.pw_uid, nobody.pw_gid)
    python = _python_for("nobody")

    with keeper(folder, python=python, user="nobody") as first:
        await _remember(first.addresses)
        assert _runs_as(first.said["postgres"]) == _runs_as(first.said["valkey"]) == nobody.pw_uid
        with keeper(folder, python=python, user="nobody") as second:
            assert second.said["error"] == "DataFolderInUse"
        first.kill()
        await _until_gone(first.said["postgres"], first.said["valkey"])
    with EmbeddedServers(folder) as servers:  # root goes on as the owner, and leaves nothing of its own behind
        assert await _recall(servers.addresses) == (7, 7)
        assert servers.postgres is not None
        assert _runs_as(servers.postgres.process_id) == nobody.pw_uid
    with keeper(folder, python=python, user="nobody") as third:
        assert await _recall(third.addresses) == (7, 7)
        third.end()
    assert _owners(folder) == {"nobody"}


def _python_for(user: str) -> str:
    """A Python like ours that this account may run: ours, or the project, may lie in a folder closed to it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in filter(None, (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin"))):
        with suppress(PermissionError, subprocess.CalledProcessError):
            subprocess.run(  # noqa: S603 - a Python
                [python, "-c", "import infra.embedded"],
                check=True,
                user=user,
                extra_groups=[],
                env=_ENVIRONMENT,
                cwd="/",
                stderr=subprocess.DEVNULL,
            )
            return python
    pytest.skip(f"no {version} that the account {user} may run, or no way for it to the project")


def _owners(folder: Path) -> set[str]:
    return {path.owner() for path in folder.rglob("*")}


def _runs_as(process_id: int | None) -> int:
    return int(Path(f"/proc/{process_id}/status").read_text().partition("Uid:")[2].split()[0])


@_AS_ROOT
def test_root_without_any_other_account_is_told_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_is_permitted", lambda *_: False)
    with pytest.raises(NoAccountForPostgres, match=r"normal user.*DATABASE_URL"):
        EmbeddedServers(folder).start()
    with EmbeddedServers(folder, postgres=False, fast=True):
        pass


def _all_but_namespaces(permitted: Any) -> Any:
    return lambda account, *rest: not account.spec.startswith("namespace") and permitted(account, *rest)
