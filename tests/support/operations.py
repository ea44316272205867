"""Operations that a schema allows, made at random: for tests of what executes them."""

from collections.abc import Iterator
from itertools import count

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)
from hypothesis import strategies as st

DEEPEST = 6
MOST_FIELDS = 5
SWITCHES = ("s0", "s1", "s2")
"""The Boolean variables that directives of the operations name."""
_HEADER = f"({', '.join(f'${name}: Boolean!' for name in SWITCHES)}, $n: Int)"
_LITERALS = {"ID": '"thread_1"', "String": '"x"', "Int": "2", "Boolean": "true", "DateTime": '"2027-01-31T09:30:00Z"'}


class _Writer:
    """One operation, and the fragments that it comes to spread."""

    def __init__(self, draw: st.DrawFn, schema: GraphQLSchema) -> None:
        self._draw = draw
        self._schema = schema
        self._numbers = count()
        self._fragments: list[tuple[str, str]] = []
        self.definitions: list[str] = []

    def selection(self, kind: GraphQLNamedType, depth: int) -> str:
        parts = [self._part(kind, depth) for _ in range(self._draw(st.integers(1, MOST_FIELDS)))]
        return "{ " + " ".join(parts) + " }"

    def _part(self, kind: GraphQLNamedType, depth: int) -> str:
        shape = self._draw(st.integers(0, 11))
        if shape == 0:
            return f"{self._alias()}__typename{self._switch()}"
        if shape == 1 and depth < DEEPEST:
            condition = self._narrower(kind)
            return f"... on {condition.name}{self._switch()} {self.selection(condition, depth + 1)}"
        if shape == 2 and depth < DEEPEST:
            return f"...{self._switch()} {self.selection(kind, depth + 1)}"
        if shape == 3:
            return f"...{self._spread(kind, depth)}{self._switch()}"
        return self._field(kind, depth)

    def _field(self, kind: GraphQLNamedType, depth: int) -> str:
        if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            condition = self._narrower(kind)
            return f"... on {condition.name} {self.selection(condition, depth + 1)}"
        offered = [
            (name, field)
            for name, field in kind.fields.items()
            if depth < DEEPEST or not is_composite_type(get_named_type(field.type))
        ]
        if not offered:
            return "__typename"
        name, field = self._draw(st.sampled_from(offered))
        inner = get_named_type(field.type)
        selected = self.selection(inner, depth + 1) if is_composite_type(inner) else ""
        return f"{self._alias()}{name}{self._arguments(field)}{self._switch()} {selected}"

    def _spread(self, kind: GraphQLNamedType, depth: int) -> str:
        """The name of a fragment that fits; one that is there already where there is."""
        fitting = [name for name, condition in self._fragments if condition == kind.name]
        if fitting and self._draw(st.booleans()):
            return self._draw(st.sampled_from(fitting))
        name, condition = f"F{next(self._numbers)}", self._narrower(kind)
        content = self.selection(condition, max(depth + 1, DEEPEST - 1))
        self.definitions.append(f"fragment {name} on {condition.name} {content}")
        self._fragments.append((name, condition.name))  # from now on: a fragment does not come to spread itself
        return name

    def _narrower(self, kind: GraphQLNamedType) -> GraphQLNamedType:
        """The type, or one that an object of it may be of."""
        related: list[GraphQLNamedType] = [kind]
        if is_abstract_type(kind):
            related = [*([] if isinstance(kind, GraphQLUnionType) else [kind]), *self._schema.get_possible_types(kind)]
        elif isinstance(kind, GraphQLObjectType):
            related += kind.interfaces
        return self._draw(st.sampled_from(related))

    def _alias(self) -> str:
        return f"a{next(self._numbers)}: " if self._draw(st.integers(0, 3)) == 0 else ""

    def _switch(self) -> str:
        if self._draw(st.integers(0, 5)):
            return ""
        directive = self._draw(st.sampled_from(("skip", "include")))
        return (
            f" @{directive}(if: {self._draw(st.sampled_from((*(f'${name}' for name in SWITCHES), 'true', 'false')))})"
        )

    def _arguments(self, field: GraphQLField) -> str:
        """The same ones for the same field, so that two of it can be merged."""
        given = [f"{name}: {value}" for name, argument in field.args.items() for value in _values(argument)]
        return f"({', '.join(given)})" if given else ""


@st.composite
def operations(draw: st.DrawFn, schema: GraphQLSchema, root: GraphQLObjectType) -> str:
    """A document with one operation on `root`, executable if not always valid: answers may differ in their shapes."""
    writer = _Writer(draw, schema)
    kind = "subscription" if root is schema.subscription_type else "query"
    selection = writer.selection(root, 0)
    return "\n".join([f"{kind} Generated{_HEADER} {selection}", *writer.definitions])


def _values(argument: GraphQLArgument) -> Iterator[str]:
    named = get_named_type(argument.type)
    if named.name == "Int":
        yield "$n"
    elif is_non_null_type(argument.type) and not is_input_object_type(named):
        value = next(iter(named.values)) if is_enum_type(named) else _LITERALS[named.name]
        yield f"[{value}]" if is_list_type(argument.type.of_type) else value
