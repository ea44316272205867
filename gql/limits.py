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
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

from gql.errors import QUERY_TOO_COMPLEX

MAX_TOKENS = 2_000
"""In a document; the introspection query of GraphiQL has some 400."""
MAX_DEPTH = 15
"""Of fields within fields; the introspection query has 13."""
MAX_FIELDS = 1_000
"""In an operation once its fragments are put in their places."""
MAX_ALIASES = 50
"""In an operation, likewise: an alias asks for the same thing again."""


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    fields: int = 0
    aliases: int = 0


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
        depth = fields = aliases = 0
        for node in selected.selections:
            if isinstance(node, FieldNode):
                within = self.of(node.selection_set) if node.selection_set is not None else _Size()
                within = _Size(within.depth + 1, within.fields + 1, within.aliases + (node.alias is not None))
            elif isinstance(node, FragmentSpreadNode):
                within = self._of_fragment(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                within = self.of(node.selection_set)
            else:
                continue
            depth, fields, aliases = max(depth, within.depth), fields + within.fields, aliases + within.aliases
        return _Size(min(depth, MAX_DEPTH + 1), min(fields, MAX_FIELDS + 1), min(aliases, MAX_ALIASES + 1))

    def _of_fragment(self, name: str) -> _Size:
        if name not in self._known:
            self._known[name] = _Size()  # what a fragment that spreads itself finds
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._known[name] = self.of(fragment.selection_set)
        return self._known[name]


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
