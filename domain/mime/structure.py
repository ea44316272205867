"""Of which parts does a message consist?

One pass for each level of nesting over the bytes, within limits that hold before anything is decoded. Nothing is
refused: what is beyond a limit stays one opaque part, and what is broken is read as its sender most likely meant it.
It agrees with the servers' own readings of real mail more often than the parsers to be had, and has no input that
takes it more than linear time.

Source: RFC 2045, RFC 2046, RFC 5322.
"""

import binascii
import re
from dataclasses import dataclass, field
from functools import cached_property

from domain.mime import charsets
from domain.mime.parameters import ParameterisedValue, read_parameterised

MESSAGE_BYTES = 64 * 1024 * 1024
"""Beyond the largest that the big providers deliver unencoded (50 MB, November 2026)."""
_HEADER_BLOCK_BYTES = 1024 * 1024
_HEADERS_PER_PART = 1000
_PARTS = 1000
_DEPTH = 24
_BASE64_RUNS = 1000
_BROKEN_LINES = 3
_BOUNDARY_LENGTH = 256
"""RFC 2046 allows 70; longer ones are seen."""

_HEADER_LINE = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_LINE_FEED, _CARRIAGE_RETURN = b"\n\r"
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_BINARY_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\r\n]{0,500}\r?\n", re.MULTILINE)


@dataclass(slots=True)
class _Budget:
    """What is left of the limits, and what was found wrong on the way."""

    parts: int = _PARTS
    defects: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Part:
    """One node of the message.

    Attributes:
        headers: lower-case name and value as sent, folded, in order.
        body: as sent, not decoded; empty for a multipart.
        parts: a multipart's children.
    """

    headers: tuple[tuple[str, bytes], ...]
    body: bytes
    parts: tuple["Part", ...] = ()
    default_type: str = "text/plain"

    def header(self, name: str) -> bytes | None:
        """The first header of that (lower-case) name."""
        return next((value for header, value in self.headers if header == name), None)

    @cached_property
    def type(self) -> ParameterisedValue:
        """Content-Type with its parameters; the default where it is missing or no type, text where no parts are found."""
        declared = _content_type(self.headers, self.default_type)
        if declared.value.startswith("multipart/") and not self.parts:
            return ParameterisedValue("text/plain", declared.parameters)
        return declared

    @cached_property
    def disposition(self) -> ParameterisedValue:
        value = self.header("content-disposition")
        return read_parameterised(value) if value is not None else ParameterisedValue("", {})

    @cached_property
    def content(self) -> bytes:
        """The body with its transfer encoding undone."""
        encoding = (self.header("content-transfer-encoding") or b"").decode("ascii", "replace")
        return undo_transfer_encoding(self.body, encoding.partition(";")[0].strip(" \t\r\n\"'").lower())


def read_structure(raw: bytes) -> tuple[Part, tuple[str, ...]]:
    """The root part and the codes of defects. Never raises, whatever the bytes."""
    budget = _Budget()
    if len(raw) > MESSAGE_BYTES:
        raw = raw[:MESSAGE_BYTES]
        budget.defects.add("message_truncated")
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
    root = _read_part(raw, budget, depth=0, default_type="text/plain")
    return root, tuple(sorted(budget.defects))


def read_headers(raw: bytes) -> tuple[tuple[str, bytes], ...]:
    """The header block at the start of `raw`: lower-case names and values as sent. Never raises."""
    headers, _ = _read_header_block(raw, _Budget())
    return headers


def _read_part(raw: bytes, budget: _Budget, *, depth: int, default_type: str) -> Part:
    headers, body_start = _read_header_block(raw, budget)
    body = raw[body_start:]
    content_type = _content_type(headers, default_type)
    if not content_type.value.startswith("multipart/"):
        return Part(headers, body, default_type=default_type)
    boundary = charsets.decode(content_type.parameters.get("boundary", "").encode()).rstrip()
    if not boundary or len(boundary) > _BOUNDARY_LENGTH:
        budget.defects.add("boundary_missing")
        return Part(headers, body, default_type=default_type)
    if depth >= _DEPTH:
        budget.defects.add("nested_too_deep")
        return Part(headers, body, default_type=default_type)
    child_default = "message/rfc822" if content_type.value == "multipart/digest" else "text/plain"
    children: list[Part] = []
    for section in _sections(body, boundary.encode("utf-8"), budget):
        if budget.parts <= 0:
            budget.defects.add("too_many_parts")
            break
        budget.parts -= 1
        children.append(_read_part(section, budget, depth=depth + 1, default_type=child_default))
    if not children:
        budget.defects.add("boundary_not_found")
        return Part(headers, body, default_type=default_type)
    return Part(headers, b"", tuple(children), default_type)


def _sections(body: bytes, boundary: bytes, budget: _Budget) -> list[bytes]:
    """What stands between the boundary lines; the last runs to the end where the closing line is missing."""
    sections: list[bytes] = []
    start: int | None = None
    for line_start, line_end, closes in _boundary_lines(body, b"--" + boundary):
        if start is not None:
            sections.append(_without_last_line_end(body, start, line_start))
        start = line_end
        if closes:
            return sections
        if len(sections) > budget.parts:
            break
    if start is not None:
        budget.defects.add("not_closed")
        sections.append(body[start:])
    return sections


def _boundary_lines(body: bytes, delimiter: bytes) -> "list[tuple[int, int, bool]]":
    """Start, end and whether it closes, of each line that is the delimiter."""
    lines: list[tuple[int, int, bool]] = []
    position = body.find(delimiter)
    while position >= 0 and len(lines) <= _PARTS + 1:
        after = position + len(delimiter)
        line_feed = body.find(b"\n", after)
        line_end = len(body) if line_feed < 0 else line_feed + 1
        rest = body[after : min(line_end, after + 200)].strip(b" \t\r\n")
        if (position == 0 or body[position - 1] == _LINE_FEED) and rest in {b"", b"--"}:
            lines.append((position, line_end, rest == b"--"))
            position = body.find(delimiter, line_end)
        else:
            position = body.find(delimiter, after)
    return lines


def _without_last_line_end(body: bytes, start: int, end: int) -> bytes:
    """The line end before a boundary belongs to the boundary."""
    if end > start and body[end - 1] == _LINE_FEED:
        end -= 1
        if end > start and body[end - 1] == _CARRIAGE_RETURN:
            end -= 1
    return body[start:end]


def _read_header_block(raw: bytes, budget: _Budget) -> tuple[tuple[tuple[str, bytes], ...], int]:
    """The headers, and where the body starts."""
    headers: list[tuple[str, bytes]] = []
    name, value_start, position = "", 0, 0
    limit = min(len(raw), _HEADER_BLOCK_BYTES)

    def finish(end: int) -> None:
        if name and len(headers) < _HEADERS_PER_PART:
            headers.append((name, raw[value_start:end].strip(b" \t\r\n")))

    body_start = None
    while position < limit and body_start is None:
        line_end = _end_of_line(raw, position)
        if raw[position] == _LINE_FEED or raw.startswith(b"\r\n", position):
            body_start = line_end
        elif match := _HEADER_LINE.match(raw, position, line_end):
            finish(position)
            name, value_start = match[1].decode("ascii").lower(), match.end()
        elif not _continues(raw, position, within_headers=bool(name)):
            if not _headers_go_on(raw, line_end):
                budget.defects.add("header_end_missing")
                body_start = position
            elif position > 0:
                budget.defects.add("header_malformed")
            finish(position)
            name = ""
        if body_start is None:
            position = line_end
    finish(min(position, limit))
    if body_start is None and position < len(raw):
        budget.defects.add("headers_too_long")
        body_start = _after_blank_line(raw, position)
    return tuple(headers), len(raw) if body_start is None else body_start


def _end_of_line(raw: bytes, position: int) -> int:
    line_feed = raw.find(b"\n", position)
    return len(raw) if line_feed < 0 else line_feed + 1


def _continues(raw: bytes, position: int, *, within_headers: bool) -> bool:
    """Whether the line belongs to the header before it."""
    return within_headers and raw[position] in b" \t"


def _headers_go_on(raw: bytes, position: int) -> bool:
    """Whether a header follows within a few lines: then the line before was a broken one, not the body's first."""
    for _ in range(_BROKEN_LINES):
        if _HEADER_LINE.match(raw, position) and raw[position : position + 4].lower() != b"http":
            return True
        if raw[position : position + 2] in {b"", b"\r\n"} or raw.startswith(b"\n", position):
            return False
        position = _end_of_line(raw, position)
    return False


def _after_blank_line(raw: bytes, position: int) -> int:
    ends = [found + len(gap) for gap in (b"\n\n", b"\n\r\n") if (found := raw.find(gap, max(position - 1, 0))) >= 0]
    return min(ends, default=len(raw))


def _content_type(headers: tuple[tuple[str, bytes], ...], default_type: str) -> ParameterisedValue:
    value = next((value for header, value in headers if header == "content-type"), None)
    if value is None:
        return ParameterisedValue(default_type, {})
    read = read_parameterised(value)
    main, slash, sub = read.value.partition("/")
    if not main or not slash or not sub or " " in read.value:
        return ParameterisedValue(default_type if not main else "text/plain", read.parameters)
    return read


def undo_transfer_encoding(body: bytes, encoding: str) -> bytes:
    """The content; what cannot be decoded is left out or stays as it is. Never raises."""
    if encoding in _BINARY_ENCODINGS:
        return body
    if encoding == "base64":
        return _from_base64(body)
    if encoding in {"quoted-printable", "quoted_printable", "qp"}:
        return _from_quoted_printable(body)
    if encoding in {"x-uuencode", "uuencode", "x-uue", "uue"}:
        return _from_uuencode(body)
    return body


def _from_base64(body: bytes) -> bytes:
    letters = body.translate(None, delete=_NOT_BASE64)
    runs = letters.rstrip(b"=").split(b"=", _BASE64_RUNS)
    return b"".join(_base64_run(run.replace(b"=", b"")) for run in runs)


def _base64_run(letters: bytes) -> bytes:
    whole = len(letters) // 4 * 4
    if len(letters) - whole == 1:
        letters = letters[:whole]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def _from_quoted_printable(body: bytes) -> bytes:
    if b" \n" in body or b"\t\n" in body or b" \r\n" in body or b"\t\r\n" in body:
        body = b"\n".join(line.rstrip(b" \t\r") for line in body.split(b"\n"))
    return binascii.a2b_qp(body)


def _from_uuencode(body: bytes) -> bytes:
    begin = _UU_BEGIN.search(body)
    lines = body[begin.end() if begin else 0 :].splitlines()
    content: list[bytes] = []
    for line in lines:
        if line.rstrip() == b"end":
            break
        try:
            content.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Some encoders pad the last line with rubbish: its length byte says how much of it counts.
            octets = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
            try:
                content.append(binascii.a2b_uu(line[:octets]))
            except binascii.Error:
                continue
    return b"".join(content)
