"""Who is hired for what: jobs, candidates and their addresses."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields

from models.base import Link, Row
from models.organisation import Organisation, User


class Job(Row):
    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False, db_index=True
    )
    organisation_id: UUID
    external_id = fields.CharField(max_length=200)
    title = fields.CharField(max_length=300)
    status = fields.CharField(max_length=16, db_default="OPEN")
    created_at = fields.DatetimeField()

    class Meta:
        table = "job"
        unique_together = (("organisation_id", "external_id"),)


class JobMember(Link):
    """A user on a job's hiring team."""

    job: fields.ForeignKeyRelation[Job] = fields.ForeignKeyField("models.Job", related_name=False)
    job_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, db_index=True)
    user_id: UUID

    class Meta:
        table = "job_member"
        unique_together = (("job_id", "user_id"),)


class Candidate(Row):
    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False, db_index=True
    )
    organisation_id: UUID
    external_id = fields.CharField(max_length=200)
    name = fields.CharField(max_length=300)
    # Beside it the database itself keeps `sought`, the name in plain letters, by which people are found.
    created_at = fields.DatetimeField()

    class Meta:
        table = "candidate"
        unique_together = (("organisation_id", "external_id"),)


class CandidateEmail(Row):
    """An address of a candidate; mail is matched by its canonical form, else by its base (R1.4)."""

    organisation: fields.ForeignKeyRelation[Organisation] = fields.ForeignKeyField(
        "models.Organisation", related_name=False
    )
    organisation_id: UUID
    candidate: fields.ForeignKeyRelation[Candidate] = fields.ForeignKeyField("models.Candidate", related_name=False)
    candidate_id: UUID
    address = fields.CharField(max_length=320)
    canonical = fields.CharField(max_length=320)
    base = fields.CharField(max_length=320)
    added_at = fields.DatetimeField()

    class Meta:
        table = "candidate_email"
        unique_together = (("candidate_id", "canonical"),)
        indexes = (("organisation_id", "canonical"), ("organisation_id", "base"))


class Application(Link):
    """A candidate applied to a job."""

    candidate: fields.ForeignKeyRelation[Candidate] = fields.ForeignKeyField("models.Candidate", related_name=False)
    candidate_id: UUID
    job: fields.ForeignKeyRelation[Job] = fields.ForeignKeyField("models.Job", related_name=False, db_index=True)
    job_id: UUID

    class Meta:
        table = "application"
        unique_together = (("candidate_id", "job_id"),)
