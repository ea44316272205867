"""How fast can a mailbox be read at all: one socket, one pass over the bytes, and nothing of Postroom?

Run by itself (`python -m bench.imap_floor`) it fills a private mail server and prints the floor; the import benchmark
calls `scan` and `fetch` against the mailbox it imports, in the same run. SCALE is `small` (5,000 messages) or `full`
(50,000).
"""

import os
import re
import socket
import ssl
import statistics
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from demo.letters import CANDIDATES, RECRUITERS, write_mailboxes
from demo.mailserver import Delivery, MailSandbox
from domain import clock

MESSAGES = {"small": 5_000, "full": 50_000}
RUNS = 3
ADDRESSES = 20_000
UNTIL = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HEADER_SLICE = 5_000  # messages asked for at once
BODY_SLICE = 200
FIELDS = b"BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT MESSAGE-ID REFERENCES)]"

_RECV_BYTES = 1 << 18
_ITEM = re.compile(rb"\* \d+ FETCH \(UID (\d+) [^{\r\n]*\{(\d+)\}\r\n")
_TAGGED = re.compile(rb"t (OK|NO|BAD)[^\r\n]*\r\n")
_ADDRESS = re.compile(rb"[^\s<>,;:\"()]+@[^\s<>,;:\"()]+")


@dataclass(frozen=True, slots=True)
class Login:
    """Which mailbox; `tls` None reads it in plain text."""

    host: str
    port: int
    user: str
    password: str
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Scan:
    """All headers of INBOX read and matched; `uids` are those that name one of the addresses."""

    messages: int
    uids: Sequence[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Fetched:
    """Whole messages read."""

    messages: int
    size_bytes: int
    seconds: float


def scan(login: Login, addresses: Collection[bytes]) -> Scan:
    """Reads six header fields of every message, and matches their addresses (lower case) against a set."""
    wanted = frozenset(addresses)
    with _connection(login) as (connection, uid_next):
        began = clock.monotonic()
        matched: list[int] = []
        count = 0
        for first in range(1, uid_next, HEADER_SLICE):
            for uid, header in _fetch(connection, b"%d:%d" % (first, first + HEADER_SLICE - 1), FIELDS):
                count += 1
                if not wanted.isdisjoint(_ADDRESS.findall(header.lower())):
                    matched.append(uid)
        return Scan(count, matched, clock.monotonic() - began)


def fetch(login: Login, uids: Sequence[int]) -> Fetched:
    """Reads these messages whole."""
    with _connection(login) as (connection, _):
        began = clock.monotonic()
        sizes = [
            len(raw)
            for at in range(0, len(uids), BODY_SLICE)
            for _, raw in _fetch(connection, _compact(uids[at : at + BODY_SLICE]), b"BODY.PEEK[]")
        ]
        return Fetched(len(sizes), sum(sizes), clock.monotonic() - began)


@contextmanager
def _connection(login: Login) -> Iterator[tuple[socket.socket, int]]:
    """A socket with INBOX opened for reading, and its UIDNEXT."""
    with socket.create_connection((login.host, login.port), timeout=60) as plain:
        connection = login.tls.wrap_socket(plain, server_hostname=login.host) if login.tls else plain
        connection.recv(_RECV_BYTES)  # the greeting
        _command(connection, f'LOGIN "{login.user}" "{login.password}"'.encode())
        opened = _command(connection, b"EXAMINE INBOX")
        uid_next = re.search(rb"\[UIDNEXT (\d+)\]", opened)
        if uid_next is None:
            raise RuntimeError("The server does not say how many messages there are.")
        yield connection, int(uid_next[1])


def _command(connection: socket.socket, command: bytes) -> bytes:
    connection.sendall(b"t " + command + b"\r\n")
    answer = b""
    while not (end := re.search(rb"^t (OK|NO|BAD)[^\r\n]*\r\n", answer, re.MULTILINE)):
        answer += _receive(connection)
    if end[1] != b"OK":
        raise RuntimeError("The mail server refused a command.")
    return answer


def _fetch(connection: socket.socket, uids: bytes, what: bytes) -> Iterator[tuple[int, bytes]]:
    """UID and literal of each message, as they come in."""
    connection.sendall(b"t UID FETCH " + uids + b" (UID " + what + b")\r\n")
    buffer = bytearray()
    at = 0
    while True:
        while item := _ITEM.match(buffer, at):
            begin, size = item.end(), int(item[2])
            if len(buffer) < begin + size + 3:  # the literal and what closes it: `)` and a line end
                break
            yield int(item[1]), bytes(buffer[begin : begin + size])
            at = begin + size + 3
        if end := _TAGGED.match(buffer, at):
            if end[1] != b"OK":
                raise RuntimeError("The mail server refused a FETCH.")
            return
        del buffer[:at]
        at = 0
        buffer += _receive(connection)


def _receive(connection: socket.socket) -> bytes:
    chunk = connection.recv(_RECV_BYTES)
    if not chunk:
        raise ConnectionError("The mail server closed the connection.")
    return chunk


def _compact(uids: Sequence[int]) -> bytes:
    """`1:3,7` for 1, 2, 3, 7."""
    ranges: list[list[int]] = []
    for uid in uids:
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(f"{first}:{last}" if last > first else str(first) for first, last in ranges).encode()


def main() -> None:
    count = MESSAGES[os.environ.get("SCALE", "small")]
    strangers = [f"person{number}@example.org".encode() for number in range(ADDRESSES - len(CANDIDATES))]
    addresses = [*(candidate.address.encode() for candidate in CANDIDATES), *strangers]
    user = RECRUITERS[0].address
    with MailSandbox([(user, "secret")]) as server:
        for seed in range(count // MESSAGES["small"]):
            letters = write_mailboxes(seed, RECRUITERS[:1], CANDIDATES, MESSAGES["small"], UNTIL)[user]
            server.deliver_many(user, [Delivery(letter.raw, letter.received_at, letter.flags) for letter in letters])
        login = Login(server.host, server.imaps_port, user, "secret", server.client_tls())
        scan(login, addresses)  # the server writes its index on the first visit
        scans = [scan(login, addresses) for _ in range(RUNS)]
        fetches = [fetch(login, scans[0].uids) for _ in range(RUNS)]
    rate = statistics.median(one.messages / one.seconds for one in scans)
    volume = statistics.median(one.size_bytes / one.seconds / 1e6 for one in fetches)
    bodies = statistics.median(one.messages / one.seconds for one in fetches)
    print(f"imap-scan floor={rate:.0f} unit=messages/s messages={scans[0].messages} matched={len(scans[0].uids)}")
    print(f"imap-fetch floor={bodies:.0f} unit=messages/s volume={volume:.1f}MB/s messages={fetches[0].messages}")


if __name__ == "__main__":
    main()
