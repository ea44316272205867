"""What a mail server reports of a message that was sent is found in the inbox, and shown where it belongs."""

from typing import Any

import pytest

from demo.mailserver import MailSandbox
from domain.access import Viewer
from domain.ids import to_global
from services.deps import Deps
from services.files import FileGone, open_file
from services.hiring import upsert_candidate
from services.sync import run_mailbox
from tests.support.api import API
from tests.support.factories import Firm
from tests.support.office import Office, days_ago, letter, message_id

CANDIDATE = "ana@mail.example"

THREADS = """
{ threads { edges { node { id subject snippet isUnread participants { address } lastMessage { snippet }
  candidates { id } hasAttachments
  messages { edges { node { id kind direction subject snippet text replyText html sourceUrl attachments { url }
    bounce { isComplaint aboutRfcMessageId about { id }
      failures { address statusCode permanence reason diagnostic } } } } } } } } }
"""

DSN = """Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.acme.example>
To: {sender}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-ID: <dsn.{about}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="b"

--b
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.acme.example. Your message to {lost} could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.acme.example

Final-Recipient: rfc822; {lost}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{lost}>: Recipient address rejected: User unknown

--b
Content-Type: text/rfc822-headers

{returned_headers}
--b--
"""
EXCHANGE = """From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.example>
To: {sender}
Subject: Undeliverable: Interview
X-MS-Exchange-Message-Is-Ndr:
Message-ID: <ndr.{about}>
In-Reply-To: <{about}>
References: <{about}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/html; charset=utf-8

<p>Your message to <b>{lost}</b> could not be delivered.</p>
--b
Content-Type: message/delivery-status

Reporting-MTA: dns;acme.example

Final-Recipient: rfc822;{lost}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
--b--
"""
QMAIL = """Return-Path: <>
From: MAILER-DAEMON@mx.acme.example
To: {sender}
Subject: failure notice
Message-ID: <qmail.{about}>

Hi. This is the qmail-send program at mx.acme.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<{lost}>:
192.0.2.7 does not like recipient.
Remote host said: 550 5.1.1 no such user here

--- Below this line is a copy of the message.

Return-Path: <{sender}>
{returned_headers}

{returned_text}
"""


def bounce(form: str, original: bytes, sender: str, lost: str = CANDIDATE) -> bytes:
    headers, _, text = original.decode().partition("\n\n")
    return form.format(
        sender=sender, lost=lost, about=message_id(original), returned_headers=headers, returned_text=text
    ).encode()


@pytest.fixture
async def office(deps: Deps) -> Office:
    return await Office.open(deps, internal_domains=("acme.example",))


@pytest.fixture
async def recruiter(office: Office, address: str) -> Viewer:
    return await office.user(address)


async def threads_of(api: API, viewer: Viewer) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (await api.get(viewer, THREADS))["threads"]["edges"]]


def messages_of(thread: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in thread["messages"]["edges"]]


@pytest.mark.parametrize("form", [DSN, EXCHANGE, QMAIL], ids=["report", "exchange", "qmail"])
async def test_a_bounce_is_shown_in_the_thread_of_the_message_that_came_back(
    api: API, office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, form: str
) -> None:
    await office.candidate(CANDIDATE)
    mailbox = await office.connect(recruiter, address, mail_server)
    sent = letter(address, CANDIDATE, "Interview")
    mail_server.deliver(address, sent, "Sent")
    await run_mailbox(office.deps, mailbox)
    mail_server.deliver(address, bounce(form, sent, address))
    await run_mailbox(office.deps, mailbox)

    [thread] = await threads_of(api, recruiter)
    original, report = messages_of(thread)
    assert (original["kind"], original["bounce"]) == ("REGULAR", None)
    assert (report["kind"], report["direction"]) == ("BOUNCE", "INBOUND")
    assert report["bounce"]["about"] == {"id": original["id"]}
    assert report["bounce"]["aboutRfcMessageId"] == message_id(sent)
    assert report["bounce"]["isComplaint"] is False
    [failure] = report["bounce"]["failures"]
    assert (failure["address"], failure["permanence"], failure["reason"]) == (CANDIDATE, "HARD", "USER_UNKNOWN")
    assert failure["statusCode"].startswith("5.1.1")
    assert "550 5.1.1" in failure["diagnostic"]
    assert thread["isUnread"] is True
    assert {person["address"] for person in thread["participants"]} == {address, CANDIDATE}


@pytest.mark.parametrize("form", [DSN, QMAIL], ids=["report", "qmail"])
async def test_a_bounce_that_is_read_before_its_message_comes_together_with_it(
    api: API, office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, form: str
) -> None:
    await office.candidate(CANDIDATE)
    colleague = await office.user("olga@acme.example")
    sent = letter(address, CANDIDATE, "Interview", sent_at=days_ago(1))
    mailbox = await office.connect(recruiter, address, mail_server)
    mail_server.deliver(address, bounce(form, sent, address))
    await run_mailbox(office.deps, mailbox)
    seen = {}
    for viewer in (recruiter, colleague):
        [thread] = await threads_of(api, viewer)
        [report] = messages_of(thread)
        assert report["bounce"]["about"] is None
        seen[viewer.user_id] = (len(report["bounce"]["failures"]), CANDIDATE in report["text"])
    assert seen == {recruiter.user_id: (1, True), colleague.user_id: (0, False)}

    mail_server.deliver(address, sent, "Sent")
    await run_mailbox(office.deps, mailbox)

    for viewer in (recruiter, colleague):
        [thread] = await threads_of(api, viewer)
        original, report = messages_of(thread)
        assert report["bounce"]["about"] == {"id": original["id"]}
        assert [failure["address"] for failure in report["bounce"]["failures"]] == [CANDIDATE]
        assert CANDIDATE in report["text"]


async def test_a_copy_that_did_not_arrive_belongs_to_the_candidate_whom_the_message_was_for(
    api: API, office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    sent = letter(address, CANDIDATE, "Interview", cc="agency@other.example", sent_at=days_ago(1))
    mail_server.deliver(address, bounce(DSN, sent, address, "agency@other.example"), received_at=days_ago(1))
    mail_server.deliver(address, sent, "Sent", days_ago(1))
    await run_mailbox(office.deps, await office.connect(recruiter, address, mail_server))

    [thread] = await threads_of(api, recruiter)
    [failures] = [message["bounce"]["failures"] for message in messages_of(thread) if message["bounce"]]
    assert [failure["address"] for failure in failures] == ["agency@other.example"]


@pytest.mark.parametrize("form", [DSN, EXCHANGE, QMAIL], ids=["report", "exchange", "qmail"])
async def test_a_blind_recipient_whom_a_message_did_not_reach_is_told_to_its_sender_alone(
    api: API, office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, form: str
) -> None:
    hidden = "ben@hidden.example"
    await office.candidate(CANDIDATE)
    colleague = await office.user("olga@acme.example")
    sent = letter(address, CANDIDATE, "Interview")
    mailbox = await office.connect(recruiter, address, mail_server)
    mail_server.deliver(address, sent.replace(b"Subject:", f"Bcc: {hidden}\nSubject:".encode(), 1), "Sent")
    await run_mailbox(office.deps, mailbox)
    report = bounce(form, sent, address, hidden).replace(b"Subject: ", f"Subject: {hidden} ".encode(), 1)
    if form == EXCHANGE:  # brings nothing of the message back, but its id
        report = report.replace(b"Final-Recipient", f"Final-Recipient: rfc822;{CANDIDATE}\n\nFinal-Recipient".encode())
    mail_server.deliver(address, report)
    await run_mailbox(office.deps, mailbox)

    [own] = await threads_of(api, recruiter)
    told = messages_of(own)[1]
    assert hidden in [failure["address"] for failure in told["bounce"]["failures"]]
    assert hidden in told["subject"]
    assert hidden in told["text"]
    await open_file(api.deps, told["sourceUrl"].rpartition("/")[2])
    [others] = await threads_of(api, colleague)
    assert hidden not in str(others)
    kept = messages_of(others)[1]
    assert (kept["kind"], kept["subject"], kept["text"], kept["html"]) == ("BOUNCE", "", "", None)
    assert kept["attachments"] == []
    words = await office.rows("SELECT s.vector::text AS found FROM message_search s JOIN bounce USING (message_id)")
    assert [(hidden in str(row["found"]), "ben" in str(row["found"])) for row in words] == [(False, False)]
    assert kept["bounce"]["about"] == {"id": messages_of(others)[0]["id"]}
    with pytest.raises(FileGone):
        await open_file(api.deps, kept["sourceUrl"].rpartition("/")[2])


async def test_a_report_makes_no_one_thread_of_two(
    api: API, office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    letters = [letter(address, CANDIDATE, f"Letter {n}", sent_at=days_ago(2)) for n in range(2)]
    mailbox = await office.connect(recruiter, address, mail_server)
    for each in letters:
        mail_server.deliver(address, each, "Sent")
        mail_server.deliver(address, bounce(DSN, each, address))
    await run_mailbox(office.deps, mailbox)
    forged = (
        bounce(DSN, letters[0], address)
        .replace(b"<dsn.", b"<forged.")
        .replace(b"Auto-Submitted", f"References: <{message_id(letters[1])}>\nAuto-Submitted".encode())
    )
    mail_server.deliver(address, forged)
    await run_mailbox(office.deps, mailbox)

    assert sorted(len(messages_of(thread)) for thread in await threads_of(api, recruiter)) == [2, 3]


async def test_a_bounce_is_found_by_the_message_that_it_is_about(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    await office.candidate(CANDIDATE)
    sent = letter(address, CANDIDATE, "Interview")
    mail_server.deliver(address, bounce(DSN, sent, address), received_at=days_ago(1))
    await run_mailbox(office.deps, await office.connect(recruiter, address, mail_server))
    rows = await office.rows(
        "SELECT b.failures FROM bounce b WHERE b.organisation_id = $1 AND b.about_key = substr(sha256($2), 1, 16)",
        office.organisation_id,
        message_id(sent).encode(),
    )
    assert [failure["permanence"] for row in rows for failure in row["failures"]] == ["HARD"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", [DSN, QMAIL], ids=["report", "qmail"])
async def test_mail_of_a_candidate_whose_jobs_are_archived_comes_back_unrecorded(
    office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str, form: str
) -> None:
    await office.candidate(CANDIDATE, await office.job("Baker", status="ARCHIVED"))
    mail_server.deliver(address, bounce(form, letter(address, CANDIDATE), address), received_at=days_ago(1))
    await run_mailbox(office.deps, await office.connect(recruiter, address, mail_server))
    assert await office.rows("SELECT id FROM message") == []
    assert await office.rows("SELECT id FROM bounce") == []


async def test_a_bounce_comes_with_an_address_that_is_added_later_and_after_it_was_taken_off(
    api: API, office: Office, recruiter: Viewer, mail_server: MailSandbox, address: str
) -> None:
    async def upsert(*emails: str) -> None:
        await upsert_candidate(office.deps, administrator, external_id="ana", name="Ana", emails=emails)
        await run_mailbox(office.deps, mailbox)

    administrator = await office.user("boss@acme.example", "ADMIN")
    sent = letter(address, CANDIDATE, "Interview", sent_at=days_ago(1))
    mailbox = await office.connect(recruiter, address, mail_server)
    mail_server.deliver(address, sent, "Sent", days_ago(1))
    mail_server.deliver(address, bounce(DSN, sent, address), received_at=days_ago(1))
    await run_mailbox(office.deps, mailbox)
    assert await threads_of(api, administrator) == []

    for emails in ((CANDIDATE,), ("other@mail.example",), (CANDIDATE,)):
        await upsert(*emails)
        counts = [len(messages_of(thread)) for thread in await threads_of(api, administrator)]
        assert counts == ([2] if CANDIDATE in emails else [])


async def test_bounces_come_with_their_page_in_the_same_number_of_statements(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    sent = await firm.letter(ana, sender=rita, to=[ana])
    query = """query($id: ID!) { thread(id: $id) { messages(first: 100) { edges { node {
      bounce { failures { address } about { id subject } } } } } } }"""
    statements = []
    for count in (1, 20):
        for _ in range(count):
            await firm.letter(ana, to=[rita], thread_id=sent.thread_id, reports=(sent, [ana.address]))
        answer = await api.ask(await api.viewer(rita, firm), query, id=to_global("thread", sent.thread_id))
        assert answer.data is not None
        statements.append(answer.statements)
        bounces = [edge["node"]["bounce"] for edge in answer.data["thread"]["messages"]["edges"]]
        about = {"id": to_global("message", sent.id), "subject": "Your application"}
        shown = {"failures": [{"address": ana.address}], "about": about}
        assert [each for each in bounces if each] == [shown] * (len(bounces) - 1)
    assert statements == [3, 3]
