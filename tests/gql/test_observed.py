"""Whether each operation is counted once, by how it ended."""

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import generate_latest

from domain.access import Viewer
from gql.observed import NOT_BEGUN
from infra.metrics import REGISTRY
from services.deps import Deps
from tests.support.api import API
from tests.support.factories import Firm
from tests.support.metrics import Scrape

KINDS = ("query", "mutation", "subscription", "unknown")
OUTCOMES = ("ok", "refused", "failed", "cancelled")
Counts = dict[tuple[str, str], float]


def counts() -> Counts:
    scrape = Scrape(generate_latest(REGISTRY).decode())
    name = "postroom_operations_total"
    return {(k, o): scrape.value(name, kind=k, outcome=o) or 0 for k in KINDS for o in OUTCOMES}


def risen(before: Counts) -> Counts:
    return {key: rise for key, value in counts().items() if (rise := value - before[key])}


@pytest.fixture
async def viewer(api: API, firm: Firm) -> Viewer:
    return await api.viewer(await firm.colleague("Rita"), firm)


@pytest.mark.parametrize(
    ("query", "ended"),
    [
        ("{ viewer { id } }", ("query", "ok")),
        ("{ nothing }", ("query", "refused")),
        ("{ node(id: ", ("unknown", "refused")),
        ("mutation M { nothing }", ("mutation", "refused")),
        ("fragment F on Query { __typename }", ("unknown", "refused")),
    ],
)
async def test_an_operation_is_counted_by_its_kind_and_outcome(
    api: API, viewer: Viewer, query: str, ended: tuple[str, str]
) -> None:
    before = counts()
    with suppress(*NOT_BEGUN):  # what is no operation at all is raised
        await api.ask(viewer, query)
    assert risen(before) == {ended: 1}


async def test_a_failure_of_ours_is_counted_as_one(api: API, viewer: Viewer, firm: Firm) -> None:
    before = counts()
    await firm.do("ALTER TABLE thread RENAME TO thread_elsewhere")
    answer = await api.ask(viewer, "{ threads { edges { node { id } } } }")
    assert answer.codes == ["INTERNAL"]
    assert risen(before) == {("query", "failed"): 1}


async def test_an_operation_whose_client_leaves_is_neither_answered_nor_failed(
    api: API, viewer: Viewer, deps: Deps, firm: Firm
) -> None:
    before = counts()
    async with deps.db.transaction() as tx:
        await tx.execute("LOCK TABLE thread")
        asking = asyncio.create_task(api.ask(viewer, "{ threads { edges { node { id } } } }"))

        async def is_waiting() -> bool:
            return bool(await tx.fetch_value("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        async with asyncio.timeout(10):
            while not await is_waiting():
                await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
    assert risen(before) == {("query", "cancelled"): 1}
