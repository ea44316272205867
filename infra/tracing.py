"""Which pieces of work leave a span where somebody collects traces, and what do the spans tell?

One for each operation, each attempt of a job and each session with a mail server; statements are counted on the span
around them. On where the standard OTEL_EXPORTER_OTLP_ENDPOINT is set, by the OpenTelemetry packages of the extra
`tracing`. Off, nothing of OpenTelemetry is even imported. Attributes are numbers, codes and ids: no address, no
variable, no document, no text of an error.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import structlog

if TYPE_CHECKING:
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import Tracer

log = structlog.get_logger()

Attribute: TypeAlias = str | int | float | bool

# Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/, checked 2026-11-22
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_LAST_WORDS_MS = 2_000
"""How long a process that ends waits for its last spans to be taken."""


class Span:
    """A piece of work that is under way; without a recorded span it does nothing."""

    __slots__ = ("_recorded",)

    def __init__(self, recorded: "RecordedSpan | None") -> None:
        self._recorded = recorded

    def tell(self, **attributes: Attribute) -> None:
        """Adds what is known now; names get `postroom.` before them."""
        if self._recorded is not None:
            for name, value in attributes.items():
                self._recorded.set_attribute(f"postroom.{name}", value)

    def rename(self, name: str) -> None:
        if self._recorded is not None:
            self._recorded.update_name(name)

    def fail(self, kind: str) -> None:
        """Marks it as failed, by a code or the name of an error's type."""
        if self._recorded is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

            self._recorded.set_status(StatusCode.ERROR)
            self._recorded.set_attribute("error.type", kind)

    def end(self) -> None:
        if self._recorded is not None:
            self._recorded.end()


_OFF = Span(None)
_tracer: "Tracer | None" = None


def is_wanted() -> bool:
    """Whether the environment asks for traces."""
    given = os.environ
    is_off = given.get("OTEL_SDK_DISABLED", "").lower() == "true" or given.get("OTEL_TRACES_EXPORTER") == "none"
    return not is_off and any(given.get(name) for name in _ENDPOINTS)


def obstacle() -> str | None:
    """Why traces that are wanted cannot be sent; None where they can."""
    try:
        is_installed = all(find_spec(package) is not None for package in _PACKAGES)
    except ModuleNotFoundError:  # of a package around it
        is_installed = False
    if not is_installed:
        return "the packages for them are not installed"
    protocol = next((os.environ[name] for name in _PROTOCOLS if os.environ.get(name)), _PROTOCOL)
    return None if protocol == _PROTOCOL else "they are sent as http/protobuf only"


@contextmanager
def sent_traces(role: str) -> Iterator[None]:
    """Sends the spans of this process while the block runs, where the environment asks for it; never fails."""
    global _tracer  # noqa: PLW0603 - one for the process
    if not is_wanted():
        yield
        return
    if (problem := obstacle()) is not None:
        log.warning("traces_not_sent", problem=problem.replace(" ", "_"))
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "postroom"}
    provider = TracerProvider(resource=Resource.create({**named, "postroom.role": role}), shutdown_on_exit=False)
    processor = BatchSpanProcessor(OTLPSpanExporter())
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("postroom")
    try:
        yield
    finally:
        _tracer = None
        processor._batch_processor.shutdown(_LAST_WORDS_MS)  # noqa: SLF001 - its own shutdown waits for half a minute


def begin_span(name: str) -> Span:
    """A span under this task's present one, and its present one from now on: for a task that ends with it."""
    if _tracer is None:
        return _OFF
    from opentelemetry import context, trace  # noqa: PLC0415 - an extra

    recorded = _tracer.start_span(name)
    context.attach(trace.set_span_in_context(recorded))
    return Span(recorded)


@contextmanager
def span(name: str, **attributes: Attribute) -> Iterator[Span]:
    """A span around the block, under the present one; whatever the block raises is told by its type alone."""
    if _tracer is None:
        yield _OFF
        return
    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as recorded:
        around = Span(recorded)
        around.tell(**attributes)
        try:
            yield around
        except BaseException as error:
            around.fail(type(error).__name__)
            raise
