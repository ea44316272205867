"""How messages come to be found: their words, written in the transaction that stores them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.search_index import search_mark, search_vector
from infra.db import Transaction

_WRITE = """
INSERT INTO message_search (message_id, thread_id, vector)
SELECT n.message_id, n.thread_id, n.vector::tsvector FROM unnest($1::uuid[], $2::uuid[], $3::text[])
    AS n(message_id, thread_id, vector)
"""


class IndexedMessage(NamedTuple):
    """What a message is found by; `people` as in its row."""

    id: UUID
    thread_id: UUID
    subject: str
    people: Mapping[str, Any]
    text: str


async def index_messages(tx: Transaction, organisation_id: UUID, messages: Sequence[IndexedMessage]) -> None:
    """Makes new messages found, in one statement."""
    mark = search_mark(organisation_id)
    await tx.execute(
        _WRITE,
        [message.id for message in messages],
        [message.thread_id for message in messages],
        [
            search_vector(mark, subject=message.subject, people=message.people, text=message.text)
            for message in messages
        ],
    )
