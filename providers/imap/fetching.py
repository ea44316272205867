"""How do whole messages come over in bounded memory: small ones in batches, large ones slice by slice."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from domain.changes import FetchedMessage, RemoteRef
from providers.errors import boundary
from providers.imap.cursor import FolderState
from providers.imap.failures import ProtocolViolation
from providers.imap.folders import Folder
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
        state = await mailbox.keep_open(folder) if folder else None
        if folder is None or state is None:
            for ref in wanted:
                yield _lost(mailbox, ref)
            continue
        async for message in _fetch_from(mailbox, folder, state, wanted, max_message_bytes):
            yield message


async def _fetch_from(
    mailbox: RemoteMailbox, folder: Folder, state: FolderState, wanted: Sequence[RemoteRef], max_message_bytes: int
) -> AsyncIterator[FetchedMessage]:
    present: dict[int, RemoteRef] = {}
    for ref in wanted:
        uidvalidity, _, remote_uid = ref.remote_id.partition(":")
        if uidvalidity != str(state.uidvalidity):
            yield FetchedMessage(ref, None)
        elif ref.size_bytes > max_message_bytes:
            yield FetchedMessage(ref, None, too_large=True)
        else:
            present[int(remote_uid)] = ref
    for batch in _batches(present):
        alone = batch
        if len(batch) > 1 or present[batch[0]].size_bytes <= SLICE_BYTES:
            alone = []
            async for uid, message in _fetch_together(mailbox, folder, state, {uid: present[uid] for uid in batch}):
                if message is None:
                    alone.append(uid)
                else:
                    yield message
        for uid in alone:
            if await _holds_still(mailbox, folder, state):
                yield await _fetch_in_slices(mailbox, present[uid], uid, max_message_bytes)
            else:
                yield _lost(mailbox, present[uid])


def _lost(mailbox: RemoteMailbox, ref: RemoteRef) -> FetchedMessage:
    """Its folder is gone, or numbered anew, or was not opened: only the last may pass."""
    return FetchedMessage(ref, None, unreachable=ref.folder in mailbox.refused)


async def _holds_still(mailbox: RemoteMailbox, folder: Folder, state: FolderState) -> bool:
    """Between two messages the caller may have used the session for another folder; the UIDs must still hold."""
    present = await mailbox.keep_open(folder)
    return present is not None and present.uidvalidity == state.uidvalidity


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


async def _fetch_together(
    mailbox: RemoteMailbox, folder: Folder, state: FolderState, refs: dict[int, RemoteRef]
) -> AsyncIterator[tuple[int, FetchedMessage | None]]:
    """One command for all; None for a message that has to be asked for alone.

    Sizes are the server's word: what exceeds them all the same comes cut. And a server that fails on one message may
    withhold others with it.
    """
    if not await _holds_still(mailbox, folder, state):
        for uid, ref in refs.items():
            yield uid, _lost(mailbox, ref)
        return
    found, is_complete = await mailbox.bodies(refs, total_bytes=2 * BATCH_BYTES)
    for uid, ref in refs.items():
        items = found.pop(uid, None)
        if items is not None and not items.is_cut:
            yield uid, FetchedMessage(ref, items.octets, provider_thread_id=items.gmail_thread_id)
        elif items is None and is_complete:
            yield uid, FetchedMessage(ref, None)
        else:
            yield uid, None


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
            return FetchedMessage(ref, bytes(whole), provider_thread_id=items.gmail_thread_id)
