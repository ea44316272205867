"""Who may read all that a bounce says?

A server reports to the sender, and may name recipients whom only the sender knows of (R3.5). So what it says is open to
all readers of the thread only where it names nobody but those in To and Cc of the message that it is about, and that
message had no blind recipients. Else, and as long as that message is not known, it is told to the sender and to whoever
has the bounce in a mailbox of their own; others are told what became of those in To and Cc.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson

from domain.addresses import base, canonical
from infra.db import Transaction

# The message that is reported on is one of ours: who answers for it is not told by the one who was written to.
_BOUNCES = """
SELECT b.message_id, b.failures, o.people, o.sender_user_id,
       array(SELECT DISTINCT x.owner_id FROM message_copy c JOIN mailbox x ON x.id = c.mailbox_id
              WHERE c.message_id = m.id AND x.owner_id IS NOT NULL ORDER BY 1) AS owner_ids
  FROM message m
  JOIN bounce b ON b.message_id = m.id
  LEFT JOIN LATERAL (
    SELECT o.people, o.sender_user_id FROM message o
     WHERE o.thread_id = m.thread_id AND o.rfc_message_id = b.about AND o.id <> m.id AND o.direction <> 'INBOUND'
     ORDER BY o.sent_at, o.id LIMIT 1) o ON true
 WHERE m.thread_id = ANY($1)
"""
_WRITE = """
UPDATE bounce b SET is_open = n.is_open, shown = n.shown, told = n.told::uuid[]
  FROM unnest($1::uuid[], $2::bool[], $3::jsonb[], $4::text[]) AS n(message_id, is_open, shown, told)
 WHERE b.message_id = n.message_id
"""


async def disclose_bounces(tx: Transaction, thread_ids: Iterable[UUID]) -> None:
    """Works out anew who may read what in the bounces of these threads, from what the threads hold now."""
    rows = await tx.fetch(_BOUNCES, sorted(set(thread_ids)))
    if rows:
        shown = [_shown(row["failures"], row["people"]) for row in rows]
        await tx.execute(
            _WRITE,
            [row["message_id"] for row in rows],
            [_is_open(row, told) for row, told in zip(rows, shown, strict=True)],
            [orjson.dumps(told).decode() for told in shown],  # as text: not to be taken for a matrix
            [_array({*row["owner_ids"], row["sender_user_id"]} - {None}) for row in rows],
        )


def _is_open(row: Mapping[str, Any], shown: list[dict[str, Any]]) -> bool:
    return row["people"] is not None and not row["people"]["bcc"] and len(shown) == len(row["failures"])


def _shown(failures: list[dict[str, Any]], people: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The failures of those whom all readers of the message see, without the server's words: these may name more."""
    if people is None:
        return []
    visible = {base(entry["canonical"]) for role in ("to", "cc") for entry in people[role] if entry["canonical"]}
    return [
        {**failure, "diagnostic": None}
        for failure in failures
        if (form := canonical(failure["address"] or "")) and base(form) in visible
    ]


def _array(user_ids: Iterable[UUID]) -> str:
    return "{" + ",".join(sorted(user_id.hex for user_id in user_ids)) + "}"
