"""Where two established programs read a real message alike, it is read as they do."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from domain.mail import ParsedMessage
from domain.mime_parse import parse
from tests.domain.oracle_differences import DIFFERENT, NOT_OPENED_ELSEWHERE
from tests.domain.oracles import in_utc, letters, listed, specimens, words
from tests.support.mail_files import corpus

log = logging.getLogger(__name__)
"""The scores are shown by `pytest --log-cli-level=INFO`."""

AGREEMENT = 0.97
"""The share of readings on which two programs agree that must come out the same."""

FIELDS = ("addresses", "subject", "date", "text", "names")

NAME_OF_OURS = re.compile(r"attachment-\d+\.\w+|signature\.asc|smime\.p7[ms]|invite\.ics|.*\.eml", re.DOTALL)
"""What is given to a file that comes without a name."""


@pytest.mark.parametrize("field", FIELDS)
def test_messages_are_read_as_two_programs_agree_to_read_them(field: str) -> None:
    corpus()
    same, different = compared()[field]
    scored = len(same) + len(different - NOT_OPENED_ELSEWHERE[field])
    log.info("%s: %d of %d, %.1f %%", field, len(same), scored, 100 * len(same) / scored)
    assert scored > 200
    assert len(same) / scored >= AGREEMENT


@pytest.mark.parametrize("field", FIELDS)
def test_every_message_that_is_read_otherwise_is_listed_with_its_reason(field: str) -> None:
    corpus()
    _, different = compared()[field]
    listed_files = [file for files in DIFFERENT[field].values() for file in files]
    assert sorted(different) == sorted(listed_files)


@cache
def compared() -> dict[str, tuple[set[str], set[str]]]:
    """For each field, the messages in which our reading is one that two others share, and those in which it is not."""
    found: dict[str, tuple[set[str], set[str]]] = {field: (set(), set()) for field in FIELDS}
    for specimen in specimens():
        for name, ours in our_readings(parse(specimen.raw)):
            is_same = agrees(name, ours, specimen.readings.get(name, []))
            if is_same is not None:
                found[name if name in FIELDS else "addresses"][0 if is_same else 1].add(specimen.name)
    return {field: (same - different, different) for field, (same, different) in found.items()}


def our_readings(message: ParsedMessage) -> Iterator[tuple[str, str]]:
    headers = {"from": message.from_, "to": message.to, "cc": message.cc, "bcc": message.bcc}
    for name, entries in headers.items():
        yield name, listed(entry.address for entry in entries if entry.address is not None)
    yield "subject", words(message.subject)
    yield "date", in_utc(message.date) if message.date else ""
    yield "text", letters(message.text)
    yield "names", "\n".join(sorted(part.filename for part in message.attachments))


def agrees(name: str, ours: str, theirs: list[str]) -> bool | None:
    """Whether ours is what two others read; None where no two agree, or agree that there is nothing."""
    agreed = [reading for reading, count in Counter(theirs).items() if count > 1 and "\ufffd" not in reading]
    if name == "names":
        files = ours.split("\n")
        ours_as = {reading: "\n".join(file for file in files if is_named(file, reading)) for reading in agreed}
    else:
        ours_as = dict.fromkeys(agreed, ours)
    if not any(ours_as) and not any(ours_as.values()):
        return None
    return any(reading == read for reading, read in ours_as.items())


def is_named(file: str, reading: str) -> bool:
    """Whether the message itself names it, as far as can be told: it may be called as we call what has no name."""
    return not NAME_OF_OURS.fullmatch(file) or file in reading.split("\n")
