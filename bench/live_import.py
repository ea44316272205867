"""How soon is a new message at a subscriber while years of old mail of the same mailbox are being read?

`python -m bench.live_import` fills a mailbox, connects it to a `postroom up`, and until the import is done delivers a
message at a time, as `bench.live` does. A bare socket reads all headers once before, as some mail program has: on the
first visit of all the mail server writes its indexes, and is busy with that for seconds. SCALE is `small` (20,000 old
messages) or `full` (50,000). The time counts from delivery: R6.2 promises a message within a second of it, the half
second included for which Dovecot keeps it to itself.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator

from bench.imap_floor import Login, scan
from bench.live import PASSWORD, RECRUITER, SEED, Timing, connected, fill, percentiles, state_reached, timed
from demo.api import JSONObject
from demo.mailserver import MailSandbox

OLD_MESSAGES = {"small": 20_000, "full": 50_000}
BUDGETS_MS = {"p50": 1000.0, "p99": 2000.0}


class _Import:
    """The recruiter's events, and whether one of them said that the import is done."""

    def __init__(self, events: AsyncIterator[JSONObject]) -> None:
        self.is_done = False
        self._events = events

    def __aiter__(self) -> AsyncIterator[JSONObject]:
        return self

    async def __anext__(self) -> JSONObject:
        answer = await anext(self._events)
        self.is_done = self.is_done or answer["events"].get("mailbox", {}).get("state") == "LIVE"
        return answer


async def measure(count: int) -> list[Timing]:
    """One timing for each message that was delivered and shown before the import was done."""
    with MailSandbox([(RECRUITER.address, PASSWORD)]) as server:
        fill(server, count)
        await asyncio.to_thread(
            scan, Login(server.host, server.imaps_port, RECRUITER.address, PASSWORD, server.client_tls()), ()
        )
        async with connected(server) as (events, notices):
            await state_reached(events, "IMPORTING")
            importing = _Import(events)
            chance = random.Random(SEED)  # noqa: S311 - a play, not a secret
            timings: list[Timing] = []
            while not importing.is_done:
                timings.append(await timed(server, importing, notices, chance))
            return timings[:-1]


def main() -> None:
    count = OLD_MESSAGES[os.environ.get("SCALE", "small")]
    timings = asyncio.run(measure(count))
    print(f"{len(timings)} messages delivered while {count} old ones were read. Floor: from delivery to the mail")
    print("server's notice on a bare IDLE socket. Ours: from delivery to the subscriber.")
    ours = percentiles([one.server_ms + one.postroom_ms for one in timings])
    floors = percentiles([one.server_ms for one in timings])
    for name, budget in BUDGETS_MS.items():
        verdict = "ok" if ours[name] < budget else "short"
        print(
            f"live-during-import-{name} ours={ours[name]:.1f} floor={floors[name]:.1f} "
            f"ratio={ours[name] / floors[name]:.2f} unit=ms budget={budget:.0f} {verdict}"
        )


if __name__ == "__main__":
    main()
