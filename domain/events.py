"""What a subscriber can be told, and the order it is told in.

A position is a count of microseconds since 1970, unique in its organisation and rising in the order of commits: the
clock where that is ahead, the last position otherwise. The steps within one transaction are random, so that the gap
between two positions tells nobody how many events lay between them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import accumulate
from uuid import UUID

from domain import clock

MAX_STEP_US = 64


class EventKind(StrEnum):
    """Named as the contract's implementations of `Event`."""

    MESSAGE_ADDED = "MessageAdded"
    THREAD_CHANGED = "ThreadChanged"
    THREAD_WITHDRAWN = "ThreadWithdrawn"
    THREAD_MERGED = "ThreadMerged"
    CANDIDATE_CHANGED = "CandidateChanged"
    CANDIDATE_WITHDRAWN = "CandidateWithdrawn"
    ACCESS_CHANGED = "AccessChanged"
    MAILBOX_CHANGED = "MailboxChanged"
    OUTGOING_CHANGED = "OutgoingChanged"


class Origin(StrEnum):
    """The contract's `MessageOrigin`: news, or found while reading old mail."""

    LIVE = "LIVE"
    IMPORT = "IMPORT"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about to be written.

    Attributes:
        audience: the principals it is for; None where the thread's readers decide at the moment of delivery.
        candidate_ids: whose record it concerns, for a subscription's filter.
    """

    kind: EventKind
    origin: Origin | None = None
    thread_id: UUID | None = None
    message_id: UUID | None = None
    candidate_id: UUID | None = None
    mailbox_id: UUID | None = None
    retired_id: UUID | None = None
    candidate_ids: tuple[UUID, ...] = ()
    audience: tuple[UUID, ...] | None = None


def steps(count: int) -> Sequence[int]:
    """Distances from the last position to each of `count` new ones, rising."""
    return list(accumulate(random.randint(1, MAX_STEP_US) for _ in range(count)))  # noqa: S311 - hides a count, no key


def position_now() -> int:
    return int(clock.now().timestamp() * 1_000_000)


def moment_of(position: int) -> datetime:
    """When the event of this position was committed, to the millisecond."""
    return datetime.fromtimestamp(position // 1000 / 1000, UTC)
