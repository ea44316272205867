"""Who applies, for what, and with which addresses; jobs are in services.jobs and can be had from here too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import clock
from domain.access import Viewer
from domain.errors import ErrorCode, UserMistake, invalid, not_found
from domain.events import EventKind, NewEvent
from domain.ids import new_id, to_global
from services.administration import (
    WrittenAddress,
    administering,
    checked_address,
    checked_addresses,
    checked_external_id,
    checked_text,
    named_ids,
)
from services.deps import Deps
from services.guards import is_internal
from services.jobs import archive_job, reopen_job, upsert_job
from services.readers import refresh_readers
from services.search_requests import WantedAddress, search_mailboxes
from services.unit_of_work import UnitOfWork
from services.withdrawal import withdraw_email

__all__ = [
    "add_candidate_email",
    "archive_job",
    "remove_candidate_email",
    "reopen_job",
    "upsert_candidate",
    "upsert_job",
]

_RECORD = """
SELECT c.id, c.name,
       array(SELECT job_id FROM application WHERE candidate_id = c.id) AS job_ids,
       EXISTS (SELECT FROM application WHERE candidate_id = c.id)
       AND NOT EXISTS (SELECT FROM application p JOIN job j ON j.id = p.job_id
                        WHERE p.candidate_id = c.id AND j.status = 'OPEN') AS is_archived
  FROM candidate c WHERE c.organisation_id = $1 AND
"""
_EMAILS = "SELECT id, address, canonical, base FROM candidate_email WHERE candidate_id = $1"


@dataclass(frozen=True, slots=True)
class _Record:
    """A candidate as stored.

    Attributes:
        is_archived: every job they applied to is archived, and there is one.
        emails: the addresses' rows, by canonical form.
    """

    id: UUID
    name: str
    job_ids: frozenset[UUID]
    is_archived: bool
    emails: Mapping[str, tuple[UUID, WrittenAddress]]


async def upsert_candidate(
    deps: Deps,
    viewer: Viewer,
    *,
    external_id: str,
    name: str | None = None,
    emails: Sequence[str] | None = None,
    jobs: Sequence[str] | None = None,
) -> UUID:
    """Makes the candidate of this external id, or changes what is given; the candidate's id.

    Mailboxes are searched for each new address, and for all of them where an open job is added to a candidate who had
    archived ones only. An address that is left out takes with it what is on the record through it alone (R1.14).

    Args:
        emails: all of their addresses, also internal ones, which are kept and never matched.
        jobs: external ids of all the jobs they applied to.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: no name, no address, or no such job.
    """
    external_id = checked_external_id(external_id, "input", "externalId")
    name = None if name is None else checked_text(name, "input", "name", most=300)
    wanted = None if emails is None else checked_addresses(emails, "input", "emails")
    async with administering(deps, viewer) as work:
        before = await _record(work, "c.external_id = $2", external_id)
        job_ids = None if jobs is None else await named_ids(work, "job", jobs, "input", "jobs")
        record = before or await _insert_candidate(work, external_id, name)
        lost = () if wanted is None else tuple(key for key in record.emails if key not in wanted)
        kept = {key: email for key, (_, email) in record.emails.items() if key not in lost} | (wanted or {})
        resumes = record.is_archived and job_ids is not None and await _is_open(work, job_ids)
        sought = [email for key, email in kept.items() if resumes or key not in record.emails]
        await search_mailboxes(work, viewer, [WantedAddress(record.id, email.address) for email in sought])
        await _add_emails(work, viewer, record, kept)
        await _remove_emails(work, viewer, record, lost, erase_mail=False)
        changes_jobs = job_ids is not None and job_ids != record.job_ids
        if job_ids is not None and changes_jobs:
            await _set_jobs(work, record, job_ids)
        renames = name is not None and name != record.name
        if renames:
            await work.tx.execute("UPDATE candidate SET name = $2 WHERE id = $1", record.id, name)
        respelled = any(key in record.emails and record.emails[key][1] != email for key, email in kept.items())
        if before is None or lost or sought or changes_jobs or renames or respelled:
            _announce(work, record.id, record.job_ids | (job_ids or frozenset()))
    return record.id


async def add_candidate_email(deps: Deps, viewer: Viewer, *, candidate_id: UUID, address: str) -> UUID:
    """Adds an address, and has every connected mailbox searched for it; the candidate's id. Idempotent.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: no such candidate; no address; or INTERNAL_ADDRESS, since it is the organisation's own.
    """
    written = checked_address(address, "input", "address")
    async with administering(deps, viewer) as work:
        record = await _existing(work, candidate_id)
        if written.canonical in record.emails:
            return record.id
        if await is_internal(work.tx, work.organisation_id, written):
            raise UserMistake(
                ErrorCode.INTERNAL_ADDRESS,
                "This address belongs to the organisation itself, so its mail is never a candidate's.",
                path=("input", "address"),
            )
        await search_mailboxes(work, viewer, [WantedAddress(record.id, written.address)])
        await _add_emails(work, viewer, record, {written.canonical: written})
        _announce(work, record.id, record.job_ids)
    return record.id


async def remove_candidate_email(
    deps: Deps, viewer: Viewer, *, candidate_id: UUID, address: str, erase_mail: bool = False
) -> UUID:
    """Takes an address off, and with it what is on the record only through it; the candidate's id.

    Args:
        erase_mail: whether that mail is deleted, where it is on nobody else's record; otherwise it is kept unseen.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: no such candidate, or no such address of theirs.
    """
    written = checked_address(address, "input", "address")
    async with administering(deps, viewer) as work:
        record = await _existing(work, candidate_id)
        if written.canonical not in record.emails:
            raise not_found("address of this candidate", "input", "address")
        await _remove_emails(work, viewer, record, (written.canonical,), erase_mail=erase_mail)
        _announce(work, record.id, record.job_ids)
    return record.id


async def _record(work: UnitOfWork, condition: str, value: object) -> _Record | None:
    row = await work.tx.fetch_row(f"{_RECORD} {condition}", work.organisation_id, value)
    if row is None:
        return None
    emails = {
        email["canonical"]: (email["id"], WrittenAddress(email["address"], email["canonical"], email["base"]))
        for email in await work.tx.fetch(_EMAILS, row["id"])
    }
    return _Record(row["id"], row["name"], frozenset(row["job_ids"]), row["is_archived"], emails)


async def _existing(work: UnitOfWork, candidate_id: UUID) -> _Record:
    record = await _record(work, "c.id = $2", candidate_id)
    if record is None:
        raise not_found("candidate", "input", "candidateId")
    return record


async def _insert_candidate(work: UnitOfWork, external_id: str, name: str | None) -> _Record:
    if name is None:
        raise invalid("A new candidate needs a name.", "input", "name")
    record = _Record(new_id(), name, frozenset(), is_archived=False, emails={})
    await work.tx.execute(
        "INSERT INTO candidate (id, organisation_id, external_id, name, created_at) VALUES ($1, $2, $3, $4, $5)",
        record.id,
        work.organisation_id,
        external_id,
        name,
        clock.now(),
    )
    return record


async def _is_open(work: UnitOfWork, job_ids: frozenset[UUID]) -> bool:
    """Whether mail is recorded for who applied to these: to one that is open, or to none."""
    found: bool = not job_ids or await work.tx.fetch_value(
        "SELECT EXISTS (SELECT FROM job WHERE id = ANY($1) AND status = 'OPEN')", list(job_ids)
    )
    return found


async def _set_jobs(work: UnitOfWork, record: _Record, job_ids: frozenset[UUID]) -> None:
    """Changes what they applied to, and with it who reads their threads."""
    await work.tx.execute(
        "DELETE FROM application WHERE candidate_id = $1 AND job_id = ANY($2)",
        record.id,
        list(record.job_ids - job_ids),
    )
    await work.tx.insert_many(
        "application", ("candidate_id", "job_id"), [(record.id, job_id) for job_id in job_ids - record.job_ids]
    )
    rows = await work.tx.fetch("SELECT thread_id FROM thread_candidate WHERE candidate_id = $1", record.id)
    await refresh_readers(work, [row["thread_id"] for row in rows])


async def _add_emails(work: UnitOfWork, viewer: Viewer, record: _Record, emails: Mapping[str, WrittenAddress]) -> None:
    """Adds those that are new, and takes over how the others are spelled now."""
    now = clock.now()
    new = [email for key, email in emails.items() if key not in record.emails]
    for key, email in emails.items():
        if key in record.emails and record.emails[key][1].address != email.address:
            await work.tx.execute(
                "UPDATE candidate_email SET address = $2 WHERE id = $1", record.emails[key][0], email.address
            )
    await work.tx.insert_many(
        "candidate_email",
        ("id", "organisation_id", "candidate_id", "address", "canonical", "base", "added_at"),
        [(new_id(), work.organisation_id, record.id, *_forms(email), now) for email in new],
    )
    if new:
        await _audit(work, viewer, "candidate.address_added", record.id)


async def _remove_emails(
    work: UnitOfWork, viewer: Viewer, record: _Record, canonical: Sequence[str], *, erase_mail: bool
) -> None:
    """Withdraws their mail and deletes their rows."""
    email_ids = [record.emails[key][0] for key in canonical]
    if not email_ids:
        return
    await withdraw_email(work, email_ids, erase_mail=erase_mail)
    await work.tx.execute("DELETE FROM candidate_email WHERE id = ANY($1)", email_ids)
    await work.tx.execute(
        "UPDATE mailbox_search SET due_at = NULL, finished_at = coalesce(finished_at, $3) "
        "WHERE candidate_id = $1 AND due_at IS NOT NULL AND address = ANY($2)",
        record.id,
        [record.emails[key][1].address for key in canonical],
        clock.now(),
    )
    await _audit(work, viewer, "candidate.address_removed", record.id)
    if erase_mail:
        await _audit(work, viewer, "candidate.mail_erased", record.id)


def _forms(email: WrittenAddress) -> tuple[str, str, str]:
    return email.address, email.canonical, email.base


async def _audit(work: UnitOfWork, viewer: Viewer, action: str, candidate_id: UUID) -> None:
    subject = to_global("candidate", candidate_id)
    await work.audit(action, actor_id=viewer.user_id, subject_ids=[subject], at=clock.now())


def _announce(work: UnitOfWork, candidate_id: UUID, job_ids: Iterable[UUID]) -> None:
    work.announce(
        NewEvent(
            EventKind.CANDIDATE_CHANGED,
            candidate_id=candidate_id,
            candidate_ids=(candidate_id,),
            audience=(work.organisation_id, *job_ids),
        )
    )
