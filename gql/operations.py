"""What surrounds every operation: its own context, and documents that are parsed and validated once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import lru_cache

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document
from strawberry.types.execution import StreamExecutionResult

from gql.context import Operation
from gql.limits import MAX_TOKENS, SizeLimit

DOCUMENTS_KEPT = 256


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
    """Parses and validates a document the first time it comes."""

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
        context.pre_execution_errors = list(_problems(schema, context.query or ""))
        yield
