"""How fast is an inbox read, and a conversation, beside an endpoint written by hand for each?

`python -m bench.inbox` fills a PostgreSQL of its own (bench.office_rows), serves it by `postroom api` and by
bench.inbox_floor, one process each, makes sure that both give the same answers, and then puts one after the other under
load. SCALE is `small` (100,000 messages) or `full` (1,000,000). It times and asserts nothing beyond that; the machine
should have nothing else to do.
"""

import asyncio
import base64
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx
import orjson

from bench.http_load import Answered, Load, under
from bench.office_rows import SEED, SIZES, Office, OfficeRows, Size
from bench.process_use import use_of
from domain import clock
from domain.ids import to_global
from infra.db import Database
from infra.db.migrate import migrate
from infra.embedded import EmbeddedServers, ServerAddresses
from infra.settings import Settings
from server.listening import listen
from server.tokens import issue_token
from services.deps import MODELS

INBOX = """query Inbox { threads(first: 50) { edges { cursor node { id subject snippet isUnread lastMessageAt
  candidates { id name } participants { name address } lastMessage { from { name address } sentAt snippet } } }
  pageInfo { hasNextPage endCursor } } }"""
CONVERSATION = """query Conversation($id: ID!) { thread(id: $id) { id subject visibility candidates { id name }
  participants { name address } messages(first: 20) { edges { node { id direction from { name address }
  to { name address } sentAt snippet replyText text attachments { id filename contentType size } } } } } }"""

HOST = "127.0.0.1"
ROUNDS = 3
SECONDS = {"small": 3.0, "full": 5.0}
CONNECTIONS, MANY_CONNECTIONS = 16, 64
VIEWERS = 40
COMPARED = 10
START_DEADLINE_S = 60.0
SECRET = clock.random_bytes(32).hex()
BUDGETS = {"inbox": 0.8, "conversation": 0.6}
WORST_P99 = 1.5
MOST_MEMORY_MB = 120.0


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on a port, and the requests for it."""

    process_id: int
    port: int
    requests: Mapping[str, list[bytes]]

    def load(self, query: str, connections: int, seconds: float) -> Load:
        return Load(HOST, self.port, connections, seconds, self.requests[query])


@dataclass
class Figures:
    """What was measured of one server and query, a value for each round."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def add(self, usual: Answered, many: Answered, cpu_s: float) -> None:
        self.per_second.append(usual.per_second)
        self.cpu_ms.append(1000 * cpu_s / (usual.requests + many.requests))
        self.p99_ms.append(many.p99)


async def measure(size: Size, seconds: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="postroom-bench-"))
    try:
        with EmbeddedServers(folder / "data", fast=True) as servers:
            began_at = clock.monotonic()
            offices = await _filled(servers.addresses, size)
            print(
                f"Rows written in {clock.monotonic() - began_at:.0f} s. {os.getloadavg()[0]:.1f} other processes run."
            )
            readers = await _readers(servers.addresses, offices)
            async with AsyncExitStack() as stack:
                ours, floor = await _started(servers.addresses, folder, readers, stack)
                await _compare(ours, floor)
                await _measure(ours, floor, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _filled(addresses: ServerAddresses, size: Size) -> list[Office]:
    await migrate(addresses.database_url, models=MODELS)
    db = await Database.open(addresses.database_url, models=MODELS)
    try:
        return await OfficeRows(size).write(db)
    finally:
        await db.close()


async def _readers(addresses: ServerAddresses, offices: Sequence[Office]) -> list[tuple[str, str]]:
    """Tokens of colleagues, each with the global id of a thread that they read."""
    chance = Random(SEED)  # noqa: S311 - a choice, not a secret
    settings = Settings(_env_file=None, postroom_jwt_secret=SECRET)
    connection = await asyncpg.connect(addresses.database_url)
    try:
        await connection.execute("VACUUM ANALYZE", timeout=600)
        found = []
        for _ in range(VIEWERS):
            office = chance.choice(offices)
            user = chance.choice(office.users)
            token = issue_token(settings, organisation_id=office.id, external_id=user.address, days=1)
            threads = await connection.fetch("SELECT thread_id FROM thread_reader WHERE principal = $1", user.id)
            found.append((token, to_global("thread", chance.choice(threads)["thread_id"])))
    finally:
        await connection.close()
    return found


@asynccontextmanager
async def _server(
    arguments: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
    requests: Mapping[str, list[bytes]],
    log: Path,
) -> AsyncIterator[Server]:
    """A running server; `arguments` get the number of its listening socket."""
    with closing(listen(HOST, 0)) as listener, log.open("wb") as written:
        port = listener.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments(listener.fileno()),
            env={**os.environ, **environment},
            pass_fds=[listener.fileno()],
            stdout=written,
            stderr=written,
        )
    try:
        await _answers(port)
        yield Server(process.pid, port, requests)
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(START_DEADLINE_S), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                await client.get(f"http://{HOST}:{port}/ready")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


async def _started(
    addresses: ServerAddresses, folder: Path, readers: Sequence[tuple[str, str]], stack: AsyncExitStack
) -> tuple[Server, Server]:
    environment = {
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "POSTROOM_DATA_DIR": str(folder / "api"),
        "POSTROOM_SECRET_KEYS": base64.b64encode(bytes(32)).decode(),
        "POSTROOM_JWT_SECRET": SECRET,
    }
    ours = _server(
        lambda listener: ["server", "api", "--listener", str(listener)],
        environment,
        {
            "inbox": [_post(token, INBOX, {}) for token, _ in readers],
            "conversation": [_post(token, CONVERSATION, {"id": thread_id}) for token, thread_id in readers],
        },
        folder / "api.log",
    )
    floor = _server(
        lambda listener: ["bench.inbox_floor", str(listener)],
        environment,
        {
            "inbox": [_get(token, "/inbox") for token, _ in readers],
            "conversation": [_get(token, f"/threads/{thread_id}") for token, thread_id in readers],
        },
        folder / "floor.log",
    )
    return await stack.enter_async_context(ours), await stack.enter_async_context(floor)


def _post(token: str, query: str, variables: Mapping[str, object]) -> bytes:
    body = orjson.dumps({"query": query, "variables": variables})
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json"
        f"\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _get(token: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\r\n".encode()


async def _compare(ours: Server, floor: Server) -> None:
    """Both servers say the same, and something."""
    for query in BUDGETS:
        for number in range(COMPARED):
            our, their = [await _said(server, server.requests[query][number]) for server in (ours, floor)]
            if our != their or "errors" in our:
                raise RuntimeError(f"the answers to {query} differ:\n{our}\n{their}")


async def _said(server: Server, request: bytes) -> Any:
    reader, writer = await asyncio.open_connection(HOST, server.port)
    with closing(writer):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return orjson.loads(await reader.readexactly(length))


async def _measure(ours: Server, floor: Server, seconds: float) -> None:
    """Turn and turn about, so that what else the machine does falls on both."""
    figures = {(server, query): Figures() for server in ("ours", "floor") for query in BUDGETS}
    for number in range(ROUNDS + 1):
        for query in BUDGETS:
            for name, server in (("ours", ours), ("floor", floor)):
                before = use_of(server.process_id)
                usual = await under(server.load(query, CONNECTIONS, seconds))
                many = await under(server.load(query, MANY_CONNECTIONS, seconds))
                if usual.failed or many.failed:
                    raise RuntimeError(f"{usual.failed + many.failed} requests failed")
                if number:  # the first round is there to warm up
                    figures[name, query].add(usual, many, use_of(server.process_id).cpu_s - before.cpu_s)
    for query, budget in BUDGETS.items():
        our, their = figures["ours", query], figures["floor", query]
        _tell(f"{query}-rate", our.per_second, their.per_second, "requests/s", budget, most=False)
        _tell(f"{query}-cpu", our.cpu_ms, their.cpu_ms, "ms/request", None)
        _tell(f"{query}-p99-{MANY_CONNECTIONS}", our.p99_ms, their.p99_ms, "ms", WORST_P99)
    memory = use_of(ours.process_id).peak_mb
    verdict = "ok" if memory < MOST_MEMORY_MB else "short"
    floor_mb = use_of(floor.process_id).peak_mb
    print(
        f"memory ours={memory:.0f} floor={floor_mb:.0f} ratio={memory / floor_mb:.2f} unit=MB "
        f"budget={MOST_MEMORY_MB:.0f} {verdict}"
    )


def _tell(
    name: str, ours: Sequence[float], floor: Sequence[float], unit: str, budget: float | None, *, most: bool = True
) -> None:
    """A line for a figure; the budget is on the ratio, the most or the least that it may be."""
    our, their = statistics.median(ours), statistics.median(floor)
    ratio = our / their
    is_kept = budget is None or (ratio <= budget if most else ratio >= budget)
    print(
        f"{name} ours={our:.2f} floor={their:.2f} ratio={ratio:.2f} unit={unit} "
        f"budget={'-' if budget is None else budget} {'ok' if is_kept else 'short'}"
    )


def main() -> None:
    scale = os.environ.get("SCALE", "small")
    asyncio.run(measure(SIZES[scale], SECONDS[scale]))


if __name__ == "__main__":
    main()
