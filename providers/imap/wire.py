"""What did the server send: bytes into whole responses, and a response into atoms, strings and lists.

A response is a list of alternating texts and literals: `[text]`, `[text, literal, text]` and so on. The line ends are
gone; a text before a literal still ends with its `{size}`, so a literal that was kept only in part can be told.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from providers.imap.failures import ProtocolViolation

Response: TypeAlias = list[bytes]
Value: TypeAlias = "bytes | list[Value] | None"

MAX_LINE_BYTES = 16 * 2**20  # an untagged SEARCH naming two million messages
MAX_LITERAL_BYTES = 2**30
MAX_COMMAND_TEXT_BYTES = 64 * 2**20
MAX_DEPTH = 50
_LINE_BYTES = 64
"""What keeping even an empty line costs."""

_LITERAL_SIZE = re.compile(rb"\{(\d{1,19})\+?\}$")
_STATUS = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_TOKEN = re.compile(
    rb' *(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|~?(\{\d+\+?\}$)|((?:BODY|BINARY)\[[^\]]*\](?:<\d+>)?|[^\s()"]+))',
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb"\\(.)")


class ResponseReader:
    """Takes bytes as they come and gives whole responses; time is linear in the bytes, memory bounded.

    Of each literal only as much is kept as was allowed for; the rest is read and dropped.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._parts: Response = []
        self._literal: bytearray | None = None
        self._missing = 0
        self._room = 0
        self.allow(literal_bytes=0, total_literal_bytes=0)

    @property
    def is_empty(self) -> bool:
        """Nothing is left over: the last byte ended a response."""
        return not self._buffer and not self._parts and self._literal is None

    def allow(self, *, literal_bytes: int, total_literal_bytes: int) -> None:
        """Sets, for the responses to come, how much to keep of one literal and of all together."""
        self._keep_each = literal_bytes
        self._keep_all = total_literal_bytes
        self._text_left = MAX_COMMAND_TEXT_BYTES

    def feed(self, data: bytes) -> Iterator[Response]:
        """The responses that these bytes complete.

        Raises:
            ProtocolViolation: a line, a literal or the whole of it is beyond all reason.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        while True:
            if self._literal is not None:
                position = self._take_literal(position)
                if self._literal is not None:
                    break
            end = buffer.find(b"\r\n", max(position, self._searched))
            if end < 0:
                if len(buffer) - position > MAX_LINE_BYTES:
                    raise ProtocolViolation("line too long")
                break
            line = bytes(buffer[position:end])
            position = end + 2
            if not self._parts and (whole := self._take_usual(line, position)) is not None:
                yield whole
                position += len(whole[1]) + 3
            elif not self._take_line(line):
                parts, self._parts = self._parts, []
                yield parts
        del buffer[:position]
        self._searched = max(len(buffer) - 1, 0)

    def _take_usual(self, line: bytes, position: int) -> Response | None:
        """A response with one literal and nothing but `)` behind it, as nearly all are, where all of it is there.

        It saves the general way's four calls for each of tens of thousands of headers; None leaves the choice to that.
        """
        if line[-1:] != b"}" or line[:2] != b"* " or not line[2:3].isdigit():
            return None
        size = _LITERAL_SIZE.match(line, line.rfind(b"{"))
        if size is None:
            return None
        length = int(size[1])
        end = position + length
        if length > min(self._keep_each, self._keep_all) or self._buffer[end : end + 3] != b")\r\n":
            return None
        text_left = self._text_left - len(line) - 1 - 2 * _LINE_BYTES
        if text_left < 0:
            return None
        self._text_left = text_left
        self._keep_all -= length
        return [line, bytes(self._buffer[position:end]), b")"]

    def _take_line(self, line: bytes) -> bool:
        """Whether a literal follows, so that the response goes on."""
        self._text_left -= len(line) + _LINE_BYTES
        if self._text_left < 0:
            raise ProtocolViolation("response too long")
        self._parts.append(line)
        size = _LITERAL_SIZE.search(line) if line.endswith(b"}") else None
        if size is None or (len(self._parts) == 1 and (not line.startswith(b"* ") or _STATUS.match(line))):
            return False
        self._missing = int(size[1])
        if self._missing > MAX_LITERAL_BYTES:
            raise ProtocolViolation("literal too large")
        self._room = min(self._missing, self._keep_each, self._keep_all)
        self._keep_all -= self._room
        self._literal = bytearray()
        return True

    def _take_literal(self, position: int) -> int:
        """Moves what is there of the literal out of the buffer; returns the position behind it."""
        assert self._literal is not None  # noqa: S101 - the caller's condition, for the type checker
        taken = min(self._missing, len(self._buffer) - position)
        kept = min(taken, self._room)
        self._literal += memoryview(self._buffer)[position : position + kept]
        self._room -= kept
        self._missing -= taken
        if not self._missing:
            self._parts.append(bytes(self._literal))
            self._literal = None
        # The line behind the literal starts afresh; what was searched before lies in the literal.
        self._searched = 0
        return position + taken


def is_cut(text: bytes, literal: bytes) -> bool:
    """Whether of the literal announced at the end of `text` only a part was kept."""
    size = _LITERAL_SIZE.search(text)
    return size is not None and len(literal) < int(size[1])


def parse(parts: Sequence[bytes]) -> list[Value]:
    """The response as nested values: atoms and strings as bytes, NIL as None, parentheses as lists.

    Raises:
        ProtocolViolation: parentheses or quotes do not match.
    """
    top: list[Value] = []
    stack = [top]
    for index in range(0, len(parts), 2):
        literal = parts[index + 1] if index + 1 < len(parts) else None
        _parse_text(parts[index], literal, stack)
    if len(stack) != 1:
        raise ProtocolViolation("unbalanced parentheses")
    return top


def _parse_text(text: bytes, literal: bytes | None, stack: list[list[Value]]) -> None:
    position, end = 0, len(text.rstrip())
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            raise ProtocolViolation("unreadable response")
        position = token.end()
        _take_token(token, literal, stack)


def _take_token(token: re.Match[bytes], literal: bytes | None, stack: list[list[Value]]) -> None:
    opening, closing, quoted, literal_size, atom = token.groups()
    if opening:
        inner: list[Value] = []
        stack[-1].append(inner)
        stack.append(inner)
        if len(stack) > MAX_DEPTH:
            raise ProtocolViolation("nested too deeply")
    elif closing:
        stack.pop()
        if not stack:
            raise ProtocolViolation("unbalanced parentheses")
    elif quoted is not None:
        stack[-1].append(_ESCAPED.sub(rb"\1", quoted))
    elif literal_size and literal is not None:
        stack[-1].append(literal)
    else:
        word = literal_size or atom
        stack[-1].append(None if word.upper() == b"NIL" else word)
