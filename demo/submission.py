"""How does mail leave in the demonstration and in the tests: a submission server that wants a login."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

_STOP_TIMEOUT_S = 10
logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns there of its own deprecations, at each login


@dataclass(frozen=True, slots=True)
class SentMail:
    """A message that left for somewhere else: the envelope as submitted, and the bytes."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes


class Accounts:
    """Who may submit: a live view of the mail server's users and passwords."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = passwords

    def __contains__(self, address: str) -> bool:
        return address in self._passwords

    def authenticate(self, _server: object, _session: object, _envelope: object, _mechanism: str, login: Any) -> Any:
        """The check aiosmtpd asks for."""
        if not isinstance(login, LoginPassword):
            return AuthResult(success=False, handled=False)
        password = self._passwords.get(login.login.decode(errors="replace"))
        return AuthResult(success=password is not None and password.encode() == login.password, handled=False)


class SubmissionServer:
    """aiosmtpd on two ports, STARTTLS and TLS, in a thread of its own."""

    def __init__(self, host: str, certificate: Path, accounts: Accounts, deliver: Callable[[str, bytes], None]) -> None:
        self._host = host
        self._accounts = accounts
        self._deliver = deliver
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._servers: list[asyncio.Server] = []
        self.sent_outside: list[SentMail] = []
        self.port = self.tls_port = 0

    def start(self) -> None:
        """Begins to listen; `port` and `tls_port` are known then."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="submission", daemon=True)
        thread.start()
        self._running = loop, thread
        self.port, self.tls_port = asyncio.run_coroutine_threadsafe(self._listen(), loop).result()

    def stop(self) -> None:
        """Closes ports and connections; safe to call twice."""
        if self._running is None:
            return
        (loop, thread), self._running = self._running, None
        asyncio.run_coroutine_threadsafe(self._close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_TIMEOUT_S)
        loop.close()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Local recipients get it in their inbox; for the others it is kept to be looked at."""
        local = [address for address in envelope.rcpt_tos if address in self._accounts]
        for address in local:
            self._deliver(address, envelope.content)
        others = tuple(address for address in envelope.rcpt_tos if address not in self._accounts)
        if others:
            self.sent_outside.append(SentMail(envelope.mail_from, others, envelope.content))
        return "250 2.0.0 Accepted"

    async def _listen(self) -> tuple[int, int]:
        for factory, tls in ((self._starttls_session, None), (self._tls_session, self._tls)):
            server = await asyncio.get_running_loop().create_server(factory, self._host, 0, ssl=tls)
            self._servers.append(server)
        first, second = (int(server.sockets[0].getsockname()[1]) for server in self._servers)
        return first, second

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    def _starttls_session(self) -> SMTP:
        return SMTP(
            self,
            hostname="sandbox",
            loop=asyncio.get_running_loop(),
            tls_context=self._tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self._accounts.authenticate,
        )

    def _tls_session(self) -> SMTP:
        session = SMTP(
            self,
            hostname="sandbox",
            loop=asyncio.get_running_loop(),
            auth_required=True,
            authenticator=self._accounts.authenticate,
        )
        # The whole connection is TLS already; aiosmtpd only knows of TLS that STARTTLS brought.
        session._auth_require_tls = False  # noqa: SLF001 - its constructor argument warns, though no harm is near
        return session
