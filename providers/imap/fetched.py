"""What does a FETCH response say: the few items this package asks for. Source: RFC 3501 §7.4.2."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from providers.imap.failures import ProtocolViolation
from providers.imap.wire import Response, Value, is_cut, parse

_FETCH = re.compile(rb"\d+ FETCH \(", re.IGNORECASE)
_DATE = re.compile(rb" ?(\d{1,2})-([a-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.IGNORECASE)
_NUMBER = re.compile(rb"\d{1,19}")
_GMAIL_THREAD_ID = re.compile(rb"\d{1,20}")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), start=1
    )
}
_MONTHS_AS_SENT = {name.title(): f"{number:02}" for name, number in _MONTHS.items()}
# How Dovecot, and with luck others, orders what we ask for: one match instead of a walk through the tokens.
_USUAL = re.compile(
    rb'\d+ FETCH \(UID (\d{1,10}) INTERNALDATE "([^"]{20,26})" RFC822\.SIZE (\d{1,19}) '
    rb"BODY\[HEADER\.FIELDS \([^)]*\)\] \{(\d{1,19})\+?\}"
)
_USUAL_BODY = re.compile(rb"\d+ FETCH \(UID (\d{1,10}) BODY\[\] \{(\d{1,19})\+?\}")

UNKNOWN_DATE = datetime(1970, 1, 1, tzinfo=UTC)
"""For an INTERNALDATE that cannot be read: so old that it is nobody's news."""


@dataclass(frozen=True, slots=True)
class FetchedItems:
    """One message's items; None and empty where the server did not send them.

    Attributes:
        octets: of the one body section asked for; None where the response has none.
        is_cut: the server had more of it than we keep.
        is_slice: the server says it is the part from some offset, not the whole.
        gmail_thread_id: X-GM-THRID, an unsigned number of 64 bits in decimal.
            Source: developers.google.com/workspace/gmail/imap/imap-extensions
    """

    uid: int | None
    internal_date: datetime
    size_bytes: int
    octets: bytes | None
    is_cut: bool
    is_slice: bool
    gmail_thread_id: str | None = None


def read_fetch(response: Response) -> FetchedItems | None:
    """The items of a FETCH response; None for any other response.

    Raises:
        ProtocolViolation: it cannot be read.
    """
    usual = _USUAL.fullmatch(response[0])
    if usual is not None and len(response) == 3 and response[2] == b")":  # noqa: PLR2004 - text, literal, text
        uid, date, size, announced = usual.groups()
        cut = len(response[1]) < int(announced)
        return FetchedItems(int(uid), read_internal_date(date), int(size), response[1], cut, is_slice=False)
    body = _USUAL_BODY.fullmatch(response[0])
    if body is not None and len(response) == 3 and response[2] == b")":  # noqa: PLR2004 - as above
        cut = len(response[1]) < int(body[2])
        return FetchedItems(int(body[1]), UNKNOWN_DATE, 0, response[1], cut, is_slice=False)
    if not _FETCH.match(response[0]):
        return None
    values = parse(response)
    if len(values) < 3 or not isinstance(values[2], list):  # noqa: PLR2004 - number, FETCH, items
        raise ProtocolViolation("unreadable FETCH")
    cut = any(is_cut(response[index], response[index + 1]) for index in range(0, len(response) - 1, 2))
    return _read_items(values[2], cut=cut)


def read_internal_date(text: bytes) -> datetime:
    """INTERNALDATE in UTC; UNKNOWN_DATE where it is no date."""
    month = _MONTHS_AS_SENT.get(text[3:6])
    if month is not None and len(text) == 26:  # noqa: PLR2004 - `02-Mar-2026 12:00:00 +0000`
        digits = text.decode("ascii", "replace")
        try:  # five times as fast as what follows, and stricter
            return datetime.fromisoformat(
                f"{digits[7:11]}-{month}-{digits[:2].lstrip():0>2}T{digits[12:20]}{digits[21:24]}:{digits[24:]}"
            ).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    return _read_odd_date(text)


def _read_odd_date(text: bytes) -> datetime:
    """What is written in another way, or is a leap second, or no date at all."""
    found = _DATE.fullmatch(text)
    if found is None:
        return UNKNOWN_DATE
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = int(zone_hours) * 60 + int(zone_minutes)
    try:
        local = datetime(
            int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
        )
        if not offset:
            return local
        zone = timezone(timedelta(minutes=-offset if sign == b"-" else offset))
        return local.replace(tzinfo=zone).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return UNKNOWN_DATE


def _read_items(items: list[Value], *, cut: bool) -> FetchedItems:
    uid: int | None = None
    date, size = UNKNOWN_DATE, 0
    octets: bytes | None = None
    is_slice = False
    gmail_thread_id: str | None = None
    for name, value in zip(items[::2], items[1::2], strict=False):
        word = name.upper() if isinstance(name, bytes) else b""
        if word.startswith(b"BODY["):
            # NIL is an empty section, which is how some servers send a message without these header fields.
            octets, is_slice = (value if isinstance(value, bytes) else b""), word.endswith(b">")
        elif not isinstance(value, bytes):
            continue
        elif word == b"UID":
            uid = _number(value)
        elif word == b"RFC822.SIZE":
            size = _number(value)
        elif word == b"INTERNALDATE":
            date = read_internal_date(value)
        elif word == b"X-GM-THRID" and _GMAIL_THREAD_ID.fullmatch(value):
            gmail_thread_id = value.decode()
    return FetchedItems(uid, date, size, octets, cut, is_slice, gmail_thread_id)


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text):
        raise ProtocolViolation("not a number")
    return int(text)
