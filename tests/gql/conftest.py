"""The API on a real PostgreSQL and a real Valkey, asked as the server asks it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.deps import Deps
from services.stream import EventStream
from tests.support.api import API
from tests.support.deps import opened_deps
from tests.support.factories import Firm


@pytest.fixture
async def deps(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Deps]:
    async with opened_deps(database_url, redis_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def stream(deps: Deps) -> AsyncIterator[EventStream]:
    stream = EventStream(deps)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run())
        await asyncio.sleep(0)  # lets it take up its tasks
        yield stream
        running.cancel()


@pytest.fixture
async def firm(deps: Deps) -> Firm:
    return await Firm.open(deps)


@pytest.fixture
def api(deps: Deps, stream: EventStream) -> API:
    return API(deps, stream)
