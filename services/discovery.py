"""What to do with a page of headers: one transaction puts what matches into the ledger and moves the cursor.

Headers that are not with a candidate are forgotten here. The cursor means: everything up to here is stored, in the
ledger, or decided to be nobody's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from domain.changes import DiscoveredPage, RemoteHeader
from domain.events import Origin
from domain.identity import message_id_key
from infra.db import Transaction
from infra.metrics import MESSAGES_SCANNED
from services.address_proof import take_proof
from services.deps import Deps
from services.leases import Lease, hold
from services.matching import CanonicalForms, canonical_addresses, match_candidates
from services.recall import put_on_record
from services.unit_of_work import unit_of_work

CLOCK_SKEW = timedelta(seconds=5)
"""A mail server's clock may run behind ours by this much without costing the first messages after connecting."""

_YIELDS_EVERY = 200
"""Headers judged in one go: the loop has others to serve."""


@dataclass(frozen=True, slots=True)
class History:
    """What the owner agreed to, as the rule that judges every message (R2.7).

    Attributes:
        connected_at: consent; what arrived since is always in scope.
        reads_history: whether anything older is.
        oldest: received at or after this, where history is read; None for all of it.
    """

    connected_at: datetime
    reads_history: bool
    oldest: datetime | None

    def origin_of(self, header: RemoteHeader) -> Origin | None:
        """News, old mail in scope, or (None) neither. It follows from the message, never from how it was found.

        A message that was moved has arrived anew in its folder, but not since the mailbox was connected.
        """
        if header.arrived_after_connect and header.received_at >= self.connected_at - CLOCK_SKEW:
            return Origin.LIVE
        if self.reads_history and (self.oldest is None or header.received_at >= self.oldest):
            return Origin.IMPORT
        return None

    def origin_of_found(self, header: RemoteHeader) -> Origin | None:
        """The same for what a search found: it was not with a candidate when it came, so it is not news (R1.11)."""
        return None if self.origin_of(header) is None else Origin.IMPORT


def history_of(mailbox: Mapping[str, Any]) -> History:
    return History(mailbox["connected_at"], mailbox["history_scope"] != "NONE", mailbox["history_oldest"])


async def take_page(
    deps: Deps,
    lease: Lease,
    mailbox: dict[str, Any],
    page: DiscoveredPage,
    *,
    found_by: Literal["live", "history", "search"],
) -> int:
    """Decides on a page; the number of messages that are to be fetched.

    Args:
        found_by: which cursor the page moves; a search moves none.

    Raises:
        LeaseLost: nothing was stored, and the cursor stands where it was.
    """
    # Not durable: ledger and cursor would be lost together, and the page be seen again.
    async with unit_of_work(deps, mailbox["organisation_id"], durable=False) as work:
        await hold(work.tx, lease)
        history = history_of(mailbox)
        judge = history.origin_of_found if found_by == "search" else history.origin_of
        wanted = await _wanted(work.tx, mailbox, [(header, judge(header)) for header in page.headers])
        entered = await enter(work.tx, lease, page.folder, wanted)
        await take_proof(work.tx, mailbox, page.headers)
        if found_by == "live":
            await work.tx.execute(_MOVE_LIVE, lease.mailbox_id, page.folder, dict(page.cursor), page.scanned)
        elif found_by == "search":
            await put_on_record(work, mailbox, page.folder, [header for header, _ in wanted])
        elif found_by == "history":
            await work.tx.execute(_MOVE_HISTORY, lease.mailbox_id, page.folder, dict(page.cursor), page.scanned)
            await _count_import(work.tx, lease, page)
    MESSAGES_SCANNED.labels(found_by=found_by).inc(page.scanned)
    return entered


async def _wanted(
    tx: Transaction, mailbox: Mapping[str, Any], judged: Iterable[tuple[RemoteHeader, Origin | None]]
) -> list[tuple[RemoteHeader, Origin]]:
    """Those with a candidate, within what the owner agreed to, and what may be a report on mail to one.

    A report tells in its body alone whom it concerns. It is read in memory and judged again before anything is kept.
    """
    forms = CanonicalForms()
    in_scope: list[tuple[RemoteHeader, Origin, list[str]]] = []
    for number, (header, origin) in enumerate(judged, start=1):
        if origin:
            in_scope.append((header, origin, canonical_addresses(header.addresses, forms)))
        if number % _YIELDS_EVERY == 0:
            await asyncio.sleep(0)
    addresses = {address for _, _, found in in_scope for address in found}
    matches = await match_candidates(tx, mailbox["organisation_id"], addresses, excluded=mailbox["excluded"])
    return [
        (header, origin)
        for header, origin, found in in_scope
        if header.may_be_report or any(address in matches for address in found)
    ]


_SAME_AGAIN = """
INSERT INTO message_copy (message_id, mailbox_id, folder, remote_id, rfc_message_id_key, received_at, size_bytes,
                          source_key)
SELECT DISTINCT ON (n.remote_id) c.message_id, c.mailbox_id, $2, n.remote_id, c.rfc_message_id_key, c.received_at,
       c.size_bytes, c.source_key
  FROM unnest($3::text[], $4::bytea[], $5::timestamptz[], $6::bigint[]) AS n(remote_id, key, received_at, size_bytes)
  JOIN message_copy c ON c.mailbox_id = $1 AND c.rfc_message_id_key = n.key
   AND c.received_at = n.received_at AND c.size_bytes = n.size_bytes
    ON CONFLICT (mailbox_id, folder, remote_id) DO NOTHING
"""
_ENTER = """
INSERT INTO ledger_entry (mailbox_id, folder, remote_id, received_at, size_bytes, origin, next_attempt_at)
SELECT $1, $2, n.remote_id, n.received_at, n.size_bytes, n.origin, now()
  FROM unnest($3::text[], $4::timestamptz[], $5::bigint[], $6::text[]) AS n(remote_id, received_at, size_bytes, origin)
 WHERE NOT EXISTS (SELECT FROM message_copy c
                    WHERE c.mailbox_id = $1 AND c.folder = $2 AND c.remote_id = n.remote_id)
    ON CONFLICT (mailbox_id, folder, remote_id) DO NOTHING
"""


async def enter(tx: Transaction, lease: Lease, folder: str, wanted: list[tuple[RemoteHeader, Origin]]) -> int:
    """Puts messages into the ledger, each once; how many are new there.

    A message that this mailbox holds already, under another name (it was moved, or the folder was numbered anew), is
    one more copy of what is recorded and need not be fetched: Message-ID, date of receipt and size say so together.
    """
    if not wanted:
        return 0
    ids = [header.remote_id for header, _ in wanted]
    received = [header.received_at for header, _ in wanted]
    sizes = [header.size_bytes for header, _ in wanted]
    keys = [message_id_key(header.rfc_message_id) if header.rfc_message_id else None for header, _ in wanted]
    await tx.execute(_SAME_AGAIN, lease.mailbox_id, folder, ids, keys, received, sizes)
    origins = [origin.value for _, origin in wanted]
    return await tx.execute(_ENTER, lease.mailbox_id, folder, ids, received, sizes, origins)


_MOVE_LIVE = """
INSERT INTO folder_state (mailbox_id, folder, live_cursor, scanned) VALUES ($1, $2, $3, $4)
    ON CONFLICT (mailbox_id, folder) DO UPDATE
       SET live_cursor = excluded.live_cursor, scanned = folder_state.scanned + excluded.scanned
"""
_MOVE_HISTORY = """
UPDATE folder_state SET history_cursor = $3, scanned = scanned + $4 WHERE mailbox_id = $1 AND folder = $2
"""


async def _count_import(tx: Transaction, lease: Lease, page: DiscoveredPage) -> None:
    await tx.execute(
        "UPDATE mailbox SET import_scanned = import_scanned + $2, "
        "import_total = import_scanned + $2 + $3 WHERE id = $1",
        lease.mailbox_id,
        page.scanned,
        page.remaining or 0,
    )
