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
    head = _Head()
    async for piece in pieces:
        kept = piece if head.is_over else head.kept_of(piece)
        if kept:
            yield kept
    if not head.is_over and (rest := head.kept_of(b"", is_last=True)):
        yield rest


class _Head:
    """The header block, line by line, with the lines of one field staying or going together."""

    def __init__(self) -> None:
        self.is_over = False
        self._waiting = b""
        self._is_dropped = False

    def kept_of(self, piece: bytes, *, is_last: bool = False) -> bytes:
        """What stays of the lines that this piece completes; the rest of it too, once the block is over."""
        self._waiting += piece
        kept, end = bytearray(), 0
        for line in _LINE.finditer(self._waiting):
            text = line[0]
            if text.endswith(b"\r") and line.end() == len(self._waiting) and not is_last:
                break  # perhaps the first half of CR LF
            end = line.end()
            if not text.strip(b"\r\n"):
                self.is_over = True
                return bytes(kept) + self._waiting[line.start() :]
            kept += self._judged(text)
        self._waiting = self._waiting[end:]
        return bytes(kept) + (self._judged(self._waiting) if is_last else b"")

    def _judged(self, line: bytes) -> bytes:
        if line[:1] not in (b" ", b"\t"):
            self._is_dropped = _TRACES.match(line) is not None
        return b"" if self._is_dropped else line
