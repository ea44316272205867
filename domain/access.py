"""Who may read what: a thread lists its readers, a viewer is a set of principals, visible means the two meet.

A **principal** is an id that stands for one or more people: a user's own id, an organisation's id (its full-access
group), a job's id (its hiring team), or a shared mailbox's id (its viewers). Ids are unique across kinds, so a
principal needs no kind beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from domain.ids import OrganisationId, UserId


class AccessLevel(StrEnum):
    """The contract's `AccessLevel`."""

    ADMIN = "ADMIN"
    FULL = "FULL"
    HIRING_TEAM = "HIRING_TEAM"


class Visibility(StrEnum):
    """The contract's `ThreadVisibility`."""

    SHARED = "SHARED"
    PRIVATE = "PRIVATE"


class Reason(StrEnum):
    """Why a principal reads a thread; of several reasons the first in this order is kept."""

    PARTICIPANT = "PARTICIPANT"
    BCC = "BCC"
    """Reads like a participant, and is shown as a reader to themselves and the sender alone (R3.5)."""
    SHARED_MAILBOX = "SHARED_MAILBOX"
    GRANTED = "GRANTED"
    CANDIDATE_ACCESS = "CANDIDATE_ACCESS"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. A service token has no user, no principals, and so reads no mail at all."""

    organisation_id: OrganisationId
    user_id: UserId | None
    level: AccessLevel | None
    principals: frozenset[UUID] = field(default=frozenset())

    @property
    def is_service(self) -> bool:
        return self.user_id is None

    @property
    def may_administer(self) -> bool:
        """Whether the applicant tracking system's side of the API is open to them."""
        return self.is_service or self.level is AccessLevel.ADMIN

    @property
    def sees_every_candidate(self) -> bool:
        return self.is_service or self.level in (AccessLevel.ADMIN, AccessLevel.FULL)


def viewer_principals(
    organisation_id: UUID,
    user_id: UUID,
    level: AccessLevel,
    *,
    job_ids: Iterable[UUID],
    shared_mailbox_ids: Iterable[UUID],
) -> frozenset[UUID]:
    """What a user reads through. Full access replaces the hiring teams: it covers every candidate."""
    groups = {organisation_id} if level in (AccessLevel.ADMIN, AccessLevel.FULL) else set(job_ids)
    return frozenset({user_id, *groups, *shared_mailbox_ids})


def thread_readers(
    organisation_id: UUID,
    visibility: Visibility,
    *,
    candidate_job_ids: Iterable[UUID],
    participant_ids: Iterable[UUID],
    bcc_ids: Iterable[UUID],
    shared_mailbox_ids: Iterable[UUID],
    granted_ids: Iterable[UUID] = (),
) -> Mapping[UUID, Reason]:
    """The principals that read a thread, each with the reason that is kept for it.

    Args:
        candidate_job_ids: jobs that the thread's candidates applied to; archiving one changes nothing (R1.6).
        participant_ids: users named in From, To or Cc, and owners of mailboxes that hold a copy (R3.3).
    """
    found: dict[UUID, Reason] = dict.fromkeys(participant_ids, Reason.PARTICIPANT)
    for principal in bcc_ids:
        found.setdefault(principal, Reason.BCC)
    for principal in shared_mailbox_ids:
        found.setdefault(principal, Reason.SHARED_MAILBOX)
    for principal in granted_ids:
        found.setdefault(principal, Reason.GRANTED)
    if visibility is Visibility.SHARED:
        for principal in (organisation_id, *candidate_job_ids):
            found.setdefault(principal, Reason.CANDIDATE_ACCESS)
    return found
