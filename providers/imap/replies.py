"""What does a refusal mean: the servers' own words, sorted by what the person can do about it.

The words themselves go no further than this: they can hold addresses and session names.
"""

import re
from dataclasses import dataclass

from domain.errors import ErrorCode, Retry

APP_LOGIN_HINT = (
    "Create an app password in the security settings of your mail account, and enter it in both the IMAP and the SMTP "
    "password fields."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refused login comes down to."""

    code: ErrorCode
    message: str
    hint: str | None
    retry: Retry


_BUSY = re.compile(
    rb"\[(?:LIMIT|UNAVAILABLE|INUSE|THROTTLED|OVERQUOTA)\]|too many|simultaneous|throttl|rate limit|try again"
    rb"|temporar|bandwidth|server busy|connection limit|maximum number of connections|\b4\.[37]\.\d+\b",
    re.IGNORECASE,
)

# Source: support.google.com/accounts/answer/185833, help.yahoo.com/kb/SLN15241, support.apple.com/102654,
# learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/deprecation-of-basic-authentication (2026-11-21).
_APP_PASSWORD = re.compile(
    rb"app(?:lication)?[- ]?(?:specific)?[- ]password"
    rb"|\b5\.7\.9\b|\b185833\b|InvalidSecondFactor|two[- ](?:step|factor)|\b2FA\b",
    re.IGNORECASE,
)
_SWITCHED_OFF = re.compile(
    rb"not enabled for (?:imap|pop|smtp)"
    rb"|(?:imap|smtp)(?: access| service| protocol)? (?:is )?(?:disabled|not enabled|blocked)"
    rb"|authenticated but not connected|basic ?auth\w* (?:is |has been )?(?:disabled|blocked)|BasicAuthBlocked"
    rb"|SmtpClientAuthentication is disabled|5\.7\.139|logins? (?:is |are )?disabled|PRIVACYREQUIRED",
    re.IGNORECASE,
)

# Providers that take no account password here at all, or not with two-step verification: a plain refusal of theirs most
# often means this.
_APP_PASSWORD_HOSTS = ("gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.jp", "aol.com", "me.com", "icloud.com")
_WANTED_THERE = "If your account uses two-step verification, this server wants an app password here. " + APP_LOGIN_HINT


def asks_for_patience(text: bytes) -> bool:
    """The server has had too much of us, or is unwell: later is better."""
    return _BUSY.search(text) is not None


def judge_login(text: bytes, *, protocol: str, host: str) -> Refusal:
    """Why a login was refused. `protocol` is IMAP or SMTP, for the sentence."""
    if _APP_PASSWORD.search(text):
        return Refusal(
            ErrorCode.APP_PASSWORD_REQUIRED,
            f"The {protocol} server wants an app password instead of the account's own password.",
            APP_LOGIN_HINT,
            Retry.AFTER_REAUTHORISATION,
        )
    if _SWITCHED_OFF.search(text):
        return Refusal(
            ErrorCode.UNSUPPORTED_PROTOCOL,
            f"The server does not allow {protocol} with a password for this account.",
            f"Switch {protocol} on in the settings of the mail account, or ask its administrator to.",
            Retry.AFTER_REAUTHORISATION,
        )
    if asks_for_patience(text):
        return Refusal(
            ErrorCode.THROTTLED, f"The {protocol} server takes no more logins at the moment.", None, Retry.LATER
        )
    wants_app_password = any(host == known or host.endswith("." + known) for known in _APP_PASSWORD_HOSTS)
    return Refusal(
        ErrorCode.AUTHENTICATION_FAILED,
        f"The {protocol} server refused this user name and password.",
        _WANTED_THERE if wants_app_password else None,
        Retry.AFTER_REAUTHORISATION,
    )
