"""Messages find their thread by references, in any order of arrival, and forged references open nothing."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from domain.conversations import Arrival, Conversations, KnownThread

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANA, BORIS = uuid4(), uuid4()
RECRUITER, CANDIDATE = "rita@acme.example", "ana@mail.example"


def arrival(
    own: str | None,
    *references: str,
    candidates: frozenset[UUID] = frozenset({ANA}),
    sender: str = CANDIDATE,
    people: frozenset[str] = frozenset({RECRUITER, CANDIDATE}),
) -> Arrival:
    return Arrival(
        own_key=own.encode() if own else None,
        reference_keys=[reference.encode() for reference in references],
        candidate_ids=candidates,
        sender=sender,
        people=people,
        at=START,
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


@st.composite
def correspondence(draw: st.DrawFn) -> list[Arrival]:
    """Messages of one candidate and one recruiter, each answering some earlier ones or none."""
    messages: list[Arrival] = []
    for number in range(draw(st.integers(1, 9))):
        earlier = draw(st.lists(st.integers(0, max(number - 1, 0)), max_size=3, unique=True)) if number else []
        messages.append(arrival(str(number), *map(str, sorted(earlier))))
    return messages


@given(correspondence(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_who_is_together(messages: list[Arrival], random: object) -> None:
    def groups(order: list[Arrival]) -> set[frozenset[bytes | None]]:
        conversations = Conversations()
        placed = [(message.own_key, conversations.place(message)) for message in order]
        found: dict[UUID, set[bytes | None]] = {}
        for key, thread in placed:
            found.setdefault(conversations.current(thread), set()).add(key)
        return {frozenset(group) for group in found.values()}

    shuffled = list(messages)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert groups(shuffled) == groups(messages)


@given(correspondence())
def test_replaying_what_is_known_gives_the_same_threads(messages: list[Arrival]) -> None:
    """A batch sees threads as the database has them: it must go on where the last one ended."""
    whole = Conversations()
    expected = [whole.place(message) for message in messages]
    expected = [whole.current(thread) for thread in expected]
    known: list[KnownThread] = []
    threads: list[UUID] = []
    for message in messages:
        batch = Conversations(known)
        threads.append(batch.place(message))
        threads = [batch.current(thread) for thread in threads]
        known = list(batch.threads.values())
    together = [[one == other for other in threads] for one in threads]
    assert together == [[one == other for other in expected] for one in expected]
