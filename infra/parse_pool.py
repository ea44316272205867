"""How is mail read without risking the server? In processes that can be killed.

Every message has a deadline and a memory limit. One that hangs, crashes or outgrows its parser costs itself and a new
process, nothing else. Workers get no environment but the path to the code, so they hold no secrets.
"""

import asyncio
import io
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from domain.errors import AppError, Retry
from domain.mail import BounceReason, MessageKind, ParsedMessage
from infra.metrics import PARSE_FAILURES, begin_with
from infra.parse_worker import ANSWER, LENGTH, OUT_OF_MEMORY, PARSED, READY

log = structlog.get_logger()

_START_DEADLINE_S = 30.0
"""A process imports the parser in a fraction of a second; on a loaded machine it may take long."""
_READ_BUFFER_BYTES = 1024 * 1024
_ANSWER_BYTES = 512 * 1024 * 1024
"""No honest answer is larger: its worker has not more than twice that memory."""

_RUN_MESSAGES = 16
_RUN_BYTES = 512 * 1024

_PICKLED = frozenset(
    {
        ("domain.mail", "ParsedMessage"),
        ("domain.mail", "MailAddress"),
        ("domain.mail", "AttachmentPart"),
        ("domain.mail", "MessageKind"),
        ("domain.mail", "BounceReport"),
        ("domain.mail", "DeliveryFailure"),
        ("domain.mail", "BounceReason"),
        ("datetime", "datetime"),
        ("datetime", "timezone"),
        ("datetime", "timedelta"),
    }
)


class FailureReason(StrEnum):
    """What became of the parser."""

    TIMED_OUT = "TIMED_OUT"
    CRASHED = "CRASHED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    RAISED = "RAISED"


begin_with(PARSE_FAILURES, reason=FailureReason)


class ParseFailure(AppError):
    """This message could not be read. Trying again helps only after the parser has been mended."""

    def __init__(self, reason: FailureReason) -> None:
        super().__init__("The message could not be read.")
        self.reason = reason


class ParserUnavailable(AppError):
    """No parser process could be started, or the pool was closed: says nothing about the message."""

    retry = Retry.LATER


def _member_named(members: object, name: str) -> MessageKind | BounceReason:
    """What Python 3.11.0 to 3.11.3 pickle an enum's member as: a getattr, which is permitted for nothing else."""
    if members is MessageKind:
        return MessageKind[name]
    if members is BounceReason:
        return BounceReason[name]
    raise pickle.UnpicklingError("not a part of a message")


class _AnswerUnpickler(pickle.Unpickler):
    """Reads nothing but messages: a worker that a message has taken over must not take over its parent."""

    def find_class(self, module_name: str, global_name: str) -> object:
        if (module_name, global_name) == ("builtins", "getattr"):
            return _member_named
        if (module_name, global_name) not in _PICKLED:
            raise pickle.UnpicklingError("not a part of a message")
        return super().find_class(module_name, global_name)


class _Worker:
    """One process and the socket to it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, target: str, memory_bytes: int) -> Self:
        """Raises OSError, EOFError or TimeoutError where the process does not come up."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = _start_process(theirs.fileno(), memory_bytes, target)
            try:
                reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_BUFFER_BYTES)
            except BaseException:
                process.kill()
                process.wait()
                raise
        except BaseException:
            ours.close()
            raise
        worker = cls(process, reader, writer)
        try:
            async with asyncio.timeout(_START_DEADLINE_S):
                await worker._read_answer(READY)
        except BaseException:
            await worker.kill()
            raise
        return worker

    def send(self, raws: Sequence[bytes]) -> None:
        """Puts messages before the worker; it reads and answers them in their order."""
        # No drain: it would wait for a worker that waits for its answers to be taken.
        self._writer.write(b"".join(piece for raw in raws for piece in (LENGTH.pack(len(raw)), raw)))

    async def answer(self) -> ParsedMessage:
        """To the next message.

        Raises ParseFailure as the worker reports it; EOFError, OSError or ValueError where the worker is lost.
        """
        message = _AnswerUnpickler(io.BytesIO(await self._read_answer(PARSED))).load()
        if not isinstance(message, ParsedMessage):
            raise pickle.UnpicklingError("not a message")
        return message

    async def _read_answer(self, expected: bytes) -> bytes:
        length, kind = ANSWER.unpack(await self._reader.readexactly(ANSWER.size))
        if length > _ANSWER_BYTES:
            raise EOFError
        if kind != expected:
            raise ParseFailure(FailureReason.OUT_OF_MEMORY if kind == OUT_OF_MEMORY else FailureReason.RAISED)
        return await self._reader.readexactly(length)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    async def kill(self) -> None:
        """Ends the process, whatever it is doing, and waits until it is gone. A second time changes nothing."""
        self._process.kill()
        self._writer.transport.abort()
        await asyncio.to_thread(self._process.wait)


def _start_process(descriptor: int, memory_bytes: int, target: str) -> "subprocess.Popen[bytes]":
    """Blocks for the millisecond of a fork. Ctrl-C reaches the parent alone, which then closes the pool."""
    arguments = [str(descriptor), str(memory_bytes), str(os.getpid()), target]
    return subprocess.Popen(  # noqa: S603 - our own code, no shell
        [sys.executable, "-P", "-m", "infra.parse_worker", *arguments],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        start_new_session=True,
    )


class ParsePool:
    """Parses in `processes` worker processes, started when first needed and kept. For one event loop.

    Args:
        processes: how many messages are read at once.
        deadline_s: for one message, from the moment a worker takes it.
        memory_bytes: the address space of one worker.
        parse: `module:function` that workers call, `bytes` to `ParsedMessage`.
    """

    def __init__(
        self,
        *,
        processes: int = 1,
        deadline_s: float = 10.0,
        memory_bytes: int = 1024 * 1024 * 1024,
        parse: str = "domain.mime_parse:parse",
    ) -> None:
        self._processes = processes
        self._deadline_s = deadline_s
        self._memory_bytes = memory_bytes
        self._target = parse
        self._free = asyncio.Semaphore(processes)
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def parse(self, raw: bytes) -> ParsedMessage:
        """The message, read.

        Raises:
            ParseFailure: this message cannot be read; trying again does not help.
            ParserUnavailable: the pool is closed or cannot start a process; trying again later may help.
        """
        outcome = (await self._parse_run([raw]))[0]
        if isinstance(outcome, ParseFailure):
            raise outcome
        return outcome

    async def parse_many(self, raws: Sequence[bytes]) -> list[ParsedMessage | ParseFailure]:
        """Each message or why it cannot be read, in the order given.

        Raises:
            ParserUnavailable: as `parse`; what was read so far is lost.
        """
        # In a task of its own: before Python 3.11.4 a task in which a TaskGroup has failed takes the next timeout of
        # anything that it awaits for its own cancellation.
        return await asyncio.create_task(self._parse_all(raws))

    async def _parse_all(self, raws: Sequence[bytes]) -> list[ParsedMessage | ParseFailure]:
        outcomes: dict[int, ParsedMessage | ParseFailure] = {}
        pending = iter(enumerate(raws))
        unavailable: BaseExceptionGroup[ParserUnavailable] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._processes, len(raws))):
                    group.create_task(self._parse_each(pending, outcomes))
        except* ParserUnavailable as failures:
            unavailable = failures
        if unavailable is not None:  # raised out here: within `except*` Python before 3.11.4 would wrap it in a group
            raise ParserUnavailable("Mail cannot be read at the moment.") from unavailable
        return [outcomes[position] for position in range(len(raws))]

    async def aclose(self) -> None:
        """Ends all processes; messages being read fail with ParserUnavailable. A second time changes nothing."""
        self._is_closed = True
        self._idle.clear()
        for worker in tuple(self._workers):
            await worker.kill()
            self._workers.discard(worker)

    async def _parse_each(
        self, pending: Iterator[tuple[int, bytes]], outcomes: dict[int, ParsedMessage | ParseFailure]
    ) -> None:
        while run := _next_run(pending):
            results = await self._parse_run([raw for _, raw in run])
            outcomes.update((position, result) for (position, _), result in zip(run, results, strict=True))

    async def _parse_run(self, raws: Sequence[bytes]) -> list[ParsedMessage | ParseFailure]:
        """A few messages, one after another, by one worker, or by as many as it takes.

        Raises:
            ParserUnavailable: as `parse`.
        """
        outcomes: list[ParsedMessage | ParseFailure] = []
        while len(outcomes) < len(raws):
            async with self._free:
                await self._parse_on_one_worker(raws[len(outcomes) :], outcomes)
        return outcomes

    async def _parse_on_one_worker(self, raws: Sequence[bytes], outcomes: list[ParsedMessage | ParseFailure]) -> None:
        """Adds what a worker says of the messages, up to the one that it is lost with.

        All lie before it from the start, so that it need not wait for us between them.
        """
        worker = await self._take()
        is_sound = False
        try:
            worker.send(raws)
            for _ in raws:
                outcome, is_sound = await self._outcome(worker)
                outcomes.append(outcome)
                if not is_sound:
                    return
                is_sound = False  # should this be cancelled, it is busy with a message that nobody waits for
            is_sound = True
        finally:
            await self._give_back(worker, is_sound=is_sound)

    async def _outcome(self, worker: _Worker) -> tuple[ParsedMessage | ParseFailure, bool]:
        """The worker's next answer, or why there is none; and whether it can go on."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await worker.answer(), True
        except TimeoutError:
            return self._failure(FailureReason.TIMED_OUT), False
        except ParseFailure as failure:
            return self._failure(failure.reason), failure.reason is FailureReason.RAISED
        except (EOFError, OSError, pickle.UnpicklingError, ValueError, AttributeError, TypeError):
            return self._failure(FailureReason.CRASHED), False

    async def _take(self) -> _Worker:
        if self._is_closed:
            raise ParserUnavailable("Mail cannot be read any more: the parser is shut down.")
        while self._idle:
            worker = self._idle.pop()
            if worker.is_running:
                return worker
            # Killed while idle, by the system or a person: no message is to blame.
            await self._give_back(worker, is_sound=False)
        try:
            worker = await _Worker.start(self._target, self._memory_bytes)
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("parser_start_failed", error=type(error).__name__)
            raise ParserUnavailable("Mail cannot be read at the moment.") from error
        self._workers.add(worker)
        return worker

    async def _give_back(self, worker: _Worker, *, is_sound: bool) -> None:
        if is_sound and not self._is_closed:
            self._idle.append(worker)
            return
        self._workers.discard(worker)
        await worker.kill()

    def _failure(self, reason: FailureReason) -> ParseFailure:
        """Raises ParserUnavailable where it is the pool that has ended the worker."""
        if self._is_closed:
            raise ParserUnavailable("Mail cannot be read any more: the parser is shut down.")
        PARSE_FAILURES.labels(reason=reason).inc()
        log.warning("parser_failed", reason=reason)
        return ParseFailure(reason)


def _next_run(pending: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The next few messages: as many as one worker may have before it while others wait for it."""
    run: list[tuple[int, bytes]] = []
    size = 0
    for each in pending:
        run.append(each)
        size += len(each[1])
        if len(run) >= _RUN_MESSAGES or size >= _RUN_BYTES:
            break
    return run
