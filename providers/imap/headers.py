"""Who is on a message and what does it answer: a few header fields, read in one pass.

A header block is judged in memory and dropped, tens of thousands a second; what matches is parsed in full later. So
this reader is made for speed and misses nothing: every text that could be an address counts, wherever it stands in an
address field, however broken the field. Python's `email` package takes fifty times as long and raises on some mail.
"""

import binascii
import re
from dataclasses import dataclass

_FIELD = re.compile(
    rb"^(from|to|cc|bcc|reply-to|sender|message-id|in-reply-to|references)[ \t]*:(.*(?:\n[ \t].*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_FOLD = re.compile(rb"\r?\n[ \t]+|\r")
# A word begins where none goes on: without that, a long text without `@` would be searched again from each letter.
_LETTER = r"[^\s<>()\[\]\\,;:@\"]"
_WORD = rf"(?<!{_LETTER}){_LETTER}+"
_ADDRESS = re.compile(rf"{_WORD}@{_LETTER}+")
_LITERAL_DOMAIN = re.compile(rf"{_WORD}@\[[^\s\[\]\\]+\]")
_QUOTED_LOCAL_PART = re.compile(rf"\"((?:[^\"\\]|\\.){{1,64}})\" ?@ ?({_LETTER}+)")
_SPACED = re.compile(r" ?([@.]) ?")
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
_ENCODED_WORD = re.compile(r"=\?([\w-]+)(?:\*[\w-]+)?\?([bq])\?([^?\s]*)\?=(?:\s+(?==\?))?", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<\s*([^<>\s]+)\s*>")
_BARE_MESSAGE_ID = re.compile(r"(?<![^\s<>,;()\"@])[^\s<>,;()\"@]+@[^\s<>,;()\"@]+")
_ODD = re.compile(r"[\"(\\]|=\?|\s[@.]|[@.]\s|@\[")

MAX_ADDRESSES = 5_000
MAX_REFERENCES = 1_000
_MAX_COMMENT_DEPTH = 10


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """What the fields say; see `domain.changes.RemoteHeader`."""

    addresses: tuple[str, ...]
    rfc_message_id: str | None
    references: tuple[str, ...]


def read_header_fields(block: bytes) -> HeaderFields:
    """Reads a block of header fields as IMAP sends it. Never raises, whatever the bytes."""
    addresses: dict[str, None] = {}
    message_id: str | None = None
    references: dict[str, None] = {}
    in_reply_to: dict[str, None] = {}
    for name, raw in _FIELD.findall(block):
        value = _FOLD.sub(b" ", raw).decode("utf-8", "surrogateescape")
        kind = name.lower()
        if kind == b"message-id":
            message_id = message_id or next(iter(_message_ids(value)), None)
        elif kind == b"references":
            references.update(dict.fromkeys(_message_ids(value)))
        elif kind == b"in-reply-to":
            in_reply_to.update(dict.fromkeys(_message_ids(value)))
        else:
            addresses.update(dict.fromkeys(find_addresses(value)))
    return HeaderFields(
        tuple(addresses)[:MAX_ADDRESSES], message_id, tuple({**references, **in_reply_to})[-MAX_REFERENCES:]
    )


def find_addresses(value: str) -> list[str]:
    """Every text in an address field that could be an addr-spec, as written."""
    found = _ADDRESS.findall(value)
    if _ODD.search(value):
        found += _find_hidden(value)
    return [_printable(address.strip(".'")) for address in found]


def _find_hidden(value: str) -> list[str]:
    """Addresses behind comments, spaces, quotes and encoded words."""
    bare = " ".join(value.split())
    found = _LITERAL_DOMAIN.findall(bare)
    for local_part, domain in _QUOTED_LOCAL_PART.findall(bare):
        # A local part that needs no quotes is the same address without them (RFC 5321 §4.1.2).
        quotes = "" if _ADDRESS.fullmatch(f"{local_part}@{domain}") else '"'
        found.append(f"{quotes}{local_part}{quotes}@{domain}")
    for _ in range(_MAX_COMMENT_DEPTH):
        bare, removed = _COMMENT.subn("", bare)
        if not removed:
            break
    found += _ADDRESS.findall(_SPACED.sub(r"\1", " ".join(bare.split())))
    if "=?" in value:
        found += _ADDRESS.findall(_ENCODED_WORD.sub(_decode_word, value))
    return found


def _decode_word(word: re.Match[str]) -> str:
    charset, encoding, text = word.groups()
    try:
        if encoding in "bB":
            octets = binascii.a2b_base64(text + "=" * (-len(text) % 4))
        else:
            octets = binascii.a2b_qp(text.replace("_", " "), header=True)
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        return word.group()


def _message_ids(value: str) -> list[str]:
    return [_printable(found) for found in _MESSAGE_ID.findall(value) or _BARE_MESSAGE_ID.findall(value)]


def _printable(text: str) -> str:
    """Bytes that are no UTF-8 become the replacement character, so that the text can be stored."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
