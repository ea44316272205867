"""What does a foreign error mean: one table from the libraries' exceptions to ProviderError, for one boundary."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import NamedTuple

import aioimaplib
import aiosmtplib

from domain.errors import ErrorCode, ProviderError, Retry
from providers.imap import failures


class Meaning(NamedTuple):
    """One row of the table: this error, as seen from the mailbox."""

    foreign: type[Exception]
    code: ErrorCode
    message: str
    retry: Retry = Retry.LATER


_HUNG_UP = "The mail server closed the connection."
_NO_SENSE = "What the server answered is not the language of a mail server."

# First match wins, so the narrower class stands first.
MEANINGS: tuple[Meaning, ...] = (
    Meaning(failures.ServerBusy, ErrorCode.THROTTLED, "The mail server asks for fewer or later requests."),
    Meaning(failures.ConnectionLost, ErrorCode.CONNECTION_REFUSED, _HUNG_UP),
    Meaning(failures.NotIMAP, ErrorCode.NOT_A_MAIL_SERVER, "What answers there is not an IMAP server."),
    Meaning(failures.TLSRefused, ErrorCode.TLS_FAILED, "The server does not offer STARTTLS properly."),
    Meaning(failures.CommandRefused, ErrorCode.CONNECTION_REFUSED, "The mail server could not carry out a request."),
    Meaning(
        failures.CommandNotUnderstood, ErrorCode.UNSUPPORTED_PROTOCOL, "The mail server does not understand a request."
    ),
    Meaning(aioimaplib.CommandTimeout, ErrorCode.TIMED_OUT, "The mail server does not answer."),
    Meaning(aioimaplib.Abort, ErrorCode.CONNECTION_REFUSED, _HUNG_UP),
    Meaning(aioimaplib.AioImapException, ErrorCode.NOT_A_MAIL_SERVER, _NO_SENSE),
    Meaning(aiosmtplib.SMTPTimeoutError, ErrorCode.TIMED_OUT, "The mail server does not answer."),
    Meaning(
        aiosmtplib.SMTPAuthenticationError,
        ErrorCode.AUTHENTICATION_FAILED,
        "The SMTP server refused this user name and password.",
        Retry.AFTER_REAUTHORISATION,
    ),
    Meaning(aiosmtplib.SMTPServerDisconnected, ErrorCode.CONNECTION_REFUSED, _HUNG_UP),
    Meaning(aiosmtplib.SMTPConnectResponseError, ErrorCode.CONNECTION_REFUSED, "The SMTP server turned us away."),
    Meaning(aiosmtplib.SMTPConnectError, ErrorCode.CONNECTION_REFUSED, "The SMTP server cannot be reached."),
    Meaning(aiosmtplib.SMTPNotSupported, ErrorCode.UNSUPPORTED_PROTOCOL, "The SMTP server lacks what is needed."),
    Meaning(aiosmtplib.SMTPResponseException, ErrorCode.NOT_A_MAIL_SERVER, _NO_SENSE),
    Meaning(aiosmtplib.SMTPException, ErrorCode.UNSUPPORTED_PROTOCOL, "The SMTP server lacks what is needed."),
    Meaning(ssl.SSLError, ErrorCode.TLS_FAILED, "No protected connection could be made."),
    Meaning(gaierror, ErrorCode.HOST_NOT_FOUND, "There is no host of this name."),
    Meaning(TimeoutError, ErrorCode.TIMED_OUT, "The mail server does not answer."),
    Meaning(OSError, ErrorCode.CONNECTION_REFUSED, "The connection to the mail server broke."),
)

# Source: OpenSSL, x509_vfy.h, verification codes.
_CERTIFICATE_PROBLEMS = {
    9: "The server's certificate is not valid yet.",
    10: "The server's certificate has expired.",
    18: "The server's certificate is signed by nobody but itself.",
    19: "The server's certificate comes from an authority that is not trusted.",
    20: "The server's certificate comes from an authority that is not trusted.",
    21: "The server's certificate comes from an authority that is not trusted.",
    62: "The server's certificate is for another host name.",
    64: "The server's certificate is for another address.",
}


def translate(error: Exception) -> ProviderError:
    """What the error means; every error the libraries may raise has a row.

    Raises:
        LookupError: the table has no row for it, so it is a bug and not a failure of the mailbox.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        message = _CERTIFICATE_PROBLEMS.get(error.verify_code, "The server's certificate is not valid.")
        return ProviderError(ErrorCode.TLS_FAILED, message)
    if isinstance(error, aiosmtplib.SMTPConnectError) and isinstance(error.__cause__, OSError):
        return translate(error.__cause__)  # aiosmtplib wraps what the handshake raised
    for meaning in MEANINGS:
        if isinstance(error, meaning.foreign):
            return ProviderError(meaning.code, meaning.message, retry=meaning.retry)
    raise LookupError(f"no meaning for {type(error).__name__}")


@contextmanager
def boundary() -> Iterator[None]:
    """Nothing foreign leaves: what the libraries raise within becomes a ProviderError, with its cause kept."""
    try:
        yield
    except tuple(meaning.foreign for meaning in MEANINGS) as error:
        raise translate(error) from error
