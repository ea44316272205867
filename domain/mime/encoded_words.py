"""What does a header's text say in clear?

Source: RFC 2047, read leniently: words within quotes, without space between, with raw spaces or question marks inside.
"""

import binascii
import re

from domain.mime import charsets

_TEXT_LENGTH = 20_000
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?(.{0,1000}?)\?=(?!\?)", re.DOTALL)
_LINE_ENDS = re.compile(r"[\r\n]+")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


def decode_header(value: bytes) -> str:
    """An unstructured header on one line, decoded, runs of white space kept as one where lines were folded."""
    return decode_words(to_text(value))


def to_text(value: bytes) -> str:
    """A header unfolded, as characters; encoded words stay. For values whose structure is read before decoding."""
    return _LINE_ENDS.sub("", charsets.decode(value))


def decode_words(text: str) -> str:
    """`text` with its encoded words decoded; neighbours in one charset are joined first: they may share a character."""
    if "=?" not in text:
        return text
    text = text[:_TEXT_LENGTH]
    pieces: list[str] = []
    pending: list[bytes] = []
    pending_charset = ""
    position = 0

    def flush() -> None:
        if pending:
            pieces.append(charsets.decode(b"".join(pending), pending_charset))
            pending.clear()

    for match in _ENCODED_WORD.finditer(text):
        between = text[position : match.start()]
        charset = match[1].partition("*")[0].lower()
        if between.strip() or not position:
            flush()
            pieces.append(between)
        if pending and charset != pending_charset:
            flush()
        pending_charset = charset
        pending.append(_word_bytes(match[2], match[3]))
        position = match.end()
    flush()
    pieces.append(text[position:])
    return charsets.clean("".join(pieces))


def _word_bytes(encoding: str, encoded: str) -> bytes:
    if encoding in "qQ":
        return binascii.a2b_qp(encoded.encode("utf-8", "replace"), header=True)
    letters = _NOT_BASE64.sub("", encoded)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + "=" * (-len(letters) % 4))
