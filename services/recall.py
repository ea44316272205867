"""How does mail that is stored already come onto the record of a candidate whose address was added later?

A search finds it in a mailbox whose copy is recorded: there is nothing to fetch, but the message is on one record more.
So it also comes back after its address was taken off and added again (services.withdrawal).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.addresses import canonical
from domain.changes import RemoteHeader
from domain.events import EventKind, NewEvent, Origin
from services.matching import match_candidates
from services.readers import write_readers
from services.unit_of_work import UnitOfWork

# By its people as they were read when it was recorded: a header as it is discovered counts every text that looks like
# an address, so a display name could put a message, and its thread, on a stranger's record. A bounce is also on the
# record of those whom it says were not reached.
_HELD = """
SELECT c.message_id, entry->>'canonical' AS address
  FROM message_copy c JOIN message m ON m.id = c.message_id
 CROSS JOIN LATERAL jsonb_each(m.people) AS role
 CROSS JOIN LATERAL jsonb_array_elements(role.value) AS entry
 WHERE c.mailbox_id = $1 AND c.folder = $2 AND c.remote_id = ANY($3) AND entry->>'canonical' IS NOT NULL
 UNION ALL
SELECT c.message_id, failure->>'address'
  FROM message_copy c JOIN bounce b ON b.message_id = c.message_id
 CROSS JOIN LATERAL jsonb_array_elements(b.failures) AS failure
 WHERE c.mailbox_id = $1 AND c.folder = $2 AND c.remote_id = ANY($3) AND failure->>'address' IS NOT NULL
"""
_MATCH = """
INSERT INTO message_candidate (message_id, candidate_id, email_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) ON CONFLICT DO NOTHING
RETURNING message_id
"""
_LIST = """
INSERT INTO thread_candidate (thread_id, candidate_id, last_message_at)
SELECT DISTINCT t.id, c.candidate_id, t.last_message_at
  FROM message m JOIN thread t ON t.id = m.thread_id JOIN message_candidate c ON c.message_id = m.id
 WHERE m.id = ANY($1)
    ON CONFLICT (thread_id, candidate_id) DO NOTHING
"""
_THREADS = "SELECT DISTINCT thread_id FROM message WHERE id = ANY($1)"


async def put_on_record(
    work: UnitOfWork, mailbox: Mapping[str, Any], folder: str, headers: Iterable[RemoteHeader]
) -> None:
    """Puts those of the messages that are stored onto the records that their addresses lead to now.

    The caller holds the mailbox's lease in this unit of work. Idempotent.
    """
    await work.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"record:{work.organisation_id.hex}")
    held = await work.tx.fetch(_HELD, mailbox["id"], folder, [header.remote_id for header in headers])
    named = [(row["message_id"], form) for row in held if (form := canonical(row["address"])) is not None]
    asked = {address for _, address in named}
    matches = await match_candidates(work.tx, work.organisation_id, asked, excluded=mailbox["excluded"])
    rows = sorted(
        {
            (message_id, match.candidate_id, match.email_id)
            for message_id, address in named
            for match in matches.get(address, ())
        }
    )
    added = [row["message_id"] for row in await work.tx.fetch(_MATCH, *([row[i] for row in rows] for i in range(3)))]
    if not added:
        return
    await work.tx.execute(_LIST, added)
    threads = [row["thread_id"] for row in await work.tx.fetch(_THREADS, added)]
    for change in await write_readers(work.tx, threads):
        work.announce(
            NewEvent(
                EventKind.THREAD_CHANGED,
                origin=Origin.IMPORT,
                thread_id=change.thread_id,
                candidate_ids=change.candidate_ids,
            )
        )
