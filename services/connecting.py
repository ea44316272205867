"""How a person connects their own mailbox: everything is tried first, and nothing is kept until it works."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from domain import clock
from domain.access import AccessLevel, Viewer
from domain.addresses import base, canonical
from domain.errors import ErrorCode, Forbidden, NotAuthenticated, ProviderError, UserMistake, invalid, not_found
from domain.events import EventKind, NewEvent
from domain.ids import new_id, to_global
from providers.base import ServerLogin, Snapshot
from providers.imap.connect import check_imap, check_smtp
from providers.registry import system_tls
from services.accounts import Account, network_guard, seal_of
from services.address_proof import is_proven
from services.deps import Deps
from services.unit_of_work import UnitOfWork, unit_of_work

T = TypeVar("T")

MAX_LATEST = 1_000_000
MAX_PORT = 65_535
LONGEST_SIGNATURE = 20_000
SCOPES = ("NONE", "ALL", "SINCE", "LATEST")


@dataclass(frozen=True, slots=True)
class HistoryChoice:
    """How much of what lies in a mailbox already may be read (R2.7).

    Attributes:
        scope: NONE, ALL, SINCE or LATEST.
        since: for SINCE; aware.
        count: for LATEST.
    """

    scope: str
    since: datetime | None = None
    count: int | None = None


async def connect_imap_mailbox(
    deps: Deps,
    viewer: Viewer,
    *,
    address: str,
    imap: ServerLogin,
    smtp: ServerLogin,
    kind: str = "PERSONAL",
    history: HistoryChoice = HistoryChoice("NONE"),
    signature: str | None = None,
    viewer_ids: tuple[UUID, ...] = (),
) -> UUID:
    """Logs in to both servers, then keeps the mailbox and wakes its first sync; the mailbox's id.

    Connecting again mends a mailbox of the viewer's that cannot be read: it gets the new logins, and nothing else
    of it changes.

    Raises:
        Forbidden: a service token connects nothing; a shared mailbox is an administrator's to connect.
        NotAuthenticated: the viewer has left while it was tried.
        UserMistake: with the code that tells what to mend, and the path to it. Nothing was kept.
    """
    if viewer.user_id is None:
        raise Forbidden("A mailbox is connected by the person it belongs to.")
    is_shared = kind == "SHARED"
    if is_shared and viewer.level is not AccessLevel.ADMIN:
        raise Forbidden("A shared mailbox is connected by an administrator.")
    if not is_shared and viewer_ids:
        raise invalid("Only a shared mailbox has viewers.", "input", "viewerIds")
    _check_history(history)
    if signature is not None and ("\0" in signature or len(signature) > LONGEST_SIGNATURE):
        raise invalid(f"A signature is a text of at most {LONGEST_SIGNATURE} characters.", "input", "signature")
    form = canonical(address)
    if form is None:
        raise invalid("This is not a mail address.", "input", "address")
    account = Account(_checked(imap, "imap"), _checked(smtp, "smtp"))
    snapshot = await _try_both(deps, account)
    if (mended := await _mend(deps, viewer, canonical=form, account=account, is_shared=is_shared)) is not None:
        return mended
    mailbox_id = new_id()
    try:
        async with unit_of_work(deps, viewer.organisation_id) as work:
            await _still_may(work, viewer.user_id, is_shared=is_shared)
            proven = await is_proven(
                work.tx,
                organisation_id=viewer.organisation_id,
                owner_id=viewer.user_id,
                address=form,
                username=account.imap.username,
            )
            row = _row(
                deps, viewer, mailbox_id=mailbox_id, address=address.strip(), account=account, is_shared=is_shared
            )
            row |= {"history_scope": history.scope, "history_oldest": history.since, "history_count": history.count}
            row |= {"signature": signature, "is_proven": proven, "is_primary": await _is_first(work, row["owner_id"])}
            await _insert(work, row, snapshot)
            await _set_viewers(work, mailbox_id, viewer_ids)
            await work.audit(
                "mailbox.connected",
                actor_id=viewer.user_id,
                subject_ids=[to_global("mailbox", mailbox_id)],
                at=row["connected_at"],
            )
            work.changes_access = bool(viewer_ids)
            _announce(work, mailbox_id, row["owner_id"])
            work.enqueue("sync_mailbox", mailbox_id=mailbox_id.hex)
    except asyncpg.UniqueViolationError as error:
        raise _already_connected(error) from error
    return mailbox_id


async def import_history(deps: Deps, viewer: Viewer, *, mailbox_id: UUID, history: HistoryChoice) -> UUID:
    """Reads further back from now on; what is recorded stays. Asking for less than before changes nothing.

    Raises:
        UserMistake: NOT_FOUND for a mailbox that is not the viewer's own; INVALID_INPUT.
    """
    _check_history(history)
    async with unit_of_work(deps, viewer.organisation_id) as work:
        row = await work.tx.fetch_row(
            "SELECT * FROM mailbox WHERE id = $1 AND organisation_id = $2 AND disconnected_at IS NULL "
            "AND (owner_id = $3 OR (kind = 'SHARED' AND $4)) FOR UPDATE",
            mailbox_id,
            viewer.organisation_id,
            viewer.user_id,
            viewer.level is AccessLevel.ADMIN,
        )
        if row is None:
            raise not_found("mailbox", "input", "id")
        if _reaches_further(history, dict(row)):
            await _extend(work, mailbox_id, history)
            _announce(work, mailbox_id, row["owner_id"])
            work.enqueue("sync_mailbox", mailbox_id=mailbox_id.hex)
    return mailbox_id


async def _mend(deps: Deps, viewer: Viewer, *, canonical: str, account: Account, is_shared: bool) -> UUID | None:
    """Gives a mailbox that cannot be read the logins that have just proven right; None where there is none to mend."""
    async with unit_of_work(deps, viewer.organisation_id) as work:
        row = await work.tx.fetch_row(
            "SELECT id, owner_id FROM mailbox WHERE organisation_id = $1 AND canonical = $2 "
            "AND owner_id IS NOT DISTINCT FROM $3 AND disconnected_at IS NULL AND problem_code IS NOT NULL FOR UPDATE",
            viewer.organisation_id,
            canonical,
            None if is_shared else viewer.user_id,
        )
        if row is None:
            return None
        mailbox_id: UUID = row["id"]
        await work.tx.execute(
            "UPDATE mailbox SET login = $2, credentials = $3, account = $4, needs_reauthorization = FALSE, "
            "failures = 0, "
            "problem_code = NULL, problem_message = NULL, problem_hint = NULL, problem_since = NULL, "
            "requested_at = clock_timestamp(), next_run_at = now(), lease_token = lease_token + 1, lease_until = NULL, "
            "watch_token = NULL, watch_until = NULL WHERE id = $1",  # whoever has the old logins is fenced off
            mailbox_id,
            account.public(),
            deps.vault.seal(account.secrets(), bound_to=seal_of(mailbox_id)),
            account.identity(),
        )
        await work.audit(
            "mailbox.reauthorized",
            actor_id=viewer.user_id,
            subject_ids=[to_global("mailbox", mailbox_id)],
            at=clock.now(),
        )
        _announce(work, mailbox_id, row["owner_id"])
        work.enqueue("sync_mailbox", mailbox_id=mailbox_id.hex)
    return mailbox_id


def _reaches_further(history: HistoryChoice, row: dict[str, Any]) -> bool:
    """LATEST always may: how far it reaches is known only to the server."""
    if history.scope == "NONE" or row["history_scope"] == "ALL":
        return False
    if row["history_scope"] == "NONE" or history.scope in ("ALL", "LATEST"):
        return True
    oldest: datetime | None = row["history_oldest"]
    return history.since is not None and (oldest is None or history.since < oldest)


async def _extend(work: UnitOfWork, mailbox_id: UUID, history: HistoryChoice) -> None:
    """Starts the import anew over everything: what is recorded or in the ledger already is passed over.

    Takes the lease from a run that is under way, which knows the former choice and would call the import finished.
    """
    await work.tx.execute(
        "UPDATE mailbox SET history_scope = $2::text, history_count = $4, import_scanned = 0, "
        "history_oldest = CASE $2::text WHEN 'LATEST' THEN history_oldest ELSE $3 END, "
        "import_total = NULL, import_started_at = $5, import_finished_at = NULL, "
        "requested_at = clock_timestamp(), next_run_at = now(), lease_token = lease_token + 1, lease_until = NULL "
        "WHERE id = $1",
        mailbox_id,
        history.scope,
        history.since,
        history.count,
        clock.now(),
    )


def _check_history(history: HistoryChoice) -> None:
    path = ("input", "history")
    if history.scope not in SCOPES:
        raise invalid("The scope is NONE, ALL, SINCE or LATEST.", *path, "scope")
    if (history.scope == "SINCE") != (history.since is not None):
        raise invalid("`since` goes with the scope SINCE, and is needed there.", *path, "since")
    if (history.scope == "LATEST") != (history.count is not None):
        raise invalid("`count` goes with the scope LATEST, and is needed there.", *path, "count")
    if history.count is not None and not 1 <= history.count <= MAX_LATEST:
        raise invalid(f"`count` is between 1 and {MAX_LATEST}.", *path, "count")


def _checked(login: ServerLogin, role: str) -> ServerLogin:
    if not login.host.strip():
        raise invalid("The server has a name.", "input", role, "host")
    if not 0 < login.port <= MAX_PORT:
        raise invalid("A port is between 1 and 65535.", "input", role, "port")
    if "\0" in login.username:
        raise invalid("A user name holds no such characters.", "input", role, "username")
    if not login.username or not login.password:
        raise invalid("User name and password are needed.", "input", role, "password")
    return replace(login, host=login.host.strip())


async def _try_both(deps: Deps, account: Account) -> Snapshot:
    """Logs in to both servers at the same time (R2.5); where both fail, IMAP's trouble is told."""
    guard = network_guard(deps.settings)
    async with asyncio.TaskGroup() as tasks:
        imap = tasks.create_task(_caught(lambda: check_imap(account.imap, guard, tls=system_tls())))
        smtp = tasks.create_task(_caught(lambda: check_smtp(account.smtp, guard, tls=system_tls())))
    for role, outcome in (("imap", imap.result()), ("smtp", smtp.result())):
        if isinstance(outcome, ProviderError):
            raise _as_mistake(outcome, role) from outcome
    snapshot = imap.result()
    if not isinstance(snapshot, Snapshot):
        raise TypeError("the check of an IMAP server gives a snapshot")
    return snapshot


async def _caught(check: Callable[[], Awaitable[T]]) -> T | ProviderError:
    try:
        return await check()
    except ProviderError as error:
        return error


_FIELD_OF_CODE = {
    ErrorCode.AUTHENTICATION_FAILED: "password",
    ErrorCode.APP_PASSWORD_REQUIRED: "password",
    ErrorCode.TLS_FAILED: "security",
    ErrorCode.CONNECTION_REFUSED: "port",
    ErrorCode.TIMED_OUT: "port",
}


def _as_mistake(error: ProviderError, role: str) -> UserMistake:
    field = _FIELD_OF_CODE.get(error.code, "host")
    return UserMistake(error.code, error.message, path=("input", role, field), hint=error.hint)


async def _still_may(work: UnitOfWork, user_id: UUID, *, is_shared: bool) -> None:
    """Logging in takes a while, in which its person may have left; from here on they wait for this to end.

    Raises:
        NotAuthenticated: they have.
        Forbidden: they are no administrator any more.
    """
    level = await work.tx.fetch_value(
        "SELECT access_level FROM user_account WHERE id = $1 AND is_active FOR SHARE", user_id
    )
    if level is None:
        raise NotAuthenticated("This user is no longer active.")
    if is_shared and level != AccessLevel.ADMIN:
        raise Forbidden("A shared mailbox is connected by an administrator.")


async def _is_first(work: UnitOfWork, owner_id: UUID | None) -> bool:
    """A person's first mailbox is the one that their mail leaves from."""
    if owner_id is None:
        return False
    primary = await work.tx.fetch_value(
        "SELECT id FROM mailbox WHERE owner_id = $1 AND is_primary AND disconnected_at IS NULL", owner_id
    )
    return primary is None


def _row(
    deps: Deps, viewer: Viewer, *, mailbox_id: UUID, address: str, account: Account, is_shared: bool
) -> dict[str, Any]:
    now = clock.now()
    form = canonical(address) or address
    return {
        "id": mailbox_id,
        "organisation_id": viewer.organisation_id,
        "owner_id": None if is_shared else viewer.user_id,
        "provider": "IMAP",
        "kind": "SHARED" if is_shared else "PERSONAL",
        "address": address,
        "canonical": form,
        "base": base(form),
        "account": account.identity(),
        "login": account.public(),
        "credentials": deps.vault.seal(account.secrets(), bound_to=seal_of(mailbox_id)),
        "consented_by": viewer.user_id,
        "consented_at": now,
        "connected_at": now,
        "requested_at": now,
        "next_run_at": now,
    }


async def _insert(work: UnitOfWork, row: dict[str, Any], snapshot: Snapshot) -> None:
    """The mailbox, and where each folder stood at the moment of consent."""
    columns = ", ".join(row)
    marks = ", ".join(f"${position}" for position in range(1, len(row) + 1))
    await work.tx.execute(f"INSERT INTO mailbox ({columns}) VALUES ({marks})", *row.values())
    await work.tx.insert_many(
        "folder_state",
        ("mailbox_id", "folder", "live_cursor", "history_cursor", "scanned"),
        [(row["id"], folder, dict(cursor), dict(cursor), 0) for folder, cursor in snapshot.cursors.items()],
    )


async def _set_viewers(work: UnitOfWork, mailbox_id: UUID, viewer_ids: tuple[UUID, ...]) -> None:
    known = await work.tx.fetch(
        "SELECT id FROM user_account WHERE organisation_id = $1 AND is_active AND id = ANY($2)",
        work.organisation_id,
        list(viewer_ids),
    )
    if len(known) != len(set(viewer_ids)):
        raise not_found("user", "input", "viewerIds")
    await work.tx.insert_many("mailbox_viewer", ("mailbox_id", "user_id"), [(mailbox_id, row["id"]) for row in known])


def _announce(work: UnitOfWork, mailbox_id: UUID, owner_id: UUID | None) -> None:
    audience = (owner_id or mailbox_id,)
    work.announce(NewEvent(EventKind.MAILBOX_CHANGED, mailbox_id=mailbox_id, audience=audience))


def _already_connected(error: Exception) -> Exception:
    """Told only after the credentials have proven right (R2.6), and the same wherever it is connected."""
    if getattr(error, "constraint_name", None) not in {"mailbox_connected_once", "mailbox_address_once"}:
        return error
    return UserMistake(
        ErrorCode.ALREADY_CONNECTED,
        "This mailbox is connected already.",
        path=("input", "address"),
        hint="Disconnect it where it is connected before connecting it here.",
    )
