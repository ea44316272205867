"""How much may one document ask for?

One walk over the document, each fragment looked at once however often it is spread, so that the check of a hostile
document costs no more than reading it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

from gql.errors import QUERY_TOO_COMPLEX
from gql.pagination import DEFAULT_SIZE, MAX_SIZE

MAX_TOKENS = 2_000
"""In a document; the introspection query of GraphiQL has some 400."""
MAX_DEPTH = 15
"""Of fields within fields; the introspection query has 13."""
MAX_FIELDS = 1_000
"""In an operation once its fragments are put in their places."""
MAX_ALIASES = 50
"""In an operation, likewise: an alias asks for the same thing again."""
MAX_COST = 250_000
"""Fields that an answer can hold if every page in it is full. 100 threads with 100 messages each of ten fields have
100,000."""

_PAGED = {"threads", "messages", "candidates", "users", "jobs", "nodes"}


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    cost: int = 0


class SizeLimit(ValidationRule):
    """Refuses operations that are too deep or too large. Cycles of fragments are another rule's to tell."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        for definition in context.document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._judge(definition, _Measure(_fragments(context.document)).of(definition.selection_set))

    def _judge(self, operation: OperationDefinitionNode, size: _Size) -> None:
        limits = (
            (size.depth, MAX_DEPTH, "levels deep"),
            (size.fields, MAX_FIELDS, "fields large"),
            (size.aliases, MAX_ALIASES, "aliases large"),
            (size.cost, MAX_COST, "fields large with all of its pages full"),
        )
        for found, most, what in limits:
            if found > most:
                error = GraphQLError(
                    f"An operation may be {most} {what} at most.",
                    operation,
                    extensions={"code": QUERY_TOO_COMPLEX},
                )
                self.report_error(error)


class _Measure:
    """Sizes of selections, each fragment's worked out once. Numbers stop growing soon after the limits."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, _Size] = {}

    def of(self, selected: SelectionSetNode) -> _Size:
        depth = fields = aliases = cost = 0
        for node in selected.selections:
            if isinstance(node, FieldNode):
                within = self._of_field(node)
            elif isinstance(node, FragmentSpreadNode):
                within = self._of_fragment(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                within = self.of(node.selection_set)
            else:
                continue
            depth, fields, aliases = max(depth, within.depth), fields + within.fields, aliases + within.aliases
            cost += within.cost
        return _Size(
            min(depth, MAX_DEPTH + 1),
            min(fields, MAX_FIELDS + 1),
            min(aliases, MAX_ALIASES + 1),
            min(cost, MAX_COST + 1),
        )

    def _of_field(self, node: FieldNode) -> _Size:
        within = self.of(node.selection_set) if node.selection_set is not None else _Size()
        cost = 1 + within.cost * (_page_size(node) if node.name.value in _PAGED else 1)
        return _Size(within.depth + 1, within.fields + 1, within.aliases + (node.alias is not None), cost)

    def _of_fragment(self, name: str) -> _Size:
        if name not in self._known:
            self._known[name] = _Size()  # what a fragment that spreads itself finds
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._known[name] = self.of(fragment.selection_set)
        return self._known[name]


def _page_size(node: FieldNode) -> int:
    """The most that the page can hold: what is written there, or what a variable may say."""
    sizes = [argument.value for argument in node.arguments or () if argument.name.value in ("first", "last", "ids")]
    if not sizes:
        return DEFAULT_SIZE
    written = sizes[0]
    if isinstance(written, IntValueNode) and len(written.value) <= len(str(MAX_SIZE)):
        return max(0, min(int(written.value), MAX_SIZE))
    return MAX_SIZE


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
