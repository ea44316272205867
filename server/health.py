"""Is this process alive, and can it serve?"""

import asyncio

import asyncpg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.db.version import missing_migrations
from services.deps import Deps

DEADLINE_S = 3.0


async def health(_request: Request) -> Response:
    """The process answers: nothing more is claimed."""
    return JSONResponse({"status": "ok"})


async def ready(deps: Deps, _request: Request) -> Response:
    """200 where operations can be served now, else 503; each part says how it is."""
    parts = {"database": await database_state(deps), "redis": "ok" if deps.bus.is_connected else "unreachable"}
    is_ready = all(state == "ok" for state in parts.values())
    return JSONResponse({"status": "ok" if is_ready else "unavailable", **parts}, status_code=200 if is_ready else 503)


async def database_state(deps: Deps) -> str:
    """`ok`, `migrations missing` or `unreachable`."""
    try:
        async with asyncio.timeout(DEADLINE_S), deps.db.snapshot() as snapshot:
            return "migrations missing" if await missing_migrations(snapshot) else "ok"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return "unreachable"
