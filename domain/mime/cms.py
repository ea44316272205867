"""What lies in an S/MIME part: something encrypted, or a message within its signature?

Only as much of BER is read as stands between the outside and the content; nothing is verified.

Source: RFC 5652 (CMS), RFC 8551 (S/MIME), X.690 (BER).
"""

from dataclasses import dataclass
from enum import Enum, auto

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_ENCRYPTED = frozenset(
    bytes.fromhex(oid)
    for oid in ("2a864886f70d010703", "2a864886f70d010706", "2a864886f70d0109100117")  # enveloped, encrypted, with MAC
)
_SEQUENCE, _OBJECT_ID, _OCTETS, _OCTETS_IN_PIECES, _EXPLICIT = 0x30, 0x06, 0x04, 0x24, 0xA0
_LONGEST_LENGTH = 8
_PIECES = 100_000
"""Encoders make pieces of a kilobyte and more."""
_DEPTH = 8
_AROUND_BYTES = 16 * 1024
"""What stands before the content is a few dozen bytes."""


class CmsKind(Enum):
    """What the part is, whatever its parameters say."""

    ENCRYPTED = auto()
    SIGNED = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _Element:
    """Tag, and where its content starts and ends; `end` is the end of all where the length is not told."""

    tag: int
    start: int
    end: int
    is_open: bool


def kind_of_cms(raw: bytes) -> CmsKind:
    """What the outermost layer is. Never raises."""
    try:
        oid, _ = _content_info(raw)
    except (IndexError, ValueError):
        return CmsKind.OTHER
    if oid == _SIGNED_DATA:
        return CmsKind.SIGNED
    return CmsKind.ENCRYPTED if oid in _ENCRYPTED else CmsKind.OTHER


def signed_content(raw: bytes) -> bytes | None:
    """The message that a signature encloses; None where it encloses none or cannot be read. Never raises."""
    try:
        oid, explicit = _content_info(raw)
        if oid != _SIGNED_DATA:
            return None
        signed = _expect(raw, explicit.start, _SEQUENCE)
        version = _element(raw, signed.start)
        digests = _element(raw, version.end)
        enclosed = _expect(raw, _after(raw, digests, 0), _SEQUENCE)
        content_type = _expect(raw, enclosed.start, _OBJECT_ID)
        wrapper = _expect(raw, content_type.end, _EXPLICIT)
        return _octets(raw, _element(raw, wrapper.start))
    except (IndexError, ValueError):
        return None


def _content_info(raw: bytes) -> tuple[bytes, _Element]:
    outer = _expect(raw, 0, _SEQUENCE)
    oid = _expect(raw, outer.start, _OBJECT_ID)
    return raw[oid.start : oid.end], _expect(raw, oid.end, _EXPLICIT)


def _expect(raw: bytes, position: int, tag: int) -> _Element:
    element = _element(raw, position)
    if element.tag != tag:
        raise ValueError
    return element


def _element(raw: bytes, position: int) -> _Element:
    tag, length = raw[position], raw[position + 1]
    start = position + 2
    if length == 0x80:  # noqa: PLR2004 - "until the end mark"
        return _Element(tag, start, len(raw), is_open=True)
    if length > 0x80:  # noqa: PLR2004 - "the length follows in so many bytes"
        count = length & 0x7F
        if count > _LONGEST_LENGTH or start + count > len(raw):
            raise ValueError
        length = int.from_bytes(raw[start : start + count])
        start += count
    return _Element(tag, start, min(start + length, len(raw)), is_open=False)


def _after(raw: bytes, element: _Element, depth: int) -> int:
    """Where the next element starts."""
    if not element.is_open:
        return element.end
    if depth >= _DEPTH:
        raise ValueError
    position = element.start
    while position < _AROUND_BYTES:
        if raw[position : position + 2] == b"\0\0":
            return position + 2
        position = _after(raw, _element(raw, position), depth + 1)
    raise ValueError


def _octets(raw: bytes, element: _Element) -> bytes:
    """The string, which may come in pieces."""
    if element.tag == _OCTETS:
        return raw[element.start : element.end]
    if element.tag != _OCTETS_IN_PIECES:
        raise ValueError
    pieces: list[bytes] = []
    position = element.start
    while position < element.end and raw[position : position + 2] != b"\0\0" and len(pieces) < _PIECES:
        piece = _expect(raw, position, _OCTETS)
        pieces.append(raw[piece.start : piece.end])
        position = piece.end
    return b"".join(pieces)
