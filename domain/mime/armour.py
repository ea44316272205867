"""Which files and signatures stand within a text as lines of letters?

uuencode came before MIME and is still sent; PGP is put into the text by programs that do not know its MIME form.

Source: POSIX `uuencode`, RFC 9580 §6 and §7 (PGP armour and cleartext signatures).
"""

import re
from dataclasses import dataclass

from domain.mime.transfer import decode_uu_lines

_FILES = 100
_TRIES = 1000
"""Lines that begin like a file; most of them are files."""
_BEGIN = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]{0,500})\r?\n", re.MULTILINE)
_UU_LINE = re.compile(rb"[\x20-\x60]{1,63}[ \t]{0,3}")
_UU_WRONG_LENGTH = 4
"""Characters that encoders add or drop at the end of a line."""

_PGP_MESSAGE = re.compile(rb"\s*-----BEGIN PGP MESSAGE-----\r?\n")
_PGP_MESSAGE_END = b"-----END PGP MESSAGE-----"
_PGP_SIGNED = re.compile(
    rb"^-----BEGIN PGP SIGNED MESSAGE-----[ \t]*\r?\n(?:[A-Za-z]{1,20}:[^\r\n]{0,200}\r?\n){0,5}\r?\n", re.MULTILINE
)
_PGP_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_PGP_SIGNATURE_END = b"-----END PGP SIGNATURE-----"
_DASH_ESCAPE = re.compile(rb"^- ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ArmouredFile:
    """A file that was found within a text; its name as written there."""

    name: bytes
    content: bytes


def split_uuencoded(text: bytes) -> tuple[bytes, tuple[ArmouredFile, ...]]:
    """The text without the files in it, and the files. What does not end as a file is text. Never raises."""
    kept: list[bytes] = []
    files: list[ArmouredFile] = []
    position = 0
    for _ in range(_TRIES):
        begin = _BEGIN.search(text, position)
        if begin is None or len(files) >= _FILES:
            break
        lines, end, is_whole = _uu_lines(text, begin.end())
        if is_whole:
            kept.append(text[position : begin.start()])
            files.append(ArmouredFile(begin[1].strip(), decode_uu_lines(lines)))
        else:
            kept.append(text[position:end])
        position = end
    kept.append(text[position:])
    return b"".join(kept), tuple(files)


def split_pgp_signature(text: bytes) -> tuple[bytes, ArmouredFile] | None:
    """A text signed in place, as it was before, and the signature; None where it is not."""
    start = _PGP_SIGNED.search(text)
    if start is None:
        return None
    signature = text.find(_PGP_SIGNATURE, start.end())
    end = text.find(_PGP_SIGNATURE_END, signature)
    if signature < 0 or end < 0:
        return None
    end += len(_PGP_SIGNATURE_END)
    signed = _DASH_ESCAPE.sub(b"", text[start.end() : signature])
    return text[: start.start()] + signed + text[end:], ArmouredFile(b"signature.asc", text[signature:end] + b"\n")


def is_pgp_message(text: bytes) -> bool:
    """Whether the whole text is one encrypted block."""
    return bool(_PGP_MESSAGE.match(text)) and text.rstrip().endswith(_PGP_MESSAGE_END)


def _uu_lines(text: bytes, position: int) -> tuple[list[bytes], int, bool]:
    """The lines of a file, where they stop, and whether they stop at its `end`."""
    lines: list[bytes] = []
    while position < len(text):
        line_end = text.find(b"\n", position) + 1 or len(text)
        line = text[position:line_end].rstrip(b"\r\n")
        if line.rstrip() == b"end":
            return lines, line_end, True
        is_second_empty = not line and bool(lines) and not lines[-1]
        if is_second_empty or (line and not _is_uu_line(line)):
            return lines, position, False
        lines.append(line)
        position = line_end
    return lines, position, False


def _is_uu_line(line: bytes) -> bool:
    if not _UU_LINE.fullmatch(line):
        return False
    letters = (((line[0] - 32) & 63) + 2) // 3 * 4
    return letters - _UU_WRONG_LENGTH <= len(line) - 1 <= letters + _UU_WRONG_LENGTH or not line[1:].strip()
