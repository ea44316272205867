"""Enumerations that both shapes and their filters name."""

from enum import Enum

import strawberry
from strawberry import enum_value


@strawberry.enum(description="Who reads a thread besides its own readers.")
class ThreadVisibility(Enum):
    SHARED = enum_value("SHARED", description="Anyone with access to one of its candidates can read it.")
    PRIVATE = enum_value("PRIVATE", description="Only its readers can read it, administrators included.")


@strawberry.enum(description="Why a user reads a thread whatever its visibility.")
class ReaderReason(Enum):
    PARTICIPANT = enum_value(
        "PARTICIPANT",
        description="From, To or Cc of a message in it, or owner of a mailbox that holds it. Cannot be taken away.",
    )
    SHARED_MAILBOX = enum_value(
        "SHARED_MAILBOX", description="Viewer of a shared mailbox that holds it, for as long as they are."
    )
    GRANTED = enum_value(
        "GRANTED",
        description="Given access by a participant. Reads; cannot grant, revoke, share or mark.",
    )


@strawberry.enum(description="Where a search found what it sought.")
class SearchField(Enum):
    SUBJECT = enum_value("SUBJECT", description="In the subject.")
    BODY = enum_value("BODY", description="In the text.")
    PARTICIPANT = enum_value("PARTICIPANT", description="In a name or address.")
