"""Which jobs are there, how often do the periodic ones run, and how much runs at a time?"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from infra.jobs import JobFunction, Periodic
from services.deps import Deps
from workers.sync import sync_mailbox, wake_due_mailboxes
from workers.upkeep import expire_events, sweep_blobs

MAX_JOBS = 20
"""Most of a sync is waiting for a mail server; the parsing is done by processes beside (infra.parse_pool)."""
JOB_TIMEOUT_S = 600.0
"""Longer than a sync's own budget and its longest single fetch, so that it ends by itself and in good order."""

_JOBS: Mapping[str, Callable[..., Awaitable[None]]] = {
    "sync_mailbox": sync_mailbox,
    "wake_due_mailboxes": wake_due_mailboxes,
    "expire_events": expire_events,
    "sweep_blobs": sweep_blobs,
}

PERIODIC = (
    Periodic("wake_due_mailboxes", every_s=5),
    Periodic("expire_events", every_s=3600),
    Periodic("sweep_blobs", every_s=600),
)


def job_functions(deps: Deps) -> dict[str, JobFunction]:
    """The jobs by the names they are queued under."""
    return {name: partial(run, deps) for name, run in _JOBS.items()}
