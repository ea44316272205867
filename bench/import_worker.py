"""How fast does a worker discover and hydrate a mailbox, each by itself, through the services that a sync calls?

Started by `bench.imports`, which sends it its order, as a process of its own: so its processor time and memory can be
told. It makes an organisation with candidates, connects the mailbox, and prints one JSON object.
"""

import asyncio
import json
import os
import sys
from contextlib import aclosing
from typing import Any
from uuid import UUID

from bench.import_mail import CANDIDATES
from bench.process_use import use_below, use_of
from domain import clock
from domain.access import Viewer
from domain.addresses import base
from domain.events import Origin
from domain.ids import OrganisationId, new_id
from providers.base import ServerLogin, TransportSecurity
from server.environment import running_environment
from services.accounts import open_session
from services.bootstrap import bootstrap
from services.connecting import HistoryChoice, connect_imap_mailbox
from services.deps import Deps
from services.discovery import take_page
from services.hydration import hydrate
from services.leases import Lease, acquire, kept_alive, release
from services.viewers import viewer_of


async def make_office(deps: Deps, name: str, admin: str) -> Viewer:
    """An organisation that looks for all of CANDIDATES."""
    made = await bootstrap(deps, organisation=name, admin=admin)
    now = clock.now()
    people = [(new_id(), address) for address in CANDIDATES]
    async with deps.db.transaction() as tx:
        await tx.insert_many(
            "candidate",
            ("id", "organisation_id", "external_id", "name", "created_at"),
            [(person, made.organisation_id, address, address, now) for person, address in people],
        )
        await tx.insert_many(
            "candidate_email",
            ("id", "organisation_id", "candidate_id", "address", "canonical", "base", "added_at"),
            [(new_id(), made.organisation_id, person, each, each, base(each), now) for person, each in people],
        )
        await tx.execute("ANALYZE candidate, candidate_email")
    async with deps.db.snapshot() as snapshot:
        return await viewer_of(snapshot, OrganisationId(made.organisation_id), made.external_id)


async def connect(deps: Deps, viewer: Viewer, *, address: str, password: str, host: str, imap: int, smtp: int) -> UUID:
    return await connect_imap_mailbox(
        deps,
        viewer,
        address=address,
        imap=ServerLogin(host, imap, TransportSecurity.TLS, address, password),
        smtp=ServerLogin(host, smtp, TransportSecurity.TLS, address, password),
        history=HistoryChoice("ALL"),
    )


async def measure(deps: Deps, mailbox_id: UUID) -> dict[str, Any]:
    """Discovers all, then hydrates all."""
    taken = await acquire(deps, mailbox_id)
    if taken is None:
        raise RuntimeError("Somebody else reads this mailbox.")
    lease, mailbox = taken
    async with kept_alive(deps, lease), open_session(deps, mailbox) as session:
        began, cpu = clock.monotonic(), use_of(os.getpid()).cpu_s
        scanned = entered = 0
        cursors = await _cursors(deps, lease)
        async with aclosing(session.discover(cursors, want="history")) as pages:
            async for page in pages:
                entered += await take_page(deps, lease, mailbox, page, found_by="history")
                scanned += page.scanned
        discovered, discover_cpu = clock.monotonic() - began, use_of(os.getpid()).cpu_s - cpu
        await deps.parser.parse(b"Subject: the process is started before the time runs\r\n\r\n")
        began, cpu, parser_cpu = clock.monotonic(), use_of(os.getpid()).cpu_s, use_below(os.getpid()).cpu_s
        recorded = 0
        while (count := await hydrate(deps, lease, mailbox, session, Origin.IMPORT)) is not None:
            recorded += count
        hydrated = clock.monotonic() - began
    await release(deps, lease, next_run_in_s=3600, seen_request=clock.now(), force=True)
    return {
        "scanned": scanned,
        "entered": entered,
        "recorded": recorded,
        "discover_s": discovered,
        "discover_cpu_s": discover_cpu,
        "hydrate_s": hydrated,
        "hydrate_cpu_s": use_of(os.getpid()).cpu_s - cpu,
        "parser_cpu_s": use_below(os.getpid()).cpu_s - parser_cpu,
        "peak_mb": use_of(os.getpid()).peak_mb,
        "parser_peak_mb": use_below(os.getpid()).peak_mb,
    }


async def let_go(deps: Deps, mailbox_id: UUID) -> None:
    """The next run connects the same mailbox again."""
    async with deps.db.transaction() as tx:
        await tx.execute("UPDATE mailbox SET disconnected_at = now() WHERE id = $1", mailbox_id)


async def _cursors(deps: Deps, lease: Lease) -> dict[str, Any]:
    async with deps.db.snapshot() as snapshot:
        rows = await snapshot.fetch(
            "SELECT folder, history_cursor FROM folder_state WHERE mailbox_id = $1 AND history_cursor IS NOT NULL",
            lease.mailbox_id,
        )
    return {row["folder"]: row["history_cursor"] for row in rows}


async def main(order: dict[str, Any]) -> dict[str, Any]:
    """Does what it is told by `bench.imports`."""
    async with running_environment().deps() as deps:
        viewer = await make_office(deps, order["office"], order["admin"])
        mailbox_id = await connect(deps, viewer, **order["mailbox"])
        answer = {"mailbox_id": mailbox_id.hex, "organisation_id": viewer.organisation_id.hex}
        if order["measures"]:
            answer |= await measure(deps, mailbox_id)
            await let_go(deps, mailbox_id)
        return answer


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
