"""What does a worker process do from its start to its end?"""

from contextlib import AbstractAsyncContextManager

import structlog

from infra.jobs import run_worker
from services.deps import Deps
from workers.settings import JOB_TIMEOUT_S, MAX_JOBS, PERIODIC, job_functions

log = structlog.get_logger()


async def work(opening: AbstractAsyncContextManager[Deps], redis_url: str) -> None:
    """Runs jobs until SIGTERM or SIGINT, whatever becomes of the servers meanwhile."""
    async with opening as deps:
        log.info("worker_started")
        await run_worker(redis_url, job_functions(deps), PERIODIC, max_jobs=MAX_JOBS, job_timeout_s=JOB_TIMEOUT_S)
    log.info("worker_stopped")
