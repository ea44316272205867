"""A message between two threads makes one of them: the older id stays, the other goes on working, and private wins."""

import pytest

from demo.mailserver import MailSandbox
from domain.access import Viewer
from services.deps import Deps
from services.sync import run_mailbox
from tests.support.office import Office, letter, message_id

ANA = "ana@mail.example"


@pytest.fixture
async def office(deps: Deps) -> Office:
    office = await Office.open(deps)
    await office.candidate(ANA)
    return office


@pytest.fixture
async def recruiter(office: Office, address: str) -> Viewer:
    return await office.user(address)


class Correspondence:
    """Ana's mail in the recruiter's mailbox: two letters, then one that continues both."""

    def __init__(self, office: Office, recruiter: Viewer, server: MailSandbox, address: str) -> None:
        self.office, self.recruiter, self.server, self.address = office, recruiter, server, address
        self.one, self.other = (letter(ANA, address, subject) for subject in ("one", "other"))

    async def two_threads(self) -> None:
        self.mailbox = await self.office.connect(self.recruiter, self.address, self.server)
        for raw in (self.one, self.other):
            self.server.deliver(self.address, raw)
            await run_mailbox(self.office.deps, self.mailbox)

    async def bridge(self) -> None:
        raw = letter(ANA, self.address, "bridge", reply_to=self.other)
        both = f"<{message_id(self.one)}> <{message_id(self.other)}>".encode()
        self.server.deliver(self.address, raw.replace(b"References: ", b"References: " + both + b" "))
        await run_mailbox(self.office.deps, self.mailbox)

    async def thread_ids(self) -> dict[str, object]:
        return {
            str(row["subject"]): row["thread_id"]
            for row in await self.office.rows("SELECT subject, thread_id FROM message")
        }


@pytest.fixture
async def correspondence(office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str) -> Correspondence:
    correspondence = Correspondence(office, recruiter, mail_server, address)
    await correspondence.two_threads()
    return correspondence


async def test_the_older_id_stays_and_the_other_goes_on_working(office: Office, correspondence: Correspondence) -> None:
    before = await correspondence.thread_ids()
    assert before["one"] != before["other"]
    await correspondence.bridge()
    after = await correspondence.thread_ids()
    assert after == dict.fromkeys(("one", "other", "bridge"), before["one"])
    assert await office.rows("SELECT id, thread_id FROM retired_thread") == [
        {"id": before["other"], "thread_id": before["one"]}
    ]
    [thread] = await office.rows("SELECT id, message_count, visibility FROM thread")
    assert thread == {"id": before["one"], "message_count": 3, "visibility": "SHARED"}
    events = await office.rows("SELECT thread_id, retired_id FROM event WHERE kind = 'ThreadMerged'")
    assert events == [{"thread_id": before["one"], "retired_id": before["other"]}]
    assert await office.rows("SELECT id FROM event WHERE kind = 'ThreadWithdrawn'") == []


@pytest.mark.parametrize("private", ["one", "other"])
async def test_private_wins_and_who_loses_a_thread_is_told(
    private: str, office: Office, recruiter: Viewer, correspondence: Correspondence
) -> None:
    before = await correspondence.thread_ids()
    async with office.deps.db.transaction() as tx:
        await tx.execute(
            "UPDATE thread SET visibility = 'PRIVATE', readers = ARRAY[$2]::uuid[] WHERE id = $1",
            before[private],
            recruiter.user_id,
        )
    await correspondence.bridge()
    [thread] = await office.rows("SELECT id, visibility, readers FROM thread")
    assert thread == {"id": before["one"], "visibility": "PRIVATE", "readers": [recruiter.user_id]}
    shared = {"one": "other", "other": "one"}[private]
    withdrawn = await office.rows("SELECT thread_id, audience FROM event WHERE kind = 'ThreadWithdrawn'")
    assert withdrawn == [{"thread_id": before[shared], "audience": [office.organisation_id]}]
