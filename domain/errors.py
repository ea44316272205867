"""What can go wrong, as a tree that callers can act on.

    AppError                  has a stable code, a sentence for the person, and whether trying again helps
    ├── UserMistake           the caller can mend it: reaches clients in a payload's `errors`
    ├── NotAuthenticated      no token, or not a valid one
    ├── Forbidden             a valid token that may not do this at all
    ├── BadInput              the request itself makes no sense (a cursor that is none, first: -1)
    └── ProviderError         a mail server or its network failed (providers.errors says which failure is which)
        └── FolderRefused     one folder could not be read; everything else was

Whatever is not an AppError is a bug: masked for the client, with a reference that the log knows.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The codes of the contract's `ErrorCode`, in its order."""

    NOT_FOUND = "NOT_FOUND"
    INVALID_INPUT = "INVALID_INPUT"
    NOT_ALLOWED = "NOT_ALLOWED"
    ALREADY_CONNECTED = "ALREADY_CONNECTED"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    APP_PASSWORD_REQUIRED = "APP_PASSWORD_REQUIRED"  # noqa: S105 - a code
    HOST_NOT_FOUND = "HOST_NOT_FOUND"
    CONNECTION_REFUSED = "CONNECTION_REFUSED"
    TIMED_OUT = "TIMED_OUT"
    NOT_A_MAIL_SERVER = "NOT_A_MAIL_SERVER"
    TLS_FAILED = "TLS_FAILED"
    HOST_NOT_ALLOWED = "HOST_NOT_ALLOWED"
    UNSUPPORTED_PROTOCOL = "UNSUPPORTED_PROTOCOL"
    ADDRESS_MISMATCH = "ADDRESS_MISMATCH"
    CONSENT_INCOMPLETE = "CONSENT_INCOMPLETE"
    AUTHORIZATION_EXPIRED = "AUTHORIZATION_EXPIRED"
    GRANT_REVOKED = "GRANT_REVOKED"
    THROTTLED = "THROTTLED"
    INTERNAL_ADDRESS = "INTERNAL_ADDRESS"
    PARTICIPANT_ACCESS = "PARTICIPANT_ACCESS"
    NO_PRIMARY_MAILBOX = "NO_PRIMARY_MAILBOX"
    WARNING_NOT_ACKNOWLEDGED = "WARNING_NOT_ACKNOWLEDGED"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    NOT_CANCELLABLE = "NOT_CANCELLABLE"
    RECIPIENT_REFUSED = "RECIPIENT_REFUSED"
    MESSAGE_REFUSED = "MESSAGE_REFUSED"
    BOUNCED = "BOUNCED"
    UPLOAD_EXPIRED = "UPLOAD_EXPIRED"
    TOO_LARGE = "TOO_LARGE"


class Retry(StrEnum):
    """Whether doing the same again can help."""

    NEVER = "never"
    LATER = "later"
    AFTER_REAUTHORISATION = "after reauthorisation"


class AppError(Exception):
    """The root: an expected failure. `message` is shown to people and never holds content or a secret."""

    retry: Retry = Retry.NEVER

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UserMistake(AppError):
    """Something the caller can mend: a code, where in the input, and perhaps a further step."""

    def __init__(self, code: ErrorCode, message: str, *, path: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.path = path
        self.hint = hint


class NotAuthenticated(AppError):
    """No bearer token, or one that does not hold."""


class Forbidden(AppError):
    """The caller is known, and this is not theirs to do."""


class BadInput(AppError):
    """A request that no valid client sends."""


class ProviderError(AppError):
    """A mail server, or the way to it, failed; `retry` says whether that passes by itself."""

    retry = Retry.LATER

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        hint: str | None = None,
        retry: Retry = Retry.LATER,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.retry = retry
        self.retry_after_s = retry_after_s


class FolderRefused(ProviderError):
    """The server lists a folder and does not open it. All else of the mailbox has been read; the session is sound."""


def not_found(what: str, *path: str) -> UserMistake:
    """The one answer for what does not exist and for what the caller may not see."""
    return UserMistake(ErrorCode.NOT_FOUND, f"There is no such {what}.", path=path)


def invalid(message: str, *path: str, hint: str | None = None) -> UserMistake:
    return UserMistake(ErrorCode.INVALID_INPUT, message, path=path, hint=hint)
