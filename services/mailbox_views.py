"""What do mailboxes look like to their owner, to those who manage or read a shared one, and to others (not at all)?"""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from domain.access import AccessLevel
from services.paging import Row
from services.reading import Reader

SEARCHES_SHOWN = 100
QUARANTINE_SHOWN = 100

# Its owner and, where it is shared, administrators: they see its settings. $1 organisation, $2 user, $3 administers.
_MANAGED = "(b.owner_id = $2 OR (b.kind = 'SHARED' AND $3))"

_COLUMNS = f"""
b.id, b.owner_id, b.provider, b.kind, b.address, b.aliases, b.signature, b.is_primary, b.sync_enabled,
b.connected_at, b.disconnected_at, b.last_synced_at, b.complete_until, b.needs_reauthorization,
b.import_scanned, b.import_total, b.import_started_at, b.import_finished_at,
b.problem_code, b.problem_message, b.problem_hint, b.problem_since, b.next_run_at,
CASE WHEN {_MANAGED} THEN b.login END AS login,
CASE WHEN {_MANAGED} THEN b.excluded ELSE '{{}}' END AS excluded
"""


async def mailboxes_by_id(reader: Reader, mailbox_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Mailboxes that are the viewer's own, that they read, or that they manage; the others are missing."""
    rows = await reader.db.fetch(
        f"""
        SELECT {_COLUMNS} FROM mailbox b
         WHERE b.organisation_id = $1 AND b.id = ANY($4::uuid[]) AND ({_MANAGED} OR b.id = ANY($5::uuid[]))
        """,
        *_asking(reader),
        list(mailbox_ids),
        reader.principals,
    )
    return {row["id"]: row for row in rows}


async def own_mailboxes(reader: Reader) -> Sequence[Row]:
    """The viewer's personal mailboxes, connected ones first."""
    return await reader.db.fetch(
        f"""
        SELECT {_COLUMNS} FROM mailbox b WHERE b.organisation_id = $1 AND b.owner_id = $2
         ORDER BY b.disconnected_at IS NOT NULL, b.connected_at, b.id
        """,
        *_asking(reader),
    )


async def shared_mailboxes(reader: Reader, *, manageable: bool) -> Sequence[Row]:
    """The shared mailboxes that the viewer reads from; or those whose settings they may change as an administrator."""
    wanted = "$3" if manageable else "b.id = ANY($4::uuid[])"
    return await reader.db.fetch(
        f"""
        SELECT {_COLUMNS} FROM mailbox b
         WHERE b.organisation_id = $1 AND b.kind = 'SHARED' AND b.disconnected_at IS NULL AND {wanted}
         ORDER BY b.address, b.id
        """,
        *_asking(reader),
        *([] if manageable else [reader.principals]),
    )


async def viewers_of(reader: Reader, mailbox_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """The ids of the users who read each shared mailbox."""
    found: dict[UUID, list[UUID]] = defaultdict(list)
    for row in await reader.db.fetch(
        "SELECT mailbox_id, user_id FROM mailbox_viewer WHERE mailbox_id = ANY($1::uuid[]) ORDER BY id",
        list(mailbox_ids),
    ):
        found[row["mailbox_id"]].append(row["user_id"])
    return found


async def counts_of(reader: Reader, mailbox_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """For each mailbox `seen`, `recorded`, `pending` and `quarantined`: numbers of messages."""
    rows = await reader.db.fetch(
        """
        SELECT b.id,
               coalesce((SELECT sum(f.scanned) FROM folder_state f WHERE f.mailbox_id = b.id), 0)::bigint AS seen,
               (SELECT count(*) FROM message_copy c WHERE c.mailbox_id = b.id) AS recorded,
               l.pending, l.quarantined
          FROM mailbox b
         CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE e.quarantine_reason IS NULL) AS pending,
                  count(e.quarantine_reason) AS quarantined
             FROM ledger_entry e WHERE e.mailbox_id = b.id) l
         WHERE b.id = ANY($1::uuid[])
        """,
        list(mailbox_ids),
    )
    return {row["id"]: row for row in rows}


async def searches_of(reader: Reader, mailbox_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """The last searches of each mailbox that the viewer manages, newest first."""
    return await _last(
        reader,
        "s.address, s.candidate_id, s.requested_at, s.finished_at, s.found",
        "mailbox_search s WHERE s.mailbox_id = b.id ORDER BY s.requested_at DESC, s.id DESC",
        SEARCHES_SHOWN,
        mailbox_ids,
    )


async def quarantine_of(reader: Reader, mailbox_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """The messages that were given up in each mailbox that the viewer manages, newest first."""
    return await _last(
        reader,
        "e.quarantine_reason, e.attempts, e.received_at",
        "ledger_entry e WHERE e.mailbox_id = b.id AND e.quarantine_reason IS NOT NULL "
        "ORDER BY e.received_at DESC, e.id DESC",
        QUARANTINE_SHOWN,
        mailbox_ids,
    )


async def _last(
    reader: Reader, columns: str, source: str, limit: int, mailbox_ids: Sequence[UUID]
) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in await reader.db.fetch(
        f"""
        SELECT b.id AS mailbox_id, w.* FROM mailbox b
         CROSS JOIN LATERAL (SELECT {columns} FROM {source} LIMIT {limit}) w
         WHERE b.organisation_id = $1 AND {_MANAGED} AND b.id = ANY($4::uuid[])
        """,
        *_asking(reader),
        list(mailbox_ids),
    ):
        found[row["mailbox_id"]].append(row)
    return found


def _asking(reader: Reader) -> tuple[object, ...]:
    """What the parts above take as $1 to $3. A service token owns and manages no mailbox."""
    viewer = reader.viewer
    return viewer.organisation_id, viewer.user_id, viewer.level is AccessLevel.ADMIN
