"""What happens in the demonstration, and in which order?"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from itertools import groupby

from demo import show
from demo.api import Api, ApiProblem, JSONObject
from demo.letter_forms import Correspondent
from demo.letters import CANDIDATES, RECRUITERS, Letter, new_letter, write_mailboxes
from demo.mailserver import Delivery, MailSandbox, MailServerUnavailable
from demo.office import Submission, connect_mailbox, open_office, sign_in
from demo.postroom import Postroom, PostroomEnded, started_postroom
from domain import clock

SEED = 7
DELIVERED_AT_ONCE = 500
"""Between two looks at whether somebody wants it all to end."""
ANSWER_SHARE = 0.7
"""Of the new letters; the others are first applications."""
INBOX_LINES = 8
END_SHOWS_WITHIN_S = 1.0
MAIL_SERVER_LOOK_S = 2.0
MAIL_SERVER_DEADLINE_S = 10.0

_PRESENT = "query { eventCursor }"
_LIVE = """
subscription ($after: Cursor) {
  events(after: $after) {
    ... on MailboxChanged { mailbox { state problem { message } import { scanned matched total finishedAt } } }
    ... on MessageAdded { origin message { rfcMessageId subject snippet from { name address } } }
  }
}
"""
_RESULT = """
query ($lines: Int!) {
  viewer { name mailboxes { address coverage { seen recorded notCandidate pending quarantined } } }
  threads(first: $lines) {
    edges { node { subject messageCount hasAttachments lastMessageAt candidates { name } } }
  }
}
"""
_QUERY_TO_COPY = """\
query Inbox {
  threads(first: 10) {
    edges { node { subject snippet isUnread lastMessageAt candidates { name } messageCount } }
  }
}"""
_SUBSCRIPTION_TO_COPY = """\
subscription Live {
  events {
    __typename
    cursor
    ... on MessageAdded { message { subject snippet from { name address } } }
  }
}"""


class ImportBroken(RuntimeError):
    """A mailbox cannot be read; the message is the API's own."""


@dataclass(slots=True)
class _Desk:
    """A recruiter at work: their sight of the API, and how far the import of their mailbox has come."""

    person: Correspondent
    api: Api
    imported: asyncio.Event = field(default_factory=asyncio.Event)


class Play:
    """One showing. `run` does all of it, and leaves nothing behind however it ends."""

    def __init__(self, *, letters: int, every_s: float, live_s: float | None) -> None:
        """`letters` in each mailbox; then a new one every `every_s`, for `live_s` seconds (None: until cancelled)."""
        self._letters = letters
        self._every_s = every_s
        self._live_s = live_s
        self._chance = random.Random(SEED)  # noqa: S311 - a play, not a secret
        self._delivered_at: dict[str, float] = {}
        self.seen = 0
        """Live messages that came through a subscription."""

    async def run(self) -> None:
        passwords = {recruiter.address: clock.random_bytes(12).hex() for recruiter in RECRUITERS}
        with MailSandbox(passwords.items()) as server:
            show.step(f"Mail server: Dovecot on {server.host}, IMAP over TLS on port {server.imaps_port}")
            async with started_postroom(server.ca_path) as postroom:
                try:
                    async with asyncio.TaskGroup() as tasks:
                        guards = [tasks.create_task(postroom.ended()), tasks.create_task(_mail_server_ended(server))]
                        await self._act(postroom, server, passwords)
                        for guard in guards:
                            guard.cancel()
                except* (ApiProblem, ImportBroken, PostroomEnded):
                    show.problem(postroom.last_words())
                    with suppress(TimeoutError):
                        async with asyncio.timeout(END_SHOWS_WITHIN_S):
                            await postroom.ended()  # where that is the reason, it says more than its effects
                    raise

    async def _act(self, postroom: Postroom, server: MailSandbox, passwords: Mapping[str, str]) -> None:
        mailboxes = await self._fill(server)
        await postroom.ready()
        show.step("Postroom: API, worker, watch, PostgreSQL and Valkey run")
        await open_office(postroom, RECRUITERS, CANDIDATES)
        show.step(f"Through the API: {len(RECRUITERS)} recruiters, their jobs, and {len(CANDIDATES)} candidates")
        async with AsyncExitStack() as stack:
            desks = [_Desk(who, await stack.enter_async_context(await _signed_in(postroom, who))) for who in RECRUITERS]
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            with show.import_bars([desk.person.address for desk in desks]) as bars:
                following = [tasks.create_task(self._follow(desk, await _present(desk.api), bars)) for desk in desks]
                await _connect(desks, server, passwords)
                for desk in desks:
                    await desk.imported.wait()
            for desk in desks:
                await _show_result(desk)
            _invite(postroom, desks[0])
            await self._go_live(server, mailboxes)
            for task in following:
                task.cancel()

    async def _fill(self, server: MailSandbox) -> Mapping[str, Sequence[Letter]]:
        until = clock.now()
        mailboxes = await asyncio.to_thread(write_mailboxes, SEED, RECRUITERS, CANDIDATES, self._letters, until)
        for address, letters in mailboxes.items():
            for folder, kept in groupby(sorted(letters, key=lambda one: one.folder), key=lambda one: one.folder):
                deliveries = [Delivery(letter.raw, letter.received_at, letter.flags) for letter in kept]
                for at in range(0, len(deliveries), DELIVERED_AT_ONCE):
                    server.deliver_many(address, deliveries[at : at + DELIVERED_AT_ONCE], folder)
                    await asyncio.sleep(0)
            concerned = sum(bool(letter.concerns) for letter in letters)
            show.step(f"Mailbox of {address}: {len(letters)} messages, {concerned} of them with candidates")
        return mailboxes

    async def _follow(self, desk: _Desk, since: str, bars: show.ImportBars) -> None:
        """One subscription for the whole showing: the import's progress, then the live messages."""
        async with desk.api.subscribe(_LIVE, {"after": since}) as answers:
            async for answer in answers:
                event = answer["events"]
                if "mailbox" in event:
                    _follow_import(desk, event["mailbox"], bars)
                elif "message" in event:
                    self._show_message(desk, event["message"])
        raise ApiProblem("The API ended the subscription.")

    def _show_message(self, desk: _Desk, message: JSONObject) -> None:
        delivered_at = self._delivered_at.get(message["rfcMessageId"])
        sender = message["from"] or {}
        self.seen += 1
        show.arrival(
            reader=desk.person.name.partition(" ")[0],
            sender=sender.get("name") or sender.get("address") or "?",
            subject=message["subject"],
            snippet=message["snippet"],
            delay_ms=None if delivered_at is None else (clock.monotonic() - delivered_at) * 1000,
        )

    async def _go_live(self, server: MailSandbox, mailboxes: Mapping[str, Sequence[Letter]]) -> None:
        """Delivers new letters, one at a time; candidates answer what lies in the mailboxes, or apply."""
        known = [letter.raw for letters in mailboxes.values() for letter in letters if letter.concerns]
        try:
            async with asyncio.timeout(self._live_s):
                while True:
                    self._deliver_one(server, known)
                    await asyncio.sleep(clock.jitter(self._every_s))
        except TimeoutError:
            return

    def _deliver_one(self, server: MailSandbox, known: list[bytes]) -> None:
        answers = bool(known) and self._chance.random() < ANSWER_SHARE
        thread = [self._chance.choice(known)] if answers else []
        arrival = new_letter(self._chance, CANDIDATES, RECRUITERS, clock.now(), thread)
        raw = arrival.letter.raw
        self._delivered_at[str(message_from_bytes(raw)["Message-ID"]).strip("<>")] = clock.monotonic()
        for address in arrival.mailboxes:
            server.deliver(address, raw)
        known.append(raw)


async def _mail_server_ended(server: MailSandbox) -> None:
    """Returns never; raises MailServerUnavailable when Dovecot takes no connections any more."""
    while True:
        await asyncio.sleep(MAIL_SERVER_LOOK_S)
        try:
            async with asyncio.timeout(MAIL_SERVER_DEADLINE_S):
                _, writer = await asyncio.open_connection(server.host, server.imap_port)
        except OSError as failure:  # a TimeoutError is one
            raise MailServerUnavailable(f"Dovecot does not answer any more ({type(failure).__name__}).") from failure
        writer.close()


async def _signed_in(postroom: Postroom, person: Correspondent) -> Api:
    return Api(postroom.url, await sign_in(postroom, person))


async def _present(api: Api) -> str:
    """Where the recruiter's event stream stands: who subscribes from here misses nothing."""
    return str((await api.execute(_PRESENT))["eventCursor"])


async def _connect(desks: Sequence[_Desk], server: MailSandbox, passwords: Mapping[str, str]) -> None:
    """Connects everybody's mailbox; the first one sends over TLS, the others with STARTTLS."""
    for number, desk in enumerate(desks):
        address = desk.person.address
        submission: Submission = "STARTTLS" if number else "TLS"
        await connect_mailbox(desk.api, address, passwords[address], server, submission=submission)
        show.step(f"{desk.person.name} has connected {address}; its old mail is being read")


def _follow_import(desk: _Desk, mailbox: JSONObject, bars: show.ImportBars) -> None:
    if mailbox["state"] == "NEEDS_REAUTHORIZATION":
        raise ImportBroken(f"{desk.person.address}: {mailbox['problem']['message']}")
    progress = mailbox["import"]
    if progress is None:
        return
    bars.show(desk.person.address, scanned=progress["scanned"], recorded=progress["matched"], total=progress["total"])
    if progress["finishedAt"] is not None:
        desk.imported.set()


async def _show_result(desk: _Desk) -> None:
    result = await desk.api.execute(_RESULT, {"lines": INBOX_LINES})
    for mailbox in result["viewer"]["mailboxes"]:
        coverage = mailbox["coverage"]
        show.step(
            f"{mailbox['address']}: {coverage['seen']} messages looked at, {coverage['recorded']} recorded, "
            f"{coverage['notCandidate']} with nobody who applied: nothing of those is stored"
        )
    threads = [edge["node"] for edge in result["threads"]["edges"]]
    rows = [
        (
            thread["lastMessageAt"][:10],
            ", ".join(candidate["name"] for candidate in thread["candidates"]),
            thread["subject"],
            str(thread["messageCount"]),
            "yes" if thread["hasAttachments"] else "",
        )
        for thread in threads
    ]
    show.table(f"The inbox of {desk.person.name}", ("last", "candidates", "subject", "mails", "files"), rows)


def _invite(postroom: Postroom, desk: _Desk) -> None:
    show.to_copy(f"GraphiQL, for {desk.person.name}", postroom.url)
    show.to_copy("Paste under Headers", desk.api.header)
    show.to_copy("A query", _QUERY_TO_COPY)
    show.to_copy("A subscription", _SUBSCRIPTION_TO_COPY)
    show.to_copy(
        "New letters come in. Ctrl-C ends it.",
        "The time is from delivery to the subscription; Dovecot's IDLE waits 500 ms of it.",
    )
