"""How does a client speak to Postroom's API: operations over HTTP, the event stream over a WebSocket?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
DEADLINE_S = 60.0
CLOSE_DEADLINE_S = 1.0

JSONObject = dict[str, Any]


class ApiProblem(RuntimeError):
    """The API refused, or is gone; the message says in its own words why."""


class Api:
    """One bearer's view of the API. Use as an async context manager."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._authorization = f"Bearer {token}"
        # Proxies of the environment are for the world outside.
        self._http = httpx.AsyncClient(
            headers={"Authorization": self._authorization}, timeout=DEADLINE_S, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def header(self) -> str:
        """What a browser's GraphiQL wants among its headers, as JSON."""
        return orjson.dumps({"Authorization": self._authorization}).decode()

    async def execute(self, operation: str, variables: Mapping[str, Any] | None = None) -> JSONObject:
        """The `data` of a query or mutation.

        Raises:
            ApiProblem: there are errors, or there is no server.
        """
        try:
            response = await self._http.post(self._url, json={"query": operation, "variables": variables or {}})
            answer: JSONObject = orjson.loads(response.content)
        except (httpx.HTTPError, orjson.JSONDecodeError) as failure:
            raise ApiProblem(f"The API does not answer ({type(failure).__name__}).") from failure
        if answer.get("errors"):
            raise ApiProblem(_sentences(answer["errors"]))
        data: JSONObject = answer["data"]
        return data

    async def change(self, mutation: str, **values: Any) -> JSONObject:
        """The payload of a mutation of one field that takes an `input`.

        Raises:
            ApiProblem: as `execute`, or a person's mistake is among the payload's errors.
        """
        (payload,) = (await self.execute(mutation, {"input": values})).values()
        if payload["errors"]:
            raise ApiProblem(_sentences(payload["errors"]))
        changed: JSONObject = payload
        return changed

    @contextlib.asynccontextmanager
    async def subscribe(
        self, subscription: str, variables: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncIterator[JSONObject]]:
        """The `data` of each answer to a subscription; ends when the block ends. The iterator raises ApiProblem."""
        address = self._url.replace("http", "ws", 1)
        try:
            async with asyncio.timeout(DEADLINE_S):
                socket = await connect(
                    address, subprotocols=[PROTOCOL], proxy=None, compression=None, close_timeout=CLOSE_DEADLINE_S
                )
        except OSError as failure:
            raise ApiProblem(f"The API does not answer ({type(failure).__name__}).") from failure
        async with socket:
            await _send(socket, type="connection_init", payload={"authorization": self._authorization})
            payload = {"query": subscription, "variables": variables or {}}
            yield _answers(socket, payload)


async def _answers(socket: ClientConnection, payload: JSONObject) -> AsyncIterator[JSONObject]:
    try:
        async for frame in socket:
            message: JSONObject = orjson.loads(frame)
            match message["type"]:
                case "connection_ack":
                    await _send(socket, type="subscribe", id="1", payload=payload)
                case "ping":
                    await _send(socket, type="pong")
                case "next" if not message["payload"].get("errors"):
                    yield message["payload"]["data"]
                case "next":
                    raise ApiProblem(_sentences(message["payload"]["errors"]))
                case "error":
                    raise ApiProblem(_sentences(message["payload"]))
                case "complete":
                    return
    except ConnectionClosed as closed:
        raise ApiProblem(f"The API closed the WebSocket ({closed.rcvd.code if closed.rcvd else 'lost'}).") from closed


async def _send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


def _sentences(errors: list[JSONObject]) -> str:
    return " ".join(str(error["message"]) for error in errors)
