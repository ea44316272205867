"""The event stream: in order, nothing missed, nothing twice, and nothing that the viewer may not read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from demo.mailserver import MailSandbox
from domain.access import Viewer
from domain.errors import NotAuthenticated
from domain.events import EventKind, NewEvent
from domain.ids import new_id
from services.deps import Deps
from services.event_rows import STREAM_RESET, StreamEvent
from services.readers import refresh_readers
from services.sharing import StreamLagged
from services.stream import EventStream
from services.sync import run_mailbox
from services.unit_of_work import unit_of_work
from tests.support.office import Office, days_ago, letter

PATIENCE_S = 10


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


@pytest.fixture
async def stream(deps: Deps) -> AsyncIterator[EventStream]:
    running = EventStream(deps)
    task = asyncio.create_task(running.run())
    await asyncio.sleep(0)
    yield running
    task.cancel()
    await asyncio.wait([task])


async def announce(office: Office, *events: NewEvent) -> None:
    async with unit_of_work(office.deps, office.organisation_id) as work:
        for event in events:
            work.announce(event)


def for_user(viewer: Viewer, **fields: object) -> NewEvent:
    assert viewer.user_id is not None
    return NewEvent(EventKind.MAILBOX_CHANGED, audience=(viewer.user_id,), **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def reading(
    stream: EventStream, viewer: Viewer, after: int | None = None
) -> AsyncIterator[AsyncIterator[StreamEvent]]:
    async with asyncio.timeout(PATIENCE_S), stream.subscribe(viewer, after) as events:
        yield events


async def take(events: AsyncIterator[StreamEvent], count: int) -> list[StreamEvent]:
    return [await anext(events) for _ in range(count)]


async def test_a_subscriber_hears_what_is_for_it_in_order(office: Office, stream: EventStream) -> None:
    rita, carl = await office.user("rita@acme.example"), await office.user("carl@acme.example")
    async with reading(stream, rita) as events:
        await announce(office, for_user(rita), for_user(carl), for_user(rita))
        await announce(office, for_user(rita))
        heard = await take(events, 3)
    positions = [event.position for event in heard]
    assert positions == sorted(set(positions))


async def test_resuming_after_any_event_gives_exactly_the_rest(office: Office, stream: EventStream) -> None:
    rita = await office.user("rita@acme.example")
    async with reading(stream, rita) as events:
        for _ in range(4):
            await announce(office, *[for_user(rita)] * 3)
        heard = [event.position for event in await take(events, 12)]
    for index, position in enumerate(heard[:-1]):
        async with reading(stream, rita, after=position) as events:
            rest = [event.position for event in await take(events, len(heard) - index - 1)]
        assert rest == heard[index + 1 :]


async def test_the_table_meets_the_live_stream_without_gap_or_double(office: Office, stream: EventStream) -> None:
    """Events are written all the while a subscriber joins: each comes once."""
    rita = await office.user("rita@acme.example")
    start = int((await office.rows("SELECT event_position FROM organisation"))[0]["event_position"])  # type: ignore[call-overload]

    async def write() -> None:
        for _ in range(60):
            await announce(office, for_user(rita), for_user(rita))

    async def listen(delay: int) -> list[int]:
        for _ in range(delay):
            await asyncio.sleep(0.005)
        async with reading(stream, rita, after=start) as events:
            return [event.position for event in await take(events, 120)]

    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(write())
        listeners = [tasks.create_task(listen(delay)) for delay in (0, 3, 9, 20)]
    assert writer.done()
    stored = [row["position"] for row in await office.rows("SELECT position FROM event ORDER BY position")]
    assert [listener.result() for listener in listeners] == [stored] * 4


async def test_concurrent_writers_leave_positions_in_commit_order(office: Office, stream: EventStream) -> None:
    rita = await office.user("rita@acme.example")
    async with reading(stream, rita) as events, asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(announce(office, *[for_user(rita)] * 5))
        positions = [event.position for event in await take(events, 40)]
    assert positions == sorted(set(positions))


async def test_a_thread_is_told_only_to_those_who_read_it_now(
    office: Office, stream: EventStream, mail_server: MailSandbox, address: str
) -> None:
    recruiter = await office.user(address, "HIRING_TEAM")
    outsider = await office.user("outsider@acme.example", "HIRING_TEAM")
    await office.candidate("ana@mail.example", await office.job("Cook"))
    mailbox = await office.connect(recruiter, address, mail_server)
    mail_server.deliver(address, letter("ana@mail.example", address, "Hello"), received_at=days_ago(0))
    async with reading(stream, recruiter) as events, reading(stream, outsider) as nothing:
        await run_mailbox(office.deps, mailbox)
        kinds = []
        while EventKind.MESSAGE_ADDED not in kinds:
            kinds.append((await anext(events)).kind)
        await announce(office, for_user(outsider))
        assert (await anext(nothing)).kind == EventKind.MAILBOX_CHANGED


async def test_who_loses_a_thread_is_told_and_hears_no_more_of_it(
    office: Office, stream: EventStream, mail_server: MailSandbox, address: str
) -> None:
    recruiter = await office.user(address, "HIRING_TEAM")
    member = await office.user("member@acme.example", "HIRING_TEAM")
    job = await office.job("Cook", member)
    candidate = await office.candidate("ana@mail.example", job)
    member = await office.viewer("member@acme.example")
    mailbox = await office.connect(recruiter, address, mail_server)
    mail_server.deliver(address, letter("ana@mail.example", address, "Hello"))
    async with reading(stream, member) as events:
        await run_mailbox(office.deps, mailbox)
        added = await anext(events)
        assert added.kind == EventKind.MESSAGE_ADDED
        async with unit_of_work(office.deps, office.organisation_id) as work:
            await work.tx.execute("DELETE FROM application WHERE candidate_id = $1", candidate)
            await refresh_readers(work, [added.thread_id])  # type: ignore[list-item]
        withdrawn = await anext(events)
        assert (withdrawn.kind, withdrawn.thread_id) == (EventKind.THREAD_WITHDRAWN, added.thread_id)
        await announce(office, NewEvent(EventKind.THREAD_CHANGED, thread_id=added.thread_id), for_user(member))
        assert (await anext(events)).kind == EventKind.MAILBOX_CHANGED
    async with reading(stream, member, after=added.position - 1) as events:
        assert [event.kind for event in await take(events, 2)] == ["ThreadWithdrawn", "MailboxChanged"]


async def test_rights_that_change_act_at_once_in_an_open_stream(office: Office, stream: EventStream) -> None:
    rita = await office.user("rita@acme.example", "HIRING_TEAM")
    job = await office.job("Cook")
    async with reading(stream, rita) as events:
        await announce(office, for_user(rita))
        await anext(events)
        async with unit_of_work(office.deps, office.organisation_id) as work:
            await work.tx.execute("INSERT INTO job_member (job_id, user_id) VALUES ($1, $2)", job, rita.user_id)
            work.changes_access = True
            work.announce(NewEvent(EventKind.MAILBOX_CHANGED, audience=(job,)))
        assert (await anext(events)).kind == EventKind.MAILBOX_CHANGED


async def test_a_candidate_who_leaves_a_job_is_withdrawn_from_its_team_and_changed_for_the_others(
    office: Office, stream: EventStream
) -> None:
    await office.user("full@acme.example")
    await office.user("member@acme.example", "HIRING_TEAM")
    full, member = await office.viewer("full@acme.example"), await office.viewer("member@acme.example")
    job = await office.job("Cook", member)
    member = await office.viewer("member@acme.example")
    candidate = await office.candidate("ana@mail.example", job)
    async with reading(stream, full) as theirs, reading(stream, member) as events:
        async with unit_of_work(office.deps, office.organisation_id) as work:
            await work.tx.execute("DELETE FROM application")
            audience = (office.organisation_id, job)
            work.announce(NewEvent(EventKind.CANDIDATE_CHANGED, candidate_id=candidate, audience=audience))
        assert (await anext(theirs)).kind == EventKind.CANDIDATE_CHANGED
        withdrawn = await anext(events)
        assert (withdrawn.kind, withdrawn.candidate_id) == (EventKind.CANDIDATE_WITHDRAWN, candidate)


async def test_a_viewer_who_left_is_shown_out(office: Office, stream: EventStream) -> None:
    rita = await office.user("rita@acme.example")
    async with reading(stream, rita) as events:
        async with unit_of_work(office.deps, office.organisation_id) as work:
            await work.tx.execute("UPDATE user_account SET is_active = false")
            work.changes_access = True
        with pytest.raises(NotAuthenticated):
            await anext(events)


async def test_a_slow_subscriber_is_cut_off_and_can_resume(office: Office, stream: EventStream) -> None:
    rita = await office.user("rita@acme.example")
    async with reading(stream, rita) as events, reading(stream, rita) as quick:
        for _ in range(5):
            await announce(office, *[for_user(rita)] * 300)
            await take(quick, 300)
        heard: list[StreamEvent] = []
        with pytest.raises(StreamLagged):
            while True:
                heard.append(await anext(events))
    async with reading(stream, rita, after=heard[-1].position) as events:
        assert len(heard) + len(await take(events, 1500 - len(heard))) == 1500


async def test_a_cursor_older_than_what_is_kept_gives_a_reset_and_then_goes_on(
    office: Office, stream: EventStream
) -> None:
    rita = await office.user("rita@acme.example")
    await announce(office, for_user(rita))
    async with reading(stream, rita, after=1) as events:
        assert (await anext(events)).kind == STREAM_RESET
        await announce(office, for_user(rita))
        assert (await anext(events)).kind == EventKind.MAILBOX_CHANGED


async def test_organisations_never_hear_each_other(office: Office, stream: EventStream) -> None:
    rita = await office.user("rita@acme.example")
    other = await Office.open(office.deps)
    rival = await other.user("rival@other.example")
    async with reading(stream, rita) as events, reading(stream, rival) as theirs:
        await announce(other, NewEvent(EventKind.MAILBOX_CHANGED, audience=(rita.user_id, rival.user_id)))  # type: ignore[arg-type]
        await announce(office, for_user(rita))
        mine = await anext(events)
        assert (await anext(theirs)).position != mine.position


async def test_rights_that_change_before_a_subscriber_joins_act_too(office: Office, stream: EventStream) -> None:
    """The viewer was read, then the change came, and the stream had taken it in before the viewer joined."""
    rita = await office.user("rita@acme.example", "HIRING_TEAM")
    job = await office.job("Cook")
    async with reading(stream, await office.user("olga@acme.example")) as others:
        async with unit_of_work(office.deps, office.organisation_id) as work:
            await work.tx.execute("INSERT INTO job_member (job_id, user_id) VALUES ($1, $2)", job, rita.user_id)
            work.changes_access = True
            work.announce(NewEvent(EventKind.MAILBOX_CHANGED, audience=(office.organisation_id,)))
        await anext(others)
        async with reading(stream, rita) as events:
            await announce(office, NewEvent(EventKind.MAILBOX_CHANGED, audience=(job,)))
            assert (await anext(events)).kind == EventKind.MAILBOX_CHANGED


async def test_a_withdrawal_names_the_thread_that_was_known_and_not_the_one_it_went_into(
    office: Office, stream: EventStream
) -> None:
    rita = await office.user("rita@acme.example", "HIRING_TEAM")
    known, kept = new_id(), new_id()
    await announce(office, for_user(rita))
    before = int((await office.rows("SELECT event_position FROM organisation"))[0]["event_position"])  # type: ignore[call-overload]
    async with unit_of_work(office.deps, office.organisation_id) as work:
        assert rita.user_id is not None
        work.announce(NewEvent(EventKind.THREAD_WITHDRAWN, thread_id=known, audience=(rita.user_id,)))
        await work.tx.execute(
            "INSERT INTO thread (id, organisation_id, subject, snippet, last_message_at, created_at) "
            "VALUES ($1, $2, '', '', now(), now())",
            kept,
            office.organisation_id,
        )
        await work.tx.execute("INSERT INTO retired_thread (id, thread_id) VALUES ($1, $2)", known, kept)
    async with reading(stream, rita, after=before) as events:
        assert (await anext(events)).thread_id == known
