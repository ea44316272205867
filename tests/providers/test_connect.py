"""Trying a login before a mailbox is kept: each kind of failure has its own code, and a sentence that helps."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme

from demo.mailserver import MailSandbox
from domain import clock
from domain.errors import ErrorCode, ProviderError, Retry
from providers.base import ServerLogin, TransportSecurity
from providers.imap.connect import check_imap, check_smtp
from providers.imap.connection import Deadlines
from providers.imap.replies import judge_login
from tests.providers.conftest import PASSWORD
from tests.providers.scripted import LOOPBACK, SOON, Peer, Script, imap, login_at, serving

TLS, STARTTLS, PLAIN = TransportSecurity.TLS, TransportSecurity.STARTTLS, TransportSecurity.PLAIN
ADDRESS = "rita0@firm.example"


def imap_login(sandbox: MailSandbox, security: TransportSecurity = TLS) -> ServerLogin:
    port = sandbox.imaps_port if security is TLS else sandbox.imap_port
    return ServerLogin("127.0.0.1", port, security, ADDRESS, PASSWORD)


def smtp_login(sandbox: MailSandbox, security: TransportSecurity = TLS) -> ServerLogin:
    port = sandbox.smtps_port if security is TLS else sandbox.smtp_port
    return ServerLogin("127.0.0.1", port, security, ADDRESS, PASSWORD)


async def failure(check: Awaitable[object]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await check
    return caught.value


async def imap_failure(
    login: ServerLogin, tls: ssl.SSLContext | None = None, deadlines: Deadlines = SOON
) -> ProviderError:
    return await failure(check_imap(login, LOOPBACK, tls=tls or ssl.create_default_context(), deadlines=deadlines))


async def smtp_failure(
    login: ServerLogin, tls: ssl.SSLContext | None = None, deadlines: Deadlines = SOON
) -> ProviderError:
    return await failure(check_smtp(login, LOOPBACK, tls=tls or ssl.create_default_context(), deadlines=deadlines))


# --- A real server ---


async def test_right_logins_are_accepted(sandbox: MailSandbox) -> None:
    for security in (TLS, STARTTLS):
        tls = sandbox.client_tls()
        assert "INBOX" in (await check_imap(imap_login(sandbox, security), LOOPBACK, tls=tls)).cursors
        await check_smtp(smtp_login(sandbox, security), LOOPBACK, tls=tls)


async def test_a_wrong_password_is_told(sandbox: MailSandbox) -> None:
    tls = sandbox.client_tls()
    for error in (
        await imap_failure(replace(imap_login(sandbox), password="wrong"), tls, Deadlines()),
        await smtp_failure(replace(smtp_login(sandbox), password="wrong"), tls, Deadlines()),
        await imap_failure(replace(imap_login(sandbox), username="nobody@firm.example"), tls, Deadlines()),
    ):
        assert (error.code, error.retry) == (ErrorCode.AUTHENTICATION_FAILED, Retry.AFTER_REAUTHORISATION)


async def test_ports_mixed_up_are_told_with_what_to_choose(sandbox: MailSandbox) -> None:
    tls = sandbox.client_tls()
    plain_for_tls = await imap_failure(replace(imap_login(sandbox, STARTTLS), port=sandbox.imaps_port), tls)
    tls_for_plain = await imap_failure(replace(imap_login(sandbox), port=sandbox.imap_port), tls)
    assert (plain_for_tls.code, plain_for_tls.hint) == (ErrorCode.TLS_FAILED, "Choose TLS.")
    assert (tls_for_plain.code, tls_for_plain.hint) == (ErrorCode.TLS_FAILED, "Choose STARTTLS, or the port for TLS.")


async def test_imap_for_smtp_and_the_other_way_round_is_told(sandbox: MailSandbox) -> None:
    tls = sandbox.client_tls()
    for security in (TLS, STARTTLS):
        as_smtp = await smtp_failure(imap_login(sandbox, security), tls)
        as_imap = await imap_failure(smtp_login(sandbox, security), tls)
        assert (as_smtp.code, as_imap.code) == (ErrorCode.NOT_A_MAIL_SERVER, ErrorCode.NOT_A_MAIL_SERVER)
        assert as_smtp.message == "An IMAP server answers on this host and port, not an SMTP server."
        assert as_imap.message == "An SMTP server answers on this host and port, not an IMAP server."


async def test_a_port_where_nothing_listens_and_a_host_that_is_not_there_are_told() -> None:
    async with serving(imap()) as port:
        pass
    assert (await imap_failure(login_at(port))).code is ErrorCode.CONNECTION_REFUSED
    assert (await smtp_failure(login_at(port))).code is ErrorCode.CONNECTION_REFUSED
    nowhere = replace(login_at(port), host="nobody-has-this.invalid")
    assert (await imap_failure(nowhere)).code is ErrorCode.HOST_NOT_FOUND
    internal = replace(login_at(port), host="10.0.0.1")
    assert (await smtp_failure(internal)).code is ErrorCode.HOST_NOT_ALLOWED


# --- Certificates ---


def server_tls(authority: trustme.CA, name: str, *, days: int = 1) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expiry = clock.now() + timedelta(days=days)
    authority.issue_cert(name, not_before=expiry - timedelta(days=30), not_after=expiry).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("name", "days", "trusted", "sentence"),
    [
        ("127.0.0.1", -1, True, "The server's certificate has expired."),
        ("127.0.0.2", 1, True, "The server's certificate is for another address."),
        ("mail.example", 1, True, "The server's certificate is for another address."),
        ("127.0.0.1", 1, False, "The server's certificate comes from an authority that is not trusted."),
    ],
)
async def test_a_wrong_certificate_is_told(name: str, days: int, trusted: bool, sentence: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context()
    if trusted:
        authority.configure_trust(context)
    async with serving(imap(), tls=server_tls(authority, name, days=days)) as port:
        for error in (
            await imap_failure(login_at(port, TLS), context),
            await smtp_failure(login_at(port, TLS), context),
        ):
            assert (error.code, error.message) == (ErrorCode.TLS_FAILED, sentence)


# --- Something else on the port ---


async def web(peer: Peer) -> None:
    await peer.line()
    await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def ssh(peer: Peer) -> None:
    await peer.send(b"SSH-2.0-OpenSSH_9.9\r\n")
    await peer.stall()


@pytest.mark.parametrize(("script", "who"), [(web, "A web server"), (ssh, "An SSH server")])
@pytest.mark.parametrize("security", list(TransportSecurity))
@pytest.mark.parametrize("fail", [imap_failure, smtp_failure])
async def test_another_protocol_is_recognised(
    script: Script, who: str, security: TransportSecurity, fail: Callable[[ServerLogin], Awaitable[ProviderError]]
) -> None:
    async with serving(script) as port:
        error = await fail(login_at(port, security))
    assert error.code is ErrorCode.NOT_A_MAIL_SERVER
    assert error.message.startswith(who)


async def test_a_web_server_behind_tls_is_recognised() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving(web, tls=server_tls(authority, "127.0.0.1")) as port:
        error = await imap_failure(login_at(port, TLS), context)
    assert (error.code, error.message.startswith("A web server")) == (ErrorCode.NOT_A_MAIL_SERVER, True)


@pytest.mark.parametrize("fail", [imap_failure, smtp_failure])
async def test_a_server_that_never_says_anything_times_out(
    fail: Callable[[ServerLogin], Awaitable[ProviderError]],
) -> None:
    async with serving(Peer.stall) as port:
        error = await fail(login_at(port))
    assert (error.code, error.retry) == (ErrorCode.TIMED_OUT, Retry.LATER)


# --- What a refusal means ---


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)", ErrorCode.APP_PASSWORD_REQUIRED),
        ("534 5.7.9 Application-specific password required. Learn more at", ErrorCode.APP_PASSWORD_REQUIRED),
        ("[AUTHORIZATIONFAILED] Please use an app password", ErrorCode.APP_PASSWORD_REQUIRED),
        ("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", ErrorCode.AUTHENTICATION_FAILED),
        ("LOGIN failed.", ErrorCode.AUTHENTICATION_FAILED),
        ("535 5.7.8 Error: authentication failed", ErrorCode.AUTHENTICATION_FAILED),
        ("[ALERT] Your account is not enabled for IMAP use. Please visit your settings page", ErrorCode.UNSUPPORTED_PROTOCOL),
        ("User is authenticated but not connected.", ErrorCode.UNSUPPORTED_PROTOCOL),
        ("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.", ErrorCode.UNSUPPORTED_PROTOCOL),
        ("[UNAVAILABLE] Temporary authentication failure.", ErrorCode.THROTTLED),
        ("[LIMIT] Too many login attempts", ErrorCode.THROTTLED),
    ],
)  # fmt: skip
async def test_what_servers_say_is_sorted_by_what_the_person_can_do(reply: str, code: ErrorCode) -> None:
    refusal = judge_login(reply.encode(), protocol="IMAP", host="mail.example")
    assert refusal.code is code
    assert refusal.retry is (Retry.LATER if code is ErrorCode.THROTTLED else Retry.AFTER_REAUTHORISATION)
    assert reply not in refusal.message


async def test_an_app_password_is_asked_for_in_both_fields() -> None:
    refused = b"%(tag)s NO [ALERT] Application-specific password required\r\n"
    async with serving(imap({b"AUTHENTICATE": refused})) as port:
        error = await imap_failure(login_at(port))
    assert error.code is ErrorCode.APP_PASSWORD_REQUIRED
    assert error.hint is not None
    assert "both the IMAP and the SMTP password fields" in error.hint


async def test_a_plain_refusal_by_a_server_known_for_app_passwords_names_them() -> None:
    refusal = judge_login(b"[AUTHENTICATIONFAILED]", protocol="IMAP", host="imap.mail.yahoo.com")
    assert refusal.code is ErrorCode.AUTHENTICATION_FAILED
    assert refusal.hint is not None
    assert "app password" in refusal.hint


async def test_imap_that_is_switched_off_is_not_supported() -> None:
    disabled = b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n%(tag)s OK\r\n"
    async with serving(imap({b"CAPABILITY": disabled})) as port:
        error = await imap_failure(login_at(port))
    assert error.code is ErrorCode.UNSUPPORTED_PROTOCOL


# --- SMTP that is odd ---


def smtp(*answers: bytes) -> Script:
    async def converse(peer: Peer) -> None:
        for answer in answers:
            await peer.send(answer)
            if not await peer.line():
                return

    return converse


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ((b"220 hi\r\n", b"250 nothing to offer\r\n"), ErrorCode.UNSUPPORTED_PROTOCOL),
        ((b"220 hi\r\n", b"250-x\r\n250 AUTH PLAIN\r\n", b"454 4.7.0 Temporary failure\r\n"), ErrorCode.THROTTLED),
        ((b"220 hi\r\n", b"250-x\r\n250 AUTH PLAIN\r\n", b"534 5.7.9 Application-specific password required\r\n"), ErrorCode.APP_PASSWORD_REQUIRED),
        ((b"421 4.7.0 too many connections\r\n",), ErrorCode.THROTTLED),
        ((b"554 go away\r\n",), ErrorCode.CONNECTION_REFUSED),
        ((b"220 hi\r\n", b"250-x\r\n250 AUTH PLAIN\r\n", b"\xff\xfe\r\n"), ErrorCode.NOT_A_MAIL_SERVER),
    ],
)  # fmt: skip
async def test_smtp_servers_that_will_not_are_told_apart(answers: tuple[bytes, ...], code: ErrorCode) -> None:
    async with serving(smtp(*answers)) as port:
        assert (await smtp_failure(login_at(port))).code is code


async def test_smtp_without_starttls_gets_no_password() -> None:
    async with serving(smtp(b"220 hi\r\n", b"250 AUTH PLAIN\r\n")) as port:
        assert (await smtp_failure(login_at(port, STARTTLS))).code is ErrorCode.TLS_FAILED
