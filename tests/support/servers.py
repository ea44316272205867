"""Where do tests get a real PostgreSQL and a real Valkey, quickly and clean?

One pair of servers for the whole session, a database of its own for whoever asks (a copy of a template, some tens of
milliseconds), an empty Valkey for each test. In `conftest.py`:

    @pytest.fixture(scope="session")
    def servers() -> Iterator[ServerAddresses]:
        with session_servers() as addresses:
            migrate(addresses.database_url)      # once; every copy has it. Close its connections: a template has none.
            yield addresses

    @pytest.fixture
    async def database_url(servers: ServerAddresses) -> AsyncIterator[str]:
        async with fresh_database(servers) as url:
            yield url

    @pytest.fixture
    async def redis_url(servers: ServerAddresses) -> str:
        return await emptied_redis(servers)
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from redis.asyncio import Redis

from domain.ids import new_id
from infra.embedded import EmbeddedServers, ServerAddresses


@contextmanager
def session_servers() -> Iterator[ServerAddresses]:
    """Servers in a temporary folder, without syncs to disk; they end with the tests, however those end."""
    with (
        tempfile.TemporaryDirectory(prefix="postroom-tests-", ignore_cleanup_errors=True) as folder,
        EmbeddedServers(Path(folder), fast=True) as servers,
    ):
        yield servers.addresses


@asynccontextmanager
async def fresh_database(servers: ServerAddresses, *, template: str | None = None) -> AsyncIterator[str]:
    """The URL of a new database, a copy of `template` (the one of `servers.database_url`, if not told); dropped after.

    Nobody may be connected to the template meanwhile.
    """
    source = template or urlsplit(servers.database_url).path.removeprefix("/")
    name = f"test_{new_id().hex}"
    await _execute(servers, f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
    try:
        yield _with_database(servers.database_url, name)
    finally:
        await _execute(servers, f'DROP DATABASE "{name}" WITH (FORCE)')


async def emptied_redis(servers: ServerAddresses) -> str:
    """The URL of the session's Valkey, with nothing in it."""
    async with Redis.from_url(servers.redis_url) as redis:
        await redis.flushall()
    return servers.redis_url


async def _execute(servers: ServerAddresses, statement: str) -> None:
    connection = await asyncpg.connect(_with_database(servers.database_url, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
