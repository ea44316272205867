"""People are found by what somebody remembers of their names."""

import pytest

from domain.access import Viewer
from domain.ids import to_global
from tests.support.api import API
from tests.support.factories import Firm

PICKED = "query($search: String, $first: Int, $after: String) { users(search: $search, first: $first, after: $after) { \
edges { node { name } } pageInfo { hasNextPage endCursor } } }"
CANDIDATES = "query($search: String, $job: ID) { candidates(search: $search, jobId: $job) { edges { node { name } } } }"


@pytest.fixture
async def viewer(api: API, firm: Firm) -> Viewer:
    return await api.viewer(await firm.colleague("Rita Smith"), firm)


NAMES = [
    ("José Müller-Lüdenscheidt", ["muller", "JOSE", "jos ludensch", "ü", "josé m"], ["joseph", "jose smith"]),
    ("Łukasz Groß", ["lukasz", "ŁUKASZ", "gross", "groß", "kasz gro"], ["grob"]),
    ("Ирина Ёлкина", ["ирина", "ЕЛКИНА", "ёлк ири"], ["irina"]),
    ("İpek Øzgür", ["ipek", "ozgur", "İPEK"], []),
    ("山田太郎", ["山田", "太郎"], ["田山"]),
    ("100%_sure\\", ["%", "100%", "_", "\\"], ["%%", "1_0", "0\\"]),
]


@pytest.mark.parametrize(("name", "finds", "misses"), NAMES, ids=[finds[0] for _, finds, _ in NAMES])
async def test_a_candidate_is_found_by_parts_of_the_name_whatever_the_accents(
    api: API, firm: Firm, viewer: Viewer, name: str, finds: list[str], misses: list[str]
) -> None:
    await firm.applicant(name, address="someone@mail.example")
    await firm.applicant("Zzz", address="other@mail.example")

    async def found(search: str) -> list[str]:
        answer = await api.get(viewer, CANDIDATES, search=search)
        return [edge["node"]["name"] for edge in answer["candidates"]["edges"]]

    assert [await found(search) for search in finds] == [[name]] * len(finds)
    assert [await found(search) for search in misses] == [[]] * len(misses)


async def test_a_candidate_is_found_by_parts_of_an_address_and_within_a_job(
    api: API, firm: Firm, viewer: Viewer
) -> None:
    job = await firm.job("Baker")
    await firm.applicant("Ana", job, address="ana.lima@mail.example")
    await firm.applicant("Ben", address="ben@lima.example")

    async def found(search: str, job_id: str | None = None) -> list[str]:
        answer = await api.get(viewer, CANDIDATES, search=search, job=job_id)
        return sorted(edge["node"]["name"] for edge in answer["candidates"]["edges"])

    assert await found("LIMA") == ["Ana", "Ben"]
    assert await found("Ana.Lima@Mail.Example") == ["Ana"]
    assert await found("ana mail") == ["Ana"]
    assert await found("lima", to_global("job", job)) == ["Ana"]
    assert await found("  ") == await found("") == ["Ana", "Ben"]


async def test_colleagues_are_picked_by_parts_of_their_names_page_by_page(api: API, firm: Firm, viewer: Viewer) -> None:
    for number in range(3):
        await firm.colleague(f"Ána{number}")
    left = await firm.colleague("Ana9")
    await firm.do("UPDATE user_account SET is_active = false WHERE id = $1", left.id)

    first = (await api.get(viewer, PICKED, search="ana", first=2))["users"]
    rest = (await api.get(viewer, PICKED, search="ana", first=2, after=first["pageInfo"]["endCursor"]))["users"]

    assert first["pageInfo"]["hasNextPage"]
    assert not rest["pageInfo"]["hasNextPage"]
    assert sorted(edge["node"]["name"] for edge in first["edges"] + rest["edges"]) == ["Ána0", "Ána1", "Ána2"]
    smiths = await api.get(viewer, PICKED, search="smith rita")
    assert smiths["users"]["edges"] == [{"node": {"name": "Rita Smith"}}]


@pytest.mark.parametrize("search", ["a b c d e f g h i j k", "x" * 1_001, "a\0b"])
async def test_a_name_that_nobody_has_is_refused(api: API, viewer: Viewer, search: str) -> None:
    for query in (PICKED, CANDIDATES):
        answer = await api.ask(viewer, query, search=search)
        assert answer.codes == ["BAD_USER_INPUT"]


async def test_who_is_hidden_is_found_by_no_name(api: API, firm: Firm) -> None:
    member = await firm.colleague("Member", "HIRING_TEAM")
    await firm.applicant("Ana", await firm.job("Baker", member))
    await firm.applicant("Anatol", await firm.job("Cook"))
    answer = await api.get(await api.viewer(member, firm), CANDIDATES, search="ana")
    assert answer["candidates"]["edges"] == [{"node": {"name": "Ana"}}]


async def test_things_are_looked_up_by_the_other_systems_ids_within_the_organisation_alone(
    api: API, firm: Firm, viewer: Viewer
) -> None:
    other = await Firm.open(api.deps, "Globex")
    await other.colleague("Olga")
    await other.job("Baker")
    await other.applicant("Ana")
    query = """{ user(externalId: "Olga") { id } job(externalId: "Baker") { id } candidate(externalId: "ats-Ana") { id }
      organisation { id name internalDomains branchPolicy } }"""
    found = await api.get(viewer, query)
    assert (found["user"], found["job"], found["candidate"]) == (None, None, None)
    assert found["organisation"]["id"] == to_global("organisation", firm.id)
