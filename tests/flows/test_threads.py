"""Threads agree with a running Dovecot's, and come out the same through the whole way into the database."""

import imaplib
import random
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import combinations
from uuid import UUID

import pytest

from demo.mailserver import Delivery, MailSandbox
from domain.addresses import base
from domain.ids import new_id
from domain.mime_parse import parse
from services.deps import Deps
from services.message_rows import addresses_of
from services.sync import run_mailbox
from tests.support.office import PASSWORD, Office, days_ago
from tests.support.thread_sets import (
    SETS,
    Groups,
    apart,
    arrivals_of,
    grouped,
    nested_groups,
    placed,
    thread_set,
)

BOTH_HEADERS = (
    "its References name an id that does not exist, and its In-Reply-To the right one: Dovecot reads one of them"
)
UNLIKE_DOVECOT: Mapping[str, Mapping[int, str]] = {
    "notmuch-threading": {10: BOTH_HEADERS, 11: BOTH_HEADERS, 12: BOTH_HEADERS},
}
"""By set and message: why its company here is another than in Dovecot."""


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


@pytest.mark.parametrize("name", SETS)
def test_threads_are_those_of_a_running_dovecot_except_for_the_messages_listed(
    name: str, mail_server: MailSandbox, address: str
) -> None:
    known = thread_set(name)
    mail_server.deliver_many(address, [Delivery(raw) for _, raw in sorted(known.messages.items())])
    arrivals = arrivals_of(known.messages)
    theirs = threads_of_dovecot(mail_server, address, known.messages)
    differing = apart(placed(sorted(arrivals), arrivals), theirs)
    assert differing == UNLIKE_DOVECOT.get(name, {}).keys()


@pytest.mark.parametrize("name", SETS)
async def test_threads_of_one_candidate_are_those_of_references_on_the_way_through_the_database(
    name: str, office: Office, mail_server: MailSandbox, address: str
) -> None:
    known = thread_set(name)
    people = people_of(known.messages)
    candidate = await office.candidate("everybody@mail.example")
    for form in sorted(everyone(people, people)):
        await another_address(office, candidate, form)
    found = await recorded_threads(office, known.messages, mail_server, address)
    arrivals = arrivals_of(known.messages)
    assert found == placed(sorted(arrivals), arrivals)
    assert known.agreed <= {group - known.disputed for group in found}


@pytest.mark.parametrize("name", SETS)
async def test_where_everybody_is_a_candidate_only_what_shares_none_stands_apart(
    name: str, office: Office, mail_server: MailSandbox, address: str
) -> None:
    known = thread_set(name)
    people = people_of(known.messages)
    for form in sorted(everyone(people, people)):
        await office.candidate(form)
    found = await recorded_threads(office, known.messages, mail_server, address)
    arrivals = arrivals_of(known.messages)
    for whole in placed(sorted(arrivals), arrivals):
        parts = [group for group in found if group & whole]
        assert frozenset().union(*parts) == whole
        for one, other in combinations(parts, 2):
            assert not everyone(people, one) & everyone(people, other)


async def recorded_threads(
    office: Office, messages: Mapping[int, bytes], mail_server: MailSandbox, address: str
) -> Groups:
    """The threads in the database after the messages were read from a mailbox, in several batches and no good order."""
    order = sorted(messages)
    random.Random(len(order)).shuffle(order)
    # History is read from the newest backwards.
    deliveries = [Delivery(messages[n], days_ago(1) - timedelta(minutes=at)) for at, n in enumerate(order)]
    mail_server.deliver_many(address, deliveries)
    mailbox = await office.connect(await office.user(address), address, mail_server)
    await run_mailbox(office.deps, mailbox)
    rows = await office.rows(
        "SELECT c.remote_id, m.thread_id FROM message_copy c JOIN message m ON m.id = c.message_id"
    )
    assert len(rows) == len(messages), "no message is lost"
    return grouped((order[int(str(row["remote_id"]).split(":")[1]) - 1], row["thread_id"]) for row in rows)


def threads_of_dovecot(server: MailSandbox, address: str, messages: Mapping[int, bytes]) -> Groups:
    with imaplib.IMAP4(server.host, server.imap_port) as client:
        client.login(address, PASSWORD)
        client.select("INBOX", readonly=True)
        sizes = client.uid("FETCH", "1:*", "(RFC822.SIZE)")[1]
        response = client.uid("THREAD", "REFS", "UTF-8", "ALL")[1][0].decode()
    assert len(sizes) == len(messages)
    return nested_groups(response)


def people_of(messages: Mapping[int, bytes]) -> dict[int, set[str]]:
    return {number: addresses_of(parse(raw)) for number, raw in messages.items()}


def everyone(people: Mapping[int, set[str]], numbers: Iterable[int]) -> set[str]:
    return {form for number in numbers for form in people[number]}


async def another_address(office: Office, candidate_id: UUID, address: str) -> None:
    async with office.deps.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO candidate_email (id, organisation_id, candidate_id, address, canonical, base, added_at) "
            "VALUES ($1, $2, $3, $4, $4, $5, now())",
            new_id(),
            office.organisation_id,
            candidate_id,
            address,
            base(address),
        )
