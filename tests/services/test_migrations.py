"""The database comes into its shape from empty, by many at once, and keeps what must not change."""

import asyncio
import importlib
import sys
from types import SimpleNamespace

import asyncpg
import pytest

from infra.db.migrate import migrate
from infra.embedded import ServerAddresses
from services.deps import Deps
from tests.support.factories import Firm
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


async def test_messages_from_before_the_search_are_found_after_its_migration(
    deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    firm = await Firm.open(deps)
    ana = await firm.applicant("Ana")
    for number in range(5):
        await firm.letter(
            ana, text=f"Letter {number}, \N{KANGAROO} and no NUL", bcc=[await firm.colleague(f"Boss{number}")]
        )
    kept = "SELECT message_id, thread_id, vector::text AS vector FROM message_search ORDER BY message_id"
    async with deps.db.transaction() as tx:
        before = await tx.fetch(kept)
        await tx.execute("DELETE FROM message_search")
        migration = importlib.import_module("migrations.0005_search")
        monkeypatch.setattr(migration, "BATCH", 2)
        await migration.index_what_is_there(None, SimpleNamespace(client=tx.client))
        assert await tx.fetch(kept) == before
    assert len(before) == 5


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
