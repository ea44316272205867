"""Live delivery over real connections: WebSockets and event streams, slow readers, ends that say come back."""

import asyncio
import inspect
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import orjson
import pytest

from domain import clock
from domain.events import EventKind, NewEvent
from infra.metrics import SLOW_READERS
from server import connections, seats
from server.connections import LiveHTTPProtocol, LiveSocketProtocol, text_frame
from server.graphql import MOST_OPERATIONS_PER_SOCKET
from services.deps import Deps
from services.unit_of_work import unit_of_work
from tests.server.conftest import RITA, Scene
from tests.support.office import Office
from tests.support.site import Site, closed_with, hear, say, served

SHARED = "subscription ($after: Cursor) { events(after: $after) { __typename cursor } }"
"""Worked out once for all."""
OWN = SHARED.replace("cursor }", "cursor ... on MessageAdded { message { html } } }")
"""Worked out for each."""
PATIENCE_S = 50


async def announce(scene: Scene, count: int = 1) -> None:
    async with unit_of_work(scene.office.deps, scene.office.organisation_id) as work:
        for _ in range(count):
            work.announce(NewEvent(EventKind.ACCESS_CHANGED, audience=(scene.office.organisation_id,)))


async def present(scene: Scene) -> str:
    answer = await scene.site.post({"query": "{ eventCursor }"}, scene.token)
    cursor: str = answer.json()["data"]["eventCursor"]
    return cursor


# ---------------------------------------------------------------- WebSocket


@pytest.mark.parametrize("query", [SHARED, OWN])
async def test_a_socket_resumes_from_its_last_cursor(scene: Scene, query: str) -> None:
    cursor, seen = await present(scene), []
    for _ in range(3):
        await announce(scene, 2)
        async with scene.site.session(scene.token) as session:
            await say(session, type="subscribe", id="1", payload={"query": query, "variables": {"after": cursor}})
            for _ in range(2):
                cursor = (await hear(session))["payload"]["data"]["events"]["cursor"]
                seen.append(cursor)
    assert len(set(seen)) == 6
    assert seen == sorted(seen)


async def test_a_shared_subscription_can_be_ended_and_begun_again_under_the_same_id(scene: Scene) -> None:
    async with scene.site.session(scene.token) as session:
        for _ in range(3):
            await say(session, type="subscribe", id="a", payload={"query": SHARED})
            await say(session, type="subscribe", id="q", payload={"query": "{ eventCursor }"})
            heard = [await hear(session), await hear(session)]
            assert {each["type"] for each in heard} == {"next", "complete"}
            cursor = heard[0]["payload"]["data"]["eventCursor"]
            await say(session, type="complete", id="a")
            await say(session, type="subscribe", id="a", payload={"query": SHARED, "variables": {"after": cursor}})
            await announce(scene)
            assert (await hear(session))["id"] == "a"
            await say(session, type="complete", id="a")


async def test_an_id_that_is_in_use_ends_the_socket_though_its_subscription_takes_no_task(scene: Scene) -> None:
    async with scene.site.session(scene.token) as session:
        await say(session, type="subscribe", id="a", payload={"query": SHARED})
        await announce(scene)
        await say(session, type="subscribe", id="a", payload={"query": SHARED})
        assert await closed_with(session) == 4409


async def test_a_cursor_that_is_none_is_told_as_a_mistake(scene: Scene) -> None:
    async with scene.site.session(scene.token) as session:
        await say(session, type="subscribe", id="a", payload={"query": SHARED, "variables": {"after": "x"}})
        errors = (await hear(session))["payload"]["errors"]
    assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("query", [SHARED, OWN])
async def test_who_leaves_the_organisation_is_shown_out(scene: Scene, query: str) -> None:
    async with scene.site.session(scene.token) as session:
        await say(
            session, type="subscribe", id="a", payload={"query": query, "variables": {"after": await present(scene)}}
        )
        await announce(scene)
        await hear(session)
        async with unit_of_work(scene.office.deps, scene.office.organisation_id) as work:
            await work.tx.execute("UPDATE user_account SET is_active = false")
            work.changes_access = True
        assert await closed_with(session) == 4403


async def test_who_does_not_read_is_cut_off_and_told_to_resume_while_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 0.3)
    monkeypatch.setattr(connections, "PARTING_S", 0.3)
    long = SHARED.replace("cursor }", " ".join(f"a{number}: cursor" for number in range(49)) + " }")
    async with scene.site.session(scene.token) as deaf, scene.site.session(scene.token) as quick:
        deaf.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await say(deaf, type="subscribe", id="a", payload={"query": long})
        await say(
            quick, type="subscribe", id="a", payload={"query": SHARED, "variables": {"after": await present(scene)}}
        )
        deaf.transport.pause_reading()
        heard, before = 0, _slow_readers()
        async with asyncio.timeout(PATIENCE_S):
            while _slow_readers() == before:
                await announce(scene, 200)
                for _ in range(200):
                    await hear(quick)
                heard += 200
        async with asyncio.timeout(PATIENCE_S):
            while deaf.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1:
                await asyncio.sleep(0.05)  # the kernel has it as established
        await announce(scene)
        assert (await hear(quick))["type"] == "next"


def _slow_readers() -> float:
    return float(SLOW_READERS.labels(where="socket")._value.get())


async def test_a_socket_has_so_many_operations_and_no_more(scene: Scene) -> None:
    async with scene.site.session(scene.token) as session:
        for number in range(MOST_OPERATIONS_PER_SOCKET + 1):
            await say(session, type="subscribe", id=str(number), payload={"query": SHARED})
        refused = await hear(session)
        assert (refused["id"], refused["type"]) == (str(MOST_OPERATIONS_PER_SOCKET), "error")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await say(session, type="complete", id="0")
        await say(session, type="subscribe", id="q", payload={"query": "{ viewer { email } }"})
        assert (await hear(session))["payload"] == {"data": {"viewer": {"email": RITA}}}


async def test_one_user_has_so_many_connections_and_no_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats.Seats.__init__, "__defaults__", (2,))
    async with served(scene.office.deps) as site:
        token = site.token(scene.office.organisation_id, RITA)
        async with site.session(token), streaming(site, token, SHARED):
            async with site.session(token) as third:
                assert await closed_with(third) == 4429
            refused = await site.post({"query": SHARED}, token, accept="text/event-stream")
            assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        async with site.session(token) as again:
            await say(again, type="ping")
            assert await hear(again) == {"type": "pong"}


async def test_under_a_server_without_connections_to_give_frames_go_the_way_of_asgi(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.serving.LiveSocketProtocol", "websockets-sansio")
    async with served(scene.office.deps) as site, site.session(scene.token) as session:
        await say(
            session, type="subscribe", id="1", payload={"query": SHARED, "variables": {"after": await present(scene)}}
        )
        await announce(scene, 3)
        heard = [(await hear(session))["payload"]["data"]["events"]["cursor"] for _ in range(3)]
    assert heard == sorted(set(heard))


def test_what_is_relied_on_of_uvicorn_is_there() -> None:
    """Where this fails after an update, server/connections.py is to be looked at."""
    made = LiveSocketProtocol.__mro__[1]
    source = inspect.getsource(made)
    for name in (
        "close_sent",
        "disconnected",
        "transport",
        "conn",
        "queue",
        "writable",
        "close_timer",
        "loop",
        "scope",
    ):
        assert f"self.{name}" in source, name
    for method in ("run_asgi", "pause_writing", "resume_writing", "connection_lost", "keepalive_timeout", "shutdown"):
        assert callable(getattr(made, method)), method
    assert callable(getattr(LiveHTTPProtocol.__mro__[1], "on_message_begin", None))


async def test_frames_go_straight_to_the_transport(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = LiveSocketProtocol.write_text

    def noted(self: LiveSocketProtocol, *pieces: bytes) -> None:
        written.append(b"".join(pieces))
        write(self, *pieces)

    monkeypatch.setattr(LiveSocketProtocol, "write_text", noted)
    async with scene.site.session(scene.token) as session:
        await say(
            session, type="subscribe", id="1", payload={"query": SHARED, "variables": {"after": await present(scene)}}
        )
        await announce(scene)
        assert await hear(session) == orjson.loads(written[0])


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_as_the_protocol_has_it(length: int) -> None:
    frame = text_frame(b"x" * length)
    marked = frame[1]
    size = 0 if marked < 126 else 2 if marked == 126 else 8
    assert frame[0] == 0x81
    assert (int.from_bytes(frame[2 : 2 + size], "big") if size else marked) == length
    assert len(frame) == 2 + size + length


# ---------------------------------------------------------------- event streams


class Events:
    """What comes in on an event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """The name and data of the next event; ("end", None) where the stream ends."""
        name = ""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value.strip()
                elif field == "data" or line == "data:":
                    return name, orjson.loads(value) if value.strip() else None
        return "end", None


@asynccontextmanager
async def streaming(site: Site, token: str, query: str, **variables: Any) -> AsyncIterator[Events]:
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        body = {"query": query, "variables": variables}
        async with client.stream("POST", f"{site.url}/graphql", json=body, headers=headers) as response:
            yield Events(response)


@pytest.mark.parametrize("query", [SHARED, OWN])
async def test_an_event_stream_resumes_from_its_last_cursor(scene: Scene, query: str) -> None:
    cursor, seen = await present(scene), []
    for _ in range(3):
        await announce(scene, 2)
        async with streaming(scene.site, scene.token, query, after=cursor) as events:
            assert events.response.headers["content-type"].startswith("text/event-stream")
            for _ in range(2):
                name, payload = await events.next()
                assert name == "next"
                cursor = payload["data"]["events"]["cursor"]
                seen.append(cursor)
    assert len(set(seen)) == 6
    assert seen == sorted(seen)


async def test_an_event_stream_answers_a_query_and_completes(scene: Scene) -> None:
    async with streaming(scene.site, scene.token, "{ viewer { email } }") as events:
        assert await events.next() == ("next", {"data": {"viewer": {"email": RITA}}})
        assert await events.next() == ("complete", None)
        assert await events.next() == ("end", None)


async def test_mistakes_are_told_on_the_stream_and_complete_it(scene: Scene) -> None:
    for query, variables in (("{ nope }", {}), ("subscription { events", {}), (SHARED, {"after": "x"})):
        async with streaming(scene.site, scene.token, query, **variables) as events:
            name, payload = await events.next()
            assert (name, payload["errors"][0]["extensions"]["code"]) == ("next", "BAD_USER_INPUT")
            assert await events.next() == ("complete", None)


async def test_an_event_stream_needs_a_token_and_ends_with_it(scene: Scene) -> None:
    answer = await scene.site.post({"query": SHARED}, accept="text/event-stream")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="postroom"')
    short = scene.site.token(scene.office.organisation_id, RITA, exp=int(clock.now().timestamp()) + 2)
    async with streaming(scene.site, short, SHARED) as events:
        assert await events.next() == ("end", None)


async def test_what_is_no_request_gets_a_status(scene: Scene) -> None:
    for body, status in (
        (b"x", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"query":1}', 400),
        (b'{"query":"x","variables":[]}', 400),
    ):
        answer = await scene.site.post(body, scene.token, accept="text/event-stream")
        assert answer.status_code == status
    answer = await scene.site.post(
        {"query": SHARED}, scene.token, **{"accept": "text/event-stream", "content-type": "text/plain"}
    )
    assert answer.status_code == 415


async def test_by_get_there_are_subscriptions_and_nothing_else(scene: Scene) -> None:
    headers = {"authorization": f"Bearer {scene.token}", "accept": "text/event-stream"}
    params = {"query": SHARED, "variables": orjson.dumps({"after": await present(scene)}).decode()}
    await announce(scene)
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        async with client.stream("GET", f"{scene.site.url}/graphql", params=params, headers=headers) as response:
            assert (await Events(response).next())[0] == "next"
        refused = await client.get(f"{scene.site.url}/graphql", params={"query": "{ viewer { id } }"}, headers=headers)
    assert refused.status_code == 405


async def test_a_quiet_stream_says_that_it_is_there(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sse.KEEP_ALIVE_S", 0.1)
    async with streaming(scene.site, scene.token, SHARED) as events:
        comments = 0
        async with asyncio.timeout(PATIENCE_S):
            async for line in events._lines:
                comments += line == ":"
                if comments == 3:
                    break
    assert comments == 3


async def test_a_stopping_server_ends_its_streams_at_once_without_completing_them(deps: Deps) -> None:
    office = await Office.open(deps)
    await office.user(RITA)
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        async with served(deps) as site:
            token = site.token(office.organisation_id, RITA)
            request = client.build_request(
                "POST",
                f"{site.url}/graphql",
                json={"query": SHARED},
                headers={"authorization": f"Bearer {token}", "accept": "text/event-stream"},
            )
            response = await client.send(request, stream=True)
        assert await Events(response).next() == ("end", None)


# ---------------------------------------------------------------- other people's clients

CLIENTS = Path(__file__).parents[1] / "clients"


def _node_packages() -> Path | None:
    """Where the official clients are installed; None, where they cannot be."""
    if which("node") is None or which("npm") is None:
        return None
    if (CLIENTS / "node_modules" / ".package-lock.json").exists():
        return CLIENTS
    command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    found = subprocess.run(command, cwd=CLIENTS, timeout=120, check=False)  # noqa: S603 - all of it is written here
    return CLIENTS if found.returncode == 0 else None


@pytest.mark.parametrize("program", ["graphql_ws.mjs", "graphql_sse.mjs"])
async def test_the_official_client_follows_and_comes_back_after_a_restart(scene: Scene, program: str) -> None:
    """It sees each event once, though the server goes away in between."""
    packages = await asyncio.to_thread(_node_packages)
    if packages is None:
        pytest.skip("node and npm are not here, or npm cannot reach a registry: the official clients were NOT tried")
    deps, organisation_id = scene.office.deps, scene.office.organisation_id
    after = await present(scene)
    async with served(deps) as site:
        port, token = site.port, site.token(organisation_id, RITA)
        client = await asyncio.create_subprocess_exec(
            "node", program, str(port), token, after, "6", cwd=packages, stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        seen = []
        async with asyncio.timeout(PATIENCE_S):
            await announce(scene, 3)
            seen += [(await client.stdout.readline()).decode().strip() for _ in range(3)]
    await announce(scene, 2)
    async with served(deps, port=port), asyncio.timeout(2 * PATIENCE_S):
        seen += [(await client.stdout.readline()).decode().strip() for _ in range(2)]
        await announce(scene)
        seen.append((await client.stdout.readline()).decode().strip())
        assert await client.wait() == 0
    assert seen == sorted(set(seen))
    assert len(seen) == 6
