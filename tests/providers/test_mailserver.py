"""The mail server of the demonstration and the tests does what it promises, for others build on it."""

import imaplib
import smtplib

import pytest

from demo.mailserver import HOST, MailSandbox
from tests.providers.conftest import PASSWORD

RAW = b"From: rita198@firm.example\r\nSubject: hello\r\n\r\nHello.\r\n"


def inbox_count(server: MailSandbox, address: str, password: str) -> int:
    with imaplib.IMAP4_SSL(HOST, server.imaps_port, ssl_context=server.client_tls()) as client:
        client.authenticate("PLAIN", lambda _: f"\0{address}\0{password}".encode())
        return int(client.select("INBOX", readonly=True)[1][0] or 0)


def test_what_is_submitted_reaches_local_people_and_is_kept_for_others(sandbox: MailSandbox) -> None:
    sandbox.submit("rita198@firm.example", ["rita199@firm.example", "ana@elsewhere.example"], RAW)
    assert inbox_count(sandbox, "rita199@firm.example", PASSWORD) == 1
    sent = sandbox.sent_outside[-1]
    assert (sent.sender, sent.recipients, sent.raw) == ("rita198@firm.example", ("ana@elsewhere.example",), RAW)


def test_nothing_is_submitted_without_tls_and_login(sandbox: MailSandbox) -> None:
    with smtplib.SMTP(HOST, sandbox.smtp_port) as client:
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("rita198@firm.example", ["rita199@firm.example"], RAW)
        with pytest.raises(smtplib.SMTPException):
            client.login("rita198@firm.example", PASSWORD)
        client.starttls(context=sandbox.client_tls())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("rita198@firm.example", "wrong")


def test_a_user_added_later_can_log_in_at_once_and_mail_survives_a_restart() -> None:
    with MailSandbox() as server:
        server.add_user("new@firm.example", "secret")
        server.deliver("new@firm.example", RAW, flags=[r"\Seen"])
        server.restart()
        assert inbox_count(server, "new@firm.example", "secret") == 1
