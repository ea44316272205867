"""How a position in the event stream looks to a client.

`<16 hex digits of the position>.<mark>`: cursors sort as their positions do, and the mark binds each to its viewer, so
that nobody can use another's or make one up. A position is a time (domain.events), so it tells no more than the event's
own `at`.
"""

import base64

from domain.access import Viewer
from domain.errors import BadInput
from infra.vault import Vault

_MARK_BYTES = 12
_LAST_POSITION = 2**63 - 1
_PURPOSE = "event-cursor"


def seal_cursor(vault: Vault, viewer: Viewer, position: int) -> str:
    mark = vault.mac(_bound(viewer, position), purpose=_PURPOSE)[:_MARK_BYTES]
    return f"{position:016x}.{base64.urlsafe_b64encode(mark).decode()}"


def open_cursor(vault: Vault, viewer: Viewer, cursor: str) -> int:
    """The position that a cursor of this viewer stands for.

    Raises:
        BadInput: it is none of this viewer's. Start again without one.
    """
    digits, _, mark_text = cursor.partition(".")
    try:
        position = int(digits, 16)
        mark = base64.urlsafe_b64decode(mark_text.encode())
    except ValueError:
        mark, position = b"", 0
    is_ours = 0 <= position <= _LAST_POSITION and len(mark) == _MARK_BYTES
    if not is_ours or not vault.verify_mac(_bound(viewer, position), mark, purpose=_PURPOSE):
        raise BadInput("This cursor is not one of yours; fetch the lists again and start without it.")
    return position


def _bound(viewer: Viewer, position: int) -> bytes:
    holder = viewer.user_id.bytes if viewer.user_id else b"service"
    return viewer.organisation_id.bytes + holder + position.to_bytes(8, "big")
