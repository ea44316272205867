"""Is a mailbox's address really its own? Until that is proven it counts neither as sender nor as participant (R2.1).

It is proven by what its person logs in with, by the organisation's directory, or by a letter that only the owner of the
address receives: the server mails it through its own relay (through the mailbox's own server it would lie in Sent, and
prove nothing), and a sync finds it. An address that is a candidate's is believed on the directory's word alone, since
believing it takes the candidate's mail off the record; a colleague's is never another's by login name, since whoever is
believed to have an address reads what is sent to it.
"""

from collections.abc import Iterable
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import structlog

from domain import clock
from domain.addresses import base, canonical
from domain.changes import RemoteHeader
from domain.errors import ProviderError
from infra.db import Statements, Transaction
from providers.relay import send_by_relay
from services.deps import Deps
from services.leases import Lease, hold

log = structlog.get_logger()

_TEXT = """\
Somebody connected this mailbox to Postroom. This letter proves that mail to this address arrives there.
It is found by itself; there is nothing to do, and it can be deleted in a few minutes.
"""

_IN_DIRECTORY = "SELECT EXISTS (SELECT FROM user_address WHERE user_id = $1 AND canonical = $2)"
_IS_ANOTHERS = """
SELECT EXISTS (SELECT FROM candidate_email WHERE organisation_id = $1 AND base = $2)
    OR EXISTS (SELECT FROM user_address WHERE organisation_id = $1 AND base = $2 AND user_id <> $3)
"""
_BELIEVE = """
UPDATE mailbox SET is_proven = true WHERE id = $1 AND NOT is_proven
   AND NOT EXISTS (SELECT FROM candidate_email e WHERE e.organisation_id = mailbox.organisation_id
                      AND e.base = mailbox.base)
   AND NOT EXISTS (SELECT FROM mailbox m WHERE m.organisation_id = mailbox.organisation_id AND m.is_proven
                      AND m.canonical = mailbox.canonical AND m.disconnected_at IS NULL)
"""


async def is_proven(db: Statements, *, organisation_id: UUID, owner_id: UUID, address: str, username: str) -> bool:
    """Whether an address is believed at the moment of connecting.

    Args:
        address: in canonical form.
        username: what the IMAP server was logged in to with.
    """
    if await db.fetch_value(_IN_DIRECTORY, owner_id, address):
        return True
    # A login name is the word of a server that whoever connects has chosen: it gives nobody another person's address.
    is_anothers = await db.fetch_value(_IS_ANOTHERS, organisation_id, base(address), owner_id)
    return canonical(username) == address and not is_anothers


async def ask_for_proof(deps: Deps, lease: Lease, mailbox: dict[str, Any]) -> None:
    """Mails the letter, once, where the address still wants proof and the server has a relay. Failing costs nothing."""
    settings = deps.settings
    if mailbox["is_proven"] or mailbox["proof_sent_at"] or not settings.postroom_relay_url:
        return
    message_id = mailbox["proof_message_id"] or f"proof.{clock.random_bytes(16).hex()}@postroom.invalid"
    await _remember(deps, lease, message_id, is_sent=False)
    mailbox["proof_message_id"] = message_id
    letter = _letter(mailbox["address"], settings.postroom_relay_from or "postroom@localhost", message_id)
    try:
        await send_by_relay(settings.postroom_relay_url, letter)
    except ProviderError as error:
        log.warning("proof_not_sent", mailbox_id=lease.mailbox_id.hex, code=error.code.value)
        return
    await _remember(deps, lease, message_id, is_sent=True)


async def take_proof(tx: Transaction, mailbox: dict[str, Any], headers: Iterable[RemoteHeader]) -> bool:
    """Believes the address where the letter is among these headers; whether it is believed just now."""
    expected = mailbox["proof_message_id"]
    if mailbox["is_proven"] or expected is None or all(header.rfc_message_id != expected for header in headers):
        return False
    mailbox["is_proven"] = bool(await tx.execute(_BELIEVE, mailbox["id"]))
    return bool(mailbox["is_proven"])


async def _remember(deps: Deps, lease: Lease, message_id: str, *, is_sent: bool) -> None:
    async with deps.db.transaction() as tx:
        await hold(tx, lease)
        await tx.execute(
            "UPDATE mailbox SET proof_message_id = $2, proof_sent_at = $3 WHERE id = $1",
            lease.mailbox_id,
            message_id,
            clock.now() if is_sent else None,
        )


def _letter(address: str, sender: str, message_id: str) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"] = sender, address
    letter["Subject"] = "Your mailbox is connected to Postroom"
    letter["Message-ID"] = f"<{message_id}>"
    letter["Date"] = clock.now()
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(_TEXT)
    return letter
