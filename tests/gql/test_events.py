"""What a subscriber is told, in which order, and from where it goes on."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.access import Viewer
from domain.events import EventKind, NewEvent, Origin, position_now
from domain.ids import new_id, to_global
from services.conversations import mark_thread_read
from services.cursors import seal_cursor
from services.unit_of_work import unit_of_work
from tests.support.api import API
from tests.support.factories import NOON, Firm, Letter

EVENTS = """subscription($after: Cursor, $filter: EventFilter) { events(after: $after, filter: $filter) {
  __typename cursor at
  ... on MessageAdded { origin message { id isIt: snippet thread { id isUnread } } }
  ... on ThreadChanged { thread { id isUnread candidates { id } } }
  ... on ThreadWithdrawn { threadId }
  ... on ThreadMerged { thread { id } retiredId }
  ... on CandidateChanged { candidate { id name } }
  ... on CandidateWithdrawn { candidateId }
  ... on MailboxChanged { mailbox { id state } }
} }"""


async def _now(api: API, viewer: Viewer) -> str:
    cursor: str = (await api.get(viewer, "{ eventCursor }"))["eventCursor"]
    return cursor


async def _next(results: AsyncIterator[Any]) -> dict[str, Any]:
    result = await anext(results)
    assert not result.errors, result.errors
    event: dict[str, Any] = result.data["events"]
    return event


async def _announce(firm: Firm, *events: NewEvent) -> None:
    async with unit_of_work(firm.deps, firm.id) as work:
        for event in events:
            work.announce(event)


def _thread(letter: Letter) -> str:
    return to_global("thread", letter.thread_id)


async def test_a_message_reaches_the_subscriber_as_it_is_recorded(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    async with api.following(viewer, EVENTS, after=await _now(api, viewer)) as results:
        letter = await firm.letter(ana, to=[rita])
        event = await _next(results)

    assert event["__typename"] == "MessageAdded"
    assert event["origin"] == "LIVE"
    assert event["message"]["id"] == to_global("message", letter.id)
    assert event["message"]["thread"] == {"id": _thread(letter), "isUnread": True}


async def test_a_client_that_comes_back_with_its_last_cursor_misses_and_doubles_nothing(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    cursor = await _now(api, viewer)
    letters = [await firm.letter(ana, to=[rita]) for _ in range(4)]
    seen = []
    for number in range(6):
        if number == 3:
            letters += [await firm.letter(ana, to=[rita]) for _ in range(2)]
        async with api.following(viewer, EVENTS, after=cursor) as results:
            event = await _next(results)
        assert event["cursor"] > cursor
        cursor = event["cursor"]
        seen.append(event["message"]["id"])

    assert seen == [to_global("message", letter.id) for letter in letters]


async def test_imports_are_told_to_those_who_ask_for_them(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    cursor = await _now(api, viewer)
    await firm.letter(ana, to=[rita], origin=Origin.IMPORT)
    live = await firm.letter(ana, to=[rita])

    async with api.following(viewer, EVENTS, after=cursor) as results:
        assert (await _next(results))["message"]["id"] == to_global("message", live.id)
    async with api.following(viewer, EVENTS, after=cursor, filter={"includeImports": True}) as results:
        assert (await _next(results))["origin"] == "IMPORT"


async def test_a_filter_narrows_to_a_thread_a_candidate_or_a_mailbox(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita")
    ana, ben = await firm.applicant("Ana"), await firm.applicant("Ben")
    mailbox = await firm.mailbox(rita)
    viewer = await api.viewer(rita, firm)
    cursor = await _now(api, viewer)
    hers = await firm.letter(ana, to=[rita])
    his = await firm.letter(ben, to=[rita])
    await _announce(firm, NewEvent(EventKind.MAILBOX_CHANGED, mailbox_id=mailbox, audience=(rita.id,)))

    for narrowed, expected in (
        ({"threadId": _thread(his)}, ("MessageAdded", his.id)),
        ({"candidateId": to_global("candidate", ana.id)}, ("MessageAdded", hers.id)),
        ({"mailboxId": to_global("mailbox", mailbox)}, ("MailboxChanged", mailbox)),
    ):
        async with api.following(viewer, EVENTS, after=cursor, filter=narrowed) as results:
            event = await _next(results)
        shown = event.get("message") or event.get("mailbox")
        assert shown is not None
        assert (event["__typename"], shown["id"].rpartition("_")[2]) == (expected[0], expected[1].hex)


async def test_a_filter_by_what_the_viewer_may_not_see_finds_nothing(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita", "HIRING_TEAM")
    job = await firm.job("Baker", rita)
    seen, hidden = await firm.applicant("Seen", job), await firm.applicant("Hidden")
    viewer = await api.viewer(rita, firm)
    cursor = await _now(api, viewer)
    await firm.letter(seen, hidden, to=[rita])
    await _announce(firm, NewEvent(EventKind.ACCESS_CHANGED, audience=(rita.id,)))

    async with api.following(
        viewer, EVENTS, after=cursor, filter={"candidateId": to_global("candidate", hidden.id)}
    ) as results:
        assert (await _next(results))["__typename"] == "AccessChanged"


async def test_withdrawals_merges_and_changes_of_access_pass_every_filter(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    letter = await firm.letter(ana, to=[rita])
    cursor = await _now(api, viewer)
    gone, retired, candidate = new_id(), new_id(), new_id()
    await firm.do("INSERT INTO retired_thread (id, thread_id) VALUES ($1, $2)", retired, letter.thread_id)
    await _announce(
        firm,
        NewEvent(EventKind.THREAD_WITHDRAWN, thread_id=gone, audience=(rita.id,)),
        NewEvent(EventKind.CANDIDATE_WITHDRAWN, candidate_id=candidate, audience=(rita.id,)),
        NewEvent(EventKind.THREAD_MERGED, thread_id=letter.thread_id, retired_id=retired),
        NewEvent(EventKind.ACCESS_CHANGED, audience=(rita.id,)),
    )

    narrowed = {"threadId": to_global("thread", UUID(int=1)), "candidateId": "nonsense"}
    async with api.following(viewer, EVENTS, after=cursor, filter=narrowed) as results:
        told = [await _next(results) for _ in range(4)]

    assert [event["__typename"] for event in told] == [
        "ThreadWithdrawn",
        "CandidateWithdrawn",
        "ThreadMerged",
        "AccessChanged",
    ]
    assert told[0]["threadId"] == to_global("thread", gone)
    assert told[1]["candidateId"] == to_global("candidate", candidate)
    assert told[2]["retiredId"] == to_global("thread", retired)
    assert told[2]["thread"] == {"id": _thread(letter)}


async def test_a_filter_by_a_thread_follows_it_into_a_merge(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    old, new = await firm.letter(ana, to=[rita]), await firm.letter(ana, to=[rita])
    cursor = await _now(api, viewer)
    async with api.following(viewer, EVENTS, after=cursor, filter={"threadId": _thread(old)}) as results:
        await firm.letter(ana, to=[rita], thread_id=old.thread_id)
        assert (await _next(results))["message"]["thread"]["id"] == _thread(old)
        await firm.do("UPDATE message SET thread_id = $2 WHERE thread_id = $1", old.thread_id, new.thread_id)
        await firm.do("DELETE FROM thread WHERE id = $1", old.thread_id)
        await firm.do("INSERT INTO retired_thread (id, thread_id) VALUES ($1, $2)", old.thread_id, new.thread_id)
        await _announce(firm, NewEvent(EventKind.THREAD_MERGED, thread_id=new.thread_id, retired_id=old.thread_id))
        assert (await _next(results))["__typename"] == "ThreadMerged"
        await firm.letter(ana, to=[rita], thread_id=new.thread_id)
        assert (await _next(results))["message"]["thread"]["id"] == _thread(new)


async def test_each_event_shows_the_present_and_the_rights_of_the_present(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita", "HIRING_TEAM")
    job = await firm.job("Baker", rita)
    ana = await firm.applicant("Ana", job)
    viewer = await api.viewer(rita, firm)
    async with api.following(viewer, EVENTS, after=await _now(api, viewer)) as results:
        letter = await firm.letter(ana, to=[rita])
        assert (await _next(results))["__typename"] == "MessageAdded"
        await firm.do("DELETE FROM job_member WHERE user_id = $1", rita.id)
        await _announce(firm, NewEvent(EventKind.THREAD_CHANGED, thread_id=letter.thread_id, audience=(rita.id,)))
        changed = await _next(results)

    assert changed["thread"] == {"id": _thread(letter), "isUnread": True, "candidates": []}


async def test_an_event_about_what_is_out_of_reach_by_now_is_passed_over(api: API, firm: Firm) -> None:
    olga, ana = await firm.colleague("Olga"), await firm.applicant("Ana")
    viewer = await api.viewer(olga, firm)
    cursor = await _now(api, viewer)
    letter = await firm.letter(ana)
    await _announce(
        firm,
        NewEvent(EventKind.THREAD_CHANGED, thread_id=letter.thread_id, audience=(olga.id,)),
        NewEvent(EventKind.CANDIDATE_CHANGED, candidate_id=ana.id, audience=(firm.id,)),
    )
    await firm.do("UPDATE thread SET readers = '{}' WHERE id = $1", letter.thread_id)

    async with api.following(viewer, EVENTS, after=cursor) as results:
        event = await _next(results)

    assert event["__typename"] == "CandidateChanged"
    assert event["candidate"] == {"id": to_global("candidate", ana.id), "name": "Ana"}


async def test_reading_a_thread_in_one_window_is_told_to_the_viewers_other_windows_alone(api: API, firm: Firm) -> None:
    rita, olga, ana = await firm.colleague("Rita"), await firm.colleague("Olga"), await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita, olga])
    hers, other = await api.viewer(rita, firm), await api.viewer(olga, firm)
    cursors = await _now(api, hers), await _now(api, other)

    await mark_thread_read(api.deps, hers, thread_id=letter.thread_id, is_unread=False)
    later = await firm.letter(ana, to=[olga], sent_at=NOON + timedelta(hours=1))

    async with api.following(hers, EVENTS, after=cursors[0]) as results:
        event = await _next(results)
        assert (event["__typename"], event["thread"]["isUnread"]) == ("ThreadChanged", False)
    async with api.following(other, EVENTS, after=cursors[1]) as results:
        assert (await _next(results))["message"]["id"] == to_global("message", later.id)


async def test_a_cursor_is_good_for_its_viewer_alone(api: API, firm: Firm) -> None:
    rita, olga = await firm.colleague("Rita"), await firm.colleague("Olga")
    stolen = await _now(api, await api.viewer(rita, firm))
    made_up = ("nonsense", "", "0" * 16 + ".AAAA", "f" * 30 + ".AAAAAAAAAAAAAAAA", "-1.AAAAAAAAAAAAAAAA")
    for cursor in (stolen, *made_up):
        async with api.following(await api.viewer(olga, firm), EVENTS, after=cursor) as results:
            result = await anext(results)
        assert [error.extensions["code"] for error in result.errors] == ["BAD_USER_INPUT"]


async def test_a_cursor_that_is_too_old_is_answered_with_a_reset(api: API, firm: Firm) -> None:
    viewer = await api.viewer(await firm.colleague("Rita"), firm)
    old = seal_cursor(api.deps.vault, viewer, position_now() - 30 * 24 * 3600 * 1_000_000)
    async with api.following(viewer, EVENTS, after=old) as results:
        assert (await _next(results))["__typename"] == "StreamReset"


async def test_a_quiet_viewer_is_told_that_there_was_nothing_and_goes_on_from_there(
    api: API, firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.stream.CHECKPOINT_S", 0.05)
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    for start in (None, await _now(api, viewer)):
        async with api.following(viewer, EVENTS, after=start) as results:
            event = await _next(results)
        assert event["__typename"] == "Checkpoint"
    letter = await firm.letter(ana, to=[rita])
    async with api.following(viewer, EVENTS, after=event["cursor"]) as results:
        while (event := await _next(results))["__typename"] == "Checkpoint":
            pass
    assert event["message"]["id"] == to_global("message", letter.id)


async def test_nobody_follows_without_a_token(api: API) -> None:
    async with api.following(None, EVENTS) as results:
        result = await anext(results)
    assert [error.extensions["code"] for error in result.errors] == ["UNAUTHENTICATED"]


async def test_a_user_who_has_left_is_told_so(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    async with api.following(viewer, EVENTS, after=await _now(api, viewer)) as results:
        await firm.letter(ana, to=[rita])
        await _next(results)
        async with unit_of_work(api.deps, firm.id) as work:
            await work.tx.execute("UPDATE user_account SET is_active = false WHERE id = $1", rita.id)
            work.changes_access = True
        result = await anext(results)
    assert [error.extensions["code"] for error in result.errors] == ["UNAUTHENTICATED"]
