"""At which address does this server listen, and is it free?"""

import errno
import os
import socket
import time
from typing import Any

from domain import clock
from domain.errors import AppError

BACKLOG = 2048
PATIENCE_S = 2.0
"""How long the port of a Postroom that was killed may take to become free."""
_POLL_S = 0.1


class AddressTaken(AppError):
    """Another program listens there, or the address is not this machine's."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; closing it gives the port back.

    Raises:
        AddressTaken: the message says what to do.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise AddressTaken(
            f"The host name {host} is not known. Set POSTROOM_HOST to an address of this machine."
        ) from None
    deadline = clock.monotonic() + PATIENCE_S
    while True:
        try:
            return _listener(family, kind, protocol, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or clock.monotonic() > deadline:
                raise AddressTaken(_reason(host, port, error)) from error
        time.sleep(_POLL_S)


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


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Stop it, or set POSTROOM_PORT to another port."
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {port}. Set POSTROOM_PORT to one above 1023."
    return f"Postroom cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}. Set POSTROOM_HOST."
