"""How many connections may one user hold open at once?"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from domain.errors import AppError

MOST_CONNECTIONS_PER_USER = 64
"""Of one process: windows, devices, and those that were left and have not been noticed yet."""


class NoSeat(AppError):
    """The user has too many connections. Closing one helps."""


class Seats:
    """The connections of this process, by whose they are."""

    def __init__(self, most: int = MOST_CONNECTIONS_PER_USER) -> None:
        self._most = most
        self._taken: Counter[tuple[UUID, str | None]] = Counter()

    @contextmanager
    def taken(self, organisation_id: UUID, external_id: str | None) -> Iterator[None]:
        """A place for one connection of a user, or of an organisation's services, until the block is left.

        Raises:
            NoSeat: none is left.
        """
        whose = organisation_id, external_id
        if self._taken[whose] >= self._most:
            raise NoSeat("Too many connections of this user are open.")
        self._taken[whose] += 1
        try:
            yield
        finally:
            self._taken[whose] -= 1
            if not self._taken[whose]:
                del self._taken[whose]
