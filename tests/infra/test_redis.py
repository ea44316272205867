"""Does the pool serve many tasks, and come back after its server did?"""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.embedded import EmbeddedServers
from infra.redis import open_redis


async def _count(redis: Redis) -> None:
    await redis.incr("counter")


async def test_many_tasks_share_few_connections_and_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path / "data", postgres=False, fast=True) as servers:
        redis = open_redis(servers.addresses.redis_url, connections=3)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(_count(redis))
        assert int(await redis.get("counter")) == 50

        servers.stop()
        with pytest.raises(RedisError):
            await redis.get("counter")
        servers.start()
        assert int(await redis.get("counter")) == 50
        await redis.aclose()
