"""How a mailbox is searched for older mail with an address that was added to a candidate (R1.11)."""

from collections import Counter
from contextlib import aclosing
from typing import Any
from uuid import UUID

from domain import clock
from domain.addresses import base, canonical
from domain.errors import FolderRefused
from providers.base import MailSession, Scope
from services.deps import Deps
from services.discovery import CLOCK_SKEW, history_of, take_page
from services.leases import Lease, hold
from services.matching import canonical_addresses

REPEAT_AFTER_S = 900
"""A provider's search index lags behind its mail, so every search is repeated once."""
ROUNDS = 2
RETRY_S = 60
"""When a search is run again that could not look into every folder."""
_AT_ONCE = 50
"""Addresses in one search."""

_DUE = """
SELECT id, address, rounds FROM mailbox_search WHERE mailbox_id = $1 AND due_at <= now() ORDER BY due_at LIMIT $2
"""
_CURSORS = "SELECT folder, live_cursor FROM folder_state WHERE mailbox_id = $1"
_DONE = """
UPDATE mailbox_search s SET rounds = s.rounds + 1, found = greatest(s.found, n.found), finished_at = $3,
       due_at = CASE WHEN s.rounds + 1 < $4 THEN now() + make_interval(secs => $5) END
  FROM unnest($1::uuid[], $2::int[]) AS n(id, found) WHERE s.id = n.id
"""


async def run_due_search(deps: Deps, lease: Lease, mailbox: dict[str, Any], session: MailSession) -> bool:
    """Runs the searches that are due, if any; whether there were some. What they find goes into the ledger.

    A search never goes further back than the mailbox's owner agreed to.
    """
    async with deps.db.snapshot() as snapshot:
        rows = await snapshot.fetch(_DUE, lease.mailbox_id, _AT_ONCE)
        folders = await snapshot.fetch(_CURSORS, lease.mailbox_id)
    if not rows:
        return False
    history = history_of(mailbox)
    scope = Scope(history.oldest if history.reads_history else history.connected_at - CLOCK_SKEW)
    found: Counter[str] = Counter()
    cursors = {row["folder"]: row["live_cursor"] for row in folders}
    try:
        async with aclosing(session.search([row["address"] for row in rows], scope, cursors=cursors)) as pages:
            async for page in pages:
                await take_page(deps, lease, mailbox, page, found_by="search")
                for header in page.headers:
                    found.update({base(address) for address in canonical_addresses(header.addresses)})
    except FolderRefused:
        await _postpone(deps, lease, [row["id"] for row in rows])
        return True
    counts = [found[base(canonical(row["address"]) or "")] for row in rows]
    async with deps.db.transaction() as tx:
        await hold(tx, lease)
        await tx.execute(_DONE, [row["id"] for row in rows], counts, clock.now(), ROUNDS, REPEAT_AFTER_S)
    return True


async def _postpone(deps: Deps, lease: Lease, ids: list[UUID]) -> None:
    async with deps.db.transaction() as tx:
        await hold(tx, lease)
        await tx.execute(
            "UPDATE mailbox_search SET due_at = now() + make_interval(secs => $2) WHERE id = ANY($1)",
            ids,
            RETRY_S,
        )
