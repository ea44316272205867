"""What several subscribers are shown in the same words is what each of them would be shown alone."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType, GraphQLSchema, get_named_type, is_abstract_type, is_object_type

from domain.access import Viewer
from domain.errors import AppError, BadInput, NotAuthenticated
from domain.events import EventKind, NewEvent, Origin
from domain.ids import new_id
from gql.schema.reach import EACH, REACH, Own
from gql.schema.root import schema
from gql.sharing import Shareable, SharedSelection, SharedSelections
from services.cursors import open_cursor, seal_cursor
from services.event_rows import StreamEvent
from services.reading import Reader
from services.sharing import Shown, Variety
from services.unit_of_work import unit_of_work
from tests.support.api import API
from tests.support.factories import NOON, Colleague, Firm

EXECUTABLE: GraphQLSchema = schema._schema
PATIENCE_S = 30
SELECTIONS = 25
SEED = 5


class Page:
    """An outlet that keeps what it is handed."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.raw: list[bytes] = []
        self.ended: AppError | None = None

    def write(self, payload: bytes) -> None:
        self.raw.append(payload)
        self.payloads.append(orjson.loads(payload))

    async def drained(self) -> None:
        pass

    def end(self, reason: AppError) -> None:
        self.ended = reason

    async def holding(self, count: int) -> list[Any]:
        await self.until(lambda: len(self.payloads) >= count)
        return self.payloads

    async def told_all(self) -> None:
        await self.until(lambda: bool(self.payloads) and "AccessChanged" in str(self.payloads[-1]))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)


def reachable() -> Iterator[GraphQLObjectType]:
    """The types that an event leads to through fields that are not each viewer's own."""
    waiting: list[Any] = list(EXECUTABLE.get_possible_types(EXECUTABLE.type_map["Event"]))  # type: ignore[arg-type]
    seen = set()
    while waiting:
        kind = waiting.pop()
        if is_abstract_type(kind):
            waiting.extend(EXECUTABLE.get_possible_types(kind))
        elif is_object_type(kind) and kind.name not in seen:
            seen.add(kind.name)
            yield kind
            for name, field in kind.fields.items():
                if not isinstance(REACH.get(kind.name, {}).get(name, EACH), Own):
                    waiting.append(get_named_type(field.type))


def test_every_field_that_an_event_leads_to_is_declared() -> None:
    declared = {(kind, name) for kind, fields in REACH.items() for name in fields}
    there = {(kind.name, name) for kind in reachable() for name in kind.fields}
    assert there - declared == set(), "say in gql/schema/reach.py whether these look the same to all"
    assert declared - there == set(), "these lead nowhere any more"


# ---------------------------------------------------------------- which are shared


@pytest.fixture
def shared(api: API) -> SharedSelections:
    return SharedSelections(schema, api.deps, api.stream)


def test_a_document_with_the_same_variables_is_one_selection_whatever_cursor_it_goes_on_from(
    shared: SharedSelections,
) -> None:
    query = "subscription ($after: Cursor, $n: Int) { events(after: $after) { cursor ... on ThreadChanged { thread { messages(first: $n) { edges { cursor } } } } } }"
    first, again = shared.of(query, {"after": "a", "n": 3}, None), shared.of(query, {"after": "b", "n": 3}, None)
    other = shared.of(query, {"after": "a", "n": 4}, None)
    assert first is not None
    assert again is not None
    assert other is not None
    assert (first.after, again.after) == ("a", "b")
    assert first.selection is again.selection is not other.selection


@pytest.mark.parametrize(
    ("selection", "varieties"),
    [
        ("cursor at __typename", set()),
        ("... on MessageAdded { message { id sentAt } }", set()),
        ("... on MessageAdded { message { text } }", {Variety.BOUNCES}),
        ("... on MessageAdded { message { thread { isUnread candidates { id } } } }", {Variety.UNREAD, Variety.GROUPS}),
        ("... on MailboxChanged { mailbox { id signature } }", set()),
    ],
)
def test_a_selection_varies_by_what_its_fields_do(
    shared: SharedSelections, selection: str, varieties: set[Variety]
) -> None:
    found = shared.of(f"subscription {{ events {{ {selection} }} }}", None, None)
    assert found is not None
    assert found.selection.varies_by == varieties


@pytest.mark.parametrize(
    "query",
    [
        "subscription { events { ... on MessageAdded { message { bcc { name } } } } }",
        "subscription { events { ... on MessageAdded { message { attachments { id url } } } } }",
        "subscription { events { ... on MessageAdded { message { ...m } } } } fragment m on Message { html }",
        "subscription { events { ... on ThreadChanged { thread { readers { reason } } } } }",
        "subscription { events { ... on ThreadChanged { thread { forwardedFrom { id } } } } }",
        "subscription { events { ... on CandidateChanged { candidate { threads { edges { cursor } } } } } }",
        'subscription { events(filter: {threadId: "x"}) { cursor } }',
        'subscription { events(filter: {mailboxId: "x"}) { cursor } }',
        "subscription ($skip: Boolean!) { events @skip(if: $skip) { cursor } }",
        "subscription { ...s } fragment s on Subscription { events { cursor } }",
        "subscription { events { nope } }",
        "subscription { events",
        "{ viewer { id } }",
        "",
    ],
)
def test_what_is_not_plainly_the_same_for_all_is_shared_with_nobody(shared: SharedSelections, query: str) -> None:
    assert shared.of(query, None, None) is None


# ---------------------------------------------------------------- what is shown

PERSON = "name address raw user { id name email addresses accessLevel isActive } candidate { id name }"
LEAVES = (
    "cursor",
    "at",
    "again: cursor",
    "... on MessageAdded { origin }",
    "... on MessageAdded { message { id direction kind sentAt rfcMessageId } }",
    "... on MessageAdded { message { subject snippet replyText text } }",
    "... on MessageAdded { message { candidates { id name externalId emails { address isInternal addedAt } syncState } } }",
    "... on MessageAdded { message { candidates { jobs { id title status hiringTeam { id } } } } }",
    f"... on MessageAdded {{ message {{ from {{ {PERSON} }} to {{ {PERSON} }} cc {{ raw }} }} }}",
    "... on MessageAdded { message { attachments { id filename contentType size isInline } } }",
    "... on MessageAdded { message { bounce { isComplaint failures { address reason diagnostic statusCode permanence } } } }",
    "... on MessageAdded { message { bounce { aboutRfcMessageId about { id subject } } } }",
    "... on MessageAdded { message { thread { id isUnread } } }",
    "... on MessageAdded { message { thread { candidates { name } subject snippet visibility messageCount } } }",
    "... on ThreadChanged { thread { id isUnread hasAttachments lastMessageAt participants { raw } } }",
    "... on ThreadChanged { thread { messages(first: 2) { edges { cursor node { text subject } } pageInfo { hasNextPage } } } }",
    "... on ThreadChanged { thread { messages(first: 1000) { edges { cursor } } } }",
    "... on ThreadChanged { thread { lastMessage { id snippet text } candidates { id } } }",
    "... on ThreadWithdrawn { threadId }",
    "... on CandidateChanged { candidate { id name jobs { title } emails { address } } }",
    "... on CandidateWithdrawn { candidateId }",
    "... on MailboxChanged { mailbox { id address signature excludedAddresses imap { username } } }",
)


async def scene(firm: Firm) -> tuple[list[Colleague], list[NewEvent]]:
    """Colleagues with all sorts of rights, and what may be told them of what is there."""
    rita, olga = await firm.colleague("Rita"), await firm.colleague("Olga")
    ted, tess, ida = [await firm.colleague(name, "HIRING_TEAM") for name in ("Ted", "Tess", "Ida")]
    job, other = await firm.job("Baker", ted, tess), await firm.job("Cook", tess)
    ana, ben = await firm.applicant("Ana", job), await firm.applicant("Ben", other)
    asked = await firm.letter(ana, to=[rita], files=[("cv.pdf", b"x", None)])
    answer = await firm.letter(ana, ben, sender=rita, to=[ana, ben], bcc=[olga], thread_id=asked.thread_id)
    told = await firm.letter(ana, to=[rita], thread_id=asked.thread_id, reports=(answer, [ana.address]))
    hidden = await firm.letter(ben, to=[tess], visibility="PRIVATE")
    old = await firm.letter(ana, to=[olga], origin=Origin.IMPORT)
    await firm.do(
        "INSERT INTO thread_read (user_id, thread_id, read_until) VALUES ($1, $2, $3)",
        olga.id,
        asked.thread_id,
        NOON + timedelta(days=1),
    )
    mailbox, shared_mailbox = await firm.mailbox(rita), await firm.mailbox(None, ted, ida)
    everybody = (firm.id, ted.id, tess.id, ida.id)
    letters = [
        NewEvent(EventKind.MESSAGE_ADDED, Origin.LIVE, message_id=each.id) for each in (asked, answer, told, hidden)
    ]
    return [rita, olga, ted, tess, ida], [
        *letters,
        NewEvent(EventKind.MESSAGE_ADDED, Origin.IMPORT, message_id=old.id),
        NewEvent(EventKind.THREAD_CHANGED, thread_id=asked.thread_id),
        NewEvent(EventKind.THREAD_CHANGED, thread_id=hidden.thread_id, audience=(tess.id, ida.id)),
        NewEvent(EventKind.CANDIDATE_CHANGED, candidate_id=ana.id, audience=(firm.id, job, other)),
        NewEvent(EventKind.THREAD_WITHDRAWN, thread_id=new_id(), audience=(ida.id, olga.id)),
        NewEvent(EventKind.MAILBOX_CHANGED, mailbox_id=mailbox, audience=everybody),
        NewEvent(EventKind.MAILBOX_CHANGED, mailbox_id=shared_mailbox, audience=everybody),
        NewEvent(EventKind.ACCESS_CHANGED, audience=everybody),
    ]


async def alone(api: API, viewer: Viewer, query: str, after: int) -> list[dict[str, Any]]:
    """What the viewer is told up to AccessChanged by an execution of their own, as JSON."""
    found = []
    async with api.following(viewer, query, after=seal_cursor(api.deps.vault, viewer, after)) as results:
        while True:
            result = await anext(results)
            payload: dict[str, Any] = {"data": result.data}
            if result.errors:
                payload["errors"] = [error.formatted for error in result.errors]
            found.append(orjson.loads(orjson.dumps(payload)))
            if result.data and result.data["events"]["kind"] == "AccessChanged":
                return found


async def test_each_follower_gets_exactly_what_it_would_get_alone(
    api: API, firm: Firm, shared: SharedSelections
) -> None:
    """For selections at random, live and from the table."""
    people, happens = await scene(firm)
    viewers = [await api.viewer(each, firm) for each in people]
    chance = random.Random(SEED)
    queries = [query_of(chance.sample(LEAVES, chance.randint(1, 6))) for _ in range(SELECTIONS)]
    queries += [query_of([leaf]) for leaf in LEAVES]
    asked = [(query, viewer) for query in queries for viewer in viewers]
    selections = {query: shared.of(query, None, None) for query in queries}
    async with AsyncExitStack() as stack:
        live = [await joined(api, stack, viewer, None, selections[query]) for query, viewer in asked]
        before = await position(firm)
        await announce(firm, *happens)
        for page in live:
            await page.told_all()
    for (query, viewer), page in zip(asked, live, strict=True):
        expected = await alone(api, viewer, query, before)
        assert page.payloads == expected, (query, viewer)
        async with AsyncExitStack() as stack:
            again = await joined(api, stack, viewer, before, selections[query])
            assert again.payloads == expected, (query, viewer)


async def test_those_who_are_alike_are_shown_the_very_same_bytes(
    api: API, firm: Firm, shared: SharedSelections
) -> None:
    people = [await firm.colleague(name) for name in ("Rita", "Olga", "Tom", "Uma")]
    ana = await firm.applicant("Ana")
    found = shared.of(query_of(["... on MessageAdded { message { id snippet candidates { name } } }"], ""), None, None)
    async with AsyncExitStack() as stack:
        pages = [await joined(api, stack, await api.viewer(each, firm), None, found) for each in people]
        await firm.letter(ana, to=[people[0]])
        for page in pages:
            await page.holding(1)
    assert len({id(page.raw[0]) for page in pages}) == 1


async def test_a_cursor_of_a_shared_event_is_its_viewers_own(api: API, firm: Firm, shared: SharedSelections) -> None:
    people = [await firm.colleague("Rita"), await firm.colleague("Olga")]
    viewers = [await api.viewer(each, firm) for each in people]
    found = shared.of(query_of(["cursor"]), None, None)
    async with AsyncExitStack() as stack:
        pages = [await joined(api, stack, viewer, None, found) for viewer in viewers]
        await announce(firm, NewEvent(EventKind.ACCESS_CHANGED, audience=(firm.id,)))
        cursors = [(await page.holding(1))[0]["data"]["events"]["cursor"] for page in pages]
    positions = {open_cursor(api.deps.vault, viewer, cursor) for viewer, cursor in zip(viewers, cursors, strict=True)}
    assert len(positions) == 1
    assert cursors[0] != cursors[1]
    with pytest.raises(BadInput):
        open_cursor(api.deps.vault, viewers[0], cursors[1])


async def test_a_follower_resumes_from_any_cursor_without_gap_or_double_while_events_come(
    api: API, firm: Firm, shared: SharedSelections
) -> None:
    rita = await firm.colleague("Rita")
    viewer = await api.viewer(rita, firm)
    found = shared.of("subscription { events { cursor } }", None, None)
    start = await position(firm)

    async def write() -> None:
        for _ in range(40):
            await announce(firm, *[NewEvent(EventKind.ACCESS_CHANGED, audience=(rita.id,))] * 3)

    async def listen(number: int) -> list[str]:
        """Comes and goes."""
        seen: list[str] = []
        while len(seen) < 120:
            async with AsyncExitStack() as stack:
                after = open_cursor(api.deps.vault, viewer, seen[-1]) if seen else start
                page = await joined(api, stack, viewer, after, found)
                await page.holding(min(number, 120 - len(seen)))
            seen += [payload["data"]["events"]["cursor"] for payload in page.payloads]
        return seen

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        listeners = [tasks.create_task(listen(number)) for number in (1, 7, 40, 120)]
    first = listeners[0].result()
    assert first == sorted(set(first))
    assert [listener.result() for listener in listeners] == [first] * 4
    assert len(first) == 120


class Faltering:
    """A selection that the database fails in the middle of the third event."""

    varies_by = frozenset({Variety.GROUPS})

    def __init__(self, shown: SharedSelection) -> None:
        self._shown = shown
        self.calls = 0

    def wants(self, event: StreamEvent) -> bool:
        return self._shown.wants(event)

    async def show(self, reader: Reader, event: StreamEvent) -> Shown | None:
        self.calls += 1
        if self.calls == 6:
            raise ConnectionResetError
        return await self._shown.show(reader, event)


async def test_where_the_database_fails_half_way_each_follower_still_gets_each_event_once(
    api: API, firm: Firm, shared: SharedSelections
) -> None:
    ted, tess = await firm.colleague("Ted", "HIRING_TEAM"), await firm.colleague("Tess", "HIRING_TEAM")
    await firm.job("Baker", ted)
    found = shared.of("subscription { events { cursor kind: __typename } }", None, None)
    assert found is not None
    faltering = Faltering(found.selection)
    async with AsyncExitStack() as stack:
        pages = [
            await joined(api, stack, await api.viewer(each, firm), None, Shareable(faltering, None))  # type: ignore[arg-type]  # one in all that matters
            for each in (ted, tess)
        ]
        await announce(
            firm,
            *[NewEvent(EventKind.CANDIDATE_WITHDRAWN, candidate_id=new_id(), audience=(ted.id, tess.id))] * 5,
            NewEvent(EventKind.ACCESS_CHANGED, audience=(ted.id, tess.id)),
        )
        for page in pages:
            await page.told_all()
    assert faltering.calls > 12
    for page in pages:
        cursors = [payload["data"]["events"]["cursor"] for payload in page.payloads]
        assert len(cursors) == 6
        assert cursors == sorted(set(cursors))


async def test_a_follower_who_leaves_the_organisation_is_shown_out(
    api: API, firm: Firm, shared: SharedSelections
) -> None:
    rita = await firm.colleague("Rita")
    async with AsyncExitStack() as stack:
        found = shared.of("subscription { events { cursor } }", None, None)
        page = await joined(api, stack, await api.viewer(rita, firm), None, found)
        async with unit_of_work(api.deps, firm.id) as work:
            await work.tx.execute("UPDATE user_account SET is_active = false WHERE id = $1", rita.id)
            work.changes_access = True
        await page.until(lambda: page.ended is not None)
    assert isinstance(page.ended, NotAuthenticated)


def query_of(leaves: Sequence[str], always: str = "cursor") -> str:
    return (
        f"subscription($after: Cursor) {{ events(after: $after) {{ kind: __typename {always} {' '.join(leaves)} }} }}"
    )


async def joined(api: API, stack: AsyncExitStack, viewer: Viewer, after: int | None, found: Shareable | None) -> Page:
    assert found is not None
    page = Page()
    follower = await api.stream.follow(viewer, after, found.selection, page)
    stack.callback(api.stream.leave, follower)
    return page


async def position(firm: Firm) -> int:
    async with firm.deps.db.snapshot() as snapshot:
        found: int = await snapshot.fetch_value("SELECT event_position FROM organisation WHERE id = $1", firm.id)
    return found


async def announce(firm: Firm, *events: NewEvent) -> None:
    async with unit_of_work(firm.deps, firm.id) as work:
        for event in events:
            work.announce(event)
