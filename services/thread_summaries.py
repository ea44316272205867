"""What a list shows of a thread, kept in the thread's row so that a list reads nothing else."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import orjson

from infra.db import Transaction

MAX_PARTICIPANTS = 50
"""More are never shown in a list, and a mass mailing must not bloat every page that it is on."""

_MESSAGES = """
SELECT m.thread_id, m.id, m.sent_at, m.recorded_at, m.people, b.message_id IS NOT NULL AS is_bounce,
       CASE WHEN b.message_id IS NULL OR b.is_open THEN m.subject ELSE '' END AS subject,
       CASE WHEN b.message_id IS NULL OR b.is_open THEN m.snippet ELSE '' END AS snippet,
       m.has_attachments AND (b.message_id IS NULL OR b.is_open) AS has_attachments,
       m.direction = 'INBOUND' AND m.origin = 'LIVE' AS is_live_inbound
  FROM message m LEFT JOIN bounce b ON b.message_id = m.id
 WHERE m.thread_id = ANY($1) ORDER BY m.thread_id, m.sent_at, m.id
"""
_WRITE = """
UPDATE thread t SET subject = n.subject, snippet = n.snippet, participants = n.participants,
       last_message = n.last_message, last_message_at = n.last_message_at,
       last_live_inbound_at = n.last_live_inbound_at, message_count = n.message_count,
       has_attachments = n.has_attachments
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::timestamptz[], $7::timestamptz[],
              $8::int[], $9::bool[])
       AS n(id, subject, snippet, participants, last_message, last_message_at, last_live_inbound_at, message_count,
            has_attachments)
 WHERE t.id = n.id
"""
_SPREAD = """
UPDATE thread_candidate c SET last_message_at = t.last_message_at FROM thread t
 WHERE t.id = c.thread_id AND t.id = ANY($1) AND c.last_message_at <> t.last_message_at
"""


async def write_summaries(tx: Transaction, thread_ids: Iterable[UUID]) -> None:
    """Works out the summaries of threads anew from their messages. The readers' index is services.readers' to write."""
    asked = sorted(set(thread_ids))
    rows = await tx.fetch(_MESSAGES, asked)
    summaries = [
        _summary(thread, list(messages)) for thread, messages in groupby(rows, key=lambda row: row["thread_id"])
    ]
    if summaries:
        await tx.execute(_WRITE, *(list(column) for column in zip(*summaries, strict=True)))
        await tx.execute(_SPREAD, asked)


def _summary(thread_id: UUID, messages: Sequence[Any]) -> tuple[Any, ...]:
    """`messages` oldest first."""
    last = messages[-1]
    live = [message["recorded_at"] for message in messages if message["is_live_inbound"]]
    return (
        thread_id,
        messages[0]["subject"],
        last["snippet"],
        orjson.dumps(_participants(messages)).decode(),  # as text: a list of lists would be taken for a matrix
        {
            "id": last["id"].hex,
            "from": next(iter(last["people"]["from"]), None),
            "sent_at": last["sent_at"].isoformat(),
            "snippet": last["snippet"],
        },
        last["sent_at"],
        max(live, default=None),
        len(messages),
        any(message["has_attachments"] for message in messages),
    )


def _participants(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Everyone in From, To and Cc, each once, in the order they came in; never Bcc (R3.5), nor a server's name."""
    found: dict[str, dict[str, Any]] = {}
    for message in messages:
        people = message["people"]
        senders = [] if message["is_bounce"] else people["from"]
        for entry in (*senders, *people["to"], *people["cc"]):
            known = found.setdefault(entry["canonical"] or entry["raw"], entry)
            if known["name"] is None and entry["name"] is not None:
                found[entry["canonical"] or entry["raw"]] = {**known, "name": entry["name"]}
    return list(found.values())[:MAX_PARTICIPANTS]
