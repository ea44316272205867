"""What does the client ask of the thing that a field is about to return?"""

from collections.abc import Iterator, Mapping

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from gql.context import Info


def selects_only(info: Info, names: frozenset[str]) -> bool:
    """Whether nothing but these fields is asked for, by whatever fragments. Worked out once a place of a query."""
    nodes: list[FieldNode] = info._raw_info.field_nodes  # noqa: SLF001 - the parsed form that Strawberry offers is slow
    place = tuple(map(id, nodes))
    known = info.context.selections
    if place not in known:
        fragments = info._raw_info.fragments  # noqa: SLF001 - as above
        known[place] = all(
            inner.name.value in names or inner.name.value == "__typename"
            for node in nodes
            if node.selection_set is not None
            for inner in _fields(node.selection_set, fragments)
        )
    return known[place]


def selects(info: Info, *names: str) -> bool:
    """Whether this way of fields is asked for, by whatever fragments; what `@skip` leaves out counts as asked for."""
    nodes: list[FieldNode] = info._raw_info.field_nodes  # noqa: SLF001 - as above
    known = info.context.selections
    place = (*names, *map(id, nodes))
    if place not in known:
        fragments = info._raw_info.fragments  # noqa: SLF001 - as above
        for name in names:
            nodes = [
                inner
                for node in nodes
                if node.selection_set is not None
                for inner in _fields(node.selection_set, fragments)
                if inner.name.value == name
            ]
        known[place] = bool(nodes)
    return known[place]


def _fields(selected: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[FieldNode]:
    """The fields of a selection set; each fragment is opened once."""
    opened: set[str] = set()
    waiting = [selected]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name not in opened:
                    opened.add(name)
                    waiting.append(fragments[name].selection_set)
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
