"""What is kept of a message so that a search finds it?

A PostgreSQL `tsvector` in its text form: each word of the subject, of the people whom all of its readers are shown, and
of the body, with its positions. Bcc is no part of it (R3.5). Before each word stands the organisation's mark, so that
the index holds the words of each organisation apart, and none pays for another's mail.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain.search_words import words

BODY_LENGTH = 30_000
"""Characters of a body in which words are found: some ten pages, the newest part of a conversation first."""
SUBJECT_LENGTH = 2_000
MAX_PEOPLE = 100
_PERSON_LENGTH = 400
_MAX_POSITION = 16_000
"""Source: PostgreSQL 18 documentation, §8.11.1 (16383), checked 2026-11-22."""
_PLACES = tuple(map(str, range(_MAX_POSITION)))
"""Positions as they are written."""
_MARK_LENGTH = 3
_GAP = 10
"""Positions between one part and the next, which no phrase bridges."""


def search_vector(mark: str, *, subject: str, people: Mapping[str, Any], text: str) -> str:
    """The words of a message. Any text gives one that PostgreSQL takes, far below its limit of 1 MB.

    Args:
        mark: of the organisation, by `search_mark`.
        people: as in the message's row.
    """
    places: dict[str, str] = {}
    first = 1
    for part in (subject[:SUBJECT_LENGTH], *map(person_text, shown_people(people)), text[:BODY_LENGTH]):
        found = words(part)[: max(0, _MAX_POSITION - first)]
        for word, place in zip(found, _PLACES[first : first + len(found)], strict=True):
            places[word] = f"{places[word]},{place}" if word in places else place
        first += len(found) - bool(found) + _GAP
    return " ".join([f"'{mark}'", *[f"'{mark}{word}':{at}" for word, at in places.items()]])


def search_mark(organisation_id: UUID) -> str:
    """What stands before each word of an organisation. A few may have the same: it tells words apart, not rights."""
    return organisation_id.hex[-_MARK_LENGTH:]


def shown_people(people: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of a message whom each of its readers is shown and a search finds."""
    return [entry for role in ("from", "to", "cc") for entry in people[role]][:MAX_PEOPLE]


def person_text(entry: Mapping[str, Any]) -> str:
    """A participant as a search sees and shows them."""
    if entry["address"] is None:
        shown = entry["raw"]
    else:
        shown = f"{entry['name']} <{entry['address']}>" if entry["name"] else entry["address"]
    return str(shown)[:_PERSON_LENGTH]
