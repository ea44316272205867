"""Which jobs throw away what has had its time?"""

import structlog

from services import blob_claims, upkeep
from services.deps import Deps

log = structlog.get_logger()


async def expire_events(deps: Deps) -> None:
    """Deletes events that nobody can resume from any more."""
    count = await upkeep.expire_events(deps)
    if count:
        log.info("events_expired", count=count)


async def sweep_blobs(deps: Deps) -> None:
    """Throws away files that nothing names."""
    count = await blob_claims.sweep(deps)
    if count:
        log.info("blobs_swept", count=count)
