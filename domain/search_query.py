"""What does somebody who searches ask for? From what they typed to terms, and from these to a PostgreSQL `tsquery`.

Words, "phrases", -not and prefix*; a message is found that holds all of the terms and none of those excluded. Anything
may be typed: what is no word separates words, a quote that is left open ends with the text.
"""

import re
from dataclasses import dataclass

from domain.errors import BadInput
from domain.search_words import Sought, sought

MAX_LENGTH = 1_000
MAX_WORDS = 30

_QUOTES = dict.fromkeys(map(ord, "“”„‟«»〝〞\uff02"), '"')
_CHUNK = re.compile(r'(-*)(?:"([^"]*)"?|([^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """What a message must hold, or must not: a word, or words that follow each other."""

    words: tuple[Sought, ...]
    is_excluded: bool

    def tsquery(self, mark: str) -> str:
        first, *others = (f"'{mark}{word.word}'{':*' if word.is_open else ''}" for word in self.words)
        steps = zip(others, self.words[1:], strict=True)
        phrase = first + "".join(f" <{word.distance}> {operand}" for operand, word in steps)
        return f"!({phrase})" if self.is_excluded else f"({phrase})"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Terms that a message is found by; never none."""

    terms: tuple[Term, ...]

    @property
    def wanted(self) -> tuple[Term, ...]:
        """Those that stand in what is found."""
        return tuple(term for term in self.terms if not term.is_excluded)

    def tsquery(self, mark: str) -> str:
        """As PostgreSQL reads it, for the organisation with this mark (domain.search_index).

        Words are letters, digits and marks alone: nothing in them needs escaping.
        """
        terms = [term.tsquery(mark) for term in self.terms]
        return " & ".join(terms if self.wanted else (f"'{mark}'", *terms))  # for what only excludes: of all there is


def read_query(typed: str) -> SearchQuery | None:
    """What is asked for; None where there is no word in it, which finds nothing.

    Raises:
        BadInput: it is longer than anybody types.
    """
    if len(typed) > MAX_LENGTH:
        raise BadInput(f"A search can have at most {MAX_LENGTH} characters.")
    terms = []
    for chunk in _CHUNK.finditer(typed.translate(_QUOTES)):
        excluded, phrase, bare = chunk.groups()
        text = bare if phrase is None else phrase
        words = sought(text)
        if words and text.endswith("*"):
            words[-1] = words[-1]._replace(is_open=True)
        if words:
            terms.append(Term(tuple(words), is_excluded=bool(excluded)))
    if sum(len(term.words) for term in terms) > MAX_WORDS:
        raise BadInput(f"A search can have at most {MAX_WORDS} words.")
    return SearchQuery(tuple(dict.fromkeys(terms))) if terms else None
