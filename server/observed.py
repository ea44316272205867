"""How does a process show itself to those who watch over it?

Prometheus asks each process at an address of its own, apart from the API: what the API's proxy lets through is for
clients. Traces are sent.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.metrics import REGISTRY, introduce
from infra.tracing import sent_traces
from services.deps import Deps
from services.observation import Observer

SEES_INSTALLATION = frozenset({"worker"})
"""Roles that also show what is true of all processes together: every installation has one, and few."""


class _BesideServer(uvicorn.Server):
    """A server within a process that has other things to do, and hears signals by itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def observed(
    opening: AbstractAsyncContextManager[Deps], listener: socket.socket | None, *, role: str
) -> AsyncIterator[Deps]:
    """The ports that `opening` opens, in a process that shows itself: by traces, and to Prometheus on `listener`."""
    introduce(role)
    with sent_traces(role):
        async with _answering(listener) as endpoint, opening as deps:
            endpoint.observer = Observer(deps, sees_installation=role in SEES_INSTALLATION)
            try:
                yield deps
            finally:
                endpoint.observer = None


@asynccontextmanager
async def _answering(listener: socket.socket | None) -> AsyncIterator["_Endpoint"]:
    endpoint = _Endpoint()
    if listener is None:
        yield endpoint
        return
    server = _BesideServer(_config(endpoint.app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield endpoint
    finally:
        server.should_exit = True
        await serving


class _Endpoint:
    """`/metrics`; without an observer, while a process waits for its database, it tells what it knows by itself."""

    def __init__(self) -> None:
        self.observer: Observer | None = None
        self.app = Starlette(routes=[Route("/metrics", self._metrics)])

    async def _metrics(self, _request: Request) -> Response:
        if self.observer is not None:
            await self.observer.look()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
