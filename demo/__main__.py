"""How is the demonstration started, and how does it end? `python -m demo`, until Ctrl-C."""

import argparse
import asyncio
import signal
import sys

from demo import show
from demo.api import ApiProblem
from demo.mailserver import MailServerUnavailable, require_dovecot
from demo.play import ImportBroken, Play
from demo.postroom import PostroomEnded

LETTERS = 3_000
EVERY_S = 4.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def perform(play: Play) -> bool:
    """Whether it came to its end by itself, and not by a signal. Whatever ends it, it cleans up first."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("this is a coroutine of the main task")
    told: list[int] = []

    def end(number: int) -> None:
        if not told:  # asking again does not make it faster, and must not stop the cleaning up
            task.cancel()
        told.append(number)

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)
    try:
        await play.run()
    except asyncio.CancelledError:
        if not told:
            raise
        return False
    return True


def main() -> int:
    """0 where it went well, 1 where it did not; the reason is told."""
    options = _options()
    play = Play(letters=options.messages, every_s=options.every, live_s=options.live_s)
    status = 0
    try:
        require_dovecot()
        came_to_end = asyncio.run(perform(play))
        if came_to_end and not play.seen:
            show.problem("No new message came through a subscription.")
            status = 1
    except* (ApiProblem, ImportBroken, MailServerUnavailable, PostroomEnded) as problems:
        for sentence in dict.fromkeys(map(str, _leaves(problems))):
            show.problem(sentence)
        status = 1
    show.step("Everything has ended, and its files are removed")
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Postroom with two recruiters' mailboxes, live."
    )
    parser.add_argument("--messages", type=int, default=LETTERS, help="in each mailbox (default: %(default)s)")
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="SECONDS", help="between two new messages")
    parser.add_argument(
        "--for", dest="live_s", type=float, metavar="SECONDS", help="of live mail, then end; until Ctrl-C without"
    )
    return parser.parse_args()


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for each in group.exceptions:
        found.extend(_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    return found


if __name__ == "__main__":
    sys.exit(main())
