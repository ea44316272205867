"""How does a WebSocket carry GraphQL: who is on it, how long, and what if messages are no messages?

The protocol is graphql-transport-ws, as Strawberry speaks it; here are its holes closed. A socket lives no longer than
its token, and each operation runs with the rights of its own moment. What a subscription shares with others is written
by the event stream straight to the connection (server.connections), and takes no task of its own.
"""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import orjson
import structlog
from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)

from domain import clock
from domain.errors import AppError, BadInput, NotAuthenticated
from gql.context import Request
from gql.sharing import SharedSelections
from infra.metrics import OPERATIONS, SOCKETS_OPEN
from server.auth import Authenticator, Identity, bearer_token
from server.connections import TRY_AGAIN_LATER, QueuedSocket, SocketConnection, socket_connection
from server.seats import NoSeat, Seats
from services.cursors import open_cursor
from services.sharing import Follower
from services.stream import DATABASE_TROUBLE

log = structlog.get_logger()

LONGEST_REASON_BYTES = 123  # Source: RFC 6455 §5.5, a control frame has 125, the code takes 2; checked 2026-11-21
LONGEST_OPERATION_ID = 128

FORBIDDEN = 4403
TOO_MANY = 4429
INTERNAL_ERROR = 1011
_FORBIDDEN_REASON = "The token is missing, does not hold, or has expired."


@dataclass(slots=True)
class SocketRequest(Request):
    """The context of a socket's operations; Strawberry puts the payload of `connection_init` into it."""

    authenticator: Authenticator
    seats: Seats
    shared: SharedSelections
    connection: SocketConnection | None = None
    connection_params: dict[str, object] | None = None
    identity: Identity | None = None

    def give_up(self, reason: AppError) -> None:
        if self.connection is not None:
            cut_off(self.connection, reason)

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


class SharedFrames:
    """Where a shared subscription's payloads go: into messages of its operation."""

    __slots__ = ("_connection", "_head")

    def __init__(self, connection: SocketConnection, operation_id: str) -> None:
        self._connection = connection
        self._head = b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'

    def write(self, payload: bytes) -> None:
        self._connection.write_text(self._head, payload, b"}")

    async def drained(self) -> None:
        await self._connection.drained()

    def end(self, reason: AppError) -> None:
        cut_off(self._connection, reason)


class SocketHandler(BaseGraphQLTransportWSHandler[SocketRequest, None]):
    """One client's connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._followers: dict[str, Follower] = {}
        self._seat = ExitStack()

    async def handle(self) -> None:
        adapter = cast("SocketAdapter", self.websocket)
        queued: QueuedSocket | None = None
        self.context.connection = socket_connection(adapter.ws.scope)
        if self.context.connection is None:
            self.context.connection = queued = QueuedSocket(adapter.ws.send_text, adapter.close)
        try:
            with SOCKETS_OPEN.track_inprogress(), self._seat:
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
        finally:
            if queued is not None:
                await queued.aclose()

    async def handle_message(self, message: Message) -> None:
        """Passes on what has the shape of a message."""
        if (problem := _problem(message)) is None:
            await super().handle_message(message)
        else:
            await self.handle_invalid_message(problem)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        await super().handle_connection_init(message)
        identity = self.context.identity
        if self.connection_acknowledged and identity is not None:
            remaining_s = (identity.expires_at - clock.now()).total_seconds()
            self._life.reschedule(asyncio.get_running_loop().time() + remaining_s)
            try:
                self._seat.enter_context(self.context.seats.taken(identity.organisation_id, identity.external_id))
            except NoSeat as full:
                await self.websocket.close(TOO_MANY, full.message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        if self.connection_acknowledged:
            try:
                await self.context.renew_viewer()
            except NotAuthenticated:
                await self.websocket.close(FORBIDDEN, _FORBIDDEN_REASON)
                return
            most = self.max_subscriptions_per_connection
            if most is not None and len(self.operations) >= most and message["id"] not in self.operations:
                full = GraphQLError(f"At most {most} operations at a time.", extensions={"code": "RATE_LIMITED"})
                await self.send_message({"id": message["id"], "type": "error", "payload": [full.formatted]})
                return
        await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[SocketRequest, None]) -> None:
        """Runs an operation; of a subscription that is shared only what comes before the live stream."""
        try:
            is_followed = await self._follows(operation)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client hears of it
            await self.handle_task_exception(error)
            await self._close_quietly(INTERNAL_ERROR, "Internal error")
        else:
            if not is_followed:
                await super().run_operation(operation)

    async def cleanup_operation(self, operation_id: str) -> None:
        follower = self._followers.pop(operation_id, None)
        if follower is not None:
            OPERATIONS.labels(kind="subscription", outcome="ok").inc()
            self.context.stream.leave(follower)
        await super().cleanup_operation(operation_id)

    async def _follows(self, operation: Operation[SocketRequest, None]) -> bool:
        """Whether the operation is a shared subscription; then it is followed, or the socket ends."""
        context = self.context
        found = context.shared.of(operation.query, operation.variables, operation.operation_name)
        if found is None or context.viewer is None or context.connection is None:
            return False
        try:
            after = None if found.after is None else open_cursor(context.deps.vault, context.viewer, found.after)
        except BadInput:
            return False  # told in the answer, as all mistakes are
        frames = SharedFrames(context.connection, operation.id)
        try:
            follower = await context.stream.follow(context.viewer, after, found.selection, frames)
        except NotAuthenticated as reason:
            cut_off(context.connection, reason)
        except DATABASE_TROUBLE as failure:
            log.warning("subscription_without_database", error=type(failure).__name__)
            context.connection.cut_off(TRY_AGAIN_LATER, "The database cannot be reached; try again in a moment.")
        else:
            self._followers[operation.id] = follower
        return True

    async def handle_task_exception(self, error: Exception) -> None:
        if not isinstance(error, WebSocketDisconnected):
            log.error("socket_operation_failed", error=type(error).__name__, exc_info=error)

    async def _close_quietly(self, code: int, reason: str) -> None:
        try:
            await self.websocket.close(code, reason)
        except WebSocketDisconnected:
            log.debug("socket_already_closed")


def cut_off(connection: SocketConnection, reason: AppError) -> None:
    """Ends a socket whose subscription cannot go on: its client comes back, with its last cursor or a new token."""
    code = FORBIDDEN if isinstance(reason, NotAuthenticated) else TRY_AGAIN_LATER
    connection.cut_off(code, reason.message)


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
