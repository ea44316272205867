"""The GraphQL endpoint: what is no request is answered as one would hope, and never with a crash."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, InvalidStatus

from domain.events import EventKind, NewEvent
from server import connections
from services.deps import Deps
from services.unit_of_work import unit_of_work
from tests.server.conftest import RITA, Scene
from tests.support.office import Office
from tests.support.site import closed_with, hear, say, served

CONNECTION_INIT = timedelta(seconds=0.2)
QUERY = "{ viewer { email } }"
NEW_TYPE = "application/graphql-response+json"
EVENTS = {"query": "subscription { events { __typename cursor } }"}


@contextmanager
def nothing_crashes(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No line of weight in anybody's log."""
    with capture_logs() as ours:
        yield
    assert [line for line in ours if line["log_level"] in ("error", "critical")] == []
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1",
        b"null",
        b"[1]",
        b"[]",
        b'"text"',
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query":' + b"[" * 100_000,
        b'{"query":1}',
        b'{"query":null}',
        b'{"query":["{viewer{id}}"]}',
        b'{"query":"{viewer{id}}","variables":1}',
        b'{"query":"{viewer{id}}","variables":"{}"}',
        b'{"query":"{viewer{id}}","operationName":{}}',
        b'{"query":"{viewer{id}}","extensions":[]}',
        b'{"query":"{viewer{id}}","operationName":"Nope"}',
        b'{"query":"subscription{events{cursor}}"}',
        b'{"query":"\\ud800"}',
        b'[{"query":"{viewer{id}}"}]',
    ],
)
async def test_bodies_that_are_no_request_are_refused(
    scene: Scene, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    with nothing_crashes(caplog):
        answer = await scene.site.post(body, scene.token)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "query", ["{", "{ nope }", "query { viewer { email(x: 1) } }", "", "   ", "fragment F on User { id }"]
)
async def test_queries_that_are_none_are_errors_with_the_status_of_their_media_type(scene: Scene, query: str) -> None:
    old = await scene.site.post({"query": query}, scene.token)
    new = await scene.site.post({"query": query}, scene.token, accept=f"{NEW_TYPE}, application/json;q=0.5")
    assert new.status_code == 400
    assert old.status_code in (200, 400)
    for answer in (old, new):
        assert answer.json()["errors"]
        assert "data" not in answer.json()


TWO_OPERATIONS = "query A { viewer { id } } query B { viewer { email } }"
UNFIT: list[dict[str, object]] = [
    {"query": TWO_OPERATIONS},
    {"query": TWO_OPERATIONS, "operationName": "C"},
    {"query": "fragment F on User { id }"},
    {"query": "query ($n: Int!) { threads(first: $n) { edges { cursor } } }"},
    {"query": "query ($n: Int!) { threads(first: $n) { edges { cursor } } }", "variables": {"n": "x"}},
    {"query": "query ($n: Int!) { threads(first: $n) { edges { cursor } } }", "variables": {"n": None}},
]


@pytest.mark.parametrize("operation", UNFIT)
async def test_an_operation_that_cannot_be_executed_is_refused_before_it_is(
    scene: Scene, caplog: pytest.LogCaptureFixture, operation: dict[str, object]
) -> None:
    with nothing_crashes(caplog):
        answer = await scene.site.post(operation, scene.token, accept=NEW_TYPE)
        assert (answer.status_code, "data" in answer.json()) == (400, False)
        async with scene.site.session(scene.token) as socket:
            await say(socket, type="subscribe", id="1", payload=operation)
            heard = await hear(socket)
    assert (heard["id"], heard["type"]) == ("1", "error")
    for errors in (answer.json()["errors"], heard["payload"]):
        assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]


async def test_of_several_operations_the_named_one_runs(scene: Scene) -> None:
    answer = await scene.site.post({"query": TWO_OPERATIONS, "operationName": "B"}, scene.token)
    assert answer.json() == {"data": {"viewer": {"email": RITA}}}


async def test_the_answer_is_of_the_media_type_that_was_asked_for(scene: Scene) -> None:
    for accept, expected in (
        (NEW_TYPE, NEW_TYPE),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
    ):
        answer = await scene.site.post({"query": QUERY}, scene.token, accept=accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, expected)
        assert answer.json() == {"data": {"viewer": {"email": RITA}}}


async def test_only_json_is_read(scene: Scene) -> None:
    for content_type in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""):
        answer = await scene.site.post({"query": QUERY}, scene.token, **{"content-type": content_type})
        assert answer.status_code == 415


async def test_a_body_over_a_megabyte_is_refused(scene: Scene) -> None:
    answer = await scene.site.post(b'{"query":"' + b"#" * 1_000_000 + b'"}', scene.token)
    assert answer.status_code == 413


async def test_a_browser_gets_graphiql_and_a_get_runs_nothing(scene: Scene) -> None:
    page = await scene.site.get("/graphql", accept="text/html")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    answer = await scene.site.get("/graphql?query={viewer{id}}", authorization=f"Bearer {scene.token}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json()["errors"][0]["message"] == "Operations are sent by POST."


async def test_where_the_scripts_of_graphiql_cannot_be_had_there_is_a_page_without_any(scene: Scene) -> None:
    page = await scene.site.get("/graphql", accept="text/html")
    assert "https://unpkg.com/graphiql" in page.text
    assert page.text.index('location.replace("?plain")') < page.text.index("https://unpkg.com")
    plain = await scene.site.get("/graphql?plain", accept="text/html")
    assert plain.status_code == 200
    assert "<title>Postroom API</title>" in plain.text
    assert "://" not in plain.text


async def test_pages_of_allowed_origins_alone_may_ask(deps: Deps) -> None:
    office = await Office.open(deps)
    await office.user(RITA)
    update = {"postroom_allowed_origins": ("https://ats.example",), "postroom_public_url": "https://mail.example/room"}
    async with served(deps, deps.settings.model_copy(update=update)) as site:
        token = site.token(office.organisation_id, RITA)
        allowed = await site.post({"query": QUERY}, token, origin="https://ats.example")
        assert allowed.headers["access-control-allow-origin"] == "https://ats.example"
        other = await site.post({"query": QUERY}, token, origin="https://evil.example")
        assert "access-control-allow-origin" not in other.headers
        for origin in ("https://ats.example", "https://mail.example", site.url):
            async with site.socket(origin=origin):
                pass
        with pytest.raises(InvalidStatus):
            async with site.socket(origin="https://evil.example"):
                pass


# ---------------------------------------------------------------- WebSocket


@pytest.mark.parametrize(
    "message",
    [
        "",
        "x",
        "1",
        "null",
        "[]",
        "[" * 100_000,
        '"connection_init"',
        "{}",
        '{"type":1}',
        '{"type":"nope"}',
        '{"type":"connection_init"}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","id":[],"payload":{"query":"{viewer{id}}"}}',
        '{"type":"subscribe","id":"","payload":{"query":"{viewer{id}}"}}',
        '{"type":"subscribe","id":"1","payload":"x"}',
        '{"type":"subscribe","id":"1","payload":{}}',
        '{"type":"subscribe","id":"1","payload":{"query":1}}',
        '{"type":"subscribe","id":"1","payload":{"query":"{viewer{id}}","variables":[]}}',
        '{"type":"subscribe","id":"1","payload":{"query":"{viewer{id}}","operationName":1}}',
        '{"type":"complete","id":{}}',
        b"\x00\x01",
    ],
)
async def test_messages_that_are_none_end_the_socket_with_a_code_of_the_protocol(
    scene: Scene, caplog: pytest.LogCaptureFixture, message: str | bytes
) -> None:
    with nothing_crashes(caplog):
        async with scene.site.session(scene.token) as socket:
            await socket.send(message)
            code = await closed_with(socket)
    assert code in (4400, 4429)


@pytest.mark.parametrize(
    "message",
    [
        "x",
        "[]",
        '{"type":"connection_init","payload":1}',
        '{"type":"subscribe","id":"1","payload":{"query":"{viewer{id}}"}}',
    ],
)
async def test_messages_before_the_token_get_nothing(scene: Scene, message: str) -> None:
    async with scene.site.socket() as socket:
        await socket.send(message)
        assert await closed_with(socket) in (4400, 4401)


async def test_a_frame_over_a_megabyte_ends_the_socket(scene: Scene) -> None:
    async with scene.site.session(scene.token) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.send("x" * 1_100_000)
            await socket.recv()
    assert (await scene.site.post({"query": QUERY}, scene.token)).status_code == 200


async def test_a_socket_that_says_nothing_is_closed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.graphql.CONNECTION_INIT_DEADLINE", CONNECTION_INIT)
    async with served(scene.office.deps) as site, site.socket() as socket:
        assert await closed_with(socket) == 4408


async def test_another_protocol_is_not_spoken(scene: Scene) -> None:
    async with scene.site.socket(protocol="graphql-ws") as socket:
        assert await closed_with(socket) == 4406


async def test_errors_of_an_operation_leave_the_socket_and_other_operations_alone(scene: Scene) -> None:
    async with scene.site.session(scene.token) as socket:
        for query in ("{ nope }", "{" + "a" * 500, ""):
            await say(socket, type="subscribe", id="bad", payload={"query": query})
            answer = await hear(socket)
            assert (answer["id"], answer["type"]) == ("bad", "error")
        await say(socket, type="ping")
        assert await hear(socket) == {"type": "pong"}
        await say(socket, type="subscribe", id="good", payload={"query": QUERY})
        assert (await hear(socket))["payload"] == {"data": {"viewer": {"email": RITA}}}


async def test_events_arrive_as_text_frames_until_they_are_no_longer_wanted(scene: Scene) -> None:
    async with scene.site.session(scene.token) as socket:
        await say(socket, type="subscribe", id="1", payload=EVENTS)
        await say(socket, type="subscribe", id="2", payload={"query": QUERY})
        assert {(await hear(socket))["type"], (await hear(socket))["type"]} == {"next", "complete"}
        await announce(scene)
        heard = await hear(socket)
        assert (heard["id"], heard["payload"]["data"]["events"]["__typename"]) == ("1", "AccessChanged")
        await say(socket, type="complete", id="1")
        await say(socket, type="subscribe", id="1", payload={"query": QUERY})
        assert (await hear(socket))["payload"] == {"data": {"viewer": {"email": RITA}}}


async def test_a_stopping_server_tells_its_sockets_to_come_back(deps: Deps) -> None:
    office = await Office.open(deps)
    await office.user(RITA)
    async with served(deps) as site:
        session = site.session(site.token(office.organisation_id, RITA))
        socket = await session.__aenter__()
        await say(socket, type="subscribe", id="1", payload=EVENTS)
    assert await closed_with(socket) == 1012


async def test_a_client_that_does_not_read_is_cut_off_and_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 0.2)
    async with scene.office.deps.db.transaction() as tx:  # an answer of a megabyte
        await tx.execute("UPDATE organisation SET internal_domains = array_fill(repeat('x', 1000), ARRAY[1000])")
    async with scene.site.session(scene.token) as deaf:
        deaf.transport.pause_reading()
        for number in range(60):
            await say(deaf, type="subscribe", id=str(number), payload={"query": "{ organisation { internalDomains } }"})
        assert (await scene.site.post({"query": QUERY}, scene.token)).status_code == 200
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionClosed):
                while True:  # a connection that was cut shows when something is said on it
                    await say(deaf, type="ping")
                    await asyncio.sleep(0.05)


async def announce(scene: Scene) -> None:
    user_id = scene.rita.user_id
    assert user_id is not None
    async with unit_of_work(scene.office.deps, scene.office.organisation_id) as work:
        work.announce(NewEvent(EventKind.ACCESS_CHANGED, audience=(user_id,)))
    await asyncio.sleep(0)
