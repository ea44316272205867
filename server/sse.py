"""How do events arrive over plain HTTP, where a WebSocket is kept out?

The protocol is GraphQL over Server-Sent Events in its distinct connections mode: a request that accepts
`text/event-stream` is one operation, and its answer lasts as long. A stream that ends without `complete` wants its
client back: its token has expired, the server stops, or too much was left unread.
Source: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, checked 2026-11-22.
"""

import asyncio
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from cross_web import HTTPException
from graphql import OperationType, get_operation_ast
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.schema.base import BaseSchema
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from domain import clock
from domain.access import Viewer
from domain.errors import AppError, BadInput, NotAuthenticated
from gql.context import Request
from gql.operations import known_document
from gql.sharing import SharedSelections
from infra.metrics import SLOW_READERS
from server.auth import Authenticator, bearer_token
from server.connections import MOST_UNREAD_BYTES, server_stopping
from server.seats import NoSeat, Seats
from services.cursors import open_cursor
from services.deps import Deps
from services.stream import DATABASE_TROUBLE, EventStream

log = structlog.get_logger()

EVENT_STREAM = "text/event-stream"
KEEP_ALIVE_S = 15.0
"""After so much silence comes a comment, so that nothing on the way takes the connection for dead."""
_COMMENT = b":\n\n"
_COMPLETE = b"event: complete\ndata: \n\n"
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation as it is asked for."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


class Outbox:
    """What waits to be sent on one stream. An outlet of the event stream."""

    def __init__(self) -> None:
        self.is_closed = False
        self._waiting: deque[bytes] = deque()
        self._unsent = 0
        self._has_news = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def write(self, payload: bytes) -> None:
        if self.is_closed:
            return
        self._waiting.append(b"event: next\ndata: " + payload + b"\n\n")
        self._unsent += len(payload)
        self._is_empty.clear()
        self._has_news.set()
        if self._unsent > MOST_UNREAD_BYTES:
            SLOW_READERS.labels(where="socket").inc()
            self._waiting.clear()
            self.close()

    async def drained(self) -> None:
        await self._is_empty.wait()

    def end(self, reason: AppError) -> None:  # noqa: ARG002 - an outlet's; the client learns it by coming back
        self.close()

    def close(self, last: bytes = b"") -> None:
        """Nothing comes after what waits, and this. Idempotent."""
        if not self.is_closed:
            self.is_closed = True
            self._waiting.append(last)
        self._has_news.set()
        self._is_empty.set()

    async def take(self) -> bytes:
        """All that waits, or a comment where nothing does for long; nothing where nothing comes any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_S):
                await self._has_news.wait()
        taken = b"".join(self._waiting)
        self._waiting.clear()
        self._unsent = 0
        if not self.is_closed:
            self._has_news.clear()
            self._is_empty.set()
            return taken or _COMMENT
        return taken


class StreamRequest(Request):
    """The context of an operation whose answers go into an outbox."""

    __slots__ = ("outbox",)

    def __init__(self, deps: Deps, viewer: Viewer, stream: EventStream, outbox: Outbox) -> None:
        super().__init__(deps=deps, viewer=viewer, stream=stream)
        self.outbox = outbox

    def give_up(self, reason: AppError) -> None:
        self.outbox.end(reason)


class ServerSentEvents:
    """Answers requests that accept an event stream."""

    def __init__(
        self,
        schema: BaseSchema,
        authenticator: Authenticator,
        seats: Seats,
        *,
        deps: Deps,
        stream: EventStream,
        shared: SharedSelections,
    ) -> None:
        self._schema = schema
        self._authenticator = authenticator
        self._seats = seats
        self._deps = deps
        self._shared = shared
        self._stream = stream

    @staticmethod
    def are_wanted(request: HTTPRequest) -> bool:
        accepted = request.headers.get("accept", "").split(",")
        return any(part.partition(";")[0].strip().lower() == EVENT_STREAM for part in accepted)

    async def answer(self, request: HTTPRequest) -> Response:
        """The stream of one operation.

        Raises:
            HTTPException: the request is none, or its user has too many connections.
            NotAuthenticated: it comes without a token that holds.
        """
        identity = await self._authenticator.identity(bearer_token(request.headers.get("authorization")))
        viewer = await self._authenticator.viewer(self._deps, identity)
        asked = await _asked(request)
        if request.method != "POST" and not self._is_subscription(asked):
            raise HTTPException(405, "By GET there are only subscriptions.")
        seat = ExitStack()
        try:
            seat.enter_context(self._seats.taken(identity.organisation_id, identity.external_id))
        except NoSeat as full:
            raise HTTPException(429, full.message) from None
        lasts_s = (identity.expires_at - clock.now()).total_seconds()
        return EventStreamResponse(self, asked, viewer, lasts_s, seat)

    async def produce(self, asked: Asked, viewer: Viewer, outbox: Outbox) -> None:
        """Puts the operation's results into the outbox, and closes it after the last."""
        try:
            if not await self._follow(asked, viewer, outbox):
                await self._execute(asked, viewer, outbox)
        except NotAuthenticated:
            outbox.close()
        except DATABASE_TROUBLE as failure:
            log.warning("stream_without_database", error=type(failure).__name__)
            outbox.close()
        except Exception as failure:
            log.exception("stream_failed", error=type(failure).__name__)
            outbox.close()

    async def _follow(self, asked: Asked, viewer: Viewer, outbox: Outbox) -> bool:
        """Whether the operation is a shared subscription; then it has been followed to its end."""
        found = self._shared.of(asked.query, asked.variables, asked.operation_name)
        if found is None:
            return False
        try:
            after = None if found.after is None else open_cursor(self._deps.vault, viewer, found.after)
        except BadInput:
            return False  # told in the answer, as all mistakes are
        follower = await self._stream.follow(viewer, after, found.selection, outbox)
        try:
            await asyncio.Event().wait()
        finally:
            self._stream.leave(follower)
        return True

    async def _execute(self, asked: Asked, viewer: Viewer, outbox: Outbox) -> None:
        results = await self._schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=StreamRequest(self._deps, viewer, self._stream, outbox),
            operation_name=asked.operation_name,
        )
        try:
            async for result in results:
                if isinstance(result, ExecutionResult):
                    outbox.write(_payload(result))
                    await outbox.drained()
        finally:
            await results.aclose()
        outbox.close(_COMPLETE)

    def _is_subscription(self, asked: Asked) -> bool:
        schema = self._schema._schema  # type: ignore[attr-defined]  # noqa: SLF001 - it has no public name
        document = known_document(schema, asked.query)
        operation = None if document is None else get_operation_ast(document, asked.operation_name)
        return operation is None or operation.operation is OperationType.SUBSCRIPTION


class EventStreamResponse(Response):
    """An answer that goes on."""

    def __init__(self, source: ServerSentEvents, asked: Asked, viewer: Viewer, lasts_s: float, seat: ExitStack) -> None:
        super().__init__(headers=_HEADERS, media_type=EVENT_STREAM)
        del self.headers["content-length"]
        self._source = source
        self._asked = asked
        self._viewer = viewer
        self._lasts_s = lasts_s
        self._seat = seat
        self._outbox = Outbox()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._seat:
            end = asyncio.get_running_loop().call_later(self._lasts_s, self._outbox.close)
            try:
                async with asyncio.TaskGroup() as tasks:
                    others = (
                        tasks.create_task(self._source.produce(self._asked, self._viewer, self._outbox)),
                        tasks.create_task(self._until_gone(receive)),
                        tasks.create_task(self._until_stopped(server_stopping(scope))),
                    )
                    await self._send(send)
                    for task in others:
                        task.cancel()
            finally:
                end.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        taken = _COMMENT  # so that the client knows at once that it is connected
        while taken:
            await send({"type": "http.response.body", "body": taken, "more_body": True})
            taken = await self._outbox.take()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._outbox.close()

    async def _until_stopped(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._outbox.close()


async def _asked(request: HTTPRequest) -> Asked:
    """The operation of a request.

    Raises:
        HTTPException: there is none.
    """
    given: object
    try:
        if request.method == "POST":
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise HTTPException(415, "The body of a request is application/json.")
            given = orjson.loads(await request.body())
        else:
            given = dict(request.query_params)
            given["variables"] = orjson.loads(given.get("variables") or "null")
    except orjson.JSONDecodeError:
        raise HTTPException(400, "What is sent is no JSON.") from None
    if not isinstance(given, dict):
        raise HTTPException(400, "The body is one object.")
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(query, str) or not query:
        raise HTTPException(400, "The request has no query.")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise HTTPException(400, "`variables` is an object, and `operationName` a text.")
    return Asked(query, variables, name)


def _payload(result: ExecutionResult) -> bytes:
    payload: dict[str, Any] = {} if isinstance(result, PreExecutionError) else {"data": result.data}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    return orjson.dumps(payload)
