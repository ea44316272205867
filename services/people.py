"""Who works in the organisation: how a user comes, changes, and leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import clock
from domain.access import AccessLevel, Viewer
from domain.errors import UserMistake, invalid
from domain.events import EventKind, NewEvent
from domain.ids import new_id, to_global
from services.administration import (
    WrittenAddress,
    administering,
    checked_address,
    checked_addresses,
    checked_external_id,
    checked_text,
)
from services.deps import Deps
from services.guards import announce_guarded
from services.unit_of_work import UnitOfWork

_BY_EXTERNAL_ID = """
SELECT id, name, email, access_level, is_active FROM user_account WHERE organisation_id = $1 AND external_id = $2
"""
_INSERT = """
INSERT INTO user_account
       (id, organisation_id, external_id, name, email, access_level, is_active, reads_since, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
"""
_UPDATE = """
UPDATE user_account SET name = $2, email = $3, access_level = $4, is_active = $5,
       reads_since = CASE WHEN $6 THEN $7 ELSE reads_since END
 WHERE id = $1
"""
_STOP_MAILBOXES = """
UPDATE mailbox SET disconnected_at = $2, next_run_at = NULL, is_primary = FALSE, credentials = '',
       lease_token = lease_token + 1, lease_until = NULL
 WHERE owner_id = $1 AND kind = 'PERSONAL' AND disconnected_at IS NULL
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What to write of a user, checked; None leaves it as it is."""

    external_id: str
    name: str | None
    main: WrittenAddress | None
    others: Mapping[str, WrittenAddress] | None
    access_level: AccessLevel | None
    is_active: bool | None


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a user's rights hang on."""

    level: AccessLevel
    is_active: bool

    def widens(self, before: "_Standing") -> bool:
        """Whether mail comes into reach that was out of it, and that so counts as read."""
        sees_all = self.level is not AccessLevel.HIRING_TEAM
        saw_all = before.level is not AccessLevel.HIRING_TEAM
        return self.is_active and ((sees_all and not saw_all) or not before.is_active)


async def upsert_user(
    deps: Deps,
    viewer: Viewer,
    *,
    external_id: str,
    name: str | None = None,
    email: str | None = None,
    other_emails: Sequence[str] | None = None,
    access_level: AccessLevel | None = None,
    is_active: bool | None = None,
) -> UUID:
    """Makes the user of this external id, or changes what is given; the user's id.

    A change of rights acts from the commit on, in open subscriptions too. Who is made inactive has their mailboxes
    disconnected in the same moment; the mail that was recorded stays.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: something that is no name, no address, another user's address; or a new user without either.
    """
    change = UserChange(
        external_id=checked_external_id(external_id, "input", "externalId"),
        name=None if name is None else checked_text(name, "input", "name", most=200),
        main=None if email is None else checked_address(email, "input", "email"),
        others=None if other_emails is None else checked_addresses(other_emails, "input", "otherEmails"),
        access_level=access_level,
        is_active=is_active,
    )
    async with administering(deps, viewer) as work:
        return await write_user(work, viewer, change)


async def write_user(work: UnitOfWork, viewer: Viewer, change: UserChange) -> UUID:
    """`upsert_user` within a unit of work that nobody else administers beside; the user's id.

    Raises:
        UserMistake: another user's address; or a new user without name or address.
    """
    now = clock.now()
    before = await work.tx.fetch_row(_BY_EXTERNAL_ID, work.organisation_id, change.external_id)
    was = _Standing(AccessLevel.HIRING_TEAM, is_active=True)
    if before is not None:
        was = _Standing(AccessLevel(before["access_level"]), before["is_active"])
    is_active = was.is_active if change.is_active is None else change.is_active
    standing = _Standing(change.access_level or was.level, is_active)
    if before is None:
        user_id, main = await _insert(work, change, standing, now)
    else:
        user_id = before["id"]
        main = change.main or checked_address(before["email"], "input", "email")
        name = change.name or before["name"]
        level = standing.level.value
        await work.tx.execute(
            _UPDATE, user_id, name, main.address, level, standing.is_active, standing.widens(was), now
        )
    await _write_addresses(work, viewer, user_id, before and before["email"], main=main, others=change.others)
    if before is None or standing != was:
        await _change_rights(work, viewer, user_id, standing, now)
    return user_id


async def _insert(
    work: UnitOfWork, change: UserChange, standing: _Standing, now: datetime
) -> tuple[UUID, WrittenAddress]:
    if change.name is None:
        raise invalid("A new user needs a name.", "input", "name")
    if change.main is None:
        raise invalid("A new user needs an address.", "input", "email")
    user_id = new_id()
    await work.tx.execute(
        _INSERT,
        user_id,
        work.organisation_id,
        change.external_id,
        change.name,
        change.main.address,
        standing.level.value,
        standing.is_active,
        now,
    )
    return user_id, change.main


async def _change_rights(work: UnitOfWork, viewer: Viewer, user_id: UUID, standing: _Standing, now: datetime) -> None:
    work.changes_access = True
    work.announce(NewEvent(EventKind.ACCESS_CHANGED, audience=(user_id,)))
    subject = to_global("user", user_id)
    right = standing.level.value if standing.is_active else "NONE"
    await work.audit("user.access_changed", actor_id=viewer.user_id, subject_ids=[subject], at=now, reason=right)
    if standing.is_active:
        return
    for row in await work.tx.fetch(_STOP_MAILBOXES, user_id, now):
        mailbox = to_global("mailbox", row["id"])
        await work.audit(
            "mailbox.disconnected", actor_id=viewer.user_id, subject_ids=[mailbox, subject], at=now, reason="user left"
        )


async def _write_addresses(
    work: UnitOfWork,
    viewer: Viewer,
    user_id: UUID,
    former_email: str | None,
    *,
    main: WrittenAddress,
    others: Mapping[str, WrittenAddress] | None,
) -> None:
    """Makes the user's addresses the main one and the others: those given, or those there were."""
    rows = await work.tx.fetch("SELECT address, canonical, base FROM user_address WHERE user_id = $1", user_id)
    present = {row["canonical"]: WrittenAddress(row["address"], row["canonical"], row["base"]) for row in rows}
    if others is None:
        replaced = None if former_email is None else checked_address(former_email, "input", "email").canonical
        others = {key: address for key, address in present.items() if key != replaced}
    wanted = {**others, main.canonical: main}
    if wanted == present:
        return
    await _refuse_taken(work, user_id, wanted, main, list(others))
    await work.tx.execute("DELETE FROM user_address WHERE user_id = $1", user_id)
    await work.tx.insert_many(
        "user_address",
        ("organisation_id", "user_id", "address", "canonical", "base"),
        [(work.organisation_id, user_id, item.address, item.canonical, item.base) for item in wanted.values()],
    )
    changed = {key: item for key, item in (present | wanted).items() if (key in present) != (key in wanted)}
    if changed:
        await work.audit(
            "user.addresses_changed",
            actor_id=viewer.user_id,
            subject_ids=[to_global("user", user_id)],
            at=clock.now(),
        )
        await announce_guarded(work, addresses=changed.values())


async def _refuse_taken(
    work: UnitOfWork,
    user_id: UUID,
    wanted: Mapping[str, WrittenAddress],
    main: WrittenAddress,
    others: Sequence[str],
) -> None:
    taken = await work.tx.fetch_value(
        "SELECT canonical FROM user_address WHERE organisation_id = $1 AND canonical = ANY($2) AND user_id <> $3 "
        "ORDER BY canonical LIMIT 1",
        work.organisation_id,
        list(wanted),
        user_id,
    )
    if taken is not None:
        raise _taken(taken, main, others)


def _taken(taken: str, main: WrittenAddress, others: Sequence[str]) -> UserMistake:
    path = ("email",) if taken == main.canonical else ("otherEmails", str(others.index(taken)))
    return invalid("This address is another user's.", "input", *path)
