"""Bringing the database to the shape that the code expects: Tortoise's migrations, one process at a time.

A new migration is written by `make migration NAME=…` and reviewed by hand.
"""

import os

import asyncpg
from tortoise import Tortoise
from tortoise.migrations.api import migrate as apply_migrations

from infra.db.database import tortoise_config

MIGRATION_LOCK = 0x706F7374
"""The key of the advisory lock ("post"): two processes that start together migrate one after the other."""
LOCK_TIMEOUT_S = 300
"""How long a process waits for another one's migrations."""

CONFIG = tortoise_config(os.environ.get("DATABASE_URL", ""), "models")
"""For Tortoise's own command, which names it as `infra.db.migrate.CONFIG`."""


async def migrate(dsn: str, *, models: str) -> None:
    """Applies what is missing; does nothing where nothing is. Safe to run from many processes at once.

    Raises:
        OSError, asyncpg.PostgresError: the server is not there, or a migration failed and was rolled back.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK, timeout=LOCK_TIMEOUT_S)
        try:
            await apply_migrations(config=tortoise_config(dsn, models))
        finally:
            await Tortoise.close_connections()
    finally:
        await connection.close()
