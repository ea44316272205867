"""What do Content-Type and Content-Disposition say beyond their value?

Source: RFC 2045 §5.1, RFC 2183, RFC 2231 (charset, language and continuations), read leniently.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from domain.mime import charsets
from domain.mime.encoded_words import decode_words, to_text

_VALUE_LENGTH = 16_384
_PARAMETERS = 100
_KEPT_LENGTH = 200
_COMMENT = re.compile(r"\([^()\"]{0,1000}\)")
_PARAMETER = re.compile(
    r"""[;\s]*
    ([^\s=;"]{1,100})\s{0,100}=\s{0,100}
    (?:"((?:[^"\\]|\\.){0,8000})"(?=\s*(?:;|$)) | ([^;]*))""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED_PAIR = re.compile(r'\\(["\\])')
_SECTION = re.compile(r"(.+?)\*(?:(\d{1,3})(\*)?)?")


@dataclass(frozen=True, slots=True)
class ParameterisedValue:
    """`value` in lower case without its parameters; parameter names in lower case, their values decoded."""

    value: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Section:
    number: int
    is_extended: bool
    text: str


def read_parameterised(header: bytes) -> ParameterisedValue:
    """The header's value and parameters; of a repeated parameter the first. Never raises."""
    return _read_again(header) if len(header) <= _KEPT_LENGTH else _read(header)


def _read(header: bytes) -> ParameterisedValue:
    text = to_text(header)[:_VALUE_LENGTH]
    if "(" in text.partition('"')[0]:
        text = _COMMENT.sub(" ", text)
    value, _, rest = text.partition(";")
    value = value.strip().lower()
    plain: dict[str, str] = {}
    sections: dict[str, list[_Section]] = {}
    position = 0
    for _ in range(_PARAMETERS):
        match = _PARAMETER.match(rest, position)
        if match is None:
            following = rest.find(";", position)
            if following < 0:
                break
            position = following + 1
            continue
        position = match.end()
        _keep(match[1].lower(), _parameter_text(match), plain, sections)
    for name, found in sections.items():
        plain[name] = _joined(found)
    return ParameterisedValue(value, plain)


_read_again = lru_cache(maxsize=1024)(_read)
"""Nearly all messages have the same few types."""


def _parameter_text(match: re.Match[str]) -> str:
    if match[2] is not None:
        return _QUOTED_PAIR.sub(r"\1", match[2])
    text = match[3].strip()
    return text.strip('"').strip() if text.startswith('"') else text


def _keep(name: str, text: str, plain: dict[str, str], sections: dict[str, list[_Section]]) -> None:
    section = _SECTION.fullmatch(name)
    if section is None:
        plain.setdefault(name, decode_words(text))
        return
    number = int(section[2] or 0)
    is_extended = section[2] is None or section[3] is not None
    sections.setdefault(section[1], []).append(_Section(number, is_extended, text))


def _joined(sections: list[_Section]) -> str:
    """RFC 2231's sections in order; the charset is named in the first one."""
    sections = sorted(sections, key=lambda section: section.number)
    charset: str | None = None
    content = b""
    for place, section in enumerate(sections):
        text = section.text
        if not section.is_extended:
            content += text.encode("utf-8", "replace")
            continue
        if place == 0 and text.count("'") > 1:
            charset, _, text = text.split("'", 2)
        content += unquote_to_bytes(text)
    return decode_words(charsets.decode(content, charset or None))
