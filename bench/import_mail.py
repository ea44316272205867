"""What lies in the mailbox that the import benchmark reads?

A tenth of the messages is with candidates, in conversations with references; the rest is from everybody else. Headers
are as long as those that cross two providers, bodies are text and HTML with what they answer quoted below; a tenth
has a file. Half the messages are larger than 8 KB. All follows from the seed.
"""

import base64
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Final

from demo.mailserver import Delivery

ADDRESSES: Final = 20_000
CANDIDATES: Final = tuple(f"applicant.{number}@mail{number % 40}.example" for number in range(ADDRESSES))
HISTORY = timedelta(days=900)
LENGTHS = (1, 2, 3, 5, 7, 9, 12, 30)
"""Messages of a conversation."""
FILES = 0.1
FILE_BYTES = (20_000, 150_000)

_WORDS: Final = tuple(
    word
    for line in (
        "thank you for the invitation I would be glad to come by next Tuesday at ten the office",
        "is near the harbour we offer flexible hours my notice is three months please find the documents attached",
        "could you tell me more about the second interview with kind regards the salary we spoke of would be fine",
    )
    for word in line.split()
)
_STYLE: Final = "p.MsoNormal,li.MsoNormal{margin:0cm;font-size:11.0pt;font-family:Calibri,sans-serif;}\n" * 24
_SENDERS: Final = 400
"""Newsletters, shops and colleagues: what is not with a candidate comes from these again and again, or from anybody."""


@dataclass(slots=True)
class _Conversation:
    candidate: str
    subject: str
    left: int
    ids: list[str] = field(default_factory=list)
    said: str = ""


def write_mailbox(seed: int, owner: str, count: int, share: float, until: datetime) -> Iterator[Delivery]:
    """`count` messages, oldest first, of which `share` are with one of CANDIDATES."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    running = [_begun(chance) for _ in range(20)]
    for number in range(count):
        at = until - HISTORY * (1 - number / count)
        if chance.random() >= share:
            yield Delivery(_noise(chance, owner, at), at)
            continue
        position = chance.randrange(len(running))
        talk = running[position]
        yield Delivery(_turn(chance, talk, owner, at), at)
        if not talk.left:
            running[position] = _begun(chance)


def _begun(chance: random.Random) -> _Conversation:
    return _Conversation(chance.choice(CANDIDATES), f"Application {chance.randrange(10**6)}", chance.choice(LENGTHS))


def _turn(chance: random.Random, talk: _Conversation, owner: str, at: datetime) -> bytes:
    """The next letter of a conversation; every second one is the owner's."""
    mine = len(talk.ids) % 2 == 1
    name, address = "Ines Albrecht", owner
    other, candidate = talk.candidate.partition("@")[0].replace(".", " ").title(), talk.candidate
    sender, to = ((name, address), (other, candidate)) if mine else ((other, candidate), (name, address))
    answered = "".join(f"\r\n <{each}>" for each in talk.ids)
    fields = [("In-Reply-To", f"<{talk.ids[-1]}>"), ("References", answered.lstrip())] if talk.ids else []
    said = _prose(chance, 60)
    quoted = "\n".join(f"> {line}" for line in talk.said.splitlines())
    text = f"Hello,\n\n{said}\n\nBest wishes\n{sender[0]}\n" + (
        f"\nOn Monday {to[0]} wrote:\n{quoted}\n" if quoted else ""
    )
    talk.ids.append(f"{chance.getrandbits(96):024x}@{sender[1].partition('@')[2]}")
    talk.said, talk.left = said, talk.left - 1
    subject = f"Re: {talk.subject}" if fields else talk.subject
    return _letter(
        chance,
        sender=sender,
        recipients=[to],
        subject=subject,
        at=at,
        identity=talk.ids[-1],
        fields=fields,
        text=text,
    )


def _noise(chance: random.Random, owner: str, at: datetime) -> bytes:
    number = chance.randrange(_SENDERS) if chance.random() < 0.6 else chance.randrange(10**7)
    domain = f"shop{number % 97}.example"
    recipients = [("Ines Albrecht", owner)]
    if chance.random() < 0.2:
        recipients += [(f"Colleague {n}", f"colleague{n}@harbourworks.example") for n in range(chance.randrange(1, 6))]
    identity = f"{chance.getrandbits(96):024x}@{domain}"
    text = _prose(chance, 150)
    return _letter(
        chance,
        sender=(f"Sender {number}", f"news{number}@{domain}"),
        recipients=recipients,
        subject=f"Offer {number}",
        at=at,
        identity=identity,
        fields=[],
        text=text,
    )


def _letter(
    chance: random.Random,
    *,
    sender: tuple[str, str],
    recipients: Sequence[tuple[str, str]],
    subject: str,
    at: datetime,
    identity: str,
    fields: Sequence[tuple[str, str]],
    text: str,
) -> bytes:
    boundary = f"=_{identity[:24]}_"
    lines = [
        *_transport(chance, sender[1].partition("@")[2], at),
        f"From: {_mailbox(sender)}",
        "To: " + ",\r\n ".join(_mailbox(each) for each in recipients),
        f"Subject: {subject}",
        f"Date: {format_datetime(at)}",
        f"Message-ID: <{identity}>",
        *(f"{name}: {value}" for name, value in fields),
        "MIME-Version: 1.0",
    ]
    paragraphs = "".join(f"<p class=3DMsoNormal>{line}</p>\r\n" for line in text.splitlines())
    parts = (
        f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{_crlf(text)}\r\n"
        f"--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        f"<html><head><style>{_crlf(_STYLE)}</style></head><body>{paragraphs}</body></html>\r\n--{boundary}--\r\n"
    )
    if chance.random() >= FILES:
        lines.append(f'Content-Type: multipart/alternative; boundary="{boundary}"')
        return ("\r\n".join(lines) + "\r\n\r\n" + parts).encode()
    mixed = f"=_m{identity[:24]}_"
    content = base64.encodebytes(chance.randbytes(chance.randint(*FILE_BYTES))).decode().replace("\n", "\r\n")
    lines.append(f'Content-Type: multipart/mixed; boundary="{mixed}"')
    return (
        "\r\n".join(lines) + f'\r\n\r\n--{mixed}\r\nContent-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
        f"{parts}\r\n--{mixed}\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment; filename="document.pdf"\r\n\r\n{content}--{mixed}--\r\n'
    ).encode()


def _transport(chance: random.Random, domain: str, at: datetime) -> list[str]:
    """What servers put above a letter on its way."""
    stamp = format_datetime(at + timedelta(seconds=2))
    signature = _token(chance, 344)
    return [
        f"Return-Path: <bounce@{domain}>",
        *(
            f"Received: from mx{hop}.{domain} (mx{hop}.{domain} [192.0.2.{hop + 1}])\r\n\tby relay{hop}.example with "
            f"ESMTPS id {_token(chance, 24)}\r\n\t(version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384); {stamp}"
            for hop in range(4)
        ),
        f"ARC-Seal: i=1; a=rsa-sha256; s=arc; d=relay.example; cv=none;\r\n b={signature}",
        (
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s=k1;\r\n"
            f" h=from:to:subject:date:message-id;\r\n bh={_token(chance, 44)};\r\n b={_token(chance, 344)}"
        ),
        f"Authentication-Results: mx.example; spf=pass smtp.mailfrom={domain};\r\n dkim=pass header.d={domain}",
        f"X-Provider-Antispam: {_token(chance, 600)}",
    ]


def _token(chance: random.Random, length: int) -> str:
    return base64.b64encode(chance.randbytes(length * 3 // 4)).decode()


def _prose(chance: random.Random, words: int) -> str:
    chosen = chance.choices(_WORDS, k=chance.randint(words // 2, words * 2))
    return "\n".join(" ".join(chosen[at : at + 12]) for at in range(0, len(chosen), 12))


def _mailbox(person: tuple[str, str]) -> str:
    return f'"{person[0]}" <{person[1]}>'


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")
