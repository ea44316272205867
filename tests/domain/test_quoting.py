"""A reply is shown without what it repeats."""

import logging
import textwrap
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.quoting import reply_text
from tests.domain.reply_sets import DIFFERENT, KEPT
from tests.support.mail_files import corpus

log = logging.getLogger(__name__)
"""The scores are shown by `pytest --log-cli-level=INFO`."""


def dedent(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


@pytest.mark.parametrize(
    "mark",
    [
        "On Mon, Nov 2, 2026 at 10:15 AM Ana Silva <ana@example.org> wrote:",
        "On Mon, Nov 2, 2026 at 10:15 AM Ana Silva\n<ana@example.org>\nwrote:",
        "Am 02.11.2026 um 10:15 schrieb Ana Silva:",
        "Am Mo., 2. Nov. 2026 um 10:15 Uhr schrieb Ana Silva <ana@example.org>:",
        "Le lun. 2 nov. 2026 à 10:15, Ana Silva <ana@example.org> a écrit :",
        "El lun, 2 nov 2026 a las 10:15, Ana Silva (<ana@example.org>) escribió:",
        "Op ma 2 nov. 2026 om 10:15 schreef Ana Silva <ana@example.org>:",
        "2026-11-02 10:15 GMT+01:00 Ana Silva <ana@example.org>:",
    ],
)
def test_a_quotation_and_the_line_before_it_go(mark: str) -> None:
    assert reply_text(f"Yes, gladly.\n\nAna\n\n{mark}\n\n> Would Monday do?\n>\n> Jonas\n") == "Yes, gladly.\n\nAna"
    assert reply_text(f"Yes, gladly.\n\n{mark}\n\nWould Monday do?\n") == "Yes, gladly."


@pytest.mark.parametrize(
    "block",
    [
        "From: Jonas <jonas@talent.example>\nSent: Monday, 2 November 2026 10:15\nTo: Ana\nSubject: Interview",
        "Von: Jonas <jonas@talent.example>\nGesendet: Montag, 2. November 2026 10:15\nAn: Ana\nBetreff: Gespräch",
        "De : Jonas <jonas@talent.example>\nEnvoyé : lundi 2 novembre 2026 10:15\nÀ : Ana\nObjet : Entretien",
        "De: Jonas <jonas@talent.example>\nEnviado el: lunes, 2 de noviembre\nPara: Ana\nAsunto: Entrevista",
        "Van: Jonas <jonas@talent.example>\nVerzonden: maandag 2 november\nAan: Ana\nOnderwerp: Gesprek",
        "________________________________\n*From:* Jonas\n*Sent:* Monday\n*To:* Ana\n*Subject:* Interview",
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "-------- Message d'origine --------",
        "-------- Mensaje original --------",
        "-----Oorspronkelijk bericht-----",
        "---------- Forwarded message ---------",
    ],
)
def test_history_without_quotation_marks_goes(block: str) -> None:
    assert reply_text(f"Yes, gladly.\n\n{block}\n\nWould Monday do?\n") == "Yes, gladly."


@pytest.mark.parametrize(
    "signature",
    [
        "-Ana Silva",
        "-- \nAna Silva\n+351 123",
        "--\nAna",
        "Sent from my iPhone",
        "Von meinem iPhone gesendet",
        "____________",
    ],
)
def test_the_signature_goes(signature: str) -> None:
    assert reply_text(f"Yes, gladly.\n\n{signature}\n") == "Yes, gladly."
    assert reply_text(f"Yes, gladly.\n\n{signature}\n\nOn 2 Nov 2026 at 10:15, Jonas wrote:\n> Do?\n") == "Yes, gladly."


def test_answers_between_quotations_stay_with_what_they_answer() -> None:
    text = dedent(
        """
        Hi Jonas,

        On 2 Nov 2026 at 10:15, Jonas wrote:
        > When can you start?

        In January.

        > Where do you live?

        In Porto.

        > Regards
        > Jonas
        """
    )
    assert reply_text(text) == dedent(
        """
        Hi Jonas,

        On 2 Nov 2026 at 10:15, Jonas wrote:
        > When can you start?

        In January.

        > Where do you live?

        In Porto.
        """
    )


def test_an_answer_below_the_quotation_stands_alone() -> None:
    assert reply_text("On 2 Nov 2026 at 10:15, Jonas wrote:\n> Does Monday suit?\n\nYes.\n\n-- \nAna") == "Yes."


@pytest.mark.parametrize(
    "text",
    [
        "> only a quotation\n> and nothing else",
        "On 2 Nov 2026 at 10:15, Jonas wrote:\n> Does Monday suit?",
        "--\nAna",
        "-----Original Message-----",
    ],
)
def test_what_is_all_history_is_shown_whole(text: str) -> None:
    assert reply_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "On Thursday: I am free from 10:00.\nOn Friday: not.",
        "From: Porto\nI would have to travel.",
        "Sent from my desk, this is much easier to write than on a mobile phone.",
        "Here is why -- and this is not a signature -- it works.",
        "My team wrote:\nmuch Python.",
        "I worked there from 2020: it was good.",
        "I speak\n\n-German\n\n-French",
        "Sent from a place without a network.",
        "See below.\n\n-5 degrees",
    ],
)
def test_what_only_looks_like_history_stays(text: str) -> None:
    assert reply_text(text) == text


def test_what_lies_beyond_the_limit_stays_where_no_history_began() -> None:
    long = "word " * 20_000
    assert reply_text(long) == long.strip("\n")
    lines = "line\n" * 5000
    assert reply_text(lines) == lines.strip()


lines = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [
                "> a",
                ">",
                "-- ",
                "On 2.11.2026 10:15 a@b.c wrote:",
                "On",
                "wrote:",
                "From: a",
                "To: b",
                "Subject: c",
                "",
                "x",
                "-----Original Message-----",
                "Sent from my iPhone",
                "____________",
                ">:",
                "2026-11-02 10:15 GMT a",
            ]
        ),
    ),
    max_size=25,
).map("\n".join)


@given(lines)
def test_a_reply_is_part_of_its_text_and_never_empty_for_nothing(text: str) -> None:
    reply = reply_text(text)
    assert bool(reply.strip()) == bool(text.strip())
    assert set(reply.split()) <= set(text.split())


@pytest.mark.parametrize(
    "text", ["On " * 20_000, "From:\n" * 2000, "On 1.1.2020\n" * 5000, ">" * 65_000, "a@" * 32_000]
)
@pytest.mark.timeout(5)
def test_text_made_to_stall_a_scanner_does_not(text: str) -> None:
    assert reply_text(text)


SETS = ("discourse", "github", "zapier", "willdurand")
_TEMPLATES = {"email_with_date_headers.txt", "email_with_from_headers.txt"}
"""They have a gap where the line before a quotation should be; `test_a_quotation_and_the_line_before_it_go` has those."""


@pytest.mark.parametrize("name", SETS)
def test_nine_in_ten_of_the_known_replies_are_trimmed_as_people_did(name: str) -> None:
    cases, different = trimmed_otherwise(name)
    log.info("%s: %d of %d", name, len(cases) - len(different), len(cases))
    assert len(different) <= len(cases) / 10


@pytest.mark.parametrize("name", SETS)
def test_every_reply_that_is_trimmed_otherwise_is_listed_with_its_reason(name: str) -> None:
    _, different = trimmed_otherwise(name)
    reasons = next(reasons for folder, reasons in DIFFERENT.items() if folder.startswith(name))
    assert sorted(different) == sorted(file for files in reasons.values() for file in files)


def trimmed_otherwise(name: str) -> tuple[list[str], list[str]]:
    """The files of a set, and those of them that come out with other words."""
    cases = dict(discourse_replies() if name == "discourse" else marked_replies(name))
    return list(cases), [file for file, (text, trimmed) in cases.items() if reply_text(text).split() != trimmed.split()]


def discourse_replies() -> Iterator[tuple[str, tuple[str, str]]]:
    folder = corpus("discourse-email-reply-trimmer") / "test"
    for path in sorted((folder / "emails").glob("*.txt")):
        yield path.name, (path.read_text(), (folder / "trimmed" / path.name).read_text())


def marked_replies(name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    folder, marks = next(entry for entry in KEPT.items() if entry[0].startswith(name))
    for path in sorted(corpus(folder).rglob("*.txt")):
        if path.name not in _TEMPLATES:
            text = path.read_text(errors="replace")
            yield path.name, (text, "\n".join(marked_lines(text.split("\n"), marks[path.name])))


def marked_lines(lines: list[str], marks: str) -> Iterator[str]:
    for mark in marks.split(","):
        first, dash, last = mark.partition("-")
        yield from lines[int(first) - 1 : int(last or (len(lines) if dash else first))]
