"""`postroom up`: starts clean, stops clean, comes back after a kill, and says what is in its way."""

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from demo.mailserver import MailSandbox
from services.deps import Deps
from tests.support.deps import worker_environment
from tests.support.office import Office
from tests.support.postroom_process import Installation, children, is_alive, stopped, until

pytestmark = pytest.mark.timeout(240)

ADMIN = ("bootstrap", "--organisation", "Acme", "--admin", "boss@acme.example")
ROLES = {"api", "worker", "watch"}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.fresh(tmp_path / "data")


def facts(output: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)


async def viewer(installation: Installation, token: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(
            f"{installation.url}/graphql",
            json={"query": "{ viewer { email } organisation { name } }"},
            headers={"authorization": f"Bearer {token}"},
        )


async def test_it_starts_serves_stops_and_comes_back_with_what_it_had(installation: Installation) -> None:
    async with installation.up() as process:
        status, said = await installation.run(*ADMIN)
        assert status == 0, said
        first = facts(said)
        answer = await viewer(installation, first["token"])
        assert answer.json() == {"data": {"viewer": {"email": "boss@acme.example"}, "organisation": {"name": "Acme"}}}
        family = children(process.pid)
        assert family.keys() == ROLES | {"postgres", "valkey-server"}
        status, said = await stopped(process)
        assert (status, "Postroom is up at" in said, "Postroom has stopped." in said) == (0, True, True)
        assert not [name for name, child in family.items() if is_alive(child)]
    async with installation.up() as process:
        status, said = await installation.run(*ADMIN)
        again = facts(said)
        assert again["organisation"] == first["organisation"]
        assert (await viewer(installation, first["token"])).status_code == 200
        status, _ = await stopped(process, signal.SIGINT)
        assert status == 0


async def test_after_a_kill_nothing_is_left_and_it_starts_again(installation: Installation) -> None:
    async with installation.up() as process:
        family = children(process.pid)
        process.kill()
        await process.wait()
    async with installation.up() as process:
        await until(lambda: not any(is_alive(child) for child in family.values()))
        status, said = await installation.run(*ADMIN)
        assert status == 0, said


async def test_whatever_dies_is_started_again_and_the_others_live_on(installation: Installation) -> None:
    async with installation.up() as process:
        before = children(process.pid)
        for name in ("api", "worker"):
            os.kill(before[name], signal.SIGKILL)
        await until(lambda: children(process.pid).keys() == before.keys())
        after = children(process.pid)
        assert {name for name in before if before[name] != after[name]} == {"api", "worker"}
        await until(installation.is_ready)
        os.kill(after["valkey-server"], signal.SIGKILL)
        await until(
            lambda: children(process.pid).get("valkey-server", after["valkey-server"]) != after["valkey-server"]
        )
        await until(installation.is_ready)
        assert children(process.pid)["postgres"] == after["postgres"]
        os.kill(after["postgres"], signal.SIGKILL)
        await until(lambda: children(process.pid).get("postgres", after["postgres"]) != after["postgres"])
        await until(installation.is_ready)
        status, said = await installation.run(*ADMIN)
        assert status == 0, said


async def test_a_second_one_on_the_same_folder_is_refused_and_the_first_goes_on(
    installation: Installation, tmp_path: Path
) -> None:
    async with installation.up():
        second = Installation.fresh(installation.folder)
        status, said = await second.run("up")
        assert status == 2
        assert "already runs on the data folder" in said
        assert "Traceback" not in said
        assert await installation.is_ready()


async def test_a_taken_port_is_told(installation: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", installation.port))
        other.listen()
        status, said = await installation.run("up")
    assert status == 2
    assert f"Port {installation.port} on 127.0.0.1 is taken" in said
    assert "Traceback" not in said


async def test_a_taken_port_for_metrics_is_told_by_the_settings_that_it_is_from(installation: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, said = await installation.run("up", POSTROOM_METRICS_PORT=str(port))
    assert status == 2
    assert f"Port {port} on 127.0.0.1 is taken by another program. Stop it, or set POSTROOM_METRICS_PORT" in said
    assert "Traceback" not in said


async def test_every_wrong_setting_is_listed(installation: Installation) -> None:
    wrong = {"POSTROOM_PORT": "0", "DATABASE_URL": "mysql://x", "POSTROOM_POLL_INTERVAL_S": "never"}
    for command in ("up", "api", "worker", "watch", "migrate"):
        status, said = await installation.run(command, **wrong)
        assert status == 2
        for name in wrong:
            assert name in said
        assert "Traceback" not in said
    status, said = await installation.run("doctor", **wrong)
    assert (status, said.count("wrong ")) == (1, 3)


async def test_with_named_servers_it_starts_none_of_its_own(installation: Installation, deps: Deps) -> None:
    named = worker_environment(deps) | {"POSTROOM_DATA_DIR": str(installation.folder)}
    async with installation.up(**named) as process:
        assert children(process.pid).keys() == ROLES
        status, _ = await stopped(process)
        assert status == 0


@pytest.mark.parametrize("role", ["api", "worker", "watch"])
async def test_a_role_alone_says_what_it_lacks(installation: Installation, role: str) -> None:
    status, said = await installation.run(role)
    assert status == 2
    assert "postroom up" in said


async def test_short_commands_bring_their_own_servers_where_none_run(installation: Installation) -> None:
    status, said = await installation.run("migrate")
    assert (status, said) == (0, "The database is up to date.\n")
    status, said = await installation.run(*ADMIN)
    made = facts(said)
    assert status == 0, said
    status, said = await installation.run("token", "--service", "--days", "2")
    assert status == 0, said
    assert facts(said)["token"].count(".") == 2
    status, said = await installation.run("token", "--user", "nobody@acme.example")
    assert (status, said) == (2, "There is no such user.\n")
    status, said = await installation.run(
        "token", "--user", "boss@acme.example", "--organisation", made["organisation"]
    )
    assert status == 0, said
    status, said = await installation.run("doctor")
    assert status == 0, said
    assert "All is well." in said


async def test_the_doctor_names_a_server_that_cannot_be_reached(installation: Installation) -> None:
    keys = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    status, said = await installation.run(
        "doctor",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        REDIS_URL="redis://127.0.0.1:1",
        POSTROOM_SECRET_KEYS=keys,
        POSTROOM_JWKS_URL="http://127.0.0.1:1/keys",
        POSTROOM_JWT_ISSUER="x",
        POSTROOM_JWT_AUDIENCE="y",
    )
    assert status == 1
    for subject in ("database", "redis", "tokens"):
        assert f"wrong {subject}: " in said
    assert "ok    blob store" in said
    assert "Traceback" not in said


async def test_the_doctor_tells_of_mailboxes_that_nobody_syncs_or_listens_to_or_that_are_refused(
    installation: Installation, deps: Deps, mail_server: MailSandbox, address: str
) -> None:
    office = await Office.open(deps)
    mailbox = await office.connect(await office.user(address), address, mail_server)
    named = worker_environment(deps) | {"POSTROOM_DATA_DIR": str(installation.folder)}
    status, said = await installation.run("doctor", **named)
    assert status == 0, said
    assert "1 connected, none with a problem" in said
    async with deps.db.transaction() as tx:
        await tx.execute(
            "UPDATE mailbox SET next_run_at = now() - interval '1 hour', connected_at = now() - interval '1 hour', "
            "problem_code = 'TIMED_OUT' WHERE id = $1",
            mailbox,
        )
    status, said = await installation.run("doctor", **named)
    assert status == 1
    assert "1 mailboxes are due and nobody syncs them" in said
    assert "nobody listens to 1 mailboxes" in said
    assert "1 of 1 cannot be read: TIMED_OUT" in said
    assert address not in said


async def test_the_schema_is_printed(installation: Installation) -> None:
    status, said = await installation.run("schema")
    assert status == 0
    assert "type Query {" in said
