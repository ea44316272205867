"""An operation gives back what it took, however it ends."""

import asyncio

import pytest

from domain.access import Viewer
from tests.support.api import API
from tests.support.factories import Firm

POOL = 10  # connections that the pool of tests/support/deps holds


@pytest.fixture
async def viewer(api: API, firm: Firm) -> Viewer:
    rita = await firm.colleague("Rita")
    ana = await firm.applicant("Ana")
    await firm.threads(3, ana, to=[rita])
    return await api.viewer(rita, firm)


FAILS_WHILE_OTHERS_READ = """{ candidates { edges { node { emails { address } jobs { id } unreadThreadCount } } }
  threads { edges { node { readers { reason } messages { edges { node { text } } } } } }
  failing: threads(first: -1) { edges { cursor } } users { edges { node { id } } } }"""
WORKS = "{ threads { edges { node { id messages { edges { node { id } } } } } } users { edges { cursor } } }"


async def test_a_field_that_fails_leaves_the_others_and_the_pool_in_order(api: API, viewer: Viewer) -> None:
    for _ in range(3 * POOL):
        answer = await api.ask(viewer, FAILS_WHILE_OTHERS_READ)
        assert answer.codes == ["BAD_USER_INPUT"]
    await api.get(viewer, WORKS)


# graphql-core drops the coroutines of fields whose turn had not come, unawaited: no harm, but Python remarks on it.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_operation_that_is_cancelled_gives_its_connection_back(api: API, viewer: Viewer) -> None:
    for turns in range(4 * POOL):
        asked = asyncio.create_task(api.ask(viewer, WORKS))
        for _ in range(turns):
            await asyncio.sleep(0)
        had_ended = not asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled() or had_ended
    async with asyncio.timeout(20):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(POOL):
                tasks.create_task(api.get(viewer, WORKS))


async def test_many_operations_at_once_share_the_pool(api: API, viewer: Viewer) -> None:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(api.get(viewer, WORKS)) for _ in range(5 * POOL)]
    assert len({str(task.result()) for task in asked}) == 1
