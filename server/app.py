"""What answers at which address: the ASGI application."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from strawberry.schema.base import BaseSchema

from infra.settings import Settings
from server.auth import Authenticator
from server.files import serve_file
from server.graphql import Endpoint
from server.health import health, ready
from server.request_ids import HEADER, RequestIds
from services.deps import Deps
from services.stream import EventStream

log = structlog.get_logger()

LARGEST_BODY_BYTES = 1_000_000

OpenDeps = Callable[[], AbstractAsyncContextManager[Deps]]
FileRoute = Callable[[Deps, Request], Awaitable[Response]]


def create_app(settings: Settings, schema: BaseSchema, open_deps: OpenDeps) -> Starlette:
    """The application; what it needs is opened when the server starts it, and closed when it ends."""
    origins = (_origin(settings.public_url), *settings.postroom_allowed_origins)
    endpoint = Endpoint(schema, Authenticator(settings), origins)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_deps() as deps, _running_stream(deps) as stream:
            app.state.deps = deps
            endpoint.open(deps, stream)
            yield

    return Starlette(
        lifespan=lifespan,
        max_body_size=LARGEST_BODY_BYTES,
        middleware=[
            Middleware(RequestIds),
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type"],
                expose_headers=[HEADER],
                max_age=3600,
            ),
        ],
        routes=[
            Route("/graphql", endpoint),
            WebSocketRoute("/graphql", endpoint),
            Route("/attachments/{token}", _with_deps(serve_file)),
            Route("/sources/{token}", _with_deps(serve_file)),
            Route("/health", health),
            Route("/ready", _with_deps(ready)),
        ],
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _with_deps(route: FileRoute) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await route(request.app.state.deps, request)

    return answer


@asynccontextmanager
async def _running_stream(deps: Deps) -> AsyncIterator[EventStream]:
    """The process's event stream. Should it break, the process ends, and whoever started it starts it anew."""
    stream = EventStream(deps)

    async def run() -> None:
        try:
            await stream.run()
        except Exception as failure:
            log.exception("event_stream_broken", error=type(failure).__name__)
            os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run())
        yield stream
        running.cancel()
