"""Those who are named in the headers of mail."""

from collections.abc import Iterable
from typing import Any, Self
from uuid import UUID

import strawberry

from gql.context import Info
from gql.schema.hiring import Candidate
from gql.schema.organisation import User, load_user
from gql.schema.scalars import EmailAddress


@strawberry.type(description="An entry of an address header, and whom it stands for.")
class Participant:
    canonical: strawberry.Private[str | None]
    user_key: strawberry.Private[str | None]
    name: str | None = strawberry.field(description="The display name; null where the header has none.")
    address: EmailAddress | None = strawberry.field(description="Null where the header holds no valid address.")
    raw: str = strawberry.field(description="As in the header, decoded.")

    @strawberry.field(description="The colleague whose address it is, as it was when the message was recorded.")
    async def user(self, info: Info) -> User | None:
        return None if self.user_key is None else await load_user(info, UUID(self.user_key))

    @strawberry.field(description="The candidate whose address it is, where the viewer may see them.")
    async def candidate(self, info: Info) -> Candidate | None:
        if self.canonical is None or self.user_key is not None:
            return None
        row = await info.context.loaders.candidates_by_address.load(self.canonical)
        return None if row is None else Candidate.of(row)

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Self:
        return cls(
            canonical=entry["canonical"],
            user_key=entry["user_id"],
            name=entry["name"],
            address=entry["address"],
            raw=entry["raw"],
        )

    @classmethod
    def of_all(cls, entries: Iterable[dict[str, Any]] | None) -> list[Self]:
        return [cls.of(entry) for entry in entries or ()]

    @classmethod
    def of_first(cls, entries: list[dict[str, Any]] | None) -> Self | None:
        return cls.of(entries[0]) if entries else None
