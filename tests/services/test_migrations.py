"""The database comes into its shape from empty, by many at once, and keeps what must not change."""

import asyncio
import sys

import asyncpg
import pytest

from infra.db.migrate import migrate
from infra.embedded import ServerAddresses
from tests.support.servers import fresh_database


async def test_two_processes_that_migrate_an_empty_database_at_once_both_succeed(servers: ServerAddresses) -> None:
    async with fresh_database(servers, template="template1") as url:
        script = f"import asyncio; from infra.db.migrate import migrate; asyncio.run(migrate({url!r}, models='models'))"
        processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", script) for _ in range(2)]
        assert [await process.wait() for process in processes] == [0, 0]
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("SELECT count(*) FROM message") == 0
        finally:
            await connection.close()


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    await migrate(database_url, models="models")


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
async def test_the_audit_log_cannot_be_rewritten(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "WITH o AS (INSERT INTO organisation (id, name, created_at) "
            "VALUES (gen_random_uuid(), 'Acme', now()) RETURNING id) "
            "INSERT INTO audit_entry (organisation_id, at, action) SELECT id, now(), 'tried' FROM o"
        )
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_every_foreign_key_is_served_by_an_index(database_url: str) -> None:
    """Tortoise makes none for foreign keys, and a delete without one reads whole tables."""
    connection = await asyncpg.connect(database_url)
    try:
        bare = await connection.fetch(
            """
            SELECT c.conrelid::regclass::text AS table, a.attname
              FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
             WHERE c.contype = 'f' AND NOT EXISTS (
                   SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = a.attnum)
            """
        )
    finally:
        await connection.close()
    assert bare == []
