"""Parsers that fail in the ways a real one could, named by the tests of the pool; no message can reach them."""

import os
import signal
import time
from pathlib import Path

from domain.mail import ParsedMessage
from domain.mime_parse import parse


def fails_on_command(raw: bytes) -> ParsedMessage:
    """Does what the message says, else reads it."""
    if raw == b"hang":
        time.sleep(3600)
    if raw == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if raw == b"grow":
        return parse(b"x" * 8 * 1024**3)
    if raw == b"raise":
        raise RuntimeError
    if raw.startswith(b"tell "):
        Path(raw.removeprefix(b"tell ").decode()).write_text(f"{os.getpid()} {sorted(os.environ)}")
    return parse(raw)


def answers_with_code(raw: bytes) -> object:
    """What a parser might answer that a message has taken over: a pickle that runs something."""
    return _Command()


class _Command:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("true",))
