"""What may a viewer see? The conditions that every read of threads and candidates carries, for any statement.

They take placeholders of the viewer's organisation, of their principals, and of whether they see every candidate.
"""

READABLE_THREAD = "t.organisation_id = $1 AND t.readers && $2::uuid[]"
"""Of a thread `t`: it is the organisation's ($1), and one of its readers is one of the viewer's principals ($2)."""

FULLY_TOLD = "(b.message_id IS NULL OR b.is_open OR coalesce($3 = ANY(b.told), false))"
"""Of a message whose row of `bounce b`, if any, is joined: the viewer ($3, a user's id or NULL) may read all of it."""


def seen_candidate(alias: str, *, every: str, principals: str, organisation: str) -> str:
    """Of a candidate: they are the organisation's, and applied to a job on whose hiring team the viewer is.

    Args:
        every: whether the viewer sees all candidates, jobs or no jobs.
    """
    return (
        f"{alias}.organisation_id = {organisation} AND ({every} OR EXISTS (SELECT 1 FROM application seen "
        f"WHERE seen.candidate_id = {alias}.id AND seen.job_id = ANY({principals}::uuid[])))"
    )


SEEN_JOB = "j.organisation_id = $1 AND ($2 OR j.id = ANY($3::uuid[]))"
"""Of a job `j`: it is the organisation's ($1), and the viewer sees all ($2) or is on its hiring team ($3)."""
