"""Which words does a text hold, as search knows them?

The same for what is indexed and for what is sought, and on every database: case, accents and ways of writing a letter
are folded, nothing is reduced to a stem, and no language is assumed. Scripts that put no spaces between words are cut
into overlapping pairs of characters, so that any part of a sentence is found.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

WORD_LENGTH = 64
"""Characters of a word that count: whoever seeks a longer one finds it by as many."""
_KNOWN_RUNS = 20_000
"""Words whose cut is remembered: texts repeat themselves."""

_MARKS = "".join(chr(code) for code in range(0x300, 0xFFFF) if unicodedata.category(chr(code)).startswith("M"))
"""Signs that stand on or beside the letter before them; as all upper-case names here, for a class of an expression."""
DROPPED = (
    "\u00ad\u200b-\u200d\u2060\ufeff"  # soft hyphens, and what holds letters together or apart
    "\u0300-\u036f"  # accents of Latin, Greek and Cyrillic
    "\u0591-\u05c7"  # points of Hebrew
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed"  # vowel signs and the stretch of Arabic
    "\ufe00-\ufe0f"  # variants of signs
)
"""Within a word, and no part of it."""
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\ua960-\ua97f\uac00-\ud7ff\uff66-\uffdc"  # kana, Hangul
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Letters of scripts that are written without spaces. Korean has them, and hangs its endings on the word."""

_LONG_RUN = re.compile(rf"[A-Za-z0-9]{{{WORD_LENGTH + 1}}}")
_ASCII_RUN = re.compile(r"[a-z0-9]+")
_RUN = re.compile(f"[\\w{_MARKS}{DROPPED}]+")
_PART = re.compile(f"([{UNSPACED}]+)|[^_{UNSPACED}]+")
_NO_PART = re.compile(f"[{DROPPED}]+")
_NO_LETTER = re.compile(f"[^\\w{_MARKS}]")

_SPELT_OUT = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
)
"""Letters that Unicode does not take for others with an accent, and people do who have not got them."""


class Sought(NamedTuple):
    """A word of a query.

    Attributes:
        distance: from the word before it, in words of a text; 0 for the first.
        is_open: it is found at the beginning of longer words too.
    """

    word: str
    distance: int
    is_open: bool


def words(text: str) -> list[str]:
    """The words of any text; a word's place in the list is its position. Takes time linear in the text's length."""
    if text.isascii():
        runs = _ASCII_RUN.findall(text.lower())
        return [run[:WORD_LENGTH] for run in runs] if _LONG_RUN.search(text) else runs
    found: list[str] = []
    for run in _RUN.findall(text):
        found.extend(_known_run(run) if len(run) < WORD_LENGTH else _cut(run))
    return found


def sought(text: str) -> list[Sought]:
    """The words by which a text is found that holds this one.

    The last character alone of an unspaced run is left out, since the text may go on there.
    """
    found: list[Sought] = []
    distance = 0
    for run in _RUN.findall(text):
        for part in _PART.finditer(run):
            cut = _cut_part(part)
            is_unspaced = part[1] is not None
            for word in cut[:-1] if is_unspaced and len(cut) > 1 else cut:
                found.append(Sought(word, distance, is_open=is_unspaced and len(cut) == 1))
                distance = 1
            if is_unspaced and len(cut) > 1:
                distance += 1
    return found


def fold(word: str) -> str:
    """The word without case, accents and ways of writing; empty where nothing is left."""
    if word.isascii():
        return word.lower()
    plain = unicodedata.normalize("NFKD", word)
    # The Cyrillic short i is a letter of its own to all who write it, as no other accented letter here is.
    plain = _NO_PART.sub("", plain.replace("и\u0306", "й").replace("И\u0306", "Й"))
    plain = unicodedata.normalize("NFC", plain.casefold().translate(_SPELT_OUT))
    kept = _NO_LETTER.sub("", plain)
    return kept if any(map(str.isalnum, kept)) else ""


def plain_name(name: str) -> str:
    """A name as it is sought by parts of it: as the database keeps it in `sought` (migration 0005)."""
    without_accents = "".join(char for char in unicodedata.normalize("NFKD", name) if not "\u0300" <= char <= "\u036f")
    return without_accents.casefold().translate(_SPELT_OUT)


def _cut(run: str) -> tuple[str, ...]:
    """A run of letters as words."""
    return tuple(word for part in _PART.finditer(run) for word in _cut_part(part))


_known_run = lru_cache(maxsize=_KNOWN_RUNS)(_cut)


def _cut_part(part: re.Match[str]) -> list[str]:
    folded = fold(part[0])
    if not folded:
        return []
    if part[1] is None:
        return [folded[:WORD_LENGTH]]
    return [folded[place : place + 2] for place in range(len(folded))]
