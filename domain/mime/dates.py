"""When was a message written, as far as its Date header can be believed?"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz

from domain.mime.encoded_words import to_text

_VALUE_LENGTH = 200
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LEAD = timedelta(days=1)
"""How far a sender's clock may run ahead of ours."""

_COMMENT = re.compile(r"\([^()]{0,200}\)")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d{1,6})?\s?(?:Z|[+-]\d{2}:?\d{2})?")
_DOTTED_TIME = re.compile(r"\b(\d{1,2})\.(\d{2})(?:\.(\d{2}))?\b(?=\s|$)")
_ZONES = {"CET": "+0100", "MET": "+0100", "MEZ": "+0100", "CEST": "+0200", "MEST": "+0200", "MESZ": "+0200",
          "WEST": "+0100", "BST": "+0100", "EET": "+0200", "EEST": "+0300", "MSK": "+0300", "JST": "+0900",
          "KST": "+0900", "AEST": "+1000", "AEDT": "+1100"}  # fmt: skip
_ZONE_NAME = re.compile(r"\b(" + "|".join(_ZONES) + r")\b")


def read_date(header: bytes | None) -> datetime | None:
    """The date in UTC: RFC 5322 and the broken forms in use; None where it is missing or cannot be read."""
    if header is None:
        return None
    text = _COMMENT.sub(" ", to_text(header)[:_VALUE_LENGTH]).strip()
    if _ISO.match(text):
        return _from_iso(text)
    text = _ZONE_NAME.sub(lambda match: _ZONES[match[1]], text)
    return _from_rfc(text) or _from_rfc(_DOTTED_TIME.sub(_with_colons, text))


def credible_date(date: datetime | None, received_at: datetime) -> datetime:
    """The date that a message is shown and sorted by, in UTC.

    Args:
        date: of the Date header, aware; None where it has none.
        received_at: when the server took the message in, aware. It stands in for a date that is missing, before 1990,
            or more than a day after it.
    """
    if date is None or date < _EARLIEST or date > received_at + _LEAD:
        return received_at.astimezone(UTC)
    return date.astimezone(UTC)


def _from_iso(text: str) -> datetime | None:
    match = _ISO.match(text)
    if match is None:
        return None
    try:
        date = datetime.fromisoformat(match[0].replace(" ", "T", 1).replace(" ", ""))
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_rfc(text: str) -> datetime | None:
    try:
        fields = parsedate_tz(text)
        if fields is None:
            return None
        offset_s = fields[9] or 0
        if abs(offset_s) >= 24 * 3600:
            offset_s = 0
        return datetime(*fields[:6], tzinfo=UTC) - timedelta(seconds=offset_s)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _with_colons(match: re.Match[str]) -> str:
    return ":".join(group for group in match.groups() if group)
