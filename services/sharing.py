"""To whom may an event be shown in the same words, so that it is worked out once for all of them?

A selection says what it varies by. Viewers who are alike in that see the same but for the cursor, which is each
viewer's own and is put in its place where a payload is handed to its follower.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol, TypeAlias
from uuid import UUID

from domain.access import Viewer
from domain.errors import AppError
from domain.events import EventKind
from infra.db import Snapshot
from infra.metrics import SLOW_READERS
from services.cursors import CursorSealer
from services.event_rows import StreamEvent, users_told_of_bounces, users_unread_to
from services.reading import Reader

HELD_BACK = 1_000
"""Payloads that wait while a follower is told what the table holds."""


class StreamLagged(AppError):
    """The subscriber did not read fast enough. It resumes from its last cursor."""

    @classmethod
    def told(cls) -> "StreamLagged":
        return cls("Too many events are waiting; resume from your last cursor.")


class Variety(Enum):
    """What a part of an event may differ by from viewer to viewer."""

    GROUPS = auto()
    """The groups that the viewer reads through, which say which candidates and jobs they see."""
    UNREAD = auto()
    """Whether the event's thread is unread to the viewer."""
    BOUNCES = auto()
    """Which of the thread's bounces are told to the viewer in full."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as a selection shows it: JSON, in pieces between which the viewer's own cursor stands."""

    position: int
    pieces: tuple[bytes, ...]

    def payload(self, sealer: CursorSealer) -> bytes:
        if len(self.pieces) == 1:
            return self.pieces[0]
        return sealer.seal(self.position).encode().join(self.pieces)


class Selection(Protocol):
    """What is shown of events, to all who ask for the same. To be hashable by identity."""

    @property
    def varies_by(self) -> frozenset[Variety]:
        """All that what it shows may differ by, besides the cursor."""

    def wants(self, event: StreamEvent) -> bool:
        """Whether it is asked for at all."""

    async def show(self, reader: Reader, event: StreamEvent) -> Shown | None:
        """The event as the reader, and all like them, may see it; None where what it is about is gone.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the database; trying again may help.
        """


class Outlet(Protocol):
    """Where a follower's payloads go."""

    def write(self, payload: bytes) -> None:
        """Hands over without waiting. Who does not read is the outlet's to cut off."""

    async def drained(self) -> None:
        """Returns when there is room for more, or nobody there any more."""

    def end(self, reason: AppError) -> None:
        """Nothing more comes, and why. Idempotent."""


@dataclass(eq=False, slots=True)
class Follower:
    """One subscription whose selection is shared with others.

    Attributes:
        groups: what the viewer reads through besides their own name.
        last: the position up to which it has been told, or for which the table is read.
        told_at: when anything was, by the monotonic clock.
        held: what has come while the table is being read; None from then on.
    """

    viewer: Viewer
    selection: Selection
    outlet: Outlet
    sealer: CursorSealer
    told_at: float
    last: int = 0
    held: list[Shown] | None = field(default_factory=list)
    groups: frozenset[UUID] = field(init=False)

    def __post_init__(self) -> None:
        self.see_as(self.viewer)

    def see_as(self, viewer: Viewer) -> None:
        """Takes on the present rights of the same viewer."""
        self.viewer = viewer
        self.groups = viewer.principals - {viewer.user_id}

    def tell(self, shown: Shown, now: float) -> None:
        """Hands over what has not been handed over before."""
        if shown.position <= self.last:
            return
        self.last = shown.position
        self.told_at = now
        if self.held is None:
            self.outlet.write(shown.payload(self.sealer))
        elif len(self.held) < HELD_BACK:
            self.held.append(shown)
        else:
            SLOW_READERS.labels(where="events").inc()
            self.end(StreamLagged.told())

    def end(self, reason: AppError) -> None:
        self.outlet.end(reason)

    def release(self) -> None:
        """The table has been read: what was held back is handed over, and all else at once from now on."""
        held, self.held = self.held or [], None
        for shown in held:
            self.outlet.write(shown.payload(self.sealer))


Likeness: TypeAlias = tuple[object, ...]
"""Equal for viewers to whom an event is shown in the same words."""


async def alike(
    snapshot: Snapshot, event: StreamEvent, varies_by: frozenset[Variety], followers: Iterable[Follower]
) -> list[list[Follower]]:
    """The followers of one selection, parted into those who are shown the event in the same words."""
    asked = list(followers)
    marks: list[Mapping[UUID | None, object]] = []
    if event.thread_id is not None and Variety.UNREAD in varies_by:
        unread = await users_unread_to(snapshot, event.thread_id, _user_ids(asked))
        marks.append(dict.fromkeys(unread, True))  # else None
    if event.thread_id is not None and Variety.BOUNCES in varies_by:
        told = await users_told_of_bounces(snapshot, event.thread_id)
        marks += [_by_user(told)] if told else []
    by_groups = Variety.GROUPS in varies_by
    by_user = event.kind == EventKind.MAILBOX_CHANGED  # a mailbox is its owner's, and looks different to each
    if not (marks or by_groups or by_user):
        return [asked]
    parts: defaultdict[Likeness, list[Follower]] = defaultdict(list)
    for follower in asked:
        user_id = follower.viewer.user_id
        parts[
            (
                follower.groups if by_groups else None,
                user_id if by_user else None,
                *[mark.get(user_id) for mark in marks],
            )
        ].append(follower)
    return list(parts.values())


def _by_user(told: Mapping[UUID, frozenset[UUID]]) -> dict[UUID | None, object]:
    """For each user, the bounces that they are told of."""
    found: defaultdict[UUID | None, set[UUID]] = defaultdict(set)
    for message_id, user_ids in told.items():
        for user_id in user_ids:
            found[user_id].add(message_id)
    return {user_id: frozenset(message_ids) for user_id, message_ids in found.items()}


def _user_ids(followers: Sequence[Follower]) -> list[UUID]:
    return list({follower.viewer.user_id for follower in followers if follower.viewer.user_id is not None})
