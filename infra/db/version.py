"""Is the database in the shape that this code expects?"""

import pkgutil

import migrations
from infra.db.database import Statements


async def missing_migrations(db: Statements) -> list[str]:
    """The migrations that are still to be applied, in their order; empty where all is well."""
    expected = sorted(found.name for found in pkgutil.iter_modules(migrations.__path__))
    if await db.fetch_value("SELECT to_regclass('tortoise_migrations')") is None:
        return expected
    applied = {row["name"] for row in await db.fetch("SELECT name FROM tortoise_migrations")}
    return [name for name in expected if name not in applied]
