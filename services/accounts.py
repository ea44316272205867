"""How a connected mailbox is opened: its row, its sealed credentials, and the provider that serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from domain.errors import ErrorCode, ProviderError
from infra.metrics import LOGIN_WAIT_SECONDS, LOGINS
from infra.settings import Settings
from infra.tracing import span
from infra.vault import VaultError
from providers.base import MailProvider, MailSession, ServerLogin, TransportSecurity
from providers.network import NetworkGuard
from providers.registry import imap_provider
from services.deps import Deps


@dataclass(frozen=True, slots=True)
class Account:
    """Where an IMAP mailbox is read and where its mail leaves from."""

    imap: ServerLogin
    smtp: ServerLogin

    def public(self) -> dict[str, Any]:
        """What its owner may see again: everything but the passwords."""
        return {"imap": _public(self.imap), "smtp": _public(self.smtp)}

    def identity(self) -> str:
        """Which mailbox it is: the same again, by whatever address it is claimed."""
        return f"{self.imap.username.strip().casefold()} at {self.imap.host.strip().rstrip('.').lower()}"

    def secrets(self) -> bytes:
        return orjson.dumps({"imap": self.imap.password, "smtp": self.smtp.password})


def network_guard(settings: Settings) -> NetworkGuard:
    """Which hosts a user may name as a mail server (R7.5)."""
    allowed = settings.postroom_allowed_private_hosts
    return NetworkGuard(allowed.networks, allowed.names)


def account_of(deps: Deps, mailbox: dict[str, Any]) -> Account:
    """The account of a mailbox's row, its passwords unsealed.

    Raises:
        VaultError: the credentials were sealed with a key that is not configured any more.
    """
    passwords = orjson.loads(deps.vault.open(mailbox["credentials"], bound_to=seal_of(mailbox["id"])))
    login = mailbox["login"]
    return Account(*(_login(login[role], passwords[role]) for role in ("imap", "smtp")))


def seal_of(mailbox_id: UUID) -> str:
    """What credentials are bound to: those of one row open nothing in another."""
    return f"mailbox:{mailbox_id.hex}"


def provider_of(deps: Deps, mailbox: dict[str, Any]) -> MailProvider:
    return imap_provider(account_of(deps, mailbox).imap, network_guard(deps.settings))


@asynccontextmanager
async def open_session(deps: Deps, mailbox: dict[str, Any]) -> AsyncIterator[MailSession]:
    """Connects and logs in, when it is this mailbox's turn at its host; closed on exit.

    Raises:
        ProviderError: it does not answer or refuses; its `retry` says whether that passes.
    """
    try:
        provider = provider_of(deps, mailbox)
    except VaultError as error:
        raise _sealed_away() from error
    with LOGIN_WAIT_SECONDS.time():
        await deps.logins.turn(mailbox["login"]["imap"]["host"])
    is_open = False
    with span("imap session", mailbox_id=mailbox["id"].hex):
        try:
            async with provider.open() as session:
                LOGINS.labels(outcome="ok").inc()
                is_open = True
                yield session
        except ProviderError as error:
            if not is_open:
                LOGINS.labels(outcome=error.code).inc()
            raise


def _sealed_away() -> ProviderError:
    """The key is not configured any more. It may come back, or the owner gives the password anew."""
    return ProviderError(
        ErrorCode.AUTHENTICATION_FAILED,
        "The stored password of this mailbox cannot be opened.",
        hint="Connect the mailbox again, or have the operator restore the key it was sealed with.",
    )


def _login(stored: dict[str, Any], password: str) -> ServerLogin:
    return ServerLogin(
        stored["host"], stored["port"], TransportSecurity(stored["security"]), stored["username"], password
    )


def _public(login: ServerLogin) -> dict[str, Any]:
    return {
        "host": login.host,
        "port": login.port,
        "security": login.security.value,
        "username": login.username,
    }
