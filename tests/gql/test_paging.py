"""Pages stay in place while mail arrives: nothing is missed, nothing comes twice, in either direction."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ids import new_id, to_global
from gql.pagination import decode_cursor, encode_cursor
from services.deps import Deps
from tests.support.api import API
from tests.support.factories import LONG_AGO, NOON, Colleague, Firm

MOMENTS = st.datetimes(min_value=LONG_AGO.replace(tzinfo=None), timezones=st.just(NOON.tzinfo or LONG_AGO.tzinfo))


@given(at=MOMENTS, id=st.uuids())
def test_a_cursor_leads_back_to_its_position(at: Any, id: Any) -> None:
    position = decode_cursor(encode_cursor(at, id))
    assert (position.at, position.id) == (at, id)


INBOX = """query($first: Int, $after: String, $last: Int, $before: String) {
  threads(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
RECORD = """query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { candidate(id: $id) {
  threads(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
CONVERSATION = """query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { thread(id: $id) {
  messages(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""

Walk = Callable[..., Any]


async def _walked(page: Walk, size: int, *, backward: bool, between: Callable[[], Any]) -> list[str]:
    """All ids of a list, page by page, with something happening between any two; in the order of the list."""
    found: list[str] = []
    place: dict[str, Any] = {}
    while True:
        shown = await page(**({"last": size} if backward else {"first": size}), **place)
        ids = [edge["node"]["id"] for edge in shown["edges"]]
        assert len(ids) <= size
        assert len(found) < 1000, "the walk does not end"
        found = ids + found if backward else found + ids
        if not shown["pageInfo"]["hasPreviousPage" if backward else "hasNextPage"]:
            return found
        place = {"before": shown["pageInfo"]["startCursor"]} if backward else {"after": shown["pageInfo"]["endCursor"]}
        await between()


async def _firm_with_threads(deps: Deps, minutes: list[int]) -> tuple[Firm, Colleague, Any, list[str]]:
    """A firm with threads at these minutes, several of one minute among them; ids newest first."""
    firm = await Firm.open(deps)
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    letters = [
        (NOON + timedelta(minutes=minute), await firm.letter(ana, to=[rita], sent_at=NOON + timedelta(minutes=minute)))
        for minute in minutes
    ]
    ordered = sorted(((at, letter.thread_id) for at, letter in letters), reverse=True)
    return firm, rita, ana, [to_global("thread", thread_id) for _, thread_id in ordered]


async def test_pages_of_the_inbox_miss_and_double_nothing_while_mail_arrives(api: API) -> None:
    await _holds_while_mail_arrives(api, of_record=False)


async def test_pages_of_a_record_miss_and_double_nothing_while_mail_arrives(api: API) -> None:
    await _holds_while_mail_arrives(api, of_record=True)


async def _holds_while_mail_arrives(api: API, *, of_record: bool) -> None:
    @settings(max_examples=15, deadline=None)
    @given(
        minutes=st.lists(st.integers(0, 5), min_size=1, max_size=9),
        size=st.integers(1, 4),
        backward=st.booleans(),
        arrivals=st.lists(st.integers(-3, 8), max_size=6),
    )
    async def holds(minutes: list[int], size: int, backward: bool, arrivals: list[int]) -> None:
        firm, rita, ana, there = await _firm_with_threads(api.deps, minutes)
        viewer = await api.viewer(rita, firm)
        coming = iter(arrivals)

        async def page(**arguments: Any) -> Any:
            if of_record:
                arguments["id"] = to_global("candidate", ana.id)
                return (await api.get(viewer, RECORD, **arguments))["candidate"]["threads"]
            return (await api.get(viewer, INBOX, **arguments))["threads"]

        async def mail() -> None:
            minute = next(coming, None)
            if minute is not None:
                await firm.letter(ana, to=[rita], sent_at=NOON + timedelta(minutes=minute))

        found = await _walked(page, size, backward=backward, between=mail)

        assert len(set(found)) == len(found)
        assert [each for each in found if each in there] == there

    # Hypothesis calls from a loop of its own otherwise; the database is of this one.
    await _run_here(holds)


async def _run_here(test: Callable[..., Any]) -> None:
    """Runs an asynchronous property within the running loop: draws in a thread, awaits here."""
    loop = asyncio.get_running_loop()
    inner = test.hypothesis.inner_test  # type: ignore[attr-defined]  # Hypothesis' hook for asynchronous tests

    def drawn(*values: Any, **named: Any) -> None:
        asyncio.run_coroutine_threadsafe(inner(*values, **named), loop).result()

    test.hypothesis.inner_test = drawn  # type: ignore[attr-defined]  # as above
    await asyncio.to_thread(test)


async def test_messages_page_oldest_first_in_both_directions(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    first = await firm.letter(ana, to=[rita])
    later = [
        await firm.letter(ana, to=[rita], thread_id=first.thread_id, sent_at=NOON + timedelta(minutes=n // 2))
        for n in range(1, 8)
    ]
    viewer = await api.viewer(rita, firm)

    async def page(**arguments: Any) -> Any:
        arguments["id"] = to_global("thread", first.thread_id)
        return (await api.get(viewer, CONVERSATION, **arguments))["thread"]["messages"]

    async def nothing() -> None:
        return None

    expected = [to_global("message", letter.id) for letter in (first, *later)]
    for size in (1, 3, 8, 50):
        for backward in (False, True):
            assert await _walked(page, size, backward=backward, between=nothing) == expected


async def test_a_page_between_two_cursors_holds_what_lies_between_them(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    await firm.threads(5, ana, to=[rita])
    viewer = await api.viewer(rita, firm)
    cursors = [edge["cursor"] for edge in (await api.get(viewer, INBOX))["threads"]["edges"]]

    for arguments in ({"first": 10}, {"last": 10}):
        between = await api.get(viewer, INBOX, after=cursors[0], before=cursors[4], **arguments)
        assert [edge["cursor"] for edge in between["threads"]["edges"]] == cursors[1:4]


async def test_a_thread_that_is_read_for_several_reasons_is_listed_once(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita", "HIRING_TEAM")
    jobs = [await firm.job(f"Job{n}", rita) for n in range(3)]
    shared = await firm.mailbox(None, rita)
    ana = await firm.applicant("Ana", *jobs)
    letters = await firm.threads(4, ana, to=[rita], mailboxes=[shared])
    viewer = await api.viewer(rita, firm)

    found = await api.get(viewer, INBOX, first=3)

    ids = [edge["node"]["id"] for edge in found["threads"]["edges"]]
    assert ids == [to_global("thread", letter.thread_id) for letter in letters[:0:-1]]
    assert found["threads"]["pageInfo"]["hasNextPage"] is True


async def test_users_jobs_and_candidates_page_too(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita")
    for number in range(5):
        await firm.colleague(f"User{number}")
        await firm.job(f"Job{number}")
        await firm.applicant(f"Applicant{number}")
    viewer = await api.viewer(rita, firm)

    async def nothing() -> None:
        return None

    for field, count in (("users", 6), ("jobs", 5), ("candidates", 5)):
        query = f"""query($first: Int, $after: String) {{ {field}(first: $first, after: $after) {{
          edges {{ cursor node {{ id }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"""

        async def page(query: str = query, field: str = field, **arguments: Any) -> Any:
            return (await api.get(viewer, query, **arguments))[field]

        found = await _walked(page, 2, backward=False, between=nothing)
        assert len(found) == len(set(found)) == count


async def test_a_cursor_of_what_is_gone_still_marks_its_place(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    letters = await firm.threads(3, ana, to=[rita])
    viewer = await api.viewer(rita, firm)
    gone = encode_cursor(NOON + timedelta(minutes=1, seconds=30), new_id())

    found = await api.get(viewer, INBOX, after=gone)

    ids = [edge["node"]["id"] for edge in found["threads"]["edges"]]
    assert ids == [to_global("thread", letter.thread_id) for letter in letters[1::-1]]
