"""What a message says is read from any bytes."""

import re
import time
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mail import MailAddress, MessageKind, ParsedMessage
from domain.mime_parse import credible_date, parse, read_envelope
from tests.support.mail_files import EML, corpus_files, own_message


def addresses(entries: tuple[MailAddress, ...]) -> list[tuple[str | None, str | None]]:
    return [(entry.name, entry.address) for entry in entries]


def all_texts(value: object) -> list[str]:
    """Every string anywhere in a message."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for item in value for text in all_texts(item)]
    if is_dataclass(value):
        return [text for one in fields(value) for text in all_texts(getattr(value, one.name))]
    return []


def assert_storable(message: ParsedMessage) -> None:
    for text in all_texts(message):
        assert "\0" not in text
        text.encode()
    assert len(message.snippet) <= 200
    assert len(message.snippet.splitlines()) <= 1
    assert len(message.subject.splitlines()) <= 1
    for attachment in message.attachments:
        assert attachment.filename.strip(". ")
        assert not re.search(r"[/\\\x00-\x1f\u202a-\u202e]", attachment.filename)
        assert len(attachment.filename.encode()) <= 255
    assert message.date is None or message.date.tzinfo is UTC


def test_a_message_with_text_html_inline_image_and_file() -> None:
    message = parse(own_message("alternative-with-inline-image"))
    assert message.subject == "Bewerbung als Köchin \N{EN DASH} Unterlagen"
    assert addresses(message.from_) == [("Ana Simões", "ana.simoes@example.org")]
    assert addresses(message.to) == [("Weber, Jonas", "jonas@talent.example"), ("Jürgen", "juergen@talent.example")]
    assert message.date == datetime(2026, 11, 2, 9, 15, tzinfo=UTC)
    assert message.rfc_message_id == "a1@example.org"
    assert message.text == message.snippet == "Grüße aus Porto"
    assert message.html is not None
    assert 'data-cid="logo@example.org"' in message.html
    assert 'data-remote-src="https://track.example/p.gif"' in message.html
    image, cv = message.attachments
    assert (image.content_type, image.content_id, image.is_inline) == ("image/png", "logo@example.org", True)
    assert (cv.filename, cv.content, cv.is_inline) == ("Lebenslauf Simões.pdf", b"%PDF-1.4", False)
    assert message.kind is MessageKind.REGULAR
    assert message.defects == ()


def test_flowed_paragraphs_are_joined() -> None:
    assert parse(own_message("flowed")).text.startswith("One paragraph in two lines.\nAnother.")
    lines = parse(own_message("flowed-delsp")).text.splitlines()
    assert lines == ["This paragraph was broken within a word.", "> quoted line thatgoes on", "Next.", "-- ", "Ana"]


def test_text_is_made_from_html_and_a_wrong_charset_is_seen_through() -> None:
    message = parse(own_message("html-only-mislabelled"))
    assert message.subject == "Grüße"
    assert message.text == "Grüße\n\n- one\n- two\n\n> before"


def test_an_empty_text_beside_html_does_not_hide_it() -> None:
    message = parse(own_message("empty-text-alternative"))
    assert message.text == message.snippet == "Only here"
    assert message.attachments == ()


def test_unlabelled_western_text_is_read() -> None:
    message = parse(own_message("unlabelled-western"))
    assert (message.subject, message.text.strip(), message.from_[0].name) == ("Grüße", "Schöne Grüße", "Jürgen")


def test_a_line_that_is_no_header_does_not_end_the_headers() -> None:
    message = parse(own_message("header-without-colon"))
    assert (message.subject, message.text.strip()) == ("still read", "Body")
    assert message.defects == ("header_malformed",)


def test_a_body_may_start_without_an_empty_line() -> None:
    message = parse(own_message("no-empty-line-before-body"))
    assert message.subject == "short"
    assert message.text.startswith("Hello, here the body")
    assert message.defects == ("header_end_missing",)


def test_a_multipart_that_is_cut_off_keeps_what_arrived() -> None:
    message = parse(own_message("unclosed-multipart"))
    assert message.text == "Hello"
    assert [(part.filename, part.content) for part in message.attachments] == [("notes.txt", b"cut off")]
    assert message.defects == ("not_closed",)


def test_a_first_part_without_its_boundary_line_is_read() -> None:
    message = parse(own_message("first-boundary-missing"))
    assert message.text.strip() == "Grüße, the file is below."
    assert [(part.filename, part.content) for part in message.attachments] == [("cv.pdf", b"%PDF-1.4")]


def test_parts_within_parts_may_have_the_same_boundary() -> None:
    message = parse(own_message("same-boundary-within"))
    assert (message.text, message.html) == ("Good morning", "<p>Good <b>morning</b></p>")
    assert [part.filename for part in message.attachments] == ["cv.pdf"]
    assert message.defects == ()


def test_headers_may_have_lost_the_space_before_their_continuations() -> None:
    message = parse(own_message("unfolded-headers"))
    assert (message.subject, addresses(message.from_)) == ("Still read", [("Ana Silva", "ana@example.org")])
    assert message.text.strip() == "Body"


def test_a_text_sent_as_a_file_is_shown_and_kept() -> None:
    message = parse(own_message("text-as-file"))
    assert message.text.strip() == "Cook since 2019."
    assert [part.filename for part in message.attachments] == ["cv.txt"]


def test_of_two_dates_the_one_that_can_be_read_counts() -> None:
    assert parse(own_message("first-boundary-missing")).date == datetime(2026, 11, 2, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bounce-report", MessageKind.BOUNCE),
        ("bounce-plain", MessageKind.BOUNCE),
        ("automatic-reply", MessageKind.AUTO_REPLY),
        ("invitation", MessageKind.INVITATION),
        ("forwarded-as-attachment", MessageKind.REGULAR),
    ],
)
def test_kinds_are_told_apart(name: str, kind: MessageKind) -> None:
    assert parse(own_message(name)).kind is kind


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"Auto-Submitted: no", MessageKind.REGULAR),
        (b"Auto-Submitted: auto-generated", MessageKind.AUTO_REPLY),
        (b"X-Autoreply: yes", MessageKind.AUTO_REPLY),
        (b"Precedence: auto_reply", MessageKind.AUTO_REPLY),
        (b"Precedence: bulk", MessageKind.REGULAR),
        (b"Subject: Automatische Antwort: Ihre Bewerbung", MessageKind.AUTO_REPLY),
        (b"Subject: Re: out of office", MessageKind.REGULAR),
    ],
)
def test_marks_of_automatic_replies_are_known(header: bytes, kind: MessageKind) -> None:
    assert parse(b"From: ana@example.org\r\n" + header + b"\r\n\r\nx").kind is kind


def test_a_message_within_a_digest_is_a_file_named_by_its_subject() -> None:
    (attachment,) = parse(own_message("forwarded-as-attachment")).attachments
    assert attachment.content_type == "message/rfc822"
    assert attachment.filename == "_.._My CV.eml"
    assert attachment.content.startswith(b"From: ana@example.org")


def test_only_message_ids_are_taken_for_references() -> None:
    message = parse(own_message("sentence-in-reply-to"))
    assert message.rfc_message_id == "no-brackets@talent.example"
    assert message.in_reply_to == ("a1@example.org",)
    assert message.references == ("a0@example.org", "a1@example.org")


def test_file_names_are_safe() -> None:
    names = [part.filename for part in parse(own_message("hostile-file-names")).attachments]
    assert names == ["passwd", "cvfdp.exe", "attachment-3.pdf", "_CON.pdf"]


def test_nul_and_surrogates_reach_no_text() -> None:
    message = parse(own_message("nul-and-surrogates"))
    assert_storable(message)
    assert message.text.startswith("ab")
    assert addresses(message.from_) == [("Ana", "ana@example.org")]


def test_address_lists_are_read_however_they_are_written() -> None:
    message = parse(own_message("address-lists"))
    assert addresses(message.from_) == [("Silva, Ana", "Ana.Silva@Example.org")]
    assert addresses(message.to) == [(None, "jonas@talent.example"), ('Eva "E" B', "eva@talent.example")]
    assert addresses(message.cc) == [
        ("Pete", "pete@silly.example"),
        (None, "max@example.org"),
        ("Bare Name", "bare@example.org"),
        ("broken name", None),
        ("Enc", "enc@example.org"),
        ("unclosed", "u@example.org"),
    ]
    assert addresses(message.reply_to) == [(None, "reply@example.org")]
    assert addresses(message.bcc) == [(None, "bcc@example.org")]
    assert addresses(message.sender) == [(None, "sender@example.org")]


def test_headers_alone_are_read_as_in_the_whole_message() -> None:
    raw = own_message("sentence-in-reply-to")
    envelope, message = read_envelope(raw.partition(b"\r\n\r\n")[0]), parse(raw)
    assert envelope.references == message.references
    assert envelope.rfc_message_id == message.rfc_message_id
    assert envelope.addresses == ("jonas@talent.example", "ana@example.org")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Mon, 2 Nov 2026 10:15:00 +0100", datetime(2026, 11, 2, 9, 15, tzinfo=UTC)),
        ("2 Nov 26 10:15 EST", datetime(2026, 11, 2, 15, 15, tzinfo=UTC)),
        ("Mon, 02 Nov 2026 10:15:00 +0100 (CET)", datetime(2026, 11, 2, 9, 15, tzinfo=UTC)),
        ("Mon, 02 Nov 2026 10:15:00 CET", datetime(2026, 11, 2, 9, 15, tzinfo=UTC)),
        ("Mon, 02 Nov 2026 10.15.00 +0000", datetime(2026, 11, 2, 10, 15, tzinfo=UTC)),
        ("2026-11-02T10:15:00Z", datetime(2026, 11, 2, 10, 15, tzinfo=UTC)),
        ("2026-11-02 10:15:00 +0100", datetime(2026, 11, 2, 9, 15, tzinfo=UTC)),
        ("Mon, 31 Feb 2026 10:15:00 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read_in_the_forms_in_use(header: str, expected: datetime | None) -> None:
    assert parse(f"Date: {header}\r\n\r\n".encode()).date == expected


@pytest.mark.parametrize(
    ("date", "is_believed"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), True),
        (datetime(1990, 1, 1, tzinfo=UTC), True),
        (datetime(1989, 12, 31, tzinfo=UTC), False),
        (datetime(2026, 11, 3, tzinfo=UTC), True),
        (datetime(2026, 11, 3, 0, 0, 1, tzinfo=UTC), False),
        (None, False),
    ],
)
def test_a_date_is_believed_within_reason(date: datetime | None, is_believed: bool) -> None:
    received_at = datetime(2026, 11, 2, tzinfo=UTC)
    assert credible_date(date, received_at) == (date if is_believed else received_at)


@pytest.mark.parametrize(
    ("raw", "defect"),
    [
        (b"".join(b"X-%d: y\r\n" % number for number in range(200_000)), "headers_too_long"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20_000, "too_many_parts"),
        (
            b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000)),
            "nested_too_deep",
        ),
        (b"x" * (64 * 1024 * 1024 + 1), "message_truncated"),
    ],
)
def test_bombs_are_read_up_to_the_limits(raw: bytes, defect: str) -> None:
    assert defect in parse(raw).defects


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"To: " + sign * (500_000 // len(sign)) + b"\r\n\r\n", id=repr(sign))
        for sign in (b'"', b"(", b"<", b":", b"\\", b"<a@b ", b'"\\', b"=?utf-8?q?", b" ", b"@")
    ]
    + [
        pytest.param(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 100_000, id="parts in themselves"),
        pytest.param(b'Content-Type: multipart/mixed; boundary="-"\r\n\r\n' + b"-" * 2_000_000, id="dashes"),
        pytest.param((b"x\n" * 39 + b"To: a\n") * 12_000, id="lines that are no headers"),
        pytest.param(b"Content-Type: text/html\r\n\r\n" + b"&" * 1_000_000, id="ampersands"),
        pytest.param(b"Content-Type: text/plain; " + b"=" * 500_000, id="parameters"),
        pytest.param(b"References: " + b"<a@b" * 200_000, id="references"),
        pytest.param(b"Content-Transfer-Encoding: base64\r\n\r\n" + b"A=" * 1_000_000, id="base64"),
    ],
)
@pytest.mark.timeout(20)
def test_repetition_made_to_stall_a_parser_does_not(raw: bytes) -> None:
    assert_storable(parse(raw))


pieces = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r\n\r\n",
                b"--b\r\n",
                b"--b--",
                b"From: ",
                b"To: a@b.c, ",
                b"Subject: =?utf-8?q?",
                b"=?iso-2022-jp?b?",
                b"?=",
                b"Content-Type: multipart/mixed; boundary=b\r\n",
                b"Content-Type: multipart/alternative; boundary=b\r\n",
                b"Content-Type: text/html; charset=utf-16\r\n",
                b"Content-Type: text/plain; format=flowed; charset=utf-7\r\n",
                b"Content-Type: message/rfc822\r\n",
                b"Content-Disposition: attachment; filename*0*=x''%ff; filename*1=",
                b"Content-Transfer-Encoding: base64\r\n",
                b"Content-Transfer-Encoding: quoted-printable\r\n",
                b"Content-Transfer-Encoding: x-uuencode\r\n",
                b"In-Reply-To: <",
                b"References: <a@b> ",
                b"Date: Mon, 99 Nov 2026 25:61 +9999\r\n",
                b"<p style='",
                b"<img src=cid:x>",
                b"> ",
                b"On 2.11.2026 a@b.c wrote:\r\n",
            ]
        ),
    ),
    max_size=40,
)


@given(pieces.map(b"".join))
def test_any_bytes_are_read_to_something_storable(raw: bytes) -> None:
    assert_storable(parse(raw))


@given(st.sampled_from(sorted(EML.glob("*.eml"))), st.data())
def test_damaged_messages_are_read(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 10))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=10))
    assert_storable(parse(bytes(raw)))


@given(st.text(alphabet='<>@ab1 ,\t"()\r\n.[]', max_size=80))
def test_whatever_is_read_as_a_reference_looks_like_an_id(value: str) -> None:
    envelope = read_envelope(f"From: a@b\r\nReferences: {value}\r\nIn-Reply-To: {value}\r\n\r\n".encode())
    for identifier in envelope.references + envelope.in_reply_to:
        assert not re.search(r"[<>\s]", identifier)
        assert identifier != "a@b"
    assert len(set(envelope.references)) == len(envelope.references)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_credible_date_is_never_past_a_day_after_receipt(date: datetime) -> None:
    received_at = datetime(2026, 11, 2, tzinfo=UTC)
    assert datetime(1990, 1, 1, tzinfo=UTC) <= credible_date(date, received_at) <= received_at + timedelta(days=1)


SECONDS_A_MESSAGE = 2.0
"""Of processor time, so that what else the machine does counts for nothing; the slowest takes a tenth of it."""


@pytest.mark.timeout(300)
def test_every_file_of_the_corpus_is_read_in_time_and_to_something_of_its_size() -> None:
    count = 0
    for path in corpus_files():
        raw = path.read_bytes()
        start = time.process_time()
        message = parse(raw)
        assert time.process_time() - start < SECONDS_A_MESSAGE, path
        assert_storable(message)
        assert kept(message) < 3 * len(raw) + 100_000, path
        count += 1
    assert count > 3000


def kept(message: ParsedMessage) -> int:
    files = sum(len(part.content) for part in message.attachments)
    return len(message.text) + len(message.reply_text) + len(message.html or "") + files
