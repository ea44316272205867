"""What surrounds every operation: its own context, and documents that are parsed and validated once."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

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
REFUSALS_KEPT = 64
"""Of documents that are refused: they have a place of their own, and push no good one out."""
LONGEST_KEPT = 20_000
"""In characters. What is longer than any operation of a program is parsed each time: 256 of it would be a load."""
MOST_ERRORS_TOLD = 50
"""Of the values of one operation's variables."""


@dataclass(frozen=True, slots=True)
class Known:
    """A document that can be parsed, and what is wrong with it."""

    document: DocumentNode
    problems: tuple[GraphQLError, ...]


class KnownDocuments:
    """Documents that were parsed and validated before; what was not asked for longest makes room."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._good: OrderedDict[str, Known] = OrderedDict()
        self._refused: OrderedDict[str, Known] = OrderedDict()

    def of(self, query: str) -> Known:
        """The document.

        Raises:
            GraphQLError: it cannot be parsed.
        """
        for documents in (self._good, self._refused):
            if query in documents:
                documents.move_to_end(query)
                return documents[query]
        document = parse(query, max_tokens=MAX_TOKENS)
        known = Known(document, self._problems(document))
        if len(query) <= LONGEST_KEPT:
            documents, most = (self._refused, REFUSALS_KEPT) if known.problems else (self._good, DOCUMENTS_KEPT)
            documents[query] = known
            if len(documents) > most:
                documents.popitem(last=False)
        return known

    def _problems(self, document: DocumentNode) -> tuple[GraphQLError, ...]:
        # The limit goes first: some rules take more than linear time, and need not see what is refused anyway.
        if too_large := validate_document(self._schema, document, (SizeLimit,)):
            return tuple(too_large)
        return tuple(validate_document(self._schema, document, _RULES))


_RULES = tuple(specified_rules)
_documents: WeakKeyDictionary[GraphQLSchema, KnownDocuments] = WeakKeyDictionary()


def known_documents(schema: GraphQLSchema) -> KnownDocuments:
    """Those of this process for a schema."""
    if schema not in _documents:
        _documents[schema] = KnownDocuments(schema)
    return _documents[schema]


def known_document(schema: GraphQLSchema, query: str) -> DocumentNode | None:
    """The document, parsed and validated once; None where it cannot be executed."""
    try:
        known = known_documents(schema).of(query)
    except GraphQLError:
        return None
    return None if known.problems else known.document


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


class DocumentsOnce(SchemaExtension):
    """Parses and validates a document the first time it comes, and refuses a request that cannot be executed."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options["max_tokens"] = MAX_TOKENS
        if context.query is not None and context.graphql_document is None:
            with suppress(GraphQLError):  # the parser is asked again, and its error is told the way it always is
                context.graphql_document = known_documents(_schema(context)).of(context.query).document
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        schema = _schema(context)
        problems = known_documents(schema).of(context.query or "").problems
        context.pre_execution_errors = list(problems) or _unfit(schema, context)
        yield


def _schema(context: ExecutionContext) -> GraphQLSchema:
    schema: GraphQLSchema = context.schema._schema  # noqa: SLF001 - Strawberry's own caches take it from there
    return schema


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
    if not operation.variable_definitions:
        return []
    values = get_variable_values(
        schema,
        operation.variable_definitions or (),
        context.variables or {},
        max_errors=MOST_ERRORS_TOLD,
        hide_suggestions=True,
    )
    return values if isinstance(values, list) else []
