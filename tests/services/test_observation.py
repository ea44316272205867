"""What is shown of the whole installation: its backlog by kind, and nothing where it cannot be seen."""

from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

from prometheus_client import generate_latest

from demo.mailserver import MailSandbox
from domain import clock
from infra.metrics import REGISTRY
from services.deps import Deps
from services.observation import Observer
from tests.support.deps import opened_deps
from tests.support.metrics import Scrape
from tests.support.office import Office


async def looked(deps: Deps) -> Scrape:
    await Observer(deps, sees_installation=True).look()
    return Scrape(generate_latest(REGISTRY).decode())


async def change(office: Office, sql: str, *values: object) -> None:
    async with office.deps.db.transaction() as tx:
        await tx.execute(sql, *values)


async def connected(office: Office, address: str, server: MailSandbox) -> UUID:
    return await office.connect(await office.user(address), address, server, "NONE")


async def test_mailboxes_are_counted_by_state_and_problem(
    deps: Deps, mail_server: MailSandbox, addresses: list[str]
) -> None:
    office = await Office.open(deps)
    sound, troubled, refused, off, gone = [
        await connected(office, address, mail_server) for address, _ in zip(addresses, range(5), strict=False)
    ]
    await change(office, "UPDATE mailbox SET next_run_at = now() + interval '1 hour' WHERE id = $1", sound)
    await change(
        office,
        "UPDATE mailbox SET problem_code = 'TIMED_OUT', next_run_at = now() - interval '5 minutes', "
        "connected_at = now() - interval '1 hour' WHERE id = $1",
        troubled,
    )
    await change(
        office,
        "UPDATE mailbox SET problem_code = 'AUTHENTICATION_FAILED', needs_reauthorization = true, next_run_at = NULL, "
        "connected_at = now() - interval '1 hour' WHERE id = $1",
        refused,
    )
    await change(office, "UPDATE mailbox SET sync_enabled = false, next_run_at = NULL WHERE id = $1", off)
    await change(
        office,
        "UPDATE mailbox SET disconnected_at = now(), problem_code = 'TIMED_OUT', next_run_at = NULL WHERE id = $1",
        gone,
    )

    seen = await looked(deps)

    states = ("up_to_date", "importing", "troubled", "waiting_for_owner", "switched_off", "disconnected")
    assert [seen.value("postroom_mailboxes", state=state) for state in states] == [1, 0, 1, 1, 1, 1]
    assert seen.value("postroom_mailbox_problems", code="TIMED_OUT") == 1, "one that is disconnected has none any more"
    assert seen.value("postroom_mailbox_problems", code="AUTHENTICATION_FAILED") == 1
    assert seen.value("postroom_mailboxes_behind") == 1
    assert seen.value("postroom_mailboxes_unwatched") == 1, "nobody is to listen to those that wait for their owner"
    assert 300 <= (seen.value("postroom_mailbox_oldest_due_seconds") or 0) < 400


async def test_a_mailbox_that_somebody_works_on_is_not_behind(
    deps: Deps, mail_server: MailSandbox, address: str
) -> None:
    office = await Office.open(deps)
    mailbox = await connected(office, address, mail_server)
    late = "UPDATE mailbox SET next_run_at = now() - interval '5 minutes', lease_until = $2 WHERE id = $1"
    await change(office, late, mailbox, clock.now().replace(year=2999))
    seen = await looked(deps)
    assert seen.value("postroom_mailboxes_behind") == 0
    assert seen.value("postroom_mailbox_oldest_due_seconds") == 0


async def test_messages_that_wait_are_counted_by_what_they_wait_for(
    deps: Deps, mail_server: MailSandbox, address: str
) -> None:
    office = await Office.open(deps)
    mailbox = await connected(office, address, mail_server)
    for number, (due_in_s, reason) in enumerate([(-90, None), (-10, None), (600, None), (-90, "It is broken.")]):
        await change(
            office,
            "INSERT INTO ledger_entry (mailbox_id, folder, remote_id, received_at, size_bytes, origin, next_attempt_at, "
            "quarantine_reason) VALUES ($1, 'INBOX', $2, now(), 1, 'IMPORT', now() + make_interval(secs => $3), $4)",
            mailbox,
            str(number),
            due_in_s,
            reason,
        )
    seen = await looked(deps)
    states = ("due", "postponed", "quarantined")
    assert [seen.value("postroom_ledger_entries", state=state) for state in states] == [2, 1, 1]
    assert 90 <= (seen.value("postroom_ledger_oldest_due_seconds") or 0) < 120


async def test_jobs_are_counted_by_whether_they_are_due(deps: Deps) -> None:
    await deps.jobs.enqueue("sync_mailbox", mailbox_id="a")
    await deps.jobs.enqueue("sync_mailbox", mailbox_id="b")
    await deps.jobs.enqueue("sync_mailbox", mailbox_id="c", delay_s=600)
    seen = await looked(deps)
    assert [seen.value("postroom_jobs", state=state) for state in ("waiting", "running", "delayed")] == [2, 0, 1]
    assert 0 <= (seen.value("postroom_jobs_oldest_waiting_seconds") or 0) < 60


async def test_what_cannot_be_seen_is_gone_and_counted(deps: Deps, database_url: str, tmp_path: Path) -> None:
    seen = await looked(deps)
    assert seen.value("postroom_jobs", state="waiting") == 0
    failures = seen.value("postroom_observation_failures_total", source="queue") or 0
    async with opened_deps(database_url, f"unix://{tmp_path}/nobody", tmp_path) as cut_off:
        seen = await looked(cut_off)
        assert seen.value("postroom_bus_connected") == 0
        assert seen.value("postroom_jobs", state="waiting") is None
        assert seen.value("postroom_observation_failures_total", source="queue") == failures + 1
        assert seen.value("postroom_mailboxes", state="up_to_date") == 0


async def test_a_process_that_gets_no_connection_does_not_reach_the_database(deps: Deps) -> None:
    async with AsyncExitStack() as taken:
        for _ in range(deps.db.pool_use().limit):
            await taken.enter_async_context(deps.db.snapshot())
        seen = await looked(deps)
    assert seen.value("postroom_database_up") == 0
    assert seen.value("postroom_pool_connections", state="used") == seen.value(
        "postroom_pool_connections", state="limit"
    )
    assert seen.value("postroom_mailboxes", state="up_to_date") is None
    assert (await looked(deps)).value("postroom_database_up") == 1


async def test_however_often_it_is_asked_it_looks_once_in_a_while(deps: Deps) -> None:
    observer = Observer(deps, sees_installation=True)
    await observer.look()
    await deps.jobs.enqueue("sync_mailbox", mailbox_id="a")
    await observer.look()
    assert Scrape(generate_latest(REGISTRY).decode()).value("postroom_jobs", state="waiting") == 0
