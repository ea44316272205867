"""What the resolvers of a schema might answer, good and bad, at random: for tests of what executes operations."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    is_abstract_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from gql.execution.at_hand import AT_HAND, NOT_READ

DEFINITION = "strawberry-definition"
LONGEST_LIST = 3
NULLS = 0.15
AT_HAND_OFTEN = 0.5
_LEAVES: dict[str, Callable[[Random], Any]] = {
    "Boolean": lambda chance: chance.random() < 0.5,
    "DateTime": lambda chance: datetime.fromtimestamp(chance.randrange(2**31), UTC),
    "Float": lambda chance: chance.random(),
    "Int": lambda chance: chance.randrange(-5, 5),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Later:
    """What is answered after some turns of the loop. May be awaited twice, or never: a coroutine would complain."""

    turns: int
    value: Any
    is_raised: bool = False

    def __await__(self) -> Iterator[Any]:
        for _ in range(self.turns):
            yield from asyncio.sleep(0).__await__()
        if self.is_raised:
            raise self.value
        return self.value


class Stranger:
    """Of no type."""


class Answers:
    """All that is answered to one operation: the same answer to the same question, however often it is asked.

    Args:
        oddity: how likely a value is not what its type says.
        is_async: whether resolvers may take their time.
    """

    def __init__(self, schema: GraphQLSchema, seed: int, oddity: float, *, is_async: bool) -> None:
        self._schema = schema
        self._seed = seed
        self._chance = Random(seed)
        self._oddity = oddity
        self._is_async = is_async
        self._known: dict[Any, Any] = {}
        self._sources: list[Any] = []

    def resolve(self, source: Any, parent: str, name: str, field: GraphQLField, arguments: dict[str, Any]) -> Any:
        """What the resolver of a field answers."""
        question = (id(source), parent, name, repr(sorted(arguments.items())))
        if question not in self._known:
            self._sources.append(source)  # as long as it lives, its id is its own
            self._known[question] = self._answer(field.type)
        turns, is_raised, value = self._known[question]
        if turns is not None:
            return Later(turns, value, is_raised)
        if is_raised:
            raise value
        return value

    def _answer(self, kind: GraphQLOutputType) -> tuple[int | None, bool, Any]:
        turns = self._chance.randrange(3) if self._is_async and self._chance.random() < 0.5 else None
        if self._chance.random() < self._oddity:
            return turns, True, LookupError("a resolver failed")
        return turns, False, self._value(kind)

    def _value(self, kind: GraphQLOutputType) -> Any:
        if self._chance.random() < self._oddity:
            return self._odd()
        if is_non_null_type(kind):
            return self._value(kind.of_type)
        if self._chance.random() < NULLS:
            return None
        if is_list_type(kind):
            items = [self._value(kind.of_type) for _ in range(self._chance.randrange(LONGEST_LIST + 1))]
            return tuple(items) if self._chance.random() < self._oddity else items
        return self._of_named(kind)

    def _of_named(self, kind: GraphQLOutputType) -> Any:
        if is_abstract_type(kind):
            return self._object(self._chance.choice(self._schema.get_possible_types(kind)))
        if is_object_type(kind):
            return self._object(kind)
        if is_enum_type(kind):
            return self._chance.choice(list(kind.wrapped_cls))  # type: ignore[attr-defined]  # Strawberry's enum types
        return _LEAVES.get(str(kind), lambda chance: f"text {chance.randrange(9)}")(self._chance)

    def _odd(self) -> Any:
        return self._chance.choice(
            (
                None,
                3,
                2**40,
                1.5,
                True,
                "x",
                [],
                [None],
                {},
                Stranger(),
                LookupError("a value failed"),
                Later(1, "x"),
                object,
            )
        )

    def _object(self, kind: GraphQLObjectType) -> Any:
        definition: StrawberryObjectDefinition = kind.extensions[DEFINITION]
        made = object.__new__(definition.origin)
        for each in dataclasses.fields(definition.origin):
            object.__setattr__(made, each.name, None)
        for name, field in kind.fields.items():
            described: StrawberryField = field.extensions[DEFINITION]
            at_hand = described.metadata.get(AT_HAND)
            if described.is_basic_field:
                self._give(made, described.python_name, field)
            elif at_hand is not None and at_hand.only is None:
                self._give_at_hand(made, at_hand.attribute, (kind.name, name), field)
        return made

    def _give_at_hand(self, made: Any, attribute: str, named: tuple[str, str], field: GraphQLField) -> None:
        """The resolver's own answer, or none."""
        object.__setattr__(made, attribute, NOT_READ)
        if self._chance.random() < AT_HAND_OFTEN:
            value = self._value(field.type)
            object.__setattr__(made, attribute, value)
            self._sources.append(made)
            self._known[id(made), *named, "[]"] = None, False, value

    def _give(self, made: Any, name: str, field: GraphQLField) -> None:
        if self._chance.random() < self._oddity / 10:
            vars(made).pop(name, None)
        else:
            object.__setattr__(made, name, self._value(field.type))


def answered_by_context(schema: GraphQLSchema) -> GraphQLSchema:
    """The same schema, whose fields with resolvers ask the `Answers` that an operation's context is."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and DEFINITION in kind.extensions:
            for name, field in kind.fields.items():
                if not field.extensions[DEFINITION].is_basic_field:
                    field.resolve = _asking(kind.name, name, field)
    return schema


def _asking(parent: str, name: str, field: GraphQLField) -> Callable[..., Any]:
    def resolve(source: Any, info: GraphQLResolveInfo[Answers], **arguments: Any) -> Any:
        return info.context.resolve(source, parent, name, field, arguments)

    return resolve
