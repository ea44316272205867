"""How a position in the event stream looks to a client.

`<16 hex digits of the position>.<mark>`: cursors sort as their positions do, and the mark binds each to its viewer, so
that nobody can use another's or make one up. A position is a time (domain.events), so it tells no more than the event's
own `at`.
"""

import hmac
from hashlib import blake2b

from domain.access import Viewer
from domain.errors import BadInput
from infra.vault import Vault

_MARK_BYTES = 12
_LAST_POSITION = 2**63 - 1
_PURPOSE = "event-cursor"


class CursorSealer:
    """Makes one viewer's cursors, each for the price of one short hash."""

    __slots__ = ("_begun",)

    def __init__(self, vault: Vault, viewer: Viewer) -> None:
        self._begun = _begun(vault.mac(_holder(viewer), purpose=_PURPOSE))

    def seal(self, position: int) -> str:
        return _sealed(self._begun, position)


def seal_cursor(vault: Vault, viewer: Viewer, position: int) -> str:
    return CursorSealer(vault, viewer).seal(position)


def open_cursor(vault: Vault, viewer: Viewer, cursor: str) -> int:
    """The position that a cursor of this viewer stands for.

    Raises:
        BadInput: it is none of this viewer's. Start again without one.
    """
    try:
        position = int(cursor.partition(".")[0], 16)
    except ValueError:
        position = -1
    if 0 <= position <= _LAST_POSITION:
        given = cursor.encode(errors="replace")
        keys = vault.macs(_holder(viewer), purpose=_PURPOSE)
        if any(hmac.compare_digest(_sealed(_begun(key), position).encode(), given) for key in keys):
            return position
    raise BadInput("This cursor is not one of yours; fetch the lists again and start without it.")


def _begun(key: bytes) -> blake2b:
    return blake2b(key=key, digest_size=_MARK_BYTES)


def _sealed(begun: blake2b, position: int) -> str:
    mark = begun.copy()
    mark.update(position.to_bytes(8, "big"))
    return f"{position:016x}.{mark.hexdigest()}"


def _holder(viewer: Viewer) -> bytes:
    return viewer.organisation_id.bytes + (viewer.user_id.bytes if viewer.user_id else b"service")
