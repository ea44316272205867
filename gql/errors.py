"""What does a client learn of a failure, and what does the log?"""

from collections.abc import Sequence

import structlog
from graphql import GraphQLError
from strawberry.schema.exceptions import CannotGetOperationTypeError

from domain.errors import AppError, BadInput, Forbidden, NotAuthenticated
from infra.logs import begin_request, current_request
from services.sharing import StreamLagged

log = structlog.get_logger()

BAD_USER_INPUT = "BAD_USER_INPUT"
QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"

_CODES: dict[type[AppError], str] = {
    BadInput: BAD_USER_INPUT,
    NotAuthenticated: "UNAUTHENTICATED",
    Forbidden: "FORBIDDEN",
    StreamLagged: "RATE_LIMITED",
}
_TOO_MANY_TOKENS = "Parsing aborted"
"""What the parser says when it gives up on a long document; it has no code for it."""


def translated(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    """The errors as clients see them, each with `extensions.code`. Bugs are masked and logged. Idempotent."""
    return [error if "code" in (error.extensions or {}) else _translated(error) for error in errors]


def _translated(error: GraphQLError) -> GraphQLError:
    cause = _cause(error)
    if cause is None or isinstance(cause, CannotGetOperationTypeError):
        return _told(error, error.message, QUERY_TOO_COMPLEX if _TOO_MANY_TOKENS in error.message else BAD_USER_INPUT)
    for kind, code in _CODES.items():
        if isinstance(cause, kind):
            return _told(error, cause.message, code)
    return _masked(error, cause)


def _cause(error: GraphQLError) -> Exception | None:
    """What was raised underneath; None where the executor itself refuses the request."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _told(error: GraphQLError, message: str, code: str) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={**(error.extensions or {}), "code": code},
    )


def _masked(error: GraphQLError, cause: Exception) -> GraphQLError:
    """Neither the client nor the log is shown what was asked: queries and values hold people's data."""
    reference = current_request() or begin_request()
    field = ".".join(str(step) for step in error.path or () if isinstance(step, str))
    log.error("operation_failed", reference=reference, field=field, error=type(cause).__name__, exc_info=cause)
    told = _told(error, "Something went wrong on our side.", "INTERNAL")
    told.extensions = {"code": "INTERNAL", "reference": reference}
    return told
