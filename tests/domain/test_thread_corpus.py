"""Threads of real correspondence are those on which other programs agree, in any order of arrival."""

import json
import random
from collections import Counter
from collections.abc import Mapping

import pytest

from domain.mime_parse import parse
from tests.support.mail_files import corpus
from tests.support.thread_sets import SETS, Groups, arrivals_of, placed, thread_set, tree_groups

ORDERS = 50

BY_SUBJECT = "the case joins by subject"
IMAPTEST_DIFFERENCES = {
    "thread": "a loop: the algorithm cuts off a message that the others name; here all of a loop stay together",
    "thread-orderedsubject": BY_SUBJECT,
    "thread-orderedsubject2": BY_SUBJECT,
    "thread2": "the two are equal to the byte: one message in two copies",
    "thread4": BY_SUBJECT,
}
ZAWINSKI_DIFFERENCES = {
    **dict.fromkeys(("Loop1", "Loop2", "Loop3", "Loop7", "Loop8", "Loop10"), "the case loses the messages of a loop"),
    **dict.fromkeys(("same subject 1", "lkjhlkjh"), BY_SUBJECT),
}


@pytest.mark.parametrize("name", SETS)
def test_threads_are_those_on_which_others_agree_in_every_order(name: str) -> None:
    known = thread_set(name)
    (groups,) = _in_every_order(known.messages)
    assert known.agreed <= {group - known.disputed for group in groups}


def test_imaptests_cases_pass_except_those_listed() -> None:
    differing = set()
    for case in json.loads((corpus() / "threads" / "imaptest-threads.json").read_text()):
        expected = tree_groups(case["expected"])
        # Some cases append more messages after the answer that is compared here.
        present = {number: case["messages"][number - 1] for group in expected for number in group}
        if _in_every_order({number: _from_mbox(text) for number, text in present.items()}) != {expected}:
            differing.add(case["name"])
    assert differing == IMAPTEST_DIFFERENCES.keys()


def test_zawinskis_cases_pass_except_for_the_messages_listed() -> None:
    differing: set[str] = set()
    for case in json.loads((corpus() / "mailkit" / "threading-cases.json").read_text()):
        subjects = [message["subject"] for message in case["messages"]]
        (groups,) = _in_every_order({number: _raw(message) for number, message in enumerate(case["messages"])})
        found = Counter(tuple(sorted(subjects[number] for number in group)) for group in groups)
        expected: list[list[str]] = []
        for depth, subject in case["expected"]:
            if depth == 0:
                expected.append([])
            if subject != "dummy":
                expected[-1].append(subject)
        theirs = Counter(tuple(sorted(group)) for group in expected)
        differing |= {subject for group in (found - theirs) + (theirs - found) for subject in group}
    assert differing == ZAWINSKI_DIFFERENCES.keys()


def test_subjects_that_say_the_same_join_nothing() -> None:
    cases = json.loads((corpus() / "mailkit" / "base-subject-cases.json").read_text())
    subjects = [subject for case in cases for subject in (case["subject"], case["base"])]
    messages = {
        number: _raw({"subject": subject, "msgid": f"<{number}>", "date": "01 Jan 1997 12:00:00 -0400", "refs": None})
        for number, subject in enumerate(subjects)
    }
    arrivals = arrivals_of(messages)
    assert {len(group) for group in placed(sorted(arrivals), arrivals)} == {1}


def test_the_last_id_of_a_sentence_in_in_reply_to_is_what_is_answered() -> None:
    answer = b'In-Reply-To: Message from Ana <ana@mail.example> of "Mon, 2 Mar 2026" <1@mail.example>\r\n'
    arrivals = arrivals_of(
        {
            1: b"Message-ID: <1@mail.example>\r\n\r\n",
            2: b"Message-ID: <2@mail.example>\r\nFrom: rita@acme.example\r\n" + answer + b"\r\n",
            3: b"Message-ID: <3@mail.example>\r\nFrom: rita@acme.example\r\nIn-Reply-To: Ana <ana@mail.example>\r\n\r\n",
        }
    )
    assert placed([1, 2, 3], arrivals) == tree_groups([[1, 2], [3]])


@pytest.mark.parametrize("word", ["yes", "ana@mail.example", "rita@acme.example", "", "reply", "a b"])
def test_words_and_peoples_addresses_glue_no_strangers_together(word: str) -> None:
    people = b"From: Ana <ana@mail.example>\r\nTo: rita@acme.example\r\n"
    reference = f"References: <{word}>\r\nIn-Reply-To: <{word}>\r\n\r\n".encode()
    arrivals = arrivals_of(
        {number: b"Message-ID: <%d@mail.example>\r\n" % number + people + reference for number in (1, 2, 3)}
    )
    assert placed([1, 2, 3], arrivals) == tree_groups([[1], [2], [3]])


def _in_every_order(messages: Mapping[int, bytes]) -> set[Groups]:
    """The groups that come of the orders tried; none loses a message."""
    arrivals = arrivals_of(messages)
    found = set()
    for seed in range(ORDERS):
        order = sorted(arrivals)
        random.Random(seed).shuffle(order)
        groups = placed(order, arrivals)
        assert sum(map(len, groups)) == len(arrivals)
        found.add(groups)
    return found


def _from_mbox(text: str) -> bytes:
    """A message of a case with its sender, who stands in the line before it alone."""
    envelope, _, rest = text.partition("\n")
    return f"From: {envelope.split()[1]}\n{rest}".encode()


def _raw(message: dict[str, str | None]) -> bytes:
    """A message of a case; its ids are abbreviated there, and no real id is without a domain."""
    refs = (message["refs"] or "").replace(">", "@x>")
    fields = {
        "From": "somebody@x.example",
        "Message-ID": (message["msgid"] or "").replace(">", "@x>"),
        "References": refs,
        "Subject": message["subject"],
        "Date": message["date"],
    }
    raw = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value).encode() + b"\r\n\r\n"
    assert parse(raw).rfc_message_id is not None
    return raw
