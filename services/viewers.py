"""Who is asking: from a token's claims to a viewer with principals, read once a request."""

from uuid import UUID

from domain.access import AccessLevel, Viewer, viewer_principals
from domain.errors import NotAuthenticated
from domain.ids import OrganisationId, UserId
from infra.db import Statements

_USER = """
SELECT u.id, u.organisation_id, u.access_level,
       array(SELECT job_id FROM job_member WHERE user_id = u.id) AS job_ids,
       array(SELECT mailbox_id FROM mailbox_viewer v JOIN mailbox m ON m.id = v.mailbox_id
              WHERE v.user_id = u.id AND m.organisation_id = u.organisation_id) AS mailbox_ids
  FROM user_account u
 WHERE u.organisation_id = $1 AND u.is_active AND %s
"""
_BY_EXTERNAL_ID = _USER % "u.external_id = $2"
_BY_ID = _USER % "u.id = ANY($2)"


async def viewer_of(db: Statements, organisation_id: UUID, external_id: str) -> Viewer:
    """The active user whom a token's subject names.

    Raises:
        NotAuthenticated: there is none in this organisation, or they have left.
    """
    row = await db.fetch_row(_BY_EXTERNAL_ID, organisation_id, external_id)
    if row is None:
        raise NotAuthenticated("The token names no active user of this organisation.")
    return _viewer(row)


async def viewers_by_id(db: Statements, organisation_id: UUID, user_ids: list[UUID]) -> dict[UUID, Viewer]:
    """The present rights of several users; who has left is missing."""
    rows = await db.fetch(_BY_ID, organisation_id, user_ids)
    return {row["id"]: _viewer(row) for row in rows}


async def service_viewer(db: Statements, organisation_id: UUID) -> Viewer:
    """The viewer of a service token.

    Raises:
        NotAuthenticated: there is no such organisation.
    """
    if await db.fetch_value("SELECT id FROM organisation WHERE id = $1", organisation_id) is None:
        raise NotAuthenticated("The token names no organisation of this server.")
    return Viewer(OrganisationId(organisation_id), user_id=None, level=None)


def _viewer(row: dict[str, object]) -> Viewer:
    level = AccessLevel(str(row["access_level"]))
    organisation_id = OrganisationId(row["organisation_id"])  # type: ignore[arg-type]  # a uuid column
    user_id = UserId(row["id"])  # type: ignore[arg-type]  # a uuid column
    principals = viewer_principals(
        organisation_id,
        user_id,
        level,
        job_ids=row["job_ids"],  # type: ignore[arg-type]  # an array of uuids
        shared_mailbox_ids=row["mailbox_ids"],  # type: ignore[arg-type]  # an array of uuids
    )
    return Viewer(organisation_id, user_id, level, principals)
