"""How do whole messages come over in bounded memory: small ones in batches, large ones slice by slice."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from domain.changes import FetchedMessage, RemoteRef
from providers.errors import boundary
from providers.imap.failures import ProtocolViolation
from providers.imap.mailbox import SLICE_BYTES, RemoteMailbox

BATCH_BYTES = 4 * 2**20
BATCH_MESSAGES = 200


async def fetch_messages(
    mailbox: RemoteMailbox, refs: Sequence[RemoteRef], *, max_message_bytes: int
) -> AsyncIterator[FetchedMessage]:
    """Each ref's message or why there is none; see `providers.base.MailSession.fetch`."""
    by_folder: defaultdict[str, list[RemoteRef]] = defaultdict(list)
    for ref in refs:
        by_folder[ref.folder].append(ref)
    for name, wanted in by_folder.items():
        folder = await mailbox.folder(name)
        state = await mailbox.open(folder) if folder else None
        present: dict[int, RemoteRef] = {}
        for ref in wanted:
            uidvalidity, _, remote_uid = ref.remote_id.partition(":")
            if state is None or uidvalidity != str(state.uidvalidity):
                yield FetchedMessage(ref, None)
            elif ref.size_bytes > max_message_bytes:
                yield FetchedMessage(ref, None, too_large=True)
            else:
                present[int(remote_uid)] = ref
        if folder is None:
            continue
        for batch in _batches(present):
            # The caller may have used the session for another folder since the last message.
            if await mailbox.keep_open(folder) != state:
                for uid in batch:
                    yield FetchedMessage(present[uid], None)
                continue
            async for message in _fetch_batch(mailbox, {uid: present[uid] for uid in batch}, max_message_bytes):
                yield message


def _batches(refs: dict[int, RemoteRef]) -> list[list[int]]:
    """UIDs in groups of bounded size; a message above a slice makes a group of its own."""
    batches: list[list[int]] = []
    size = BATCH_BYTES
    for uid in sorted(refs):
        cost = refs[uid].size_bytes
        if cost > SLICE_BYTES:
            batches.append([uid])
            size = BATCH_BYTES
            continue
        if size + cost > BATCH_BYTES or len(batches[-1]) >= BATCH_MESSAGES:
            batches.append([])
            size = 0
        batches[-1].append(uid)
        size += cost
    return batches


async def _fetch_batch(
    mailbox: RemoteMailbox, refs: dict[int, RemoteRef], max_message_bytes: int
) -> AsyncIterator[FetchedMessage]:
    alone = list(refs)
    is_complete = True
    if len(refs) > 1 or next(iter(refs.values())).size_bytes <= SLICE_BYTES:
        # Sizes are the server's word; what exceeds the batch all the same comes cut, and then in slices.
        found, is_complete = await mailbox.bodies(refs, total_bytes=2 * BATCH_BYTES)
        alone = [uid for uid in refs if uid in found and found[uid].is_cut]
        for uid in refs:
            items = found.pop(uid, None)
            if items is not None and not items.is_cut:
                yield FetchedMessage(refs[uid], items.octets)
            elif items is None and is_complete:
                yield FetchedMessage(refs[uid], None)
            elif items is None:
                alone.append(uid)
    for uid in alone:
        yield await _fetch_in_slices(mailbox, refs[uid], uid, max_message_bytes)


async def _fetch_in_slices(mailbox: RemoteMailbox, ref: RemoteRef, uid: int, max_message_bytes: int) -> FetchedMessage:
    whole = bytearray()
    while True:
        items = await mailbox.body_slice(uid, len(whole))
        if items is None or items.octets is None:
            is_there = bool(await mailbox.uids(uid, uid))
            return FetchedMessage(ref, None, refused=is_there)
        if not items.is_slice and (whole or items.is_cut):
            with boundary():
                raise ProtocolViolation("the whole message where a slice was asked for")
        whole += items.octets
        if len(whole) > max_message_bytes:
            return FetchedMessage(ref, None, too_large=True)
        if not items.is_slice or len(items.octets) < SLICE_BYTES:
            return FetchedMessage(ref, bytes(whole))
