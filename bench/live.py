"""How long after the mail server's notice does a subscriber have the message, through all of Postroom's processes?

`python -m bench.live` connects one mailbox to a `postroom up`, and listens on both ends in this one process: on a bare
socket in IDLE and on a subscription. Messages are delivered one at a time. SCALE is `small` (100 a round) or `full`
(300). It times and asserts nothing; the machine should have nothing else to do.
"""

import asyncio
import math
import os
import random
import statistics
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes

from bench.idle_floor import Notices, idling
from demo.api import Api, JSONObject
from demo.letters import CANDIDATES, RECRUITERS, new_letter, write_mailboxes
from demo.mailserver import Delivery, MailSandbox
from demo.office import connect_mailbox, open_office, sign_in
from demo.postroom import PostroomEnded, started_postroom
from domain import clock

DELIVERIES = {"small": 100, "full": 300}
ROUNDS = 3
IMPORTED = 300
FILLED_AT_ONCE = 5_000
LONGEST_PAUSE_S = 0.1
DEADLINE_S = 30.0
BUDGETS_MS = {"p50": 100.0, "p99": 500.0}
SEED = 11
RECRUITER = RECRUITERS[0]
PASSWORD = clock.random_bytes(12).hex()

_PRESENT = "query { eventCursor }"
_EVENTS = """
subscription ($after: Cursor) {
  events(after: $after) {
    ... on MailboxChanged { mailbox { state } }
    ... on MessageAdded { message { rfcMessageId subject snippet from { name address } } }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """One message: how long the mail server kept it to itself, and how long Postroom then took."""

    server_ms: float
    postroom_ms: float


async def measure(count: int) -> list[list[Timing]]:
    """The rounds, in order."""
    with MailSandbox([(RECRUITER.address, PASSWORD)]) as server:
        fill(server, IMPORTED)
        async with connected(server) as (events, notices):
            await state_reached(events, "LIVE")
            chance = random.Random(SEED)  # noqa: S311 - a play, not a secret
            await timed(server, events, notices, chance)  # connections and caches are made with the first one
            return [[await timed(server, events, notices, chance) for _ in range(count)] for _ in range(ROUNDS)]


def fill(server: MailSandbox, count: int) -> None:
    """Puts that much old mail into the recruiter's mailbox."""
    for seed in range(SEED, SEED + math.ceil(count / FILLED_AT_ONCE)):
        letters = write_mailboxes(seed, [RECRUITER], CANDIDATES, min(count, FILLED_AT_ONCE), clock.now())
        by_folder: dict[str, list[Delivery]] = {}
        for letter in letters[RECRUITER.address]:
            by_folder.setdefault(letter.folder, []).append(Delivery(letter.raw, letter.received_at, letter.flags))
        for folder, deliveries in by_folder.items():
            server.deliver_many(RECRUITER.address, deliveries, folder)


@asynccontextmanager
async def connected(server: MailSandbox) -> AsyncIterator[tuple[AsyncIterator[JSONObject], Notices]]:
    """The recruiter's events from just before a fresh Postroom connected their mailbox, and a bare socket's notices."""
    async with started_postroom(server.ca_path) as postroom, AsyncExitStack() as stack:
        try:
            await postroom.ready()
        except PostroomEnded:
            print(postroom.last_words(), file=sys.stderr)
            raise
        await open_office(postroom, [RECRUITER], CANDIDATES)
        api = await stack.enter_async_context(Api(postroom.url, await sign_in(postroom, RECRUITER)))
        present = (await api.execute(_PRESENT))["eventCursor"]
        events = await stack.enter_async_context(api.subscribe(_EVENTS, {"after": present}))
        notices = await stack.enter_async_context(idling(server, RECRUITER.address, PASSWORD))
        await connect_mailbox(api, RECRUITER.address, PASSWORD, server, submission="TLS")
        yield events, notices


async def state_reached(events: AsyncIterator[JSONObject], state: str) -> None:
    """Returns when the mailbox is said to be in this state."""
    async for answer in events:
        if answer["events"].get("mailbox", {}).get("state") == state:
            return
    raise RuntimeError("The subscription ended.")


async def timed(
    server: MailSandbox, events: AsyncIterator[JSONObject], notices: Notices, chance: random.Random
) -> Timing:
    """Delivers a message, and waits until it has come through on both sides."""
    raw = new_letter(chance, CANDIDATES, [RECRUITER], clock.now()).letter.raw
    rfc_message_id = str(message_from_bytes(raw)["Message-ID"]).strip("<>")
    await asyncio.sleep(chance.random() * LONGEST_PAUSE_S)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        delivered_at = clock.monotonic()
        server.deliver(RECRUITER.address, raw)
        told = tasks.create_task(notices.told_at.get())
        shown = tasks.create_task(_shown(events, rfc_message_id))
    return Timing((told.result() - delivered_at) * 1000, (shown.result() - told.result()) * 1000)


async def _shown(events: AsyncIterator[JSONObject], rfc_message_id: str) -> float:
    async for answer in events:
        at = clock.monotonic()
        if answer["events"].get("message", {}).get("rfcMessageId") == rfc_message_id:
            return at
    raise RuntimeError("The subscription ended.")


def percentiles(times_ms: list[float]) -> Mapping[str, float]:
    cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98]}


def main() -> None:
    count = DELIVERIES[os.environ.get("SCALE", "small")]
    rounds = asyncio.run(measure(count))
    ours = [percentiles([one.postroom_ms for one in timings]) for timings in rounds]
    floors = [percentiles([one.server_ms for one in timings]) for timings in rounds]
    print(f"Medians of {ROUNDS} rounds of {count} messages. Floor: from delivery to the mail server's notice on a bare")
    print("IDLE socket. Ours: from that notice to the subscriber.")
    for name, budget in BUDGETS_MS.items():
        our = statistics.median(each[name] for each in ours)
        floor = statistics.median(each[name] for each in floors)
        verdict = "ok" if our < budget else "short"
        print(
            f"live-delivery-{name} ours={our:.1f} floor={floor:.1f} ratio={our / floor:.2f} unit=ms "
            f"budget={budget:.0f} {verdict}"
        )


if __name__ == "__main__":
    main()
