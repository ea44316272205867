"""Which provider serves a mailbox: from its kind and login to sessions."""

import functools
import ssl

from providers.base import MailProvider, ServerLogin
from providers.imap.provider import MAX_MESSAGE_BYTES, IMAPProvider
from providers.network import NetworkGuard


@functools.cache
def system_tls() -> ssl.SSLContext:
    """The one client context for all connections: the system's authorities, host names checked."""
    return ssl.create_default_context()


def imap_provider(
    login: ServerLogin,
    guard: NetworkGuard,
    *,
    tls: ssl.SSLContext | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> MailProvider:
    """The provider of an IMAP mailbox.

    Args:
        login: of the IMAP server.
        guard: decides which hosts may be connected to.
        tls: which authorities to trust; None for the system's.
        max_message_bytes: larger messages are reported as too large instead of being taken.
    """
    return IMAPProvider(login, guard, tls=tls or system_tls(), max_message_bytes=max_message_bytes)
