"""At which address does this server listen, and is it free?"""

import errno
import os
import socket
import time
from typing import Any

from domain import clock
from domain.errors import AppError
from infra.settings import Settings

BACKLOG = 2048
PATIENCE_S = 2.0
"""How long the port of a Postroom that was killed may take to become free."""
METRICS_ROLES = ("api", "worker", "watch")
"""In this order they take the ports from POSTROOM_METRICS_PORT on, where one `postroom up` runs all of them."""
_POLL_S = 0.1


class AddressTaken(AppError):
    """Another program listens there, or the address is not this machine's."""


def listen(host: str, port: int, *, settings_prefix: str = "POSTROOM_") -> socket.socket:
    """A listening socket; closing it gives the port back.

    Args:
        settings_prefix: what the settings are called that the address is from, before HOST and PORT.

    Raises:
        AddressTaken: the message says what to do.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise AddressTaken(
            f"The host name {host} is not known. Set {settings_prefix}HOST to an address of this machine."
        ) from None
    deadline = clock.monotonic() + PATIENCE_S
    while True:
        try:
            return _listener(family, kind, protocol, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or clock.monotonic() > deadline:
                raise AddressTaken(_reason(host, port, error, settings_prefix)) from error
        time.sleep(_POLL_S)


def listen_for_metrics(settings: Settings, *, role: str | None = None) -> socket.socket | None:
    """A socket to answer Prometheus on; None where the settings want none.

    Args:
        role: of a process that shares its machine with the other roles; None for one that has the port to itself.

    Raises:
        AddressTaken: the message says what to do.
    """
    port = settings.postroom_metrics_port
    if port is None:
        return None
    offset = 0 if role is None else METRICS_ROLES.index(role)
    return listen(settings.postroom_metrics_host, port + offset, settings_prefix="POSTROOM_METRICS_")


def _listener(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: tuple[Any, ...]
) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 - its only form
    return listener


def _reason(host: str, port: int, error: OSError, prefix: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Stop it, or set {prefix}PORT to another port."
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {port}. Set {prefix}PORT to one above 1023."
    return f"Postroom cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}. Set {prefix}HOST."
