"""What becomes of mail that was on a record only through an address which is no longer the candidate's (R1.14)?

It moves out of sight: a thread that is left without a candidate is read by nobody, and messages that leave a thread
which stays are put into a thread of their own. Mail joins only threads about the same candidate, so no later message
brings these back by accident; adding the address again does, by the search that follows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import clock
from domain.events import EventKind, NewEvent
from domain.identity import message_id_key
from domain.ids import new_id
from services.blob_claims import abandon
from services.readers import refresh_readers
from services.thread_summaries import write_summaries
from services.unit_of_work import UnitOfWork

_LOCK_THREADS = """
SELECT id FROM thread
 WHERE id IN (SELECT m.thread_id FROM message_candidate c JOIN message m ON m.id = c.message_id
               WHERE c.email_id = ANY($1))
 ORDER BY id FOR UPDATE
"""
_UNLINK = """
WITH gone AS (DELETE FROM message_candidate WHERE email_id = ANY($1) RETURNING message_id, email_id)
SELECT m.id, m.thread_id, array(SELECT DISTINCT email_id FROM gone WHERE message_id = m.id ORDER BY 1) AS email_ids,
       NOT EXISTS (SELECT FROM message_candidate c WHERE c.message_id = m.id AND c.email_id <> ALL($1)) AS is_orphan
  FROM message m WHERE m.id IN (SELECT message_id FROM gone)
"""
_UNLIST_THREADS = """
DELETE FROM thread_candidate t WHERE t.thread_id = ANY($1)
   AND t.candidate_id IN (SELECT candidate_id FROM candidate_email WHERE id = ANY($2))
   AND NOT EXISTS (SELECT FROM message_candidate c JOIN message m ON m.id = c.message_id
                    WHERE m.thread_id = t.thread_id AND c.candidate_id = t.candidate_id)
"""
_KEPT_THREADS = "SELECT DISTINCT thread_id FROM message WHERE thread_id = ANY($1) AND id <> ALL($2)"
_ASIDE = """
INSERT INTO thread (id, organisation_id, subject, snippet, visibility, last_message_at, created_at)
SELECT $2, organisation_id, '', '', visibility, last_message_at, $3 FROM thread WHERE id = $1
"""
_BLOBS = """
SELECT source_key FROM message_copy WHERE message_id = ANY($1)
UNION SELECT blob_key FROM attachment WHERE message_id = ANY($1)
"""


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A message that is now on nobody's record, with the addresses that it was there through."""

    id: UUID
    thread_id: UUID
    email_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class _Withdrawn:
    """What leaves the record.

    Attributes:
        touched: every thread that had mail by these addresses.
        emptied: threads of which nothing is left.
    """

    touched: tuple[UUID, ...]
    orphans: tuple[_Orphan, ...]
    emptied: frozenset[UUID]

    @property
    def orphan_ids(self) -> list[UUID]:
        return [orphan.id for orphan in self.orphans]


async def withdraw_email(work: UnitOfWork, email_ids: Sequence[UUID], *, erase_mail: bool = False) -> None:
    """Takes off the record what is on it only through these addresses, and tells those who lost it.

    To be called while nothing is recorded beside (services.administration).

    Args:
        email_ids: rows of candidates' addresses; the caller deletes them in the same unit of work.
        erase_mail: deletes the messages that are then on nobody's record, instead of keeping them unseen; their files
            follow after the commit (services.blob_claims).
    """
    touched = tuple(row["id"] for row in await work.tx.fetch(_LOCK_THREADS, email_ids))
    if not touched:
        return
    rows = await work.tx.fetch(_UNLINK, email_ids)
    orphans = tuple(_Orphan(row["id"], row["thread_id"], tuple(row["email_ids"])) for row in rows if row["is_orphan"])
    left = await work.tx.fetch(_KEPT_THREADS, touched, [orphan.id for orphan in orphans])
    withdrawn = _Withdrawn(touched, orphans, frozenset(touched) - {row["thread_id"] for row in left})
    await work.tx.execute(_UNLIST_THREADS, touched, email_ids)
    if erase_mail:
        await _erase(work, withdrawn)
    else:
        await _put_aside(work, withdrawn)


async def _put_aside(work: UnitOfWork, withdrawn: _Withdrawn) -> None:
    """Keeps the orphans where nobody reads them and no reference leads.

    Only those that were on the record through the same addresses stay together: if one of these becomes somebody
    else's, what comes onto that record must not bring the mail of the others with it.
    """
    homes: dict[tuple[UUID, tuple[UUID, ...]], UUID] = {}
    for orphan in withdrawn.orphans:
        together = (orphan.thread_id, orphan.email_ids)
        if together not in homes:
            is_free = orphan.thread_id in withdrawn.emptied and orphan.thread_id not in homes.values()
            homes[together] = orphan.thread_id if is_free else await _new_thread_beside(work, orphan.thread_id)
        if homes[together] != orphan.thread_id:
            await _move_message(work, orphan.id, homes[together])
    await write_summaries(work.tx, [*withdrawn.touched, *homes.values()])
    await refresh_readers(work, withdrawn.touched)
    await _announce_shrunk(work, {orphan.thread_id for orphan in withdrawn.orphans} - withdrawn.emptied)


async def _new_thread_beside(work: UnitOfWork, thread_id: UUID) -> UUID:
    made = new_id()
    await work.tx.execute(_ASIDE, thread_id, made, clock.now())
    return made


async def _move_message(work: UnitOfWork, message_id: UUID, thread_id: UUID) -> None:
    rfc_message_id: str | None = await work.tx.fetch_value(
        "UPDATE message SET thread_id = $2 WHERE id = $1 RETURNING rfc_message_id", message_id, thread_id
    )
    if rfc_message_id is not None:  # so that, once it is back on a record, what answers it finds it
        await work.tx.execute(
            "INSERT INTO thread_key (organisation_id, thread_id, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            work.organisation_id,
            thread_id,
            message_id_key(rfc_message_id),
        )


async def _erase(work: UnitOfWork, withdrawn: _Withdrawn) -> None:
    await abandon(work.tx, [row["source_key"] for row in await work.tx.fetch(_BLOBS, withdrawn.orphan_ids)])
    work.enqueue("sweep_blobs")
    await work.tx.execute(
        "DELETE FROM event WHERE organisation_id = $1 AND message_id = ANY($2)",
        work.organisation_id,
        withdrawn.orphan_ids,
    )
    await work.tx.execute("DELETE FROM message WHERE id = ANY($1)", withdrawn.orphan_ids)
    kept = [thread_id for thread_id in withdrawn.touched if thread_id not in withdrawn.emptied]
    await write_summaries(work.tx, kept)
    # Before the emptied ones go, so that their readers are told.
    await refresh_readers(work, withdrawn.touched)
    await work.tx.execute("DELETE FROM thread WHERE id = ANY($1)", list(withdrawn.emptied))
    await _announce_shrunk(work, {orphan.thread_id for orphan in withdrawn.orphans} - withdrawn.emptied)


async def _announce_shrunk(work: UnitOfWork, thread_ids: Iterable[UUID]) -> None:
    """Tells the readers of threads that stay, and have lost messages."""
    rows = await work.tx.fetch(
        "SELECT thread_id, array_agg(candidate_id) AS candidate_ids FROM thread_candidate "
        "WHERE thread_id = ANY($1) GROUP BY thread_id",
        list(thread_ids),
    )
    for row in rows:
        work.announce(
            NewEvent(EventKind.THREAD_CHANGED, thread_id=row["thread_id"], candidate_ids=tuple(row["candidate_ids"]))
        )
