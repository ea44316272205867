"""A real server for a test: the application under uvicorn on a free port, in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import OctKey
from websockets.asyncio.client import ClientConnection, connect

from domain import clock
from domain.ids import to_global
from gql.schema.root import schema
from infra.settings import Settings
from server.app import create_app
from server.listening import listen
from server.serving import server_for
from services.deps import Deps

TRANSPORT_WS = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the server answers."""

    settings: Settings
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def token(self, organisation_id: UUID, external_id: str | None, **claims: object) -> str:
        """A token signed with the server's secret; `claims` replace what it would say, None leaves one out."""
        secret = self.settings.postroom_jwt_secret
        assert secret is not None
        return signed(secret.get_secret_value(), standard_claims(organisation_id, external_id) | claims)

    async def post(self, body: Any, token: str | None = None, **headers: str) -> httpx.Response:
        """Posts a body (bytes as they are, anything else as JSON) to /graphql."""
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            return await client.post(
                f"{self.url}/graphql", content=content, headers={"content-type": "application/json", **headers}
            )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            return await client.get(f"{self.url}{path}", headers=headers)

    @asynccontextmanager
    async def socket(
        self, *, origin: str | None = None, protocol: str = TRANSPORT_WS
    ) -> AsyncIterator[ClientConnection]:
        """An open WebSocket, without `connection_init`."""
        url = f"ws://{self.host}:{self.port}/graphql"
        async with connect(url, subprotocols=[protocol], origin=origin, proxy=None) as opened:  # type: ignore[list-item,arg-type]
            yield opened

    @asynccontextmanager
    async def session(self, token: str) -> AsyncIterator[ClientConnection]:
        """An open WebSocket whose token was accepted."""
        async with self.socket() as opened:
            await say(opened, type="connection_init", payload={"authorization": f"Bearer {token}"})
            assert await hear(opened) == {"type": "connection_ack"}
            yield opened


@asynccontextmanager
async def served(deps: Deps, settings: Settings | None = None, *, port: int = 0) -> AsyncIterator[Site]:
    """The application, served until the context is left; on a free port unless told."""
    settings = settings or deps.settings
    app = create_app(settings, schema, lambda: nullcontext(deps))
    server = server_for(app)
    with listen("127.0.0.1", port) as listener:
        host, port = listener.getsockname()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        try:
            yield Site(settings, host, port)
        finally:
            server.should_exit = True
            await serving


def standard_claims(organisation_id: UUID, external_id: str | None) -> dict[str, object]:
    subject: dict[str, object] = {"scope": "service"} if external_id is None else {"sub": external_id}
    expires_at = clock.now() + timedelta(hours=1)
    return {"org": to_global("organisation", organisation_id), "exp": int(expires_at.timestamp()), **subject}


def signed(secret: str, claims: Mapping[str, object]) -> str:
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "HS256"}, given, OctKey.import_key(secret), algorithms=["HS256"])


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def hear(socket: ClientConnection) -> Any:
    async with asyncio.timeout(20):
        message = await socket.recv()
    assert isinstance(message, str), "frames are text"
    return orjson.loads(message)


async def closed_with(socket: ClientConnection) -> int | None:
    """The code that the server closes with, whatever it says before."""
    async with asyncio.timeout(30):
        await socket.wait_closed()
    return socket.close_code
