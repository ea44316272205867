"""Who and what is there: the organisation, its users, jobs and candidates, as far as the viewer may see them.

Users are seen by all of their organisation. Candidates and jobs are seen by full access and service tokens; by a hiring
team, the jobs whose team the viewer is on and those who applied to them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.addresses import base, canonical
from domain.errors import BadInput
from domain.search_query import MAX_LENGTH
from domain.search_words import plain_name
from services.gate import SEEN_JOB, seen_candidate
from services.paging import Page, Row, Slice, Values, cut, window
from services.reading import Reader

MAX_NAME_WORDS = 10

_USER = """
u.id, u.external_id, u.name, u.email, u.access_level, u.is_active, u.created_at,
array(SELECT a.address FROM user_address a WHERE a.user_id = u.id ORDER BY a.id) AS addresses
"""
_JOB = "j.id, j.external_id, j.title, j.status, j.created_at"
_CANDIDATE = "c.id, c.external_id, c.name, c.created_at"


_SEEN_CANDIDATE = seen_candidate("c", every="$2", principals="$3", organisation="$1")

# R1.7: an address that is a colleague's, a connected mailbox's or on an internal domain is never matched.
_IS_INTERNAL = """
(EXISTS (SELECT FROM user_address a WHERE a.organisation_id = e.organisation_id AND a.base = e.base)
 OR EXISTS (SELECT FROM mailbox b WHERE b.organisation_id = e.organisation_id AND b.disconnected_at IS NULL
               AND (b.base = e.base AND b.is_proven OR b.aliases && ARRAY[e.canonical, e.base]::text[]))
 OR EXISTS (SELECT FROM organisation o WHERE o.id = e.organisation_id
               AND split_part(e.canonical, '@', -1) = ANY(o.internal_domains)))
"""


async def organisations_by_id(reader: Reader, organisation_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """The viewer's own organisation, where it is among these."""
    rows = await reader.db.fetch(
        "SELECT id, name, internal_domains, branch_policy FROM organisation WHERE id = $1 AND id = ANY($2::uuid[])",
        reader.viewer.organisation_id,
        list(organisation_ids),
    )
    return {row["id"]: row for row in rows}


async def event_position(reader: Reader) -> int:
    """Where the organisation's event stream stands at the moment that is read."""
    position: int = await reader.db.fetch_value(
        "SELECT event_position FROM organisation WHERE id = $1", reader.viewer.organisation_id
    )
    return position


async def users_by_id(reader: Reader, user_ids: Sequence[UUID]) -> dict[UUID, Row]:
    rows = await reader.db.fetch(
        f"SELECT {_USER} FROM user_account u WHERE u.organisation_id = $1 AND u.id = ANY($2::uuid[])",
        reader.viewer.organisation_id,
        list(user_ids),
    )
    return {row["id"]: row for row in rows}


async def user_by_external_id(reader: Reader, external_id: str) -> Row | None:
    return await reader.db.fetch_row(
        f"SELECT {_USER} FROM user_account u WHERE u.organisation_id = $1 AND u.external_id = $2",
        reader.viewer.organisation_id,
        _text(external_id),
    )


async def user_page(reader: Reader, page: Page, *, search: str | None, is_active: bool | None) -> Slice:
    """Users, newest first; each word of `search` is a part of a name or address, whatever the case and the accents."""
    values = Values(reader.viewer.organisation_id)
    walk = window(page, values, at="u.created_at", id="u.id", newest_first=True)
    narrowing = ""
    if is_active is not None:
        narrowing += f" AND u.is_active = {values.add(is_active)}"
    if search:
        addresses = "user_address a WHERE a.user_id = u.id"
        narrowing += _called(search, values, name="u.sought", addresses=addresses)
    rows = await reader.db.fetch(
        f"SELECT {_USER} FROM user_account u WHERE u.organisation_id = $1 {narrowing} {walk.where} "
        f"ORDER BY {walk.order} LIMIT {walk.limit}",
        *values.all,
    )
    return cut(rows, page)


async def jobs_by_id(reader: Reader, job_ids: Sequence[UUID]) -> dict[UUID, Row]:
    rows = await reader.db.fetch(
        f"SELECT {_JOB} FROM job j WHERE {SEEN_JOB} AND j.id = ANY($4::uuid[])", *_seen(reader).all, list(job_ids)
    )
    return {row["id"]: row for row in rows}


async def job_by_external_id(reader: Reader, external_id: str) -> Row | None:
    return await reader.db.fetch_row(
        f"SELECT {_JOB} FROM job j WHERE {SEEN_JOB} AND j.external_id = $4",
        *_seen(reader).all,
        _text(external_id),
    )


async def job_page(reader: Reader, page: Page, *, status: str | None) -> Slice:
    """Jobs that the viewer sees, newest first."""
    values = _seen(reader)
    walk = window(page, values, at="j.created_at", id="j.id", newest_first=True)
    narrowing = f"AND j.status = {values.add(status)}" if status is not None else ""
    rows = await reader.db.fetch(
        f"SELECT {_JOB} FROM job j WHERE {SEEN_JOB} {narrowing} {walk.where} ORDER BY {walk.order} LIMIT {walk.limit}",
        *values.all,
    )
    return cut(rows, page)


async def hiring_teams(reader: Reader, job_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """The users on the hiring team of each job."""
    return await _grouped(
        reader,
        f"""
        SELECT l.job_id AS of, {_USER} FROM job_member l JOIN user_account u ON u.id = l.user_id
         WHERE u.organisation_id = $1 AND l.job_id = ANY($2::uuid[]) ORDER BY l.id
        """,
        reader.viewer.organisation_id,
        list(job_ids),
    )


async def candidates_by_id(reader: Reader, candidate_ids: Sequence[UUID]) -> dict[UUID, Row]:
    rows = await reader.db.fetch(
        f"SELECT {_CANDIDATE} FROM candidate c WHERE {_SEEN_CANDIDATE} AND c.id = ANY($4::uuid[])",
        *_seen(reader).all,
        list(candidate_ids),
    )
    return {row["id"]: row for row in rows}


async def candidate_by_external_id(reader: Reader, external_id: str) -> Row | None:
    return await reader.db.fetch_row(
        f"SELECT {_CANDIDATE} FROM candidate c WHERE {_SEEN_CANDIDATE} AND c.external_id = $4",
        *_seen(reader).all,
        _text(external_id),
    )


async def candidate_page(reader: Reader, page: Page, *, search: str | None, job_id: UUID | None) -> Slice:
    """Candidates that the viewer sees, newest first; `search` as for users."""
    values = _seen(reader)
    walk = window(page, values, at="c.created_at", id="c.id", newest_first=True)
    narrowing = ""
    if job_id is not None:
        narrowing += (
            " AND EXISTS (SELECT 1 FROM application a JOIN job j ON j.id = a.job_id "
            f"WHERE a.candidate_id = c.id AND j.id = {values.add(job_id)} AND {SEEN_JOB})"
        )
    if search:
        addresses = "candidate_email a WHERE a.candidate_id = c.id"
        narrowing += _called(search, values, name="c.sought", addresses=addresses)
    rows = await reader.db.fetch(
        f"SELECT {_CANDIDATE} FROM candidate c WHERE {_SEEN_CANDIDATE} {narrowing} {walk.where} "
        f"ORDER BY {walk.order} LIMIT {walk.limit}",
        *values.all,
    )
    return cut(rows, page)


async def emails_of(reader: Reader, candidate_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """The addresses of each candidate, the oldest first, each with whether it belongs to the organisation itself."""
    return await _grouped(
        reader,
        f"""
        SELECT e.candidate_id AS of, e.address, e.added_at, {_IS_INTERNAL} AS is_internal
          FROM candidate_email e JOIN candidate c ON c.id = e.candidate_id
         WHERE {_SEEN_CANDIDATE} AND e.candidate_id = ANY($4::uuid[]) ORDER BY e.added_at, e.id
        """,
        *_seen(reader).all,
        list(candidate_ids),
    )


async def applications_of(reader: Reader, candidate_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """The jobs that each candidate applied to, as far as the viewer sees the jobs."""
    return await _grouped(
        reader,
        f"""
        SELECT a.candidate_id AS of, {_JOB} FROM application a JOIN job j ON j.id = a.job_id
         WHERE {SEEN_JOB} AND a.candidate_id = ANY($4::uuid[]) ORDER BY a.id
        """,
        *_seen(reader).all,
        list(candidate_ids),
    )


async def archived_candidates(reader: Reader, candidate_ids: Sequence[UUID]) -> set[UUID]:
    """Of these candidates, those who applied to jobs and all of them are archived (R1.6), unseen jobs included."""
    rows = await reader.db.fetch(
        f"""
        SELECT c.id FROM candidate c JOIN application a ON a.candidate_id = c.id JOIN job j ON j.id = a.job_id
         WHERE {_SEEN_CANDIDATE} AND c.id = ANY($4::uuid[])
         GROUP BY c.id HAVING bool_and(j.status = 'ARCHIVED')
        """,
        *_seen(reader).all,
        list(candidate_ids),
    )
    return {row["id"] for row in rows}


async def candidates_by_address(reader: Reader, addresses: Sequence[str]) -> Mapping[str, Row]:
    """For canonical addresses, the candidate that each belongs to: by its exact form, else without its tag (R1.4)."""
    bases = {address: base(address) for address in addresses}
    rows = await reader.db.fetch(
        f"""
        SELECT e.canonical, e.base, {_CANDIDATE} FROM candidate_email e JOIN candidate c ON c.id = e.candidate_id
         WHERE {_SEEN_CANDIDATE} AND (e.canonical = ANY($4::text[]) OR e.base = ANY($5::text[]))
           AND NOT {_IS_INTERNAL}
         ORDER BY c.id DESC
        """,
        *_seen(reader).all,
        list(addresses),
        list(set(bases.values())),
    )
    exact = {row["canonical"]: row for row in rows}
    untagged = {row["base"]: row for row in rows if row["canonical"] == row["base"]}
    found = {address: exact.get(address) or untagged.get(bases[address]) for address in addresses}
    return {address: row for address, row in found.items() if row is not None}


async def _grouped(reader: Reader, sql: str, *values: object) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in await reader.db.fetch(sql, *values):
        found[row["of"]].append(row)
    return found


def _seen(reader: Reader) -> Values:
    """What SEEN_JOB and _SEEN_CANDIDATE take as $1 to $3."""
    viewer = reader.viewer
    return Values(viewer.organisation_id, viewer.sees_every_candidate, reader.principals)


def _text(asked: str) -> str:
    """What is asked for, where it can be a text in the database.

    Raises:
        BadInput: it cannot, since PostgreSQL keeps no NUL.
    """
    if "\0" in asked:
        raise BadInput("This holds characters that are no text.")
    return asked


def _called(search: str, values: Values, *, name: str, addresses: str) -> str:
    """Conditions that begin with AND: each word is a part of the name or of an address; an address in its plain form.

    Args:
        addresses: what follows FROM, with rows `a` that have an `address`.

    Raises:
        BadInput: there are more words than a name has, or no text.
    """
    address = canonical(search)
    words = [address] if address else _text(search).split()
    if len(search) > MAX_LENGTH or len(words) > MAX_NAME_WORDS:
        raise BadInput(f"A name can be sought by {MAX_NAME_WORDS} words and {MAX_LENGTH} characters at most.")
    return "".join(
        f" AND ({name} LIKE {values.add(_containing(plain_name(word)))} OR EXISTS "
        f"(SELECT 1 FROM {addresses} AND a.address ILIKE {values.add(_containing(word))}))"
        for word in words
    )


def _containing(part: str) -> str:
    """A pattern of LIKE for texts with this part."""
    for special in ("\\", "%", "_"):
        part = part.replace(special, "\\" + special)
    return f"%{part}%"
