"""What machines write is told from what people write."""

import pytest

from domain.mail import MessageKind
from domain.mime_parse import parse
from tests.support.mail_files import corpus_files

NO_SENDER = "Return-Path: <>"


def kind(*headers: str, body: str = "x") -> MessageKind:
    return parse("\r\n".join(["From: ana@example.org", *headers, "", body]).encode()).kind


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Your interview",
        "Auto-Reply: hello",
        "Out of Office: Re: Your interview",
        "Automatische Antwort: Ihre Bewerbung",
        "Abwesenheitsnotiz: Ihre Bewerbung",
        "Réponse automatique : votre candidature",
        "Respuesta automática: su candidatura",
        "Automatisch antwoord: uw sollicitatie",
    ],
)
def test_subjects_that_programs_make_are_known_by_themselves(subject: str) -> None:
    assert kind(f"Subject: {subject}") is MessageKind.AUTO_REPLY
    assert kind(f"Subject: Re: {subject}") is MessageKind.REGULAR


@pytest.mark.parametrize(
    "subject",
    [
        "I am on vacation until Monday",
        "Ich bin im Urlaub",
        "Absence du bureau",
        "Estoy de vacaciones",
        "Ik ben afwezig",
        "Eingangsbestätigung Ihrer Nachricht",
        "Thank you for contacting us",
    ],
)
@pytest.mark.parametrize("evidence", [NO_SENDER, "X-Auto-Response-Suppress: DR, OOF", "Precedence: bulk"])
def test_subjects_that_people_write_too_need_evidence(subject: str, evidence: str) -> None:
    assert kind(f"Subject: {subject}") is MessageKind.REGULAR
    assert kind(f"Subject: {subject}", evidence) is MessageKind.AUTO_REPLY


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-replied (vacation)",
        "X-Autoreply: yes",
        "X-Autorespond: Away",
        "Precedence: auto_reply",
    ],
)
def test_programs_that_say_what_they_are_are_believed(header: str) -> None:
    assert kind(header) is MessageKind.AUTO_REPLY


@pytest.mark.parametrize("mark", ["List-Id: <jobs.example.org>", "List-Unsubscribe: <mailto:x@y>", "Precedence: list"])
def test_what_people_write_to_a_list_is_theirs(mark: str) -> None:
    assert kind(mark, "Auto-Submitted: auto-generated", "Subject: Out of office: how to rest") is MessageKind.REGULAR


def test_a_candidates_answer_through_a_group_is_an_answer() -> None:
    group = ["Precedence: list", "List-Post: <mailto:jobs@talent.example>", "List-Unsubscribe: <mailto:x@y>"]
    assert kind(*group, "List-Unsubscribe-Post: List-Unsubscribe=One-Click") is MessageKind.REGULAR


@pytest.mark.parametrize("mark", ["List-Unsubscribe-Post: List-Unsubscribe=One-Click", "Precedence: bulk"])
def test_a_newsletter_is_nobodys_answer(mark: str) -> None:
    assert kind(mark, "List-Unsubscribe: <https://news.example/u>") is MessageKind.AUTO_REPLY
    assert (
        kind(mark, "List-Unsubscribe: <https://news.example/u>", "List-Id: News <n.example>") is MessageKind.AUTO_REPLY
    )


def test_no_post_to_the_lists_of_the_corpus_is_taken_for_a_machines() -> None:
    kinds = {path.name: parse(path.read_bytes()).kind for path in corpus_files("notmuch")}
    assert len(kinds) > 200
    assert {name for name, found in kinds.items() if found is not MessageKind.REGULAR} == {"text-calendar.eml"}


@pytest.mark.parametrize("method", ["REQUEST", "REPLY", "CANCEL"])
def test_invitations_and_answers_to_them_are_invitations(method: str) -> None:
    calendar = f"BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nEND:VCALENDAR"
    assert kind(f"Content-Type: text/calendar; method={method}", body=calendar) is MessageKind.INVITATION
    assert (
        kind("Content-Type: text/calendar", "Auto-Submitted: auto-generated", body=calendar) is MessageKind.INVITATION
    )


def test_a_calendar_without_a_method_is_a_file() -> None:
    message = parse(b"From: ana@example.org\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR")
    assert message.kind is MessageKind.REGULAR
    assert [part.filename for part in message.attachments] == ["invite.ics"]


def test_a_read_receipt_is_no_answer() -> None:
    receipt = "Content-Type: multipart/report; report-type=disposition-notification; boundary=b"
    assert kind(receipt, body="--b\r\n\r\nread\r\n--b--") is MessageKind.AUTO_REPLY
