"""A browser for each test that renders mail; skipped aloud where none is installed."""

from collections.abc import AsyncIterator

import pytest

from tests.browser.chromium import BrowserUnavailable, Chromium, chromium


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    try:
        async with chromium() as started:
            yield started
    except BrowserUnavailable as reason:
        pytest.skip(str(reason))
