"""What did Outlook put into a `winmail.dat`?

Linear in the size of the file; lengths that lead out of it end the reading, and what was read until there counts.

Source: [MS-OXTNEF] (the stream), [MS-OXCDATA] §2.11 (property types), [MS-OXPROPS] (property ids).
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from domain.mime import charsets
from domain.mime.rtf import decompressed, read_rtf

_SIGNATURE = struct.pack("<I", 0x223E9F78)
_ATTRIBUTES = 10_000
_VALUES = 20_000
"""Of properties, in one stream with all that is in it."""
_NESTED_RICH_BYTES = 64 * 1024
"""Unpacking takes a microsecond a byte, and many messages may be attached."""
_FILES = 200
_NESTED = 3

_BODY, _MESSAGE_PROPERTIES, _CODE_PAGE = 0x0002800C, 0x00069003, 0x00069007
_NEW_ATTACHMENT, _TITLE, _DATA, _ATTACHMENT_PROPERTIES = 0x00069002, 0x00018010, 0x0006800F, 0x00069005

_TEXT, _RTF, _HTML = 0x1000, 0x1009, 0x1013
_OBJECT, _LONG_NAME, _SHORT_NAME, _SHOWN_NAME = 0x3701, 0x3707, 0x3704, 0x3001
_CONTENT_TYPE, _CONTENT_ID, _INTERNET_CODE_PAGE = 0x370E, 0x3712, 0x3FDE

_FIXED_SIZE = {0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}
"""Bytes of a value in the stream, padded to four."""
_OBJECT_TYPE, _STRING, _UNICODE, _BINARY = 0x0D, 0x1E, 0x1F, 0x102
_MANY_VALUES = 0x1000
_INTERFACE_BYTES = 16
"""Before an object stands the name of the interface that reads it."""
_NAMED_FROM = 0x8000

_Property = tuple[int, int, bytes]
"""Id, type, and the first of its values."""


@dataclass(slots=True)
class TnefFile:
    """An attachment: its bytes, and what is said about them where it is."""

    name: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    content: bytes | None = None


@dataclass(slots=True)
class TnefContents:
    """What the stream holds of the message.

    Attributes:
        text: the body as plain text; None where it has none.
        html: the body as HTML in `charset`.
        rtf: the body as compressed RTF (`domain.mime.rtf`).
        charset: of `html`, as a name that Python knows; None where it is not said.
    """

    text: str | None = None
    html: bytes | None = None
    rtf: bytes | None = None
    charset: str | None = None
    files: list[TnefFile] = field(default_factory=list)

    def body(self) -> "TnefBody | None":
        """The fullest form of the body; None where there is none."""
        if self.html is not None:
            return TnefBody("text/html" + (f"; charset={self.charset}" if self.charset else ""), self.html)
        rich = read_rtf(decompressed(self.rtf)) if self.rtf is not None else None
        if rich is not None and rich.content.strip():
            return TnefBody(f"text/{'html' if rich.is_html else 'plain'}; charset=utf-8", rich.content.encode())
        return TnefBody("text/plain; charset=utf-8", self.text.encode()) if self.text else None


@dataclass(frozen=True, slots=True)
class TnefBody:
    """Text as a part of a message would have it."""

    content_type: str
    content: bytes


@dataclass(slots=True)
class _Budget:
    """How many values may still be read, and how many bytes of rich text of messages within."""

    values: int = _VALUES
    rich_bytes: int = _NESTED_RICH_BYTES


def read_tnef(raw: bytes) -> TnefContents | None:
    """The contents; None where `raw` is no TNEF. A message within is taken apart too. Never raises."""
    return _contents(raw, _Budget(), depth=0)


def _contents(raw: bytes, budget: _Budget, *, depth: int) -> TnefContents | None:
    if not raw.startswith(_SIGNATURE):
        return None
    contents = TnefContents()
    code_page = "cp1252"
    current: TnefFile | None = None
    for attribute, value in _attributes(raw):
        if attribute == _CODE_PAGE and len(value) >= 4:  # noqa: PLR2004 - a 32-bit number
            code_page = f"cp{struct.unpack_from('<I', value)[0]}"
        elif attribute == _BODY:
            contents.text = _string(value, code_page)
        elif attribute == _MESSAGE_PROPERTIES:
            _read_message(_properties(value, budget), code_page, contents)
        elif attribute == _NEW_ATTACHMENT:
            if len(contents.files) >= _FILES:
                break
            current = TnefFile()
            contents.files.append(current)
        elif current is not None:
            _read_attachment(attribute, value, code_page, current, budget)
    contents.files = [file for found in contents.files for file in _unpacked(found, budget, depth)][:_FILES]
    return contents


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    position = 6
    for _ in range(_ATTRIBUTES):
        if position + 9 > len(raw):
            return
        attribute, length = struct.unpack_from("<II", raw, position + 1)
        start = position + 9
        if raw[position] not in {1, 2} or start + length > len(raw):
            return
        yield attribute, raw[start : start + length]
        position = start + length + 2


def _read_message(properties: Iterable[_Property], code_page: str, contents: TnefContents) -> None:
    for identifier, kind, content in properties:
        if identifier == _TEXT:
            contents.text = contents.text or _characters(kind, content, code_page)
        elif identifier == _HTML:
            contents.html = content if kind == _BINARY else _characters(kind, content, code_page).encode()
            contents.charset = contents.charset if kind == _BINARY else "utf-8"
        elif identifier == _RTF:
            contents.rtf = content
        elif identifier == _INTERNET_CODE_PAGE and len(content) == 4:  # noqa: PLR2004 - a 32-bit number
            contents.charset = contents.charset or _charset(struct.unpack("<I", content)[0])


def _charset(code_page: int) -> str:
    known = {65001: "utf-8", 20127: "us-ascii", 28591: "iso-8859-1", 20866: "koi8-r", 50220: "iso-2022-jp"}
    return known.get(code_page, f"cp{code_page}")


def _read_attachment(attribute: int, value: bytes, code_page: str, file: TnefFile, budget: _Budget) -> None:
    if attribute == _TITLE:
        file.name = file.name or _string(value, code_page)
    elif attribute == _DATA:
        file.content = value
    elif attribute == _ATTACHMENT_PROPERTIES:
        found = {identifier: (kind, content) for identifier, kind, content in _properties(value, budget)}

        def text(identifier: int) -> str | None:
            kind, content = found.get(identifier, (0, b""))
            return _characters(kind, content, code_page) or None

        file.name = text(_LONG_NAME) or file.name or text(_SHORT_NAME) or text(_SHOWN_NAME)
        file.content_type = text(_CONTENT_TYPE)
        file.content_id = text(_CONTENT_ID)
        if _OBJECT in found:
            kind, content = found[_OBJECT]
            file.content = content[_INTERFACE_BYTES:] if kind == _OBJECT_TYPE else content


def _unpacked(file: TnefFile, budget: _Budget, depth: int) -> Iterator[TnefFile]:
    """The file, or what a message among the attachments consists of."""
    content = file.content
    if content is None:
        return
    inner = _contents(content, budget, depth=depth + 1) if depth < _NESTED else None
    if inner is None:
        yield file
        return
    if inner.rtf is not None:
        budget.rich_bytes -= len(inner.rtf)
        inner.rtf = inner.rtf if budget.rich_bytes >= 0 else None
    if (body := inner.body()) is not None:
        extension = ".html" if body.content_type.startswith("text/html") else ".txt"
        yield TnefFile(f"{file.name or 'message'}{extension}", body.content_type, None, body.content)
    yield from inner.files


def _properties(raw: bytes, budget: _Budget) -> Iterator[_Property]:
    """Each property, as far as the bytes make sense."""
    if len(raw) < 4:  # noqa: PLR2004 - the number of properties
        return
    position = 4
    for _ in range(min(struct.unpack_from("<I", raw)[0], budget.values)):
        try:
            kind, identifier = struct.unpack_from("<HH", raw, position)
            position = _after_name(raw, position + 4) if identifier >= _NAMED_FROM else position + 4
            content, position = _first_value(raw, position, kind, budget)
        except struct.error:
            return
        if position > len(raw):
            return
        yield identifier, kind & ~_MANY_VALUES, content


def _after_name(raw: bytes, position: int) -> int:
    """Past what a named property has between its id and its value: a namespace and a number or a name."""
    is_text, length = struct.unpack_from("<II", raw, position + 16)
    return position + 24 + (_padded(length) if is_text else 0)


def _first_value(raw: bytes, position: int, kind: int, budget: _Budget) -> tuple[bytes, int]:
    """The value and where the next property starts. Raises struct.error where that cannot be told."""
    single = kind & ~_MANY_VALUES
    has_length = single in {_OBJECT_TYPE, _STRING, _UNICODE, _BINARY}
    count = 1
    if has_length or kind & _MANY_VALUES:
        (count,) = struct.unpack_from("<I", raw, position)
        position += 4
    budget.values -= count if has_length else 1
    if budget.values < 0:
        raise struct.error
    if not has_length:
        if single not in _FIXED_SIZE:
            raise struct.error
        return raw[position : position + _FIXED_SIZE[single]], position + count * _FIXED_SIZE[single]
    first: bytes | None = None
    for _ in range(count):
        (length,) = struct.unpack_from("<I", raw, position)
        if first is None:
            first = raw[position + 4 : position + 4 + length]
        position += 4 + _padded(length)
    return first or b"", position


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _characters(kind: int, content: bytes, code_page: str) -> str:
    if kind == _UNICODE:
        return charsets.clean(content.decode("utf-16-le", "replace")).rstrip("\0")
    return _string(content, code_page) if kind in {_STRING, _BINARY} else ""


def _string(value: bytes, code_page: str) -> str:
    return charsets.decode(value.partition(b"\0")[0], code_page)
