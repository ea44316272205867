"""How soon does an event reach everybody who follows?

`python -m bench.fanout` has many WebSocket clients, in processes of their own, follow one API process, changes
candidates by the API, and takes the time from the position of each event, which is the time of its commit, to each
client. In the same run, the same clients follow a bare server that writes one frame to each (the floor), and graphql-ws
on Node where that is installed (`npm ci` in tests/clients). SCALE is `small` (1,000 clients) or `full` (10,000). It
asserts nothing; the machine should have nothing else to do.
"""

import asyncio
import os
import resource
import ssl
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import OctKey

from bench.process_use import resident_kb, role_below
from demo.api import Api
from demo.postroom import Postroom, started_postroom
from domain import clock

CLIENTS = {"small": 1_000, "full": 10_000}
CLIENT_PROCESSES = 2
CLIENTS_PER_USER = 10
ROUNDS = 5
RATE_PER_S = 10
STREAMED_S = 5
DEAF_LIMIT_S = 30.0
PACKAGES = Path("tests/clients")
SECRET = clock.random_bytes(32).hex()

_USER = "mutation ($input: UpsertUserInput!) { upsertUser(input: $input) { errors { message } } }"
_JOB = "mutation ($input: UpsertJobInput!) { upsertJob(input: $input) { errors { message } } }"
_CANDIDATE = "mutation ($input: UpsertCandidateInput!) { upsertCandidate(input: $input) { errors { message } } }"
_SHOWN = "candidate { id externalId name emails { address addedAt isInternal } syncState }"
EVENTS = f"subscription {{ events {{ cursor at __typename ... on CandidateChanged {{ {_SHOWN} }} }} }}"
PEERS_EVENTS = f"subscription ($some: Boolean) {{ events(some: $some) {{ cursor at __typename {_SHOWN} }} }}"
_MANY = " ".join(f"n{number}: {_SHOWN}" for number in range(49))
LONG_EVENTS = f"subscription {{ events {{ cursor ... on CandidateChanged {{ {_MANY} }} }} }}"
"""Each some 20 KB."""

Publish = Callable[[str], Awaitable[None]]


@dataclass(slots=True)
class Figures:
    """Of one server: medians of the rounds in ms, and memory in KB a connection."""

    all_p50: float
    all_last: float
    some_p99: float
    memory: float
    lost: int
    rounds: list[tuple[float, float]] = field(default_factory=list)


class Readers:
    """The processes of clients."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes

    async def connect(self, port: int, orders: Sequence[dict[str, Any]]) -> None:
        count = len(self._processes)
        shares = [{"do": "connect", "port": port, "orders": orders[start::count]} for start in range(count)]
        await self._ask(shares)

    async def all_told(self, events: int, counts: Sequence[int]) -> tuple[list[float], int]:
        """How long each of so many events took to each client, and how many frames are missing or came twice."""
        answers = await self._ask([{"do": "await", "frames": events * count} for count in counts])
        took = [ms for answer in answers for each in answer["took_ms"].values() for ms in each]
        return took, sum(answer["missing"] + answer["doubled"] + answer["lost"] for answer in answers)

    async def deaf(self, port: int, order: dict[str, Any]) -> None:
        await self._ask_one({"do": "deaf", "port": port, "order": order})

    async def is_cut(self) -> bool:
        return bool((await self._ask_one({"do": "is_cut"}))["is_cut"])

    async def _ask(self, commands: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(_answer(process, command))
                for process, command in zip(self._processes, commands, strict=True)
            ]
        return [each.result() for each in asked]

    async def _ask_one(self, command: dict[str, Any]) -> dict[str, Any]:
        return await _answer(self._processes[0], command)


async def _answer(process: Process, command: dict[str, Any]) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the clients' pipes are closed")
    process.stdin.write(orjson.dumps(command) + b"\n")
    await process.stdin.drain()
    answer: dict[str, Any] = orjson.loads(await process.stdout.readline())
    return answer


@asynccontextmanager
async def started(*command: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=1 << 28)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def readers() -> AsyncIterator[Readers]:
    program = sys.executable, "-m", "bench.fanout_readers"
    async with AsyncExitStack() as stack:
        yield Readers([await stack.enter_async_context(started(*program)) for _ in range(CLIENT_PROCESSES)])


async def measured(
    crowd: Readers, port: int, orders: Sequence[dict[str, Any]], process_id: int, publish: Publish
) -> Figures:
    """Lets the clients connect, and publishes to all of them, and then to one in a hundred."""
    before = resident_kb(process_id)
    await crowd.connect(port, orders)
    count = len(orders)
    counts = [len(orders[start::CLIENT_PROCESSES]) for start in range(CLIENT_PROCESSES)]
    rounds, lost = [], 0
    for _ in range(ROUNDS + 1):
        await publish("all")
        took, wrong = await crowd.all_told(1, counts)
        lost += wrong
        rounds.append((statistics.median(took), max(took)))
    memory = (resident_kb(process_id) - before) / count
    some = [sum(each["some"] for each in orders[start::CLIENT_PROCESSES]) for start in range(CLIENT_PROCESSES)]
    events = RATE_PER_S * STREAMED_S
    async with asyncio.TaskGroup() as tasks:
        for number in range(events):
            tasks.create_task(_later(number / RATE_PER_S, publish))
    took, wrong = await crowd.all_told(events, some)
    lost += wrong
    rounds = rounds[1:]  # the first one makes connections, plans and code
    return Figures(
        all_p50=statistics.median(p50 for p50, _ in rounds),
        all_last=statistics.median(last for _, last in rounds),
        some_p99=statistics.quantiles(took, n=100, method="inclusive")[98],
        memory=memory,
        lost=lost,
        rounds=rounds,
    )


async def _later(delay_s: float, publish: Publish) -> None:
    await asyncio.sleep(delay_s)
    await publish("some")


# ---------------------------------------------------------------- whom they follow


async def bare(crowd: Readers, count: int, *command: str) -> Figures:
    """The floor, or a peer: a program that prints its port and takes orders on standard input."""
    async with started(*command) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server's pipes are closed")
        port = int(await server.stdout.readline())
        pipe = server.stdin

        async def publish(to: str) -> None:
            pipe.write(f"{to}\n".encode())
            await pipe.drain()

        orders = [
            {"token": "", "query": PEERS_EVENTS, "variables": {"some": is_some}, "some": is_some}
            for is_some in (number < count // 100 for number in range(count))
        ]
        return await measured(crowd, port, orders, server.pid, publish)


@dataclass(slots=True)
class Office:
    """A Postroom whose users hire for `all`, one in a hundred clients' for `some` as well, and one for `deaf`."""

    postroom: Postroom
    api: Api
    organisation: str
    users: int
    _versions: int = 0

    async def publish(self, to: str) -> None:
        """Changes the candidate of a job, which its hiring team is told."""
        self._versions += 1
        name = f"Candidate {self._versions:05}" if to != "deaf" else f"{self._versions:05}" + "x" * 190
        await self.api.change(_CANDIDATE, externalId=to, name=name, emails=[f"{to}@mail.example"], jobs=[to])

    def token(self, user: str) -> str:
        claims = {"org": self.organisation, "sub": user, "exp": int(clock.now().timestamp()) + 3600}
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"])

    def orders(self, count: int) -> list[dict[str, Any]]:
        """For each client; those of `some` come first."""
        tokens = [self.token(f"user-{number}") for number in range(self.users)]
        return [
            {
                "token": tokens[number // CLIENTS_PER_USER],
                "query": EVENTS,
                "variables": None,
                "some": number < count // 100,
            }
            for number in range(count)
        ]


@asynccontextmanager
async def opened(count: int) -> AsyncIterator[Office]:
    """A fresh Postroom with the users that so many clients need."""
    settings = {"POSTROOM_JWT_SECRET": SECRET}
    authorities = Path(ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile)
    async with started_postroom(authorities, settings=settings) as postroom:
        await postroom.ready()
        await postroom.command("bootstrap", "--organisation", "Fan", "--admin", "admin@fan.example")
        service = await postroom.command("token", "--service", "--days", "1")
        async with Api(postroom.url, service["token"]) as api:
            organisation = (await api.execute("{ organisation { id } }"))["organisation"]["id"]
            users = count // CLIENTS_PER_USER
            for number in range(users):
                name = f"user-{number}"
                await api.change(
                    _USER, externalId=name, name=name, email=f"{name}@fan.example", accessLevel="HIRING_TEAM"
                )
            await api.change(_USER, externalId="deaf", name="deaf", email="deaf@fan.example", accessLevel="HIRING_TEAM")
            everybody = [f"user-{number}" for number in range(users)]
            some = everybody[: count // 100 // CLIENTS_PER_USER]
            for job, team in (("all", everybody), ("some", some), ("deaf", ["deaf"])):
                await api.change(_JOB, externalId=job, title=job, hiringTeam=team)
            office = Office(postroom, api, organisation, users)
            for job in ("all", "some", "deaf"):
                await office.publish(job)
            yield office


async def ours(crowd: Readers, count: int) -> tuple[Figures, float]:
    """Postroom's figures, and after how long it cut off a client that reads nothing, in s."""
    async with opened(count) as office:
        port = httpx.URL(office.postroom.url).port or 0
        process_id = role_below(office.postroom.process_id or 0, "api")
        figures = await measured(crowd, port, office.orders(count), process_id, office.publish)
        await crowd.deaf(port, {"token": office.token("deaf"), "query": LONG_EVENTS, "variables": {}})
        return figures, await _cut_off_after(crowd, office)


async def _cut_off_after(crowd: Readers, office: Office) -> float:
    begun = clock.monotonic()
    while clock.monotonic() - begun < DEAF_LIMIT_S:
        if await crowd.is_cut():
            return clock.monotonic() - begun
        await office.publish("deaf")
    return DEAF_LIMIT_S


# ---------------------------------------------------------------- what comes of it


async def measure(count: int) -> None:
    async with readers() as crowd:
        floor = await bare(crowd, count, sys.executable, "-m", "bench.fanout_floor")
    peer = None
    if which("node") and (PACKAGES / "node_modules").exists():
        async with readers() as crowd:
            peer = await bare(crowd, count, "node", str(PACKAGES / "graphql_ws_server.mjs"))
    async with readers() as crowd:
        figures, cut_off_s = await ours(crowd, count)
    print(f"Medians of {ROUNDS} events to {count:,} clients of one process; {RATE_PER_S} a second to one in a hundred.")
    print(f"Load of the machine: {os.getloadavg()[0]:.1f}. Floor: a bare server; peer: graphql-ws on Node.")
    line("fanout-all-p50", figures.all_p50, floor.all_p50, "ms", None)
    line("fanout-all-last", figures.all_last, floor.all_last, "ms", None)
    if peer is None:
        print("graphql-ws was not measured: there is no node, or `npm ci` was not run in tests/clients.")
    else:
        line("fanout-all-p50-of-graphql-ws", figures.all_p50, peer.all_p50, "ms", peer.all_p50 / 3)
        line("fanout-all-last-of-graphql-ws", figures.all_last, peer.all_last, "ms", None)
        line("fanout-one-in-100-p99-of-graphql-ws", figures.some_p99, peer.some_p99, "ms", None)
        line("fanout-memory-of-graphql-ws", figures.memory, peer.memory, "KB", None)
    line("fanout-one-in-100-p99", figures.some_p99, floor.some_p99, "ms", 20)
    line("fanout-memory", figures.memory, floor.memory, "KB", 40)
    line("fanout-lost", figures.lost, floor.lost, "events", 0)
    line("fanout-cut-off", cut_off_s, DEAF_LIMIT_S, "s", 10)


def line(name: str, our: float, floor: float, unit: str, budget: float | None) -> None:
    verdict = "-" if budget is None else f"{budget:.1f} {'ok' if our <= budget else 'short'}"
    ratio = our / floor if floor else float(our > 0)
    print(f"{name} ours={our:.1f} floor={floor:.1f} ratio={ratio:.2f} unit={unit} budget={verdict}")


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server inherits it
    asyncio.run(measure(CLIENTS[os.environ.get("SCALE", "small")]))


if __name__ == "__main__":
    main()
