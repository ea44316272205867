"""How clients narrow lists of threads."""

import strawberry

from domain.access import Visibility
from domain.search_query import read_query
from gql.schema.arguments import NOTHING, optional_row_id
from gql.schema.enums import ThreadVisibility
from services import thread_lists


@strawberry.input(description="Each field narrows; none means everything. What names something unseen finds nothing.")
class ThreadFilter:
    candidate_id: strawberry.ID | None = strawberry.field(default=None, description="On the record of this candidate.")
    job_id: strawberry.ID | None = strawberry.field(
        default=None, description="On the record of a candidate who applied to this job."
    )
    mailbox_id: strawberry.ID | None = strawberry.field(
        default=None, description="With a message in this mailbox: one of the viewer's own or one they read."
    )
    visibility: ThreadVisibility | None = strawberry.field(
        default=None, description="Only shared or only private ones."
    )
    unread: bool | None = strawberry.field(default=None, description="Only unread ones, or only read ones.")
    search: str | None = strawberry.field(
        default=None,
        description='Full-text over subject, body and participants; words, "phrases", -not, prefix*. A message is '
        "found that holds all that is asked for, whatever the case and the accents, and the thread with it. Blank is "
        "as good as none; at most 1000 characters and 30 words.",
    )


def narrowed_by(filter: ThreadFilter | None) -> thread_lists.ThreadFilter | None:
    """The filter for lists of threads; None where it names something that cannot be, and so finds nothing.

    Raises:
        BadInput: the search is longer than anybody types.
    """
    if filter is None:
        return thread_lists.EVERYTHING
    is_searched = bool(filter.search and filter.search.strip())
    query = read_query(filter.search) if filter.search and is_searched else None
    narrowed = thread_lists.ThreadFilter(
        candidate_id=optional_row_id("candidate", filter.candidate_id),
        job_id=optional_row_id("job", filter.job_id),
        mailbox_id=optional_row_id("mailbox", filter.mailbox_id),
        visibility=Visibility(filter.visibility.name) if filter.visibility is not None else None,
        unread=filter.unread,
        search=query,
    )
    names_nothing = NOTHING in (narrowed.candidate_id, narrowed.job_id, narrowed.mailbox_id)
    return None if names_nothing or (is_searched and query is None) else narrowed
