"""What Prometheus reads of a whole Postroom that works: true numbers, and nothing of anybody's mail."""

import re
import socket
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from demo.mailserver import MailSandbox
from services.deps import Deps
from tests.support.deps import JWT_SECRET, worker_environment
from tests.support.metrics import Scrape, scraped
from tests.support.office import Office, days_ago, letter
from tests.support.postroom_process import Installation, stopped, until
from tests.support.site import Site, hear, say, signed, standard_claims

pytestmark = pytest.mark.timeout(180)
ANA = "ana@mail.example"
OPERATION = "Inbox_of_rita_at_acme"
FOLLOW = "subscription Follow { events { __typename cursor } }"


def three_ports() -> int:
    """The first of three in a row that nobody has."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except OSError:
                continue
            return port


async def test_a_postroom_at_work_shows_what_it_does_and_nothing_of_whom(
    deps: Deps, mail_server: MailSandbox, address: str, tmp_path: Path
) -> None:
    office = await Office.open(deps)
    rita = await office.user(address)
    await office.candidate(ANA)
    for number in range(3):
        mail_server.deliver(address, letter(ANA, address, f"Letter {number}"), received_at=days_ago(2))
    mailbox = await office.connect(rita, address, mail_server)

    installation = Installation.fresh(tmp_path / "own")
    port = three_ports()
    named = worker_environment(deps) | {
        "POSTROOM_DATA_DIR": str(installation.folder),
        "POSTROOM_METRICS_PORT": str(port),
        "SSL_CERT_FILE": str(mail_server.ca_path),
    }
    site = Site(deps.settings, "127.0.0.1", installation.port)
    token = signed(JWT_SECRET, standard_claims(office.organisation_id, address))
    async with installation.up(**named) as process:

        async def is_read_and_watched() -> bool:
            rows = await office.rows("SELECT import_finished_at, watch_token FROM mailbox WHERE id = $1", mailbox)
            return None not in rows[0].values()

        await until(is_read_and_watched, process)
        query = f"query {OPERATION} {{ threads {{ edges {{ node {{ id subject }} }} }} }}"
        answer = await site.post({"query": query}, token)
        assert len(answer.json()["data"]["threads"]["edges"]) == 3
        assert re.fullmatch("[0-9a-f]{12}", answer.headers["x-request-id"])
        assert (await site.post({"query": "{ nothing }"}, token)).json()["errors"]
        async with site.session(token) as client:
            await say(client, id="1", type="subscribe", payload={"query": FOLLOW})

            async def is_subscribed() -> bool:
                return (await scraped(port)).value("postroom_subscribers") == 1

            await until(is_subscribed, process)
            mail_server.deliver(address, letter(ANA, address, "News"))
            kinds = set()
            while "MessageAdded" not in kinds:
                kinds.add((await hear(client))["payload"]["data"]["events"]["__typename"])
            api, worker, watch = [await scraped(port + offset) for offset in range(3)]
            assert api.value("postroom_sockets_open") == 1

        async def has_none_left() -> bool:
            return (await scraped(port)).value("postroom_subscribers") == 0

        await until(has_none_left, process)
        status, said = await stopped(process)
        assert status == 0, said

    assert api.value("postroom_operations_total", kind="query", outcome="ok") == 1
    assert api.value("postroom_operations_total", kind="query", outcome="refused") == 1
    assert api.value("postroom_operation_seconds_count", kind="query") == 2
    assert api.value("postroom_operation_statements_bucket", kind="query", le="0.0") == 1, "a refusal asks nothing"
    assert (api.value("postroom_operation_statements_sum", kind="query") or 0) >= 1
    assert (api.value("postroom_graphql_requests_total", status="200") or 0) >= 2
    assert api.value("postroom_events_delivered_total", kind="MessageAdded") == 1
    assert (api.value("postroom_event_lag_seconds_count") or 0) >= 1
    assert 0 < (api.value("postroom_event_lag_seconds_sum") or 0) < 20
    assert api.value("postroom_mailboxes", state="up_to_date") is None, "one role tells of the whole"

    assert worker.value("postroom_messages_recorded_total", origin="IMPORT") == 3
    assert worker.value("postroom_messages_recorded_total", origin="LIVE") == 1
    assert (worker.value("postroom_messages_scanned_total", found_by="history") or 0) >= 3
    assert (worker.value("postroom_sync_seconds_count", outcome="ok") or 0) >= 1
    assert (worker.value("postroom_job_seconds_count", name="sync_mailbox", outcome="ok") or 0) >= 1
    assert worker.value("postroom_events_written_total", kind="MessageAdded") == 4
    assert (worker.value("postroom_logins_total", outcome="ok") or 0) >= 1
    assert worker.value("postroom_mailboxes_behind") == 0
    assert worker.value("postroom_ledger_entries", state="quarantined") == 0
    assert worker.value("postroom_jobs", state="waiting") is not None
    mailboxes = [worker.value("postroom_mailboxes", state=state) for state in ("up_to_date", "importing")]
    assert sorted(number or 0 for number in mailboxes) == [0, 1]

    assert watch.value("postroom_mailboxes_watched") == 1
    assert (watch.value("postroom_mail_notices_total") or 0) >= 1
    for role, scrape in (("api", api), ("worker", worker), ("watch", watch)):
        assert scrape.value("postroom_database_up") == 1
        assert scrape.value("postroom_bus_connected") == 1
        assert (scrape.value("postroom_statement_seconds_count") or 0) > 0
        assert_of_nobody(scrape, role)
    assert OPERATION not in said


async def test_a_role_that_runs_apart_answers_on_exactly_its_port(deps: Deps, tmp_path: Path) -> None:
    installation, port = Installation.fresh(tmp_path / "own"), three_ports()
    named = worker_environment(deps) | {"POSTROOM_METRICS_PORT": str(port)}
    process = await installation.start("worker", **named)

    async def sees_all() -> bool:
        return await shows(port, "postroom_mailboxes_behind", 0)

    await until(sees_all, process)
    scrape = await scraped(port)
    assert scrape.value("postroom_build_info", role="worker", version=version("postroom")) == 1
    status, _ = await stopped(process)
    assert status == 0


async def test_a_process_that_waits_for_its_database_says_so(deps: Deps, tmp_path: Path) -> None:
    installation, port = Installation.fresh(tmp_path / "own"), three_ports()
    nowhere = {"DATABASE_URL": f"postgresql://postgres@/postroom?host={tmp_path}", "POSTROOM_METRICS_PORT": str(port)}
    process = await installation.start("api", **(worker_environment(deps) | nowhere))

    async def is_without_database() -> bool:
        return await shows(port, "postroom_database_up", 0)

    await until(is_without_database, process)
    process.kill()
    await process.communicate()


async def shows(port: int, name: str, value: float) -> bool:
    try:
        return (await scraped(port)).value(name) == value
    except httpx.TransportError:
        return False


def assert_of_nobody(scrape: Scrape, role: str) -> None:
    """Labels are words of ours: no address, no id, no name that a client has made up."""
    labels = set(scrape.labels())
    assert role in labels
    for label in labels:
        assert re.fullmatch(r"[A-Za-z_]{1,40}|[0-9.e+-]{1,8}|\+Inf", label), label
    assert OPERATION not in labels
