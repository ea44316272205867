"""How fast does a mailbox come in, and in how much memory, through a worker of Postroom's?

`python -m bench.imports` fills a private mail server, and reads its INBOX again and again in processes of their own:
discover and hydrate each by itself, against a bare socket that does the same reading in the same run, and then the
whole import by a `postroom worker`. A tenth of the messages is with one of 20,000 candidates. SCALE is `small` (5,000
messages) or `full` (50,000). It times and asserts nothing; the machine should have nothing else to do.
"""

import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.imap_floor import Login, fetch, scan
from bench.import_mail import CANDIDATES, write_mailbox
from bench.process_use import Use, use_below, use_of
from demo.mailserver import HOST, MailSandbox
from domain import clock
from infra.db.migrate import migrate
from infra.embedded import EmbeddedServers
from infra.settings import Settings
from services.deps import MODELS

MESSAGES = {"small": 5_000, "full": 50_000}
RUNS = 3
SEED = 7
WITH_CANDIDATE = 0.1
OWNER = "ines@harbourworks.example"
PASSWORD = clock.random_bytes(12).hex()
SCAN_BUDGET = 1 / 3
"""Of the bare socket's rate. imapflow takes 3.5 s for 50,000 headers, the socket 0.41: this is 2.8 times imapflow."""
HYDRATE_BUDGET = 500
MEMORY_BUDGET_MB = 300
DEADLINE_S = 600.0
_LOOK_S = 0.02

_DONE = """
SELECT import_finished_at IS NOT NULL AND NOT EXISTS (SELECT FROM ledger_entry WHERE mailbox_id = m.id)
  FROM mailbox m WHERE id = $1
"""
_RECORDED = "SELECT count(*) FROM message_copy WHERE mailbox_id = $1"
_LET_GO = "UPDATE mailbox SET disconnected_at = now() WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Round:
    """One reading of the mailbox by the bare socket and by Postroom's services.

    Attributes:
        ours: as `bench.import_worker` prints it.
        database: processor time that PostgreSQL took meanwhile.
    """

    floor_scan_per_s: float
    floor_scan_cpu_s: float
    floor_fetch_per_s: float
    ours: Mapping[str, Any]
    database_cpu_s: float


@dataclass(frozen=True, slots=True)
class Whole:
    """One import by a worker as in production, with its memory before it began and at its peak."""

    seconds: float
    recorded: int
    idle_mb: float
    worker: Use
    parser: Use


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything runs."""

    server: MailSandbox
    servers: EmbeddedServers
    environment: Mapping[str, str]

    @property
    def database_url(self) -> str:
        return self.servers.addresses.database_url

    @property
    def database_cpu_s(self) -> float:
        postgres = self.servers.postgres
        process = postgres.process_id if postgres else None
        return 0.0 if process is None else use_of(process).cpu_s + use_below(process).cpu_s


def measure(count: int) -> tuple[list[Round], list[Whole]]:
    with (
        tempfile.TemporaryDirectory(prefix="postroom-bench-", ignore_cleanup_errors=True) as folder,
        MailSandbox([(OWNER, PASSWORD)]) as server,
        EmbeddedServers(Path(folder)) as servers,
    ):
        place = Place(server, servers, _environment(Path(folder), server, servers))
        server.deliver_many(OWNER, write_mailbox(SEED, OWNER, count, WITH_CANDIDATE, clock.now()))
        asyncio.run(migrate(place.database_url, models=MODELS))
        _round(place, 0)  # the mail server writes its indexes on the first visit
        rounds = [_round(place, number) for number in range(1, RUNS + 1)]
        wholes = [asyncio.run(_whole(place, number)) for number in range(RUNS)]
    return rounds, wholes


def _round(place: Place, number: int) -> Round:
    server = place.server
    login = Login(HOST, server.imaps_port, OWNER, PASSWORD, server.client_tls())
    cpu = time.process_time()
    scanned = scan(login, [address.encode() for address in CANDIDATES])
    scan_cpu = time.process_time() - cpu
    fetched = fetch(login, scanned.uids)
    database_cpu = place.database_cpu_s
    ours = _ordered(place, f"Round {number}", measures=True)
    if ours["scanned"] != scanned.messages or not ours["recorded"] == ours["entered"] == fetched.messages:
        raise RuntimeError("Postroom and the bare socket have not read the same.")
    return Round(
        scanned.messages / scanned.seconds,
        scan_cpu,
        fetched.messages / fetched.seconds,
        ours,
        place.database_cpu_s - database_cpu,
    )


async def _whole(place: Place, number: int) -> Whole:
    """Connects the mailbox, starts a worker, and waits until everything is recorded."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        "worker",
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    database = await asyncpg.connect(place.database_url)
    try:
        idle = use_of(worker.pid)
        while (present := use_of(worker.pid)) != idle or present.cpu_s < 0.1:
            idle = present
            await asyncio.sleep(0.5)
        ordered = await asyncio.to_thread(_ordered, place, f"Whole {number}", measures=False)
        began = clock.monotonic()
        async with asyncio.timeout(DEADLINE_S):
            while not await database.fetchval(_DONE, ordered["mailbox_id"]):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(_LOOK_S)
        seconds = clock.monotonic() - began
        recorded = await database.fetchval(_RECORDED, ordered["mailbox_id"])
        await database.execute(_LET_GO, ordered["mailbox_id"])
        return Whole(seconds, recorded, idle.peak_mb, use_of(worker.pid), use_below(worker.pid))
    finally:
        await database.close()
        worker.kill()
        await worker.wait()


def _ordered(place: Place, office: str, *, measures: bool) -> dict[str, Any]:
    server = place.server
    mailbox = {
        "address": OWNER,
        "password": PASSWORD,
        "host": HOST,
        "imap": server.imaps_port,
        "smtp": server.smtps_port,
    }
    order = {"office": office, "admin": OWNER, "mailbox": mailbox, "measures": measures}
    done = subprocess.run(
        [sys.executable, "-m", "bench.import_worker"],
        input=json.dumps(order).encode(),
        env=place.environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=DEADLINE_S,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _environment(folder: Path, server: MailSandbox, servers: EmbeddedServers) -> dict[str, str]:
    foreign = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in foreign} | {
        "DATABASE_URL": servers.addresses.database_url,
        "REDIS_URL": servers.addresses.redis_url,
        "POSTROOM_DATA_DIR": str(folder / "data"),
        "POSTROOM_SECRET_KEYS": base64.b64encode(clock.random_bytes(32)).decode(),
        "POSTROOM_JWT_SECRET": clock.random_bytes(32).hex(),
        "POSTROOM_ALLOWED_PRIVATE_HOSTS": HOST,
        "SSL_CERT_FILE": str(server.ca_path),
    }


def _median(rounds: Sequence[Round], value: Callable[[Round], float]) -> float:
    return statistics.median(value(each) for each in rounds)


def _tell(rounds: Sequence[Round], wholes: Sequence[Whole]) -> None:
    """What a busy machine blurs least: processor time."""
    headers = _median(rounds, lambda each: each.ours["discover_cpu_s"] / each.ours["scanned"] * 1e6)
    floor = _median(rounds, lambda each: each.floor_scan_cpu_s / each.ours["scanned"] * 1e6)
    worker = _median(rounds, lambda each: each.ours["hydrate_cpu_s"] / each.ours["recorded"] * 1e3)
    parser = _median(rounds, lambda each: each.ours["parser_cpu_s"] / each.ours["recorded"] * 1e3)
    database = _median(rounds, lambda each: each.database_cpu_s)
    whole = statistics.median(each.seconds for each in wholes)
    cpu = statistics.median(each.worker.cpu_s + each.parser.cpu_s for each in wholes)
    first = rounds[0].ours
    print(
        f"Medians of {len(rounds)} rounds; {first['scanned']} messages, {first['recorded']} of them with a candidate."
    )
    print("Floor: a bare socket that reads and matches the same headers, and reads the same messages whole.")
    print(f"Processor time: {headers:.1f} µs a header (floor {floor:.1f}); {worker:.2f} ms a message in the worker and")
    print(f"{parser:.2f} in its parser; PostgreSQL {database:.2f} s a round, its 20,000 candidates included.")
    print(f"A whole import by a worker: {whole:.1f} s, {cpu:.1f} s of processor time in the worker and its parser.")
    load = os.getloadavg()[0]
    print(f"The machine's load at the end: {load:.2f}, with {os.cpu_count()} processors.")


def _figure(name: str, ours: float, floor: float, unit: str, budget: str, *, is_kept: bool) -> None:
    ratio = ours / floor if floor else 0.0
    verdict = "ok" if is_kept else "short"
    print(f"{name} ours={ours:.0f} floor={floor:.0f} ratio={ratio:.3f} unit={unit} budget={budget} {verdict}")


def main() -> None:
    rounds, wholes = measure(MESSAGES[os.environ.get("SCALE", "small")])
    _tell(rounds, wholes)
    discover = _median(rounds, lambda each: each.ours["scanned"] / each.ours["discover_s"])
    scan_floor = _median(rounds, lambda each: each.floor_scan_per_s)
    hydrate = _median(rounds, lambda each: each.ours["recorded"] / each.ours["hydrate_s"])
    core = _median(
        rounds, lambda each: each.ours["recorded"] / (each.ours["hydrate_cpu_s"] + each.ours["parser_cpu_s"])
    )
    fetch_floor = _median(rounds, lambda each: each.floor_fetch_per_s)
    memory = max(each.worker.peak_mb + each.parser.peak_mb for each in wholes)
    idle = statistics.median(each.idle_mb for each in wholes)
    is_kept = discover / scan_floor >= SCAN_BUDGET
    _figure("import-discover", discover, scan_floor, "headers/s", f"ratio>={SCAN_BUDGET:.3f}", is_kept=is_kept)
    budget = f"ours>={HYDRATE_BUDGET}"
    _figure("import-hydrate", hydrate, fetch_floor, "messages/s", budget, is_kept=hydrate >= HYDRATE_BUDGET)
    _figure("import-hydrate-core", core, fetch_floor, "messages/core-s", budget, is_kept=core >= HYDRATE_BUDGET)
    _figure("import-memory", memory, idle, "MB", f"ours<{MEMORY_BUDGET_MB}", is_kept=memory < MEMORY_BUDGET_MB)


if __name__ == "__main__":
    main()
