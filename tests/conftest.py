"""Real servers for the session; for each test that asks a database, a mailbox and the ports of a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from demo.mailserver import MailSandbox, MailServerUnavailable
from infra.db.migrate import migrate
from infra.embedded import ServerAddresses
from providers.registry import system_tls
from services.deps import Deps
from tests.support.deps import opened_deps
from tests.support.office import PASSWORD
from tests.support.servers import emptied_redis, fresh_database, session_servers

# How long an example takes says something of the machine, and is measured in bench/.
settings.register_profile("postroom", deadline=None)
settings.load_profile("postroom")

ADDRESSES = [f"recruiter{number}@acme.example" for number in range(200)]
_fresh = iter(ADDRESSES)


@pytest.fixture(scope="session")
def servers() -> Iterator[ServerAddresses]:
    with session_servers() as addresses:
        asyncio.run(migrate(addresses.database_url, models="models"))
        yield addresses


@pytest.fixture
async def database_url(servers: ServerAddresses) -> AsyncIterator[str]:
    async with fresh_database(servers) as url:
        yield url


@pytest.fixture
async def redis_url(servers: ServerAddresses) -> str:
    return await emptied_redis(servers)


@pytest.fixture(scope="session")
def mail_server() -> Iterator[MailSandbox]:
    try:
        sandbox = MailSandbox([(address, PASSWORD) for address in ADDRESSES])
    except MailServerUnavailable as reason:
        pytest.skip(str(reason))
    with sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(sandbox.ca_path))
        system_tls.cache_clear()
        yield sandbox
    system_tls.cache_clear()


@pytest.fixture
def addresses(mail_server: MailSandbox) -> Iterator[str]:
    """Mailboxes on the server that no other test has used."""
    return _fresh


@pytest.fixture
def address(addresses: Iterator[str]) -> str:
    return next(addresses)


@pytest.fixture
async def deps(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Deps]:
    async with opened_deps(database_url, redis_url, tmp_path) as opened:
        yield opened
