"""What breaks under a mailbox: it is told or it passes, it costs no message anything, and it stays that mailbox's own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from demo.mailserver import MailSandbox
from domain.access import Viewer
from services.deps import Deps
from services.sync import run_mailbox
from services.watch import run_watch
from tests.support.office import Office, days_ago, letter

CANDIDATE = "ana@mail.example"
PATIENCE_S = 30


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


@pytest.fixture
async def recruiter(office: Office, address: str) -> Viewer:
    return await office.user(address)


async def test_a_store_of_files_that_is_gone_costs_no_attempt_and_the_mailbox_is_given_back(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, tmp_path: Path
) -> None:
    await office.candidate(CANDIDATE)
    for number in range(3):
        mail_server.deliver(address, letter(CANDIDATE, address, f"Letter {number}"), received_at=days_ago(3))
    mailbox = await office.connect(recruiter, address, mail_server)
    store, elsewhere = tmp_path / "blobs", tmp_path / "elsewhere"
    store.rename(elsewhere)
    store.write_text("Here was a folder.")
    await run_mailbox(office.deps, mailbox)
    rows = await office.rows("SELECT lease_until, problem_code, next_run_at > now() AS is_later FROM mailbox")
    assert rows == [{"lease_until": None, "problem_code": None, "is_later": True}]
    entries = await office.rows("SELECT attempts, failures, quarantine_reason FROM ledger_entry")
    assert entries == [{"attempts": 0, "failures": 0, "quarantine_reason": None}] * 3
    store.unlink()
    elsewhere.rename(store)
    await run_mailbox(office.deps, mailbox)
    assert len(await office.rows("SELECT id FROM message")) == 3


async def test_a_batch_that_the_database_refuses_costs_neither_it_nor_the_one_read_meanwhile_an_attempt(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.hydration.BATCH_MESSAGES", 2)
    await office.candidate(CANDIDATE)
    for number in range(7):
        mail_server.deliver(address, letter(CANDIDATE, address, f"Letter {number}"), received_at=days_ago(3))
    mailbox = await office.connect(recruiter, address, mail_server)
    async with office.deps.db.transaction() as tx:
        await tx.execute("ALTER TABLE message ADD CONSTRAINT refused CHECK (subject = 'nothing')")
    with pytest.raises(asyncpg.CheckViolationError):
        await run_mailbox(office.deps, mailbox)
    entries = await office.rows("SELECT attempts, failures, quarantine_reason FROM ledger_entry")
    assert entries == [{"attempts": 0, "failures": 0, "quarantine_reason": None}] * 7
    async with office.deps.db.transaction() as tx:
        await tx.execute("ALTER TABLE message DROP CONSTRAINT refused")
        await tx.execute("UPDATE mailbox SET lease_until = now()")  # what twenty seconds of waiting would do
    await run_mailbox(office.deps, mailbox)
    assert len(await office.rows("SELECT id FROM message")) == 7
    assert await office.rows("SELECT id FROM ledger_entry") == []


async def test_credentials_that_cannot_be_opened_are_that_mailboxs_problem_and_nobody_elses(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, addresses: Iterator[str]
) -> None:
    other = next(addresses)
    good = await office.connect(recruiter, address, mail_server)
    bad = await office.connect(await office.user(other), other, mail_server)
    async with office.deps.db.transaction() as tx:
        await tx.execute("UPDATE mailbox SET credentials = '\\x01'::bytea || credentials WHERE id = $1", bad)
        await tx.execute("UPDATE mailbox SET requested_at = 'epoch'")
    watching = asyncio.create_task(run_watch(office.deps))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rows = await office.rows("SELECT id FROM mailbox WHERE requested_at > 'epoch'")
            if rows == [{"id": good}]:
                break
            assert not watching.done()
            await asyncio.sleep(0.05)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    await run_mailbox(office.deps, bad)
    row = (
        await office.rows(
            "SELECT problem_hint, needs_reauthorization, next_run_at > now() AS is_later FROM mailbox WHERE id = $1",
            bad,
        )
    )[0]
    assert "have the operator restore the key" in str(row["problem_hint"])
    assert (row["needs_reauthorization"], row["is_later"]) == (False, True)
