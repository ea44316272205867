"""A page costs the same number of SQL statements whatever it holds, and one snapshot."""

import pytest

from domain.access import Viewer
from domain.ids import to_global
from tests.gql.test_reading import CONVERSATION, INBOX
from tests.support.api import API
from tests.support.factories import Colleague, Firm

EVERYTHING_OF_A_CANDIDATE = """id name externalId emails { address isInternal } jobs { id hiringTeam { id addresses } }
  syncState unreadThreadCount threads(first: 3) { edges { node { id } } }"""
EVERYTHING_OF_A_THREAD = """id subject candidates { id syncState } participants { user { id } candidate { id } }
  messages(first: 2) { edges { node { id html attachments { url } candidates { id } thread { id } } } }
  lastMessage { text attachments { id } } readers { user { id } reason } viewerCanSetVisibility forwardedFrom { id }"""
EVERYTHING_OF_A_MAILBOX = """id state owner { id } viewers { id } searches { found candidate { id } } import { matched }
  coverage { seen notCandidate } quarantine { reason }"""

# The most statements that each may take.
PAGES = {
    "inbox": (INBOX, 2),
    "threads, all of them": (f"{{ threads(first: 100) {{ edges {{ node {{ {EVERYTHING_OF_A_THREAD} }} }} }} }}", 14),
    "threads found by a word": (
        '{ threads(filter: {search: "hello -nothing"}) { edges { node { id subject } matches { fragments { text } } } } }',
        3,
    ),
    "threads of the record found by a word": (
        '{ candidates { edges { node { threads(filter: {search: "hello"}) { edges { matches { field } } } } } } }',
        3,
    ),
    "threads of the record": (
        "{ candidates { edges { node { threads { edges { node { id lastMessage { id } } } } } } } }",
        2,
    ),
    "candidates": (f"{{ candidates {{ edges {{ node {{ {EVERYTHING_OF_A_CANDIDATE} }} }} }} }}", 7),
    "users": ("{ users { edges { node { id addresses mailboxes { id } } } } }", 2),
    "jobs": ("{ jobs { edges { node { id hiringTeam { id } } } } }", 2),
    "sharedMailboxes": (f"{{ sharedMailboxes {{ {EVERYTHING_OF_A_MAILBOX} }} }}", 6),
    "unreadThreadCount": ("{ unreadThreadCount }", 1),
    "organisation": ("{ organisation { id } viewer { id } }", 2),
}


@pytest.fixture
async def rita(firm: Firm) -> Colleague:
    return await firm.colleague("Rita")


@pytest.fixture
async def viewer(api: API, firm: Firm, rita: Colleague) -> Viewer:
    await firm.mailbox(rita)
    await _grow(firm, rita, 0)
    return await api.viewer(rita, firm)


async def _grow(firm: Firm, rita: Colleague, number: int) -> None:
    """One more of everything that there can be many of."""
    other = await firm.colleague(f"Other{number}")
    job = await firm.job(f"Job{number}", rita, other)
    applicant = await firm.applicant(f"Applicant{number}", job)
    mailbox = await firm.mailbox(None, rita, other)
    first = await firm.letter(applicant, to=[rita, other], mailboxes=[mailbox])
    await firm.letter(
        applicant,
        to=[rita],
        html="<p>Hello</p>",
        files=[("cv.pdf", b"%PDF", None)],
        forwarded_from=first.thread_id,
    )


@pytest.mark.parametrize(("query", "most"), PAGES.values(), ids=PAGES)
async def test_a_page_of_many_takes_no_more_statements_than_a_page_of_one(
    api: API, firm: Firm, rita: Colleague, viewer: Viewer, query: str, most: int
) -> None:
    of_few = await api.ask(viewer, query)
    for number in range(1, 8):
        await _grow(firm, rita, number)
    renewed = await api.viewer(rita, firm)
    of_many = await api.ask(renewed, query)

    assert not of_few.errors
    assert not of_many.errors
    assert len(str(of_many.data)) >= len(str(of_few.data))
    assert of_many.statements == of_few.statements <= most
    assert of_few.snapshots == of_many.snapshots == 1


async def test_a_conversation_takes_as_many_statements_for_fifty_messages_as_for_one(
    api: API, firm: Firm, rita: Colleague, viewer: Viewer
) -> None:
    ana = await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita], html="<p>x</p>", files=[("cv.pdf", b"%PDF", None)])
    query = CONVERSATION.replace("first: 20", "first: 100")

    of_one = await api.ask(viewer, query, id=to_global("thread", letter.thread_id))
    for _ in range(49):
        await firm.letter(
            ana, to=[rita], html="<p>x</p>", files=[("cv.pdf", b"%PDF", None)], thread_id=letter.thread_id
        )
    of_fifty = await api.ask(viewer, query, id=to_global("thread", letter.thread_id))

    assert of_fifty.data is not None
    assert len(of_fifty.data["thread"]["messages"]["edges"]) == 50
    assert of_fifty.statements == of_one.statements <= 6


async def test_the_inbox_takes_as_many_statements_for_fifty_threads_as_for_one(
    api: API, firm: Firm, rita: Colleague, viewer: Viewer
) -> None:
    of_few = await api.ask(viewer, INBOX)
    await firm.threads(50, await firm.applicant("Ana"), to=[rita])
    of_fifty = await api.ask(viewer, INBOX)

    assert of_fifty.data is not None
    assert len(of_fifty.data["threads"]["edges"]) == 50
    assert of_fifty.statements == of_few.statements == 2


async def test_many_ids_of_one_kind_are_looked_up_at_once(
    api: API, firm: Firm, rita: Colleague, viewer: Viewer
) -> None:
    letters = await firm.threads(20, await firm.applicant("Ana"), to=[rita])
    ids = [to_global("thread", letter.thread_id) for letter in letters]
    answer = await api.ask(viewer, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)

    assert answer.data is not None
    assert [node["id"] for node in answer.data["nodes"]] == ids
    assert answer.statements == 1


async def test_the_cursor_of_the_events_is_of_the_same_moment_as_the_lists(api: API, viewer: Viewer) -> None:
    answer = await api.ask(viewer, "{ eventCursor threads { edges { cursor } } candidates { edges { cursor } } }")
    assert answer.snapshots == 1
