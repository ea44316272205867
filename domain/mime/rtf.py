r"""What does a rich-text body say, as Outlook packs it?

Outlook writes HTML mail as RTF too, with the HTML in marked groups: that is taken out again.

Source: [MS-OXRTFCP] (compression), [MS-OXRTFEX] (HTML within RTF), RTF 1.9.1.
"""

import re
import struct
from dataclasses import dataclass, replace
from html import escape
from itertools import islice

from domain.mime import charsets

_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_PACKED_BYTES = 1024 * 1024
_RTF_BYTES = 2 * 1024 * 1024
_TOKENS = 250_000
"""Enough for 100 pages; what comes after is not read."""
_GROUPS_DEEP = 1000
_DICTIONARY = 4096
_PRELOADED = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What the dictionary holds at the start."""

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,9})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\", re.DOTALL
)
_NOT_SHOWN = frozenset(
    {"fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header", "footer", "headerl", "headerr",
     "footnote", "footerl", "footerr", "listtable", "listoverridetable", "mhtmltag"}
)  # fmt: skip
_SIGNS = {
    "par": "\n", "line": "\n", "sect": "\n", "row": "\n", "page": "\n", "tab": "\t", "cell": "\t",
    "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c", "rdblquote": "\u201d",
    "bullet": "\u2022", "endash": "\u2013", "emdash": "\u2014",
}  # fmt: skip


def decompressed(packed: bytes) -> bytes:
    """The RTF; what is damaged or beyond two megabytes is left out. Never raises."""
    if len(packed) < 16:  # noqa: PLR2004 - the header
        return b""
    _, raw_size, kind, _ = struct.unpack_from("<IIII", packed)
    content = packed[16:_PACKED_BYTES]
    if kind == _PLAIN:
        return content[: min(raw_size, _RTF_BYTES)]
    return _unpacked(content, min(raw_size, _RTF_BYTES)) if kind == _COMPRESSED else b""


def _unpacked(content: bytes, size: int) -> bytes:
    window = bytearray(_PRELOADED.ljust(_DICTIONARY, b"\0"))
    write = len(_PRELOADED)
    unpacked = bytearray()
    position = 0
    while position < len(content) and len(unpacked) < size:
        flags = content[position]
        position += 1
        for bit in range(8):
            if not flags >> bit & 1:
                piece = content[position : position + 1]
                position += 1
            elif position + 2 <= len(content):
                reference = content[position] << 8 | content[position + 1]
                position += 2
                offset, length = reference >> 4, (reference & 15) + 2
                if offset == write:
                    return bytes(unpacked[:size])
                piece = _repeated(window, offset, write, length)
            else:
                return bytes(unpacked[:size])
            for octet in piece:
                window[write] = octet
                write = (write + 1) % _DICTIONARY
            unpacked += piece
    return bytes(unpacked[:size])


def _repeated(window: bytearray, offset: int, write: int, length: int) -> bytes:
    """A stretch of the window, which may run into what it is itself writing."""
    ahead = (write - offset) % _DICTIONARY
    found = bytes(window[(offset + index) % _DICTIONARY] for index in range(min(length, ahead)))
    return (found * (length // len(found) + 1))[:length]


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds within the braces."""

    is_shown: bool = True
    is_tag: bool = False
    is_rtf_only: bool = False
    fallback_length: int = 1


@dataclass(frozen=True, slots=True)
class RtfBody:
    """`content` is HTML where the RTF was made from it, otherwise plain text."""

    content: str
    is_html: bool


def read_rtf(rtf: bytes) -> RtfBody:
    """The words of a document, or the HTML that it was made from. Never raises."""
    source = rtf[:_RTF_BYTES].decode("latin-1")
    is_html = "\\fromhtml1" in source[:1000]
    reader = _Reader(is_html=is_html)
    for token in islice(_TOKEN.finditer(source), _TOKENS):
        reader.take(token)
    return RtfBody(reader.text(), is_html)


class _Reader:
    def __init__(self, *, is_html: bool) -> None:
        self._is_html = is_html
        self._code_page = "cp1252"
        self._pieces: list[str] = []
        self._octets = bytearray()
        self._outer: list[_Group] = []
        self._group = _Group()
        self._is_destination = False
        self._to_skip = 0

    def text(self) -> str:
        self._flush()
        return charsets.clean("".join(self._pieces))

    def take(self, token: re.Match[str]) -> None:
        word, number, octet, sign, brace, text = token.groups()
        if brace:
            self._to_skip = 0
            self._enter() if brace == "{" else self._leave()
        elif word:
            self._control(word.lower() if word.isupper() else word, int(number) if number else None)
        elif octet:
            self._octet(int(octet, 16))
        elif sign == "*":
            self._is_destination = True
        elif sign:
            self._show({"~": "\xa0", "_": "-", "-": "", "\n": "\n", "\r": "\n"}.get(sign, sign))
        elif text:
            skipped = min(self._to_skip, len(text))
            self._to_skip -= skipped
            self._show(text[skipped:])

    def _enter(self) -> None:
        self._flush()
        if len(self._outer) < _GROUPS_DEEP:
            self._outer.append(self._group)
        self._is_destination = False

    def _leave(self) -> None:
        self._flush()
        if self._outer:
            self._group = self._outer.pop()
        self._is_destination = False

    def _control(self, word: str, number: int | None) -> None:
        if self._is_destination:
            self._is_destination = False
            is_tag = word == "htmltag" and self._is_html
            self._group = replace(self._group, is_tag=is_tag, is_shown=is_tag and self._group.is_shown)
        elif word in _NOT_SHOWN:
            self._group = replace(self._group, is_shown=False)
        elif word == "htmlrtf":
            self._group = replace(self._group, is_rtf_only=number != 0)
        elif word == "ansicpg" and number:
            self._code_page = f"cp{number}"
        elif word == "uc" and number is not None:
            self._group = replace(self._group, fallback_length=min(max(number, 0), 8))
        elif word == "u" and number is not None:
            self._show(chr(number % 65536))
            self._to_skip = self._group.fallback_length
        elif word in _SIGNS:
            self._show(_SIGNS[word])

    def _octet(self, octet: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif self._group.is_shown and not self._group.is_rtf_only:
            self._octets.append(octet)

    def _show(self, text: str) -> None:
        self._flush()
        self._append(text)

    def _flush(self) -> None:
        """Bytes that stand together are decoded together: they may share a character."""
        if self._octets:
            octets, self._octets = bytes(self._octets), bytearray()
            self._append(charsets.decode(octets, self._code_page))

    def _append(self, text: str) -> None:
        if self._group.is_shown and not self._group.is_rtf_only:
            self._pieces.append(escape(text, quote=False) if self._is_html and not self._group.is_tag else text)
