"""What surrounds every operation: its own context, and documents that are parsed and validated once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import lru_cache

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    get_operation_ast,
    parse,
    specified_rules,
)
from graphql.execution.values import get_variable_values
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document
from strawberry.types import ExecutionContext
from strawberry.types.execution import StreamExecutionResult

from gql.context import Operation
from gql.limits import MAX_TOKENS, SizeLimit

DOCUMENTS_KEPT = 256
MOST_ERRORS_TOLD = 50
"""Of the values of one operation's variables."""


@lru_cache(maxsize=DOCUMENTS_KEPT)
def _parsed(query: str) -> DocumentNode:
    return parse(query, max_tokens=MAX_TOKENS)


@lru_cache(maxsize=DOCUMENTS_KEPT)
def _problems(schema: GraphQLSchema, query: str) -> tuple[GraphQLError, ...]:
    """What is wrong with a document that can be parsed."""
    # The limit goes first: some rules take more than linear time, and need not see what is refused anyway.
    if too_large := validate_document(schema, _parsed(query), (SizeLimit,)):
        return tuple(too_large)
    return tuple(validate_document(schema, _parsed(query), tuple(specified_rules)))


def known_document(schema: GraphQLSchema, query: str) -> DocumentNode | None:
    """The document, parsed and validated once; None where it cannot be executed."""
    try:
        return None if _problems(schema, query) else _parsed(query)
    except GraphQLError:
        return None


class OperationScope(SchemaExtension):
    """Gives each operation a context of its own, and ends its snapshot; on a subscription, that of each event."""

    async def on_operation(self) -> AsyncIterator[None]:
        operation = Operation(self.execution_context.context)
        self.execution_context.context = operation
        try:
            yield
        finally:
            await operation.end()

    async def on_stream_result(self, result: StreamExecutionResult) -> AsyncIterator[None]:  # noqa: ARG002 - the hook's shape
        await self.execution_context.context.close()
        yield


class KnownDocuments(SchemaExtension):
    """Parses and validates a document the first time it comes, and refuses a request that cannot be executed."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options["max_tokens"] = MAX_TOKENS
        if context.query is not None and context.graphql_document is None:
            with suppress(GraphQLError):  # the parser is asked again, and its error is told the way it always is
                context.graphql_document = _parsed(context.query)
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        schema = context.schema._schema  # noqa: SLF001 - Strawberry's own caches take it from there
        context.pre_execution_errors = list(_problems(schema, context.query or "")) or _unfit(schema, context)
        yield


def _unfit(schema: GraphQLSchema, context: ExecutionContext) -> list[GraphQLError]:
    """What is wrong with the choice of an operation, and with the values of its variables.

    Strawberry would run the first of several operations, and take bad values for a failure of the execution.
    Source: GraphQL specification, October 2021, §6.1 and §7.1.2, checked 2026-11-22.
    """
    document = context.graphql_document
    if document is None:
        return []
    operation = get_operation_ast(document, context._provided_operation_name)  # noqa: SLF001 - else it is the first's
    if operation is None:
        return [GraphQLError("The document has several operations: say in `operationName` which one is meant.")]
    values = get_variable_values(
        schema,
        operation.variable_definitions or (),
        context.variables or {},
        max_errors=MOST_ERRORS_TOLD,
        hide_suggestions=True,
    )
    return values if isinstance(values, list) else []
