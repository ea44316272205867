"""Threads of real correspondence are those on which other programs agree, in any order of arrival."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain import clock
from domain.addresses import canonical
from domain.conversations import Arrival, Conversations
from domain.identity import message_id_key
from domain.mail import ParsedMessage
from domain.mime_parse import parse
from tests.support.mail_files import corpus

ORDERS = 50
CANDIDATE = uuid4()
SETS = ("b4", "mailkit-jwz", "notmuch-default", "notmuch-lkml", "notmuch-threading")


def arrival(message: ParsedMessage) -> Arrival:
    people = [form for entry in (*message.from_, *message.to, *message.cc) if (form := canonical(entry.address or ""))]
    return Arrival(
        own_key=message_id_key(message.rfc_message_id) if message.rfc_message_id else None,
        reference_keys=[message_id_key(reference) for reference in message.ancestry],
        candidate_ids=frozenset({CANDIDATE}),
        sender=next((form for entry in message.from_ if (form := canonical(entry.address or ""))), None),
        people=frozenset(people),
        at=clock.now(),
    )


def groups(order: list[int], arrivals: dict[int, Arrival]) -> set[frozenset[int]]:
    conversations = Conversations()
    placed = [(number, conversations.place(arrivals[number])) for number in order]
    found: dict[UUID, set[int]] = {}
    for number, thread in placed:
        found.setdefault(conversations.current(thread), set()).add(number)
    return {frozenset(group) for group in found.values()}


def numbered(folder: Path) -> Iterator[tuple[int, Arrival]]:
    for path in sorted(folder.iterdir()):
        yield int("".join(filter(str.isdigit, path.name))), arrival(parse(path.read_bytes()))


@pytest.mark.parametrize("name", SETS)
def test_threads_are_those_on_which_others_agree_in_every_order(name: str) -> None:
    folder = corpus() / "threads" / name
    expected = json.loads((folder / "expected.json").read_text())
    arrivals = dict(numbered(folder / "msgs"))
    assert len(arrivals) == expected["count"]
    agreed = {frozenset(group) for group in expected["agreed_groups"]}
    disputed = frozenset(expected["disputed_messages"])
    for seed in range(ORDERS):
        order = sorted(arrivals)
        random.Random(seed).shuffle(order)
        found = groups(order, arrivals)
        assert sum(map(len, found)) == len(arrivals), "no message is lost"
        assert agreed <= {group - disputed for group in found}
