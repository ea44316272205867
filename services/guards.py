"""Which addresses belong to the organisation itself, so that they never count as a candidate's (R1.7)?"""

from collections.abc import Collection
from uuid import UUID

from domain.addresses import domain_of
from domain.events import EventKind, NewEvent
from infra.db import Statements
from services.administration import WrittenAddress
from services.unit_of_work import UnitOfWork

# Bases are compared, as in matching: what is delivered to a colleague under a tag is a colleague's.
_IS_INTERNAL = """
SELECT EXISTS (SELECT FROM user_address WHERE organisation_id = $1 AND base = $3)
    OR EXISTS (SELECT FROM mailbox WHERE organisation_id = $1 AND base = $3 AND is_proven AND disconnected_at IS NULL)
    OR EXISTS (SELECT FROM mailbox WHERE organisation_id = $1 AND disconnected_at IS NULL
                  AND aliases && ARRAY[$2, $3]::text[])
    OR EXISTS (SELECT FROM organisation WHERE id = $1 AND $4 = ANY(internal_domains))
"""

_CANDIDATES_OF_ADDRESSES = """
SELECT e.candidate_id, array_agg(DISTINCT p.job_id) FILTER (WHERE p.job_id IS NOT NULL) AS job_ids
  FROM candidate_email e LEFT JOIN application p ON p.candidate_id = e.candidate_id
 WHERE e.organisation_id = $1
   AND (e.base = ANY($2) OR split_part(e.canonical, '@', -1) = ANY($3))
 GROUP BY e.candidate_id
"""


async def is_internal(db: Statements, organisation_id: UUID, address: WrittenAddress) -> bool:
    """Whether it is a user's, a connected mailbox's or an alias's address, or on an internal domain."""
    found: bool = await db.fetch_value(
        _IS_INTERNAL, organisation_id, address.canonical, address.base, domain_of(address.canonical)
    )
    return found


async def announce_guarded(
    work: UnitOfWork, *, addresses: Collection[WrittenAddress] = (), domains: Collection[str] = ()
) -> None:
    """Tells of the candidates whose addresses have just become, or ceased to be, the organisation's own."""
    if not addresses and not domains:
        return
    bases = list({address.base for address in addresses})
    rows = await work.tx.fetch(_CANDIDATES_OF_ADDRESSES, work.organisation_id, bases, list(domains))
    for row in rows:
        work.announce(
            NewEvent(
                EventKind.CANDIDATE_CHANGED,
                candidate_id=row["candidate_id"],
                candidate_ids=(row["candidate_id"],),
                audience=(work.organisation_id, *(row["job_ids"] or ())),
            )
        )
