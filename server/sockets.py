"""How does a WebSocket carry GraphQL: who is on it, how long, and what if messages are no messages?

The protocol is graphql-transport-ws, as Strawberry speaks it; here are its holes closed. A socket lives no longer than
its token, each operation runs with the rights of its own moment, and a client that does not read is cut off.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
import structlog
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from domain import clock
from domain.errors import NotAuthenticated
from gql.context import Request
from infra.metrics import SLOW_READERS, SOCKETS_OPEN
from server.auth import Authenticator, Identity, bearer_token

log = structlog.get_logger()

SEND_DEADLINE_S = 20.0
"""How long a client may leave its end of the connection unread."""
LONGEST_REASON_BYTES = 123  # Source: RFC 6455 §5.5, a control frame has 125, the code takes 2; checked 2026-11-21
LONGEST_OPERATION_ID = 128

FORBIDDEN = 4403
INTERNAL_ERROR = 1011
_FORBIDDEN_REASON = "The token is missing, does not hold, or has expired."


@dataclass(slots=True)
class SocketRequest(Request):
    """The context of a socket's operations; Strawberry puts the payload of `connection_init` into it."""

    authenticator: Authenticator
    connection_params: dict[str, object] | None = None
    identity: Identity | None = None

    async def renew_viewer(self) -> None:
        """Reads the rights of the present anew.

        Raises:
            NotAuthenticated: there are none (any more).
        """
        if self.identity is None:
            given = self.connection_params or {}
            named = {name.lower(): value for name, value in given.items()}
            self.identity = await self.authenticator.identity(bearer_token(named.get("authorization")))
        self.viewer = await self.authenticator.viewer(self.deps, self.identity)


class SocketAdapter(ASGIWebSocketAdapter):
    """Text frames only, and no word after the end."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnected
        try:
            await self.ws.send_text(orjson.dumps(message).decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        if self.ws.application_state is WebSocketState.DISCONNECTED:
            return
        short = reason.encode()[:LONGEST_REASON_BYTES].decode(errors="ignore")
        try:
            await super().close(code, short)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error


class SocketHandler(BaseGraphQLTransportWSHandler[SocketRequest, None]):
    """One client's connection."""

    async def handle(self) -> None:
        try:
            with SOCKETS_OPEN.track_inprogress():
                async with asyncio.timeout(None) as life:
                    self._life = life
                    await super().handle()
        except TimeoutError:
            if not self._life.expired():
                raise
            await self._close_quietly(FORBIDDEN, _FORBIDDEN_REASON)
        except Exception as error:
            log.exception("socket_failed", error=type(error).__name__)
            await self._close_quietly(INTERNAL_ERROR, "Internal error")

    async def handle_message(self, message: Message) -> None:
        """Passes on what has the shape of a message."""
        if (problem := _problem(message)) is None:
            await super().handle_message(message)
        else:
            await self.handle_invalid_message(problem)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        await super().handle_connection_init(message)
        if self.connection_acknowledged and self.context.identity is not None:
            remaining_s = (self.context.identity.expires_at - clock.now()).total_seconds()
            self._life.reschedule(asyncio.get_running_loop().time() + remaining_s)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        if self.connection_acknowledged:
            try:
                await self.context.renew_viewer()
            except NotAuthenticated:
                await self.websocket.close(FORBIDDEN, _FORBIDDEN_REASON)
                return
        await super().handle_subscribe(message)

    async def handle_task_exception(self, error: Exception) -> None:
        if not isinstance(error, WebSocketDisconnected):
            log.error("socket_operation_failed", error=type(error).__name__, exc_info=error)

    async def _close_quietly(self, code: int, reason: str) -> None:
        try:
            await self.websocket.close(code, reason)
        except WebSocketDisconnected:
            log.debug("socket_already_closed")


class PatientProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with an end to the patience with clients that do not read."""

    async def send(self, message: Any) -> None:
        try:
            async with asyncio.timeout(SEND_DEADLINE_S):
                await self.writable.wait()
        except TimeoutError:
            # A close would wait behind all that is unread, for ever.
            SLOW_READERS.labels(where="socket").inc()
            self.transport.abort()
            raise ClientDisconnected from None
        await super().send(message)

    def keepalive_timeout(self) -> None:
        self.transport.abort()


def _problem(message: object) -> str | None:
    """What is wrong with the shape of a client's message; None where nothing is."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message is an object with a type"
    if message["type"] in ("subscribe", "complete"):
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not 0 < len(operation_id) <= LONGEST_OPERATION_ID:
            return "An operation has a text as its id"
    if message["type"] == "subscribe" and not _is_operation(message.get("payload")):
        return "The payload of subscribe is an object with a query"
    return None


def _is_operation(payload: object) -> bool:
    if not isinstance(payload, dict):
        return False
    given = cast("dict[str, object]", payload)
    return (
        isinstance(given.get("query"), str)
        and isinstance(given.get("variables"), dict | None)
        and isinstance(given.get("operationName"), str | None)
        and isinstance(given.get("extensions"), dict | None)
    )
