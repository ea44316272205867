"""Which candidates, and which colleagues, are behind the addresses of a message?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.addresses import base, canonical, domain_of
from infra.db import Statements


@dataclass(frozen=True, slots=True)
class CandidateMatch:
    """A candidate, and the address on their record that a message's address was matched by."""

    candidate_id: UUID
    email_id: UUID


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Who is behind each canonical address; an address that is missing is nobody's.

    Attributes:
        candidates: for addresses outside the organisation.
        users: for colleagues' own addresses and their proven mailboxes.
        internal: addresses of the organisation: colleagues', proven mailboxes', and those on its domains.
    """

    candidates: Mapping[str, tuple[CandidateMatch, ...]]
    users: Mapping[str, UUID]
    internal: frozenset[str]

    def candidates_of(self, addresses: Iterable[str]) -> frozenset[CandidateMatch]:
        return frozenset(match for address in addresses for match in self.candidates.get(address, ()))


# A base determines which canonical forms can match (an exact match has the same base), so one index serves both. The
# guards of R1.7 compare bases too: what is delivered to a colleague under a tag is a colleague's.
_CANDIDATES = """
WITH asked AS (SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) AS a(canonical, base, domain))
SELECT a.canonical, e.id AS email_id, e.candidate_id, e.canonical = a.canonical AS is_exact
  FROM asked a
  JOIN candidate_email e ON e.organisation_id = $1 AND e.base = a.base
 WHERE NOT EXISTS (SELECT FROM organisation o WHERE o.id = $1 AND a.domain = ANY(o.internal_domains))
   AND NOT EXISTS (SELECT FROM user_address u WHERE u.organisation_id = $1 AND u.base = a.base)
   AND NOT EXISTS (SELECT FROM mailbox m WHERE m.organisation_id = $1 AND m.base = a.base
                      AND m.is_proven AND m.disconnected_at IS NULL)
   AND (NOT EXISTS (SELECT FROM application p WHERE p.candidate_id = e.candidate_id)
        OR EXISTS (SELECT FROM application p JOIN job j ON j.id = p.job_id
                    WHERE p.candidate_id = e.candidate_id AND j.status = 'OPEN'))
"""

# Those who are closest to an address: who has it in the directory, then whose mailbox it is, then who has it without
# its tag; nobody in particular for what is only on an internal domain.
_COLLEAGUES = """
WITH asked AS (SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) AS a(canonical, base, domain)),
     known AS (
       SELECT a.canonical, u.user_id, CASE u.canonical WHEN a.canonical THEN 1 WHEN a.base THEN 3 ELSE 5 END AS distance
         FROM asked a JOIN user_address u ON u.organisation_id = $1 AND u.base = a.base
        UNION ALL
       SELECT a.canonical, m.owner_id, CASE m.canonical WHEN a.canonical THEN 2 WHEN a.base THEN 4 ELSE 5 END
         FROM asked a JOIN mailbox m ON m.organisation_id = $1 AND m.base = a.base
        WHERE m.is_proven AND m.disconnected_at IS NULL
        UNION ALL
       SELECT a.canonical, NULL, 6 FROM asked a
         JOIN organisation o ON o.id = $1 AND a.domain = ANY(o.internal_domains))
SELECT DISTINCT ON (canonical) canonical, array_agg(DISTINCT user_id) AS user_ids
  FROM known GROUP BY canonical, distance ORDER BY canonical, distance
"""


async def match_candidates(
    db: Statements, organisation_id: UUID, addresses: Iterable[str], *, excluded: Iterable[str] = ()
) -> Mapping[str, tuple[CandidateMatch, ...]]:
    """The candidates behind canonical addresses: exact matches, or else those that differ by a tag (R1.4).

    Nobody is matched by a colleague's or excluded address, nor a candidate all of whose jobs are archived.
    """
    asked = sorted(set(addresses).difference(_excluded_of(addresses, excluded)))
    if not asked:
        return {}
    rows = await db.fetch(_CANDIDATES, organisation_id, asked, [base(a) for a in asked], [domain_of(a) for a in asked])
    exact: dict[str, list[CandidateMatch]] = {}
    near: dict[str, list[CandidateMatch]] = {}
    for row in rows:
        into = exact if row["is_exact"] else near
        into.setdefault(row["canonical"], []).append(CandidateMatch(row["candidate_id"], row["email_id"]))
    return {address: tuple(matches) for address, matches in {**near, **exact}.items()}


async def address_book(
    db: Statements, organisation_id: UUID, addresses: Iterable[str], *, excluded: Iterable[str] = ()
) -> AddressBook:
    """Candidates and colleagues behind canonical addresses, in two statements."""
    asked = sorted(set(addresses))
    candidates = await match_candidates(db, organisation_id, asked, excluded=excluded)
    rows = await db.fetch(
        _COLLEAGUES,
        organisation_id,
        asked,
        [base(address) for address in asked],
        [domain_of(address) for address in asked],
    )
    # Several whose addresses differ by a tag from the one asked for: to guess at one would be to let them read.
    users = {row["canonical"]: row["user_ids"][0] for row in rows if len(row["user_ids"]) == 1 and row["user_ids"][0]}
    return AddressBook(candidates, users, frozenset(row["canonical"] for row in rows))


class CanonicalForms(dict[str, str | None]):
    """The canonical form of each address asked for, worked out once; None for what is no address.

    To be kept for a page of headers, no longer: in it the same few people come again and again.
    """

    def __missing__(self, address: str) -> str | None:
        self[address] = form = canonical(address)
        return form


def canonical_addresses(addresses: Iterable[str], forms: CanonicalForms | None = None) -> list[str]:
    """The canonical forms of those that are addresses at all."""
    known = CanonicalForms() if forms is None else forms
    return [form for address in addresses if (form := known[address]) is not None]


def _excluded_of(addresses: Iterable[str], excluded: Iterable[str]) -> set[str]:
    """Those that the mailbox's owner never wants matched: an address with all its tags, or a `@domain`."""
    rules = set(excluded)
    if not rules:
        return set()
    return {a for a in addresses if rules & {a, base(a), f"@{domain_of(a)}"}}
