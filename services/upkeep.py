"""What is thrown away when its time is over."""

from datetime import timedelta

from domain import clock
from services.deps import Deps

EVENTS_KEPT = timedelta(days=7)
"""A client that was away for longer starts anew (`StreamReset`)."""
_AT_ONCE = 10_000


async def expire_events(deps: Deps) -> int:
    """Deletes events that nobody can resume from any more; how many. Running it again does no harm."""
    oldest = int((clock.now() - EVENTS_KEPT).timestamp() * 1_000_000)
    deleted = 0
    while True:
        async with deps.db.transaction() as tx:
            count = await tx.execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE position < $1 LIMIT $2)", oldest, _AT_ONCE
            )
        deleted += count
        if count < _AT_ONCE:
            return deleted
