"""The exported schema is the committed one, and says of everything what it is."""

from enum import StrEnum
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, build_schema
from graphql.type.introspection import introspection_types

from domain import access, errors, events, mail
from gql.schema.root import DESCRIPTION, schema

COMMITTED = Path(__file__).parents[2] / "schema.graphql"


def test_the_committed_schema_is_what_the_code_says() -> None:
    assert COMMITTED.read_text() == schema.as_str().rstrip("\n") + "\n", "run `make schema` and review the difference"


SAME = [
    ("ErrorCode", errors.ErrorCode),
    ("AccessLevel", access.AccessLevel),
    ("ThreadVisibility", access.Visibility),
    ("MessageKind", mail.MessageKind),
    ("MessageOrigin", events.Origin),
]


@pytest.mark.parametrize(("name", "ours"), SAME)
def test_an_enumeration_has_the_values_that_the_code_knows(name: str, ours: type[StrEnum]) -> None:
    kind = build_schema(COMMITTED.read_text()).type_map[name]
    assert isinstance(kind, GraphQLEnumType)
    assert list(kind.values) == [value.name for value in ours]


def _described() -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for kind in build_schema(COMMITTED.read_text()).type_map.values():
        if kind.name in introspection_types or kind.name in ("String", "Int", "Boolean", "ID", "Float"):
            continue
        found.append((kind.name, kind.description))
        if isinstance(kind, GraphQLEnumType):
            found += [(f"{kind.name}.{name}", value.description) for name, value in kind.values.items()]
        elif isinstance(kind, GraphQLInputObjectType):
            found += [(f"{kind.name}.{name}", field.description) for name, field in kind.fields.items()]
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in kind.fields.items():
                found.append((f"{kind.name}.{name}", field.description))
                found += [(f"{kind.name}.{name}({argument})", it.description) for argument, it in field.args.items()]
    return found


def test_what_holds_everywhere_is_said_of_the_whole_schema() -> None:
    assert schema._schema.description == DESCRIPTION
    assert build_schema(COMMITTED.read_text()).description == DESCRIPTION.rstrip("\n")


def test_everything_in_the_schema_is_described() -> None:
    assert [name for name, description in _described() if not description] == []
