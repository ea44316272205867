"""What do lists of threads show, and how are they narrowed? The parts of their statements.

All take the viewer's organisation, principals, id, and whether they see every candidate, as $1 to $4.
"""

from dataclasses import dataclass
from uuid import UUID

from domain.access import Visibility
from domain.search_query import SearchQuery
from services.gate import seen_candidate
from services.paging import Values
from services.reading import Reader
from services.search import holds

READS_SINCE = "(SELECT u.reads_since FROM user_account u WHERE u.id = $3)"
"""From when on mail can be unread to the viewer ($3)."""
UNREAD = (
    "t.last_live_inbound_at > coalesce("
    f"(SELECT r.read_until FROM thread_read r WHERE r.user_id = $3 AND r.thread_id = t.id), {READS_SINCE})"
)
"""Of a thread `t`: something live has come since the viewer ($3) last opened it."""


COLUMNS = f"""
t.id, t.subject, t.snippet, t.visibility, t.participants, t.last_message, t.last_message_at, t.message_count,
t.has_attachments, t.forwarded_from_id, coalesce({UNREAD}, false) AS is_unread,
(SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'external_id', c.external_id, 'name', c.name) ORDER BY c.id),
                 '[]')
   FROM thread_candidate tc JOIN candidate c ON c.id = tc.candidate_id
  WHERE tc.thread_id = t.id AND {seen_candidate("c", every="$4", principals="$2", organisation="$1")}) AS candidates
"""


@dataclass(frozen=True, slots=True)
class ThreadFilter:
    """Each attribute narrows; None means everything. What names something unseen finds nothing."""

    candidate_id: UUID | None = None
    job_id: UUID | None = None
    mailbox_id: UUID | None = None
    visibility: Visibility | None = None
    unread: bool | None = None
    search: SearchQuery | None = None

    @property
    def asks_of_thread(self) -> bool:
        """Whether it takes the thread's own row to tell."""
        return self.visibility is not None or self.unread is not None


EVERYTHING = ThreadFilter()


def values_of(reader: Reader) -> Values:
    """$1 to $4."""
    viewer = reader.viewer
    return Values(viewer.organisation_id, reader.principals, viewer.user_id, viewer.sees_every_candidate)


def narrowing(narrowed: ThreadFilter, values: Values, *, thread: str = "r.thread_id") -> str:
    """Conditions that begin with AND, or nothing: all but `candidate_id` and `search`.

    Args:
        thread: the column with the thread's id. Where the filter asks of the thread, `t` is its row.
    """
    parts: list[str] = []
    if narrowed.visibility is not None:
        parts.append(f"t.visibility = {values.add(narrowed.visibility.value)}")
    if narrowed.unread is not None:
        parts.append(f"coalesce({UNREAD}, false) = {values.add(narrowed.unread)}")
    if narrowed.job_id is not None:
        parts.append(
            "EXISTS (SELECT 1 FROM thread_candidate tc JOIN application a ON a.candidate_id = tc.candidate_id "
            "JOIN job j ON j.id = a.job_id "
            f"WHERE tc.thread_id = {thread} AND a.job_id = {values.add(narrowed.job_id)} "
            "AND j.organisation_id = $1 AND ($4 OR j.id = ANY($2::uuid[])))"
        )
    if narrowed.mailbox_id is not None:
        parts.append(
            "EXISTS (SELECT 1 FROM message m JOIN message_copy mc ON mc.message_id = m.id "
            "JOIN mailbox b ON b.id = mc.mailbox_id "
            f"WHERE m.thread_id = {thread} AND b.id = {values.add(narrowed.mailbox_id)} "
            "AND b.organisation_id = $1 AND (b.owner_id = $3 OR b.id = ANY($2::uuid[])))"
        )
    return "".join(f" AND {part}" for part in parts)


def searching(narrowed: ThreadFilter, values: Values, *, thread: str = "r.thread_id") -> str:
    """The condition of `search`, likewise: for statements that have the threads, and look into each."""
    return "" if narrowed.search is None else f" AND {holds(narrowed.search, values, thread=thread)}"
