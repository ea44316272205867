"""Who is on a message, what does it answer, and may it be a report: a few header fields, read in one pass.

A header block is judged in memory and dropped, tens of thousands a second; what matches is parsed in full later. So
this reader is made for speed and misses nothing: every text that could be an address counts, wherever it stands in an
address field, however broken the field. Python's `email` package takes fifty times as long and raises on some mail.
"""

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from domain.mime.bounces import REPORT_FIELDS, may_be_report

_FOLD = re.compile(r"\n[ \t]+")
_ADDRESS_FIELDS = frozenset({"from", "to", "cc", "bcc", "reply-to", "sender"})
_BETWEEN_ADDRESSES = {ord(character): " " for character in '<>()[]\\,;:"\r\n\t'}

# A word begins where none goes on: without that, a long text without `@` would be searched again from each letter.
_LETTER = r"[^\s<>()\[\]\\,;:@\"]"
_WORD = rf"(?<!{_LETTER}){_LETTER}+"
_ADDRESS = re.compile(rf"{_WORD}@{_LETTER}+")
_LITERAL_DOMAIN = re.compile(rf"{_WORD}@\[[^\s\[\]\\]+\]")
_QUOTED_LOCAL_PART = re.compile(rf"\"((?:[^\"\\]|\\.){{1,64}})\" ?@ ?({_LETTER}+)")
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
_ENCODED_WORD = re.compile(r"=\?([\w-]+)(?:\*[\w-]+)?\?([bq])\?([^?\s]*)\?=(?:\s+(?==\?))?", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<\s*([^<>\s]+)\s*>")
_BARE_MESSAGE_ID = re.compile(r"(?<![^\s<>,;()\"@])[^\s<>,;()\"@]+@[^\s<>,;()\"@]+")

MAX_ADDRESSES = 5_000
MAX_REFERENCES = 1_000
_MAX_COMMENT_DEPTH = 10
_REMEMBERED = 4096
_REMEMBERED_LENGTH = 500
"""Fields above this length are read each time: what is remembered stays within a few megabytes."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class HeaderFields(NamedTuple):
    """What the fields say; see `domain.changes.RemoteHeader`."""

    addresses: tuple[str, ...]
    rfc_message_id: str | None
    references: tuple[str, ...]
    may_be_report: bool


class _Field(NamedTuple):
    """What a header field is read for."""

    name: str
    holds_addresses: bool
    tells_reports: bool


def _field(written: str) -> _Field:
    name = written.rstrip().lower()
    return _Field(name, name in _ADDRESS_FIELDS, name in REPORT_FIELDS)


_USUAL_FIELDS = {
    written: _field(written)
    for line in (
        "From To Cc CC Bcc BCC Reply-To Sender Message-ID Message-Id In-Reply-To References",
        "Content-Type Return-Path Auto-Submitted",
    )
    for written in ("", *line.split())
}


class HeaderReader:
    """Reads the header blocks of one mailbox.

    The same correspondents come again and again, so what their fields say is remembered for as long as the reader is
    there: the connection's time, no longer.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._reports: dict[tuple[str, ...], bool] = {}

    def read(self, block: bytes) -> HeaderFields:
        """Reads a block of header fields as IMAP sends it. Never raises, whatever the bytes."""
        text = block.decode("utf-8", "replace").replace("\r", "")
        if "\0" in text:
            text = text.replace("\0", "")
        if "\n " in text or "\n\t" in text:
            text = _FOLD.sub(" ", text)
        found: list[str] = []
        references = in_reply_to = ""
        message_id: str | None = None
        of_reports: dict[str, str] = {}
        for line in text.split("\n"):
            written, _, value = line.partition(":")
            field = _USUAL_FIELDS.get(written) or _field(written)
            if field.holds_addresses:
                found += self._addresses_in(value)
            if field.tells_reports:
                of_reports.setdefault(field.name, value)
            if field.name == "message-id":
                message_id = message_id or next(iter(_message_ids(value)), None)
            elif field.name == "references":
                references += value
            elif field.name == "in-reply-to":
                in_reply_to += value
        answered = _message_ids(references) + _message_ids(in_reply_to) if references or in_reply_to else ()
        return HeaderFields(
            tuple(dict.fromkeys(found))[:MAX_ADDRESSES],
            message_id,
            tuple(dict.fromkeys(answered))[-MAX_REFERENCES:],
            self._may_be_report(of_reports),
        )

    def _addresses_in(self, value: str) -> tuple[str, ...]:
        known = self._addresses.get(value)
        if known is None:
            known = tuple(find_addresses(value))
            if len(value) <= _REMEMBERED_LENGTH:
                _remember(self._addresses, value, known)
        return known

    def _may_be_report(self, fields: dict[str, str]) -> bool:
        if "report" not in fields.get("content-type", "").lower():
            fields.pop("content-type", None)  # says nothing, and is another in every message
        key = (*fields, *fields.values())
        known = self._reports.get(key)
        if known is None:
            known = may_be_report(fields)
            if sum(map(len, key)) <= _REMEMBERED_LENGTH:
                _remember(self._reports, key, known)
        return known


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value


def read_header_fields(block: bytes) -> HeaderFields:
    """As `HeaderReader.read`, of one block alone."""
    return HeaderReader().read(block)


def find_addresses(value: str) -> list[str]:
    """Every text in address fields that could be an addr-spec, as written."""
    if "@" not in value and "=?" not in value:
        return []
    words = value.translate(_BETWEEN_ADDRESSES).split()
    found = [word for word in words if "@" in word]
    # The quick way is right unless an address is interrupted; these are the ways in which it can be.
    if (
        "(" in value
        or " @" in value
        or "@ " in value
        or " ." in value
        or ". " in value
        or '"' in value
        or "@[" in value
    ):
        found += _interrupted(value)
    if "=?" in value:
        found += _encoded(value)
    return [address for each in found for address in _well_formed(each)]


def _well_formed(text: str) -> Iterator[str]:
    """The addresses in a text with an `@`, without the marks that people put around them."""
    address = text if text.startswith('"') else text.strip(".'@")
    local_part, at, domain = address.rpartition("@")
    if local_part and at and domain:
        if "@" in local_part and not local_part.startswith('"'):
            yield from _ADDRESS.findall(address)
        else:
            yield address


def _interrupted(value: str) -> list[str]:
    """Addresses with comments, spaces, quotes or brackets in them."""
    bare = " ".join(value.split())
    found: list[str] = _LITERAL_DOMAIN.findall(bare) if "@[" in bare else []
    if '"@' in bare or '" @' in bare:
        for local_part, domain in _QUOTED_LOCAL_PART.findall(bare):
            # A local part that needs no quotes is the same address without them (RFC 5321 §4.1.2).
            quotes = "" if _ADDRESS.fullmatch(f"{local_part}@{domain}") else '"'
            found.append(f"{quotes}{local_part}{quotes}@{domain}")
    uncommented = _without_comments(bare) if "(" in bare else bare
    whole = " ".join(uncommented.split()).replace(" @", "@").replace("@ ", "@").replace(" .", ".").replace(". ", ".")
    return found if whole == bare else found + _ADDRESS.findall(whole)


def _without_comments(value: str) -> str:
    for _ in range(_MAX_COMMENT_DEPTH):
        value, removed = _COMMENT.subn("", value)
        if not removed:
            break
    return value


def _encoded(value: str) -> list[str]:
    """Addresses in encoded words, where they do not belong and yet are written."""
    touches_address = "?=@" in value or "@=?" in value
    if touches_address or any("@" in _decode_word(word) for word in _ENCODED_WORD.finditer(value)):
        return _ADDRESS.findall(_ENCODED_WORD.sub(_decode_word, value))
    return []


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
    if "<" in value:
        found = _MESSAGE_ID.findall(value)
        if found:
            return found
    return _BARE_MESSAGE_ID.findall(value) if "@" in value else []
