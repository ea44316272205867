"""How does a GraphQL request arrive over HTTP, and how does its answer leave?

Source: GraphQL over HTTP, draft of 2025 (https://graphql.github.io/graphql-over-http/draft/), checked 2026-11-21.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import asyncpg
import orjson
import structlog
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.schema.base import BaseSchema
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from domain.errors import NotAuthenticated
from gql.context import Request
from gql.sharing import SharedSelections
from infra.metrics import REQUEST_SECONDS, REQUESTS
from server import explorer
from server.auth import Authenticator, bearer_token
from server.seats import Seats
from server.sockets import SocketAdapter, SocketHandler, SocketRequest
from server.sse import ServerSentEvents
from services.deps import Deps
from services.stream import EventStream

log = structlog.get_logger()

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
CONNECTION_INIT_DEADLINE = timedelta(seconds=10)
MOST_OPERATIONS_PER_SOCKET = 100
METHOD_NOT_ALLOWED = 405
TOO_MANY_REQUESTS = 429
DATABASE_TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""PostgreSQL restarts, or the way to it breaks; both pass."""


class Endpoint(GraphQL[Request, None]):
    """`/graphql`: POST for operations, GET for GraphiQL, a WebSocket or an event stream for subscriptions."""

    websocket_adapter_class = SocketAdapter
    graphql_transport_ws_handler_class = SocketHandler  # type: ignore[assignment]  # its context is a SocketRequest

    def __init__(self, schema: BaseSchema, authenticator: Authenticator, allowed_origins: Sequence[str]) -> None:
        super().__init__(
            schema,
            graphql_ide="graphiql",
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=CONNECTION_INIT_DEADLINE,
            max_subscriptions_per_connection=MOST_OPERATIONS_PER_SOCKET,
            allowed_origins=allowed_origins,
        )
        self._authenticator = authenticator
        self._ports: tuple[Deps, EventStream, SharedSelections] | None = None
        self._seats = Seats()
        self._events: ServerSentEvents | None = None

    def open(self, deps: Deps, stream: EventStream) -> None:
        """Gives what requests need; to be called before the first one."""
        shared = SharedSelections(self.schema, deps, stream)
        self._ports = deps, stream, shared
        self._events = ServerSentEvents(
            self.schema, self._authenticator, self._seats, deps=deps, stream=stream, shared=shared
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive=receive, send=send))
            return
        with REQUEST_SECONDS.time():
            response = await self._answer(HTTPRequest(scope, receive=receive))
        if response is not None:
            REQUESTS.labels(status=response.status_code).inc()
            await response(scope, receive, send)

    async def _answer(self, request: HTTPRequest) -> Response | None:
        """The response to a request, whatever it is; None where nobody waits for it any more."""
        try:
            if self._events is not None and self._events.are_wanted(request):
                return await self._events.answer(request)
            return await self.run(request)
        except ClientDisconnect:
            return None
        except HTTPException as mistake:
            code = "RATE_LIMITED" if mistake.status_code == TOO_MANY_REQUESTS else "BAD_USER_INPUT"
            response = _failure(mistake.status_code, code, mistake.reason)
            if mistake.status_code == METHOD_NOT_ALLOWED:
                response.headers["Allow"] = "GET, POST"
            return response
        except NotAuthenticated as refusal:
            response = _failure(401, "UNAUTHENTICATED", refusal.message)
            response.headers["WWW-Authenticate"] = 'Bearer realm="postroom"'
            return response
        except DATABASE_TROUBLE as failure:
            log.warning("request_without_database", error=type(failure).__name__)
            return _failure(503, "INTERNAL", "The server cannot reach its database; try again in a moment.")

    async def get_context(self, request: HTTPRequest | WebSocket, response: Response | WebSocket) -> Request:  # noqa: ARG002 - Strawberry's signature
        """The context of this request's operation, or of this socket's operations.

        Raises:
            NotAuthenticated: an operation comes without a token that holds.
        """
        if self._ports is None:
            raise RuntimeError("the endpoint is not open")
        deps, stream, shared = self._ports
        if isinstance(request, WebSocket):
            return SocketRequest(
                deps=deps,
                viewer=None,
                stream=stream,
                authenticator=self._authenticator,
                seats=self._seats,
                shared=shared,
            )
        if request.method != "POST":
            return Request(deps=deps, viewer=None, stream=stream)
        identity = await self._authenticator.identity(bearer_token(request.headers.get("authorization")))
        return Request(deps=deps, viewer=await self._authenticator.viewer(deps, identity), stream=stream)

    async def on_ws_connect(self, context: Request) -> UnsetType:
        try:
            await cast("SocketRequest", context).renew_viewer()
        except NotAuthenticated:
            raise ConnectionRejectionError from None
        return cast("UnsetType", UNSET)

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        """The operation in a request's body.

        Raises:
            HTTPException: it is none, whatever else it may be.
        """
        if request.method != "POST":  # addresses of requests are logged on their way, and variables hold people's data
            raise HTTPException(METHOD_NOT_ALLOWED, "Operations are sent by POST.")
        if (request.content_type or "").partition(";")[0].strip().lower() != JSON:
            raise HTTPException(415, "The body of a request is application/json.")
        try:
            body = orjson.loads(await request.get_body())
        except orjson.JSONDecodeError:
            raise HTTPException(400, "The body is no JSON.") from None
        if not isinstance(body, dict):
            raise HTTPException(400, "The body is one object.")
        query = _member(body, "query", str)
        if not query:
            raise HTTPException(400, "The body has no query.")
        return GraphQLRequestData(
            query=query,
            variables=_member(body, "variables", dict),
            operation_name=_member(body, "operationName", str),
            extensions=_member(body, "extensions", dict),
            protocol="http",
        )

    async def execute_single(  # noqa: PLR0917 - Strawberry's signature
        self,
        request: HTTPRequest,  # noqa: ARG002
        request_adapter: AsyncHTTPRequestAdapter,  # noqa: ARG002
        sub_response: Response,  # noqa: ARG002
        context: Request,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Runs a query or a mutation; what has no answer in one response is refused."""
        try:
            return await self.schema.execute(
                request_data.query,
                root_value=root_value,
                variable_values=request_data.variables,
                context_value=context,
                operation_name=request_data.operation_name,
                allowed_operation_types={OperationType.QUERY, OperationType.MUTATION},
                operation_extensions=request_data.extensions,
            )
        except CannotGetOperationTypeError as mistake:
            raise HTTPException(400, mistake.as_http_error_reason()) from None
        except InvalidOperationTypeError:
            raise HTTPException(400, "Subscriptions go over a WebSocket, or an event stream.") from None

    async def process_result(self, request: HTTPRequest, result: ExecutionResult) -> GraphQLHTTPResponse:
        """The answer; without `data` where nothing was executed."""
        answer = await super().process_result(request, result)
        if isinstance(result, PreExecutionError):
            cast("dict[str, Any]", answer).pop("data", None)
        return answer

    async def get_sub_response(self, request: HTTPRequest | WebSocket) -> Response:
        response = await super().get_sub_response(request)
        response.media_type = _answer_type(request.headers.get("accept", ""))
        return response

    async def render_graphql_ide(self, request: HTTPRequest) -> Response:
        page = explorer.plain_explorer if explorer.PLAIN in request.query_params else explorer.graphiql
        return HTMLResponse(page())

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: Response
    ) -> Response:
        """In the older media type every answer is a 200; in the one that has a meaning, a refused request is a 400."""
        is_refused = sub_response.media_type == GRAPHQL_JSON and "data" not in response_data
        return Response(
            orjson.dumps(response_data), status_code=400 if is_refused else 200, media_type=sub_response.media_type
        )

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)


def _member(body: Mapping[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise HTTPException(400, f"`{name}` is of another type.")
    return value


def _answer_type(accept: str) -> str:
    """The media type that a client would rather have; the older one where it does not say."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return GRAPHQL_JSON if GRAPHQL_JSON in wanted else JSON


def _failure(status: int, code: str, message: str) -> Response:
    error = {"message": message, "extensions": {"code": code}}
    return Response(orjson.dumps({"errors": [error]}), status_code=status, media_type=JSON)
