"""What no valid client sends is told as that, and costs nothing."""

import asyncio
import base64
from typing import Any

import pytest
from graphql import get_introspection_query

from domain.access import Viewer
from domain.ids import new_id, to_global
from gql.limits import MAX_DEPTH
from tests.support.api import API
from tests.support.factories import Firm


@pytest.fixture
async def viewer(api: API, firm: Firm) -> Viewer:
    return await api.viewer(await firm.colleague("Rita"), firm)


PAGES: list[dict[str, Any]] = [
    {"first": -1},
    {"last": -1},
    {"first": 101},
    {"last": 101},
    {"first": 1, "last": 1},
    {"after": ""},
    {"after": "nonsense"},
    {"before": "Zm9v"},
    {"after": "é"},
    {"after": base64.urlsafe_b64encode(b"\x7f" + b"\xff" * 23).decode()},
    {"after": "A" * 100_000},
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page)[:40])
async def test_a_page_that_makes_no_sense_is_bad_input(api: API, viewer: Viewer, page: dict[str, Any]) -> None:
    query = """query($first: Int, $after: String, $last: Int, $before: String) {
      threads(first: $first, after: $after, last: $last, before: $before) { pageInfo { endCursor } } }"""
    answer = await api.ask(viewer, query, **page)
    assert answer.codes == ["BAD_USER_INPUT"]
    assert answer.data is None


async def test_an_empty_page_is_a_page(api: API, viewer: Viewer) -> None:
    found = await api.get(viewer, "{ threads(first: 0) { edges { cursor } pageInfo { startCursor hasNextPage } } }")
    assert found["threads"] == {"edges": [], "pageInfo": {"startCursor": None, "hasNextPage": False}}


STRANGE_IDS = [
    "",
    "thread",
    "thread_",
    "thread_zz",
    "_",
    "thread_" + "f" * 31,
    "thread_" + "é" * 32,
    "a" * 100_000,
    "\0",
]
FIELDS = ["node", "thread", "candidate", "user", "job", "mailbox"]


@pytest.mark.parametrize("strange", STRANGE_IDS, ids=lambda value: repr(value[:12]))
async def test_a_malformed_id_names_nothing(api: API, viewer: Viewer, strange: str) -> None:
    for field in FIELDS:
        query = f"query($id: ID!) {{ {field}(id: $id) {{ id }} }}"
        assert await api.get(viewer, query, id=strange) == {field: None}


async def test_an_id_of_another_kind_names_nothing(api: API, firm: Firm, viewer: Viewer) -> None:
    user = to_global("user", (await firm.colleague("Olga")).id)
    for field in ("thread", "candidate", "job", "mailbox"):
        query = f"query($id: ID!) {{ {field}(id: $id) {{ id }} }}"
        assert await api.get(viewer, query, id=user) == {field: None}


@pytest.mark.parametrize(
    "query",
    [
        "query ($text: String) { user(externalId: $text) { id } }",
        "query ($text: String) { job(externalId: $text) { id } }",
        "query ($text: String) { candidate(externalId: $text) { id } }",
        "query ($text: String) { users(search: $text) { edges { cursor } } }",
        "query ($text: String) { candidates(search: $text) { edges { cursor } } }",
    ],
)
async def test_a_text_that_no_database_keeps_is_bad_input(api: API, viewer: Viewer, query: str) -> None:
    assert (await api.ask(viewer, query, text="a\0b")).codes == ["BAD_USER_INPUT"]


async def test_one_of_id_and_external_id_is_given(api: API, viewer: Viewer) -> None:
    for arguments in ("", '(id: "user_1", externalId: "x")'):
        assert (await api.ask(viewer, f"{{ user{arguments} {{ id }} }}")).codes == ["BAD_USER_INPUT"]


async def test_only_so_many_ids_are_looked_up_at_once(api: API, viewer: Viewer) -> None:
    ids = [to_global("thread", new_id()) for _ in range(101)]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await api.ask(viewer, query, ids=ids)).codes == ["BAD_USER_INPUT"]
    assert await api.get(viewer, query, ids=ids[:100]) == {"nodes": [None] * 100}


DOCUMENTS = [
    "{",
    "{ nothing }",
    "{ threads(first: true) { edges { cursor } } }",
    "{ ...F }",
    "{ viewer { ...F } } fragment F on User { ...F }",
    'mutation { importHistory(input: {id: "x", history: {scope: SINCE, since: "yesterday"}}) { errors { code } } }',
    'mutation { importHistory(input: {id: "x", history: {scope: SINCE, since: "2026-01-01T00:00:00"}}) { errors { code } } }',
]


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_a_document_that_does_not_hold_is_bad_input_each_time(api: API, viewer: Viewer, document: str) -> None:
    for _ in range(2):
        answer = await api.ask(viewer, document)
        assert set(answer.codes) == {"BAD_USER_INPUT"}
        assert answer.statements == 0
        assert "Did you mean" not in str(answer.errors)


def _spread(levels: int) -> str:
    parts = [f"fragment F{n} on User {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)]
    return "{ viewer { ...F0 } } " + " ".join(parts) + f" fragment F{levels} on User {{ id }}"


TOO_MUCH = {
    "deep": "{ candidates { edges { node "
    + "{ threads { edges { node { candidates " * 5
    + "{ id }"
    + "}}}}" * 5
    + "}}}",
    "aliases": "{" + " ".join(f"a{n}: unreadThreadCount" for n in range(60)) + "}",
    "spreads": _spread(60),
    "tokens": "{ " + "viewer { id } " * 2_000 + "}",
    "pages": "{ candidates { edges { node { threads { edges { node { messages { edges { node { id } } } } } } } } } }",
}


@pytest.mark.parametrize("query", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_a_document_that_asks_for_too_much_is_refused_at_once(api: API, viewer: Viewer, query: str) -> None:
    async with asyncio.timeout(20):  # doubling for each level, the spreads would take years
        answer = await api.ask(viewer, query)
    assert set(answer.codes) == {"QUERY_TOO_COMPLEX"}
    assert answer.data is None
    assert answer.statements == 0


async def test_a_document_at_the_limit_is_answered(api: API, viewer: Viewer) -> None:
    assert MAX_DEPTH >= 13  # what the introspection query of GraphiQL needs
    assert "__schema" in await api.get(viewer, get_introspection_query())


async def test_without_a_token_every_field_is_unauthenticated(api: API) -> None:
    queries = [
        "{ viewer { id } }",
        "{ organisation { id } }",
        '{ user(id: "user_1") { id } }',
        "{ users { edges { cursor } } }",
        '{ job(id: "x") { id } }',
        "{ jobs { edges { cursor } } }",
        '{ candidate(externalId: "x") { id } }',
        "{ candidates { edges { cursor } } }",
        '{ mailbox(id: "x") { id } }',
        "{ sharedMailboxes { id } }",
        '{ thread(id: "x") { id } }',
        "{ threads { edges { cursor } } }",
        '{ threads(filter: {candidateId: "x"}) { edges { cursor } } }',
        "{ unreadThreadCount }",
        "{ eventCursor }",
        '{ node(id: "x") { id } }',
        '{ nodes(ids: ["x"]) { id } }',
        "{ nodes(ids: []) { id } }",
        'mutation { archiveJob(input: {id: "x"}) { job { id } } }',
        'mutation { markThreadRead(input: {threadId: "x"}) { thread { id } } }',
    ]
    for query in queries:
        answer = await api.ask(None, query)
        assert answer.codes == ["UNAUTHENTICATED"], query
        assert answer.statements == 0


async def test_a_bug_is_masked_with_a_reference(api: API, viewer: Viewer, firm: Firm) -> None:
    ana = await firm.applicant("Secretname")
    letter = await firm.letter(ana)
    await firm.do("UPDATE thread SET visibility = 'BROKEN' WHERE id = $1", letter.thread_id)

    answer = await api.ask(viewer, "{ threads { edges { node { id subject } } } }")

    assert answer.codes == ["INTERNAL"]
    [error] = answer.errors
    assert error.message == "Something went wrong on our side."
    assert len(error.extensions["reference"]) == 12
