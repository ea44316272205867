"""Where in a text is what somebody searched for?

A text is folded character by character, so that what is found leads back to where it stands, and is looked through only
up to the first place that is found.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from domain.search_query import SearchQuery, Term
from domain.search_words import DROPPED, UNSPACED, fold

EXCERPT_LENGTH = 200
_BEFORE = 60
"""Characters of an excerpt before what was found."""
_KNOWN_QUERIES = 256
_KNOWN_CHARACTERS = 0x10000
"""Those beyond are folded anew each time."""

_SPACE = re.compile(r"\s+")
_IS_DROPPED = re.compile(f"[{DROPPED}]")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_IS_SPACED = re.compile(f"[^\\W_{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a text on one line, and whether it is what was sought."""

    text: str
    is_match: bool


@dataclass(frozen=True, slots=True)
class _Mark:
    """A term in folded text: what it looks like, and whether it must begin and end where a word does."""

    pattern: re.Pattern[str]
    begins: bool
    ends: bool

    def end(self, folded: str, start: int) -> int | None:
        """Where the term ends that begins here; None where it does not."""
        match = self.pattern.match(folded, start)
        if match is None or (self.begins and start and _IS_SPACED.match(folded, start - 1)):
            return None
        return None if self.ends and _IS_SPACED.match(folded, match.end()) else match.end()


@dataclass(frozen=True, slots=True)
class _Marks:
    """The terms of a query. `anything` matches wherever one of them does, and elsewhere: it is quick."""

    anything: re.Pattern[str]
    terms: tuple[_Mark, ...]

    def places(self, folded: str) -> Iterator[tuple[int, int]]:
        beyond = 0
        for match in self.anything.finditer(folded):
            start = match.start()
            ends = [end for term in self.terms if (end := term.end(folded, start)) is not None]
            if ends and start >= beyond:
                beyond = max(ends)
                yield start, beyond


def excerpt(text: str, query: SearchQuery) -> tuple[Fragment, ...]:
    """The text around the first thing found, in pieces that follow each other; empty where there is none."""
    marks = _marks(query)
    if marks is None:
        return ()
    folded, origin = _folded(text)
    pieces: list[Fragment] = []
    place = end = -1
    for first, last in marks.places(folded):
        found, beyond = origin(first), origin(last)
        if place < 0:
            place, end = _window(text, found, beyond)
        if found < place:
            continue
        if beyond > end:
            break
        pieces += [Fragment(text[place:found], is_match=False), Fragment(text[found:beyond], is_match=True)]
        place = beyond
    pieces.append(Fragment(text[place:end], is_match=False))
    return tuple(Fragment(_SPACE.sub(" ", piece.text), piece.is_match) for piece in pieces if piece.text)


def _window(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch to show around what was found: whole words, where there are any."""
    first = max(0, start - _BEFORE)
    last = max(end, min(len(text), first + EXCERPT_LENGTH))
    if first and (space := _SPACE.search(text, first, start)) is not None:
        first = space.end()
    if last < len(text):
        last = max((space.start() for space in _SPACE.finditer(text, end, last)), default=last)
    return first, last


def _folded(text: str) -> tuple[str, Callable[[int], int]]:
    """The text with each character folded, and what leads from a place in that back to the text."""
    if text.isascii():
        return text.lower(), lambda place: place
    pieces = list(map(_FOLDED.__getitem__, text))
    folded = "".join(pieces)
    if len(folded) == len(text):
        return folded, lambda place: place
    ends = list(accumulate(map(len, pieces)))
    return folded, lambda place: bisect_right(ends, place)


class _Folding(dict[str, str]):
    """What each character becomes."""

    def __missing__(self, character: str) -> str:
        if _IS_DROPPED.match(character):
            folded = ""
        else:
            folded = (fold(character) or character) if character.isalnum() else character
        if ord(character) < _KNOWN_CHARACTERS:
            self[character] = folded
        return folded


_FOLDED = _Folding()


@lru_cache(maxsize=_KNOWN_QUERIES)
def _marks(query: SearchQuery) -> _Marks | None:
    """None where the query only excludes."""
    if not query.wanted:
        return None
    return _Marks(re.compile("|".join(map(_expression, query.wanted))), tuple(map(_mark, query.wanted)))


def _mark(term: Term) -> _Mark:
    first, last = term.words[0], term.words[-1]
    return _Mark(
        re.compile(_expression(term)),
        begins=not _is_unspaced(first.word),
        ends=not (last.is_open or _is_unspaced(last.word)),
    )


def _expression(term: Term) -> str:
    """A word, or words with anything but letters between them; pairs of an unspaced run as the run that they are of."""
    expression = before = ""
    for word in (each.word for each in term.words):
        if _is_unspaced(word) and len(before) > 1 and before[1] == word[0]:
            expression += re.escape(word[1:])
        else:
            expression += (r"[\W_]*" if expression else "") + re.escape(word)
        before = word
    return expression


def _is_unspaced(word: str) -> bool:
    return _IS_UNSPACED.match(word) is not None
