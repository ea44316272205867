"""Which jobs keep mailboxes up to date?"""

from uuid import UUID

from services.deps import Deps
from services.sync import run_mailbox, wake_due


async def sync_mailbox(deps: Deps, *, mailbox_id: str) -> None:
    """Brings one mailbox up to date. Safe to run twice, and beside another run."""
    await run_mailbox(deps, UUID(mailbox_id))


async def wake_due_mailboxes(deps: Deps) -> None:
    """Queues whatever is due: the net beneath every wake-up that was lost."""
    await wake_due(deps)
