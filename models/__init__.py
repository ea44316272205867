"""The database's rows: columns and constraints, no behaviour. Imported by services alone."""

from models.event import AuditEntry, Event
from models.hiring import Application, Candidate, CandidateEmail, Job, JobMember
from models.mailbox import FolderState, LedgerEntry, Mailbox, MailboxSearch, MailboxViewer
from models.message import Attachment, BlobClaim, Bounce, Message, MessageCandidate, MessageCopy
from models.organisation import Organisation, User, UserAddress
from models.search import MessageSearch
from models.thread import RetiredThread, Thread, ThreadCandidate, ThreadKey, ThreadRead, ThreadReader

__all__ = [
    "Application",
    "Attachment",
    "AuditEntry",
    "BlobClaim",
    "Bounce",
    "Candidate",
    "CandidateEmail",
    "Event",
    "FolderState",
    "Job",
    "JobMember",
    "LedgerEntry",
    "Mailbox",
    "MailboxSearch",
    "MailboxViewer",
    "Message",
    "MessageCandidate",
    "MessageCopy",
    "MessageSearch",
    "Organisation",
    "RetiredThread",
    "Thread",
    "ThreadCandidate",
    "ThreadKey",
    "ThreadRead",
    "ThreadReader",
    "User",
    "UserAddress",
]
