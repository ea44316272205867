"""Of which parts does a message consist?

One pass for each level of nesting over the bytes, within limits that hold before anything is decoded. Nothing is
refused: what is beyond a limit stays one opaque part, and what is broken is read as its sender most likely meant it.
It agrees with the servers' own readings of real mail more often than the parsers to be had, and has no input that
takes it more than linear time.

Source: RFC 2045, RFC 2046, RFC 5322.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from domain.mime.header_block import Headers, end_of_line, read_header_block
from domain.mime.parameters import ParameterisedValue, read_parameterised
from domain.mime.transfer import undo_transfer_encoding

MESSAGE_BYTES = 64 * 1024 * 1024
"""Beyond the largest that the big providers deliver unencoded (50 MB, November 2026)."""
_PARTS = 1000
_DEPTH = 24
_LOOKED_AT_BYTES = 200
_NOTE_FOR_OLD_READERS = b"MIME"
"""What stands before the parts names what the reader's program does not know, in any language."""
_BOUNDARY_LENGTH = 256
"""RFC 2046 allows 70; longer ones are seen."""

_LINE_FEED, _CARRIAGE_RETURN = b"\n\r"


@dataclass(slots=True)
class _Budget:
    """What is left of the limits, and what was found wrong on the way."""

    parts: int = _PARTS
    defects: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Section:
    """A stretch of the message; nothing is copied before a leaf is reached."""

    raw: bytes
    start: int
    end: int

    @property
    def bytes(self) -> bytes:
        return self.raw[self.start : self.end]


@dataclass(frozen=True)
class Part:
    """One node of the message.

    Attributes:
        headers: lower-case name and value as sent, folded, in order.
        body: as sent, not decoded; empty for a multipart.
        parts: a multipart's children.
    """

    headers: Headers
    body: bytes
    parts: tuple["Part", ...] = ()
    default_type: str = "text/plain"

    def header(self, name: str) -> bytes | None:
        """The first header of that (lower-case) name."""
        return self._first_headers.get(name)

    @cached_property
    def _first_headers(self) -> dict[str, bytes]:
        return dict(reversed(self.headers))

    @cached_property
    def type(self) -> ParameterisedValue:
        """Content-Type with its parameters; the default where it is missing or no type, text where no parts are."""
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
    root = _read_part(_Section(raw, 0, len(raw)), budget, depth=0, default_type="text/plain")
    return root, tuple(sorted(budget.defects))


def _read_part(section: _Section, budget: _Budget, *, depth: int, default_type: str) -> Part:
    headers, body_start = read_header_block(section.raw, section.start, section.end, budget.defects)
    body = _Section(section.raw, body_start, section.end)
    children: tuple[Part, ...] = ()
    content_type = _content_type(headers, default_type)
    if content_type.value.startswith("multipart/"):
        child_default = "message/rfc822" if content_type.value == "multipart/digest" else "text/plain"
        boundary = content_type.parameters.get("boundary", "").rstrip().encode()
        if not boundary or len(boundary) > _BOUNDARY_LENGTH:
            budget.defects.add("boundary_missing")
        elif depth >= _DEPTH:
            budget.defects.add("nested_too_deep")
        else:
            children = _read_children(body, boundary, budget, depth=depth + 1, default_type=child_default)
        if children and (first := _part_without_boundary(headers, body, boundary)) is not None:
            children = (first, *children)
    return Part(headers, b"" if children else body.bytes, children, default_type)


def _read_children(
    body: _Section, boundary: bytes, budget: _Budget, *, depth: int, default_type: str
) -> tuple[Part, ...]:
    sections = _sections(body, boundary, budget)
    if not sections:
        budget.defects.add("boundary_not_found")
    children: list[Part] = []
    for section in sections:
        if budget.parts <= 0:
            budget.defects.add("too_many_parts")
            break
        budget.parts -= 1
        children.append(_read_part(section, budget, depth=depth, default_type=default_type))
    return tuple(children)


def _part_without_boundary(headers: Headers, body: _Section, boundary: bytes) -> Part | None:
    """The first part where the line before it is missing: then its headers stand among those of the whole."""
    types = (value for name, value in headers if name == "content-type")
    own = next((value for value in types if not read_parameterised(value).value.startswith("multipart/")), None)
    if own is None:
        return None
    first_line = next((start for start, _, _ in _boundary_lines(body, b"--" + boundary)), body.start)
    content = body.raw[body.start : _before_line_end(body.raw, body.start, first_line)]
    if not content.strip() or _NOTE_FOR_OLD_READERS in content[:_LOOKED_AT_BYTES]:
        return None
    encodings = [header for header in headers if header[0] == "content-transfer-encoding"]
    return Part((("content-type", own), *encodings), content)


def _sections(body: _Section, boundary: bytes, budget: _Budget) -> list[_Section]:
    """What stands between the boundary lines; the last runs to the end where the closing line is missing.

    A multipart within that has the same boundary, as some programs wrote them, is one section up to its closing line.
    """
    sections: list[_Section] = []
    start: int | None = None
    nested, since = 0, body.start
    for count, (line_start, line_end, closes) in enumerate(_boundary_lines(body, b"--" + boundary)):
        if start is not None and not closes and nested < _DEPTH:
            nested += _is_multipart_with(boundary, _Section(body.raw, since, line_start))
        since = line_end
        if nested:
            nested -= closes
        else:
            if start is not None:
                sections.append(_Section(body.raw, start, _before_line_end(body.raw, start, line_start)))
            start = line_end
            if closes:
                return sections
        if count > budget.parts:
            break
    if start is not None:
        budget.defects.add("not_closed")
        sections.append(_Section(body.raw, start, body.end))
    return sections


def _is_multipart_with(boundary: bytes, section: _Section) -> bool:
    """Whether the headers between two boundary lines announce parts that are between such lines too."""
    if section.raw.find(boundary, section.start, section.end) < 0:
        return False
    headers, _ = read_header_block(section.raw, section.start, section.end, set())
    content_type = _content_type(headers, "text/plain")
    return (
        content_type.value.startswith("multipart/") and content_type.parameters.get("boundary", "").encode() == boundary
    )


def _boundary_lines(body: _Section, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    """Start, end and whether it closes, of each line that is the delimiter."""
    position = _next_delimiter(body, delimiter, body.start)
    while position is not None:
        after = position + len(delimiter)
        line_end = end_of_line(body.raw, after, body.end)
        rest = body.raw[after : min(line_end, after + _LOOKED_AT_BYTES)].strip(b" \t\r\n")
        if rest in {b"", b"--"}:
            yield position, line_end, rest == b"--"
        position = _next_delimiter(body, delimiter, line_end)


def _next_delimiter(body: _Section, delimiter: bytes, line_start: int) -> int | None:
    """Where the next line begins with the delimiter, from that line on."""
    if line_start < body.end and body.raw.startswith(delimiter, line_start):
        return line_start
    found = body.raw.find(b"\n" + delimiter, line_start, body.end)
    return found + 1 if found >= 0 else None


def _before_line_end(raw: bytes, start: int, end: int) -> int:
    """The line end before a boundary belongs to the boundary."""
    if end > start and raw[end - 1] == _LINE_FEED:
        end -= 1
        if end > start and raw[end - 1] == _CARRIAGE_RETURN:
            end -= 1
    return max(end, start)


def _content_type(headers: Headers, default_type: str) -> ParameterisedValue:
    """Of several the first that announces parts, else the first."""
    found = [read_parameterised(value) for header, value in headers if header == "content-type"]
    if not found:
        return ParameterisedValue(default_type, {})
    read = next((one for one in found if one.value.startswith("multipart/")), found[0])
    main, slash, sub = read.value.partition("/")
    if not main or not slash or not sub or " " in read.value:
        return ParameterisedValue(default_type if not main else "text/plain", read.parameters)
    return read
