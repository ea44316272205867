"""What is hired for, by whom, and whether mail about it is still recorded."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain import clock
from domain.access import Viewer
from domain.errors import invalid, not_found
from domain.events import EventKind, NewEvent
from domain.ids import new_id, to_global
from services.administration import administering, checked_external_id, checked_text, named_ids
from services.deps import Deps
from services.search_requests import WantedAddress, search_mailboxes
from services.unit_of_work import UnitOfWork

# Those for whom this job alone decides whether mail is recorded: every other job of theirs is archived.
_DEPENDENT = """
SELECT c.candidate_id, array(SELECT job_id FROM application WHERE candidate_id = c.candidate_id) AS job_ids
  FROM application c
 WHERE c.job_id = $1
   AND NOT EXISTS (SELECT FROM application p JOIN job j ON j.id = p.job_id
                    WHERE p.candidate_id = c.candidate_id AND j.status = 'OPEN' AND j.id <> $1)
 ORDER BY c.candidate_id
"""
_AFFECTED_MEMBERS = "SELECT id FROM user_account WHERE id = ANY($1) AND access_level = 'HIRING_TEAM' ORDER BY id"


async def upsert_job(
    deps: Deps,
    viewer: Viewer,
    *,
    external_id: str,
    title: str | None = None,
    hiring_team: Sequence[str] | None = None,
) -> UUID:
    """Makes the job of this external id, or changes what is given; the job's id.

    Who joins or leaves the hiring team gains or loses its candidates at the commit, in open subscriptions too.

    Args:
        hiring_team: external ids of all its users.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: no title for a new job, or no such user.
    """
    external_id = checked_external_id(external_id, "input", "externalId")
    title = None if title is None else checked_text(title, "input", "title", most=300)
    async with administering(deps, viewer) as work:
        team = None if hiring_team is None else await named_ids(work, "user", hiring_team, "input", "hiringTeam")
        job_id: UUID | None = await work.tx.fetch_value(
            "SELECT id FROM job WHERE organisation_id = $1 AND external_id = $2", work.organisation_id, external_id
        )
        if job_id is None:
            if title is None:
                raise invalid("A new job needs a title.", "input", "title")
            job_id = new_id()
            await work.tx.execute(
                "INSERT INTO job (id, organisation_id, external_id, title, created_at) VALUES ($1, $2, $3, $4, $5)",
                job_id,
                work.organisation_id,
                external_id,
                title,
                clock.now(),
            )
        elif title is not None:
            await work.tx.execute("UPDATE job SET title = $2 WHERE id = $1", job_id, title)
        if team is not None:
            await _set_team(work, viewer, job_id, team)
    return job_id


async def archive_job(deps: Deps, viewer: Viewer, *, job_id: UUID) -> UUID:
    """Ends recording for candidates who have no other open job, from the commit on; the job's id. Idempotent.

    What is recorded stays, and nobody's access changes (R1.6).

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: there is no such job.
    """
    async with administering(deps, viewer) as work:
        if await _set_status(work, viewer, job_id, "ARCHIVED"):
            _announce_states(work, [(row[0], row[1]) for row in await work.tx.fetch(_DEPENDENT, job_id)])
    return job_id


async def reopen_job(deps: Deps, viewer: Viewer, *, job_id: UUID) -> UUID:
    """Resumes recording, and has the mailboxes searched for what was missed; the job's id. Idempotent.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: there is no such job.
    """
    async with administering(deps, viewer) as work:
        if await _status(work, job_id) == "OPEN":
            return job_id
        dependent = [(row[0], row[1]) for row in await work.tx.fetch(_DEPENDENT, job_id)]
        addresses = await work.tx.fetch(
            "SELECT candidate_id, address FROM candidate_email WHERE candidate_id = ANY($1) ORDER BY id",
            [candidate_id for candidate_id, _ in dependent],
        )
        await search_mailboxes(work, viewer, [WantedAddress(*row) for row in addresses])
        await _set_status(work, viewer, job_id, "OPEN")
        _announce_states(work, dependent)
    return job_id


async def _set_team(work: UnitOfWork, viewer: Viewer, job_id: UUID, team: frozenset[UUID]) -> None:
    rows = await work.tx.fetch("SELECT user_id FROM job_member WHERE job_id = $1", job_id)
    before = frozenset(row["user_id"] for row in rows)
    if before == team:
        return
    await work.tx.execute("DELETE FROM job_member WHERE job_id = $1 AND user_id = ANY($2)", job_id, list(before - team))
    await work.tx.insert_many("job_member", ("job_id", "user_id"), [(job_id, user_id) for user_id in team - before])
    work.changes_access = True
    # Full access covers every candidate, with the team or without it.
    affected = await work.tx.fetch(_AFFECTED_MEMBERS, list(before ^ team))
    if affected:
        work.announce(NewEvent(EventKind.ACCESS_CHANGED, audience=tuple(row["id"] for row in affected)))
    subjects = [to_global("job", job_id), *(to_global("user", user_id) for user_id in sorted(before ^ team))]
    await work.audit("job.team_changed", actor_id=viewer.user_id, subject_ids=subjects, at=clock.now())


async def _status(work: UnitOfWork, job_id: UUID) -> str:
    status: str | None = await work.tx.fetch_value(
        "SELECT status FROM job WHERE organisation_id = $1 AND id = $2", work.organisation_id, job_id
    )
    if status is None:
        raise not_found("job", "input", "id")
    return status


async def _set_status(work: UnitOfWork, viewer: Viewer, job_id: UUID, status: str) -> bool:
    """Whether it had another one before."""
    if await _status(work, job_id) == status:
        return False
    await work.tx.execute("UPDATE job SET status = $2 WHERE id = $1", job_id, status)
    action = "job.archived" if status == "ARCHIVED" else "job.reopened"
    await work.audit(action, actor_id=viewer.user_id, subject_ids=[to_global("job", job_id)], at=clock.now())
    return True


def _announce_states(work: UnitOfWork, candidates: Iterable[tuple[UUID, Sequence[UUID]]]) -> None:
    for candidate_id, job_ids in candidates:
        work.announce(
            NewEvent(
                EventKind.CANDIDATE_CHANGED,
                candidate_id=candidate_id,
                candidate_ids=(candidate_id,),
                audience=(work.organisation_id, *job_ids),
            )
        )
