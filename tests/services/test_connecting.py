"""Connecting a mailbox: tried before anything is kept, each failure told apart, and an address believed only on proof."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from demo.mailserver import MailSandbox
from domain.errors import ErrorCode, Forbidden, NotAuthenticated, UserMistake
from providers.base import TransportSecurity
from services.connecting import HistoryChoice, connect_imap_mailbox
from services.deps import Deps
from services.sync import run_mailbox
from tests.support.deps import opened_deps
from tests.support.office import Office, days_ago, letter, logins

CANDIDATE = "ana@mail.example"


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps)


async def kept(office: Office) -> int:
    return len(await office.rows("SELECT id FROM mailbox"))


@pytest.mark.parametrize(
    ("role", "change", "code", "field"),
    [
        ("imap", {"password": "wrong"}, ErrorCode.AUTHENTICATION_FAILED, "password"),
        ("smtp", {"password": "wrong"}, ErrorCode.AUTHENTICATION_FAILED, "password"),
        ("imap", {"host": "no-such-host.invalid"}, ErrorCode.HOST_NOT_FOUND, "host"),
        ("imap", {"port": 1}, ErrorCode.CONNECTION_REFUSED, "port"),
        ("imap", {"host": "169.254.169.254"}, ErrorCode.HOST_NOT_ALLOWED, "host"),
        ("imap", {"security": TransportSecurity.TLS}, ErrorCode.TLS_FAILED, "security"),
        ("imap", {"port": 0}, ErrorCode.INVALID_INPUT, "port"),
        ("imap", {"host": " "}, ErrorCode.INVALID_INPUT, "host"),
        ("imap", {"host": "127.0.0.1\r\nX"}, None, "host"),
    ],
)
async def test_each_failure_is_told_apart_and_keeps_nothing(
    office: Office,
    mail_server: MailSandbox,
    address: str,
    role: str,
    change: dict[str, object],
    code: ErrorCode | None,
    field: str,
) -> None:
    viewer = await office.user(address)
    imap, smtp = logins(address, mail_server)
    servers = {"imap": imap, "smtp": smtp}
    servers[role] = replace(servers[role], **change)  # type: ignore[arg-type]
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(office.deps, viewer, address=address, **servers)
    assert raised.value.path == ("input", role, field)
    assert code is None or raised.value.code is code
    assert await kept(office) == 0


async def test_a_web_server_is_recognised_as_none_of_mail(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    viewer = await office.user(address)
    imap, smtp = logins(address, mail_server)
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(
            office.deps, viewer, address=address, imap=replace(imap, port=mail_server.smtp_port), smtp=smtp
        )
    assert raised.value.code is ErrorCode.NOT_A_MAIL_SERVER


@pytest.mark.parametrize(
    "history",
    [
        HistoryChoice("SINCE"),
        HistoryChoice("ALL", since=days_ago(1)),
        HistoryChoice("LATEST"),
        HistoryChoice("LATEST", count=0),
        HistoryChoice("NONE", count=5),
        HistoryChoice("SOME"),
    ],
)
async def test_a_history_choice_that_makes_no_sense_is_refused(
    office: Office, mail_server: MailSandbox, address: str, history: HistoryChoice
) -> None:
    viewer = await office.user(address)
    imap, smtp = logins(address, mail_server)
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(office.deps, viewer, address=address, imap=imap, smtp=smtp, history=history)
    assert raised.value.code is ErrorCode.INVALID_INPUT


async def test_a_mailbox_is_connected_once_on_the_whole_server_and_that_is_told_only_to_its_owner(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    await office.connect(await office.user(address), address, mail_server)
    other = await Office.open(office.deps)
    rival = await other.user("rival@other.example")
    imap, smtp = logins(address, mail_server)
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(other.deps, rival, address=address.upper(), imap=imap, smtp=smtp)
    assert raised.value.code is ErrorCode.ALREADY_CONNECTED
    imap, smtp = logins(address, mail_server, password="guessed")
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(office.deps, rival, address=address, imap=imap, smtp=smtp)
    assert raised.value.code is ErrorCode.AUTHENTICATION_FAILED


async def test_who_leaves_while_the_logins_are_tried_connects_nothing(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    viewer = await office.user(address)
    async with office.deps.db.transaction() as tx:
        await tx.execute("UPDATE user_account SET is_active = false")
    with pytest.raises(NotAuthenticated):
        await office.connect(viewer, address, mail_server)
    assert await kept(office) == 0


async def test_a_service_token_connects_nothing(office: Office, mail_server: MailSandbox, address: str) -> None:
    viewer = replace(await office.user(address), user_id=None, level=None)
    with pytest.raises(Forbidden):
        await office.connect(viewer, address, mail_server)


async def test_credentials_lie_sealed_and_open_only_for_their_own_row(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    mailbox = await office.connect(await office.user(address), address, mail_server)
    row = (await office.rows("SELECT credentials, login FROM mailbox"))[0]
    assert b"correct horse" not in bytes(row["credentials"])  # type: ignore[call-overload]
    assert "password" not in str(row["login"])
    opened = office.deps.vault.open(row["credentials"], bound_to=f"mailbox:{mailbox.hex}")  # type: ignore[arg-type]
    assert b"correct horse" in opened
    with pytest.raises(Exception, match="sealed"):
        office.deps.vault.open(row["credentials"], bound_to="mailbox:other")  # type: ignore[arg-type]


async def test_an_address_counts_by_login_name_or_directory_but_not_by_claim(
    office: Office, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    own, other, claimed = next(addresses), next(addresses), next(addresses)
    viewer = await office.user("someone@else.example")
    for address, login in ((own, own), (claimed, other)):
        imap, smtp = logins(login, mail_server)
        await connect_imap_mailbox(office.deps, viewer, address=address, imap=imap, smtp=smtp)
    rows = await office.rows("SELECT address, is_proven FROM mailbox")
    assert {row["address"]: row["is_proven"] for row in rows} == {own: True, claimed: False}


async def test_a_colleagues_address_is_never_anothers_by_login_name(
    office: Office, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    """Whoever connects names the server, and one of their own lets them log in with any name."""
    boss = next(addresses)
    await office.user(boss)
    await office.connect(await office.user("thief@acme.example", "HIRING_TEAM"), boss, mail_server)
    assert [row["is_proven"] for row in await office.rows("SELECT is_proven FROM mailbox")] == [False]


async def test_claiming_a_candidates_address_withdraws_nothing(
    office: Office, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    candidate, recruiter = next(addresses), next(addresses)
    await office.candidate(candidate)
    await office.connect(await office.user("impostor@acme.example"), candidate, mail_server)
    mail_server.deliver(recruiter, letter(candidate, recruiter, "Still matched"), received_at=days_ago(1))
    mailbox = await office.connect(await office.user(recruiter), recruiter, mail_server)
    await run_mailbox(office.deps, mailbox)
    assert [row["subject"] for row in await office.rows("SELECT subject FROM message")] == ["Still matched"]


async def test_a_letter_that_only_the_owner_receives_proves_an_address(
    database_url: str, redis_url: str, tmp_path: Path, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    own, relay = next(addresses), next(addresses)
    url = f"smtp://{relay.replace('@', '%40')}:correct%20horse@localhost:{mail_server.smtp_port}"
    async with opened_deps(
        database_url, redis_url, tmp_path, postroom_relay_url=url, postroom_relay_from="postroom@acme.example"
    ) as deps:
        office = await Office.open(deps)
        viewer = await office.user("someone@acme.example")
        imap, smtp = logins(own, mail_server)
        mailbox = await connect_imap_mailbox(deps, viewer, address="alias@outside.example", imap=imap, smtp=smtp)
        before = len(mail_server.sent_outside)
        await run_mailbox(deps, mailbox)
        await run_mailbox(deps, mailbox)
        sent = mail_server.sent_outside[before:]
        assert [mail.recipients for mail in sent] == [("alias@outside.example",)]
        assert (await office.rows("SELECT is_proven FROM mailbox"))[0]["is_proven"] is False
        mail_server.deliver(own, sent[0].raw)
        await run_mailbox(deps, mailbox)
        assert (await office.rows("SELECT is_proven FROM mailbox"))[0]["is_proven"] is True
        assert await office.rows("SELECT id FROM message") == []


async def test_connecting_again_with_the_new_password_mends_a_mailbox_that_was_refused(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    viewer = await office.user(address)
    await office.candidate(CANDIDATE)
    mailbox = await office.connect(viewer, address, mail_server)
    mail_server.add_user(address, "another password")
    await run_mailbox(office.deps, mailbox)
    broken = (await office.rows("SELECT needs_reauthorization, problem_code, problem_hint FROM mailbox"))[0]
    assert (broken["needs_reauthorization"], broken["problem_code"]) == (True, "AUTHENTICATION_FAILED")
    assert "Connect the mailbox again" in str(broken["problem_hint"])
    mail_server.deliver(address, letter(CANDIDATE, address, "In between"))
    with pytest.raises(UserMistake):
        await office.connect(viewer, address, mail_server)
    imap, smtp = logins(address, mail_server, password="another password")
    mended = await connect_imap_mailbox(office.deps, viewer, address=address, imap=imap, smtp=smtp)
    assert mended == mailbox
    await run_mailbox(office.deps, mailbox)
    assert [row["subject"] for row in await office.rows("SELECT subject FROM message")] == ["In between"]
    now = (await office.rows("SELECT needs_reauthorization, problem_code, history_scope FROM mailbox"))[0]
    assert now == {"needs_reauthorization": False, "problem_code": None, "history_scope": "ALL"}
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(office.deps, viewer, address=address, imap=imap, smtp=smtp)
    assert raised.value.code is ErrorCode.ALREADY_CONNECTED


async def test_a_colleague_cannot_mend_what_is_not_theirs(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    await office.connect(await office.user(address), address, mail_server)
    async with office.deps.db.transaction() as tx:
        await tx.execute("UPDATE mailbox SET problem_code = 'TIMED_OUT'")
    imap, smtp = logins(address, mail_server)
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(
            office.deps, await office.user("other@acme.example"), address=address, imap=imap, smtp=smtp
        )
    assert raised.value.code is ErrorCode.ALREADY_CONNECTED


async def test_claiming_an_address_neither_blocks_its_owner_nor_tells_that_they_are_here(
    office: Office, mail_server: MailSandbox, addresses: Iterator[str]
) -> None:
    victim, own, later = next(addresses), next(addresses), next(addresses)
    squatter = await office.user("squatter@acme.example")
    imap, smtp = logins(own, mail_server)
    await connect_imap_mailbox(office.deps, squatter, address=victim, imap=imap, smtp=smtp)
    elsewhere = await Office.open(office.deps)
    await elsewhere.connect(await elsewhere.user(victim), victim, mail_server)
    imap, smtp = logins(later, mail_server)
    rival = await office.user("rival@acme.example")
    await connect_imap_mailbox(office.deps, rival, address=victim, imap=imap, smtp=smtp)


async def test_one_mailbox_is_not_connected_again_under_another_address(
    office: Office, mail_server: MailSandbox, address: str
) -> None:
    viewer = await office.user(address)
    await office.connect(viewer, address, mail_server)
    imap, smtp = logins(address, mail_server)
    with pytest.raises(UserMistake) as raised:
        await connect_imap_mailbox(office.deps, viewer, address="alias@acme.example", imap=imap, smtp=smtp)
    assert raised.value.code is ErrorCode.ALREADY_CONNECTED
