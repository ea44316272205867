"""How many times a second may something be done, for each of those it is done to?"""

import asyncio

from domain import clock


class Pace:
    """Lets callers through one after the other, evenly, separately for each key. For one process."""

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1 / per_second
        self._next: dict[str, float] = {}

    async def turn(self, key: str) -> None:
        """Returns when it is the caller's turn; those who give up while waiting leave their place empty."""
        now = clock.monotonic()
        if len(self._next) > _MANY:
            self._next = {key: at for key, at in self._next.items() if at > now}
        at = max(self._next.get(key, now), now)
        self._next[key] = at + self._gap_s
        await asyncio.sleep(at - now)


_MANY = 1_000
"""Keys, after which those whose time is past are forgotten."""
