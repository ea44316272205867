"""A mail server for the tests of this folder; they are skipped, and say so, where Dovecot is not installed."""

from collections.abc import Iterator

import pytest

from demo.mailserver import MailSandbox, MailServerUnavailable

PASSWORD = 'pa"ss\\wörd {5}'


@pytest.fixture(scope="session")
def sandbox() -> Iterator[MailSandbox]:
    try:
        server = MailSandbox((f"rita{number}@firm.example", PASSWORD) for number in range(200))
    except MailServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        yield server
