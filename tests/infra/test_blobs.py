"""Does a store give back whole what was put, and nothing else?"""

import hashlib
from pathlib import Path
from uuid import UUID

import pytest

from infra.blobs import BlobMissing, Blobs, BlobStoreUnavailable, blob_key, open_blobs

_ORGANISATION = UUID(int=7)
_LARGE = bytes(range(256)) * 12_000  # 3 MB


@pytest.fixture(params=["folder", "file URL", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    url = {"folder": None, "file URL": f"file://{tmp_path}/with%20space", "memory": "memory:///"}[request.param]
    return open_blobs(url, tmp_path / "data")


def test_a_key_names_organisation_and_content() -> None:
    digest = hashlib.sha256(b"x").hexdigest()

    assert blob_key(_ORGANISATION, b"x") == f"{_ORGANISATION.hex}/{digest[:2]}/{digest}"
    assert blob_key(UUID(int=8), b"x") != blob_key(_ORGANISATION, b"x")


@pytest.mark.parametrize("content", [b"", b"x", _LARGE])
async def test_content_comes_back_whole_and_in_pieces(blobs: Blobs, content: bytes) -> None:
    key = blob_key(_ORGANISATION, content)
    await blobs.put(key, content)
    await blobs.put(key, content)

    assert await blobs.get(key) == content
    assert b"".join([piece async for piece in blobs.stream(key)]) == content


async def test_many_are_put_at_once_and_each_comes_back(blobs: Blobs) -> None:
    contents = {blob_key(_ORGANISATION, raw): raw for raw in (b"", *(b"x" * size for size in range(1, 30)), _LARGE)}
    await blobs.put_many(contents)
    await blobs.put_many({})

    assert {key: await blobs.get(key) for key in contents} == contents


async def test_many_that_cannot_be_put_are_told_without_their_keys(tmp_path: Path) -> None:
    blobs = open_blobs(None, tmp_path)
    (tmp_path / "blobs" / "o").write_text("in the way")
    with pytest.raises(BlobStoreUnavailable) as caught:
        await blobs.put_many({f"o/aa/{number}": b"x" for number in range(20)})
    assert "o/aa" not in caught.value.message


async def test_what_is_not_there_is_told(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        await blobs.get("a/b/c")
    with pytest.raises(BlobMissing):
        await anext(aiter(blobs.stream("a/b/c")))


async def test_deleting_passes_over_what_is_missing_and_leaves_the_rest(blobs: Blobs) -> None:
    for key in ("o/aa/1", "o/aa/2", "o/aa/3"):
        await blobs.put(key, b"x")

    await blobs.delete(["o/aa/0", "o/aa/1", "o/aa/2", "o/aa/9"])
    await blobs.delete(["o/aa/1"])
    await blobs.delete([])

    assert await blobs.get("o/aa/3") == b"x"
    for key in ("o/aa/1", "o/aa/2"):
        with pytest.raises(BlobMissing):
            await blobs.get(key)


async def test_a_local_folder_is_closed_to_others_and_holds_only_finished_files(tmp_path: Path) -> None:
    blobs = open_blobs(None, tmp_path)
    key = blob_key(_ORGANISATION, _LARGE)
    await blobs.put(key, _LARGE)

    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [tmp_path / "blobs" / key]


async def test_a_store_that_cannot_be_opened_is_told_without_its_address(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(BlobStoreUnavailable) as caught:
        open_blobs(None, tmp_path)
    assert str(tmp_path) not in caught.value.message
