"""Words are cut and folded the same in what is kept and in what is sought, and found again where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BadInput
from domain.search_index import search_vector
from domain.search_marks import EXCERPT_LENGTH, excerpt
from domain.search_query import MAX_LENGTH, SearchQuery, read_query
from domain.search_words import WORD_LENGTH, words

FOLDED = [
    ("Müller, Hauptstraße", ["muller", "hauptstrasse"]),
    ("Mu\u0308ller", ["muller"]),
    ("l\u2019été à Besançon", ["l", "ete", "a", "besancon"]),
    ("Ёлка мой", ["елка", "мой"]),
    ("Łódź Ærø Việt", ["lodz", "aero", "viet"]),
    ("İstanbul ISTANBUL", ["istanbul", "istanbul"]),
    ("ΣΊΣΥΦΟΣ Σίσυφος", ["σισυφοσ", "σισυφοσ"]),
    ("مُحَمَّد", ["محمد"]),
    ("שָׁלוֹם", ["שלום"]),
    ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    ("東京都", ["東京", "京都", "都"]),
    ("지원서", ["지원", "원서", "서"]),
    ("東京office", ["東京", "京", "office"]),
    ("Bewer\u00adbung", ["bewerbung"]),
    ("ana.lima@example.org", ["ana", "lima", "example", "org"]),
    ("snake_case follow-up 2nd", ["snake", "case", "follow", "up", "2nd"]),
    ("\ufb01x \uff21\uff22\uff23", ["fix", "abc"]),
    ("👩\u200d💻 ☕\ufe0f !?", []),
    ("a\0b\ud800c", ["a", "b", "c"]),
]


@pytest.mark.parametrize(("text", "expected"), FOLDED, ids=[text.encode("ascii", "replace") for text, _ in FOLDED])
def test_a_text_is_cut_into_folded_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_no_word_is_reduced_to_a_stem_or_left_out() -> None:
    assert words("the applications applied und die Bewerbungen") == [
        "the",
        "applications",
        "applied",
        "und",
        "die",
        "bewerbungen",
    ]


@given(st.text(max_size=300))
def test_words_of_any_text_need_no_escaping_and_have_a_limit(text: str) -> None:
    for word in words(text):
        assert 0 < len(word) <= WORD_LENGTH
        assert not set(word) & set("'\\&|!()<>:* \0")


QUERIES = [
    ("offer", "('offer')"),
    ("Offer ОФФЕР", "('offer') & ('оффер')"),
    ('"senior developer" -rejected dev*', "('senior' <1> 'developer') & !('rejected') & ('dev':*)"),
    ("„senior developer“", "('senior' <1> 'developer')"),
    ('"open end', "('open' <1> 'end')"),
    ('-"a b"', "'' & !('a' <1> 'b')"),
    ("follow-up", "('follow' <1> 'up')"),
    ("ana@mail.example", "('ana' <1> 'mail' <1> 'example')"),
    ("東京都", "('東京' <1> '京都')"),
    ("東", "('東':*)"),
    ('"東京office x"', "('東京' <2> 'office' <1> 'x')"),
    ("a & b | !c <-> (d):", "('a') & ('b') & ('c') & ('d')"),
    ("offer offer", "('offer')"),
    ("O'Brien\\", "('o' <1> 'brien')"),
]


@pytest.mark.parametrize(("typed", "expected"), QUERIES, ids=[typed.encode("ascii", "replace") for typed, _ in QUERIES])
def test_a_query_is_words_phrases_exclusions_and_prefixes(typed: str, expected: str) -> None:
    query = read_query(typed)
    assert query is not None
    assert query.tsquery("") == expected


@pytest.mark.parametrize("typed", ["", " ", '"', '""', "-", "- -", "*", "!!!", "☕", '-""*', "\0", "\u202e"])
def test_what_holds_no_word_asks_for_nothing(typed: str) -> None:
    assert read_query(typed) is None


@pytest.mark.parametrize("typed", ["a" * (MAX_LENGTH + 1), "x " * 10_000, "a b " * 31, "東" * 100])
def test_what_nobody_types_is_refused(typed: str) -> None:
    with pytest.raises(BadInput):
        read_query(typed)


@given(st.text(max_size=120))
def test_any_text_is_a_query_or_is_refused(typed: str) -> None:
    try:
        query = read_query(typed)
    except BadInput:
        return
    assert query is None or query.terms


def asked(typed: str) -> SearchQuery:
    query = read_query(typed)
    assert query is not None
    return query


def shown(text: str, typed: str) -> str:
    return "".join(f"[{piece.text}]" if piece.is_match else piece.text for piece in excerpt(text, asked(typed)))


MARKED = [
    ("Grüße von Frau Müller, Hauptstraße 1", "muller strasse grusse", "[Grüße] von Frau [Müller], Hauptstraße 1"),
    ("die Straße", "STRASSE", "die [Straße]"),
    ("cafe\u0301 noir", "café", "[cafe\u0301] noir"),
    ("私は東京都に住む", "東京都", "私は[東京都]に住む"),
    ("東京office", "office", "東京[office]"),
    ("the preposterous Prelude", "pre*", "the [pre]posterous [Pre]lude"),
    ("a senior\r\n\tDeveloper!", '"senior developer"', "a [senior Developer]!"),
    ("Ana <ana@mail.example>", "ana@mail.example", "Ana <[ana@mail.example]>"),
    ("an anagram", "an", "[an] anagram"),
    ("Ёлка", "елка", "[Ёлка]"),
    ("<b>bold</b> & \u202ebidi", "bold", "<b>[bold]</b> & \u202ebidi"),
    ("nothing here", "else", ""),
    ("only excluded", "-only", ""),
]


@pytest.mark.parametrize(("text", "typed", "expected"), MARKED)
def test_what_is_found_is_marked_in_the_text_as_it_stands(text: str, typed: str, expected: str) -> None:
    assert shown(text, typed) == expected


def test_an_excerpt_is_short_and_of_whole_words_around_the_first_find() -> None:
    text = "before " * 100 + "needle " + "after " * 100 + "needle"
    found = shown(text, "needle")
    assert found.startswith("before")
    assert "[needle] after" in found
    assert found.count("needle") == 1
    assert len(found) <= EXCERPT_LENGTH + 2
    assert found.endswith("after")


@given(st.text(max_size=400), st.text(max_size=20))
def test_pieces_are_of_the_text_and_never_fail(text: str, typed: str) -> None:
    try:
        query = read_query(typed)
    except BadInput:
        return
    if query is not None:
        pieces = "".join(piece.text for piece in excerpt(text, query))
        assert "".join(pieces.split()) in "".join(text.split())


@given(st.text(alphabet="aäßé東京 оЁ-'_\u0301", min_size=1, max_size=60))
def test_a_text_is_marked_where_its_own_words_are_sought(text: str) -> None:
    query = read_query(text.replace("-", " ").replace('"', " ").replace("*", " "))
    if query is not None and len(words(text)) <= 20:
        assert any(piece.is_match for piece in excerpt(text, query))


def test_a_vector_knows_the_subject_the_people_and_the_body_and_no_bcc() -> None:
    def entry(name: str | None, address: str | None) -> dict[str, object]:
        return {"name": name, "address": address, "raw": "Raw Entry"}

    people = {
        "from": [entry("Ana", "a@x.example")],
        "to": [entry(None, None)],
        "cc": [],
        "bcc": [entry("Boss", "boss@x.example")],
    }
    vector = search_vector("m", subject="Hello hello", people=people, text="the Body")
    assert (
        vector == "'m' 'mhello':1,2 'mana':12 'ma':13 'mx':14 'mexample':15 'mraw':25 'mentry':26 'mthe':36 'mbody':37"
    )
