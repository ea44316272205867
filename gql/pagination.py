"""How clients page: sizes and opaque cursors in, positions out.

A cursor is the position of its entry (a time in microseconds and an id), so that a page begins where the last one ended
whatever has come or gone meanwhile.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.errors import BadInput
from services.paging import Page, Position

DEFAULT_SIZE = 50
MAX_SIZE = 100

_TIME_BYTES = 8
_CURSOR_BYTES = _TIME_BYTES + 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode_cursor(at: datetime, row_id: UUID) -> str:
    micros = (at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(micros.to_bytes(_TIME_BYTES, "big", signed=True) + row_id.bytes).decode()


def decode_cursor(cursor: str) -> Position:
    """The position that a cursor stands for.

    Raises:
        BadInput: it is none of ours.
    """
    try:
        content = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        if len(content) != _CURSOR_BYTES:
            raise BadInput("This cursor is not one of this list's.")
        at = _EPOCH + int.from_bytes(content[:_TIME_BYTES], "big", signed=True) * _MICROSECOND
    except (binascii.Error, UnicodeError, OverflowError):
        raise BadInput("This cursor is not one of this list's.") from None
    return Position(at, UUID(bytes=content[_TIME_BYTES:]))


def page_of(first: int | None, after: str | None, last: int | None = None, before: str | None = None) -> Page:
    """The page that a connection's arguments ask for; the first 50 entries where they ask for nothing.

    Raises:
        BadInput: both ends at once, a size below 0 or above 100, or a cursor that is none.
    """
    if first is not None and last is not None:
        raise BadInput("Give `first` or `last`, not both.")
    size = first if first is not None else last
    if size is None:
        size = DEFAULT_SIZE
    if not 0 <= size <= MAX_SIZE:
        raise BadInput(f"A page has between 0 and {MAX_SIZE} entries.")
    return Page(
        size=size,
        after=decode_cursor(after) if after is not None else None,
        before=decode_cursor(before) if before is not None else None,
        from_end=last is not None,
    )
