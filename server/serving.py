"""How is the ASGI application served: by uvicorn, with uvloop, httptools and bounds of our own?"""

import gc
import socket

import uvicorn
from starlette.applications import Starlette

from server.connections import LiveHTTPProtocol, LiveSocketProtocol
from server.listening import BACKLOG

LARGEST_SOCKET_MESSAGE_BYTES = 1_000_000
STOP_GRACE_S = 5
"""How long requests may go on after SIGTERM; sockets are closed with 1012 at once."""
_GC_THRESHOLDS = (100_000, 50, 100)
"""Thousands of idle sockets are many objects that live long; looking at them often buys nothing."""


def serve(app: Starlette, listener: socket.socket, *, trusted_proxies: str | None) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        trusted_proxies: addresses and networks, separated by commas, whose X-Forwarded-For and -Proto are believed.
    """
    gc.collect()
    gc.freeze()  # what is there now stays: modules and the schema need no looking at again
    gc.set_threshold(*_GC_THRESHOLDS)
    server_for(app, trusted_proxies=trusted_proxies).run(sockets=[listener])


def server_for(app: Starlette, *, trusted_proxies: str | None = None) -> uvicorn.Server:
    """The server, not running yet."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=LiveHTTPProtocol,
        ws=LiveSocketProtocol,
        ws_max_size=LARGEST_SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=STOP_GRACE_S,
    )
    return uvicorn.Server(config)
