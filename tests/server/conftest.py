"""A served organisation with one recruiter."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from domain.access import Viewer
from services.deps import Deps
from tests.support.office import Office
from tests.support.site import Site, served

RITA = "rita@acme.example"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a test of the server starts from."""

    site: Site
    office: Office
    rita: Viewer

    @property
    def token(self) -> str:
        return self.site.token(self.office.organisation_id, RITA)


@pytest.fixture
async def scene(deps: Deps) -> AsyncIterator[Scene]:
    office = await Office.open(deps)
    rita = await office.user(RITA)
    async with served(deps) as site:
        yield Scene(site, office, rita)
