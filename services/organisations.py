"""How does an organisation say what it is called, which domains are its own, and what becomes of forwards?"""

from collections.abc import Sequence
from uuid import UUID

from domain import clock
from domain.access import Viewer
from domain.addresses import normalise_domain
from domain.errors import NotAuthenticated, invalid
from domain.ids import to_global
from services.administration import administering, checked_length, checked_text
from services.deps import Deps
from services.guards import announce_guarded

BRANCH_POLICIES = ("PRIVATE", "SHARED", "IGNORE")


async def update_organisation(
    deps: Deps,
    viewer: Viewer,
    *,
    name: str | None = None,
    internal_domains: Sequence[str] | None = None,
    branch_policy: str | None = None,
) -> UUID:
    """Changes what is given and leaves the rest; the organisation's id.

    Raises:
        Forbidden: the viewer may not administer.
        UserMistake: a name, domain or policy that is none.
    """
    name = None if name is None else checked_text(name, "input", "name", most=200)
    domains = None if internal_domains is None else _domains(internal_domains)
    if branch_policy is not None and branch_policy not in BRANCH_POLICIES:
        raise invalid("This is none of the policies.", "input", "branchPolicy")
    async with administering(deps, viewer) as work:
        before = await work.tx.fetch_row(
            "SELECT internal_domains FROM organisation WHERE id = $1", viewer.organisation_id
        )
        if before is None:
            raise NotAuthenticated("This organisation is gone.")
        await work.tx.execute(
            "UPDATE organisation SET name = coalesce($2, name), internal_domains = coalesce($3, internal_domains), "
            "branch_policy = coalesce($4, branch_policy) WHERE id = $1",
            viewer.organisation_id,
            name,
            domains,
            branch_policy,
        )
        await work.audit(
            "organisation.updated",
            actor_id=viewer.user_id,
            subject_ids=[to_global("organisation", viewer.organisation_id)],
            at=clock.now(),
        )
        if domains is not None:
            await announce_guarded(work, domains=set(domains) ^ set(before["internal_domains"]))
    return viewer.organisation_id


def _domains(written: Sequence[str]) -> list[str]:
    path = ("input", "internalDomains")
    checked_length(written, *path)
    domains: dict[str, None] = {}
    for position, text in enumerate(written):
        domain = normalise_domain(checked_text(text, *path, str(position), most=255))
        if domain is None:
            raise invalid("This is not a domain; it looks like example.org.", *path, str(position))
        domains[domain] = None
    return list(domains)
