"""When is a leaf value plainly right for its type, and what is written for it?"""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)

from gql.execution.gaps import Surprise

PLAIN = frozenset({str, int, float, bool, datetime, date, time, Decimal, UUID, list, dict})
"""Of these classes a value is neither to be awaited nor an exception, so that a scalar may be asked to write it."""


class Leaf(NamedTuple):
    """A leaf type as code.

    Attributes:
        refusal: an expression that is true of a value `{v}` that is not plainly right.
        written: an expression for what is written.
        names: what the expressions refer to.
    """

    refusal: str
    written: str = "{v}"
    names: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default, which nobody changes


_TEXT = Leaf("{v}.__class__ is not str")
_KNOWN: dict[GraphQLLeafType, Leaf] = {
    GraphQLString: _TEXT,
    GraphQLID: _TEXT,
    GraphQLBoolean: Leaf("{v}.__class__ is not bool"),
    GraphQLInt: Leaf(f"{{v}}.__class__ is not int or not {GRAPHQL_MIN_INT} <= {{v}} <= {GRAPHQL_MAX_INT}"),
}


def leaf(kind: GraphQLLeafType, number: int) -> Leaf:
    """The type as code; `number` makes its names unique."""
    if kind in _KNOWN:
        return _KNOWN[kind]
    if isinstance(kind, GraphQLEnumType):
        return _enum(kind, number) or _scalar(kind, number)
    if kind.coerce_output_value is str:
        return _TEXT
    return _scalar(kind, number)


def _enum(kind: GraphQLEnumType, number: int) -> Leaf | None:
    """By the members of the class that Strawberry made it of."""
    members = getattr(kind, "wrapped_cls", None)
    if not (isinstance(members, type) and issubclass(members, Enum)):
        return None
    written = {member: kind.coerce_output_value(member) for member in members}
    return Leaf(
        f"{{v}}.__class__ is not members_{number}",
        f"written_{number}[{{v}}]",
        {f"members_{number}": members, f"written_{number}": written},
    )


def _scalar(kind: GraphQLLeafType, number: int) -> Leaf:
    return Leaf(
        "{v}.__class__ not in PLAIN",
        f"write_{number}({{v}})",
        {f"write_{number}": _something(kind.coerce_output_value), "PLAIN": PLAIN},
    )


def _something(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What is written is never null."""

    def checked(value: Any) -> Any:
        written = write(value)
        if written is None or written is Undefined:
            raise Surprise
        return written

    return checked
