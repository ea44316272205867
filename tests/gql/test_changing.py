"""What mutations do, and answer: the thing as it is afterwards, or what the person can mend."""

from typing import Any

import pytest

from domain.access import Viewer
from domain.ids import new_id, to_global
from tests.support.api import API
from tests.support.factories import Firm

UPSERT_ALL = """mutation {
  updateOrganisation(input: {name: "Acme Ltd", internalDomains: ["acme.example"], branchPolicy: SHARED}) {
    organisation { name internalDomains branchPolicy } errors { code } }
  upsertUser(input: {externalId: "u1", name: "Uma", email: "uma@acme.example", accessLevel: HIRING_TEAM}) {
    user { externalId name email addresses accessLevel isActive } errors { code } }
  upsertJob(input: {externalId: "j1", title: "Baker", hiringTeam: ["u1"]}) {
    job { title status hiringTeam { externalId } } errors { code } }
  upsertCandidate(input: {externalId: "c1", name: "Cleo", emails: ["cleo@mail.example"], jobs: ["j1"]}) {
    candidate { name emails { address isInternal } jobs { externalId } syncState } errors { code } }
}"""


async def _service(api: API, firm: Firm) -> Viewer:
    return await api.service(firm.id)


async def test_the_other_system_keeps_organisation_people_jobs_and_candidates(api: API, firm: Firm) -> None:
    found = await api.get(await _service(api, firm), UPSERT_ALL)
    assert found == {
        "updateOrganisation": {
            "organisation": {
                "name": "Acme Ltd",
                "internalDomains": ["acme.example"],
                "branchPolicy": "SHARED",
            },
            "errors": [],
        },
        "upsertUser": {
            "user": {
                "externalId": "u1",
                "name": "Uma",
                "email": "uma@acme.example",
                "addresses": ["uma@acme.example"],
                "accessLevel": "HIRING_TEAM",
                "isActive": True,
            },
            "errors": [],
        },
        "upsertJob": {
            "job": {"title": "Baker", "status": "OPEN", "hiringTeam": [{"externalId": "u1"}]},
            "errors": [],
        },
        "upsertCandidate": {
            "candidate": {
                "name": "Cleo",
                "emails": [{"address": "cleo@mail.example", "isInternal": False}],
                "jobs": [{"externalId": "j1"}],
                "syncState": "ACTIVE",
            },
            "errors": [],
        },
    }


async def test_a_job_is_archived_and_reopened(api: API, firm: Firm) -> None:
    service = await _service(api, firm)
    await firm.applicant("Ana", job := await firm.job("Baker"))
    query = "mutation($id: ID!) { %s(input: {id: $id}) { job { status } errors { code } } }"
    for field, status in (("archiveJob", "ARCHIVED"), ("archiveJob", "ARCHIVED"), ("reopenJob", "OPEN")):
        found = await api.get(service, query % field, id=to_global("job", job))
        assert found[field] == {"job": {"status": status}, "errors": []}


async def test_addresses_are_added_to_and_removed_from_candidates(api: API, firm: Firm) -> None:
    service = await _service(api, firm)
    ana = await firm.applicant("Ana")
    query = """mutation($id: ID!, $address: EmailAddress!) {
      %s(input: {candidateId: $id, address: $address}) { candidate { emails { address } } errors { code path } } }"""
    variables = {"id": to_global("candidate", ana.id), "address": "ana@other.example"}

    added = await api.get(service, query % "addCandidateEmail", **variables)
    removed = await api.get(service, query % "removeCandidateEmail", **variables)
    again = await api.get(service, query % "removeCandidateEmail", **variables)

    assert [each["address"] for each in added["addCandidateEmail"]["candidate"]["emails"]] == [
        ana.address,
        "ana@other.example",
    ]
    assert removed["removeCandidateEmail"]["candidate"]["emails"] == [{"address": ana.address}]
    assert again["removeCandidateEmail"]["candidate"] is None
    assert again["removeCandidateEmail"]["errors"]


async def test_a_mistake_that_a_person_can_mend_is_told_in_the_payload(api: API, firm: Firm) -> None:
    found = await api.get(
        await _service(api, firm),
        """mutation { upsertUser(input: {externalId: "u1", name: "Uma", email: "not an address"}) {
          user { id } errors { code message path hint } } }""",
    )
    [error] = found["upsertUser"]["errors"]
    assert found["upsertUser"]["user"] is None
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["input", "email"])


ADMINISTRATION = [
    'updateOrganisation(input: {name: "X"}) { organisation { id } }',
    'upsertUser(input: {externalId: "x", name: "X", email: "x@x.example"}) { user { id } }',
    'upsertJob(input: {externalId: "x", title: "X"}) { job { id } }',
    'archiveJob(input: {id: "x"}) { job { id } }',
    'reopenJob(input: {id: "x"}) { job { id } }',
    'upsertCandidate(input: {externalId: "x", name: "X"}) { candidate { id } }',
    'addCandidateEmail(input: {candidateId: "x", address: "x@x.example"}) { candidate { id } }',
    'removeCandidateEmail(input: {candidateId: "x", address: "x@x.example"}) { candidate { id } }',
]


@pytest.mark.parametrize("field", ADMINISTRATION, ids=lambda field: field.partition("(")[0])
async def test_the_other_systems_side_is_for_service_tokens_and_administrators(
    api: API, firm: Firm, field: str
) -> None:
    for level, codes in (("HIRING_TEAM", ["FORBIDDEN"]), ("FULL", ["FORBIDDEN"]), ("ADMIN", [])):
        viewer = await api.viewer(await firm.colleague(level, level), firm)
        assert (await api.ask(viewer, f"mutation {{ {field} }}")).codes == codes


async def test_what_belongs_to_another_organisation_is_not_found(api: API, firm: Firm) -> None:
    other = await Firm.open(firm.deps, "Globex")
    job, ana = await other.job("Baker"), await other.applicant("Ana")
    found = await api.get(
        await _service(api, firm),
        """mutation($job: ID!, $candidate: ID!) {
          archiveJob(input: {id: $job}) { job { id } errors { code } }
          addCandidateEmail(input: {candidateId: $candidate, address: "x@x.example"}) { candidate { id } errors { code } } }""",
        job=to_global("job", job),
        candidate=to_global("candidate", ana.id),
    )
    assert found["archiveJob"] == {"job": None, "errors": [{"code": "NOT_FOUND"}]}
    assert found["addCandidateEmail"] == {"candidate": None, "errors": [{"code": "NOT_FOUND"}]}


MARK = """mutation($id: ID!, $unread: Boolean! = false) { markThreadRead(input: {threadId: $id, isUnread: $unread}) {
  thread { id isUnread } errors { code path } } }"""


async def test_a_thread_is_marked_read_and_unread_for_its_viewer_alone(api: API, firm: Firm) -> None:
    rita, olga, ana = await firm.colleague("Rita"), await firm.colleague("Olga"), await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita])
    hers, other = await api.viewer(rita, firm), await api.viewer(olga, firm)
    thread = to_global("thread", letter.thread_id)

    async def marked(**how: Any) -> Any:
        return (await api.get(hers, MARK, id=thread, **how))["markThreadRead"]

    assert await marked() == {"thread": {"id": thread, "isUnread": False}, "errors": []}
    assert await marked() == {"thread": {"id": thread, "isUnread": False}, "errors": []}
    assert await api.get(other, "{ unreadThreadCount }") == {"unreadThreadCount": 1}
    assert await api.get(hers, "{ unreadThreadCount }") == {"unreadThreadCount": 0}
    assert (await marked(unread=True))["thread"]["isUnread"] is True
    await marked()
    await firm.do("UPDATE thread SET last_live_inbound_at = last_live_inbound_at + interval '1 second'")
    assert await api.get(hers, "{ unreadThreadCount }") == {"unreadThreadCount": 1}


async def test_a_service_token_reads_no_thread_and_marks_none(api: API, firm: Firm) -> None:
    letter = await firm.letter(await firm.applicant("Ana"))
    found = await api.get(await _service(api, firm), MARK, id=to_global("thread", letter.thread_id))
    assert found["markThreadRead"] == {
        "thread": None,
        "errors": [{"code": "NOT_FOUND", "path": ["input", "threadId"]}],
    }


CONNECT = """mutation($port: Int!) { connectImapMailbox(input: {address: "rita@mail.example",
  imap: {host: "127.0.0.1", port: $port, password: "secret"}, smtp: {host: "127.0.0.1", port: $port, password: "secret"}}) {
  mailbox { id } errors { code path } } }"""


async def test_a_mailbox_whose_server_does_not_answer_is_not_kept(api: API, firm: Firm) -> None:
    viewer = await api.viewer(await firm.colleague("Rita"), firm)
    found = (await api.get(viewer, CONNECT, port=1))["connectImapMailbox"]
    assert found["mailbox"] is None
    assert found["errors"] == [{"code": "CONNECTION_REFUSED", "path": ["input", "imap", "port"]}]
    assert (await api.get(viewer, "{ viewer { mailboxes { id } } }"))["viewer"]["mailboxes"] == []


async def test_more_history_is_read_on_its_owners_word_alone(api: API, firm: Firm) -> None:
    rita, olga = await firm.colleague("Rita"), await firm.colleague("Olga", "ADMIN")
    mailbox = to_global("mailbox", await firm.mailbox(rita))
    query = """mutation($id: ID!) { importHistory(input: {id: $id, history: {scope: ALL}}) {
      mailbox { id state import { scanned matched total } } errors { code } } }"""

    hers = (await api.get(await api.viewer(rita, firm), query, id=mailbox))["importHistory"]
    others = (await api.get(await api.viewer(olga, firm), query, id=mailbox))["importHistory"]
    missing = (await api.get(await api.viewer(olga, firm), query, id=to_global("mailbox", new_id())))["importHistory"]

    assert (hers["mailbox"]["id"], hers["errors"]) == (mailbox, [])
    assert others == missing == {"mailbox": None, "errors": [{"code": "NOT_FOUND"}]}
