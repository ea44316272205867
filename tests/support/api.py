"""A client of the API that asks the schema directly, as anybody it is told to be, and counts statements."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.access import Viewer
from domain.ids import OrganisationId
from gql.context import Request
from gql.schema.root import schema
from infra.db import Database, Snapshot
from services.deps import Deps
from services.stream import EventStream
from services.viewers import service_viewer, viewers_by_id
from tests.support.factories import Colleague, Firm


class CountingDatabase:
    """The database, which remembers the snapshots it gave out."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.snapshots: list[Snapshot] = []
        self.open = 0

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        async with self._db.snapshot() as snapshot:
            self.snapshots.append(snapshot)
            self.open += 1
            try:
                yield snapshot
            finally:
                self.open -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@dataclass(frozen=True)
class Answer:
    """What came back, and how many statements and snapshots it took."""

    data: dict[str, Any] | None
    errors: list[Any]
    statements: int
    snapshots: int

    @property
    def codes(self) -> list[str]:
        return [error.extensions["code"] for error in self.errors]


class API:
    def __init__(self, deps: Deps, stream: EventStream) -> None:
        self.deps = deps
        self.stream = stream

    async def viewer(self, who: Colleague, firm: Firm) -> Viewer:
        async with self.deps.db.snapshot() as snapshot:
            return (await viewers_by_id(snapshot, OrganisationId(firm.id), [who.id]))[who.id]

    async def service(self, organisation_id: UUID) -> Viewer:
        async with self.deps.db.snapshot() as snapshot:
            return await service_viewer(snapshot, organisation_id)

    async def ask(self, viewer: Viewer | None, query: str, **variables: Any) -> Answer:
        """Asks, whatever comes back."""
        counting = CountingDatabase(self.deps.db)
        deps = dataclasses.replace(self.deps, db=counting)  # type: ignore[arg-type]  # it is one in all but name
        request = Request(deps=deps, viewer=viewer, stream=self.stream)
        result = await schema.execute(query, variable_values=variables, context_value=request)
        assert counting.open == 0, "a snapshot outlived its operation"
        return Answer(
            result.data,
            list(result.errors or ()),
            sum(snapshot.count for snapshot in counting.snapshots),
            len(counting.snapshots),
        )

    async def get(self, viewer: Viewer | None, query: str, **variables: Any) -> dict[str, Any]:
        """Asks for something that must be answered without error."""
        answer = await self.ask(viewer, query, **variables)
        assert not answer.errors, answer.errors
        assert answer.data is not None
        return answer.data

    @asynccontextmanager
    async def following(self, viewer: Viewer | None, query: str, **variables: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """The results of a subscription, as they come."""
        request = Request(deps=self.deps, viewer=viewer, stream=self.stream)
        results = await schema.subscribe(query, variable_values=variables, context_value=request)
        try:
            yield results
        finally:
            await results.aclose()
