"""Which subscriptions ask for the same, and what are they all shown?

A subscription is shared if all that it selects may be (gql.schema.reach) and it follows all that its viewer may see.
Every other one is executed for its subscriber alone, by Strawberry.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import orjson
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_operation_ast,
    is_abstract_type,
    is_object_type,
)
from graphql.execution import execute
from graphql.execution.values import get_argument_values, get_variable_values
from graphql.language import Visitor, visit
from strawberry.schema.base import BaseSchema

from domain import clock
from domain.events import EventKind, Origin
from gql.context import Operation, Request
from gql.errors import translated
from gql.execution import CompiledExecutor
from gql.operations import known_document
from gql.resolvers.following.telling import told
from gql.schema.reach import EACH, REACH, Own, Reach
from services.deps import Deps
from services.event_rows import StreamEvent
from services.reading import Reader
from services.sharing import Shown, Variety
from services.stream import DATABASE_TROUBLE, EventStream

log = structlog.get_logger()

EVENTS = "events"
_INCLUDE_IMPORTS = "includeImports"
_MARK_BYTES = 16


class Shareable(NamedTuple):
    """A subscription that is shared, and the cursor that it goes on from."""

    selection: "SharedSelection"
    after: str | None


class SharedSelections:
    """The selections that subscriptions of this process share."""

    def __init__(self, schema: BaseSchema, deps: Deps, stream: EventStream) -> None:
        self._schema: GraphQLSchema = schema._schema  # type: ignore[attr-defined]  # noqa: SLF001 - it has no public name
        self._deps = deps
        self._stream = stream
        self._known: WeakValueDictionary[tuple[str, str | None, bytes], SharedSelection] = WeakValueDictionary()

    def of(self, query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> Shareable | None:
        """What a subscription shares with others; None of all else, be it a query or no operation at all."""
        document = known_document(self._schema, query)
        operation = None if document is None else get_operation_ast(document, operation_name)
        if document is None or operation is None or operation.operation is not OperationType.SUBSCRIPTION:
            return None
        values = get_variable_values(self._schema, operation.variable_definitions or (), dict(variables or {}))
        root = _only_field(operation)
        subscription = self._schema.subscription_type
        if isinstance(values, list) or root is None or subscription is None:
            return None
        try:
            arguments = get_argument_values(subscription.fields[EVENTS], root, values)
        except GraphQLError:
            return None
        narrowing = _plain(arguments.get("filter"))
        if any(value is not None for name, value in narrowing.items() if name != _INCLUDE_IMPORTS):
            return None
        asked = {name: value for name, value in (variables or {}).items() if name != _variable_of_after(document, root)}
        key = (query, operation_name, orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
        selection = self._known.get(key)
        if selection is None:
            varies_by = _varieties(self._schema, document, operation)
            if varies_by is None:
                return None
            selection = SharedSelection(
                self._schema,
                Request(deps=self._deps, viewer=None, stream=self._stream),
                document,
                operation_name,
                dict(variables or {}),
                varies_by,
                includes_imports=bool(narrowing.get(_INCLUDE_IMPORTS)),
            )
            self._known[key] = selection
        return Shareable(selection, arguments.get("after"))


@dataclass(frozen=True, eq=False)
class SharedSelection:
    """What is shown of events to all who sent the same document with the same variables."""

    schema: GraphQLSchema
    request: Request
    document: DocumentNode
    operation_name: str | None
    variables: Mapping[str, Any]
    varies_by: frozenset[Variety]
    includes_imports: bool

    def wants(self, event: StreamEvent) -> bool:
        return self.includes_imports or event.kind != EventKind.MESSAGE_ADDED or event.origin is not Origin.IMPORT

    async def show(self, reader: Reader, event: StreamEvent) -> Shown | None:
        # Nobody can have put the mark into what is shown: it is made after that was read.
        mark = clock.random_bytes(_MARK_BYTES).hex()
        moment = _Moment(self.request, reader)
        try:
            shown = await told(moment, event, mark)
            if shown is None:
                return None
            result = await self._execute(moment, shown)
        except DATABASE_TROUBLE:
            raise
        except Exception as error:  # noqa: BLE001 - told as a failure, to those whom it concerns
            result = ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
        payload: dict[str, Any] = {"data": result.data}
        if result.errors:
            _raise_trouble(result.errors)
            payload["errors"] = [error.formatted for error in translated(result.errors)]
        return Shown(event.position, tuple(orjson.dumps(payload).split(mark.encode())))

    async def _execute(self, moment: "_Moment", shown: object) -> ExecutionResult:
        result = execute(
            self.schema,
            self.document,
            root_value=shown,
            context_value=moment,
            variable_values=dict(self.variables),
            operation_name=self.operation_name,
            executor_class=CompiledExecutor,
        )
        return result if isinstance(result, ExecutionResult) else await result


class _Moment(Operation):
    """The context of one event, read in a snapshot that is somebody else's to end."""

    def __init__(self, request: Request, reader: Reader) -> None:
        super().__init__(request)
        self._viewer = reader.viewer
        self._given = reader

    async def reader(self) -> Reader:
        return self._given


def _raise_trouble(errors: Iterable[GraphQLError]) -> None:
    """The database's trouble is nobody's answer: the event is shown when it is over."""
    for error in errors:
        cause: Exception | None = error
        while isinstance(cause, GraphQLError):
            cause = cause.original_error
        if isinstance(cause, DATABASE_TROUBLE):
            raise cause


def _only_field(operation: OperationDefinitionNode) -> FieldNode | None:
    """The operation's field, where that is plainly all there is."""
    selected = operation.selection_set.selections
    root = selected[0]
    is_plain = len(selected) == 1 and isinstance(root, FieldNode) and root.name.value == EVENTS and not root.directives
    return root if is_plain and isinstance(root, FieldNode) else None


def _plain(narrowing: object) -> Mapping[str, Any]:
    return narrowing if isinstance(narrowing, dict) else {}


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.append(node.name.value)


def _variable_of_after(document: DocumentNode, root: FieldNode) -> str | None:
    """The variable that says where to go on from, where it says nothing else: what is shown does not hang on it."""
    for argument in root.arguments or ():
        if argument.name.value == "after" and isinstance(argument.value, VariableNode):
            name = argument.value.name.value
            used = _Variables()
            visit(document, used)
            # Once where it is declared, and once here.
            return name if used.names.count(name) == 2 else None  # noqa: PLR2004 - as the comment says
    return None


def _varieties(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> frozenset[Variety] | None:
    """All that the operation's selection varies by; None where a part of it is each viewer's own."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    found: set[Variety] = set()
    root = _only_field(operation)
    if root is None or root.selection_set is None:
        return None
    for reach in _reaches(schema, fragments, schema.type_map["Event"], root.selection_set):
        if reach is EACH:
            return None
        if not isinstance(reach, Own):
            found |= reach
    return frozenset(found)


def _reaches(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    parent: GraphQLNamedType,
    selected: SelectionSetNode,
) -> Iterator[Reach]:
    """What each selected field is; those within what is each viewer's own are left out."""
    waiting = [(parent, selected)]
    opened: set[tuple[str, str]] = set()
    while waiting:
        kind, nodes = waiting.pop()
        for node in nodes.selections:
            if isinstance(node, FieldNode):
                if node.name.value == "__typename":
                    continue
                for concrete in _concrete(schema, kind):
                    reach = REACH.get(concrete.name, {}).get(node.name.value, EACH)
                    yield reach
                    field = schema.get_field(concrete, node.name.value)
                    if field is not None and node.selection_set is not None and not isinstance(reach, Own):
                        waiting.append((get_named_type(field.type), node.selection_set))
            elif isinstance(node, InlineFragmentNode):
                named = node.type_condition
                waiting.append((schema.type_map[named.name.value] if named else kind, node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                fragment = fragments[node.name.value]
                if (place := (node.name.value, kind.name)) not in opened:
                    opened.add(place)
                    waiting.append((schema.type_map[fragment.type_condition.name.value], fragment.selection_set))


def _concrete(schema: GraphQLSchema, kind: GraphQLNamedType) -> Iterable[Any]:
    """The types of objects that a type stands for."""
    if is_abstract_type(kind):
        return schema.get_possible_types(kind)
    return [kind] if is_object_type(kind) else []
