"""Scalars of the API, and how each is read and written."""

from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

Cursor = NewType("Cursor", str)
EmailAddress = NewType("EmailAddress", str)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError("This is written as a string.")
    return value


def _write_moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _read_moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        raise GraphQLError("This is not a time; one looks like 2027-01-31T09:30:00Z.") from None
    if moment.tzinfo is None:
        raise GraphQLError("A time names its offset from UTC, as in 2027-01-31T09:30:00Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise GraphQLError("This time is out of range.") from None


SCALARS: dict[object, ScalarDefinition] = {
    Cursor: strawberry.scalar(
        name="Cursor",
        description="A position in the viewer's event stream. Opaque; later positions never sort before earlier ones.",
        serialize=str,
        parse_value=_text,
    ),
    EmailAddress: strawberry.scalar(
        name="EmailAddress",
        description="addr-spec of RFC 5322, as `name@example.org`; compared without regard to case, IDNA-normalised.",
        serialize=str,
        parse_value=_text,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment as RFC 3339 has it, in UTC: `2027-01-31T09:30:00Z`.",
        serialize=_write_moment,
        parse_value=_read_moment,
    ),
}
"""For the schema's configuration."""
