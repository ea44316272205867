"""The organisation and its users."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry
from strawberry import enum_value

from domain.ids import to_global
from gql.context import Info
from gql.schema.node import Node, PageInfo
from gql.schema.scalars import EmailAddress
from services import mailbox_views
from services.paging import Row

if TYPE_CHECKING:
    from gql.schema.mailboxes import Mailbox


@strawberry.enum(description="What becomes of a message that continues a recorded thread without the candidate.")
class BranchPolicy(Enum):
    PRIVATE = enum_value("PRIVATE", description="A forward or internal branch is recorded for its participants only.")
    SHARED = enum_value(
        "SHARED",
        description="Recorded for all who may see the candidate, unless it branches off a private thread.",
    )
    IGNORE = enum_value("IGNORE", description="Not recorded.")


@strawberry.type(description="A tenant. Nothing of one organisation is seen from another.")
class Organisation(Node):
    name: str = strawberry.field(description="As people call it.")
    internal_domains: list[str] = strawberry.field(
        description="Domains whose addresses are colleagues', never candidates'."
    )
    branch_policy: BranchPolicy = strawberry.field(description="How forwards and internal asides are recorded.")

    @classmethod
    def of(cls, row: Row) -> Self:
        return cls(
            id=strawberry.ID(to_global("organisation", row["id"])),
            name=row["name"],
            internal_domains=row["internal_domains"],
            branch_policy=BranchPolicy(row["branch_policy"]),
        )


@strawberry.enum(description="What a user may see.")
class AccessLevel(Enum):
    ADMIN = enum_value("ADMIN", description="Every candidate, and the organisation's settings.")
    FULL = enum_value("FULL", description="Every candidate.")
    HIRING_TEAM = enum_value(
        "HIRING_TEAM",
        description="Only candidates who applied to a job on whose hiring team the user is.",
    )


@strawberry.type(description="A colleague.")
class User(Node):
    key: strawberry.Private[UUID]
    external_id: str | None = strawberry.field(description="The applicant tracking system's id of the user.")
    name: str = strawberry.field(description="As colleagues know them.")
    email: EmailAddress = strawberry.field(description="The address in the directory.")
    addresses: list[EmailAddress] = strawberry.field(
        description="All the addresses that are this user's, `email` among them."
    )
    access_level: AccessLevel = strawberry.field(description="What the user may see.")
    is_active: bool = strawberry.field(description="False for a user who left: signs in no more.")

    @strawberry.field(description="The user's own mailboxes. Empty for anyone but the viewer themselves.")
    async def mailboxes(self, info: Info) -> list[Annotated["Mailbox", strawberry.lazy("gql.schema.mailboxes")]]:
        from gql.schema.mailboxes import Mailbox  # noqa: PLC0415 - mailboxes name their owner, and users their mailboxes

        if info.context.viewer.user_id != self.key:
            return []
        return [Mailbox.of(row) for row in await mailbox_views.own_mailboxes(await info.context.reader())]

    @classmethod
    def of(cls, row: Row) -> Self:
        others = (address for address in row["addresses"] if address.lower() != row["email"].lower())
        return cls(
            id=strawberry.ID(to_global("user", row["id"])),
            key=row["id"],
            external_id=row["external_id"],
            name=row["name"],
            email=row["email"],
            addresses=[row["email"], *others],
            access_level=AccessLevel(row["access_level"]),
            is_active=row["is_active"],
        )


@strawberry.type(description="A user in a list.")
class UserEdge:
    cursor: str = strawberry.field(description="Where the user stands in the list.")
    node: User = strawberry.field(description="The user.")


@strawberry.type(description="Users, newest first.")
class UserConnection:
    edges: list[UserEdge] = strawberry.field(description="The users of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


async def load_organisation(info: Info, organisation_id: UUID) -> Organisation | None:
    """The organisation, where it is the viewer's own."""
    row = await info.context.loaders.organisations.load(organisation_id)
    return None if row is None else Organisation.of(row)


async def load_user(info: Info, user_id: UUID | None) -> User | None:
    """The user, where there is one in the viewer's organisation."""
    row = None if user_id is None else await info.context.loaders.users.load(user_id)
    return None if row is None else User.of(row)


async def load_users(info: Info, user_ids: list[UUID]) -> list[User]:
    """Those of the users that there are, in this order."""
    rows = await info.context.loaders.users.load_many(user_ids)
    return [User.of(row) for row in rows if row is not None]
