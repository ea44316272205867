"""Where are the bytes of messages and attachments, too large for a table? In a folder or a bucket, by their hash."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.exceptions import NotFoundError as NoSuchObject
from obstore.store import LocalStore, ObjectStore

from domain.errors import AppError, Retry

_DEADLINE_S = 60.0  # for one object of up to 100 MB, or for one piece of a stream
_CHUNK_BYTES = 256 * 1024
_PUTS_AT_ONCE = 8


class BlobError(AppError):
    """The store failed."""


class BlobMissing(BlobError):
    """Nothing is stored under that key. Trying again does not help."""


class BlobStoreUnavailable(BlobError):
    """The store does not answer, or refuses. Trying again later may help; a put may have been done or not."""

    retry = Retry.LATER


def blob_key(organisation_id: UUID, content: bytes) -> str:
    """`organisation/ab/sha256`: the same content of one organisation lies once, that of two is never shared."""
    digest = hashlib.sha256(content).hexdigest()
    return f"{organisation_id.hex}/{digest[:2]}/{digest}"


class Blobs:
    """A store of byte strings that never change: a key is put once, or again with the same content."""

    def __init__(self, store: ObjectStore, *, folder: Path | None = None) -> None:
        """`folder`: where a local store keeps its files; None for a remote one."""
        self._store = store
        self._folder = folder
        self._known_folders: set[Path] = set()

    async def put(self, key: str, content: bytes) -> None:
        """Stores the whole content or, on an error, nothing. May be repeated; survives a power cut once it returns."""
        with _translated():
            async with asyncio.timeout(_DEADLINE_S):
                await obstore.put_async(self._store, key, content)
                if self._folder is not None:
                    await asyncio.to_thread(_sync, self._folder, key, self._known_folders)

    async def put_many(self, contents: Mapping[str, bytes]) -> None:
        """As `put`, of several at once; on an error some may have been stored."""
        # In a task of its own: before Python 3.11.4 a task in which a TaskGroup has failed takes the next timeout of
        # anything that it awaits for its own cancellation.
        await asyncio.create_task(self._put_all(contents))

    async def _put_all(self, contents: Mapping[str, bytes]) -> None:
        waiting = list(contents.items())
        unavailable: BaseExceptionGroup[BlobError] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for first in range(min(_PUTS_AT_ONCE, len(waiting))):
                    tasks.create_task(self._put_each(waiting[first::_PUTS_AT_ONCE]))
        except* BlobError as failures:
            unavailable = failures
        if unavailable is not None:  # raised out here: within `except*` it would come out in a group again
            raise BlobStoreUnavailable("The store of files does not answer.") from unavailable

    async def _put_each(self, contents: Sequence[tuple[str, bytes]]) -> None:
        if self._folder is None:
            for key, content in contents:
                await self.put(key, content)
            return
        with _translated():
            async with asyncio.timeout(_DEADLINE_S):
                await asyncio.to_thread(self._put_files, self._folder, contents)

    def _put_files(self, folder: Path, contents: Sequence[tuple[str, bytes]]) -> None:
        """One thread for several files: going there and back for each costs more than most of them."""
        for key, content in contents:
            obstore.put(self._store, key, content)
            _sync(folder, key, self._known_folders)

    async def get(self, key: str) -> bytes:
        """The whole content.

        Raises:
            BlobMissing: nothing is there.
        """
        with _translated():
            async with asyncio.timeout(_DEADLINE_S):
                result = await obstore.get_async(self._store, key)
                return bytes(await result.bytes_async())

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The content in pieces of some 256 KiB, in order; memory stays near one piece.

        Raises:
            BlobMissing: nothing is there; at the first piece.
        """
        with _translated():
            async with asyncio.timeout(_DEADLINE_S):
                result = await obstore.get_async(self._store, key)
            pieces = aiter(result.stream(min_chunk_size=_CHUNK_BYTES))
            while True:
                try:
                    async with asyncio.timeout(_DEADLINE_S):
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    return
                yield bytes(piece)

    async def delete(self, keys: Sequence[str]) -> None:
        """Nothing is stored under these keys afterwards, whether it was or not."""
        if not keys:
            return
        with _translated():
            async with asyncio.timeout(_DEADLINE_S):
                try:
                    await obstore.delete_async(self._store, list(keys))
                except (NoSuchObject, FileNotFoundError):  # a local store stops at the first that is missing
                    await self._delete_singly(keys)

    async def _delete_singly(self, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(NoSuchObject, FileNotFoundError):
                await obstore.delete_async(self._store, key)


def open_blobs(url: str | None, data_dir: Path) -> Blobs:
    """The store that `url` names (`s3://`, `gs://`, `az://`, `file:///`, `memory:///`), or one in `data_dir`.

    Credentials of a bucket come from the environment, under the names its vendor gives them. Connects to nothing yet.

    Raises:
        BlobStoreUnavailable: the folder cannot be made, or the URL names no store.
    """
    with _translated():
        parts = urlsplit(url or "")
        if url is None or parts.scheme == "file":
            folder = data_dir / "blobs" if url is None else Path(unquote(parts.path))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Blobs(LocalStore(prefix=folder), folder=folder)
        return Blobs(obstore.store.from_url(url))


@contextmanager
def _translated() -> Iterator[None]:
    """Turns foreign errors into ours; their own text names paths and buckets."""
    try:
        yield
    except (NoSuchObject, FileNotFoundError) as error:
        raise BlobMissing("This file is not in the store.") from error
    except (BaseError, OSError) as error:  # TimeoutError is an OSError
        raise BlobStoreUnavailable("The store of files does not answer.") from error


def _sync(folder: Path, key: str, known: set[Path]) -> None:
    """Makes sure of a file and of its way from `folder` down: what the rename alone leaves to chance.

    Args:
        known: folders whose own way is on the disk already; those walked now are added.
    """
    path = folder / key
    _fsync(path)
    walked = []
    for parent in path.parents:
        _fsync(parent)
        if parent in known or parent == folder.parent:
            break
        walked.append(parent)
    known.update(walked)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
