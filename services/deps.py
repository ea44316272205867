"""What every use case may reach for, opened once a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from infra.blobs import Blobs, open_blobs
from infra.bus import Bus
from infra.db import Database
from infra.jobs import JobQueue
from infra.pace import Pace
from infra.parse_pool import ParsePool
from infra.settings import Settings
from infra.vault import Vault

MODELS = "models"
LOGINS_PER_S = 20
"""By one process at one host, so that a restart is no storm."""
IMPORTS_AT_ONCE = 4
"""In one worker, of its twenty jobs: new mail finds a free one however many mailboxes are being imported."""


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of this process."""

    settings: Settings
    db: Database
    bus: Bus
    jobs: JobQueue
    vault: Vault
    blobs: Blobs
    parser: ParsePool
    logins: Pace
    """At most so many logins a second at one mail host."""
    imports: asyncio.Semaphore
    """Runs that may read old mail at the same time: the others are left to news."""


@asynccontextmanager
async def open_deps(
    settings: Settings, *, database_url: str, redis_url: str, vault: Vault, pool_size: int = 10
) -> AsyncIterator[Deps]:
    """Opens everything, and closes it in reverse.

    Raises:
        OSError, asyncpg.PostgresError, BusError: a server is not there; starting again later may help.
    """
    async with AsyncExitStack() as stack:
        db = await Database.open(database_url, models=MODELS, pool_size=pool_size)
        stack.push_async_callback(db.close)
        bus = Bus(redis_url)
        await bus.connect()
        stack.push_async_callback(bus.aclose)
        jobs = JobQueue(redis_url)
        stack.push_async_callback(jobs.aclose)
        parser = ParsePool()
        stack.push_async_callback(parser.aclose)
        blobs = open_blobs(settings.postroom_blob_url, settings.postroom_data_dir)
        yield Deps(
            settings=settings,
            db=db,
            bus=bus,
            jobs=jobs,
            vault=vault,
            blobs=blobs,
            parser=parser,
            logins=Pace(LOGINS_PER_S),
            imports=asyncio.Semaphore(IMPORTS_AT_ONCE),
        )
