"""A worker process: mail that is due is recorded without anybody asking, also after it was killed."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process

import pytest

from demo.mailserver import MailSandbox
from services.deps import Deps
from tests.support.deps import worker_environment
from tests.support.office import Office, days_ago, letter
from tests.support.postroom_process import PATIENCE_S, stopped, until
from workers.settings import PERIODIC, job_functions

pytestmark = pytest.mark.timeout(180)
ANA = "ana@mail.example"


async def start(deps: Deps, role: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        role,
        env={**os.environ, **worker_environment(deps)},
        stdout=PIPE,
        stderr=STDOUT,
    )


def test_every_periodic_job_is_one_that_workers_know(deps: Deps) -> None:
    assert {periodic.name for periodic in PERIODIC} <= job_functions(deps).keys()


async def recorded(office: Office) -> list[str]:
    return sorted(str(row["subject"]) for row in await office.rows("SELECT subject FROM message"))


async def test_a_killed_worker_is_followed_by_one_that_finishes_its_work(
    deps: Deps, mail_server: MailSandbox, address: str
) -> None:
    office = await Office.open(deps)
    rita = await office.user(address)
    await office.candidate(ANA)
    subjects = [f"Letter {n}" for n in range(5)]
    for subject in subjects:
        mail_server.deliver(address, letter(ANA, address, subject), received_at=days_ago(2))
    await office.connect(rita, address, mail_server)
    first = await start(deps, "worker")
    assert first.stdout is not None
    await first.stdout.readline()
    first.kill()
    await first.wait()
    second = await start(deps, "worker")

    async def has_all() -> bool:
        return await recorded(office) == subjects

    await until(has_all, second)
    status, _ = await stopped(second)
    assert status == 0


async def test_the_watch_and_a_worker_record_new_mail_and_stop_when_told(
    deps: Deps, mail_server: MailSandbox, address: str
) -> None:
    office = await Office.open(deps)
    rita = await office.user(address)
    await office.candidate(ANA)
    mailbox = await office.connect(rita, address, mail_server, "NONE")
    worker, watch = await start(deps, "worker"), await start(deps, "watch")

    async def is_watched() -> bool:
        rows = await office.rows("SELECT watch_token, last_synced_at FROM mailbox WHERE id = $1", mailbox)
        return rows[0]["watch_token"] is not None and rows[0]["last_synced_at"] is not None

    async def has_news() -> bool:
        return await recorded(office) == ["News"]

    await until(is_watched, watch)
    mail_server.deliver(address, letter(ANA, address, "News"))
    await until(has_news, worker)
    for process in (watch, worker):
        status, said = await stopped(process)
        assert status == 0, said
    [row] = await office.rows("SELECT watch_token, lease_until FROM mailbox")
    assert (row["watch_token"], row["lease_until"]) == (None, None)


async def test_a_worker_without_a_database_waits_and_says_so(deps: Deps) -> None:
    environment = {**os.environ, **worker_environment(deps), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "worker", env=environment, stdout=PIPE, stderr=STDOUT
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        lines = [await process.stdout.readline() for _ in range(2)]
    assert process.returncode is None
    assert all(b"waiting_for_database" in line for line in lines)
    process.terminate()
    await process.wait()
