"""What happens between `postroom up` and the moment it answers?"""

import asyncio
from collections.abc import Callable

import asyncpg
import httpx
import structlog

from domain import clock
from infra.db.migrate import migrate
from infra.embedded import EmbeddedServers, EmbeddedServersError
from server.console import print_line
from server.environment import Environment
from server.processes import has_ended
from services.deps import MODELS

log = structlog.get_logger()

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
LOOK_S = 0.1
LOOK_DEADLINE_S = 5.0
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


async def migrate_patiently(database_url: str) -> None:
    """Applies migrations as soon as PostgreSQL answers, and says so while it does not."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await migrate(database_url, models=MODELS)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError) as failure:
            log.warning("waiting_for_database", error=type(failure).__name__, retry_in_s=pause_s)
        else:
            return
        await asyncio.sleep(clock.jitter(pause_s))
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


async def announce_ready(environment: Environment) -> None:
    """Waits until the API can serve, then says where, and what to do first."""
    settings = environment.settings
    host = "127.0.0.1" if settings.postroom_host in _ANY_ADDRESS else settings.postroom_host
    host = f"[{host}]" if ":" in host else host
    async with httpx.AsyncClient(timeout=LOOK_DEADLINE_S, trust_env=False) as client:
        while not await _is_ready(client, f"http://{host}:{settings.postroom_port}/ready"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)
    print_line(f"Postroom is up at {settings.public_url}/graphql", style="bold green")
    print_line("The first time: postroom bootstrap --organisation NAME --admin EMAIL")


def mended(servers: EmbeddedServers | None) -> Callable[[], None]:
    """What starts the embedded servers again when one of them has died."""

    def mend() -> None:
        wanted = [server for server in (servers.postgres, servers.valkey) if server] if servers else []
        ended = [server for server in wanted if has_ended(server.process_id)]
        if servers is None or not ended:
            return
        log.error("embedded_server_ended")
        try:
            if ended == [servers.valkey]:
                servers.restart_valkey()
            else:
                servers.stop()
                servers.start()
        except EmbeddedServersError as failure:
            log.exception("embedded_servers_do_not_start", error=type(failure).__name__)
        else:
            log.info("embedded_servers_started")

    return mend


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        response = await client.get(url)
    except httpx.HTTPError:
        return False
    return response.status_code == httpx.codes.OK
