"""What are a part's bytes, once the encoding for transport is undone?

Source: RFC 2045 §6; uuencode as in POSIX.
"""

import binascii
import re
from collections.abc import Iterable
from itertools import takewhile

_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_BINARY_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\r\n]{0,500}\r?\n", re.MULTILINE)
_BASE64_RUNS = 1000


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
    return decode_uu_lines(takewhile(lambda line: line.rstrip() != b"end", lines))


def decode_uu_lines(lines: Iterable[bytes]) -> bytes:
    """What the lines between `begin` and `end` encode; a line that is none is left out."""
    content: list[bytes] = []
    for line in lines:
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
