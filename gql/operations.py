"""What surrounds every operation: its own context, and documents that are parsed and validated once."""

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document
from strawberry.types.execution import StreamExecutionResult

from gql.context import Operation
from gql.limits import MAX_TOKENS, SizeLimit

DOCUMENTS_KEPT = 256

# Before the others: some of them take more than linear time, and need not see what is refused anyway.
_RULES = (SizeLimit, *specified_rules)


@lru_cache(maxsize=DOCUMENTS_KEPT)
def _parsed(query: str) -> DocumentNode:
    return parse(query, max_tokens=MAX_TOKENS)


@lru_cache(maxsize=DOCUMENTS_KEPT)
def _problems(schema: GraphQLSchema, document: DocumentNode) -> tuple[GraphQLError, ...]:
    """Nodes of a document are equal by identity: a document that fell out of the cache of parsed ones is checked anew."""
    if too_large := validate_document(schema, document, (SizeLimit,)):
        return tuple(too_large)
    return tuple(validate_document(schema, document, tuple(specified_rules)))


class OperationScope(SchemaExtension):
    """Gives each operation a context of its own, and ends its snapshot; on a subscription, that of each event."""

    async def on_operation(self) -> AsyncIterator[None]:  # type: ignore[override]  # as the base class means it
        operation = Operation(self.execution_context.context)
        self.execution_context.context = operation
        try:
            yield
        finally:
            await operation.close()

    async def on_stream_result(self, result: StreamExecutionResult) -> AsyncIterator[None]:  # type: ignore[override]
        await self.execution_context.context.close()
        yield


class KnownDocuments(SchemaExtension):
    """Parses and validates a document the first time it comes."""

    def on_parse(self) -> Iterator[None]:  # type: ignore[override]  # as the base class means it
        context = self.execution_context
        context.parse_options["max_tokens"] = MAX_TOKENS
        if context.query is not None and context.graphql_document is None:
            try:
                context.graphql_document = _parsed(context.query)
            except GraphQLError:
                pass  # the parser is asked again, and its error is told the way it always is
        yield

    def on_validate(self) -> Iterator[None]:  # type: ignore[override]  # as the base class means it
        context = self.execution_context
        schema = context.schema._schema  # noqa: SLF001 - Strawberry's own caches take it from there
        context.pre_execution_errors = list(_problems(schema, context.graphql_document))
        yield
