"""Who sees what: every kind of viewer on every path that leads to mail."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from domain.access import Viewer
from domain.events import EventKind, NewEvent
from domain.ids import new_id, to_global
from services.files import FileGone, attachment_url, open_file, source_url
from services.unit_of_work import unit_of_work
from tests.support.api import API
from tests.support.factories import Applicant, Firm, Letter

VIEWERS = ["admin", "full", "on_team", "off_team", "participant", "other_organisation", "service"]


@dataclass(frozen=True)
class World:
    """One thread in a firm where everybody has some other right, and a second firm with the same candidate."""

    api: API
    viewers: dict[str, Viewer]
    job: UUID
    ana: Applicant
    mailbox: UUID
    letter: Letter
    attachment: UUID
    bounce: Letter


async def _world(api: API, firm: Firm, visibility: str) -> World:
    admin = await firm.colleague("Admin", "ADMIN")
    full = await firm.colleague("Full")
    on_team = await firm.colleague("Onteam", "HIRING_TEAM")
    off_team = await firm.colleague("Offteam", "HIRING_TEAM")
    participant = await firm.colleague("Participant", "HIRING_TEAM")
    job = await firm.job("Baker", on_team)
    await firm.applicant("Somebody", await firm.job("Cook", off_team))
    ana = await firm.applicant("Ana", job)
    mailbox = await firm.mailbox(participant)
    letter = await firm.letter(
        ana, to=[participant], mailboxes=[mailbox], files=[("cv.pdf", b"%PDF", None)], visibility=visibility
    )
    bounce = await firm.letter(ana, to=[participant], thread_id=letter.thread_id, reports=(letter, [ana.address]))
    other = await Firm.open(firm.deps, "Globex")
    stranger = await other.colleague("Admin", "ADMIN")
    twin = await other.applicant("Ana", await other.job("Baker", stranger))
    await other.letter(twin, to=[stranger])
    people = {"admin": admin, "full": full, "on_team": on_team, "off_team": off_team, "participant": participant}
    viewers = {name: await api.viewer(who, firm) for name, who in people.items()}
    viewers["other_organisation"] = await api.viewer(stranger, other)
    viewers["service"] = await api.service(firm.id)
    async with api.deps.db.snapshot() as snapshot:
        attachment = await snapshot.fetch_value("SELECT id FROM attachment WHERE message_id = $1", letter.id)
    return World(api, viewers, job, ana, mailbox, letter, attachment, bounce)


@pytest.fixture
async def shared(api: API, firm: Firm) -> World:
    return await _world(api, firm, "SHARED")


@pytest.fixture
async def private(api: API, firm: Firm) -> World:
    return await _world(api, firm, "PRIVATE")


async def _threads(world: World, viewer: Viewer, **narrowed: str) -> bool:
    found = await world.api.get(
        viewer, "query($f: ThreadFilter) { threads(filter: $f) { edges { node { id } } } }", f=narrowed
    )
    return {"node": {"id": to_global("thread", world.letter.thread_id)}} in found["threads"]["edges"]


async def _matched(world: World, viewer: Viewer) -> bool:
    query = '{ threads(filter: {search: "hello"}) { edges { matches { messageId } } } }'
    edges = (await world.api.get(viewer, query))["threads"]["edges"]
    return {"messageId": to_global("message", world.letter.id)} in [
        match for edge in edges for match in edge["matches"]
    ]


async def _by_thread(world: World, viewer: Viewer) -> bool:
    global_id = to_global("thread", world.letter.thread_id)
    return (await world.api.get(viewer, "query($id: ID!) { thread(id: $id) { id } }", id=global_id))[
        "thread"
    ] is not None


def _by_node(kind: str, which: Callable[[World], UUID]) -> Callable[[World, Viewer], Awaitable[bool]]:
    async def asked(world: World, viewer: Viewer) -> bool:
        global_id = to_global(kind, which(world))
        found = await world.api.get(
            viewer, "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }", id=global_id
        )
        assert found["nodes"] == [found["node"]]
        return found["node"] is not None

    return asked


async def _on_the_record(world: World, viewer: Viewer) -> bool:
    found = await world.api.get(
        viewer,
        "query($id: ID!) { candidate(id: $id) { threads { edges { node { id } } } } }",
        id=to_global("candidate", world.ana.id),
    )
    return found["candidate"] is not None and bool(found["candidate"]["threads"]["edges"])


async def _reported_on(world: World, viewer: Viewer) -> bool:
    """Whether the viewer comes to the message by its bounce."""
    found = await world.api.get(
        viewer,
        "query($id: ID!) { node(id: $id) { ... on Message { bounce { aboutRfcMessageId about { id } } } } }",
        id=to_global("message", world.bounce.id),
    )
    if found["node"] is None:
        return False
    assert found["node"]["bounce"]["aboutRfcMessageId"] == f"{world.letter.id.hex}@mail.example"
    return bool(found["node"]["bounce"]["about"] == {"id": to_global("message", world.letter.id)})


async def _counted(world: World, viewer: Viewer) -> bool:
    if viewer is world.viewers["other_organisation"]:
        return False  # counts the thread of their own
    return (await world.api.get(viewer, "{ unreadThreadCount }"))["unreadThreadCount"] > 0


def _linked(link: Callable[..., str], which: Callable[[World], UUID]) -> Callable[[World, Viewer], Awaitable[bool]]:
    async def asked(world: World, viewer: Viewer) -> bool:
        if viewer.is_service:
            with pytest.raises(ValueError, match="service token"):
                link(world.api.deps, viewer, which(world))
            return False
        try:
            content = await open_file(world.api.deps, link(world.api.deps, viewer, which(world)).rpartition("/")[2])
        except FileGone:
            return False
        return bool([piece async for piece in content.stream])

    return asked


async def _told(world: World, viewer: Viewer) -> bool:
    """Whether the viewer is told of a further message in the thread, before one that all are told of."""
    position = (await world.api.get(viewer, "{ eventCursor }"))["eventCursor"]
    firm = Firm(world.api.deps, viewer.organisation_id)
    other = world.viewers["admin"].organisation_id
    await Firm(world.api.deps, other).letter(world.ana, thread_id=world.letter.thread_id)
    await _announce_to(firm, viewer)
    query = """subscription($after: Cursor) { events(after: $after) { __typename
      ... on MessageAdded { message { thread { id } } } } }"""
    async with world.api.following(viewer, query, after=position) as results:
        first = await anext(results)
    assert not first.errors
    return bool(first.data["events"]["__typename"] == "MessageAdded")


async def _announce_to(firm: Firm, viewer: Viewer) -> None:
    async with unit_of_work(firm.deps, firm.id) as work:
        work.announce(NewEvent(EventKind.ACCESS_CHANGED, audience=(viewer.user_id or firm.id,)))


PATHS: dict[str, Callable[[World, Viewer], Awaitable[bool]]] = {
    "threads": _threads,
    "threads of the candidate": lambda world, viewer: _threads(
        world, viewer, candidateId=to_global("candidate", world.ana.id)
    ),
    "threads of the job": lambda world, viewer: _threads(world, viewer, jobId=to_global("job", world.job)),
    "threads of the mailbox": lambda world, viewer: _threads(
        world, viewer, mailboxId=to_global("mailbox", world.mailbox)
    ),
    "threads found by a word": lambda world, viewer: _threads(world, viewer, search="hello"),
    "threads of the candidate found by a word": lambda world, viewer: _threads(
        world, viewer, search="hello", candidateId=to_global("candidate", world.ana.id)
    ),
    "what was found": _matched,
    "thread": _by_thread,
    "node of the thread": _by_node("thread", lambda world: world.letter.thread_id),
    "node of the message": _by_node("message", lambda world: world.letter.id),
    "node of the attachment": _by_node("attachment", lambda world: world.attachment),
    "message that a bounce is about": _reported_on,
    "candidate.threads": _on_the_record,
    "unreadThreadCount": _counted,
    "link to the attachment": _linked(attachment_url, lambda world: world.attachment),
    "link to the source": _linked(source_url, lambda world: world.letter.id),
    "events": _told,
}
SEE_SHARED = {"admin", "full", "on_team", "participant"}
SEE_PRIVATE = {"participant"}
# A participant who is on no hiring team reads the thread, and sees neither the candidate nor the job.
NEEDS_CANDIDATE = {
    "threads of the candidate",
    "threads of the candidate found by a word",
    "candidate.threads",
    "threads of the job",
}
NEEDS_MAILBOX = {"threads of the mailbox"}


def _expected(seen_by: set[str], path: str) -> set[str]:
    if path in NEEDS_CANDIDATE:
        return seen_by - {"participant"}
    return seen_by & {"participant"} if path in NEEDS_MAILBOX else seen_by


def _readable(path: str, viewer: str) -> bool:
    """Subscriptions of a service token are told of no mail, and the test has no other event to wait for."""
    return not (path == "events" and viewer == "service")


CASES = [(path, viewer) for path in PATHS for viewer in VIEWERS if _readable(path, viewer)]


@pytest.mark.parametrize(("path", "viewer"), CASES)
async def test_a_shared_thread_is_reached_by_those_who_may_read_it_alone(shared: World, path: str, viewer: str) -> None:
    assert await PATHS[path](shared, shared.viewers[viewer]) is (viewer in _expected(SEE_SHARED, path))


@pytest.mark.parametrize(("path", "viewer"), CASES)
async def test_a_private_thread_is_reached_by_its_participants_alone(private: World, path: str, viewer: str) -> None:
    assert await PATHS[path](private, private.viewers[viewer]) is (viewer in _expected(SEE_PRIVATE, path))


async def test_candidates_and_jobs_are_seen_by_full_access_service_tokens_and_their_hiring_teams(
    shared: World,
) -> None:
    query = """query($candidate: ID!, $job: ID!) { candidate(id: $candidate) { name } job(id: $job) { title }
      candidates { edges { node { name } } } jobs { edges { node { title } } } }"""
    seen = {}
    for name, viewer in shared.viewers.items():
        found = await shared.api.get(
            viewer, query, candidate=to_global("candidate", shared.ana.id), job=to_global("job", shared.job)
        )
        names = {edge["node"]["name"] for edge in found["candidates"]["edges"]}
        titles = {edge["node"]["title"] for edge in found["jobs"]["edges"]}
        assert (found["candidate"] is not None) == (found["job"] is not None)
        seen[name] = (found["candidate"] is not None, names, titles)

    everything = (True, {"Ana", "Somebody"}, {"Baker", "Cook"})
    assert seen == {
        "admin": everything,
        "full": everything,
        "service": everything,
        "on_team": (True, {"Ana"}, {"Baker"}),
        "off_team": (False, {"Somebody"}, {"Cook"}),
        "participant": (False, set(), set()),
        "other_organisation": (False, {"Ana"}, {"Baker"}),
    }


async def test_a_service_token_reads_the_directory_and_no_mail(shared: World) -> None:
    query = (
        "{ viewer { id } organisation { name } users { edges { node { name } } } sharedMailboxes { id } eventCursor }"
    )
    found = await shared.api.get(shared.viewers["service"], query)
    assert found["viewer"] is None
    assert found["organisation"] == {"name": "Acme"}
    assert len(found["users"]["edges"]) == 5
    assert found["sharedMailboxes"] == []


async def test_a_participant_without_access_to_the_candidate_is_not_shown_them(shared: World) -> None:
    query = """query($id: ID!) { thread(id: $id) { candidates { id } participants { name candidate { id } }
      lastMessage { candidates { id } } } }"""
    global_id = to_global("thread", shared.letter.thread_id)
    found = (await shared.api.get(shared.viewers["participant"], query, id=global_id))["thread"]
    assert found["candidates"] == found["lastMessage"]["candidates"] == []
    assert [person["candidate"] for person in found["participants"]] == [None, None]


async def test_what_is_hidden_and_what_does_not_exist_answer_alike(private: World) -> None:
    viewer = private.viewers["admin"]
    query = "query($id: ID!) { thread(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id } }"
    mutation = """mutation($id: ID!) { markThreadRead(input: {threadId: $id}) { thread { id }
      errors { code message path hint } } }"""
    hidden = to_global("thread", private.letter.thread_id)
    missing = to_global("thread", new_id())
    for asked in (query, mutation):
        answers = [await private.api.ask(viewer, asked, id=each) for each in (hidden, missing)]
        assert answers[0].data == answers[1].data
        assert answers[0].statements == answers[1].statements
    assert answers[0].data is not None
    assert answers[0].data["markThreadRead"]["errors"][0]["code"] == "NOT_FOUND"


async def test_a_link_is_good_for_its_viewer_until_their_rights_end(api: API, firm: Firm, shared: World) -> None:
    on_team = shared.viewers["on_team"]
    link = attachment_url(api.deps, on_team, shared.attachment).rpartition("/")[2]
    await open_file(api.deps, link)

    await firm.do("DELETE FROM job_member WHERE user_id = $1", on_team.user_id)

    with pytest.raises(FileGone):
        await open_file(api.deps, link)


async def test_a_link_that_is_none_leads_nowhere(api: API, firm: Firm, shared: World) -> None:
    for link in ("", "nonsense", "A" * 200, attachment_url(api.deps, shared.viewers["full"], new_id())):
        with pytest.raises(FileGone):
            await open_file(api.deps, link.rpartition("/")[2])


MAILBOX = """query($id: ID!) { mailbox(id: $id) { address state imap { username } excludedAddresses
  searches { address } viewers { name } owner { name } } }"""


async def test_a_personal_mailbox_is_its_owners_alone(shared: World) -> None:
    for name, viewer in shared.viewers.items():
        found = await shared.api.get(viewer, MAILBOX, id=to_global("mailbox", shared.mailbox))
        assert (found["mailbox"] is not None) == (name == "participant"), name
    assert found["mailbox"] is None


async def test_a_shared_mailbox_is_managed_by_administrators_and_read_by_its_viewers(api: API, firm: Firm) -> None:
    admin, reads, other = [
        await firm.colleague(name, level) for name, level in (("A", "ADMIN"), ("R", "HIRING_TEAM"), ("O", "FULL"))
    ]
    mailbox = await firm.mailbox(None, reads)
    ana = await firm.applicant("Ana")
    letter = await firm.letter(ana, visibility="PRIVATE", mailboxes=[mailbox])
    seen, lists, threads = {}, {}, {}
    for who in (admin, reads, other):
        viewer = await api.viewer(who, firm)
        found = (await api.get(viewer, MAILBOX, id=to_global("mailbox", mailbox)))["mailbox"]
        seen[who.name] = found and (found["imap"] is not None, found["excludedAddresses"], found["viewers"])
        both = await api.get(viewer, "{ a: sharedMailboxes { id } b: sharedMailboxes(manageable: true) { id } }")
        lists[who.name] = (len(both["a"]), len(both["b"]))
        thread = "query($id: ID!) { thread(id: $id) { readers { user { name } reason } } }"
        threads[who.name] = (await api.get(viewer, thread, id=to_global("thread", letter.thread_id)))["thread"]

    assert seen == {
        "A": (True, ["@private.example"], [{"name": "R"}]),
        "R": (False, [], [{"name": "R"}]),
        "O": None,
    }
    assert lists == {"A": (0, 1), "R": (1, 0), "O": (0, 0)}
    assert threads == {
        "A": None,
        "R": {"readers": [{"user": {"name": "R"}, "reason": "SHARED_MAILBOX"}]},
        "O": None,
    }


async def test_mailboxes_of_a_user_are_shown_to_themselves_alone(api: API, firm: Firm) -> None:
    rita, olga = await firm.colleague("Rita"), await firm.colleague("Olga", "ADMIN")
    await firm.mailbox(rita)
    query = '{ user(externalId: "Rita") { mailboxes { imap { username settings { host port security } } } } }'
    own = await api.get(await api.viewer(rita, firm), query)
    assert own["user"]["mailboxes"] == [
        {"imap": {"username": rita.address, "settings": {"host": "mail.example", "port": 993, "security": "TLS"}}}
    ]
    for viewer in (await api.viewer(olga, firm), await api.service(firm.id)):
        assert (await api.get(viewer, query))["user"]["mailboxes"] == []
