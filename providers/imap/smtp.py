"""Can this login send mail: connects to the submission server, proves who we are, and leaves."""

import asyncio
import ssl
from contextlib import suppress

import aiosmtplib

from domain.errors import ErrorCode, ProviderError, Retry
from providers.base import ServerLogin, TransportSecurity
from providers.errors import boundary
from providers.imap.connection import Deadlines
from providers.imap.failures import ServerBusy, TLSRefused
from providers.imap.replies import judge_login
from providers.network import NetworkGuard, ascii_host

_TEMPORARY = range(400, 500)


async def try_smtp_login(login: ServerLogin, guard: NetworkGuard, tls: ssl.SSLContext, deadlines: Deadlines) -> None:
    """Returns where the login holds; sends nothing.

    Raises:
        ProviderError: the code says what failed.
    """
    host = ascii_host(login.host)
    in_the_clear = login.security is TransportSecurity.PLAIN
    sock = await guard.connect(host, login.port, in_the_clear=in_the_clear, timeout_s=deadlines.connect_s)
    client = aiosmtplib.SMTP(
        hostname=host,
        sock=sock,
        use_tls=login.security is TransportSecurity.TLS,
        start_tls=False,
        tls_context=tls,
        timeout=deadlines.greeting_s,
        local_hostname=_own_name(sock.getsockname()[0]),
    )
    try:
        with boundary():
            async with asyncio.timeout(deadlines.login_s):
                await _connect(client)
                if login.security is TransportSecurity.STARTTLS:
                    await _start_tls(client)
                await _log_in(client, login, host)
    except BaseException:
        # The transport owns the socket by now and closes it: closed here, its number would go to the next connection
        # while the transport still uses it.
        if isinstance(client.transport, asyncio.WriteTransport):
            client.transport.abort()
        client.close()
        raise
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(deadlines.logout_s):
            await client.quit()
    client.close()


def _own_name(address: str) -> str:
    """What we call ourselves in EHLO: an address literal, for most machines have no true name (RFC 5321 §4.1.3)."""
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _connect(client: aiosmtplib.SMTP) -> None:
    try:
        await client.connect()
    except aiosmtplib.SMTPConnectResponseError as error:
        if error.code in _TEMPORARY:
            raise ServerBusy("not now") from error
        raise


async def _start_tls(client: aiosmtplib.SMTP) -> None:
    await client.ehlo()
    if not client.supports_extension("starttls"):
        raise TLSRefused("not offered")
    await client.starttls()


async def _log_in(client: aiosmtplib.SMTP, login: ServerLogin, host: str) -> None:
    await client.ehlo()
    if not client.supports_extension("auth"):
        raise ProviderError(
            ErrorCode.UNSUPPORTED_PROTOCOL,
            "The SMTP server offers no login on this port.",
            hint="Mail is submitted on port 465 with TLS or on port 587 with STARTTLS.",
            retry=Retry.AFTER_REAUTHORISATION,
        )
    try:
        await client.login(login.username, login.password)
    except aiosmtplib.SMTPAuthenticationError as error:
        if error.code in _TEMPORARY:
            raise ServerBusy("not now") from error
        text = f"{error.code} {error.message}".encode("utf-8", "replace")
        refusal = judge_login(text, protocol="SMTP", host=host)
        raise ProviderError(refusal.code, refusal.message, hint=refusal.hint, retry=refusal.retry) from error
