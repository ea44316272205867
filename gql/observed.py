"""What is written down of each operation: how many, how they ended, how long they took, and which of them were slow."""

import asyncio
from collections.abc import Iterator
from typing import Any

import structlog
from graphql import OperationDefinitionNode, get_operation_ast
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from domain import clock
from infra.db.tally import Tally, begin_tally
from infra.logs import begin_request, current_request
from infra.metrics import OPERATION_SECONDS, OPERATION_STATEMENTS, OPERATIONS
from infra.tracing import begin_span

log = structlog.get_logger()

UNNAMED = "unnamed"
UNKNOWN = "unknown"
SUBSCRIPTION = "subscription"
NOT_BEGUN = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)
"""What Strawberry raises where there is nothing to execute."""


class ObservedOperations(SchemaExtension):
    """Surrounds every operation, and each runs in a task of its own: what begins here ends with the task."""

    def on_operation(self) -> Iterator[None]:
        started, tally, span = clock.monotonic(), begin_tally(), begin_span("operation")
        if current_request() is None:  # on a WebSocket; over HTTP it has one already
            begin_request()
        outcome = "failed"
        try:
            yield
            outcome = self._outcome()
        except NOT_BEGUN:
            outcome = "refused"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            operation = self._operation()
            kind = UNKNOWN if operation is None else operation.operation.value
            if kind == SUBSCRIPTION and outcome == "cancelled":
                outcome = "ok"  # there is no other end to it
            took_s = clock.monotonic() - started
            OPERATIONS.labels(kind=kind, outcome=outcome).inc()
            if kind != SUBSCRIPTION:
                OPERATION_SECONDS.labels(kind=kind).observe(took_s)
                OPERATION_STATEMENTS.labels(kind=kind).observe(tally.statements)
                if took_s >= self.execution_context.context.deps.settings.postroom_slow_operation_s:
                    _tell_slow(_name(operation), kind, took_s, tally)
            span.rename(kind)
            span.tell(
                operation=_name(operation),
                outcome=outcome,
                statements=tally.statements,
                statements_ms=round(tally.seconds * 1000, 3),
            )
            if outcome == "failed":
                span.fail("INTERNAL")
            span.end()

    def _operation(self) -> OperationDefinitionNode | None:
        """The operation that was asked for; None where the document has none such, or could not be read."""
        asked = self.execution_context
        if asked.graphql_document is None:
            return None
        name = asked._provided_operation_name  # noqa: SLF001 - `operation_name` takes the first of several
        return get_operation_ast(asked.graphql_document, name)

    def _outcome(self) -> str:
        asked = self.execution_context
        errors: list[Any] = asked.pre_execution_errors or getattr(asked.result, "errors", None) or []
        if not errors:
            return "ok"
        return "failed" if any((error.extensions or {}).get("code") == "INTERNAL" for error in errors) else "refused"


def _name(operation: OperationDefinitionNode | None) -> str:
    """As its author called it: by the grammar a word, and as such no address."""
    return UNNAMED if operation is None or operation.name is None else operation.name.value


def _tell_slow(name: str, kind: str, took_s: float, tally: Tally) -> None:
    log.warning(
        "slow_operation",
        operation=name,
        kind=kind,
        duration_ms=round(took_s * 1000),
        statement_count=tally.statements,
        statements_ms=round(tally.seconds * 1000),
    )
