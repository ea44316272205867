"""Copies of one message are known as one, however they travelled; different messages are not, whatever id they bear."""

import base64
import quopri
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import fingerprint, message_id_key
from domain.mime_parse import parse

HEADERS = (
    b"From: Ana Lima <Ana@Mail.example>\r\nTo: rita@acme.example\r\nSubject: Interview\r\n"
    b"Date: Mon, 2 Mar 2026 09:00:00 +0100\r\n"
)
MESSAGE_ID = b"Message-ID: <1.abc@mail.example>\r\n"
TEXT = b'Content-Type: text/plain; charset="utf-8"\r\n'
BODY = "Tuesday suits me: see you at the café.\r\n"


def mark(raw: bytes) -> bytes:
    return fingerprint(parse(raw))


def plain(body: str = BODY, headers: bytes = MESSAGE_ID + HEADERS) -> bytes:
    return headers + TEXT + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + body.encode()


@pytest.mark.parametrize(
    "header",
    [
        b"Received: from a by b; Mon, 2 Mar 2026 08:00:01 +0000\r\n",
        b"Bcc: hans@acme.example\r\n",
        b"Delivered-To: rita@acme.example\r\n",
        b"X-Spam-Score: 3\r\n",
    ],
)
def test_what_the_way_adds_does_not_count(header: bytes) -> None:
    assert mark(header + plain()) == mark(plain())


def test_the_date_is_a_moment_and_the_sender_an_address_however_they_are_written() -> None:
    rewritten = plain().replace(b"09:00:00 +0100", b"08:00:00 +0000").replace(b"Ana Lima <Ana@M", b'"A. Lima" <ana@m')
    assert mark(rewritten) == mark(plain())


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
def test_encodings_and_line_ends_do_not_count(text: str) -> None:
    head = MESSAGE_ID + HEADERS + TEXT + b"Content-Transfer-Encoding: "
    in_base64 = head + b"base64\r\n\r\n" + base64.encodebytes(text.encode())
    in_quoted_printable = head + b"quoted-printable\r\n\r\n" + quopri.encodestring(text.encode())
    assert mark(in_base64) == mark(plain(text)) == mark(plain(text + "\r\n\r\n")) == mark(in_quoted_printable)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Tuesday", b"Wednesday"),
        (b"09:00:00", b"09:00:01"),
        (b"Ana@Mail.example", b"boris@mail.example"),
        (b"<1.abc", b"<2.abc"),
    ],
)
def test_an_id_alone_makes_no_two_messages_one(old: bytes, new: bytes) -> None:
    assert mark(plain().replace(old, new)) != mark(plain())


def test_attachments_count_by_their_bytes() -> None:
    def with_file(content: bytes) -> bytes:
        message = EmailMessage()
        message["Message-ID"] = "<1.abc@mail.example>"
        message.set_content("See the attachment.")
        message.add_attachment(content, maintype="application", subtype="pdf", filename="cv.pdf")
        return message.as_bytes()

    assert mark(with_file(b"one")) == mark(with_file(b"one")) != mark(with_file(b"two"))


@pytest.mark.parametrize(("old", "new"), [(b"Interview", b"Offer"), (b"rita@acme", b"hans@acme")])
def test_without_an_id_subject_and_recipients_count(old: bytes, new: bytes) -> None:
    assert mark(plain(headers=HEADERS.replace(old, new))) != mark(plain(headers=HEADERS))
    assert mark(plain().replace(old, new)) == mark(plain())


@settings(deadline=None)
@given(st.text(max_size=2000), st.text(max_size=2000))
def test_a_key_is_short_and_tells_ids_apart(one: str, other: str) -> None:
    assert len(message_id_key(one)) == 16
    assert (message_id_key(one) == message_id_key(other)) == (one == other)
