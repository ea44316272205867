"""Tortoise's asyncpg engine with its holes closed; Tortoise loads it by name and takes `client_class`.

What is closed: a transaction whose task is cancelled while it begins gives its connection back; waiting for a
connection has a deadline; JSON arrives decoded; and releasing a connection costs no round trip, since every setting
this project makes is `SET LOCAL`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections

from infra.metrics import POOL_WAIT_SECONDS

ACQUIRE_TIMEOUT_S = 10
"""How long a statement waits for a free connection before the request fails."""
COMMAND_TIMEOUT_S = 60
"""The longest that one statement may take, erasures and merges of long threads included."""


_JSONB_VERSION = b"\x01"
"""What PostgreSQL puts before the text of a jsonb value in its binary form, which COPY needs."""


def _encode_json(value: Any) -> bytes:
    """Tortoise hands over JSON text, raw SQL hands over values: both are right here."""
    return _JSONB_VERSION + (value.encode() if isinstance(value, str) else orjson.dumps(value))


def _decode_json(wire: bytes) -> Any:
    return orjson.loads(wire[len(_JSONB_VERSION) :])


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_json, decoder=_decode_json
    )


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that keeps no session state, and so has none to reset."""

    def get_reset_query(self) -> str:
        return ""


class _PooledTransaction(TransactionContextPooled):
    __slots__ = ()

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        pool = self.client._parent._pool  # noqa: SLF001 - as the class it extends does
        with POOL_WAIT_SECONDS.time():
            connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        self.client._connection = connection  # noqa: SLF001 - as above
        self.token = get_connections().set(self.connection_name, self.client)
        try:
            await self.client.begin()
        except BaseException:
            get_connections().reset(self.token)
            await pool.release(connection)
            raise
        return self.client


@asynccontextmanager
async def free_connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the pool, as soon as one is free.

    Raises:
        TimeoutError: none was within ACQUIRE_TIMEOUT_S.
    """
    with POOL_WAIT_SECONDS.time():
        connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
    try:
        yield connection
    finally:
        await pool.release(connection)


class PostgresClient(AsyncpgDBClient):
    """The client that Tortoise makes its connection of; `dsn` is taken as asyncpg reads it."""

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            options["dsn"],
            min_size=options["min_size"],
            max_size=options["max_size"],
            connection_class=PooledConnection,
            command_timeout=COMMAND_TIMEOUT_S,
            init=_prepare,
            server_settings={"application_name": "postroom", "TimeZone": "UTC"},
        )

    def _in_transaction(self) -> TransactionContext:
        return _PooledTransaction(TransactionWrapper(self), self._pool_init_lock)


client_class = PostgresClient
