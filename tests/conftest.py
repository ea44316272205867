"""One PostgreSQL and one Valkey for the session, a database of its own for each test that asks."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from infra.db.migrate import migrate
from infra.embedded import ServerAddresses
from tests.support.servers import emptied_redis, fresh_database, session_servers


@pytest.fixture(scope="session")
def servers() -> Iterator[ServerAddresses]:
    with session_servers() as addresses:
        asyncio.run(migrate(addresses.database_url, models="models"))
        yield addresses


@pytest.fixture
async def database_url(servers: ServerAddresses) -> AsyncIterator[str]:
    async with fresh_database(servers) as url:
        yield url


@pytest.fixture
async def redis_url(servers: ServerAddresses) -> str:
    return await emptied_redis(servers)
