"""Which headers of a message as received tell who was in Bcc, and how is it shown without them?"""

import re
from collections.abc import AsyncIterator

_TRACES = re.compile(
    rb"[!-9;-~]{0,100}"
    rb"(?:bcc|received|rcpt|recipient|(?:deliver|delivered|envelope|resolved|apparently|original|forwarded)-to|forwarded-for)"
    rb"[!-9;-~]{0,100}[ \t]*:",
    re.IGNORECASE,
)
"""Bcc itself, and what servers add that names the mailbox they delivered to, under whatever name with one of these in
it: Received (RFC 5321 §4.4, `for`), Delivered-To, X-Apparently-To, X-Resolved-To, Original-Recipient, X-MDRcpt-To."""

_LINE_END = re.compile(rb"\r+\n?|\n")
"""CR CR LF, which some programs make of CR LF, is one end of a line; so is a bare CR, however many follow it."""

_ENOUGH_BYTES = 1000
"""Of a line, to tell which field it is."""


async def without_traces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The message, given in pieces of any size, without the header fields that name blind recipients.

    Everything after the first empty line, which ends in LF, is passed on untouched. A bare CR or LF ends a line too, so
    that no reader of the result finds a field that was not recognised here. Takes linear time.
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
        self._is_within_line = False
        self._is_dropped = False

    def kept_of(self, piece: bytes, *, is_last: bool = False) -> bytes:
        """What stays of the lines that this piece completes; the rest of it too, once the block is over."""
        self._waiting += piece
        kept, end = bytearray(), 0
        whole = len(self._waiting if is_last else self._waiting.rstrip(b"\r"))  # after CR, LF may be to come
        for line_end in _LINE_END.finditer(self._waiting):
            if line_end.end() > whole:
                break
            start, end = end, line_end.end()
            text = self._waiting[start:end]
            if not self._is_within_line and text.endswith(b"\n") and not text.strip(b"\r\n"):
                self.is_over = True
                return bytes(kept) + self._waiting[start:]
            kept += self._judged(text)
            self._is_within_line = False
        self._waiting = self._waiting[end:]
        if is_last or len(self._waiting) > _ENOUGH_BYTES:
            kept += self._judged_so_far(is_last=is_last)
        return bytes(kept)

    def _judged_so_far(self, *, is_last: bool) -> bytes:
        """What stays of a line whose end is not there yet; a CR at its end waits for its LF."""
        cut = len(self._waiting) - (self._waiting.endswith(b"\r") and not is_last)
        begun, self._waiting = self._waiting[:cut], self._waiting[cut:]
        kept = self._judged(begun)
        self._is_within_line = True
        return kept

    def _judged(self, line: bytes) -> bytes:
        if not self._is_within_line and line[:1] not in (b" ", b"\t"):
            self._is_dropped = _TRACES.match(line) is not None
        return b"" if self._is_dropped else line
