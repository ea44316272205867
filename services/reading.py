"""How a request reads: one viewer, one moment of the database, as few statements as it takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.access import Viewer
from infra.db import Snapshot
from services.deps import Deps


@dataclass(frozen=True, slots=True)
class Reader:
    """A viewer at one moment. Every read of candidates, threads, messages and files takes one: it is the gate."""

    viewer: Viewer
    db: Snapshot

    @property
    def principals(self) -> list[object]:
        """As a parameter of SQL; empty for a service token, which therefore reads no mail."""
        return list(self.viewer.principals)


@asynccontextmanager
async def reading(deps: Deps, viewer: Viewer) -> AsyncIterator[Reader]:
    """One operation's reads, all of the same moment: `eventCursor` and the lists beside it agree."""
    async with deps.db.snapshot() as snapshot:
        yield Reader(viewer, snapshot)
