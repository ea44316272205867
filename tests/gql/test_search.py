"""Threads are found by what is written in them, by those who may read it, whatever is typed."""
# ruff: noqa: RUF001 - texts in other scripts than Latin

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.access import Viewer
from domain.errors import BadInput
from domain.ids import new_id, to_global
from domain.search_index import search_mark, search_vector
from domain.search_query import read_query
from infra.db import Database
from services import search_pages
from services.deps import Deps
from services.search_index import IndexedMessage, index_messages
from tests.gql.test_paging import _run_here
from tests.support.api import API
from tests.support.factories import NOON, Applicant, Colleague, Firm, Letter, stranger

SEARCH = """query($filter: ThreadFilter, $first: Int, $after: String, $last: Int, $before: String) {
  threads(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } matches { messageId field fragments { text isMatch } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


@pytest.fixture
async def rita(firm: Firm) -> Colleague:
    return await firm.colleague("Rita")


@pytest.fixture
async def ana(firm: Firm) -> Applicant:
    return await firm.applicant("Ana")


@pytest.fixture
async def viewer(api: API, firm: Firm, rita: Colleague) -> Viewer:
    return await api.viewer(rita, firm)


async def found(api: API, viewer: Viewer, search: str, **narrowed: Any) -> list[str]:
    answer = await api.get(viewer, SEARCH, filter={"search": search, **narrowed})
    return [edge["node"]["id"] for edge in answer["threads"]["edges"]]


def ids(*letters: Letter) -> list[str]:
    return [to_global("thread", letter.thread_id) for letter in letters]


async def test_threads_are_found_by_subject_body_and_people_newest_first(
    api: API, firm: Firm, viewer: Viewer, rita: Colleague, ana: Applicant
) -> None:
    ben = await firm.applicant("Benjamin", address="ben.k@mail.example")
    first = await firm.letter(ana, to=[rita], subject="Invitation to Zürich")
    second = await firm.letter(
        ben, to=[rita], text="I shall come to\nZurich by train.", sent_at=NOON + timedelta(hours=1)
    )

    assert await found(api, viewer, "zurich") == ids(second, first)
    assert await found(api, viewer, "ZÜRICH train") == ids(second)
    assert await found(api, viewer, "invitation train") == []
    assert await found(api, viewer, "benjamin") == ids(second)
    assert await found(api, viewer, "ben.k@mail.example") == ids(second)
    assert await found(api, viewer, '"to zurich"') == ids(second, first)
    assert await found(api, viewer, '"zurich to"') == []
    assert await found(api, viewer, "zurich -train") == ids(first)
    assert await found(api, viewer, "-train") == ids(first)
    assert await found(api, viewer, "zur") == []
    assert await found(api, viewer, "zur*") == ids(second, first)
    assert await found(api, viewer, "trains") == []


LANGUAGES = [
    ("Die Bewerbung für die Straße in Köln", ["koln", "STRASSE", "bewerbung", '"in köln"'], ["bewerb", "stras"]),
    ("Votre entretien a été reporté, l'équipe", ["ete", "equipe", "reporté"], ["reporter"]),
    ("Ваше собеседование перенесено ещё раз", ["СОБЕСЕДОВАНИЕ", "еще", "собес*"], ["собес"]),
    ("応募書類は東京都の事務所へ", ["東京都", "書類", "事務所", "所", "応募 東京"], ["京東", "大阪"]),
    ("지원서를 보냅니다", ["지원서", "보냅"], ["원지"]),
    ("สวัสดีครับ ผมสมัครงาน", ["สมัครงาน"], ["งานสมัคร"]),
    ("مُقابلة العمل", ["مقابلة"], ["مقابل"]),
    ("साक्षात्कार कल है", ["साक्षात्कार", "कल"], ["साक्ष"]),
]


@pytest.mark.parametrize(("text", "finds", "misses"), LANGUAGES, ids=[finds[0] for _, finds, _ in LANGUAGES])
async def test_any_language_is_found_by_its_words_and_by_no_parts_of_them(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant, text: str, finds: list[str], misses: list[str]
) -> None:
    letter = await firm.letter(ana, text=text)
    assert [await found(api, viewer, typed) for typed in finds] == [ids(letter)] * len(finds)
    assert [await found(api, viewer, typed) for typed in misses] == [[]] * len(misses)


async def test_a_thread_is_found_by_one_message_that_holds_it_all(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant
) -> None:
    letter = await firm.letter(ana, text="apples")
    await firm.letter(ana, text="pears", thread_id=letter.thread_id)
    assert await found(api, viewer, "apples") == await found(api, viewer, "pears") == ids(letter)
    assert await found(api, viewer, "apples pears") == []


async def test_what_was_found_is_shown_as_plain_text_in_pieces(
    api: API, firm: Firm, viewer: Viewer, rita: Colleague, ana: Applicant
) -> None:
    letter = await firm.letter(ana, to=[rita], subject="An <b>Offer</b>", text="Dear Rita,\n\nyour offer & more.")
    await firm.letter(ana, to=[rita], subject="Re", text="nothing", thread_id=letter.thread_id)

    [edge] = (await api.get(viewer, SEARCH, filter={"search": "offer rita"}))["threads"]["edges"]

    def pieces(*texts: str) -> list[dict[str, object]]:
        return [{"text": text.strip("[]"), "isMatch": text.startswith("[")} for text in texts]

    message = to_global("message", letter.id)
    assert edge["matches"] == [
        {"messageId": message, "field": "SUBJECT", "fragments": pieces("An <b>", "[Offer]", "</b>")},
        {"messageId": message, "field": "PARTICIPANT", "fragments": edge["matches"][1]["fragments"]},
        {
            "messageId": message,
            "field": "BODY",
            "fragments": pieces("Dear ", "[Rita]", ", your ", "[offer]", " & more."),
        },
    ]
    assert edge["matches"][1]["fragments"][0] == {"text": "Rita", "isMatch": True}


async def test_blank_is_no_search_and_what_holds_no_word_finds_nothing(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant
) -> None:
    letter = await firm.letter(ana)
    for blank in ("", "  \n", None):
        answer = await api.get(viewer, SEARCH, filter={"search": blank})
        assert [edge["node"]["id"] for edge in answer["threads"]["edges"]] == ids(letter)
        assert answer["threads"]["edges"][0]["matches"] == []
    for typed in ('"', "-", "!!!", "☕", "\0"):
        assert await found(api, viewer, typed) == []


async def test_a_blind_recipient_finds_nobody_and_is_found_by_nobody(
    api: API, firm: Firm, rita: Colleague, ana: Applicant
) -> None:
    boss, olga = await firm.colleague("Boss"), await firm.colleague("Olga")
    await firm.letter(ana, sender=rita, to=[ana], bcc=[boss, stranger("hidden@secret.example")])
    for who in (rita, boss, olga):
        viewer = await api.viewer(who, firm)
        for typed in ("boss", "hidden", "secret", boss.address):
            assert await found(api, viewer, typed) == [], who.name
        assert len(await found(api, viewer, "ana")) == 1


async def test_a_bounce_that_may_name_a_blind_recipient_is_found_by_those_who_may_read_it_alone(
    api: API, firm: Firm, rita: Colleague, ana: Applicant
) -> None:
    olga = await firm.colleague("Olga")
    letter = await firm.letter(ana, to=[rita], text="undeliverable hidden@secret.example")
    await firm.do(
        "INSERT INTO bounce (message_id, organisation_id, is_complaint, failures, told) "
        "VALUES ($1, $2, false, '[]', ARRAY[$3::uuid])",
        letter.id,
        firm.id,
        rita.id,
    )
    assert await found(api, await api.viewer(rita, firm), "hidden") == ids(letter)
    assert await found(api, await api.viewer(olga, firm), "hidden") == []
    narrowed = {"candidateId": to_global("candidate", ana.id)}
    assert await found(api, await api.viewer(olga, firm), "hidden", **narrowed) == []


async def test_a_search_is_narrowed_by_the_other_filters(
    api: API, firm: Firm, viewer: Viewer, rita: Colleague, ana: Applicant
) -> None:
    job, mailbox = await firm.job("Baker"), await firm.mailbox(rita)
    ben = await firm.applicant("Ben", job)
    hers = await firm.letter(ana, to=[rita], mailboxes=[mailbox])
    his = await firm.letter(ben, to=[rita], sender=rita, visibility="PRIVATE", sent_at=NOON + timedelta(hours=1))

    assert await found(api, viewer, "hello") == ids(his, hers)
    assert await found(api, viewer, "hello", candidateId=to_global("candidate", ana.id)) == ids(hers)
    assert await found(api, viewer, "nothing", candidateId=to_global("candidate", ana.id)) == []
    assert await found(api, viewer, "hello", jobId=to_global("job", job)) == ids(his)
    assert await found(api, viewer, "hello", mailboxId=to_global("mailbox", mailbox)) == ids(hers)
    assert await found(api, viewer, "hello", visibility="PRIVATE") == ids(his)
    assert await found(api, viewer, "hello", unread=True) == ids(hers)
    assert await found(api, viewer, "nothing", unread=True) == []


async def test_a_candidates_record_is_searched_too(
    api: API, firm: Firm, viewer: Viewer, rita: Colleague, ana: Applicant
) -> None:
    ben = await firm.applicant("Ben")
    letter = await firm.letter(ana, text="About the contract.")
    await firm.letter(ana, text="Something else.")
    await firm.letter(ben, text="His contract.")
    query = """query($id: ID!) { candidate(id: $id) { threads(filter: {search: "contract"}) { edges { node { id }
      matches { field fragments { text isMatch } } } } } }"""
    answer = await api.get(viewer, query, id=to_global("candidate", ana.id))
    [edge] = answer["candidate"]["threads"]["edges"]
    assert edge["node"]["id"] == ids(letter)[0]
    assert edge["matches"][0]["field"] == "BODY"


async def test_words_follow_a_message_to_the_thread_that_it_is_moved_to_and_go_with_it(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant
) -> None:
    one, other = await firm.letter(ana, text="apples"), await firm.letter(ana, text="pears")
    await firm.do("UPDATE message SET thread_id = $2 WHERE id = $1", one.id, other.thread_id)
    assert await found(api, viewer, "apples") == await found(api, viewer, "pears") == ids(other)
    await firm.do("DELETE FROM message WHERE id = $1", one.id)
    assert await found(api, viewer, "apples") == []


# Each way that a search may go, and every wrong turn on it.
WAYS = {
    "by the index": {"FEW": 5_000},
    "by looking": {"FEW": -1},
    "by looking, after the index had too much": {"FEW": 1_000, "FAR": 5_000, "most": 0},
    "by the index, after looking not far enough": {"FEW": -1, "FAR": 2},
}


@pytest.mark.parametrize("way", WAYS)
async def test_pages_of_a_search_are_the_same_whatever_way_it_goes(
    api: API, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    firm = await Firm.open(api.deps)
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    viewer = await api.viewer(rita, firm)
    letters = [
        await firm.letter(
            ana,
            to=[rita] if number % 2 else [],
            sent_at=NOON + timedelta(minutes=number // 2),
            text="needle" if number % 3 == 0 else "hay",
        )
        for number in range(17)
    ]
    ordered = sorted(
        (
            (NOON + timedelta(minutes=number // 2), letter.thread_id)
            for number, letter in enumerate(letters)
            if number % 3 == 0
        ),
        reverse=True,
    )
    expected = [to_global("thread", thread_id) for _, thread_id in ordered]
    _go(monkeypatch, **WAYS[way])

    for size in (1, 2, 4, 50):
        for backward in (False, True):
            assert await _pages(api, viewer, size, backward=backward) == expected


def _go(monkeypatch: pytest.MonkeyPatch, *, FEW: int, FAR: int = 5_000, most: int | None = None) -> None:  # noqa: N803
    """Sets the measures by which the way is chosen."""
    monkeypatch.setattr("services.search.FEW", FEW)
    monkeypatch.setattr(search_pages, "FEW", FEW if most is None else most)
    monkeypatch.setattr(search_pages, "FAR", FAR)


async def _pages(api: API, viewer: Viewer, size: int, *, backward: bool) -> list[str]:
    walked: list[str] = []
    place: dict[str, Any] = {}
    for _ in range(50):
        arguments = {"last" if backward else "first": size, **place}
        shown = (await api.get(viewer, SEARCH, filter={"search": "needle"}, **arguments))["threads"]
        page = [edge["node"]["id"] for edge in shown["edges"]]
        walked = page + walked if backward else walked + page
        info = shown["pageInfo"]
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            return walked
        place = {"before": info["startCursor"]} if backward else {"after": info["endCursor"]}
    raise AssertionError("the walk does not end")


async def test_mail_that_arrives_moves_no_page_of_a_search(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant
) -> None:
    letters = [await firm.letter(ana, text="needle", sent_at=NOON + timedelta(minutes=number)) for number in range(4)]
    first = (await api.get(viewer, SEARCH, filter={"search": "needle"}, first=2))["threads"]
    await firm.letter(ana, text="needle", sent_at=NOON + timedelta(hours=1))
    rest = await api.get(viewer, SEARCH, filter={"search": "needle"}, after=first["pageInfo"]["endCursor"])
    assert [edge["node"]["id"] for edge in rest["threads"]["edges"]] == ids(letters[1], letters[0])


TYPED = [
    '"',
    '"open',
    'a" b',
    "-",
    "--",
    "- a",
    "*",
    "a:*",
    "'; DROP TABLE message; --",
    "a & | ! ( ) <->",
    "\\",
    "a\\'b",
    "%_",
    "\0",
    "a\0b",
    "\u202eabc\u202c שלום",
    "👩\u200d💻",
    "\ufeff\u200b",
    "\U0001f600" * 200,
    "é" * 500,
    "\ufdfa" * 50,
    "a-" * 20,
    '"' * 999,
]


@pytest.mark.parametrize("typed", TYPED, ids=[repr(typed[:12]) for typed in TYPED])
async def test_whatever_is_typed_is_answered(api: API, firm: Firm, viewer: Viewer, ana: Applicant, typed: str) -> None:
    await firm.letter(ana, text=typed.replace("\0", " ") + " word")
    assert isinstance(await found(api, viewer, typed), list)
    assert await found(api, viewer, "word")


@pytest.mark.parametrize("typed", ["x" * 10_000, "a b " * 100, '"' * 10_000])
async def test_what_nobody_types_is_refused(api: API, viewer: Viewer, typed: str) -> None:
    answer = await api.ask(viewer, SEARCH, filter={"search": typed})
    assert answer.codes == ["BAD_USER_INPUT"]
    assert answer.statements == 0


async def test_what_is_found_by_one_organisation_is_unknown_to_another(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant
) -> None:
    other = await Firm.open(api.deps, "Globex")
    stranger_there = await api.viewer(await other.colleague("Rita", "ADMIN"), other)
    await firm.letter(ana, text="needle")
    assert await found(api, stranger_there, "needle") == []
    assert await found(api, stranger_there, "-nothing") == []


HUGE: dict[str, str] = {
    "many words": " ".join(f"w{number}" for number in range(400_000)),
    "one long word": "x" * 2_000_000,
    "the same word": "ha " * 700_000,
    "no spaces": "東京都" * 500_000,
    "all letters": "".join(map(chr, range(1, 0xD800))),
    "accents": "a" + "\u0301" * 500_000,
    "quotes": "'\\" * 500_000,
    "long words of four bytes": " ".join("𠀀𠀁𠀂" * 500 for _ in range(300)),
}


@pytest.mark.parametrize("name", HUGE)
async def test_no_text_fails_the_batch_that_it_is_in(
    api: API, firm: Firm, viewer: Viewer, ana: Applicant, name: str
) -> None:
    letter = await firm.letter(ana, text=HUGE[name][:20_000], subject="needle")
    await firm.do("DELETE FROM message_search WHERE message_id = $1", letter.id)
    entry = {"name": HUGE[name], "address": "a@x.example", "raw": HUGE[name]}
    people = {"from": [entry] * 2_000, "to": [entry], "cc": []}
    indexed = IndexedMessage(letter.id, letter.thread_id, f"needle {HUGE[name]}", people, HUGE[name])
    async with api.deps.db.transaction() as tx:
        await index_messages(tx, firm.id, [indexed])
    assert await found(api, viewer, "needle") == ids(letter)


async def test_any_text_is_kept_and_found_by_parts_of_it_that_follow_each_other(deps: Deps) -> None:
    pieces = st.text(alphabet=st.characters(exclude_characters='\0*"“”„‟«»〝〞\uff02'), max_size=8)
    mixed = st.text(alphabet="aé東京한ไท '-\\ß\u0301", max_size=8)

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(parts=st.lists(pieces | mixed, max_size=10), begin=st.integers(0, 9), length=st.integers(1, 5))
    async def holds(parts: list[str], begin: int, length: int) -> None:
        query = read_query('"' + " ".join(parts[begin : begin + length]) + '"')
        if query is not None:
            assert await _matches(deps.db, " ".join(parts), query.tsquery("abc"))

    await _run_here(holds)


async def _matches(db: Database, text: str, tsquery: str) -> bool:
    vector = search_vector("abc", subject="", people={"from": [], "to": [], "cc": []}, text=text)
    async with db.snapshot() as snapshot:
        found: bool = await snapshot.fetch_value("SELECT $1::text::tsvector @@ $2::text::tsquery", vector, tsquery)
    return found


async def test_any_query_is_one_that_the_database_reads(deps: Deps) -> None:
    @settings(max_examples=300, deadline=None)
    @given(typed=st.text(max_size=60) | st.text(alphabet="ab\"-*' \\&|!():<>東京", max_size=40))
    async def holds(typed: str) -> None:
        try:
            query = read_query(typed)
        except BadInput:
            return
        if query is not None:
            assert await _matches(deps.db, "", query.tsquery(search_mark(new_id()))) in (True, False)

    await _run_here(holds)
