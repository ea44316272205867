"""The source of a message for others than its recipient names no blind recipient, however it is cut."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.source import without_traces


async def _given(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _shown(pieces: list[bytes]) -> bytes:
    return b"".join([piece async for piece in without_traces(_given(pieces))])


CASES = [
    (b"Subject: x\r\nBcc: a@b.c\r\nTo: d@e.f\r\n\r\nBcc: body\r\n", b"Subject: x\r\nTo: d@e.f\r\n\r\nBcc: body\r\n"),
    (b"Bcc: a@b.c,\r\n d@e.f\r\n\tg@h.i\r\nTo: x@y.z\r\n\r\n", b"To: x@y.z\r\n\r\n"),
    (b"bCC : a@b.c\nDelivered-To: a\nX-Original-To: b\nReceived: c\n d\nA: b\n\nx", b"A: b\n\nx"),
    (b"A: b\rBcc: a@b.c\rC: d\r\rx", b"A: b\rC: d\r\rx"),
    (b"A: b\r\nBcc: a@b.c", b"A: b\r\n"),
    (b"A: b\r\nBcc: a@b.c\r\n", b"A: b\r\n"),
    (b"A: b\r\nBcc: a@b.c\r", b"A: b\r\n"),
    (b"", b""),
    (b"\r\nBcc: body", b"\r\nBcc: body"),
    (
        b"Disposition-Notification-To: kept\r\nBcd: kept\r\n\r\n",
        b"Disposition-Notification-To: kept\r\nBcd: kept\r\n\r\n",
    ),
    (
        b"X-Bcc: a\r\nX-Apparently-To: a\r\nOriginal-recipient: rfc822;a\r\nX-Resolved-To: a\r\nA: b\r\n\r\n",
        b"A: b\r\n\r\n",
    ),
    (b"X-MDRcpt-To: a\r\nX-MDaemon-Deliver-To: a\r\nX-Envelope-Recipient: a\r\nA: b\r\n\r\n", b"A: b\r\n\r\n"),
    (b"A: b\r\r\nBcc: a@b.c\r\r\nC: d\r\n\r\nx", b"A: b\r\r\nC: d\r\n\r\nx"),
    (b"Subject: x\r\n Bcc: folded into the subject\r\n\r\n", b"Subject: x\r\n Bcc: folded into the subject\r\n\r\n"),
]


@pytest.mark.parametrize(("source", "expected"), CASES)
async def test_headers_that_name_blind_recipients_are_left_out(source: bytes, expected: bytes) -> None:
    assert await _shown([source]) == expected


@pytest.mark.parametrize(("source", "expected"), CASES)
async def test_it_is_the_same_byte_by_byte(source: bytes, expected: bytes) -> None:
    assert await _shown([bytes([byte]) for byte in source]) == expected


LONG = b"a" * 1500
LINES = st.sampled_from(
    [b"Bcc: a", b"A: b", b" folded", b"", b"Received: x", b"Bcc : c", b"Bcc: " + LONG, b"A: " + LONG, LONG]
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\r\n"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=8), cuts=st.lists(st.integers(0, 2000), max_size=5))
async def test_it_is_the_same_wherever_the_pieces_end(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    source = b"".join(text + end for text, end in lines)
    places = sorted({min(cut, len(source)) for cut in cuts} | {0, len(source)})
    pieces = [source[start:end] for start, end in pairwise(places)]
    assert await _shown(pieces) == await _shown([source])
