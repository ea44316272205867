"""How does an organisation come to a server, with somebody who may administer it?"""

from dataclasses import dataclass
from uuid import UUID

from domain import clock
from domain.access import AccessLevel, Viewer
from domain.addresses import canonical
from domain.errors import invalid
from domain.events import position_now
from domain.ids import OrganisationId, new_id, to_global
from services.administration import WrittenAddress, checked_address, checked_external_id, checked_text
from services.deps import Deps
from services.people import UserChange, write_user
from services.unit_of_work import unit_of_work

_NAME_LENGTH = 200

_FIND = """
SELECT o.id FROM organisation o
 WHERE o.name = $1 AND EXISTS (SELECT FROM user_account u WHERE u.organisation_id = o.id AND u.external_id = $2)
 ORDER BY o.created_at LIMIT 1
"""
_ORGANISATIONS = """
SELECT id AS organisation_id, NULL AS external_id FROM organisation
 WHERE $1::uuid IS NULL OR id = $1 ORDER BY created_at LIMIT 20
"""
_USERS = """
SELECT organisation_id, external_id FROM user_account u
 WHERE ($1::uuid IS NULL OR organisation_id = $1) AND is_active
   AND (external_id = $2 OR EXISTS (SELECT FROM user_address a WHERE a.user_id = u.id AND a.canonical = $3))
 ORDER BY created_at LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """An organisation and its first administrator.

    Attributes:
        external_id: the administrator's, which is their address: the subject of their tokens.
        is_new: whether the organisation was made just now.
    """

    organisation_id: UUID
    user_id: UUID
    external_id: str
    is_new: bool


async def bootstrap(deps: Deps, *, organisation: str, admin: str) -> Bootstrapped:
    """Makes an organisation of this name with this administrator, where there is none yet.

    The same call again finds what the first one made, and makes the administrator one again.

    Raises:
        UserMistake: no name, or no mail address.
    """
    name = checked_text(organisation, "organisation", most=200)
    address = checked_address(admin, "admin")
    checked_external_id(address.canonical, "admin")
    fresh = new_id()
    async with unit_of_work(deps, fresh) as work:
        await work.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('bootstrap', 0))")
        found: UUID | None = await work.tx.fetch_value(_FIND, name, address.canonical)
        work.organisation_id = found or fresh
        if found is None:
            await work.tx.execute(
                "INSERT INTO organisation (id, name, event_position, created_at) VALUES ($1, $2, $3, $4)",
                fresh,
                name,
                position_now(),
                clock.now(),
            )
        server = Viewer(OrganisationId(work.organisation_id), user_id=None, level=None)
        user_id = await write_user(work, server, _administrator(address))
    return Bootstrapped(work.organisation_id, user_id, address.canonical, found is None)


def _administrator(address: WrittenAddress) -> UserChange:
    return UserChange(
        external_id=address.canonical,
        name=address.address.partition("@")[0][:_NAME_LENGTH],
        main=address,
        others=None,
        access_level=AccessLevel.ADMIN,
        is_active=True,
    )


async def token_subject(deps: Deps, *, user: str | None, organisation_id: UUID | None) -> tuple[UUID, str | None]:
    """The organisation, and the user's external id, that a token is to name; for a service token no user.

    Args:
        user: one of their addresses, or their external id; None for a service token.
        organisation_id: needed where there are several that it could be.

    Raises:
        UserMistake: there is none, or more than one.
    """
    async with deps.db.snapshot() as snapshot:
        if user is None:
            rows = await snapshot.fetch(_ORGANISATIONS, organisation_id)
        else:
            rows = await snapshot.fetch(_USERS, organisation_id, user, canonical(user))
    if not rows:
        raise invalid("There is no such user." if user else "There is no such organisation.")
    if len(rows) > 1:
        known = ", ".join(to_global("organisation", row["organisation_id"]) for row in rows)
        raise invalid(f"There are several; name one of these with --organisation: {known}")
    return rows[0]["organisation_id"], rows[0]["external_id"]
