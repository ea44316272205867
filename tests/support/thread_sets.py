"""Real correspondence in which others have found the threads: the sets, and how our own threads of them are read off."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from domain import clock
from domain.addresses import canonical
from domain.conversations import Arrival, Conversations
from domain.identity import message_id_key
from domain.mail import ParsedMessage
from domain.mime_parse import parse
from tests.support.mail_files import corpus

SETS = ("b4", "mailkit-jwz", "notmuch-default", "notmuch-lkml", "notmuch-threading")
CANDIDATE = uuid4()

Groups: TypeAlias = frozenset[frozenset[int]]


@dataclass(frozen=True)
class ThreadSet:
    """Messages by their number, the groups on which other programs agree, and the messages on which they do not."""

    messages: Mapping[int, bytes]
    agreed: Groups
    disputed: frozenset[int]


def thread_set(name: str) -> ThreadSet:
    folder = corpus() / "threads" / name
    expected = json.loads((folder / "expected.json").read_text())
    messages = {int(path.stem): path.read_bytes() for path in sorted((folder / "msgs").iterdir())}
    assert len(messages) == expected["count"]
    return ThreadSet(
        messages,
        frozenset(map(frozenset, expected["agreed_groups"])),
        frozenset(expected["disputed_messages"]),
    )


def arrival_of(message: ParsedMessage) -> Arrival:
    """As if everything were with one candidate: then references alone decide."""
    people = [form for entry in (*message.from_, *message.to, *message.cc) if (form := canonical(entry.address or ""))]
    return Arrival(
        own_key=message_id_key(message.rfc_message_id) if message.rfc_message_id else None,
        reference_keys=[message_id_key(reference) for reference in message.ancestry],
        candidate_ids=frozenset({CANDIDATE}),
        sender=next((form for entry in message.from_ if (form := canonical(entry.address or ""))), None),
        people=frozenset(people),
        at=clock.now(),
    )


def arrivals_of(messages: Mapping[int, bytes]) -> dict[int, Arrival]:
    return {number: arrival_of(parse(raw)) for number, raw in messages.items()}


def placed(order: Iterable[int], arrivals: Mapping[int, Arrival]) -> Groups:
    """Who is together after the messages have arrived in this order."""
    conversations = Conversations()
    threads = [(number, conversations.place(arrivals[number])) for number in order]
    return grouped((number, conversations.current(thread)) for number, thread in threads)


def grouped(threads: Iterable[tuple[int, UUID]]) -> Groups:
    found: dict[UUID, set[int]] = {}
    for number, thread in threads:
        found.setdefault(thread, set()).add(number)
    return frozenset(map(frozenset, found.values()))


def nested_groups(response: str) -> Groups:
    """The threads of a THREAD response (RFC 5256 §4), whoever answers whom in them."""
    groups: list[set[int]] = []
    depth = 0
    for token in response.replace("(", " ( ").replace(")", " ) ").split():
        if token == "(":
            if depth == 0:
                groups.append(set())
            depth += 1
        elif token == ")":
            depth -= 1
        else:
            groups[-1].add(int(token))
    return frozenset(map(frozenset, groups))


def apart(ours: Groups, theirs: Groups) -> frozenset[int]:
    """The messages whose company differs."""
    return frozenset(number for group in ours ^ theirs for number in group)


def tree_groups(trees: Sequence[Any]) -> Groups:
    """The threads of a nested list, as the cases write them."""

    def numbers(tree: Any) -> set[int]:
        return {tree} if isinstance(tree, int) else {each for part in tree for each in numbers(part)}

    return frozenset(frozenset(numbers(tree)) for tree in trees)
