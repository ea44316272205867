"""How is older mail with a candidate's address asked for, in every connected mailbox (R1.11, R1.13)?"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import clock
from domain.access import Viewer
from domain.ids import new_id, to_global
from services.unit_of_work import UnitOfWork

# A mailbox in trouble keeps its pause: asking again sooner would only annoy its server.
_WAKE = """
UPDATE mailbox SET requested_at = clock_timestamp(),
       next_run_at = CASE WHEN problem_code IS NULL THEN least(next_run_at, now()) ELSE next_run_at END
 WHERE id = ANY($1) AND next_run_at IS NOT NULL
RETURNING id
"""
_CONNECTED = "SELECT id FROM mailbox WHERE organisation_id = $1 AND disconnected_at IS NULL ORDER BY id"
_WAITING = """
SELECT mailbox_id, candidate_id, address FROM mailbox_search
 WHERE mailbox_id = ANY($1) AND candidate_id = ANY($2) AND due_at IS NOT NULL AND rounds = 0
"""


@dataclass(frozen=True, slots=True)
class WantedAddress:
    """An address of a candidate's whose older mail is wanted."""

    candidate_id: UUID
    address: str


async def search_mailboxes(work: UnitOfWork, viewer: Viewer, wanted: Sequence[WantedAddress]) -> None:
    """Sets a search of every connected mailbox for every address, and wakes those mailboxes after the commit.

    A search that has not begun yet is not set a second time.
    """
    if not wanted:
        return
    now = clock.now()
    mailbox_ids: list[UUID] = [row["id"] for row in await work.tx.fetch(_CONNECTED, work.organisation_id)]
    if not mailbox_ids:
        return
    candidate_ids = sorted({item.candidate_id for item in wanted})
    waiting = {tuple(row) for row in await work.tx.fetch(_WAITING, mailbox_ids, candidate_ids)}
    rows = [
        (new_id(), mailbox_id, item.candidate_id, item.address, now, now)
        for mailbox_id in mailbox_ids
        for item in wanted
        if (mailbox_id, item.candidate_id, item.address) not in waiting
    ]
    columns = ("id", "mailbox_id", "candidate_id", "address", "requested_at", "due_at")
    await work.tx.insert_many("mailbox_search", columns, rows)
    searched = [to_global("mailbox", mailbox_id) for mailbox_id in mailbox_ids]
    for candidate_id in candidate_ids:
        await work.audit(
            "candidate.address_searched",
            actor_id=viewer.user_id,
            subject_ids=[to_global("candidate", candidate_id), *searched],
            at=now,
        )
    for row in await work.tx.fetch(_WAKE, mailbox_ids):
        # The run that is under way sees `requested_at` and goes another round, so one job at a time is enough.
        work.enqueue("sync_mailbox", key=row["id"].hex, mailbox_id=row["id"].hex)
