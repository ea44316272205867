"""Do these logins work, and if not, what exactly is wrong: tried before a mailbox is kept."""

import asyncio
import ssl
from enum import Enum

from domain.errors import ErrorCode, ProviderError, Retry
from providers.base import ServerLogin, Snapshot, TransportSecurity
from providers.imap.connection import Deadlines
from providers.imap.provider import IMAPProvider
from providers.imap.smtp import try_smtp_login
from providers.network import NetworkGuard, ascii_host

USUAL = Deadlines()
_PROBE = b"QUIT\r\n\r\n"
"""Makes servers that wait to be spoken to show themselves: HTTP complains, TLS sends an alert."""

_WORTH_A_PROBE = {
    ErrorCode.TIMED_OUT,
    ErrorCode.NOT_A_MAIL_SERVER,
    ErrorCode.TLS_FAILED,
    ErrorCode.CONNECTION_REFUSED,
    ErrorCode.UNSUPPORTED_PROTOCOL,
}


class Speech(Enum):
    """What answers on a port, by its first bytes."""

    IMAP = "An IMAP server"
    SMTP = "An SMTP server"
    POP3 = "A POP3 server"
    HTTP = "A web server"
    SSH = "An SSH server"
    FTP = "An FTP server"
    TLS = "TLS"
    UNKNOWN = "Something else"


async def check_imap(
    login: ServerLogin, guard: NetworkGuard, *, tls: ssl.SSLContext, deadlines: Deadlines = USUAL
) -> Snapshot:
    """Logs in and looks at the folders; returns where they stand.

    Raises:
        ProviderError: the code tells the failures apart, the hint says what to try.
    """
    try:
        async with IMAPProvider(login, guard, tls=tls, deadlines=deadlines).open() as session:
            return await session.snapshot()
    except ProviderError as error:
        raise await _explained(error, login, guard, tls=tls, wanted=Speech.IMAP, deadlines=deadlines) from error


async def check_smtp(
    login: ServerLogin, guard: NetworkGuard, *, tls: ssl.SSLContext, deadlines: Deadlines = USUAL
) -> None:
    """Logs in at the submission server; sends nothing.

    Raises:
        ProviderError: as `check_imap`.
    """
    try:
        await try_smtp_login(login, guard, tls, deadlines)
    except ProviderError as error:
        raise await _explained(error, login, guard, tls=tls, wanted=Speech.SMTP, deadlines=deadlines) from error


async def _explained(
    error: ProviderError,
    login: ServerLogin,
    guard: NetworkGuard,
    *,
    tls: ssl.SSLContext,
    wanted: Speech,
    deadlines: Deadlines,
) -> ProviderError:
    """The error, said more precisely where a second look at the port can tell."""
    if error.code not in _WORTH_A_PROBE or error.retry is Retry.AFTER_REAUTHORISATION:
        return error
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return error
    found = await _what_answers(login, guard, None, deadlines.probe_s)
    if found in {None, Speech.TLS, Speech.UNKNOWN}:
        # Some servers hang up on plain text without an alert; whether they do TLS shows only by doing it.
        behind_tls = await _what_answers(login, guard, tls, deadlines.probe_s)
        if login.security is TransportSecurity.TLS:
            found = behind_tls
        elif behind_tls is not None:
            found = Speech.TLS
    if found is None or found is Speech.UNKNOWN:
        return error
    return _verdict(error, found, login.security, wanted)


def _verdict(error: ProviderError, found: Speech, security: TransportSecurity, wanted: Speech) -> ProviderError:
    protocol = wanted.name
    if found is Speech.TLS and security is not TransportSecurity.TLS:
        return ProviderError(
            ErrorCode.TLS_FAILED, "The server expects TLS from the first byte on this port.", hint="Choose TLS."
        )
    if found is wanted and security is TransportSecurity.TLS and error.code is ErrorCode.TLS_FAILED:
        return ProviderError(
            ErrorCode.TLS_FAILED,
            f"The {protocol} server does not speak TLS from the first byte on this port.",
            hint="Choose STARTTLS, or the port for TLS.",
        )
    if found in {wanted, Speech.TLS}:
        return error
    return ProviderError(
        ErrorCode.NOT_A_MAIL_SERVER,
        f"{found.value} answers on this host and port, not an {protocol} server.",
        hint=f"Check host and port of the {protocol} server.",
    )


async def _what_answers(
    login: ServerLogin, guard: NetworkGuard, tls: ssl.SSLContext | None, timeout_s: float
) -> Speech | None:
    """Who speaks on the port, plainly or behind TLS; None where nobody does in a short time."""
    host = ascii_host(login.host)
    try:
        sock = await guard.connect(host, login.port, timeout_s=timeout_s)
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=host if tls else None)
            try:
                writer.write(_PROBE)
                return _recognise(await reader.read(512))
            finally:
                writer.transport.abort()
    except ssl.SSLCertVerificationError:
        return Speech.TLS
    except (ProviderError, OSError):  # TimeoutError and ssl.SSLError are OSError
        return None


def _recognise(first: bytes) -> Speech | None:
    if not first:
        return None
    start = first.lstrip()[:16].upper()
    if first[:2] == b"\x15\x03":  # a TLS alert (RFC 8446 §6)
        return Speech.TLS
    if start.startswith((b"HTTP/", b"<!DOCTYPE", b"<HTML")):
        return Speech.HTTP
    for prefix, speech in (
        (b"SSH-", Speech.SSH),
        (b"* OK", Speech.IMAP),
        (b"* BYE", Speech.IMAP),
        (b"+OK", Speech.POP3),
    ):
        if start.startswith(prefix):
            return speech
    if start[:4] in {b"220 ", b"220-", b"554 ", b"421 "}:
        return Speech.FTP if b"FTP" in first[:100].upper() and b"SMTP" not in first[:100].upper() else Speech.SMTP
    return Speech.UNKNOWN
