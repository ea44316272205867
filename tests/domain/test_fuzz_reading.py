"""Whatever stands in a message, it is read, within bounds, to something harmless."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.html import render, sanitise, to_text
from domain.mime_parse import parse
from domain.quoting import reply_text
from tests.domain.test_mime_parse import all_texts, assert_storable
from tests.support.safe_html import harm_in

pytestmark = pytest.mark.timeout(180)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- Messages ---

CHARSETS = ["utf-8", "us-ascii", "utf-16", "utf-7", "iso-2022-jp", "hz", "gb18030", "x-none", "punycode", "base64", '"']
ENCODINGS = ["7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "binary", "base64; x", "none"]
LEAF_TYPES = [
    "text/plain", "text/plain; format=flowed; delsp=yes", "text/html", "text/calendar; method=REQUEST", "text", "a/b/c",
    "message/rfc822", "message/partial", "message/delivery-status", "message/external-body", "application/ms-tnef",
    "application/pkcs7-mime; smime-type=signed-data", "application/pgp-encrypted", "image/png", "multipart/mixed",
]  # fmt: skip
CONTENTS = [
    b"On 2.11.2026 a@b.c wrote:\r\n> x\r\n", b"<p>x<img src=cid:x>", b"begin 644 a\nM\n`\nend\n", b"=3D=\r\n=", b"AA==AA==",
    b"From: a@b.c\r\nSubject: x\r\n\r\nx", b"\x78\x9f\x3e\x22", b"\x30\x80\x06\x09", b"\xff\xfe<\0p\0", b"\x1b$B", b"+AGE",
    b"Final-Recipient: rfc822; a@b.c\r\nStatus: 5.1.1\r\nAction: failed\r\n", b"{\\rtf1\\fromhtml1 ", b"\0" * 20,
    b"-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n-----BEGIN PGP SIGNATURE-----\n", b"--b\r\n", b"--b--\r\n", b"\r", b"\n\n",
]  # fmt: skip
HEADERS = [
    b"From: a@b.c", b"To: " + b"(" * 50, b"To: a@b.c,\r\n <d@e.f>", b"Subject: =?utf-8?b?8J+Y?= =?utf-8?b?gA==?=",
    b"Subject: =?utf-16?q?=D8=00?=", b"Subject:\r\n\t x\r\n \0y", b"Date: Mon, 99 Nov 2026 25:61 +9999", b"X: " + b"y" * 5000,
    b"In-Reply-To: Message from A <a@b> of <c@d>", b"References: " + b"<a@b>" * 50, b"Message-ID: <\0@\0>", b"no header",
    b"Content-ID: <x>", b"Content-Disposition: attachment; filename*0*=utf-8''%ff; filename*1=\"..\\\\/\"; filename*99=x",
    b"Content-Disposition: inline; " + b"; ".join(b"p%d=x" % number for number in range(200)),
    b"Auto-Submitted: auto-replied", b"Content-Type: text/html", b"Return-Path: <>",
]  # fmt: skip


@st.composite
def leaf(draw: st.DrawFn) -> bytes:
    kind, charset, encoding = (draw(st.sampled_from(choice)) for choice in (LEAF_TYPES, CHARSETS, ENCODINGS))
    content = draw(st.lists(st.sampled_from(CONTENTS) | st.binary(max_size=20), max_size=8))
    head = f"Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return head.encode() + b"\r\n" + b"".join(content)


@st.composite
def nested(draw: st.DrawFn, parts: st.SearchStrategy[bytes]) -> bytes:
    kind = draw(st.sampled_from(["mixed", "alternative", "related", "signed", "report", "digest", "encrypted", "x"]))
    boundary = draw(st.sampled_from([b"b", b"bb", b"b--", b"=_x", b"b" * 300]))
    lines = [part for inner in draw(st.lists(parts, max_size=4)) for part in (b"--" + boundary, inner)]
    closing = draw(st.sampled_from([b"--" + boundary + b"--\r\n", b""]))
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n' % (kind.encode(), boundary)
    return head + b"\r\n" + b"\r\n".join(lines) + b"\r\n" + closing


@st.composite
def message(draw: st.DrawFn) -> bytes:
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=8))
    body = draw(st.recursive(leaf(), nested, max_leaves=12))
    return b"".join(header + b"\r\n" for header in headers) + body


@thorough
@given(message())
def test_a_message_of_nasty_parts_is_read_within_bounds(raw: bytes) -> None:
    parsed = parse(raw)
    assert_storable(parsed)
    assert sum(len(text) for text in all_texts(parsed)) <= 20 * len(raw) + 5000
    assert sum(len(attachment.content) for attachment in parsed.attachments) <= 4 * len(raw)
    assert harm_in(parsed.html or "") == []


# --- HTML ---

HTML = [
    "<img ", "src=", "src='cid:x'", "onerror=a>", "<a ", "href='", "javascript:", "https://e.example/", "<p ", "style='",
    "color:red;", "background:url(", "position:fixed;", "margin:-1px;", "'", '"', ">", "<!--", "-->", "<![CDATA[", "]]>",
    "<svg>", "</svg>", "<math>", "</math>", "<style>", "</style>", "<script>", "</script>", "<table>", "</table>", "<tr>",
    "<td ", "background='", "<b>", "</b>", 'title="<img ', "&#x6a;", "&#0;", "&lt;", "\0", "<noscript>", "</noscript>",
    "<template>", "<select>", "<option>", "<textarea>", "</textarea>", "<title>", "</title>", "<xmp>", "<plaintext>",
    "<mtext>", "<mglyph>", "<annotation-xml encoding=text/html>", "<foreignObject>", "<form>", "</form>", "<pre>", "\n",
    "</pre>", "<blockquote>", "<li>", "<ul>", "<br>", "<caption>", "<col>", "<i>", "</i>", "</a>", "</p>", "<div>",
    "<body ", "<frameset>", "<font ", "\x0c", "=", "/>", "&amp;", "\u2028", "<?", "data-remote-src='http://a'", "<dd>",
]  # fmt: skip
html = st.lists(st.sampled_from(HTML) | st.text(max_size=5), max_size=40).map("".join)


def words(text: str) -> str:
    return "".join(text.split())


@thorough
@given(html)
def test_safe_html_is_safe_again_and_again_and_keeps_its_words(source: str) -> None:
    stored = sanitise(source)
    assert harm_in(stored) == []
    shown = render(stored, remote_content=True, cid_url=lambda content_id: f"cid:{quote(content_id, safe='')}")
    again = sanitise(shown)
    assert harm_in(again) == []
    assert words(re.sub(r"<[^>]*>", "", again)) == words(re.sub(r"<[^>]*>", "", stored))


@thorough
@given(html)
def test_any_html_has_a_text(source: str) -> None:
    assert not re.search(r"[\0\r]", to_text(source))


# --- Replies ---

LINES = [
    "> a", ">", ">>> b", "-- ", "--", "On 2.11.2026 10:15 a@b.c wrote:", "On", "wrote:", "From: a", "To: b", "Subject: c",
    "Von: a", "Gesendet: b", "Betreff: c", "", "x", "-----Original Message-----", "Sent from my iPhone", "____________",
    ">:", "2026-11-02 10:15 GMT a", "Am 2.11.2026 schrieb a:", "*", "\xa0", "\u200b", "Begin forwarded message:", "***",
]  # fmt: skip
reply = st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=30).map("\n".join)


@thorough
@given(reply)
def test_a_reply_is_lines_of_the_text_in_their_order(text: str) -> None:
    given_lines = iter([line.strip() for line in text.split("\n")])
    for line in reply_text(text).split("\n"):
        assert any(line.strip() == given_line for given_line in given_lines)


# --- Repetition ---


@pytest.mark.parametrize(
    ("read", "pieces"),
    [
        pytest.param(sanitise, HTML, id="sanitise"),
        pytest.param(to_text, HTML, id="to_text"),
        pytest.param(reply_text, [*LINES, "\n", "a@", "1.1.2020 "], id="reply_text"),
        pytest.param(lambda text: parse(text.encode()), [*HTML, *LINES, "Content-Type: text/html\n\n"], id="parse"),
    ],
)
@few
@given(data=st.data())
def test_repetition_takes_no_more_than_linear_time(
    read: Callable[[str], object], pieces: list[str], data: st.DataObject
) -> None:
    """Were it quadratic, these hundred thousand characters would take longer than the test may."""
    start = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=5)))
    piece = "".join(data.draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=4))) or " "
    read(start + piece * (100_000 // len(piece)))
