"""How services reach PostgreSQL: a transaction to write in, a snapshot to read from."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import asyncpg
from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection

from infra.db.engine import PostgresClient, free_connection
from infra.db.tally import Statement


class Statements:
    """Raw SQL on one connection, one statement at a time; values are always parameters."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self.count = 0
        """How many statements went to the server; tests hold requests to their number."""

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        async with self._lock:
            self.count += 1
            with Statement():
                rows: list[asyncpg.Record] = await self._connection.fetch(sql, *values)
            return rows

    async def fetch_row(self, sql: str, *values: Any) -> asyncpg.Record | None:
        async with self._lock:
            self.count += 1
            with Statement():
                return await self._connection.fetchrow(sql, *values)

    async def fetch_value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None where there is no row."""
        async with self._lock:
            self.count += 1
            with Statement():
                return await self._connection.fetchval(sql, *values)


class Snapshot(Statements):
    """Everything read here is of one moment (REPEATABLE READ, READ ONLY)."""


class Transaction(Statements):
    """A write transaction: commits when its block ends, rolls back when it raises."""

    def __init__(self, client: BaseDBAsyncClient, connection: asyncpg.Connection) -> None:
        super().__init__(connection)
        self.client = client
        """What Tortoise's calls take as `using_db`."""

    async def execute(self, sql: str, *values: Any) -> int:
        """Runs a statement; the number of rows it touched."""
        async with self._lock:
            self.count += 1
            with Statement():
                status: str = await self._connection.execute(sql, *values)
        last = status.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def insert_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """COPY: the fastest way in, for rows that cannot conflict."""
        async with self._lock:
            self.count += 1
            with Statement():
                await self._connection.copy_records_to_table(table, records=rows, columns=columns)


def tortoise_config(dsn: str, models: str, *, pool_size: int = 1) -> dict[str, Any]:
    """Tortoise's configuration, for the running system and for its migration tool alike."""
    credentials = {
        "dsn": dsn,
        "host": None,
        "port": 0,
        "user": None,
        "password": None,
        "database": None,
        "minsize": 1,
        "maxsize": pool_size,
    }
    return {
        "connections": {"default": {"engine": "infra.db.engine", "credentials": credentials}},
        "apps": {"models": {"models": [models], "migrations": "migrations", "default_connection": "default"}},
        "use_tz": True,
        "timezone": "UTC",
    }


class PoolUse(NamedTuple):
    """Connections that are in use, that are free, and that there may be at most."""

    used: int
    free: int
    limit: int


class Database:
    """The one pool of this process."""

    def __init__(self, client: PostgresClient) -> None:
        self._client = client

    @classmethod
    async def open(cls, dsn: str, *, models: str, pool_size: int = 10) -> Self:
        """Connects.

        Args:
            dsn: as libpq reads it; a unix socket by `?host=/folder`.
            models: the module whose rows Tortoise serves.
            pool_size: the most connections this process holds.

        Raises:
            OSError, asyncpg.PostgresError: the server is not there or refuses; trying later may help.
        """
        await Tortoise.init(config=tortoise_config(dsn, models, pool_size=pool_size), _enable_global_fallback=True)
        client = get_connection("default")
        if not isinstance(client, PostgresClient):
            raise TypeError("Tortoise was set up with another engine")
        await client.create_connection(with_db=True)
        return cls(client)

    async def close(self) -> None:
        await Tortoise.close_connections()

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[Transaction]:
        """Nothing in this block may wait for anything but PostgreSQL.

        Args:
            durable: False where a crash of PostgreSQL may undo it although it was committed, because it is then simply
                done again: it does not wait for the disk.
        """
        async with self._client._in_transaction() as client:  # noqa: SLF001 - the engine is ours
            if not durable:
                await client.execute_script("SET LOCAL synchronous_commit = off")
            yield Transaction(client, client._connection)  # noqa: SLF001

    def pool_use(self) -> PoolUse:
        """How many connections there are, and how many of them are free."""
        pool = self._client._pool  # noqa: SLF001 - the engine is ours
        if pool is None:
            return PoolUse(0, 0, 0)
        return PoolUse(pool.get_size() - pool.get_idle_size(), pool.get_idle_size(), pool.get_max_size())

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Statements]:
        """For one statement that reads: it is a moment in itself, and needs no transaction around it."""
        async with free_connection(self._pool()) as connection:
            yield Statements(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        async with (
            free_connection(self._pool()) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Snapshot(connection)

    def _pool(self) -> asyncpg.Pool:
        pool = self._client._pool  # noqa: SLF001 - the engine is ours
        if pool is None:
            raise RuntimeError("the database is closed")
        return pool
