"""Which fields of an event look the same to all who are told it?

None does unless it is declared here, and a test fails a field that is not. What is declared to vary by something is
shown in the same words to those who are alike in it (services.sharing.Variety). A field of a thing that not everyone
who is told the event can reach, such as another thread, is each viewer's own.
"""

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from services.sharing import Variety


class Own(Enum):
    """What is shared with nobody."""

    EACH = "for each viewer, and so is all that is selected beside it"
    BY_KIND = "for each viewer, since the event that shows it is worked out for each in any case"


Reach: TypeAlias = frozenset[Variety] | Own
SHARED: Reach = frozenset()
GROUPS: Reach = frozenset({Variety.GROUPS})
UNREAD: Reach = frozenset({Variety.UNREAD})
BOUNCES: Reach = frozenset({Variety.BOUNCES})
EACH = Own.EACH

_EVENT: Mapping[str, Reach] = {"cursor": SHARED, "at": SHARED}  # of a cursor, the place: it is put in for each

REACH: Mapping[str, Mapping[str, Reach]] = {
    "AccessChanged": _EVENT,
    "CandidateChanged": {**_EVENT, "candidate": SHARED},
    "CandidateWithdrawn": {**_EVENT, "candidateId": SHARED},
    "Checkpoint": _EVENT,
    "MailboxChanged": {**_EVENT, "mailbox": Own.BY_KIND},
    "MessageAdded": {**_EVENT, "origin": SHARED, "message": SHARED},
    "StreamReset": _EVENT,
    "ThreadChanged": {**_EVENT, "thread": SHARED},
    "ThreadMerged": {**_EVENT, "thread": SHARED, "retiredId": SHARED},
    "ThreadWithdrawn": {**_EVENT, "threadId": SHARED},
    "Attachment": {
        "id": SHARED,
        "filename": SHARED,
        "contentType": SHARED,
        "size": SHARED,
        "isInline": SHARED,
        "url": EACH,
    },
    "Bounce": {
        "isComplaint": SHARED,
        "failures": BOUNCES,
        "aboutRfcMessageId": SHARED,
        "about": SHARED,
    },
    "Candidate": {
        "id": SHARED,
        "externalId": SHARED,
        "name": SHARED,
        "emails": SHARED,
        "jobs": GROUPS,
        "syncState": SHARED,
        "unreadThreadCount": EACH,
        "threads": EACH,
    },
    "CandidateEmail": {"address": SHARED, "addedAt": SHARED, "isInternal": SHARED},
    "DeliveryFailure": {
        "address": SHARED,
        "statusCode": SHARED,
        "permanence": SHARED,
        "reason": SHARED,
        "diagnostic": SHARED,
    },
    "Job": {"id": SHARED, "externalId": SHARED, "title": SHARED, "status": SHARED, "hiringTeam": SHARED},
    "Message": {
        "id": SHARED,
        "direction": SHARED,
        "kind": SHARED,
        "candidates": GROUPS,
        "from": SHARED,
        "to": SHARED,
        "cc": SHARED,
        "bcc": EACH,
        "subject": BOUNCES,
        "sentAt": SHARED,
        "snippet": BOUNCES,
        "replyText": BOUNCES,
        "text": BOUNCES,
        "rfcMessageId": SHARED,
        "bounce": SHARED,
        "thread": SHARED,
        "html": EACH,  # its images are links that are each viewer's own
        "attachments": BOUNCES,
        "sourceUrl": EACH,
    },
    "MessageConnection": {"edges": SHARED, "pageInfo": SHARED},
    "MessageEdge": {"cursor": SHARED, "node": SHARED},
    "PageInfo": {"hasNextPage": SHARED, "hasPreviousPage": SHARED, "startCursor": SHARED, "endCursor": SHARED},
    "Participant": {"name": SHARED, "address": SHARED, "raw": SHARED, "user": SHARED, "candidate": GROUPS},
    "Thread": {
        "id": SHARED,
        "subject": SHARED,
        "snippet": SHARED,
        "candidates": GROUPS,
        "participants": SHARED,
        "lastMessageAt": SHARED,
        "messageCount": SHARED,
        "hasAttachments": SHARED,
        "isUnread": UNREAD,
        "visibility": SHARED,
        "messages": SHARED,
        "lastMessage": SHARED,
        "readers": EACH,
        "viewerCanSetVisibility": EACH,
        "forwardedFrom": EACH,
    },
    "User": {
        "id": SHARED,
        "externalId": SHARED,
        "name": SHARED,
        "email": SHARED,
        "addresses": SHARED,
        "accessLevel": SHARED,
        "isActive": SHARED,
        "mailboxes": EACH,
    },
}
"""For each type that an event leads to through fields that are shared: what each of its fields is."""
