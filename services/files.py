"""How does a viewer get at the bytes of a message or an attachment? By a link of their own, checked again at use."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from domain.access import Viewer
from domain.errors import AppError
from domain.source import without_traces
from infra.vault import VaultError
from services.deps import Deps
from services.gate import FULLY_TOLD, READABLE_THREAD
from services.viewers import viewers_by_id

LINK_LIFETIME_S = 15 * 60

_PURPOSE = "file"
_ATTACHMENT, _SOURCE = b"a", b"s"
_ID_BYTES = 16

_ATTACHMENT_ROW = f"""
SELECT a.filename, a.content_type, a.size_bytes, a.blob_key AS key, true AS is_own
  FROM attachment a JOIN message m ON m.id = a.message_id JOIN thread t ON t.id = m.thread_id
  LEFT JOIN bounce b ON b.message_id = m.id
 WHERE a.id = $4 AND {READABLE_THREAD} AND {FULLY_TOLD}
"""
# The viewer's own copy before any other; of several, the oldest.
_SOURCE_ROW = f"""
SELECT 'message.eml' AS filename, 'message/rfc822' AS content_type, c.size_bytes, c.source_key AS key,
       coalesce(x.owner_id = $3, false) AS is_own
  FROM message m JOIN thread t ON t.id = m.thread_id LEFT JOIN bounce b ON b.message_id = m.id
  JOIN message_copy c ON c.message_id = m.id JOIN mailbox x ON x.id = c.mailbox_id
 WHERE m.id = $4 AND {READABLE_THREAD} AND {FULLY_TOLD}
 ORDER BY is_own DESC, c.id LIMIT 1
"""


class FileGone(AppError):
    """The link is not valid, has expired, or leads to what its viewer may not read (any more). Told alike."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file on its way to its viewer.

    Attributes:
        size: in bytes; None where it is not known before the end.
        stream: the content in pieces, once. Raises BlobError.
    """

    filename: str
    content_type: str
    size: int | None
    stream: AsyncIterator[bytes]


def attachment_url(deps: Deps, viewer: Viewer, attachment_id: UUID) -> str:
    """A link to the attachment for this viewer alone; good for 15 minutes."""
    return f"{deps.settings.public_url}/attachments/{_token(deps, viewer, _ATTACHMENT, attachment_id)}"


def source_url(deps: Deps, viewer: Viewer, message_id: UUID) -> str:
    """A link to the message as received, for this viewer alone; good for 15 minutes."""
    return f"{deps.settings.public_url}/sources/{_token(deps, viewer, _SOURCE, message_id)}"


async def open_file(deps: Deps, token: str) -> FileContent:
    """What a link leads to, by the rights that its viewer has now.

    Of a message the viewer gets the copy in their own mailbox as it was received; of one that lies only in others'
    mailboxes, a copy without the headers that name its blind recipients.

    Raises:
        FileGone: the link is no (longer a) way to anything.
    """
    try:
        kind, organisation_id, user_id, file_id = _opened(deps, token)
    except VaultError:
        raise FileGone("This link has expired.") from None
    async with deps.db.snapshot() as snapshot:
        viewer = (await viewers_by_id(snapshot, organisation_id, [user_id])).get(user_id)
        if viewer is None:
            raise FileGone("This link has expired.")
        row = await snapshot.fetch_row(
            _ATTACHMENT_ROW if kind == _ATTACHMENT else _SOURCE_ROW,
            organisation_id,
            list(viewer.principals),
            user_id,
            file_id,
        )
    if row is None:
        raise FileGone("This link has expired.")
    stored = deps.blobs.stream(row["key"])
    return FileContent(
        filename=row["filename"],
        content_type=row["content_type"],
        size=row["size_bytes"] if row["is_own"] else None,
        stream=stored if row["is_own"] else without_traces(stored),
    )


def _token(deps: Deps, viewer: Viewer, kind: bytes, file_id: UUID) -> str:
    if viewer.user_id is None:
        raise ValueError("a service token reads no mail, and so has no links to it")
    payload = kind + viewer.organisation_id.bytes + viewer.user_id.bytes + file_id.bytes
    return deps.vault.seal_token(payload, purpose=_PURPOSE, expires_in_s=LINK_LIFETIME_S)


def _opened(deps: Deps, token: str) -> tuple[bytes, UUID, UUID, UUID]:
    payload = deps.vault.open_token(token, purpose=_PURPOSE)
    ids = [UUID(bytes=payload[at : at + _ID_BYTES]) for at in range(1, len(payload), _ID_BYTES)]
    return payload[:1], ids[0], ids[1], ids[2]
