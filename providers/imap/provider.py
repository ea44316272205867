"""How is a session on an IMAP mailbox opened and closed."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.base import MailSession, ServerLogin
from providers.imap.connection import Connection, Deadlines, connect
from providers.imap.session import IdlingIMAPSession, IMAPSession
from providers.network import NetworkGuard

MAX_MESSAGE_BYTES = 64 * 2**20


class IMAPProvider:
    """`providers.base.MailProvider` for one login. Sessions are independent of each other."""

    def __init__(
        self,
        login: ServerLogin,
        guard: NetworkGuard,
        *,
        tls: ssl.SSLContext,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._login = login
        self._guard = guard
        self._tls = tls
        self._max_message_bytes = max_message_bytes
        self._deadlines = deadlines or Deadlines()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MailSession]:
        """A session; where the server offers IDLE it is an IdleSession too."""
        connection = await connect(self._login, self._guard, self._tls, self._deadlines)
        try:
            yield self._session(connection)
        finally:
            await connection.close()

    def _session(self, connection: Connection) -> IMAPSession:
        kind = IdlingIMAPSession if connection.offers("IDLE") else IMAPSession
        return kind(connection, max_message_bytes=self._max_message_bytes)
