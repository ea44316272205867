"""A mailbox that answers over IMAP as Gmail says that it does.

Source: developers.google.com/workspace/gmail/imap/imap-extensions
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.providers.scripted import Answer, Peer, Script, imap

ALL_MAIL = "[Gmail]/All Mail"
_CAPABILITIES = b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 AUTH=PLAIN SASL-IR"
_GREETING = b"* OK Gimap ready for requests from 127.0.0.1 k2if6111336rvb.0\r\n"
_SLICE = re.compile(rb"<(\d+)\.(\d+)>")


@dataclass(frozen=True)
class GmailMessage:
    """A message in All Mail, and the conversation that Gmail shows it in."""

    thread_id: int
    raw: bytes
    received_at: datetime


def gmail(messages: Sequence[GmailMessage], *, capabilities: bytes = _CAPABILITIES) -> Script:
    """A script over messages whose UIDs are 1, 2, 3 …, in this order; UIDVALIDITY is 7.

    Each connection sees the messages that there are when it begins. X-GM-THRID is refused where X-GM-EXT-1 is not
    among the capabilities.
    """

    async def converse(peer: Peer) -> None:
        script = imap(_answers(messages, capabilities), greeting=_GREETING)
        await script(peer)

    return converse


def _answers(messages: Sequence[GmailMessage], capabilities: bytes) -> Mapping[bytes, Answer]:
    count = len(messages)
    state = b"UIDNEXT %d" % (count + 1), b"UIDVALIDITY 7"

    async def fetch(peer: Peer, tag: bytes, rest: bytes) -> None:
        asked = rest.split(b" ", 2)[2].partition(b" ")
        if b"X-GM-" in rest and b"X-GM-EXT-1" not in capabilities:
            await peer.send(tag + b" BAD Could not parse command\r\n")
            return
        for uid in _numbers(asked[0], count):
            await peer.send(b"* %d FETCH (%s)\r\n" % (uid, b" ".join(_items(messages[uid - 1], uid, asked[2]))))
        await peer.send(tag + b" OK Success\r\n")

    return {
        b"CAPABILITY": b"* CAPABILITY " + capabilities + b"\r\n%(tag)s OK Thats all she wrote!\r\n",
        b"NAMESPACE": b'* NAMESPACE (("" "/")) NIL NIL\r\n%(tag)s OK Success\r\n',
        b"LIST": b'* LIST (\\HasNoChildren) "/" "INBOX"\r\n'
        b'* LIST (\\HasChildren \\Noselect) "/" "[Gmail]"\r\n'
        b'* LIST (\\All \\HasNoChildren) "/" "[Gmail]/All Mail"\r\n%(tag)s OK Success\r\n',
        b"STATUS": b'* STATUS "[Gmail]/All Mail" (%s %s)\r\n' % state + b"%(tag)s OK Success\r\n",
        b"EXAMINE": b"* %d EXISTS\r\n* OK [%s] .\r\n* OK [%s]  .\r\n" % (count, state[1], state[0])
        + b"%(tag)s OK [READ-ONLY] [Gmail]/All Mail selected. (Success)\r\n",
        b"UID SEARCH": b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, count + 1)) + b"\r\n%(tag)s OK\r\n",
        b"UID FETCH": fetch,
    }


def _items(message: GmailMessage, uid: int, asked: bytes) -> Iterator[bytes]:
    if b"X-GM-THRID" in asked:
        yield b"X-GM-THRID %d" % message.thread_id
    yield b"UID %d" % uid
    if b"RFC822.SIZE" in asked:
        yield b"RFC822.SIZE %d" % len(message.raw)
    if b"INTERNALDATE" in asked:
        yield b'INTERNALDATE "%s"' % message.received_at.strftime("%d-%b-%Y %H:%M:%S %z").encode()
    if b"HEADER.FIELDS" in asked:
        header = message.raw.partition(b"\n\n")[0] + b"\r\n\r\n"
        yield b"BODY[HEADER.FIELDS (FROM TO)] {%d}\r\n%s" % (len(header), header)
    elif part := _SLICE.search(asked):
        offset, length = int(part[1]), int(part[2])
        octets = message.raw[offset : offset + length]
        yield b"BODY[]<%d> {%d}\r\n%s" % (offset, len(octets), octets)
    elif b"BODY" in asked:
        yield b"BODY[] {%d}\r\n%s" % (len(message.raw), message.raw)


def _numbers(uid_set: bytes, last: int) -> Iterator[int]:
    for each in uid_set.split(b","):
        first, _, end = each.partition(b":")
        yield from range(int(first), min(int(end or first), last) + 1)
