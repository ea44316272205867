"""A message that breaks the parser breaks nothing else."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from domain.mail import ParsedMessage
from domain.mime_parse import parse
from infra.parse_pool import FailureReason, ParseFailure, ParsePool, ParserUnavailable
from tests.support.mail_files import own_message

PROJECT = Path(__file__).parents[2]
HOSTILE = "tests.support.hostile_parsers:fails_on_command"


def message(subject: str) -> bytes:
    return f"From: Ana <ana@example.org>\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()


@pytest.fixture
async def pool() -> AsyncIterator[ParsePool]:
    async with ParsePool(deadline_s=1.0, memory_bytes=2 * 1024**3, parse=HOSTILE) as pool:
        yield pool


async def test_a_message_is_read_as_in_this_process() -> None:
    async with ParsePool() as pool:
        assert await pool.parse(message("one")) == parse(message("one"))


@pytest.mark.parametrize("name", ["bounce-qmail", "complaint", "uuencoded-in-text"])
async def test_what_is_found_in_a_message_comes_back_whole(name: str) -> None:
    async with ParsePool() as pool:
        assert await pool.parse(own_message(name)) == parse(own_message(name))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"hang", FailureReason.TIMED_OUT),
        (b"crash", FailureReason.CRASHED),
        (b"grow", FailureReason.OUT_OF_MEMORY),
        (b"raise", FailureReason.RAISED),
    ],
)
async def test_only_the_message_that_breaks_the_parser_fails(
    pool: ParsePool, raw: bytes, reason: FailureReason
) -> None:
    before, broken, after = await pool.parse_many([message("before"), raw, message("after")])
    assert isinstance(before, ParsedMessage)
    assert isinstance(broken, ParseFailure)
    assert broken.reason is reason
    assert isinstance(after, ParsedMessage)
    assert (before.subject, after.subject) == ("before", "after")
    with pytest.raises(ParseFailure):
        await pool.parse(raw)


async def test_an_answer_that_would_run_code_is_refused() -> None:
    async with ParsePool(parse="tests.support.hostile_parsers:answers_with_code") as pool:
        with pytest.raises(ParseFailure) as caught:
            await pool.parse(b"")
    assert caught.value.reason is FailureReason.CRASHED


async def test_results_keep_the_order_of_many_messages_over_several_processes() -> None:
    async with ParsePool(processes=2, parse=HOSTILE, deadline_s=1.0) as pool:
        raws = [message(str(number)) if number % 10 else b"crash" for number in range(40)]
        outcomes = await pool.parse_many(raws)
    subjects = [outcome.subject if isinstance(outcome, ParsedMessage) else "" for outcome in outcomes]
    assert subjects == [str(number) if number % 10 else "" for number in range(40)]


async def test_a_message_with_large_attachments_passes_both_ways(pool: ParsePool) -> None:
    raw = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 2_000_000
    assert (await pool.parse(raw)).attachments[0].content == b"ABC" * 2_000_000


async def test_no_messages_start_no_process() -> None:
    async with ParsePool(parse="no.such:parser") as pool:
        assert await pool.parse_many([]) == []


async def test_a_parser_that_cannot_start_is_told_apart_from_a_message_that_cannot_be_read(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with ParsePool(parse="no.such:parser") as pool:
        with pytest.raises(ParserUnavailable):
            await pool.parse(message("one"))
        with pytest.raises(ParserUnavailable):
            await pool.parse_many([message("one")])
    assert "no.such" not in capfd.readouterr().out


async def test_a_worker_is_kept_but_not_after_a_cancelled_message(pool: ParsePool, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    await pool.parse(b"tell " + bytes(first))
    await pool.parse(b"tell " + bytes(second))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pool.parse(b"hang")
    await pool.parse(b"tell " + bytes(third))
    assert first.read_text() == second.read_text() != third.read_text()
    assert not is_alive(int(first.read_text().split()[0]))


async def test_a_worker_that_was_killed_while_idle_costs_no_message(pool: ParsePool, tmp_path: Path) -> None:
    await pool.parse(b"tell " + bytes(tmp_path / "told"))
    worker = int((tmp_path / "told").read_text().split()[0])
    os.kill(worker, signal.SIGKILL)
    await until(lambda: not is_alive(worker))
    assert (await pool.parse(message("next"))).subject == "next"


async def test_workers_hold_no_secrets_of_the_environment(
    pool: ParsePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTROOM_SECRET", "s3cret")
    await pool.parse(b"tell " + bytes(tmp_path / "told"))
    assert "POSTROOM_SECRET" not in (tmp_path / "told").read_text()


async def test_closing_ends_what_is_being_read_and_refuses_what_comes() -> None:
    pool = ParsePool(deadline_s=60.0, parse=HOSTILE)
    await pool.parse(message("one"))
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(expect_unavailable(pool, b"hang"))
        await until(pool._free.locked)
        await pool.aclose()
    assert reading.done()
    await pool.aclose()
    with pytest.raises(ParserUnavailable):
        await pool.parse(message("two"))


async def expect_unavailable(pool: ParsePool, raw: bytes) -> None:
    with pytest.raises(ParserUnavailable):
        await pool.parse(raw)


@pytest.mark.parametrize("command", ["hang", "idle"])
async def test_workers_die_with_their_parent(tmp_path: Path, command: str) -> None:
    told = tmp_path / "told"
    program = textwrap.dedent(
        f"""
        import asyncio
        from infra.parse_pool import ParsePool

        async def main():
            pool = ParsePool(deadline_s=600, parse={HOSTILE!r})
            await pool.parse(b"tell {told}")
            print("told", flush=True)
            if {command!r} == "hang":
                await pool.parse(b"hang")
            await asyncio.sleep(600)

        asyncio.run(main())
        """
    )
    parent = subprocess.Popen(  # noqa: ASYNC220, S603 - a parent to be killed; no test runs beside this one
        [sys.executable, "-c", program],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    with parent:
        assert parent.stdout is not None
        await asyncio.to_thread(parent.stdout.readline)
        worker = int(told.read_text().split()[0])
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    await until(lambda: not is_alive(worker))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.01)


def is_alive(process_id: int) -> bool:
    """Whether it runs; one that has ended and is not yet reaped does not."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}
