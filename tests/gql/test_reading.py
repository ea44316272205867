"""What the query fields answer to those who may ask."""

from datetime import timedelta
from uuid import UUID

from domain.access import Viewer
from domain.events import Origin
from domain.ids import to_global
from services.files import open_file
from tests.support.api import API
from tests.support.factories import NOON, Firm, stranger

INBOX = """
query Inbox { threads(first: 50) { edges { cursor node { id subject snippet isUnread lastMessageAt
  candidates { id name } participants { name address } lastMessage { from { name address } sentAt snippet } } }
  pageInfo { hasNextPage endCursor } } eventCursor }
"""
CONVERSATION = """
query Conversation($id: ID!) { thread(id: $id) { id subject visibility candidates { id name }
  participants { name address user { id } candidate { id } }
  messages(first: 20) { edges { node { id direction from { name address } to { name address } bcc { address } sentAt
    snippet replyText text html rfcMessageId sourceUrl thread { id } candidates { id }
    attachments { id filename contentType size isInline url } } } } } }
"""


async def of(api: API, firm: Firm, name: str = "Rita", level: str = "FULL") -> Viewer:
    return await api.viewer(await firm.colleague(name, level), firm)


async def test_the_inbox_shows_threads_newest_first_with_what_a_list_needs(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita")
    ana, ben = await firm.applicant("Ana"), await firm.applicant("Ben")
    older = await firm.letter(ana, to=[rita], subject="First")
    newer = await firm.letter(ben, to=[rita], subject="Second", sent_at=NOON + timedelta(hours=1))

    found = await api.get(await api.viewer(rita, firm), INBOX)

    nodes = [edge["node"] for edge in found["threads"]["edges"]]
    assert [node["id"] for node in nodes] == [
        to_global("thread", newer.thread_id),
        to_global("thread", older.thread_id),
    ]
    assert nodes[1] == {
        "id": to_global("thread", older.thread_id),
        "subject": "First",
        "snippet": "Hello there.",
        "isUnread": True,
        "lastMessageAt": "2026-11-02T12:00:00Z",
        "candidates": [{"id": to_global("candidate", ana.id), "name": "Ana"}],
        "participants": [
            {"name": "Ana", "address": ana.address},
            {"name": "Rita", "address": rita.address},
        ],
        "lastMessage": {
            "from": {"name": "Ana", "address": ana.address},
            "sentAt": "2026-11-02T12:00:00Z",
            "snippet": "Hello there.",
        },
    }
    assert found["threads"]["pageInfo"]["hasNextPage"] is False


async def test_a_conversation_shows_its_messages_with_their_people_bodies_and_files(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    letter = await firm.letter(
        ana,
        to=[rita],
        html='<p>Hello <img data-cid="logo@x"></p>',
        files=[("cv.pdf", b"%PDF cv", None), ("logo.png", b"png", "logo@x")],
    )

    found = await api.get(await api.viewer(rita, firm), CONVERSATION, id=to_global("thread", letter.thread_id))

    thread = found["thread"]
    [message] = [edge["node"] for edge in thread["messages"]["edges"]]
    assert [person["candidate"] for person in thread["participants"]] == [
        {"id": to_global("candidate", ana.id)},
        None,
    ]
    assert [person["user"] for person in thread["participants"]] == [None, {"id": to_global("user", rita.id)}]
    assert message["direction"] == "INBOUND"
    assert message["thread"] == {"id": thread["id"]}
    assert [(file["filename"], file["size"], file["isInline"]) for file in message["attachments"]] == [
        ("cv.pdf", 7, False),
        ("logo.png", 3, True),
    ]
    assert "/attachments/" in message["html"]


async def test_a_link_to_an_attachment_leads_to_its_bytes(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita], files=[("cv.pdf", b"%PDF cv", None)])
    found = await api.get(await api.viewer(rita, firm), CONVERSATION, id=to_global("thread", letter.thread_id))
    [file] = found["thread"]["messages"]["edges"][0]["node"]["attachments"]

    content = await open_file(api.deps, file["url"].rpartition("/")[2])

    assert (content.filename, content.content_type, content.size) == ("cv.pdf", "application/pdf", 7)
    assert b"".join([piece async for piece in content.stream]) == b"%PDF cv"


SOURCE = b"Received: from a by b for <boss@acme.example>\r\nBcc: boss@acme.example\r\nSubject: x\r\n\r\nBcc: stays\r\n"


async def test_the_source_is_shown_as_received_to_its_owner_and_without_traces_to_others(api: API, firm: Firm) -> None:
    rita, olga, ana = await firm.colleague("Rita"), await firm.colleague("Olga"), await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita], mailboxes=[await firm.mailbox(rita)], source=SOURCE)

    seen = {}
    for who in (rita, olga):
        found = await api.get(
            await api.viewer(who, firm),
            "query($id: ID!) { node(id: $id) { ... on Message { sourceUrl } } }",
            id=to_global("message", letter.id),
        )
        content = await open_file(api.deps, found["node"]["sourceUrl"].rpartition("/")[2])
        seen[who.name] = b"".join([piece async for piece in content.stream])

    assert seen == {"Rita": SOURCE, "Olga": b"Subject: x\r\n\r\nBcc: stays\r\n"}


async def test_more_of_the_last_message_than_its_summary_is_read(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita], text="All of it.")

    query = (
        "{ threads { edges { node { lastMessage { ...Part } } } } } fragment Part on Message { id text thread { id } }"
    )
    found = await api.get(await api.viewer(rita, firm), query)

    [edge] = found["threads"]["edges"]
    assert edge["node"]["lastMessage"] == {
        "id": to_global("message", letter.id),
        "text": "All of it.",
        "thread": {"id": to_global("thread", letter.thread_id)},
    }


async def test_every_kind_of_thing_is_found_by_its_id(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita")
    job = await firm.job("Baker", rita)
    ana = await firm.applicant("Ana", job)
    mailbox = await firm.mailbox(rita)
    letter = await firm.letter(ana, to=[rita], mailboxes=[mailbox], files=[("cv.pdf", b"%PDF", None)])
    viewer = await api.viewer(rita, firm)
    found = await api.get(
        viewer,
        "query($id: ID!) { thread(id: $id) { lastMessage { attachments { id } } } }",
        id=to_global("thread", letter.thread_id),
    )
    ids = [
        to_global("organisation", firm.id),
        to_global("user", rita.id),
        to_global("job", job),
        to_global("candidate", ana.id),
        to_global("mailbox", mailbox),
        to_global("thread", letter.thread_id),
        to_global("message", letter.id),
        found["thread"]["lastMessage"]["attachments"][0]["id"],
    ]

    query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    nodes = (await api.get(viewer, query, ids=ids))["nodes"]

    assert [node["id"] for node in nodes] == ids
    assert [node["__typename"] for node in nodes] == [
        "Organisation",
        "User",
        "Job",
        "Candidate",
        "Mailbox",
        "Thread",
        "Message",
        "Attachment",
    ]
    for each in ids:
        assert (await api.get(viewer, "query($id: ID!) { node(id: $id) { id } }", id=each))["node"] == {"id": each}


async def test_an_id_from_before_a_merge_goes_on_working(api: API, firm: Firm) -> None:
    rita, ana = await firm.colleague("Rita"), await firm.applicant("Ana")
    letter = await firm.letter(ana, to=[rita])
    retired = UUID(int=7)
    await firm.do("INSERT INTO retired_thread (id, thread_id) VALUES ($1, $2)", retired, letter.thread_id)

    found = await api.get(
        await api.viewer(rita, firm),
        "query($id: ID!) { thread(id: $id) { id } node(id: $id) { id } }",
        id=to_global("thread", retired),
    )

    assert found["thread"] == found["node"] == {"id": to_global("thread", letter.thread_id)}


async def test_candidates_tell_why_their_mail_is_not_recorded(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita")
    archived, open_one = await firm.job("Old", status="ARCHIVED"), await firm.job("New")
    await firm.applicant("Active", archived, open_one)
    await firm.applicant("Late", archived)
    await firm.applicant("Free")
    await firm.applicant("Inside", open_one, address=rita.address)
    silent = await firm.applicant("Silent", open_one)
    await firm.do("DELETE FROM candidate_email WHERE candidate_id = $1", silent.id)

    query = "{ candidates { edges { node { name syncState emails { isInternal } jobs { title status } } } } }"
    found = await api.get(await api.viewer(rita, firm), query)

    states = {edge["node"]["name"]: edge["node"]["syncState"] for edge in found["candidates"]["edges"]}
    assert states == {
        "Active": "ACTIVE",
        "Late": "JOB_ARCHIVED",
        "Free": "ACTIVE",
        "Inside": "INTERNAL_ADDRESS",
        "Silent": "NO_ADDRESS",
    }


async def test_people_jobs_and_candidates_are_found_by_the_other_systems_ids_and_by_parts_of_names(
    api: API, firm: Firm
) -> None:
    rita = await firm.colleague("Rita")
    job = await firm.job("Baker", rita)
    ana = await firm.applicant("Ana_Maria", job)
    await firm.applicant("AnaXMaria")
    viewer = await api.viewer(rita, firm)

    found = await api.get(
        viewer,
        """query($job: ID!) { viewer { id } user(externalId: "Rita") { id addresses } job(externalId: "Baker") { id hiringTeam { id } }
          candidate(externalId: "ats-Ana_Maria") { id } users(search: "RIT") { edges { node { id } } }
          some: candidates(search: "na_m") { edges { node { id } } } candidates(jobId: $job) { edges { node { id } } }
          jobs(status: OPEN) { edges { node { id } } } archived: jobs(status: ARCHIVED) { edges { node { id } } }
          organisation { name branchPolicy } }""",
        job=to_global("job", job),
    )

    me, her = {"id": to_global("user", rita.id)}, {"id": to_global("candidate", ana.id)}
    assert found["viewer"] == me
    assert found["user"] == me | {"addresses": [rita.address]}
    assert found["job"]["hiringTeam"] == [me]
    assert found["candidate"] == her
    assert found["users"]["edges"] == [{"node": me}]
    assert found["some"]["edges"] == found["candidates"]["edges"] == [{"node": her}]
    assert found["jobs"]["edges"] == [{"node": {"id": to_global("job", job)}}]
    assert found["archived"]["edges"] == []
    assert found["organisation"] == {"name": "Acme", "branchPolicy": "PRIVATE"}


async def test_filters_narrow_the_inbox(api: API, firm: Firm) -> None:
    rita = await firm.colleague("Rita")
    job = await firm.job("Baker")
    ana, ben = await firm.applicant("Ana", job), await firm.applicant("Ben")
    mailbox = await firm.mailbox(rita)
    hers = await firm.letter(ana, to=[rita], mailboxes=[mailbox])
    his = await firm.letter(ben, to=[rita], visibility="PRIVATE", sender=rita)
    viewer = await api.viewer(rita, firm)

    async def filtered(**narrowed: object) -> list[str]:
        query = "query($filter: ThreadFilter) { threads(filter: $filter) { edges { node { id } } } }"
        return [edge["node"]["id"] for edge in (await api.get(viewer, query, filter=narrowed))["threads"]["edges"]]

    of_ana, of_ben = [to_global("thread", hers.thread_id)], [to_global("thread", his.thread_id)]
    assert await filtered(candidateId=to_global("candidate", ana.id)) == of_ana
    assert await filtered(candidateId=to_global("candidate", ben.id), unread=True) == []
    assert await filtered(jobId=to_global("job", job)) == of_ana
    assert await filtered(mailboxId=to_global("mailbox", mailbox)) == of_ana
    assert await filtered(visibility="PRIVATE") == of_ben
    assert await filtered(unread=True) == of_ana
    assert await filtered(unread=False) == of_ben
    assert await filtered(candidateId=to_global("job", job)) == []
    assert await filtered(candidateId="nonsense") == []


async def test_a_candidates_threads_and_their_count_are_on_the_candidate(api: API, firm: Firm) -> None:
    rita, ana, ben = await firm.colleague("Rita"), await firm.applicant("Ana"), await firm.applicant("Ben")
    letters = await firm.threads(3, ana, to=[rita])
    await firm.letter(ben, to=[rita])

    query = """query($id: ID!) { candidate(id: $id) { unreadThreadCount threads(first: 2) { edges { node { id }
      matches { messageId } } pageInfo { hasNextPage hasPreviousPage } } } unreadThreadCount }"""
    found = await api.get(await api.viewer(rita, firm), query, id=to_global("candidate", ana.id))

    assert found["unreadThreadCount"] == 4
    assert found["candidate"]["unreadThreadCount"] == 3
    edges = found["candidate"]["threads"]["edges"]
    assert [edge["node"]["id"] for edge in edges] == [to_global("thread", each.thread_id) for each in letters[:0:-1]]
    assert found["candidate"]["threads"]["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": False}


async def test_imports_and_mail_from_before_the_account_count_as_read(api: API, firm: Firm) -> None:
    ana = await firm.applicant("Ana")
    newcomer = await firm.colleague("New", reads_since=NOON + timedelta(days=1))
    veteran = await firm.colleague("Old")
    await firm.letter(ana, origin=Origin.IMPORT)
    await firm.letter(ana)

    query = "{ unreadThreadCount }"
    assert await api.get(await api.viewer(newcomer, firm), query) == {"unreadThreadCount": 0}
    assert await api.get(await api.viewer(veteran, firm), query) == {"unreadThreadCount": 1}


async def test_readers_are_told_without_those_in_bcc(api: API, firm: Firm) -> None:
    rita, boss, olga = [await firm.colleague(name) for name in ("Rita", "Boss", "Olga")]
    ana = await firm.applicant("Ana")
    boss_mailbox = await firm.mailbox(boss)
    letter = await firm.letter(
        ana, sender=rita, to=[ana], bcc=[boss, stranger("x@y.example")], mailboxes=[boss_mailbox]
    )

    query = """query($id: ID!) { thread(id: $id) { viewerCanSetVisibility readers { user { name } reason isRemovable }
      messages { edges { node { bcc { address } } } } participants { address } } }"""
    seen = {}
    for who in (rita, boss, olga):
        found = (await api.get(await api.viewer(who, firm), query, id=to_global("thread", letter.thread_id)))["thread"]
        assert [person["address"] for person in found["participants"]] == [rita.address, ana.address]
        seen[who.name] = (
            sorted(reader["user"]["name"] for reader in found["readers"]),
            len(found["messages"]["edges"][0]["node"]["bcc"]),
            found["viewerCanSetVisibility"],
        )

    assert seen == {
        "Rita": (["Boss", "Rita"], 2, True),
        "Boss": (["Boss", "Rita"], 0, True),
        "Olga": (["Rita"], 0, False),
    }
