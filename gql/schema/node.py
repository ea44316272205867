"""What every named thing and every page has in common."""

import strawberry


@strawberry.interface(description="Something with an id of its own, which `node` and `nodes` find.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque, and unique among all things of the server.")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first entry; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last entry; null on an empty page.")
