"""Nothing foreign leaves the providers: every error of the libraries has a meaning."""

import asyncio
import socket
import ssl
from collections.abc import Iterator

import aioimaplib
import aiosmtplib
import pytest

from domain.errors import AppError, ErrorCode, ProviderError, Retry
from providers.errors import MEANINGS, boundary, translate
from providers.imap import failures


def exceptions_of(*modules: object) -> Iterator[type[Exception]]:
    for module in modules:
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, Exception) and not issubclass(thing, Warning | AppError):
                yield thing


LIBRARIES = sorted(
    {*exceptions_of(aioimaplib, aiosmtplib, failures, ssl), socket.gaierror, OSError, ConnectionError, TimeoutError},
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("kind", LIBRARIES, ids=lambda each: each.__name__)
def test_every_error_of_the_libraries_has_a_meaning(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_code = 10
    with pytest.raises(ProviderError) as caught, boundary():
        raise error
    assert caught.value.__cause__ is error


def test_every_row_of_the_table_can_be_reached() -> None:
    for index, row in enumerate(MEANINGS):
        assert not any(issubclass(row.foreign, earlier.foreign) for earlier in MEANINGS[:index]), row.foreign


def test_only_a_refusal_asks_for_reauthorisation() -> None:
    for row in MEANINGS:
        refused = row.code is ErrorCode.AUTHENTICATION_FAILED
        assert row.retry is (Retry.AFTER_REAUTHORISATION if refused else Retry.LATER)


def test_no_sentence_quotes_the_server() -> None:
    secret = "rita@firm.example"
    error = translate(aiosmtplib.SMTPResponseException(550, secret))
    assert secret not in f"{error} {error.hint}"


async def test_cancellation_and_bugs_pass_through() -> None:
    for foreign in (asyncio.CancelledError, KeyError):
        with pytest.raises(foreign), boundary():
            raise foreign
