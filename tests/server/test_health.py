"""Whether the server says truly that it is alive and ready."""

from services.deps import Deps
from tests.server.conftest import Scene
from tests.support.site import served


async def test_a_server_with_everything_it_needs_is_ready(scene: Scene) -> None:
    assert (await scene.site.get("/health")).json() == {"status": "ok"}
    ready = await scene.site.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})


async def test_a_server_whose_database_is_of_another_version_is_not_ready(deps: Deps) -> None:
    async with served(deps) as site:
        async with deps.db.transaction() as tx:
            await tx.execute("DELETE FROM tortoise_migrations")
        ready = await site.get("/ready")
        assert (ready.status_code, ready.json()["database"]) == (503, "migrations missing")
        async with deps.db.transaction() as tx:
            await tx.execute("DROP TABLE tortoise_migrations")
        assert (await site.get("/ready")).json()["database"] == "migrations missing"


async def test_the_public_api_tells_nobody_what_it_measures(scene: Scene) -> None:
    assert (await scene.site.get("/metrics")).status_code == 404
