"""Failures that a person can act on, as a payload tells them."""

from enum import Enum

import strawberry
from strawberry import enum_value

from domain.errors import ProviderError, UserMistake


@strawberry.enum(description="What went wrong, for programs; `message` says it to people.")
class ErrorCode(Enum):
    NOT_FOUND = enum_value("NOT_FOUND", description="There is no such thing, or the viewer may not see it.")
    INVALID_INPUT = enum_value("INVALID_INPUT", description="A value is not of the form that is needed.")
    NOT_ALLOWED = enum_value("NOT_ALLOWED", description="The viewer sees it, and may not do this with it.")
    ALREADY_CONNECTED = enum_value("ALREADY_CONNECTED", description="The mailbox is connected already.")
    AUTHENTICATION_FAILED = enum_value("AUTHENTICATION_FAILED", description="The mail server refused the login.")
    APP_PASSWORD_REQUIRED = enum_value(
        "APP_PASSWORD_REQUIRED", description="The mail service wants an app password instead of the account's own."
    )
    HOST_NOT_FOUND = enum_value("HOST_NOT_FOUND", description="The server's name has no address.")
    CONNECTION_REFUSED = enum_value("CONNECTION_REFUSED", description="Nothing answers at that port.")
    TIMED_OUT = enum_value("TIMED_OUT", description="The server did not answer in time.")
    NOT_A_MAIL_SERVER = enum_value("NOT_A_MAIL_SERVER", description="Something answers, and it is no such mail server.")
    TLS_FAILED = enum_value("TLS_FAILED", description="No secure connection, or a certificate that does not hold.")
    HOST_NOT_ALLOWED = enum_value("HOST_NOT_ALLOWED", description="The server's operator does not allow that host.")
    UNSUPPORTED_PROTOCOL = enum_value("UNSUPPORTED_PROTOCOL", description="The service speaks only ActiveSync.")
    ADDRESS_MISMATCH = enum_value("ADDRESS_MISMATCH", description="The account is not the address asked for.")
    CONSENT_INCOMPLETE = enum_value("CONSENT_INCOMPLETE", description="A permission that is needed was not given.")
    AUTHORIZATION_EXPIRED = enum_value("AUTHORIZATION_EXPIRED", description="The sign-in took too long; begin again.")
    GRANT_REVOKED = enum_value("GRANT_REVOKED", description="The provider no longer lets this server in.")
    THROTTLED = enum_value("THROTTLED", description="The provider asks to go slower.")
    INTERNAL_ADDRESS = enum_value(
        "INTERNAL_ADDRESS", description="The address belongs to the organisation itself, so it is no candidate's."
    )
    PARTICIPANT_ACCESS = enum_value("PARTICIPANT_ACCESS", description="A participant's access cannot be taken away.")
    NO_PRIMARY_MAILBOX = enum_value(
        "NO_PRIMARY_MAILBOX", description="No mailbox is connected and the server has no relay."
    )
    WARNING_NOT_ACKNOWLEDGED = enum_value("WARNING_NOT_ACKNOWLEDGED", description="A warning has to be acknowledged.")
    IDEMPOTENCY_CONFLICT = enum_value("IDEMPOTENCY_CONFLICT", description="The key was used with another input.")
    NOT_CANCELLABLE = enum_value("NOT_CANCELLABLE", description="It has begun to leave.")
    RECIPIENT_REFUSED = enum_value("RECIPIENT_REFUSED", description="The mail server does not take a recipient.")
    MESSAGE_REFUSED = enum_value("MESSAGE_REFUSED", description="The mail server does not take the message.")
    BOUNCED = enum_value("BOUNCED", description="It came back.")
    UPLOAD_EXPIRED = enum_value("UPLOAD_EXPIRED", description="The uploaded file is no longer kept.")
    TOO_LARGE = enum_value("TOO_LARGE", description="It is larger than is taken.")


@strawberry.type(description="A failure that the person can act on.")
class UserError:
    code: ErrorCode = strawberry.field(description="What went wrong, for programs.")
    message: str = strawberry.field(
        description="One sentence for the person, naming what to do next. Never holds a secret or another "
        "tenant's data."
    )
    path: list[str] = strawberry.field(description='Where in the input, as ["input", "imap", "host"].')
    hint: str | None = strawberry.field(
        description="A further step for the person, as: create an app password, and where."
    )


def user_error(mistake: UserMistake | ProviderError) -> UserError:
    """What the payload says of a failure."""
    path = list(mistake.path) if isinstance(mistake, UserMistake) else ["input"]
    return UserError(code=ErrorCode(mistake.code.value), message=mistake.message, path=path, hint=mistake.hint)
