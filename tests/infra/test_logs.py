"""Is what the log may hold in it, and what it may not hold nowhere?"""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from domain.errors import AppError, ErrorCode
from infra.logs import configure_logging


class Log:
    """What has been written, line by line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return line


@pytest.fixture
def log() -> Iterator[Log]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    written = Log()
    configure_logging(stream=written.stream)
    yield written
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def test_ids_counts_and_codes_are_written(log: Log) -> None:
    structlog.get_logger().info(
        "mailbox_synced",
        mailbox_id=UUID(int=1),
        count=3,
        took_ms=1.5,
        code=ErrorCode.TIMED_OUT,
        message_ids=[UUID(int=2)],
        state="ACTIVE",
    )

    line = log.last
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "mailbox_synced",
        "level": "info",
        "mailbox_id": str(UUID(int=1)),
        "count": 3,
        "took_ms": 1.5,
        "code": "TIMED_OUT",
        "message_ids": [str(UUID(int=2))],
        "state": "ACTIVE",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "SECRET"},
        {"address": "SECRET"},
        {"rfc_message_id": "SECRET"},
        {"state": "SECRET words"},
        {"reason": "SECRET@example.org"},
        {"mailbox_id": {"token": "SECRET"}},
        {"thread_ids": ["SECRET@example.org"]},
        {"code": b"SECRET"},
        {"count": object()},
    ],
)
def test_any_other_field_is_named_but_not_written(log: Log, fields: dict[str, Any]) -> None:
    structlog.get_logger().info("odd", **fields)

    assert "SECRET" not in log.text
    assert log.last["dropped"] == list(fields)


def test_prose_in_place_of_an_event_is_not_written(log: Log) -> None:
    structlog.get_logger().warning("mail from SECRET@example.org")

    assert log.last["event"] == "unnamed_event"
    assert "SECRET" not in log.text


def _fail() -> None:
    raise ValueError("SECRET")


def _fail_because_of_that() -> None:
    try:
        _fail()
    except ValueError as cause:
        raise RuntimeError("SECRET too") from cause


def test_an_error_leaves_its_type_and_frames_but_not_its_text(log: Log) -> None:
    try:
        _fail_because_of_that()
    except RuntimeError:
        structlog.get_logger().exception("job_failed")

    described = log.last["exception"]
    assert described["type"] == "builtins.RuntimeError"
    assert described["cause"]["type"] == "builtins.ValueError"
    assert described["frames"][-1].endswith(" _fail_because_of_that")
    assert described["cause"]["frames"][-1].endswith(" _fail")
    assert "SECRET" not in log.text


def test_our_own_errors_and_those_in_groups_are_told(log: Log) -> None:
    group = ExceptionGroup("SECRET", [AppError("The server does not answer."), KeyError("SECRET")])

    structlog.get_logger().error("sync_failed", exc_info=group)

    assert [inner.get("message") for inner in log.last["exception"]["errors"]] == ["The server does not answer.", None]
    assert "SECRET" not in log.text


def test_records_of_libraries_keep_their_place_and_lose_their_text(log: Log) -> None:
    logging.getLogger("some.library").warning("could not reach %s", "SECRET")
    assert log.last["logger"] == "some.library"
    assert log.last["where"].startswith("test_logs:")

    logging.getLogger("some.library").error("failed for SECRET", exc_info=ValueError("SECRET"))
    assert log.last["exception"]["type"] == "builtins.ValueError"
    assert "SECRET" not in log.text


@pytest.mark.parametrize("name", ["arq.worker", "httpx", "aioimaplib.aioimaplib", "uvicorn.access"])
def test_libraries_that_tell_their_arguments_are_quiet(log: Log, name: str) -> None:
    logging.getLogger(name).warning("SECRET")
    assert log.text == ""


def test_the_web_server_may_say_that_it_runs(log: Log) -> None:
    logging.getLogger("uvicorn.error").info("Application startup complete.")
    assert log.last["event"] == "Application startup complete."
