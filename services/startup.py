"""How does a process begin while the servers it needs may still be starting themselves?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import structlog

from domain import clock
from infra.db.version import missing_migrations
from infra.settings import Settings
from infra.vault import Vault
from services.deps import Deps, open_deps

log = structlog.get_logger()

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0


@asynccontextmanager
async def deps_when_ready(
    settings: Settings, *, database_url: str, redis_url: str, vault: Vault
) -> AsyncIterator[Deps]:
    """`open_deps`, waiting as long as it takes for PostgreSQL and its migrations, and saying what for.

    Redis is not waited for: without it everything works, later.
    """
    async with AsyncExitStack() as stack:
        yield await _opened(stack, settings, database_url=database_url, redis_url=redis_url, vault=vault)


async def _opened(
    stack: AsyncExitStack, settings: Settings, *, database_url: str, redis_url: str, vault: Vault
) -> Deps:
    deps: Deps | None = None
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            if deps is None:
                deps = await stack.enter_async_context(
                    open_deps(settings, database_url=database_url, redis_url=redis_url, vault=vault)
                )
            async with deps.db.snapshot() as snapshot:
                missing = await missing_migrations(snapshot)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
            log.warning("waiting_for_database", error=type(failure).__name__, retry_in_s=round(pause_s, 2))
        else:
            if not missing:
                return deps
            log.warning("waiting_for_migrations", count=len(missing), retry_in_s=round(pause_s, 2))
        await asyncio.sleep(clock.jitter(pause_s))
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
