"""What is written to the log, and what never is?

One JSON object a line (coloured text on a terminal). A field passes only where its name is on the list below and its
value looks like an id, a number or a code: mail content has no way in, whatever somebody writes into a log call.
Records of other libraries keep their place of origin and lose their text, which repeats arguments; errors keep their
types and stack frames and lose theirs, unless they are our own.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TextIO
from uuid import UUID

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain import clock
from domain.errors import AppError

PERMITTED_FIELDS = frozenset(
    {
        "attempt", "capability", "code", "connections", "count", "error", "failures", "field", "folder_role",
        "from_state", "id", "is_final", "job", "kind", "method", "operation", "origin", "port", "position",
        "problem", "provider", "reason", "reference", "retry", "role", "signal", "state", "status", "step", "tries",
        "version", "want",
    }
)  # fmt: skip
PERMITTED_SUFFIXES = ("_id", "_ids", "_ms", "_s", "_bytes", "_count", "_code", "_state", "_at", "_per_s")
_NEVER = frozenset({"rfc_message_id"})  # ends like an id, and is half an address

_OWN_FIELDS = frozenset(
    {"event", "level", "timestamp", "logger", "where", "exception", "errors", "dropped", "exc_info", "stack_info"}
)
_CODE_LIKE = re.compile(r"[A-Za-z0-9_.:/+-]{1,100}")
_FRAMES_KEPT = 30
_REQUEST_ID_BYTES = 6
_TELLS_OF_ITSELF = frozenset({"uvicorn.error"})  # its start and stop, in fixed words
_QUIET = ("arq", "arq.worker", "httpx", "httpcore", "aioimaplib", "aioimaplib.aioimaplib", "uvicorn.access")


def configure_logging(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library's logging for this process; may be called again.

    Args:
        level: the least serious level that is written.
        stream: where to; standard error if not told. A terminal gets text for people, everything else JSON.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
        drop_unpermitted,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[only_where_it_comes_from, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(stream)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def begin_request() -> str:
    """A new request id, which all that this task logs from now on carries."""
    request_id = clock.random_bytes(_REQUEST_ID_BYTES).hex()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def current_request() -> str | None:
    """The id of the request that this task works for; None where it works for none."""
    request_id: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return request_id


def drop_unpermitted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keeps fields of known names with plain values; names the others in `dropped`, without their values."""
    dropped = [name for name, value in event.items() if not _is_permitted(name, value)]
    for name in dropped:
        del event[name]
    if "logger" not in event and not _is_plain(event["event"]):
        event["event"] = "unnamed_event"
    if dropped:
        event["dropped"] = dropped
    return event


def describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Puts the types and frames of an error and of what caused it in place of its text."""
    given = event.pop("exc_info", None)
    exc_info = sys.exc_info() if given is True else given
    error = exc_info if isinstance(exc_info, BaseException) else exc_info[1] if isinstance(exc_info, tuple) else None
    if error is not None:
        event["exception"] = _described(error)
    return event


def only_where_it_comes_from(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces the text of another library's record by the place that wrote it."""
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    event["where"] = f"{record.module}:{record.lineno}"
    if record.name not in _TELLS_OF_ITSELF:
        event["event"] = "library_message"
    return event


def _is_permitted(name: str, value: object) -> bool:
    if name in _OWN_FIELDS or name.startswith("_"):
        return True
    known = name in PERMITTED_FIELDS or (name.endswith(PERMITTED_SUFFIXES) and name not in _NEVER)
    return known and _is_plain(value)


def _is_plain(value: object) -> bool:
    match value:
        case None | bool() | int() | float() | UUID() | StrEnum():
            return True
        case str():
            return _CODE_LIKE.fullmatch(value) is not None
        case bytes() | bytearray():
            return False
        case Sequence() | set() | frozenset():
            return all(map(_is_plain, value))
        case _:
            return False


def _described(error: BaseException) -> Mapping[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_KEPT:]
    described: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, AppError):
        described["message"] = error.message
    if isinstance(error, BaseExceptionGroup):
        described["errors"] = [_described(inner) for inner in error.exceptions]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        described["cause"] = _described(cause)
    return described


def _renderer(stream: TextIO) -> Processor:
    if stream.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(default=str)
