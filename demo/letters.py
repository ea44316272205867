"""Which letters lie in the mailboxes of the demonstration, and which arrive while one watches?

Everything follows from a seed and a date: the same two give the same bytes. All text is written for this purpose, and
all addresses lie in domains that are reserved for examples.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from demo.letter_forms import Correspondent, Draft, compose, happens
from demo.letter_noise import chatter
from demo.letter_talks import Talk, addresses_of, among, answer, application, read, turns
from demo.letter_texts import JOBS

RECRUITERS: Final = (
    Correspondent("Ines Albrecht", "ines@harbourworks.example", program="outlook"),
    Correspondent("Tom Okafor", "tom@harbourworks.example", program="gmail"),
)
CANDIDATES: Final = (
    Correspondent("Grace Whitfield", "grace.whitfield@brightmail.example", "en", "gmail"),
    Correspondent("Daniel Osei", "daniel@osei-works.example", "en", "apple"),
    Correspondent("Priya Raman", "priya.raman@postbox.example", "en", "outlook", tag="jobs"),
    Correspondent("Lena Hoffmann", "lena.hoffmann@gruenpost.example", "de", "thunderbird"),
    Correspondent("Jörg Mäurer", "joerg.maeurer@feldweg.example", "de", "outlook"),
    Correspondent("Élodie Marchand", "elodie.marchand@courriel.example", "fr", "apple"),
    Correspondent("Lucía Ferrán", "lucia.ferran@correo-sur.example", "es", "gmail", tag="empleo"),
    Correspondent("Niccolò Bertè", "niccolo@berte-studio.example", "it", "gmail"),
    Correspondent("Małgorzata Wróbel", "gosia.wrobel@poczta-las.example", "pl", "thunderbird"),
    Correspondent("Sanne de Vries", "sanne@devries-post.example", "nl", "apple"),
    Correspondent("高橋 美咲", "misaki.takahashi@yubin.example", "ja", "outlook"),
    Correspondent("ليلى الحداد", "layla.haddad@barid.example", "ar", "gmail"),
)

CANDIDATE_SHARE = 0.12  # of a mailbox's letters; the rest is what fills anybody's mailbox
HISTORY = timedelta(days=540)
ARCHIVED_AFTER = timedelta(days=120)
LONG_THREAD = 30
LONG_EVERY = 10  # conversations
HOST = "mx.harbourworks.example"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in a mailbox.

    Attributes:
        folder: INBOX, Sent, Archive or Junk.
        flags: IMAP flags.
        concerns: addresses of the candidates it is from or to, or (a bounce) about; empty for everybody else's mail.
    """

    folder: str
    received_at: datetime
    raw: bytes
    flags: tuple[str, ...]
    concerns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new letter, and the addresses of the recruiters into whose mailboxes it comes."""

    letter: Letter
    mailboxes: tuple[str, ...]


def write_mailboxes(
    seed: int,
    recruiters: Sequence[Correspondent],
    candidates: Sequence[Correspondent],
    count: int,
    until: datetime,
) -> Mapping[str, Sequence[Letter]]:
    """`count` letters for each recruiter, by address, oldest first, of the eighteen months before `until`.

    About one in eight is with a candidate. What goes to both recruiters has one Message-ID in both mailboxes.
    """
    chance = random.Random(seed)  # noqa: S311 - a play, not a secret
    mailboxes: dict[str, list[Letter]] = {recruiter.address: [] for recruiter in recruiters}
    quota = max(1, round(count * CANDIDATE_SHARE)) if candidates else 0
    for number in itertools.count():
        owner = min(recruiters, key=lambda one: len(mailboxes[one.address]))
        missing = quota - len(mailboxes[owner.address])
        if missing <= 0:
            break
        others = tuple(one for one in recruiters if one is not owner)
        copied = others if happens(chance, 0.3) else ()
        talk = Talk(candidates[number % len(candidates)], owner, copied, chance.choice(JOBS))
        length = LONG_THREAD if number % LONG_EVERY == LONG_EVERY - 1 else chance.choice((1, 2, 3, 5, 7, 9, 12))
        started_at = until - HISTORY * chance.random() - timedelta(hours=1)
        for draft in turns(chance, talk, started_at, until, min(length, missing)):
            for address, letter in _copies(chance, draft, talk, recruiters, until):
                mailboxes[address].append(letter)
    for recruiter in recruiters:
        _fill(chance, mailboxes[recruiter.address], recruiter, count, until)
    return mailboxes


def new_letter(
    chance: random.Random,
    candidates: Sequence[Correspondent],
    recruiters: Sequence[Correspondent],
    now: datetime,
    thread: Sequence[bytes] = (),
) -> Arrival:
    """A letter that a candidate writes at `now`.

    Args:
        chance: where its accidents come from.
        candidates: who may write.
        recruiters: to whom.
        now: its date.
        thread: the messages so far, oldest first: the candidate among their addresses answers the last. Empty, or
            without a candidate: somebody applies.
    """
    said = read(thread[-1]) if thread else None
    candidate = among(candidates, said) if said else None
    if said is None or candidate is None:
        talk = Talk(chance.choice(candidates), chance.choice(recruiters), (), chance.choice(JOBS))
        draft = application(chance, talk, now)
    else:
        addressed = [one for one in recruiters if one.address in addresses_of(said)] or list(recruiters[:1])
        talk = Talk(candidate, addressed[0], tuple(addressed[1:]), chance.choice(JOBS))
        draft = answer(chance, talk, said, now, author=candidate, words=chance.choice(talk.phrases.candidate_lines))
    raw = compose(draft, received_by=HOST)
    concerned = Letter("INBOX", now, raw, (), (talk.candidate.address,))
    return Arrival(concerned, tuple(one.address for one in (talk.recruiter, *talk.copied)))


def _copies(
    chance: random.Random, draft: Draft, talk: Talk, recruiters: Sequence[Correspondent], until: datetime
) -> Iterator[tuple[str, Letter]]:
    """The letter as it lies in the mailbox of each recruiter who sent or received it."""
    received: bytes | None = None  # the same bytes for all who receive it
    addresses = addresses_of(draft)
    for recruiter in recruiters:
        if recruiter.address not in addresses:
            continue
        if draft.sender[1] == recruiter.address:
            folder, at, raw = "Sent", draft.sent_at, compose(draft, received_by=None)
        else:
            at = draft.sent_at + timedelta(seconds=3)
            folder, raw = _place(chance, at, until), received or compose(draft, received_by=HOST)
            received = raw
        yield recruiter.address, Letter(folder, at, raw, _flags(chance, folder, at, until), (talk.candidate.address,))


def _fill(chance: random.Random, letters: list[Letter], recruiter: Correspondent, count: int, until: datetime) -> None:
    """Adds the mail that has nothing to do with candidates, and puts all in the order of arrival."""
    while len(letters) < count:
        at = until - HISTORY * chance.random()
        folder, draft = chatter(chance, recruiter, at)
        place = _place(chance, at, until) if folder == "INBOX" else folder
        received_by = None if folder == "Sent" else HOST
        letters.append(Letter(place, at, compose(draft, received_by=received_by), _flags(chance, place, at, until), ()))
    letters.sort(key=lambda letter: letter.received_at)


def _place(chance: random.Random, at: datetime, until: datetime) -> str:
    return "Archive" if until - at > ARCHIVED_AFTER and happens(chance, 0.5) else "INBOX"


def _flags(chance: random.Random, folder: str, at: datetime, until: datetime) -> tuple[str, ...]:
    is_recent = until - at < timedelta(days=3)
    flags = (
        [] if folder == "Junk" or (folder == "INBOX" and happens(chance, 0.6 if is_recent else 0.05)) else [r"\Seen"]
    )
    if folder in {"INBOX", "Archive"} and flags and happens(chance, 0.2):
        flags.append(r"\Answered")
    if happens(chance, 0.02):
        flags.append(r"\Flagged")
    return tuple(flags)
