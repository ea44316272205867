"""Which characters did these bytes mean, whatever their label says?"""

import re

_WIDER = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "x-user-defined": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "hz-gb-2312": "hz",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "big5": "big5hkscs",
    "iso-2022-jp": "iso2022_jp_ext",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "unicode-1-1-utf-7": "utf-7",
    "utf8": "utf-8",
    "utf8mb4": "utf-8",
    "unicode": "utf-16",
}
"""The superset that senders really use under a narrower name. Source: WHATWG Encoding Standard §4.2, November 2026."""

_WESTERN = frozenset({"cp1252", "windows-1252", "iso-8859-15", "iso8859-15"})
_UTF_8 = frozenset({"utf-8", "utf_8"})
_MULTI_BYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
"""A character in UTF-8: text with one of them is damaged UTF-8, text without any is no UTF-8 at all."""
_NOT_FOR_MAIL = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf_8_sig"})
"""Names Python knows that are no charsets of mail; some of them are slow on purpose-made input."""

_CODEC_NAME = re.compile(r"[a-z0-9][a-z0-9._:+-]{0,63}")
_SURROGATES = re.compile("[\ud800-\udfff]")


def decode(content: bytes, declared: str | None = None) -> str:
    """The text, without NUL and lone surrogates, line ends as they were. Never raises.

    The declared charset is believed unless it is unknown, the bytes are not valid in it, or it is a Western one and
    the bytes are valid UTF-8 beyond ASCII, which Western text never is by chance. Then UTF-8, ISO-2022-JP and
    Windows-1252 are tried, in this order. Text that is called UTF-8 and has no character in it is Windows-1252.
    """
    if content.isascii() and b"\x1b" not in content and (declared is None or not _is_stateful(declared)):
        return content.replace(b"\0", b"").decode("ascii")
    return clean(_decoded(content, _codec(declared)))


def clean(text: str) -> str:
    """`text` in which PostgreSQL and UTF-8 can hold every character."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    return _SURROGATES.sub("\ufffd", text)


def _is_stateful(declared: str) -> bool:
    """Whether plain ASCII bytes may stand for other characters in this charset."""
    name = declared.lower()
    return (
        "utf-7" in name or "utf-16" in name or "utf-32" in name or name.startswith(("hz", "utf7", "utf16", "unicode"))
    )


def _codec(declared: str | None) -> str | None:
    if declared is None:
        return None
    name = declared.strip(" \t\"'").lower()
    name = _WIDER.get(name, name)
    if name.startswith("cp-"):
        name = "cp" + name[3:]
    if not _CODEC_NAME.fullmatch(name) or name.replace("-", "_") in _NOT_FOR_MAIL:
        return None
    return name


def _decoded(content: bytes, codec: str | None) -> str:
    if content.startswith(b"\xef\xbb\xbf"):
        return content[3:].decode("utf-8", "replace")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) and codec in {None, "utf-8"}:
        return content.decode("utf-16", "replace")
    for candidate in _candidates(content, codec):
        text = _strict(content, candidate)
        if text is not None:
            return text
    if codec is not None and codec not in _WESTERN and (text := _replaced(content, codec)) is not None:
        is_western = codec in _UTF_8 and not _MULTI_BYTE.search(content)
        return _western(content) if is_western else text
    if b"\x1b$" in content or b"\x1b(" in content:
        return content.decode("iso2022_jp_ext", "replace")
    return _western(content)


def _candidates(content: bytes, codec: str | None) -> tuple[str, ...]:
    """The charsets that count where every byte is valid in them, the likeliest first."""
    if codec is not None and codec not in _WESTERN:
        return (codec, "utf-8")
    western = () if codec is None else (codec,)
    return ("iso2022_jp_ext", *western, "utf-8") if b"\x1b$" in content else ("utf-8", *western)


def _strict(content: bytes, codec: str) -> str | None:
    try:
        return content.decode(codec)
    except (LookupError, ValueError):
        return None


def _replaced(content: bytes, codec: str) -> str | None:
    try:
        return content.decode(codec, "replace")
    except (LookupError, ValueError):
        return None


def _western(content: bytes) -> str:
    """Windows-1252; its five unassigned bytes as the control characters that browsers make of them."""
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")
