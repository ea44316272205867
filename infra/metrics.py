"""What does a process count and time of itself, and under which names does Prometheus find it?

Every label has few values, all of them written in the code: nothing that a client or a mail server sends becomes one.
So neither addresses nor ids nor the names of operations are here, and the number of series does not grow.

What is true of the installation as a whole (`INSTALLATION`) is shown by processes that have looked, and by nobody else.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.errors import ErrorCode
from domain.events import EventKind, Origin, position_now

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads

REGISTRY = CollectorRegistry()
"""All that this process offers; no library's defaults beside it."""
ProcessCollector(registry=REGISTRY)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_COUNTS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)

ANY: Iterable[str] = ()
"""Values of a label that come as they are used, where code elsewhere holds the list of them."""


def begin_with(metric: Counter | Histogram, /, **labels: Iterable[str]) -> None:
    """Has the series be there at zero, so that a first time is seen as a rise."""
    for values in product(*labels.values()):
        metric.labels(**dict(zip(labels, values, strict=True)))


def _counter(name: str, meaning: str, /, **labels: Iterable[str]) -> Counter:
    counter = Counter(f"postroom_{name}", meaning, tuple(labels), registry=REGISTRY)
    if labels:
        begin_with(counter, **labels)
    return counter


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], /, **labels: Iterable[str]) -> Histogram:
    histogram = Histogram(f"postroom_{name}", meaning, tuple(labels), buckets=buckets, registry=REGISTRY)
    if labels:
        begin_with(histogram, **labels)
    return histogram


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"postroom_{name}", meaning, labels, registry=REGISTRY)


# --- Traffic

KINDS = ("query", "mutation", "subscription", "unknown")
"""Of operations; of an unknown kind is what could not be read."""

OPERATIONS = _counter(
    "operations",
    "GraphQL operations that have ended: ok, refused (the client can mend it), failed (we must) or cancelled.",
    kind=KINDS,
    outcome=("ok", "refused", "failed", "cancelled"),
)
OPERATION_SECONDS = _histogram(
    "operation_seconds", "How long queries and mutations took to execute.", _FAST, kind=("query", "mutation", "unknown")
)
OPERATION_STATEMENTS = _histogram(
    "operation_statements", "SQL statements of one query or mutation.", _COUNTS, kind=("query", "mutation", "unknown")
)
REQUESTS = _counter("graphql_requests", "Requests to /graphql over HTTP, by the status of the answer.", status=ANY)
REQUEST_SECONDS = _histogram(
    "graphql_request_seconds", "How long answers over HTTP took, from the first byte of the request on.", _FAST
)

# --- Live

SOCKETS_OPEN = _gauge("sockets_open", "WebSockets that are open now.")
SUBSCRIBERS = _gauge("subscribers", "Subscriptions to events that are running now.")
EVENTS_WRITTEN = _counter("events_written", "Events that were committed.", kind=EventKind)
EVENTS_DELIVERED = _counter("events_delivered", "Events that were sent to a subscriber.", kind=ANY)
EVENT_LAG_SECONDS = _histogram(
    "event_lag_seconds", "From the commit of an event to the last of its frames in this process.", _FAST
)
SLOW_READERS = _counter(
    "slow_readers",
    "Subscribers cut off because they did not read: events piled up here, or bytes in the socket.",
    where=("events", "socket"),
)

# --- Mailboxes

SYNC_SECONDS = _histogram(
    "sync_seconds",
    "How long a run of one mailbox took.",
    _LONG,
    outcome=("ok", "failed", "interrupted", "lost", "cancelled", "crashed"),
)
MESSAGES_SCANNED = _counter(
    "messages_scanned", "Messages whose headers were judged.", found_by=("live", "history", "search")
)
MESSAGES_RECORDED = _counter("messages_recorded", "Messages that are new on the record.", origin=Origin)
PARSE_FAILURES = _counter("parse_failures", "Messages that could not be read.", reason=ANY)
LOGINS = _counter("logins", "Logins at mail servers, by what came of them.", outcome=("ok", *ErrorCode))
LOGIN_WAIT_SECONDS = _histogram("login_wait_seconds", "How long logins waited for their turn at a host.", _LONG)
WATCHED = _gauge("mailboxes_watched", "Mailboxes that this process listens to.")
MAIL_NOTICES = _counter(
    "mail_notices", "Times that a mailbox's loop was woken: its server told of something new, or the watch began."
)

# --- Work

JOB_SECONDS = _histogram(
    "job_seconds", "How long one attempt of a job took.", _LONG, name=ANY, outcome=("ok", "failed", "cancelled")
)

# --- Health

BUILD = _gauge("build_info", "Which version this process is of, and its role.", "version", "role")
DATABASE_UP = _gauge("database_up", "Whether this process reaches the database: 1 or 0.")
BUS_CONNECTED = _gauge("bus_connected", "Whether this process receives wake-ups from Redis: 1 or 0.")
POOL_CONNECTIONS = _gauge(
    "pool_connections", "Connections to the database by use; limit is the most there may be.", "state"
)
POOL_WAIT_SECONDS = _histogram("pool_wait_seconds", "How long a free connection was waited for.", _FAST)
STATEMENT_SECONDS = _histogram("statement_seconds", "How long SQL statements took.", _FAST)
OBSERVATION_FAILURES = _counter(
    "observation_failures",
    "Times that the state of the installation could not be read.",
    source=("database", "queue"),
)


def note_delivered(kind: str, position: int, *, to: int = 1, is_live: bool = True) -> None:
    """Counts an event that was just handed to its subscribers.

    Args:
        position: of the event, which says when it was committed.
        to: how many subscribers.
        is_live: whether they were there when it was committed: else its age says nothing of how fast this is.
    """
    EVENTS_DELIVERED.labels(kind=kind).inc(to)
    if is_live:
        EVENT_LAG_SECONDS.observe(max(position_now() - position, 0) / 1_000_000)


class Installation(Collector):
    """Gauges of the whole installation: there while they are known, and gone while they are not."""

    def __init__(self, families: Mapping[str, tuple[str, str | None]]) -> None:
        """`families`: for each name its meaning, and its label where it has one."""
        self._families = families
        self._known: dict[str, Mapping[str, float] | float] = {}

    def show(self, **values: Mapping[str, float] | float) -> None:
        """Replaces what is known of some of them: a number, or one for each value of the label."""
        self._known.update(values)

    def forget(self, *names: str) -> None:
        for name in names:
            self._known.pop(name, None)

    def describe(self) -> Iterator[Metric]:
        for name in self._families:
            yield self._family(name)

    def collect(self) -> Iterator[Metric]:
        for name, value in self._known.items():
            family = self._family(name)
            if isinstance(value, Mapping):
                for label, number in value.items():
                    family.add_metric([label], number)
            else:
                family.add_metric([], value)
            yield family

    def _family(self, name: str) -> GaugeMetricFamily:
        meaning, label = self._families[name]
        return GaugeMetricFamily(f"postroom_{name}", meaning, labels=[label] if label else [])


INSTALLATION = Installation(
    {
        "mailboxes": ("Mailboxes by state.", "state"),
        "mailbox_problems": ("Mailboxes with a problem, by its code.", "code"),
        "mailboxes_behind": ("Mailboxes due for over a minute that nobody works on.", None),
        "mailboxes_unwatched": ("Mailboxes that nobody listens to, connected for over a minute.", None),
        "mailbox_oldest_due_seconds": ("For how long the mailbox that is most behind has been due.", None),
        "ledger_entries": ("Messages still to be fetched, by state.", "state"),
        "ledger_oldest_due_seconds": ("For how long the message that waits longest has been due.", None),
        "jobs": ("Jobs in the queue, by state.", "state"),
        "jobs_oldest_waiting_seconds": ("For how long the job that waits longest has been due.", None),
    }
)
REGISTRY.register(INSTALLATION)


def introduce(role: str) -> None:
    """Says which process this is: `api`, `worker` or `watch`."""
    try:
        found = version("postroom")
    except PackageNotFoundError:
        found = "unknown"
    BUILD.clear()
    BUILD.labels(version=found, role=role).set(1)
