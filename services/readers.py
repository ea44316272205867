"""Who reads a thread: the one place that writes `thread.readers` and its index, `thread_reader`, together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.access import Reason, Visibility, thread_readers
from domain.events import EventKind, NewEvent
from infra.db import Transaction
from services.unit_of_work import UnitOfWork

_FACTS = """
SELECT t.id, t.organisation_id, t.visibility, t.readers, t.last_message_at,
       array(SELECT candidate_id FROM thread_candidate c WHERE c.thread_id = t.id) AS candidate_ids,
       array(SELECT DISTINCT a.job_id FROM thread_candidate c JOIN application a ON a.candidate_id = c.candidate_id
              WHERE c.thread_id = t.id) AS job_ids,
       array(SELECT DISTINCT (entry->>'user_id')::uuid FROM message m,
                    jsonb_array_elements((m.people->'from') || (m.people->'to') || (m.people->'cc')) AS entry
              WHERE m.thread_id = t.id AND entry->>'user_id' IS NOT NULL) AS participant_ids,
       array(SELECT DISTINCT (entry->>'user_id')::uuid FROM message m, jsonb_array_elements(m.people->'bcc') AS entry
              WHERE m.thread_id = t.id AND entry->>'user_id' IS NOT NULL) AS bcc_ids,
       array(SELECT DISTINCT b.owner_id FROM message m JOIN message_copy c ON c.message_id = m.id
               JOIN mailbox b ON b.id = c.mailbox_id
              WHERE m.thread_id = t.id AND b.owner_id IS NOT NULL) AS owner_ids,
       array(SELECT DISTINCT b.id FROM message m JOIN message_copy c ON c.message_id = m.id
               JOIN mailbox b ON b.id = c.mailbox_id
              WHERE m.thread_id = t.id AND b.kind = 'SHARED') AS shared_mailbox_ids
  FROM thread t WHERE t.id = ANY($1)
"""
_DROP = """
DELETE FROM thread_reader r WHERE r.thread_id = ANY($1)
   AND NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::uuid[]) AS n(thread_id, principal)
                    WHERE n.thread_id = r.thread_id AND n.principal = r.principal)
"""
_KEEP = """
INSERT INTO thread_reader (thread_id, principal, reason, last_message_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[])
    ON CONFLICT (thread_id, principal) DO UPDATE
       SET reason = excluded.reason, last_message_at = excluded.last_message_at
"""
_SUMMARISE = """
UPDATE thread t SET readers = coalesce(n.readers, '{}')
  FROM unnest($1::uuid[]) AS asked(id)
  LEFT JOIN (SELECT thread_id, array_agg(principal) AS readers
               FROM unnest($2::uuid[], $3::uuid[]) AS p(thread_id, principal) GROUP BY thread_id) n
    ON n.thread_id = asked.id
 WHERE t.id = asked.id
"""


@dataclass(frozen=True, slots=True)
class ReaderChange:
    """Who reads a thread now, and who did before."""

    thread_id: UUID
    candidate_ids: tuple[UUID, ...]
    before: frozenset[UUID]
    after: frozenset[UUID]

    @property
    def lost(self) -> frozenset[UUID]:
        return self.before - self.after


async def write_readers(tx: Transaction, thread_ids: Iterable[UUID]) -> list[ReaderChange]:
    """Works out the readers of threads anew from their candidates, jobs, participants and copies, and stores them.

    A thread that is on no candidate's record any more is read by nobody.
    """
    asked = sorted(set(thread_ids))
    if not asked:
        return []
    facts = await tx.fetch(_FACTS, asked)
    wanted = {row["id"]: _readers(row) for row in facts}
    last = {row["id"]: row["last_message_at"] for row in facts}
    flat = [(thread, principal, reason) for thread, found in wanted.items() for principal, reason in found.items()]
    threads, principals = [row[0] for row in flat], [row[1] for row in flat]
    await tx.execute(_DROP, asked, threads, principals)
    await tx.execute(_KEEP, threads, principals, [row[2].value for row in flat], [last[row[0]] for row in flat])
    await tx.execute(_SUMMARISE, asked, threads, principals)
    return [
        ReaderChange(row["id"], tuple(row["candidate_ids"]), frozenset(row["readers"]), frozenset(wanted[row["id"]]))
        for row in facts
    ]


async def refresh_readers(work: UnitOfWork, thread_ids: Iterable[UUID]) -> None:
    """Stores who reads these threads now, and tells those who gained or lost one."""
    for change in await write_readers(work.tx, thread_ids):
        announce_readers(work, change)


def announce_readers(work: UnitOfWork, change: ReaderChange) -> None:
    if change.after - change.before:
        work.announce(
            NewEvent(EventKind.THREAD_CHANGED, thread_id=change.thread_id, candidate_ids=change.candidate_ids)
        )
    announce_withdrawal(work, change.thread_id, change.lost)


def announce_withdrawal(work: UnitOfWork, thread_id: UUID, principals: Iterable[UUID]) -> None:
    """Tells those who cannot read a thread any more, if there are any."""
    audience = tuple(sorted(principals))
    if audience:
        work.announce(NewEvent(EventKind.THREAD_WITHDRAWN, thread_id=thread_id, audience=audience))


def _readers(facts: Mapping[str, Any]) -> Mapping[UUID, Reason]:
    if not facts["candidate_ids"]:
        return {}
    return thread_readers(
        facts["organisation_id"],
        Visibility(facts["visibility"]),
        candidate_job_ids=facts["job_ids"],
        participant_ids=[*facts["participant_ids"], *facts["owner_ids"]],
        bcc_ids=facts["bcc_ids"],
        shared_mailbox_ids=facts["shared_mailbox_ids"],
    )
