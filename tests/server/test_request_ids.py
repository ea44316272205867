"""A request has an id, which its answer names, its errors refer to and all its log lines carry; slow ones are logged."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from infra.logs import configure_logging
from services.deps import Deps
from tests.server.conftest import RITA, Scene
from tests.support.deps import opened_deps
from tests.support.office import Office
from tests.support.site import hear, say, served

NAMED = "query Candidates_of_today($q: String) { candidates(search: $q) { edges { node { id } } } }"
SECRET = "severance"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def written(log: io.StringIO, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line["event"] == event]


async def test_each_answer_names_an_id_of_its_own_and_not_what_the_client_says(scene: Scene) -> None:
    first = await scene.site.post({"query": "{ viewer { id } }"}, scene.token, **{"x-request-id": "mine"})
    second = await scene.site.post({"query": "{ viewer { id } }"}, scene.token)
    ids = {answer.headers["x-request-id"] for answer in (first, second)}
    assert len(ids) == 2
    assert "mine" not in ids


async def test_what_a_masked_error_refers_to_is_the_id_of_its_request(scene: Scene, log: io.StringIO) -> None:
    async with scene.office.deps.db.transaction() as tx:
        await tx.execute("ALTER TABLE thread RENAME TO thread_elsewhere")
    answer = await scene.site.post({"query": "{ threads { edges { node { id } } } }"}, scene.token)
    [error] = answer.json()["errors"]
    assert error["extensions"]["reference"] == answer.headers["x-request-id"]
    [line] = written(log, "operation_failed")
    assert line["reference"] == line["request_id"] == answer.headers["x-request-id"]


async def test_a_slow_operation_is_logged_by_name_and_without_what_was_asked(
    database_url: str, redis_url: str, tmp_path: Path, log: io.StringIO
) -> None:
    async with (
        opened_deps(database_url, redis_url, tmp_path, postroom_slow_operation_s=0) as deps,
        served(deps) as site,
    ):
        office = await Office.open(deps)
        await office.user(RITA)
        token = site.token(office.organisation_id, RITA)
        answer = await site.post({"query": NAMED, "variables": {"q": SECRET}}, token)
        assert "errors" not in answer.json()
        async with site.session(token) as socket:
            await say(socket, id="1", type="subscribe", payload={"query": "query Twice { viewer { id } }"})
            assert (await hear(socket))["type"] == "next"
            assert (await hear(socket))["type"] == "complete"
    first, second = written(log, "slow_operation")
    assert (first["operation"], first["kind"], first["request_id"]) == (
        "Candidates_of_today",
        "query",
        answer.headers["x-request-id"],
    )
    assert isinstance(first["statement_count"], int)
    assert first["statement_count"] > 0
    assert {"duration_ms", "statements_ms"} <= first.keys()
    assert second["operation"] == "Twice"
    assert second["request_id"] not in (None, first["request_id"]), "on a socket, each operation has one"
    assert SECRET not in log.getvalue()


async def test_an_operation_within_its_time_is_not_logged(deps: Deps, scene: Scene, log: io.StringIO) -> None:
    assert deps.settings.postroom_slow_operation_s == 1
    await scene.site.post({"query": "query Quick { __typename }"}, scene.token)
    assert "Quick" not in log.getvalue()
