"""Which code belongs to which operation? It is made once, and kept with the parsed document.

A selection changes its shape with the values of the variables that its `@skip` and `@include` name, and with nothing
else; so these values are part of what code is kept under.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from graphql import (
    FragmentDefinitionNode,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)

from gql.execution.compiler import Completion

PROGRAMS_KEPT = 256
VARIANTS_KEPT = 16
"""Of one operation; a client that switches more than four parts on and off in all ways is told slower."""
_SWITCHES = ("skip", "include")

Key = TypeVar("Key")
Kept = TypeVar("Kept")

Place: TypeAlias = tuple[int, ...]
"""Of a selection in its document: the identities of the type and of the nodes that are selected."""
Completions: TypeAlias = dict[Place, Completion | None]
"""The code of each place; None where graphql-core does it."""


@dataclass(slots=True)
class Program:
    """The code of one operation of one parsed document. Holds what its keys are identities of."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    switches: tuple[str, ...]
    variants: OrderedDict[tuple[Any, ...], Completions] = field(default_factory=OrderedDict)

    def completions(self, variables: Mapping[str, Any]) -> Completions:
        return _kept(self.variants, tuple(map(variables.get, self.switches)), VARIANTS_KEPT, dict)


class Programs:
    """The programs of this process; those that were not used for longest make room."""

    def __init__(self) -> None:
        self._programs: OrderedDict[int, Program] = OrderedDict()

    def of(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> Program:
        """The program of an operation; `fragments` are its document's."""

        def begin() -> Program:
            return Program(schema, operation, _switches(operation, fragments.values()))

        program = _kept(self._programs, id(operation), PROGRAMS_KEPT, begin)
        if program.schema is not schema:
            program = self._programs[id(operation)] = begin()
        return program


def _kept(known: OrderedDict[Key, Kept], key: Key, most: int, make: Callable[[], Kept]) -> Kept:
    """What is known under a key, made where nothing is; the longest unused goes where there is too much."""
    if key in known:
        known.move_to_end(key)
    else:
        known[key] = make()
        if len(known) > most:
            known.popitem(last=False)
    return known[key]


def _switches(operation: OperationDefinitionNode, fragments: Iterable[FragmentDefinitionNode]) -> tuple[str, ...]:
    """The variables that the document's `@skip` and `@include` name."""
    found: dict[str, None] = {}
    waiting: list[SelectionSetNode] = [operation.selection_set, *(fragment.selection_set for fragment in fragments)]
    while waiting:
        for node in waiting.pop().selections:
            found.update(dict.fromkeys(_named(node)))
            inner = getattr(node, "selection_set", None)
            if inner is not None:
                waiting.append(inner)
    return tuple(found)


def _named(node: SelectionNode) -> Iterable[str]:
    for directive in node.directives or ():
        if directive.name.value in _SWITCHES:
            for argument in directive.arguments or ():
                value: Node = argument.value
                if isinstance(value, VariableNode):
                    yield value.name.value
