"""The applicant tracking system's side: who may, what is kept, who is told, and what races do no harm."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from demo.mailserver import MailSandbox
from domain.access import AccessLevel, Viewer
from domain.errors import ErrorCode, Forbidden, NotAuthenticated, UserMistake
from domain.ids import OrganisationId, new_id
from services.blob_claims import sweep
from services.bootstrap import bootstrap, token_subject
from services.deps import Deps
from services.hiring import (
    add_candidate_email,
    archive_job,
    remove_candidate_email,
    reopen_job,
    upsert_candidate,
    upsert_job,
)
from services.organisations import update_organisation
from services.people import upsert_user
from services.sync import run_mailbox
from services.viewers import viewer_of
from tests.support.office import Office, days_ago, letter

ANA = "ana@mail.example"
ANA_AT_HOME = "ana@home.example"


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps, internal_domains=("acme.example",))


@pytest.fixture
def ats(office: Office) -> Viewer:
    """A service token's viewer."""
    return Viewer(OrganisationId(office.organisation_id), user_id=None, level=None)


async def events(office: Office, kind: str) -> list[dict[str, object]]:
    return await office.rows(
        "SELECT * FROM event WHERE kind = $1 AND organisation_id = $2 ORDER BY position", kind, office.organisation_id
    )


async def actions(office: Office) -> list[str]:
    rows = await office.rows(
        "SELECT action FROM audit_entry WHERE organisation_id = $1 ORDER BY id", office.organisation_id
    )
    return [str(row["action"]) for row in rows]


async def refusal(act: Awaitable[object]) -> UserMistake:
    with pytest.raises(UserMistake) as caught:
        await act
    return caught.value


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize("level", ["FULL", "HIRING_TEAM"])
async def test_only_administrators_and_service_tokens_may(office: Office, level: str) -> None:
    viewer = await office.user("rita@acme.example", level)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: update_organisation(office.deps, viewer, name="Mine"),
        lambda: upsert_user(office.deps, viewer, external_id="rita@acme.example", access_level=AccessLevel.ADMIN),
        lambda: upsert_job(office.deps, viewer, external_id="1", title="Job", hiring_team=["rita@acme.example"]),
        lambda: archive_job(office.deps, viewer, job_id=new_id()),
        lambda: reopen_job(office.deps, viewer, job_id=new_id()),
        lambda: upsert_candidate(office.deps, viewer, external_id="1", name="Ana", emails=[ANA]),
        lambda: add_candidate_email(office.deps, viewer, candidate_id=new_id(), address=ANA),
        lambda: remove_candidate_email(office.deps, viewer, candidate_id=new_id(), address=ANA),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            await call()
    assert await actions(office) == []
    assert await events(office, "AccessChanged") == []


async def test_an_administrator_may_and_is_named_in_the_audit_log(office: Office) -> None:
    admin = await office.user("boss@acme.example", "ADMIN")
    await update_organisation(office.deps, admin, name="  Acme & Sons  ", branch_policy="SHARED")
    rows = await office.rows("SELECT name, branch_policy, internal_domains FROM organisation")
    assert [tuple(row.values()) for row in rows] == [("Acme & Sons", "SHARED", ["acme.example"])]
    entries = await office.rows("SELECT action, actor_id FROM audit_entry")
    assert [(entry["action"], entry["actor_id"]) for entry in entries] == [("organisation.updated", admin.user_id)]


async def test_nothing_reaches_into_another_organisation(office: Office, ats: Viewer) -> None:
    other = await Office.open(office.deps)
    stranger = Viewer(OrganisationId(other.organisation_id), user_id=None, level=None)
    job = await upsert_job(office.deps, ats, external_id="job", title="Engineer")
    ana = await upsert_candidate(office.deps, ats, external_id="ana", name="Ana", emails=[ANA])
    await upsert_user(office.deps, ats, external_id="rita", name="Rita", email="rita@x.example")

    for act in (
        archive_job(office.deps, stranger, job_id=job),
        reopen_job(office.deps, stranger, job_id=job),
        add_candidate_email(office.deps, stranger, candidate_id=ana, address=ANA_AT_HOME),
        remove_candidate_email(office.deps, stranger, candidate_id=ana, address=ANA),
    ):
        assert (await refusal(act)).code is ErrorCode.NOT_FOUND
    taken = upsert_job(office.deps, stranger, external_id="job", title="Theirs", hiring_team=["rita"])
    assert (await refusal(taken)).path == ("input", "hiringTeam", "0")
    unknown = upsert_candidate(office.deps, stranger, external_id="ana", name="Ana", jobs=["job"])
    assert (await refusal(unknown)).path == ("input", "jobs", "0")

    # The same external ids, names and addresses are somebody else there.
    assert await upsert_candidate(office.deps, stranger, external_id="ana", name="Ana", emails=[ANA]) != ana
    await upsert_user(office.deps, stranger, external_id="rita", name="Rita", email="rita@x.example")


# ---------------------------------------------------------------- the organisation


async def test_domains_are_kept_in_one_form_and_wrong_ones_are_named(office: Office, ats: Viewer) -> None:
    await update_organisation(office.deps, ats, internal_domains=["@Bücher.example", "acme.EXAMPLE.", "acme.example"])
    rows = await office.rows("SELECT name, internal_domains FROM organisation")
    assert rows[0]["internal_domains"] == ["xn--bcher-kva.example", "acme.example"]
    mistake = await refusal(update_organisation(office.deps, ats, internal_domains=["ok.example", "not a domain"]))
    assert (mistake.code, mistake.path) == (ErrorCode.INVALID_INPUT, ("input", "internalDomains", "1"))


async def test_candidates_on_a_domain_that_becomes_internal_are_told_of(office: Office, ats: Viewer) -> None:
    ana = await upsert_candidate(office.deps, ats, external_id="ana", name="Ana", emails=["ana@new.example"])
    await upsert_candidate(office.deps, ats, external_id="bob", name="Bob", emails=["bob@else.example"])
    before = len(await events(office, "CandidateChanged"))
    await update_organisation(office.deps, ats, internal_domains=["new.example"])
    assert [event["candidate_id"] for event in (await events(office, "CandidateChanged"))[before:]] == [ana]


# ---------------------------------------------------------------- users


async def test_a_new_user_needs_a_name_and_an_address(office: Office, ats: Viewer) -> None:
    no_name = upsert_user(office.deps, ats, external_id="1", email="a@x.example")
    assert (await refusal(no_name)).path == ("input", "name")
    assert (await refusal(upsert_user(office.deps, ats, external_id="1", name="A"))).path == ("input", "email")


async def test_what_is_left_out_of_an_upsert_stays(office: Office, ats: Viewer) -> None:
    rita = await upsert_user(
        office.deps, ats, external_id="1", name="Rita", email="Rita@X.example", other_emails=["r@y.example"]
    )
    assert await upsert_user(office.deps, ats, external_id="1", name="Rita R.") == rita
    rows = await office.rows("SELECT name, email, access_level, is_active FROM user_account")
    assert [tuple(row.values()) for row in rows] == [("Rita R.", "Rita@X.example", "HIRING_TEAM", True)]
    addresses = await office.rows("SELECT canonical FROM user_address ORDER BY canonical")
    assert [row["canonical"] for row in addresses] == ["r@y.example", "rita@x.example"]


async def test_a_new_main_address_replaces_the_old_one_and_leaves_the_others(office: Office, ats: Viewer) -> None:
    names = {"external_id": "1", "name": "Rita", "email": "old@x.example"}
    await upsert_user(office.deps, ats, **names, other_emails=["r@y.example"])  # type: ignore[arg-type]
    await upsert_user(office.deps, ats, external_id="1", email="new@x.example")
    addresses = await office.rows("SELECT canonical FROM user_address ORDER BY canonical")
    assert [row["canonical"] for row in addresses] == ["new@x.example", "r@y.example"]


async def test_an_address_belongs_to_one_user(office: Office, ats: Viewer) -> None:
    await upsert_user(office.deps, ats, external_id="1", name="Rita", email="rita@x.example")
    main = upsert_user(office.deps, ats, external_id="2", name="Carl", email="RITA@x.example")
    assert (await refusal(main)).path == ("input", "email")
    other = upsert_user(
        office.deps,
        ats,
        external_id="2",
        name="Carl",
        email="c@x.example",
        other_emails=["d@x.example", "rita@X.example"],
    )
    assert (await refusal(other)).path == ("input", "otherEmails", "1")
    assert len(await office.rows("SELECT id FROM user_account")) == 1


async def test_a_wider_level_is_told_and_makes_older_mail_count_as_read(office: Office, ats: Viewer) -> None:
    rita = await upsert_user(office.deps, ats, external_id="1", name="Rita", email="rita@x.example")
    [before] = await office.rows("SELECT reads_since, (SELECT access_version FROM organisation) FROM user_account")
    await upsert_user(office.deps, ats, external_id="1", access_level=AccessLevel.FULL)
    [after] = await office.rows("SELECT reads_since, (SELECT access_version FROM organisation) FROM user_account")
    assert after["reads_since"] > before["reads_since"]  # type: ignore[operator]
    assert after["access_version"] > before["access_version"]  # type: ignore[operator]
    assert (await events(office, "AccessChanged"))[-1]["audience"] == [rita]
    await upsert_user(office.deps, ats, external_id="1", access_level=AccessLevel.HIRING_TEAM)
    [narrower] = await office.rows("SELECT reads_since FROM user_account")
    assert narrower["reads_since"] == after["reads_since"]


async def test_an_upsert_that_changes_nothing_tells_nobody(office: Office, ats: Viewer) -> None:
    for _ in range(2):
        await upsert_user(office.deps, ats, external_id="1", name="Rita", email="rita@x.example")
        await upsert_job(office.deps, ats, external_id="1", title="Engineer", hiring_team=["1"])
        await upsert_candidate(office.deps, ats, external_id="1", name="Ana", emails=[ANA], jobs=["1"])
    assert len(await events(office, "AccessChanged")) == 2
    assert len(await events(office, "CandidateChanged")) == 1


async def test_who_leaves_signs_in_no_more_and_is_read_no_more_and_the_mail_stays(
    office: Office, ats: Viewer, mail_server: MailSandbox, address: str
) -> None:
    rita = await office.user(address)
    await office.candidate(ANA)
    mail_server.deliver(address, letter(ANA, address), received_at=days_ago(3))
    mailbox = await office.connect(rita, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    await upsert_user(office.deps, ats, external_id=address, is_active=False)
    [row] = await office.rows("SELECT disconnected_at, next_run_at, credentials, lease_until FROM mailbox")
    assert row["disconnected_at"] is not None
    assert (row["next_run_at"], row["credentials"], row["lease_until"]) == (None, b"", None)
    mail_server.deliver(address, letter(ANA, address))
    await run_mailbox(office.deps, mailbox)
    assert len(await office.rows("SELECT id FROM message")) == 1
    assert "mailbox.disconnected" in await actions(office)
    async with office.deps.db.snapshot() as snapshot:
        with pytest.raises(NotAuthenticated):
            await viewer_of(snapshot, office.organisation_id, address)


@pytest.mark.parametrize("name", ["", "   ", "a\0b", "\ud800", "x" * 201])
async def test_names_that_are_none_are_refused(office: Office, ats: Viewer, name: str) -> None:
    act = upsert_user(office.deps, ats, external_id="1", name=name, email="a@x.example")
    assert (await refusal(act)).path == ("input", "name")


@pytest.mark.parametrize(
    "address", ["", "ana", "ana@", "@x.example", "a b@x.example", "ana@x.example\0", "\ud800@x.example"]
)
async def test_addresses_that_are_none_are_refused(office: Office, ats: Viewer, address: str) -> None:
    act = upsert_candidate(office.deps, ats, external_id="1", name="Ana", emails=[ANA, address])
    assert (await refusal(act)).path == ("input", "emails", "1")


# ---------------------------------------------------------------- jobs


async def test_who_joins_or_leaves_a_team_is_told_and_those_with_full_access_are_not(
    office: Office, ats: Viewer
) -> None:
    stays = await office.user("stays@acme.example", "HIRING_TEAM")
    leaves = await office.user("leaves@acme.example", "HIRING_TEAM")
    joins = await office.user("joins@acme.example", "HIRING_TEAM")
    await office.user("full@acme.example", "FULL")
    job = await office.job("Engineer", stays, leaves)
    team = ["stays@acme.example", "joins@acme.example", "full@acme.example"]
    assert await upsert_job(office.deps, ats, external_id="Engineer", hiring_team=team) == job
    [event] = await events(office, "AccessChanged")
    assert set(event["audience"]) == {leaves.user_id, joins.user_id}  # type: ignore[call-overload]
    assert job in (await office.viewer("joins@acme.example")).principals
    assert job not in (await office.viewer("leaves@acme.example")).principals


async def test_a_team_of_unknown_users_is_refused_where_it_is_wrong(office: Office, ats: Viewer) -> None:
    await office.user("rita@acme.example")
    act = upsert_job(office.deps, ats, external_id="1", title="T", hiring_team=["rita@acme.example", "nobody"])
    assert (await refusal(act)).path == ("input", "hiringTeam", "1")
    assert await office.rows("SELECT id FROM job") == []


async def test_archiving_tells_only_of_candidates_without_another_open_job(office: Office, ats: Viewer) -> None:
    closing, open_job = await office.job("Closing"), await office.job("Open")
    only = await office.candidate("only@mail.example", closing)
    await office.candidate("both@mail.example", closing, open_job)
    await archive_job(office.deps, ats, job_id=closing)
    [event] = await events(office, "CandidateChanged")
    assert event["candidate_id"] == only
    assert set(event["audience"]) == {office.organisation_id, closing}  # type: ignore[call-overload]
    await archive_job(office.deps, ats, job_id=closing)
    assert len(await events(office, "CandidateChanged")) == 1
    assert await actions(office) == ["job.archived"]
    assert await events(office, "AccessChanged") == []


async def test_nothing_is_recorded_from_archiving_to_reopening_which_fills_the_gap(
    office: Office, ats: Viewer, mail_server: MailSandbox, address: str
) -> None:
    rita = await office.user(address)
    job = await office.job("Engineer")
    await office.candidate(ANA, job)
    mailbox = await office.connect(rita, address, mail_server, "ALL")
    await run_mailbox(office.deps, mailbox)
    await archive_job(office.deps, ats, job_id=job)
    mail_server.deliver(address, letter(ANA, address, "Meanwhile"))
    await run_mailbox(office.deps, mailbox)
    assert await office.rows("SELECT id FROM message") == []
    for _ in range(2):
        await reopen_job(office.deps, ats, job_id=job)
    searches = await office.rows("SELECT mailbox_id, address FROM mailbox_search")
    assert [tuple(row.values()) for row in searches] == [(mailbox, ANA)]
    await run_mailbox(office.deps, mailbox)
    assert [row["subject"] for row in await office.rows("SELECT subject FROM message")] == ["Meanwhile"]


# ---------------------------------------------------------------- candidates


async def test_a_new_address_is_searched_for_once_in_every_connected_mailbox(
    office: Office, ats: Viewer, mail_server: MailSandbox, address: str
) -> None:
    rita = await office.user(address)
    mail_server.deliver(address, letter(ANA, address, "Old"), received_at=days_ago(9))
    mailbox = await office.connect(rita, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    [before] = await office.rows("SELECT requested_at FROM mailbox")
    ana = await upsert_candidate(office.deps, ats, external_id="ana", name="Ana", emails=[ANA])
    for _ in range(2):
        assert await add_candidate_email(office.deps, ats, candidate_id=ana, address=ANA.upper()) == ana
    [after] = await office.rows("SELECT requested_at, next_run_at <= now() AS is_due FROM mailbox")
    assert after["is_due"]
    assert after["requested_at"] > before["requested_at"]  # type: ignore[operator]
    await run_mailbox(office.deps, mailbox)
    assert [row["subject"] for row in await office.rows("SELECT subject FROM message")] == ["Old"]
    [search] = await office.rows("SELECT mailbox_id, candidate_id, address, found FROM mailbox_search")
    assert tuple(search.values()) == (mailbox, ana, ANA, 1)
    assert (await actions(office)).count("candidate.address_searched") == 1


async def test_an_internal_address_cannot_be_added_and_is_kept_by_an_upsert(office: Office, ats: Viewer) -> None:
    await office.user("rita@elsewhere.example")
    ana = await upsert_candidate(office.deps, ats, external_id="ana", name="Ana", emails=["ana@acme.example"])
    for address in ("x@acme.example", "rita@elsewhere.example", "RITA+jobs@elsewhere.example"):
        mistake = await refusal(add_candidate_email(office.deps, ats, candidate_id=ana, address=address))
        assert (mistake.code, mistake.path) == (ErrorCode.INTERNAL_ADDRESS, ("input", "address"))
    emails = await office.rows("SELECT canonical FROM candidate_email")
    assert [row["canonical"] for row in emails] == ["ana@acme.example"]


async def test_a_mailboxs_own_address_is_internal(
    office: Office, ats: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await update_organisation(office.deps, ats, internal_domains=[])
    rita = await office.user(address)
    await office.connect(rita, address, mail_server, "NONE")
    async with office.deps.db.transaction() as tx:
        await tx.execute("UPDATE mailbox SET aliases = '{alias@x.example}'")
        await tx.execute("DELETE FROM user_address")
    ana = await upsert_candidate(office.deps, ats, external_id="ana", name="Ana")
    for own in (address, "alias@x.example"):
        act = add_candidate_email(office.deps, ats, candidate_id=ana, address=own)
        assert (await refusal(act)).code is ErrorCode.INTERNAL_ADDRESS


async def test_a_change_of_jobs_changes_who_reads_at_once(
    office: Office, ats: Viewer, mail_server: MailSandbox, address: str
) -> None:
    rita = await office.user(address)
    old, new = await office.job("Old"), await office.job("New")
    await office.candidate(ANA, old)
    mail_server.deliver(address, letter(ANA, address), received_at=days_ago(1))
    await run_mailbox(office.deps, await office.connect(rita, address, mail_server))
    await upsert_candidate(office.deps, ats, external_id=ANA, jobs=["New"])
    [thread] = await office.rows("SELECT id, readers FROM thread")
    assert set(thread["readers"]) == {office.organisation_id, rita.user_id, new}  # type: ignore[call-overload]
    [withdrawn] = await events(office, "ThreadWithdrawn")
    assert (withdrawn["thread_id"], withdrawn["audience"]) == (thread["id"], [old])
    changed = (await events(office, "CandidateChanged"))[-1]
    assert set(changed["audience"]) == {office.organisation_id, old, new}  # type: ignore[call-overload]


async def test_concurrent_upserts_of_the_same_external_id_all_succeed_as_one(office: Office, ats: Viewer) -> None:
    async with asyncio.TaskGroup() as tasks:
        users = [
            tasks.create_task(upsert_user(office.deps, ats, external_id="u", name=f"U{n}", email="u@x.example"))
            for n in range(5)
        ]
        candidates = [
            tasks.create_task(upsert_candidate(office.deps, ats, external_id="c", name=f"C{n}", emails=[ANA]))
            for n in range(5)
        ]
        jobs = [tasks.create_task(upsert_job(office.deps, ats, external_id="j", title=f"J{n}")) for n in range(5)]
    for made in (users, candidates, jobs):
        assert len({task.result() for task in made}) == 1
    assert len(await office.rows("SELECT id FROM candidate_email")) == 1


async def test_many_calls_at_once_leave_connections_for_others(office: Office, ats: Viewer) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(60):
            tasks.create_task(upsert_candidate(office.deps, ats, external_id=str(number), name="N"))
        await asyncio.sleep(0)
        assert await office.rows("SELECT 1 AS one") == [{"one": 1}]
    assert len(await office.rows("SELECT id FROM candidate")) == 60


async def test_one_address_wanted_by_two_users_at_once_goes_to_one(office: Office, ats: Viewer) -> None:
    calls = [upsert_user(office.deps, ats, external_id=str(n), name="N", email="same@x.example") for n in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)  # noqa: TID251 - failures are the point
    assert sum(isinstance(result, UUID) for result in results) == 1
    assert sum(isinstance(result, UserMistake) for result in results) == 3


# ---------------------------------------------------------------- withdrawal


class Correspondence:
    """Ana writes from two addresses; Bob is in copy once. Recorded from a real mailbox."""

    def __init__(self, office: Office, ats: Viewer, rita: Viewer, ana: UUID, mailbox: UUID) -> None:
        self.office, self.ats, self.rita, self.ana, self.mailbox = office, ats, rita, ana, mailbox

    async def remove(self, address: str, *, erase: bool = False) -> None:
        await remove_candidate_email(
            self.office.deps, self.ats, candidate_id=self.ana, address=address, erase_mail=erase
        )

    async def readable(self) -> dict[str, set[str]]:
        """Subjects of messages by the first subject of their thread, as far as anybody reads them."""
        rows = await self.office.rows(
            "SELECT t.subject AS thread, m.subject FROM message m JOIN thread t ON t.id = m.thread_id "
            "WHERE t.readers <> '{}'"
        )
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(str(row["thread"]), set()).add(str(row["subject"]))
        return found


@pytest.fixture
async def correspondence(office: Office, ats: Viewer, mail_server: MailSandbox, address: str) -> Correspondence:
    rita = await office.user(address)
    ana = await upsert_candidate(office.deps, ats, external_id="ana", name="Ana", emails=[ANA, ANA_AT_HOME])
    await upsert_candidate(office.deps, ats, external_id="bob", name="Bob", emails=["bob@mail.example"])
    first = letter(ANA_AT_HOME, address, "Home alone", sent_at=days_ago(9))
    mixed = letter(ANA, address, "Mixed 1", sent_at=days_ago(8))
    for raw in (
        first,
        mixed,
        letter(ANA_AT_HOME, address, "Mixed 2", reply_to=mixed, sent_at=days_ago(7)),
        letter(ANA_AT_HOME, address, "With Bob", cc="bob@mail.example", sent_at=days_ago(6)),
    ):
        mail_server.deliver(address, raw, received_at=days_ago(5))
    mailbox = await office.connect(rita, address, mail_server)
    await run_mailbox(office.deps, mailbox)
    made = Correspondence(office, ats, rita, ana, mailbox)
    assert await made.readable() == {
        "Home alone": {"Home alone"},
        "Mixed 1": {"Mixed 1", "Mixed 2"},
        "With Bob": {"With Bob"},
    }
    return made


@pytest.mark.parametrize("erase", [False, True])
async def test_mail_that_is_there_through_a_removed_address_alone_is_withdrawn(
    correspondence: Correspondence, erase: bool
) -> None:
    office = correspondence.office
    [lost] = await office.rows("SELECT id FROM thread WHERE subject = 'Home alone'")
    await correspondence.remove(ANA_AT_HOME, erase=erase)
    assert await correspondence.readable() == {"Mixed 1": {"Mixed 1"}, "With Bob": {"With Bob"}}
    [withdrawn] = await events(office, "ThreadWithdrawn")
    assert withdrawn["thread_id"] == lost["id"]
    assert set(withdrawn["audience"]) == {  # type: ignore[call-overload]
        office.organisation_id,
        correspondence.rita.user_id,
    }
    with_bob = await office.rows(
        "SELECT c.external_id FROM thread t JOIN thread_candidate x ON x.thread_id = t.id "
        "JOIN candidate c ON c.id = x.candidate_id WHERE t.subject = 'With Bob'"
    )
    assert [row["external_id"] for row in with_bob] == ["bob"]
    [mixed] = await office.rows("SELECT message_count, snippet FROM thread WHERE subject = 'Mixed 1'")
    assert mixed["message_count"] == 1
    kept = await office.rows("SELECT subject FROM message ORDER BY subject")
    expected = ["Mixed 1", "With Bob"] if erase else ["Home alone", "Mixed 1", "Mixed 2", "With Bob"]
    assert [row["subject"] for row in kept] == expected


async def test_erased_mail_takes_its_bytes_and_events_with_it(correspondence: Correspondence) -> None:
    office = correspondence.office
    keys = await office.rows(
        "SELECT source_key FROM message_copy c JOIN message m ON m.id = c.message_id ORDER BY m.subject"
    )
    await correspondence.remove(ANA_AT_HOME, erase=True)
    await sweep(office.deps)
    assert len(await events(office, "MessageAdded")) == 2
    left = []
    for row in keys:
        try:
            left.append(bool(await office.deps.blobs.get(str(row["source_key"]))))
        except Exception:  # noqa: BLE001 - gone is what is asked here, in whatever words
            left.append(False)
    assert left == [False, True, False, True]
    assert "candidate.mail_erased" in await actions(office)


async def test_later_mail_does_not_bring_withdrawn_mail_back_and_the_address_does(
    correspondence: Correspondence, mail_server: MailSandbox
) -> None:
    office, mailbox = correspondence.office, correspondence.mailbox
    [row] = await office.rows("SELECT rfc_message_id FROM message WHERE subject = 'Home alone'")
    [box] = await office.rows("SELECT address FROM mailbox")
    await correspondence.remove(ANA_AT_HOME)
    parent = f"Message-ID: <{row['rfc_message_id']}>".encode()
    answer = letter(ANA, str(box["address"]), "From the office", reply_to=parent)
    mail_server.deliver(str(box["address"]), answer)
    await run_mailbox(office.deps, mailbox)
    assert await correspondence.readable() == {
        "Mixed 1": {"Mixed 1"},
        "With Bob": {"With Bob"},
        "From the office": {"From the office"},
    }
    await add_candidate_email(office.deps, correspondence.ats, candidate_id=correspondence.ana, address=ANA_AT_HOME)
    await run_mailbox(office.deps, mailbox)
    readable = await correspondence.readable()
    assert set().union(*readable.values()) == {"Home alone", "Mixed 1", "Mixed 2", "With Bob", "From the office"}
    assert len(await office.rows("SELECT id FROM message")) == 5


async def test_an_address_that_becomes_another_candidates_brings_no_mail_of_the_first_ones_other_addresses(
    correspondence: Correspondence,
) -> None:
    """`Mixed 1` and `Mixed 2` were one conversation, through two addresses that are both taken off at once."""
    office, ats = correspondence.office, correspondence.ats
    await upsert_candidate(office.deps, ats, external_id="ana", emails=["ana@new.example"])
    assert await correspondence.readable() == {"With Bob": {"With Bob"}}
    await upsert_candidate(office.deps, ats, external_id="carl", name="Carl", emails=[ANA])
    await run_mailbox(office.deps, correspondence.mailbox)
    assert await correspondence.readable() == {"With Bob": {"With Bob"}, "Mixed 1": {"Mixed 1"}}


async def test_an_upsert_that_leaves_an_address_out_withdraws_it_too(correspondence: Correspondence) -> None:
    await upsert_candidate(correspondence.office.deps, correspondence.ats, external_id="ana", emails=[ANA_AT_HOME])
    assert await correspondence.readable() == {
        "Home alone": {"Home alone"},
        "Mixed 2": {"Mixed 2"},
        "With Bob": {"With Bob"},
    }


async def test_an_address_that_is_not_theirs_cannot_be_removed(correspondence: Correspondence) -> None:
    mistake = await refusal(
        remove_candidate_email(
            correspondence.office.deps, correspondence.ats, candidate_id=correspondence.ana, address="x@y.example"
        )
    )
    assert mistake.code is ErrorCode.NOT_FOUND


# ---------------------------------------------------------------- the first administrator


async def test_bootstrapping_twice_makes_one_organisation_with_one_administrator(deps: Deps) -> None:
    first = await bootstrap(deps, organisation="Acme", admin="Boss@Acme.example")
    again = await bootstrap(deps, organisation=" Acme ", admin="boss@acme.example")
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.organisation_id, again.user_id) == (first.organisation_id, first.user_id)
    async with deps.db.snapshot() as snapshot:
        viewer = await viewer_of(snapshot, OrganisationId(first.organisation_id), first.external_id)
    assert viewer.may_administer
    assert await token_subject(deps, user="boss@acme.example", organisation_id=None) == (
        first.organisation_id,
        "boss@acme.example",
    )


async def test_a_token_names_one_organisation_or_says_which_there_are(deps: Deps) -> None:
    one = await bootstrap(deps, organisation="One", admin="boss@acme.example")
    await bootstrap(deps, organisation="Two", admin="boss@acme.example")
    mistake = await refusal(token_subject(deps, user=None, organisation_id=None))
    assert one.organisation_id.hex in mistake.message
    assert await token_subject(deps, user=None, organisation_id=one.organisation_id) == (one.organisation_id, None)
    await refusal(token_subject(deps, user="nobody@acme.example", organisation_id=None))
