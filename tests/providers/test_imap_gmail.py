"""Gmail over IMAP tells which conversation a message is in; servers that do not know of it are not asked."""

import pytest

from domain.changes import FetchedMessage, RemoteRef
from providers.imap.connection import Deadlines
from tests.providers.gmail_imap import ALL_MAIL, GmailMessage, gmail
from tests.providers.letters import day
from tests.providers.scripted import Script, provider_at, serving

THREAD = 1278455344230334865
LARGEST = 2**64 - 1
MESSAGES = [
    GmailMessage(THREAD, b"Subject: small\n\nHello.\n", day(1)),
    GmailMessage(LARGEST, b"Subject: large\n\n" + b"x" * 2_500_000, day(2)),
]


async def fetched(script: Script) -> list[FetchedMessage]:
    refs = [RemoteRef(ALL_MAIL, f"7:{number}", len(message.raw)) for number, message in enumerate(MESSAGES, start=1)]
    async with serving(script) as port, provider_at(port, deadlines=Deadlines()).open() as session:
        return [message async for message in session.fetch(refs)]


async def test_messages_come_with_their_conversation_whole_or_in_slices() -> None:
    small, large = await fetched(gmail(MESSAGES))
    assert (small.provider_thread_id, large.provider_thread_id) == (str(THREAD), str(LARGEST))
    assert [small.raw, large.raw] == [message.raw for message in MESSAGES]


async def test_a_server_without_the_extension_is_not_asked() -> None:
    small, large = await fetched(gmail(MESSAGES, capabilities=b"IMAP4rev1 AUTH=PLAIN"))
    assert (small.provider_thread_id, large.provider_thread_id) == (None, None)
    assert [small.raw, large.raw] == [message.raw for message in MESSAGES]


@pytest.mark.parametrize("thread_id", [-1, 10**20])
async def test_what_is_no_conversation_id_costs_no_message(thread_id: int) -> None:
    small, _ = await fetched(gmail([GmailMessage(thread_id, MESSAGES[0].raw, day(1)), MESSAGES[1]]))
    assert (small.provider_thread_id, small.raw) == (None, MESSAGES[0].raw)
