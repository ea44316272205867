"""Which thread does a message belong to?

By In-Reply-To and References alone (RFC 5256, RFC 5322 §3.6.4): a thread knows the Message-IDs that it holds and those
that it has heard of, so messages may arrive in any order, and a late parent finds its children. Subject never joins.

References are only claims, and anybody can write any. So a message joins a thread only where the two are about the
same candidate, and two threads become one only where the sender of the message between them takes part in both and
both are about a common candidate (R3.4): a forged header opens nothing.

Where no reference leads anywhere, the mailbox's own server is asked: it may know the message's place by means that the
message itself does not show. It is a witness, no authority: some servers join by subject, so it never makes one thread
of two, and where it has put several threads into one conversation it has told nothing (docs/adr/0013).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from domain.ids import new_id


@dataclass(frozen=True, slots=True)
class ProviderThread:
    """A conversation as the server of one mailbox groups it; in any other mailbox its id means nothing."""

    mailbox_id: UUID
    id: str


@dataclass(slots=True)
class KnownThread:
    """A thread as far as placing messages needs it.

    Attributes:
        keys: Message-IDs held or heard of, as `domain.identity.message_id_key` gives them.
        people: canonical addresses of everyone who takes part.
        is_branch: it branched off from another (R1.5), which servers do not tell apart from it.
    """

    id: UUID
    created_at: datetime
    candidate_ids: set[UUID]
    people: set[str]
    keys: set[bytes] = field(default_factory=set)
    is_branch: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to be placed.

    Attributes:
        own_key: its own Message-ID's key; None where it has none.
        reference_keys: of the messages it continues, oldest first.
        people: canonical addresses of its sender and visible recipients.
        provider_thread: where the server of the mailbox that it came from has put it; None where that is not told.
    """

    own_key: bytes | None
    reference_keys: Sequence[bytes]
    candidate_ids: frozenset[UUID]
    sender: str | None
    people: frozenset[str]
    at: datetime
    provider_thread: ProviderThread | None = None


class Conversations:
    """Threads, and the placing of arrivals in them. What it decides is read off `created`, `merged` and `learned`."""

    def __init__(self, known: Iterable[KnownThread] = ()) -> None:
        self.threads: dict[UUID, KnownThread] = {}
        self.created: list[UUID] = []
        self.merged: dict[UUID, UUID] = {}
        """Retired thread to the one that it went into; may chain, see `current`."""
        self.learned: list[tuple[UUID, bytes]] = []
        """Thread and key, where a thread did not know of it before."""
        self._by_key: dict[bytes, set[UUID]] = {}
        self._by_provider_thread: dict[ProviderThread, set[UUID]] = {}
        for thread in known:
            self._add(thread)

    def place(self, arrival: Arrival) -> UUID:
        """The thread of a message; makes one, or merges several into one, where that is right."""
        near = self._near(arrival) or self._witnessed(arrival)
        thread = near[0] if near else self._create(arrival)
        for other in near[1:]:
            if other.id in self.threads and thread.id in self.threads and _may_merge(arrival, thread, other):
                thread = self._merge(thread, other)
        thread.candidate_ids |= arrival.candidate_ids
        thread.people |= arrival.people
        for key in (*arrival.reference_keys, *([arrival.own_key] if arrival.own_key else [])):
            self._learn(thread, key)
        if arrival.provider_thread is not None:
            self.hear(arrival.provider_thread, thread.id)
        return thread.id

    def hear(self, provider_thread: ProviderThread, thread_id: UUID) -> None:
        """Takes note that a message of this thread, one of `threads`, lies in this conversation of a mailbox."""
        self._by_provider_thread.setdefault(provider_thread, set()).add(thread_id)

    def current(self, thread_id: UUID) -> UUID:
        """Where a thread is now, after the merges so far."""
        while thread_id in self.merged:
            thread_id = self.merged[thread_id]
        return thread_id

    def _near(self, arrival: Arrival) -> list[KnownThread]:
        """Threads about the same candidate that know of the message or what it continues, nearest parent first."""
        keys = [*reversed(arrival.reference_keys), *([arrival.own_key] if arrival.own_key else [])]
        found: dict[UUID, KnownThread] = {}
        for key in keys:
            here = [self.threads[thread_id] for thread_id in self._by_key.get(key, ())]
            for thread in sorted(here, key=lambda thread: (thread.created_at, thread.id)):
                if thread.candidate_ids & arrival.candidate_ids:
                    found.setdefault(thread.id, thread)
        return list(found.values())

    def _witnessed(self, arrival: Arrival) -> list[KnownThread]:
        """The one thread that the server puts the message with, if it is about the same candidate; else none.

        With several of ours in one conversation, the server joins by something else than who answers whom.
        """
        if arrival.provider_thread is None:
            return []
        named = {self.current(thread_id) for thread_id in self._by_provider_thread.get(arrival.provider_thread, ())}
        found = [thread for thread_id in named if not (thread := self.threads[thread_id]).is_branch]
        return found if len(found) == 1 and found[0].candidate_ids & arrival.candidate_ids else []

    def _create(self, arrival: Arrival) -> KnownThread:
        thread = KnownThread(new_id(), arrival.at, set(), set())
        self._add(thread)
        self.created.append(thread.id)
        return thread

    def _merge(self, one: KnownThread, other: KnownThread) -> KnownThread:
        """The older id lives on: it is the one that most clients hold."""
        kept, retired = sorted((one, other), key=lambda thread: (thread.created_at, thread.id))
        kept.candidate_ids |= retired.candidate_ids
        kept.people |= retired.people
        for key in retired.keys:
            self._by_key[key].discard(retired.id)
            self._learn(kept, key)
        del self.threads[retired.id]
        self.merged[retired.id] = kept.id
        return kept

    def _add(self, thread: KnownThread) -> None:
        self.threads[thread.id] = thread
        for key in thread.keys:
            self._by_key.setdefault(key, set()).add(thread.id)

    def _learn(self, thread: KnownThread, key: bytes) -> None:
        if key not in thread.keys:
            thread.keys.add(key)
            self.learned.append((thread.id, key))
            self._by_key.setdefault(key, set()).add(thread.id)


def _may_merge(arrival: Arrival, one: KnownThread, other: KnownThread) -> bool:
    takes_part_in_both = arrival.sender is not None and arrival.sender in one.people & other.people
    return takes_part_in_both and bool(one.candidate_ids & other.candidate_ids)


def known_threads(
    rows: Iterable[Mapping[str, object]],
) -> list[KnownThread]:
    """Threads from rows of (id, created_at, candidate_ids, people, keys, is_branch)."""
    return [
        KnownThread(
            id=row["id"],  # type: ignore[arg-type]  # a uuid column
            created_at=row["created_at"],  # type: ignore[arg-type]  # a timestamp column
            candidate_ids=set(row["candidate_ids"]),  # type: ignore[call-overload]  # an array
            people=set(row["people"]),  # type: ignore[call-overload]  # an array
            keys=set(row["keys"]),  # type: ignore[call-overload]  # an array
            is_branch=bool(row["is_branch"]),
        )
        for row in rows
    ]
