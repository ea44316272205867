"""What does a watch process do from its start to its end?"""

import asyncio
import signal
from contextlib import AbstractAsyncContextManager, suppress

import structlog

from services.deps import Deps
from services.watch import run_watch

log = structlog.get_logger()


async def watch(opening: AbstractAsyncContextManager[Deps]) -> None:
    """Listens to mailboxes until SIGTERM or SIGINT, then leaves them to others."""
    async with opening as deps, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(run_watch(deps))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, watching.cancel)
        log.info("watch_started")
        with suppress(asyncio.CancelledError):
            await watching
    log.info("watch_stopped")
