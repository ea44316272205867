"""How a subscriber follows what changes."""

from gql.resolvers.following.subscription import events

__all__ = ["events"]
