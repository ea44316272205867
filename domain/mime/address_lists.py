"""Who stands in an address header?

One pass over the header, whatever is in it: groups, comments, routes, unclosed quotes and brackets, addresses that were
encoded together with their names.

Source: RFC 5322 §3.4 and §4.4, RFC 2047 §5.
"""

import re
from dataclasses import dataclass, field

from domain.addresses import canonical
from domain.mail import MailAddress
from domain.mime.encoded_words import decode_words, to_text

_HEADER_BYTES = 1024 * 1024
_ENTRIES = 10_000
_ENTRY_LENGTH = 2000
_UNCLOSED = 50
"""After so many quotes and comments that do not close, these signs are signs like any other."""
_GROUP_NAME_LENGTH = 200
_SPECIAL = re.compile(r'[\\"()<>,;:]')
_QUOTED_PAIR = re.compile(r"\\(.)")
_COMMENT = re.compile(r"\((?:[^()\\]|\\.){0,200}\)")
_WHITE_SPACE = re.compile(r"\s+")
_AROUND_SIGNS = re.compile(r"\s*([@.])\s*")


@dataclass(slots=True)
class _Entry:
    """What was gathered of one entry: the words (quotes undone), comments, brackets, and the entry as written."""

    words: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    bracketed: str | None = None
    start: int = 0
    length: int = 0

    def add(self, words: str) -> None:
        if self.length < _ENTRY_LENGTH:
            self.words.append(words[:_ENTRY_LENGTH])
            self.length += len(words)


class _Scanner:
    """Splits a header into entries at the commas that are not within quotes, comments or brackets."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._entry = _Entry()
        self._in_group = False
        self._unclosed = 0
        self.addresses: list[MailAddress] = []

    def scan(self) -> list[MailAddress]:
        text, position = self._text, 0
        while position < len(text) and len(self.addresses) < _ENTRIES:
            match = _SPECIAL.search(text, position)
            if match is None:
                self._entry.add(text[position:])
                break
            self._entry.add(text[position : match.start()])
            position = self._special(match[0], match.start())
        self._finish(len(text))
        return self.addresses

    def _special(self, sign: str, at: int) -> int:
        """Takes in what begins with `sign`; returns where to go on."""
        if sign in ",;":
            self._finish(at)
            self._in_group = self._in_group and sign == ","
            self._entry = _Entry(start=at + 1)
            return at + 1
        if sign == '"' and (end := self._end_of_quotes(at)) is not None:
            self._entry.add(_QUOTED_PAIR.sub(r"\1", self._text[at + 1 : end]))
            return end + 1
        if sign == "(" and (end := self._end_of_comment(at)) is not None:
            self._entry.comments.append(self._text[at + 1 : end])
            return end + 1
        if sign in "<:":
            return self._bracket(at) if sign == "<" else self._colon(at)
        escaped = self._text[at + 1 : at + 2] if sign == "\\" else ""
        self._entry.add(escaped)
        return at + 1 + len(escaped)

    def _colon(self, at: int) -> int:
        """The end of a group's name, unless it is an odd sign in a name or before an address."""
        entry = self._entry
        may_name_group = not self._in_group and entry.bracketed is None and entry.length <= _GROUP_NAME_LENGTH
        words = "".join(entry.words).strip() if may_name_group else ""
        if words and "@" not in words:
            self._in_group = words.lower() != "mailto"
            self._entry = _Entry(start=at + 1)
        else:
            entry.add(":")
        return at + 1

    def _end_of_quotes(self, start: int) -> int | None:
        """Where the quotes close; None where they do not, or only beyond what one entry may hold."""
        if self._unclosed > _UNCLOSED:
            return None
        position, limit = start + 1, min(len(self._text), start + _ENTRY_LENGTH)
        while position < limit:
            if self._text[position] == "\\":
                position += 1
            elif self._text[position] == '"':
                return position
            position += 1
        self._unclosed += 1
        return None

    def _end_of_comment(self, start: int) -> int | None:
        if self._unclosed > _UNCLOSED:
            return None
        depth, position, limit = 0, start, min(len(self._text), start + _ENTRY_LENGTH)
        while position < limit:
            sign = self._text[position]
            if sign == "\\":
                position += 1
            elif sign == "(":
                depth += 1
            elif sign == ")":
                depth -= 1
                if depth == 0:
                    return position
            position += 1
        self._unclosed += 1
        return None

    def _bracket(self, start: int) -> int:
        """An address in brackets. Unclosed ones end at the next comma; of several the last holds."""
        close = self._text.find(">", start, start + _ENTRY_LENGTH)
        again = self._text.find("<", start + 1, close if close >= 0 else start + _ENTRY_LENGTH)
        content = self._text[start + 1 : close]
        if close >= 0 and again < 0 and ("," not in content or content.lstrip().startswith(("@", '"'))):
            self._entry.bracketed = content
            return close + 1
        if close >= 0 and again >= 0 and "," not in self._text[start:again]:
            return start + 1
        comma = self._text.find(",", start, start + _ENTRY_LENGTH)
        end = comma if comma >= 0 else min(len(self._text), start + _ENTRY_LENGTH)
        self._entry.bracketed = self._text[start + 1 : end].replace("<", " ").replace(">", " ")
        return end

    def _finish(self, end: int) -> None:
        entry = self._entry
        raw = self._text[entry.start : end][:_ENTRY_LENGTH].strip()
        if raw:
            self.addresses.append(_address(entry, raw))


def read_addresses(header: bytes | None) -> tuple[MailAddress, ...]:
    """The entries in order; an empty group gives none. Never raises."""
    if header is None:
        return ()
    return tuple(_Scanner(to_text(header[:_HEADER_BYTES])).scan())


def _address(entry: _Entry, raw: str) -> MailAddress:
    raw_decoded = _one_line(decode_words(raw))
    words = "".join(entry.words)
    if entry.bracketed is not None:
        address = _valid(entry.bracketed) or _valid(decode_words(entry.bracketed))
        name = _name(words) or _name(" ".join(entry.comments))
        if address is None and name is not None and (found := _valid(name)):
            address = found
        return MailAddress(name, address, raw_decoded)
    address = _valid(_unquoted_local(raw, words))
    if address is not None:
        return MailAddress(_name(" ".join(entry.comments)), address, raw_decoded)
    return _from_loose_text(words, entry.comments, raw_decoded)


def _from_loose_text(words: str, comments: list[str], raw: str) -> MailAddress:
    """An entry without brackets that is no bare address: a name and an address, perhaps encoded together."""
    text = decode_words(words).strip()
    if "<" in text:
        before, _, after = text.rpartition("<")
        address = _valid(after.partition(">")[0])
        if address is not None:
            return MailAddress(_name(before), address, raw)
    before, _, last_word = text.rpartition(" ")
    if "@" in last_word and (address := _valid(last_word)) is not None:
        return MailAddress(_name(before) or _name(" ".join(comments)), address, raw)
    return MailAddress(_name(words) or _name(" ".join(comments)), None, raw)


def _unquoted_local(raw: str, words: str) -> str:
    """A bare address: as written where its local part is quoted, else without what was a comment."""
    return raw if raw.startswith('"') and raw.count('"') > 1 and "@" in raw.rpartition('"')[2] else words


def _valid(text: str) -> str | None:
    """The addr-spec in `text`: routes, stray signs and spaces around its signs taken away; None where there is none."""
    text = text.strip()
    if canonical(text) is not None:
        return text
    if text.startswith("@") and ":" in text:
        text = text.rpartition(":")[2]
    text = text.removeprefix("mailto:").strip(" \t'<>;,").rstrip(".")
    if '"' not in text:
        if "(" in text:
            text = _COMMENT.sub("", text).strip()
        text = _AROUND_SIGNS.sub(r"\1", text)
    return text if canonical(text) is not None else None


def _name(text: str) -> str | None:
    return _one_line(decode_words(text[:_ENTRY_LENGTH])) or None


def _one_line(text: str) -> str:
    return _WHITE_SPACE.sub(" ", text).strip()
