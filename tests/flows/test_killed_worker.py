"""A worker is killed at random points of an import: nothing is missing, nothing is there twice, nobody hears twice."""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from demo.mailserver import Delivery, MailSandbox
from domain.access import Viewer
from domain.events import EventKind
from services.deps import Deps
from services.sharing import StreamLagged
from services.stream import EventStream
from services.sync import request_sync
from tests.support.deps import worker_environment
from tests.support.office import Office, days_ago, letter, message_id

MESSAGES = 3_000
WITH_A_CANDIDATE = 10
"""One in so many."""
KILLS = 12
UNAIDED = 3
"""After this kill the lease runs out by itself, and the periodic sweep finds the mailbox; the others are hurried."""
SEED = 20261121
PATIENCE_S = 90


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


@asynccontextmanager
async def worker(deps: Deps) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "worker", env={**os.environ, **worker_environment(deps)}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


def fill(server: MailSandbox, address: str) -> set[str]:
    """A mailbox with replies among candidates' messages; the Message-IDs of those that are to be recorded."""
    wanted: set[str] = set()
    deliveries = []
    parent: bytes | None = None
    for number in range(MESSAGES):
        if number % WITH_A_CANDIDATE:
            raw = letter(f"someone{number}@store.example", address)
        else:
            candidate = f"candidate{number % 7}@mail.example"
            raw = letter(candidate, address, f"Letter {number}", reply_to=parent if number % 3 else None)
            parent = raw
            wanted.add(message_id(raw))
        deliveries.append(Delivery(raw, days_ago(100 - number / MESSAGES * 90)))
    server.deliver_many(address, deliveries)
    return wanted


async def is_done(office: Office) -> bool:
    rows = await office.rows(
        "SELECT import_finished_at IS NOT NULL AND NOT EXISTS (SELECT FROM ledger_entry) AS done FROM mailbox"
    )
    return bool(rows[0]["done"])


async def recorded(office: Office) -> int:
    return int(str((await office.rows("SELECT count(*) FROM message"))[0]["count"]))


async def let_the_lease_run_out(office: Office, mailbox: object) -> None:
    """What twenty seconds of waiting would do."""
    async with office.deps.db.transaction() as tx:
        await tx.execute("UPDATE mailbox SET lease_until = now() WHERE id = $1", mailbox)


async def listen(stream: EventStream, viewer: Viewer, after: int, heard: list[str], chance: random.Random) -> None:
    """Reads the stream, hanging up after a random number of events and resuming from the last."""
    while True:
        patience = chance.randint(1, 40)
        try:
            async with stream.subscribe(viewer, after) as events:
                async for event in events:
                    after = event.position
                    if event.kind == EventKind.MESSAGE_ADDED:
                        heard.append(str(event.message_id))
                    patience -= 1
                    if not patience:
                        break
        except StreamLagged:
            continue


@pytest.mark.timeout(300)
async def test_an_import_survives_kills_at_random_points(
    office: Office, mail_server: MailSandbox, address: str, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    viewer = await office.user(address)
    for number in range(7):
        await office.candidate(f"candidate{number}@mail.example")
    wanted = fill(mail_server, address)
    stream = EventStream(office.deps)
    heard: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run())
        await asyncio.sleep(0)
        start = (await office.rows("SELECT event_position FROM organisation"))[0]["event_position"]
        listening = tasks.create_task(listen(stream, viewer, int(str(start)), heard, chance))
        mailbox = await office.connect(viewer, address, mail_server)
        kills = 0
        async with asyncio.timeout(200):
            while kills < KILLS and not await is_done(office):
                async with worker(office.deps):
                    before = await recorded(office)
                    await request_sync(office.deps, mailbox)
                    while await recorded(office) == before and not await is_done(office):
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(chance.uniform(0, 0.15))
                kills += 1
                if kills != UNAIDED:
                    await let_the_lease_run_out(office, mailbox)
            async with worker(office.deps):
                while not await is_done(office):
                    await asyncio.sleep(0.1)
        stored = await office.rows("SELECT id, rfc_message_id FROM message")
        async with asyncio.timeout(PATIENCE_S):
            while len(heard) < len(stored):
                await asyncio.sleep(0.05)
        listening.cancel()
        running.cancel()
    assert kills >= 3
    assert {row["rfc_message_id"] for row in stored} == wanted
    assert len(stored) == len(wanted)
    assert sorted(heard) == sorted(str(row["id"]) for row in stored)
    assert len(await office.rows("SELECT id FROM message_copy")) == len(wanted)
    assert await office.rows("SELECT id FROM ledger_entry") == []
