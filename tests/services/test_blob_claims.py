"""Files and the rows that name them stay together, whatever is lost half-way."""

from datetime import timedelta

import pytest

from demo.mailserver import MailSandbox
from domain import clock
from infra.blobs import BlobMissing, blob_key
from services.blob_claims import GRACE, BlobsGoing, abandon, claim, settle, sweep
from services.deps import Deps
from services.sync import run_mailbox
from tests.support.office import Office, days_ago, letter


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


async def written(office: Office, content: bytes) -> str:
    key = blob_key(office.organisation_id, content)
    await claim(office.deps, [key])
    await office.deps.blobs.put(key, content)
    return key


async def test_what_was_written_and_never_named_is_thrown_away_in_time(office: Office) -> None:
    key = await written(office, b"left over")
    assert await sweep(office.deps) == 0
    assert await office.deps.blobs.get(key) == b"left over"
    with clock.hold(clock.now() + GRACE + timedelta(seconds=1)):
        assert await sweep(office.deps) == 1
    with pytest.raises(BlobMissing):
        await office.deps.blobs.get(key)
    assert await office.rows("SELECT key FROM blob_claim") == []


async def test_what_is_recorded_stays_and_leaves_no_claim(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    recruiter = await office.user(address)
    await office.candidate("ana@mail.example")
    mail_server.deliver(address, letter("ana@mail.example", address), received_at=days_ago(1))
    await run_mailbox(office.deps, await office.connect(recruiter, address, mail_server))
    assert await office.rows("SELECT key FROM blob_claim") == []
    keys = [str(row["source_key"]) for row in await office.rows("SELECT source_key FROM message_copy")]
    async with office.deps.db.transaction() as tx:
        await abandon(tx, keys)
    assert await sweep(office.deps) == 0, "a row names it"
    assert await office.deps.blobs.get(keys[0])


async def test_leaving_bytes_that_another_is_just_writing_does_not_take_them_from_it(office: Office) -> None:
    key = await written(office, b"shared")
    async with office.deps.db.transaction() as tx:
        await abandon(tx, [key])
    assert await sweep(office.deps) == 0
    assert await office.deps.blobs.get(key) == b"shared"


async def test_nothing_is_written_while_the_same_bytes_are_thrown_away(office: Office) -> None:
    key = await written(office, b"going")
    async with office.deps.db.transaction() as tx:
        await tx.execute("UPDATE blob_claim SET is_going = true, due_at = now()")
    with pytest.raises(BlobsGoing):
        await claim(office.deps, [key])
    assert await sweep(office.deps) == 1, "a sweep that was killed half-way is finished by the next"
    await claim(office.deps, [key])
    async with office.deps.db.transaction() as tx:
        await settle(tx, [key])
    assert await office.rows("SELECT key FROM blob_claim") == []
