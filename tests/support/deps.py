"""The ports of a process for a test: real servers, a folder of its own, and workers only where the test runs them."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.settings import Settings
from infra.vault import Vault
from services.deps import Deps, open_deps

ALLOWED_HOSTS = "127.0.0.0/8, ::1/128, localhost"
SECRET_KEY = bytes(range(32))
JWT_SECRET = "a secret for tests only, long enough for HS256"


@asynccontextmanager
async def opened_deps(database_url: str, redis_url: str, folder: Path, **settings: object) -> AsyncIterator[Deps]:
    chosen = Settings(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        postroom_data_dir=folder,
        postroom_secret_keys=(SECRET_KEY,),
        postroom_jwt_secret=JWT_SECRET,
        postroom_allowed_private_hosts=ALLOWED_HOSTS,
        **settings,
    )
    async with open_deps(chosen, database_url=database_url, redis_url=redis_url, vault=Vault([SECRET_KEY])) as deps:
        yield deps


def worker_environment(deps: Deps) -> dict[str, str]:
    """What a process of its own needs to work on the same servers."""
    settings = deps.settings
    return {
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
        "POSTROOM_DATA_DIR": str(settings.postroom_data_dir),
        "POSTROOM_SECRET_KEYS": base64.b64encode(SECRET_KEY).decode(),
        "POSTROOM_JWT_SECRET": JWT_SECRET,
        "POSTROOM_ALLOWED_PRIVATE_HOSTS": ALLOWED_HOSTS,
    }
