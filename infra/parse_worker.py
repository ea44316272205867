"""What runs in a parser process: messages in, parsed messages out, one at a time, until the parent is gone.

Started by `infra.parse_pool` only. A message comes as its length and its bytes; an answer is its length, what it is
(READY once after the start, PARSED, or a failure) and, for PARSED, a pickle.
"""

import ctypes
import gc
import importlib
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO

LENGTH = struct.Struct(">Q")
ANSWER = struct.Struct(">Qc")
READY, PARSED, RAISED, OUT_OF_MEMORY = b"r", b"p", b"x", b"m"
_PR_SET_PDEATHSIG = 1
"""Source: prctl(2)."""


def main(arguments: list[str]) -> None:
    """Serves the socket given as `<descriptor> <memory limit in bytes> <parent's id> <module>:<function>`."""
    descriptor, memory_bytes, parent_id, target = arguments
    _die_with_parent(int(parent_id))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    module, _, function = target.partition(":")
    parse: Callable[[bytes], object] = getattr(importlib.import_module(module), function)
    gc.freeze()  # what was imported stays, and need not be looked through again and again
    with (
        socket.socket(fileno=int(descriptor)) as connection,
        connection.makefile("rb") as messages,
        connection.makefile("wb") as answers,
    ):
        _answer(answers, READY)
        while (raw := _read_message(messages)) is not None:
            kind, content = _outcome(parse, raw)
            _answer(answers, kind, content)
            if kind == OUT_OF_MEMORY:
                return


def _outcome(parse: Callable[[bytes], object], raw: bytes) -> tuple[bytes, bytes]:
    try:
        return PARSED, pickle.dumps(parse(raw), protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return OUT_OF_MEMORY, b""
    except Exception:  # noqa: BLE001 - the parent is told that it failed; what with may quote the message
        return RAISED, b""


def _read_message(stream: BinaryIO) -> bytes | None:
    """The next message; None where the parent has closed."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    content = stream.read(length)
    return content if len(content) == length else None


def _answer(stream: BinaryIO, kind: bytes, content: bytes = b"") -> None:
    stream.write(ANSWER.pack(len(content), kind))
    stream.write(content)
    stream.flush()


def _die_with_parent(parent_id: int) -> None:
    """An idle worker ends when its socket closes; a busy one needs the kernel's word, which only Linux gives."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_id:
        sys.exit()


if __name__ == "__main__":
    main(sys.argv[1:])
