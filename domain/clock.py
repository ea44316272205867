"""What time is it, and where does randomness come from: the only place that asks either."""

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

_held: datetime | None = None


def now() -> datetime:
    """The present as an aware UTC time; the held one inside `hold`."""
    return _held or datetime.now(UTC)  # noqa: TID251 - this is the one place


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def random_bytes(count: int) -> bytes:
    """Unpredictable bytes, fit for keys and ids."""
    return secrets.token_bytes(count)


def jitter(seconds: float, *, spread: float = 0.25) -> float:
    """`seconds` stretched or shrunk by up to `spread`, so that many waiters do not wake together."""
    return seconds * random.uniform(1 - spread, 1 + spread)  # noqa: S311 - spreads load, guards nothing


@contextmanager
def hold(at: datetime) -> Iterator[None]:
    """Stops the clock at `at` for a test."""
    global _held  # noqa: PLW0603 - the one clock
    before, _held = _held, at
    try:
        yield
    finally:
        _held = before
