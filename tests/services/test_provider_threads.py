"""Where references lead nowhere, a mailbox's own server may know the thread: in that mailbox, and never two as one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from demo.mailserver import MailSandbox
from providers.base import ServerLogin, TransportSecurity
from services.connecting import HistoryChoice, connect_imap_mailbox
from services.deps import Deps
from services.sync import run_mailbox
from tests.providers.gmail_imap import GmailMessage, gmail
from tests.providers.scripted import serving
from tests.support.office import Office, days_ago, letter, logins

ANA, BORIS = "ana@mail.example", "boris@mail.example"
INTERVIEW, OFFER = 1278455344230334865, 1266894439832287888
RITA, HANS = "rita@firm.example", "hans@firm.example"
"""As they stand in letters: whose mailbox it is does not matter here."""


class GmailUser:
    """A recruiter whose mailbox is at Gmail."""

    def __init__(self, deps: Deps, mailbox_id: UUID, messages: list[GmailMessage]) -> None:
        self.deps = deps
        self.mailbox_id = mailbox_id
        self.messages = messages

    async def receive(self, *letters: tuple[int, bytes]) -> None:
        """New mail, oldest first, each with the conversation that Gmail shows it in; then the mailbox is read."""
        self.messages += [GmailMessage(thread_id, raw, days_ago(0)) for thread_id, raw in letters]
        await run_mailbox(self.deps, self.mailbox_id)


@asynccontextmanager
async def at_gmail(office: Office, address: str, mail_server: MailSandbox) -> AsyncIterator[GmailUser]:
    """A user with an empty mailbox there; what leaves, leaves through the mail server."""
    messages: list[GmailMessage] = []
    async with serving(gmail(messages)) as port:
        mailbox_id = await connect_imap_mailbox(
            office.deps,
            await office.user(address),
            address=address,
            imap=ServerLogin("127.0.0.1", port, TransportSecurity.PLAIN, address, "secret"),
            smtp=logins(address, mail_server)[1],
            history=HistoryChoice("ALL"),
        )
        yield GmailUser(office.deps, mailbox_id, messages)


@pytest.fixture
async def office(deps: Deps) -> Office:
    office = await Office.open(deps)
    await office.candidate(ANA)
    await office.candidate(BORIS)
    return office


@pytest.fixture
async def rita(office: Office, address: str, mail_server: MailSandbox) -> AsyncIterator[GmailUser]:
    async with at_gmail(office, address, mail_server) as user:
        yield user


async def threads(office: Office) -> set[frozenset[str]]:
    """The subjects that stand together."""
    rows = await office.rows("SELECT array_agg(subject) AS subjects FROM message GROUP BY thread_id")
    return {frozenset(row["subjects"]) for row in rows}  # type: ignore[call-overload]  # an array


def said(*groups: str) -> set[frozenset[str]]:
    return {frozenset(group.split()) for group in groups}


async def test_a_message_without_references_stands_with_its_conversation_in_one_batch_and_in_a_later_one(
    office: Office, rita: GmailUser
) -> None:
    await rita.receive(
        (INTERVIEW, letter(ANA, RITA, "first")),
        (OFFER, letter(ANA, RITA, "other")),
        (INTERVIEW, letter(ANA, RITA, "second")),
    )
    await rita.receive((INTERVIEW, letter(RITA, ANA, "third")))
    assert await threads(office) == said("first second third", "other")
    rows = await office.rows("SELECT DISTINCT provider_thread_id FROM message_copy")
    assert {row["provider_thread_id"] for row in rows} == {str(INTERVIEW), str(OFFER)}


async def test_a_message_whose_references_are_not_on_record_stands_with_its_conversation(
    office: Office, rita: GmailUser
) -> None:
    aside = letter(HANS, RITA, "internal")
    await rita.receive((INTERVIEW, letter(ANA, RITA, "first")), (INTERVIEW, aside))
    await rita.receive((INTERVIEW, letter(RITA, ANA, "second", reply_to=aside)))
    assert await threads(office) == said("first second")


async def test_references_outweigh_the_conversation_and_two_threads_in_it_stay_two(
    office: Office, rita: GmailUser
) -> None:
    other = letter(ANA, RITA, "other")
    await rita.receive((INTERVIEW, letter(ANA, RITA, "first")), (OFFER, other))
    await rita.receive((INTERVIEW, letter(RITA, ANA, "answer", reply_to=other)))
    await rita.receive((INTERVIEW, letter(ANA, RITA, "alone")))
    assert await threads(office) == said("first", "other answer", "alone")
    assert await office.rows("SELECT id FROM retired_thread") == []


async def test_a_conversation_with_several_candidates_brings_none_into_anothers_thread(
    office: Office, rita: GmailUser
) -> None:
    """As with notifications, which Gmail shows as one because they have one subject."""
    await rita.receive((INTERVIEW, letter(ANA, RITA, "ana")))
    await rita.receive((INTERVIEW, letter(BORIS, RITA, "boris")))
    assert await threads(office) == said("ana", "boris")


async def test_the_same_conversation_id_in_another_mailbox_says_nothing(
    office: Office, rita: GmailUser, addresses: Iterator[str], mail_server: MailSandbox
) -> None:
    await rita.receive((INTERVIEW, letter(ANA, RITA, "hers")))
    async with at_gmail(office, next(addresses), mail_server) as hans:
        await hans.receive((INTERVIEW, letter(ANA, HANS, "his")))
    assert await threads(office) == said("hers", "his")


async def test_a_copy_in_a_second_mailbox_tells_what_stands_with_it_there(
    office: Office, rita: GmailUser, addresses: Iterator[str], mail_server: MailSandbox
) -> None:
    to_both = letter(ANA, f"{RITA}, {HANS}", "both")
    await rita.receive((INTERVIEW, to_both))
    async with at_gmail(office, next(addresses), mail_server) as hans:
        await hans.receive((OFFER, to_both), (OFFER, letter(ANA, HANS, "his")))
    assert await threads(office) == said("both his")
