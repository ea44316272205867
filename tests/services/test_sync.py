"""A connected mailbox is read: old mail by choice, new mail at once, and nothing that is nobody's."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from demo.mailserver import Delivery, MailSandbox
from domain import clock
from domain.access import Viewer
from domain.ids import OrganisationId
from services.accounts import open_session
from services.connecting import HistoryChoice, import_history
from services.deps import Deps
from services.discovery import take_page
from services.hiring import upsert_candidate
from services.leases import LeaseLost, acquire, hold, release
from services.sync import request_sync, run_mailbox
from tests.support.office import Office, days_ago, letter

CANDIDATE = "ana@mail.example"


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps, internal_domains=("acme.example",))


@pytest.fixture
async def recruiter(office: Office, address: str) -> Viewer:
    return await office.user(address)


async def subjects(office: Office) -> list[str]:
    rows = await office.rows("SELECT subject FROM message ORDER BY subject")
    return [str(row["subject"]) for row in rows]


async def test_old_mail_with_a_candidate_is_recorded_in_both_directions_and_nothing_else(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    inbound = letter(CANDIDATE, address, "Application")
    mail_server.deliver(address, inbound, received_at=days_ago(30))
    mail_server.deliver(address, letter("shop@store.example", address, "Offers"), received_at=days_ago(20))
    mail_server.deliver(address, letter(address, CANDIDATE, "Re: Application", reply_to=inbound), "Sent", days_ago(29))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == ["Application", "Re: Application"]
    rows = await office.rows("SELECT subject, direction, origin FROM message ORDER BY sent_at, subject")
    assert [(row["direction"], row["origin"]) for row in rows] == [("INBOUND", "IMPORT"), ("OUTBOUND", "IMPORT")]
    threads = await office.rows("SELECT message_count, readers FROM thread")
    assert [thread["message_count"] for thread in threads] == [2]
    assert set(threads[0]["readers"]) == {office.organisation_id, recruiter.user_id}  # type: ignore[call-overload]


async def test_running_again_adds_nothing(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    mail_server.deliver_many(
        address, [Delivery(letter(CANDIDATE, address, f"Letter {n}"), days_ago(n)) for n in range(1, 20)]
    )
    mailbox = await office.connect(recruiter, address, mail_server)
    for _ in range(3):
        await run_mailbox(office.deps, mailbox)
    assert len(await subjects(office)) == 19
    assert len(await office.rows("SELECT id FROM event WHERE kind = 'MessageAdded'")) == 19
    assert await office.rows("SELECT id FROM ledger_entry") == []
    state = (await office.rows("SELECT * FROM mailbox"))[0]
    assert state["import_finished_at"] is not None
    assert (state["import_scanned"], state["import_total"]) == (19, 19)
    assert state["lease_until"] is None


async def test_what_arrives_after_connecting_is_news(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    mail_server.deliver(address, letter(CANDIDATE, address, "Before"))
    mailbox = await office.connect(recruiter, address, mail_server, "NONE")
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == []
    mail_server.deliver(address, letter(CANDIDATE, address, "After"))
    await run_mailbox(office.deps, mailbox)
    rows = await office.rows("SELECT subject, origin FROM message")
    assert [(row["subject"], row["origin"]) for row in rows] == [("After", "LIVE")]


async def test_an_old_message_that_is_moved_is_neither_news_nor_recorded_without_consent(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    mail_server.deliver(address, letter(CANDIDATE, address, "Old"), received_at=days_ago(40))
    mailbox = await office.connect(recruiter, address, mail_server, "NONE")
    mail_server.move(address, "INBOX", "Archive", "1")
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == []


async def test_history_since_and_latest_read_as_far_as_they_say(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    for n in range(1, 11):
        mail_server.deliver(address, letter(CANDIDATE, address, f"Letter {n:02}"), received_at=days_ago(n))
    mailbox = await office.connect(recruiter, address, mail_server, "LATEST", count=3)
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == ["Letter 01", "Letter 02", "Letter 03"]


async def test_a_moved_message_stays_recorded_once(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    mail_server.deliver(address, letter(CANDIDATE, address, "Kept"), received_at=days_ago(3))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    mail_server.move(address, "INBOX", "Archive", "1")
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == ["Kept"]
    copies = await office.rows("SELECT folder FROM message_copy ORDER BY folder")
    assert [copy["folder"] for copy in copies] == ["Archive", "INBOX"]
    assert len(await office.rows("SELECT id FROM event WHERE kind = 'MessageAdded'")) == 1


async def test_folders_numbered_anew_are_known_again(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    for n in range(1, 6):
        mail_server.deliver(address, letter(CANDIDATE, address, f"Letter {n}"), received_at=days_ago(n))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    mail_server.change_uidvalidity(address, "INBOX", 99_999)
    mail_server.deliver(address, letter(CANDIDATE, address, "News"))
    await run_mailbox(office.deps, mailbox)
    assert len(await subjects(office)) == 6
    added = await office.rows("SELECT origin FROM event WHERE kind = 'MessageAdded' ORDER BY position")
    assert [row["origin"] for row in added] == ["IMPORT"] * 5 + ["LIVE"]


async def test_drafts_junk_and_trash_are_not_read(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    for folder in ("Drafts", "Junk", "Trash"):
        mail_server.deliver(address, letter(CANDIDATE, address, folder), folder)
    mailbox = await office.connect(recruiter, address, mail_server)
    mail_server.deliver(address, letter(CANDIDATE, address, "Later"), "Junk")
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == []


async def test_the_same_message_in_two_mailboxes_is_one_with_two_copies(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, addresses: Iterator[str]
) -> None:
    await office.candidate(CANDIDATE)
    colleague_address = next(addresses)
    colleague = await office.user(colleague_address, "HIRING_TEAM")
    raw = letter(CANDIDATE, address, "To both", cc=colleague_address)
    mail_server.deliver(address, b"Received: from one by a\r\n" + raw, received_at=days_ago(2))
    mail_server.deliver(colleague_address, b"Received: from one by b\r\n" + raw, received_at=days_ago(2))
    for viewer, where in ((recruiter, address), (colleague, colleague_address)):
        await run_mailbox(office.deps, await office.connect(viewer, where, mail_server))
    assert await subjects(office) == ["To both"]
    assert len(await office.rows("SELECT id FROM message_copy")) == 2
    readers = (await office.rows("SELECT readers FROM thread"))[0]["readers"]
    assert {recruiter.user_id, colleague.user_id} <= set(readers)  # type: ignore[call-overload]


async def test_a_candidate_of_one_organisation_is_nobody_to_another(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    other = await Office.open(office.deps)
    await other.candidate(CANDIDATE)
    mail_server.deliver(address, letter(CANDIDATE, address, "Hello"), received_at=days_ago(1))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == []


async def test_extending_history_reads_the_rest_without_doubling(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    for n in range(1, 9):
        mail_server.deliver(address, letter(CANDIDATE, address, f"Letter {n}"), received_at=days_ago(n))
    mailbox = await office.connect(recruiter, address, mail_server, "SINCE", since=days_ago(4.5))
    await run_mailbox(office.deps, mailbox)
    assert len(await subjects(office)) == 4
    await import_history(office.deps, recruiter, mailbox_id=mailbox, history=HistoryChoice("ALL"))
    await run_mailbox(office.deps, mailbox)
    assert len(await subjects(office)) == 8
    assert len(await office.rows("SELECT id FROM message_copy")) == 8


async def test_history_that_is_extended_while_a_run_ends_is_read_all_the_same(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    for n in range(1, 9):
        mail_server.deliver(address, letter(CANDIDATE, address, f"Letter {n}"), received_at=days_ago(n))
    mailbox = await office.connect(recruiter, address, mail_server, "SINCE", since=days_ago(4.5))
    taken = await acquire(office.deps, mailbox)
    assert taken is not None
    await import_history(office.deps, recruiter, mailbox_id=mailbox, history=HistoryChoice("ALL"))
    async with office.deps.db.transaction() as tx:
        with pytest.raises(LeaseLost):
            await hold(tx, taken[0])
    await run_mailbox(office.deps, mailbox)
    assert len(await subjects(office)) == 8


async def test_colleagues_whose_addresses_differ_by_a_tag_are_told_apart(
    office: Office, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    where = next(addresses)
    recruiter = await office.user(where)
    alice = await office.user("firm+alice@gmail.com", "HIRING_TEAM")
    bob = await office.user("firm+bob@gmail.com", "HIRING_TEAM")
    await office.candidate(CANDIDATE)
    mail_server.deliver(where, letter(CANDIDATE, where, "1", cc="firm+alice@gmail.com"), received_at=days_ago(3))
    mail_server.deliver(where, letter(CANDIDATE, where, "2", cc="firm+bob@gmail.com"), received_at=days_ago(2))
    mail_server.deliver(where, letter(CANDIDATE, where, "3", cc="firm@gmail.com"), received_at=days_ago(1))
    await run_mailbox(office.deps, await office.connect(recruiter, where, mail_server))
    rows = await office.rows("SELECT readers FROM thread ORDER BY subject")
    readers = [set(row["readers"]) & {alice.user_id, bob.user_id} for row in rows]  # type: ignore[call-overload]
    assert readers == [{alice.user_id}, {bob.user_id}, set()]


async def test_bcc_is_believed_from_the_senders_own_copy_alone_whichever_comes_first(
    office: Office, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    sender, hidden = next(addresses), next(addresses)
    rita, carl = await office.user(sender), await office.user(hidden, "HIRING_TEAM")
    await office.user("forged@acme.example", "HIRING_TEAM")
    await office.candidate(CANDIDATE)
    raw = letter(sender, CANDIDATE, "Quietly")
    received = raw.replace(b"Subject:", b"Bcc: forged@acme.example\nSubject:", 1)
    mail_server.deliver(hidden, received, received_at=days_ago(1))
    await run_mailbox(office.deps, await office.connect(carl, hidden, mail_server))
    assert (await office.rows("SELECT people->'bcc' AS bcc FROM message"))[0]["bcc"] == []
    sent = raw.replace(b"Subject:", f"Bcc: {hidden}\nSubject:".encode(), 1)
    mail_server.deliver(sender, sent, "Sent", days_ago(1))
    await run_mailbox(office.deps, await office.connect(rita, sender, mail_server))
    rows = await office.rows("SELECT people->'bcc' AS bcc, (SELECT count(*) FROM message) AS messages FROM message")
    assert [(entry["address"], row["messages"]) for row in rows for entry in row["bcc"]] == [(hidden, 1)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("scope", ["NONE", "ALL"])
async def test_an_address_that_is_added_later_brings_its_mail_but_not_as_news(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, scope: str
) -> None:
    mail_server.deliver(address, letter(CANDIDATE, address, "Before connecting"), received_at=days_ago(9))
    mailbox = await office.connect(recruiter, address, mail_server, scope)
    await run_mailbox(office.deps, mailbox)
    mail_server.deliver(address, letter(CANDIDATE, address, "Since connecting"))
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == []
    administrator = await office.user("admin@acme.example", "ADMIN")
    await upsert_candidate(office.deps, administrator, external_id="ana", name="Ana", emails=[CANDIDATE])
    await run_mailbox(office.deps, mailbox)
    expected = ["Since connecting"] if scope == "NONE" else ["Before connecting", "Since connecting"]
    assert await subjects(office) == expected
    assert {row["origin"] for row in await office.rows("SELECT origin FROM message")} == {"IMPORT"}
    searches = await office.rows("SELECT found, finished_at FROM mailbox_search")
    assert [(row["found"], row["finished_at"] is not None) for row in searches] == [(len(expected), True)]


async def test_a_name_that_looks_like_an_address_puts_recorded_mail_on_nobodys_record(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    ana = await office.candidate(CANDIDATE)
    mail_server.deliver(address, letter(f'"bob@mail.example" <{CANDIDATE}>', address), received_at=days_ago(2))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    administrator = await office.user("admin@acme.example", "ADMIN")
    await upsert_candidate(office.deps, administrator, external_id="bob", name="Bob", emails=["bob@mail.example"])
    await run_mailbox(office.deps, mailbox)
    assert [row["candidate_id"] for row in await office.rows("SELECT candidate_id FROM message_candidate")] == [ana]
    assert [row["candidate_id"] for row in await office.rows("SELECT candidate_id FROM thread_candidate")] == [ana]


async def test_a_folder_that_is_not_opened_for_a_while_is_told_and_read_once_it_is(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    mail_server.deliver(address, letter(CANDIDATE, address, "In Archive"), "Archive", days_ago(3))
    mail_server.deliver(address, letter(CANDIDATE, address, "In the inbox"), received_at=days_ago(2))
    mailbox = await office.connect(recruiter, address, mail_server)
    with mail_server.broken_folder(address, "Archive"):
        await run_mailbox(office.deps, mailbox)
        assert await subjects(office) == ["In the inbox"]
        state = (await office.rows("SELECT problem_code, import_finished_at, needs_reauthorization FROM mailbox"))[0]
        assert state == {
            "problem_code": "CONNECTION_REFUSED",
            "import_finished_at": None,
            "needs_reauthorization": False,
        }
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == ["In Archive", "In the inbox"]
    state = (await office.rows("SELECT problem_code, import_finished_at IS NULL AS going FROM mailbox"))[0]
    assert state == {"problem_code": None, "going": False}


async def test_what_is_to_be_fetched_from_a_folder_that_is_not_opened_for_a_while_is_kept(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    mail_server.deliver(address, letter(CANDIDATE, address, "In Archive"), "Archive", days_ago(3))
    mailbox = await office.connect(recruiter, address, mail_server)
    await read_headers_only(office, mailbox)
    with mail_server.broken_folder(address, "Archive"):
        await run_mailbox(office.deps, mailbox)
        assert await subjects(office) == []
        assert [row["attempts"] for row in await office.rows("SELECT attempts FROM ledger_entry")] == [0]
    await make_due(office, "UPDATE ledger_entry SET next_attempt_at = now()")
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == ["In Archive"]


async def make_due(office: Office, sql: str) -> None:
    async with office.deps.db.transaction() as tx:
        await tx.execute(sql)


async def read_headers_only(office: Office, mailbox_id: UUID) -> None:
    """What a worker has done that is killed before it fetches."""
    taken = await acquire(office.deps, mailbox_id)
    assert taken is not None
    lease, mailbox = taken
    rows = await office.rows("SELECT folder, history_cursor FROM folder_state")
    cursors = {str(row["folder"]): row["history_cursor"] for row in rows}
    async with open_session(office.deps, mailbox) as session:
        async for page in session.discover(cursors, want="history"):  # type: ignore[arg-type]
            await take_page(office.deps, lease, mailbox, page, found_by="history")
    await release(office.deps, lease, next_run_in_s=0, seen_request=clock.now(), force=True)


async def test_a_search_that_a_folder_kept_from_its_end_is_run_again(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    mail_server.deliver(address, letter(CANDIDATE, address, "In Archive"), "Archive", days_ago(3))
    mailbox = await office.connect(recruiter, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    ats = Viewer(OrganisationId(office.organisation_id), user_id=None, level=None)
    await upsert_candidate(office.deps, ats, external_id="ana", name="Ana", emails=[CANDIDATE])
    with mail_server.broken_folder(address, "Archive"):
        await run_mailbox(office.deps, mailbox)
        search = (await office.rows("SELECT finished_at, due_at > now() AS is_later FROM mailbox_search"))[0]
        assert search == {"finished_at": None, "is_later": True}
    await make_due(office, "UPDATE mailbox_search SET due_at = now()")
    await run_mailbox(office.deps, mailbox)
    assert await subjects(office) == ["In Archive"]


async def test_news_is_recorded_while_old_mail_is_still_being_read(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    old = [Delivery(letter(CANDIDATE, address, f"Old {n}"), days_ago(9), (r"\Seen",)) for n in range(1000)]
    mail_server.deliver_many(address, old)
    mailbox = await office.connect(recruiter, address, mail_server)
    run = asyncio.create_task(run_mailbox(office.deps, mailbox))
    while not await office.rows("SELECT id FROM message"):
        await asyncio.sleep(0.01)
    mail_server.deliver(address, letter(CANDIDATE, address, "New"))
    await request_sync(office.deps, mailbox)
    while not await office.rows("SELECT id FROM message WHERE subject = 'New'"):
        await asyncio.sleep(0.01)
    assert len(await subjects(office)) < 1000
    await run
    assert len(await subjects(office)) == 1001


async def test_a_run_that_is_told_to_stop_hands_its_mailbox_on_at_once(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    old = [Delivery(letter(CANDIDATE, address, f"Old {n}"), days_ago(9), (r"\Seen",)) for n in range(300)]
    mail_server.deliver_many(address, old)
    mailbox = await office.connect(recruiter, address, mail_server)
    run = asyncio.create_task(run_mailbox(office.deps, mailbox))
    while not await office.rows("SELECT id FROM message"):
        await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    state = (await office.rows("SELECT lease_until, next_run_at <= now() AS is_due FROM mailbox"))[0]
    assert state == {"lease_until": None, "is_due": True}
    assert {row["attempts"] for row in await office.rows("SELECT attempts FROM ledger_entry")} <= {0}
    await run_mailbox(office.deps, mailbox)
    assert len(await subjects(office)) == 300
