"""What does every change by an administrator or the applicant tracking system have in common?

The gate, the order, and what may be written: names without stray characters, addresses that are addresses.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID
from weakref import WeakValueDictionary

from domain.access import Viewer
from domain.addresses import base, canonical
from domain.errors import Forbidden, invalid
from services.deps import Deps
from services.unit_of_work import UnitOfWork, unit_of_work

MOST_LISTED = 1000
"""The longest list that one call may give: bounds the work of a transaction."""

_ADDRESS_LENGTH = 320


@dataclass(frozen=True, slots=True)
class WrittenAddress:
    """An address as somebody gave it, with the forms that it is compared by."""

    address: str
    canonical: str
    base: str


_HOLD_MAILBOXES = """
SELECT id FROM mailbox WHERE organisation_id = $1 AND disconnected_at IS NULL ORDER BY id FOR NO KEY UPDATE
"""
_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
"""Within a process calls wait here: each that waited in the database would keep a connection from everybody else."""

_TABLES = {"job": "job", "user": "user_account"}
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


@asynccontextmanager
async def administering(deps: Deps, viewer: Viewer) -> AsyncIterator[UnitOfWork]:
    """A unit of work for who may administer: one at a time in an organisation, and none beside a recording.

    So two calls that make the same row, or give one address to two people, see each other; and from the commit on no
    mail is recorded by the rules of before, not even by a sync that was on its way (R1.6).

    Raises:
        Forbidden: the viewer is neither an administrator nor a service token.
    """
    if not viewer.may_administer:
        raise Forbidden("This is for administrators and service tokens.")
    turn = _turns.setdefault(viewer.organisation_id, asyncio.Lock())
    async with turn, unit_of_work(deps, viewer.organisation_id) as work:
        organisation = viewer.organisation_id.hex
        await work.tx.execute(_ALONE, f"administration:{organisation}")
        # In the order of services.recording, mailbox before record, so that neither waits for the other in a circle.
        await work.tx.fetch(_HOLD_MAILBOXES, viewer.organisation_id)
        await work.tx.execute(_ALONE, f"record:{organisation}")
        yield work


def checked_text(text: str, *path: str, most: int) -> str:
    """The text without white space around it.

    Raises:
        UserMistake: it is empty, longer than `most` characters, or holds what cannot be stored.
    """
    text = text.strip()
    if not text:
        raise invalid("This must not be empty.", *path)
    if len(text) > most:
        raise invalid(f"This must not be longer than {most} characters.", *path)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid("This holds characters that are no text.", *path)
    return text


def checked_external_id(text: str, *path: str) -> str:
    """An id of the applicant tracking system's, kept to the letter.

    Raises:
        UserMistake: it is blank, too long, or holds what cannot be stored.
    """
    checked_text(text, *path, most=200)
    if text != text.strip():
        raise invalid("An id has no white space around it.", *path)
    return text


async def named_ids(
    work: UnitOfWork, kind: Literal["job", "user"], external_ids: Sequence[str], *path: str
) -> frozenset[UUID]:
    """Who or what these external ids stand for.

    Raises:
        UserMistake: one of them is no such id, or there are too many of them.
    """
    checked_length(external_ids, *path)
    checked = [checked_external_id(text, *path, str(position)) for position, text in enumerate(external_ids)]
    rows = await work.tx.fetch(
        f"SELECT external_id, id FROM {_TABLES[kind]} WHERE organisation_id = $1 AND external_id = ANY($2)",
        work.organisation_id,
        checked,
    )
    found = {row["external_id"]: row["id"] for row in rows}
    for position, external_id in enumerate(checked):
        if external_id not in found:
            raise invalid(f"There is no {kind} with this external id.", *path, str(position))
    return frozenset(found.values())


def checked_address(text: str, *path: str) -> WrittenAddress:
    """An address in all its forms.

    Raises:
        UserMistake: it is no mail address.
    """
    address = checked_text(text, *path, most=_ADDRESS_LENGTH)
    comparable = canonical(address)
    if comparable is None:
        raise invalid("This is not a mail address; it looks like name@example.org.", *path)
    return WrittenAddress(address, comparable, base(comparable))


def checked_addresses(texts: Sequence[str], *path: str) -> dict[str, WrittenAddress]:
    """Addresses by their canonical form; of two spellings of one address the first stays.

    Raises:
        UserMistake: there are too many, or one is no mail address.
    """
    checked_length(texts, *path)
    found: dict[str, WrittenAddress] = {}
    for position, text in enumerate(texts):
        written = checked_address(text, *path, str(position))
        found.setdefault(written.canonical, written)
    return found


def checked_length(items: Sequence[object], *path: str) -> None:
    """Refuses a list that is longer than one call may give.

    Raises:
        UserMistake: it is.
    """
    if len(items) > MOST_LISTED:
        raise invalid(f"At most {MOST_LISTED} can be given at once.", *path)
