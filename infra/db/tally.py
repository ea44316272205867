"""How many SQL statements did an operation or a job send, and how long did they take?

Whoever wants to know begins a tally; every statement that its task sends, or a task started by it, is counted.
"""

from contextvars import ContextVar
from types import TracebackType

from domain import clock
from infra.metrics import STATEMENT_SECONDS


class Tally:
    """Statements so far, and the seconds that their answers took, added up (some may have run side by side)."""

    __slots__ = ("seconds", "statements")

    def __init__(self) -> None:
        self.statements = 0
        self.seconds = 0.0


_current: ContextVar[Tally | None] = ContextVar("tally", default=None)


def begin_tally() -> Tally:
    """Counts the statements of this task, and of those it starts, from now on; its earlier tally is left behind."""
    tally = Tally()
    _current.set(tally)
    return tally


class Statement:
    """Times one statement, for the tally and for the metrics."""

    __slots__ = ("_started",)

    def __enter__(self) -> None:
        self._started = clock.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        took = clock.monotonic() - self._started
        STATEMENT_SECONDS.observe(took)
        tally = _current.get()
        if tally is not None:
            tally.statements += 1
            tally.seconds += took
