"""How clients narrow lists of threads."""

import strawberry

from domain.access import Visibility
from domain.errors import BadInput
from gql.schema.arguments import NOTHING, optional_row_id
from gql.schema.enums import ThreadVisibility
from services import inbox


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
        description='Full-text over subject, body and participants; words, "phrases", -not, prefix*.',
    )


def narrowed_by(filter: ThreadFilter | None) -> inbox.ThreadFilter | None:
    """The filter for the inbox; None where it names something that cannot be, and so finds nothing.

    Raises:
        BadInput: it asks for a search, which this server cannot do.
    """
    if filter is None:
        return inbox.EVERYTHING
    if filter.search is not None:
        raise BadInput("This server does not search in threads yet.")
    narrowed = inbox.ThreadFilter(
        candidate_id=optional_row_id("candidate", filter.candidate_id),
        job_id=optional_row_id("job", filter.job_id),
        mailbox_id=optional_row_id("mailbox", filter.mailbox_id),
        visibility=Visibility(filter.visibility.name) if filter.visibility is not None else None,
        unread=filter.unread,
    )
    return None if NOTHING in (narrowed.candidate_id, narrowed.job_id, narrowed.mailbox_id) else narrowed
