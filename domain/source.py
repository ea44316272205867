"""Which headers of a message as received tell who was in Bcc, and how is it shown without them?"""

import re
from collections.abc import AsyncIterator

_TRACES = re.compile(
    rb"(?:bcc|resent-bcc|delivered-to|x-delivered-to|x-original-to|envelope-to|x-envelope-to|apparently-to|"
    rb"x-forwarded-to|x-forwarded-for|received|x-received)[ \t]*:",
    re.IGNORECASE,
)
"""Bcc itself, and what servers add that names the mailbox they delivered to (Received: RFC 5321 §4.4, `for`)."""

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")


async def without_traces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The message, given in pieces of any size, without the header fields that name blind recipients.

    Everything after the first empty line is passed on untouched. A bare CR or LF ends a line too, so that no reader of
    the result finds a field that was not recognised here.
    """
    waiting = b""
    is_dropped = False
    async for piece in pieces:
        waiting += piece
        kept, end = bytearray(), 0
        for line in _LINE.finditer(waiting):
            text = line[0]
            if line.end() == len(waiting) and text.endswith(b"\r"):
                break  # perhaps the first half of CR LF
            end = line.end()
            if not text.strip(b"\r\n"):
                yield bytes(kept) + waiting[line.start() :]
                async for rest in pieces:
                    yield rest
                return
            if text[:1] not in b" \t":
                is_dropped = _TRACES.match(text) is not None
            if not is_dropped:
                kept += text
        waiting = waiting[end:]
        if kept:
            yield bytes(kept)
    if waiting[:1] not in (b" ", b"\t"):
        is_dropped = _TRACES.match(waiting) is not None
    if not is_dropped:
        yield waiting
