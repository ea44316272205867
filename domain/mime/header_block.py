"""Which headers stand at the start of a part, and where do they end?

Broken lines do not end them, and not every body begins with an empty line. Takes time linear in the size of the block.

Source: RFC 5322 §2.2; what servers make of lines that are no headers.
"""

import re

Headers = tuple[tuple[str, bytes], ...]
"""Lower-case names, and values as sent, folded, in order."""

_HEADER_BLOCK_BYTES = 1024 * 1024
_HEADERS_PER_PART = 1000
_BROKEN_LINES = 3
_UNFOLDED_LINES = 40
"""So many lines a header may have that lost the white space before its continuations; long signatures have."""

_HEADER_LINE = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_USUAL_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:([^\n]*\n(?:[ \t][^\n]*\n)*)")
_USUAL_HEADER = re.compile(
    rb"(?:from|to|subject|date|message-id|received|mime-version|content-type)[ \t]*:", re.IGNORECASE
)


def read_headers(raw: bytes) -> Headers:
    """The header block at the start of `raw`: lower-case names and values as sent. Never raises."""
    headers, _ = read_header_block(raw, 0, len(raw), set())
    return headers


def read_header_block(raw: bytes, start: int, end: int, defects: set[str]) -> tuple[Headers, int]:
    """The headers of the part between `start` and `end`, and where its body starts; what is wrong goes to `defects`."""
    return _read_usual_block(raw, start, end) or _read_odd_block(raw, start, end, defects)


def _read_odd_block(raw: bytes, start: int, end: int, defects: set[str]) -> tuple[Headers, int]:
    """As `read_header_block`, line by line."""
    position, limit = start, min(end, start + _HEADER_BLOCK_BYTES)
    headers: list[tuple[str, bytes]] = []
    name, value_start = "", 0
    body_start: int | None = None
    next_header = 0

    def finish(value_end: int) -> None:
        if name and len(headers) < _HEADERS_PER_PART:
            headers.append((name, raw[value_start:value_end].strip(b" \t\r\n")))

    while position < limit and body_start is None:
        line_end = end_of_line(raw, position, end)
        if _is_empty_line(raw, position):
            body_start = line_end
        elif match := _HEADER_LINE.match(raw, position, line_end):
            finish(position)
            name, value_start = match[1].decode("ascii").lower(), match.end()
        elif not (name and raw[position] in b" \t"):
            finish(position)
            name = ""
            if position >= next_header:
                next_header = _next_header(raw, line_end, end) or 0
                defects.update(_defects_of_line(is_first=position == start, ends_headers=not next_header))
                body_start = None if next_header else position
        if body_start is None:
            position = line_end
    finish(min(position, limit))
    if body_start is None and position < end:
        defects.add("headers_too_long")
        body_start = _after_empty_line(raw, position, end)
    return tuple(headers), end if body_start is None else body_start


def _read_usual_block(raw: bytes, start: int, end: int) -> tuple[Headers, int] | None:
    """The block, where it is as the standard has it, without looking at each line; None where anything is odd."""
    limit = min(end, start + _HEADER_BLOCK_BYTES)
    headers: list[tuple[str, bytes]] = []
    position = start
    while match := _USUAL_FIELD.match(raw, position, limit):
        headers.append((match[1].decode("ascii").lower(), match[2].strip(b" \t\r\n")))
        position = match.end()
    if len(headers) > _HEADERS_PER_PART:
        return None
    for gap in (b"\r\n", b"\n"):
        if raw.startswith(gap, position, limit):
            return tuple(headers), position + len(gap)
    return None


def _defects_of_line(*, is_first: bool, ends_headers: bool) -> tuple[str, ...]:
    """Of a line that is no header: one before all headers is a mail folder's."""
    if ends_headers:
        return ("header_end_missing",)
    return () if is_first else ("header_malformed",)


def end_of_line(raw: bytes, position: int, end: int) -> int:
    line_feed = raw.find(b"\n", position, end)
    return end if line_feed < 0 else line_feed + 1


def _is_empty_line(raw: bytes, position: int) -> bool:
    return raw.startswith((b"\n", b"\r\n"), position)


def _next_header(raw: bytes, position: int, end: int) -> int | None:
    """Where a header follows soon, or a usual one a little later: then the line before is not the body's first."""
    for count in range(_UNFOLDED_LINES):
        if position >= end or _is_empty_line(raw, position):
            return None
        header = _HEADER_LINE if count < _BROKEN_LINES else _USUAL_HEADER
        if header.match(raw, position, end) and raw[position : position + 4].lower() != b"http":
            return position
        position = end_of_line(raw, position, end)
    return None


def _after_empty_line(raw: bytes, position: int, end: int) -> int:
    ends = [found + len(gap) for gap in (b"\n\n", b"\n\r\n") if (found := raw.find(gap, position - 1, end)) >= 0]
    return min(ends, default=end)
