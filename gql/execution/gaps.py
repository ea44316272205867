"""What of a selection is left to graphql-core: fields with resolvers, and the places in the data that wait for them."""

from typing import Any, NamedTuple, TypeAlias

from graphql import GraphQLObjectType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path


class Surprise(Exception):
    """A value is not what it plainly is for its type."""


class ResolvedField(NamedTuple):
    """A field whose value a resolver gives.

    Attributes:
        name: in the answer.
    """

    name: str
    parent_type: GraphQLObjectType
    details: FieldDetailsList


class Boundary(NamedTuple):
    """The nearest place around a field that may be null: an error in a field that may not ends there."""

    container: Any
    key: str | int
    path: Path


class Gap(NamedTuple):
    """A place in the data that waits for a field with a resolver.

    Attributes:
        data: the object in the answer, and `source` what it is made of.
        path: the object's.
        boundary: None where it lies outside of what was compiled.
    """

    field: ResolvedField
    data: dict[str, Any]
    source: Any
    path: Path
    boundary: Boundary | None


Gaps: TypeAlias = list[Gap]
