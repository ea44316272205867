"""Messages find their thread by references, in any order of arrival, and forged references open nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from domain.conversations import Arrival, Conversations, KnownThread, ProviderThread

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANA, BORIS = uuid4(), uuid4()
RECRUITER, CANDIDATE = "rita@acme.example", "ana@mail.example"
PEOPLE = (RECRUITER, CANDIDATE)
HERS = ProviderThread(uuid4(), "1278455344230334865")
"""A conversation in the recruiter's mailbox."""


def arrival(
    own: str | None,
    *references: str,
    candidates: frozenset[UUID] = frozenset({ANA}),
    sender: str = CANDIDATE,
    people: frozenset[str] = frozenset({RECRUITER, CANDIDATE}),
    of: ProviderThread | None = None,
) -> Arrival:
    return Arrival(
        own_key=own.encode() if own else None,
        reference_keys=[reference.encode() for reference in references],
        candidate_ids=candidates,
        sender=sender,
        people=people,
        at=START,
        provider_thread=of,
    )


def test_a_reply_joins_the_thread_of_what_it_answers() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1"))
    assert conversations.place(arrival("2", "1")) == first


def test_messages_without_references_stay_apart() -> None:
    conversations = Conversations()
    assert conversations.place(arrival("1")) != conversations.place(arrival("2"))
    assert conversations.place(arrival(None)) != conversations.place(arrival(None))


def test_siblings_meet_through_a_parent_that_never_came() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("2", "1"))
    assert conversations.place(arrival("3", "1")) == first


def test_a_late_parent_joins_its_children() -> None:
    conversations = Conversations()
    child = conversations.place(arrival("2", "1"))
    assert conversations.place(arrival("1")) == child


def test_a_bridge_makes_one_thread_of_two_and_the_older_id_lives_on() -> None:
    older = KnownThread(uuid4(), START, {ANA}, {RECRUITER, CANDIDATE}, {b"1"})
    newer = KnownThread(uuid4(), START + timedelta(hours=1), {ANA}, {RECRUITER, CANDIDATE}, {b"3"})
    conversations = Conversations([newer, older])
    kept = conversations.place(arrival("2", "3", "1"))
    assert kept == older.id
    assert conversations.merged == {newer.id: older.id}
    assert conversations.place(arrival("4", "3")) == older.id


def test_a_forged_reference_to_another_candidates_thread_opens_nothing() -> None:
    conversations = Conversations()
    of_ana = conversations.place(arrival("1"))
    of_boris = conversations.place(arrival("2", "1", candidates=frozenset({BORIS}), sender="boris@mail.example"))
    assert of_boris != of_ana
    assert conversations.place(arrival("3", "1")) == of_ana


def test_a_forged_reference_to_a_message_yet_to_come_does_not_capture_it() -> None:
    conversations = Conversations()
    forged = conversations.place(arrival("2", "1", candidates=frozenset({BORIS}), sender="boris@mail.example"))
    genuine = conversations.place(arrival("1"))
    assert genuine != forged
    assert conversations.place(arrival("3", "1")) == genuine


def test_a_bridge_by_somebody_outside_one_of_the_threads_merges_nothing() -> None:
    apart = KnownThread(uuid4(), START, {ANA}, {"other@acme.example", CANDIDATE}, {b"1"})
    near = KnownThread(uuid4(), START, {ANA}, {RECRUITER, CANDIDATE}, {b"2"})
    conversations = Conversations([apart, near])
    assert conversations.place(arrival("3", "1", "2", sender=RECRUITER)) == near.id
    assert not conversations.merged


def test_threads_without_a_common_candidate_stay_apart_though_a_message_concerns_both() -> None:
    of_ana = KnownThread(uuid4(), START, {ANA}, {RECRUITER}, {b"1"})
    of_boris = KnownThread(uuid4(), START, {BORIS}, {RECRUITER}, {b"2"})
    conversations = Conversations([of_ana, of_boris])
    conversations.place(arrival("3", "1", "2", candidates=frozenset({ANA, BORIS}), sender=RECRUITER))
    assert not conversations.merged


def test_a_loop_loses_nobody() -> None:
    conversations = Conversations()
    threads = [conversations.place(each) for each in (arrival("1", "3"), arrival("2", "1"), arrival("3", "2"))]
    assert len(set(threads)) == 1
    assert conversations.place(arrival("4", "4")) != threads[0]


def test_different_messages_with_one_message_id_stand_in_one_thread_and_none_is_lost() -> None:
    """As a rule they are one message that a server on the way has written into."""
    conversations = Conversations()
    first = conversations.place(arrival("1"))
    assert conversations.place(arrival("1", sender=RECRUITER)) == first
    assert conversations.place(arrival("2", "1")) == first


def test_a_repeated_message_id_leads_to_no_other_candidates_thread() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1"))
    assert conversations.place(arrival("1", candidates=frozenset({BORIS}))) != first


def test_a_message_without_any_id_is_found_by_none_and_finds_what_it_answers() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1"))
    assert conversations.place(arrival(None, "1")) == first
    assert conversations.place(arrival(None)) != first


def test_a_merge_keeps_the_oldest_of_several_and_every_old_id_leads_there() -> None:
    threads = [
        KnownThread(uuid4(), START + timedelta(hours=hour), {ANA}, {RECRUITER, CANDIDATE}, {str(hour).encode()})
        for hour in (2, 0, 3, 1)
    ]
    conversations = Conversations(threads)
    kept = conversations.place(arrival("9", "0", "1", "2", "3"))
    assert kept == threads[1].id
    assert {conversations.current(thread.id) for thread in threads} == {kept}


def test_where_no_reference_leads_anywhere_the_mailbox_may_know_the_thread() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1", of=HERS))
    assert conversations.place(arrival("2", of=HERS)) == first
    assert conversations.place(arrival("3", "unseen", of=HERS)) == first
    assert conversations.place(arrival("4")) != first


def test_a_later_copy_of_a_known_message_tells_the_mailboxs_conversation_too() -> None:
    known = KnownThread(uuid4(), START, {ANA}, {RECRUITER, CANDIDATE}, {b"1"})
    conversations = Conversations([known])
    conversations.hear(HERS, known.id)
    assert conversations.place(arrival("2", of=HERS)) == known.id


def test_the_same_name_in_another_mailbox_is_another_conversation() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1", of=HERS))
    assert conversations.place(arrival("2", of=ProviderThread(uuid4(), HERS.id))) != first


def test_references_outweigh_the_mailbox() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1", of=HERS))
    second = conversations.place(arrival("2"))
    assert conversations.place(arrival("3", "2", of=HERS)) == second != first


def test_the_mailbox_brings_a_message_to_no_other_candidates_thread() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1", of=HERS))
    assert conversations.place(arrival("2", candidates=frozenset({BORIS}), of=HERS)) != first


def test_the_mailbox_makes_no_one_thread_of_two() -> None:
    one = KnownThread(uuid4(), START, {ANA}, {RECRUITER, CANDIDATE}, {b"1"})
    other = KnownThread(uuid4(), START, {ANA}, {RECRUITER, CANDIDATE}, {b"2"})
    conversations = Conversations([one, other])
    conversations.hear(HERS, one.id)
    assert conversations.place(arrival("3", "2", of=HERS)) == other.id
    assert not conversations.merged
    assert conversations.place(arrival("4", of=HERS)) not in {one.id, other.id}, "it has told nothing"


def test_what_branched_off_is_no_place_for_an_answer_without_references() -> None:
    """A forward lies in the same conversation as what was forwarded, and others read it."""
    original = KnownThread(uuid4(), START, {ANA}, {RECRUITER, CANDIDATE}, {b"1"})
    branch = KnownThread(uuid4(), START, {ANA}, {RECRUITER}, {b"2"}, is_branch=True)
    conversations = Conversations([original, branch])
    conversations.hear(HERS, original.id)
    conversations.hear(HERS, branch.id)
    assert conversations.place(arrival("3", of=HERS)) == original.id
    conversations = Conversations([branch])
    conversations.hear(HERS, branch.id)
    assert conversations.place(arrival("3", of=HERS)) != branch.id


def test_a_conversation_of_a_mailbox_follows_its_thread_through_a_merge() -> None:
    conversations = Conversations()
    first = conversations.place(arrival("1"))
    second = conversations.place(arrival("2", of=HERS))
    kept = conversations.place(arrival("3", "1", "2"))
    assert {conversations.current(first), conversations.current(second)} == {kept}
    assert conversations.place(arrival("4", of=HERS)) == kept


@st.composite
def correspondence(draw: st.DrawFn) -> list[Arrival]:
    """Messages of one candidate and one recruiter: loops, repeated and missing ids, parents that never come."""
    ids = st.integers(0, 11).map(str)
    return [
        arrival(draw(st.none() | ids), *draw(st.lists(ids, max_size=3)), sender=draw(st.sampled_from(PEOPLE)))
        for _ in range(draw(st.integers(1, 10)))
    ]


@st.composite
def busy_correspondence(draw: st.DrawFn) -> list[Arrival]:
    """Messages of several candidates and several senders, some with what their mailbox says of them."""
    ids = st.integers(0, 7).map(str)
    return [
        arrival(
            draw(st.none() | ids),
            *draw(st.lists(ids, max_size=2)),
            candidates=draw(st.sampled_from([frozenset({ANA}), frozenset({BORIS}), frozenset({ANA, BORIS})])),
            sender=(sender := draw(st.sampled_from([*PEOPLE, "boris@mail.example"]))),
            people=frozenset({sender, draw(st.sampled_from(PEOPLE))}),
            of=draw(st.none() | st.builds(ProviderThread, st.just(HERS.mailbox_id), st.sampled_from("ab"))),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]


def threads_of(messages: Sequence[Arrival]) -> tuple[Conversations, list[UUID]]:
    conversations = Conversations()
    placed = [
        conversations.place(replace(message, at=START + timedelta(seconds=number)))
        for number, message in enumerate(messages)
    ]
    return conversations, [conversations.current(thread) for thread in placed]


@given(correspondence(), st.data())
def test_the_order_of_arrival_does_not_change_who_is_together(messages: list[Arrival], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(messages))))
    _, threads = threads_of(messages)
    _, shuffled = threads_of([messages[number] for number in order])
    assert together([threads[number] for number in order]) == together(shuffled)


@given(correspondence())
def test_together_are_exactly_those_whom_references_connect(messages: list[Arrival]) -> None:
    """The same said in another way: components of the graph of messages and ids."""
    groups: list[tuple[set[int], set[bytes]]] = []
    for number, message in enumerate(messages):
        keys = {*message.reference_keys, *([message.own_key] if message.own_key else [])}
        near = [group for group in groups if group[1] & keys]
        groups = [group for group in groups if group not in near]
        groups.append((set().union({number}, *(group[0] for group in near)), keys.union(*(group[1] for group in near))))
    _, threads = threads_of(messages)
    found = {frozenset(number for number, each in enumerate(threads) if each == thread) for thread in threads}
    assert found == {frozenset(group[0]) for group in groups}


@given(busy_correspondence())
def test_no_message_is_lost_and_every_thread_is_where_it_is_said_to_be(messages: list[Arrival]) -> None:
    conversations, threads = threads_of(messages)
    assert set(threads) == conversations.threads.keys()
    assert set(conversations.created) == conversations.threads.keys() | conversations.merged.keys()
    assert {conversations.current(retired) for retired in conversations.merged} <= conversations.threads.keys()
    assert all(
        key in conversations.threads[conversations.current(thread)].keys for thread, key in conversations.learned
    )


@given(busy_correspondence())
def test_a_thread_is_about_the_candidates_of_its_messages_and_each_shares_one_with_another(
    messages: list[Arrival],
) -> None:
    conversations, threads = threads_of(messages)
    for thread_id, thread in conversations.threads.items():
        held = [message for message, where in zip(messages, threads, strict=True) if where == thread_id]
        assert thread.candidate_ids == set().union(*(message.candidate_ids for message in held))
        assert len(held) == 1 or all(
            any(message.candidate_ids & other.candidate_ids for other in held if other is not message)
            for message in held
        )


@given(busy_correspondence())
def test_a_merge_keeps_the_older_thread(messages: list[Arrival]) -> None:
    conversations, _ = threads_of(messages)
    made = {thread_id: number for number, thread_id in enumerate(conversations.created)}
    assert all(made[kept] < made[retired] for retired, kept in conversations.merged.items())


@given(correspondence())
def test_what_comes_again_changes_nothing(messages: list[Arrival]) -> None:
    conversations, threads = threads_of(messages)
    merged, learned = dict(conversations.merged), list(conversations.learned)
    with_ids = [number for number, message in enumerate(messages) if message.own_key or message.reference_keys]
    assert [conversations.place(messages[number]) for number in with_ids] == [threads[number] for number in with_ids]
    assert (conversations.merged, conversations.learned) == (merged, learned)


@given(correspondence())
def test_a_batch_goes_on_where_the_last_one_ended(messages: list[Arrival]) -> None:
    """It sees threads as the database has them."""
    _, expected = threads_of(messages)
    known: list[KnownThread] = []
    threads: list[UUID] = []
    for message in messages:
        batch = Conversations(known)
        threads.append(batch.place(message))
        threads = [batch.current(thread) for thread in threads]
        known = list(batch.threads.values())
    assert together(threads) == together(expected)


def together(threads: Sequence[UUID]) -> list[list[bool]]:
    return [[one == other for other in threads] for one in threads]
