"""How does a conversation about a job go: who writes what next, and what do machines put in between?"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from functools import cache

from demo.letter_forms import (
    Bounce,
    Correspondent,
    Draft,
    Enclosure,
    as_html,
    happens,
    invitation,
    message_id,
    pdf,
    png,
    quote,
)
from demo.letter_texts import JOBS, PHRASES, Phrases

QUOTED_LINES = 80  # a program cuts off what is quoted, or a long thread would grow without bound
RECEIPT, REQUEST, ACCEPTANCE = 1, 3, 4  # the turns that are the same in every conversation; the first is turn 0


@dataclass(frozen=True, slots=True)
class Talk:
    """Who talks about which job; `copied` are the recruiters in Cc."""

    candidate: Correspondent
    recruiter: Correspondent
    copied: tuple[Correspondent, ...]
    job: str

    @property
    def phrases(self) -> Phrases:
        return PHRASES[self.candidate.language]


def turns(chance: random.Random, talk: Talk, started_at: datetime, until: datetime, length: int) -> Iterator[Draft]:
    """A conversation turn by turn, with what machines put in between, until its end or the present."""
    said = application(chance, talk, started_at)
    yield said
    written = 1
    turn = 1
    while written < length:
        at = said.sent_at + timedelta(hours=chance.uniform(0.5, 60))
        if at > until - timedelta(minutes=5):
            return
        said = _turn(chance, talk, said, at, turn)
        yield said
        written += 1
        turn += 1
        is_from_recruiter = said.sender[1] == talk.recruiter.address
        if is_from_recruiter and written < length and happens(chance, 0.12):
            machine = _away if happens(chance, 0.7) else _bounce
            yield machine(chance, talk, said)
            written += 1


def _turn(chance: random.Random, talk: Talk, said: Draft, at: datetime, turn: int) -> Draft:
    phrases = talk.phrases
    if turn == RECEIPT:
        return answer(chance, talk, said, at, author=talk.recruiter, words="\n\n".join(phrases.receipt))
    if turn == REQUEST:
        return _about_the_interview(chance, talk, said, at)
    if turn == ACCEPTANCE:
        return _about_the_interview(chance, talk, said, at, request=said)
    if turn % 2:
        return answer(chance, talk, said, at, author=talk.recruiter, words=chance.choice(phrases.recruiter_lines))
    return answer(chance, talk, said, at, author=talk.candidate, words=chance.choice(phrases.candidate_lines))


def _about_the_interview(
    chance: random.Random, talk: Talk, said: Draft, at: datetime, request: Draft | None = None
) -> Draft:
    """The invitation to an interview a week later; with the `request` that it was, its acceptance."""
    asked_at = at if request is None else request.sent_at
    starts_at = (asked_at + timedelta(days=7)).replace(hour=9, minute=30, second=0)
    words = talk.phrases.invitation if request is None else talk.phrases.acceptance
    author = talk.recruiter if request is None else talk.candidate
    said_so = "\n\n".join(words).replace("{day}", _day(starts_at))
    draft = answer(chance, talk, said, at, author=author, words=said_so)
    method = "REQUEST" if request is None else "REPLY"
    event = invitation(
        method,
        uid=(request or draft).message_id,
        starts_at=starts_at,
        summary=talk.job,
        organiser=talk.recruiter,
        attendee=talk.candidate,
    )
    files = (Enclosure("invite.ics", event.encode()),) if request is None else ()
    return replace(draft, calendar=(method, event), html=None, enclosures=files)


def application(chance: random.Random, talk: Talk, at: datetime) -> Draft:
    phrases, candidate = talk.phrases, talk.candidate
    to_name, to_address = talk.recruiter.name, talk.recruiter.address
    if happens(chance, 0.15):
        to_address = to_address.replace("@", "+jobs@")
    words = [phrases.greeting.format(name=to_name), *phrases.application, phrases.closing + "\n" + candidate.name]
    text = "\n\n".join(words).format(job=talk.job)
    files = [Enclosure(_cv_name(candidate), _cv(candidate, talk.job))]
    if happens(chance, 0.3):
        files.append(Enclosure("Certificates (2).pdf", _cv(candidate, "Certificates")))
    return _styled(
        chance,
        candidate,
        Draft(
            message_id=message_id(chance, candidate.domain),
            sender=(candidate.name, candidate.writes_from),
            to=((to_name, to_address),),
            cc=_entries(talk.copied),
            subject=phrases.subject.format(job=talk.job),
            sent_at=at,
            text=text,
            enclosures=tuple(files),
        ),
        reply=text,
    )


def answer(chance: random.Random, talk: Talk, said: Draft, at: datetime, *, author: Correspondent, words: str) -> Draft:
    """What `author` writes below or above what was `said`."""
    is_recruiter = author is talk.recruiter
    other = talk.candidate if is_recruiter else talk.recruiter
    to = (other.name, other.writes_from)
    phrases = talk.phrases
    first_name = other.name if talk.candidate.language == "ja" else other.name.partition(" ")[0]
    signature = f"-- \n{author.name}\nHarbourworks, People team" if is_recruiter else author.name
    body = words.format(
        job=talk.job, day=_day(at + timedelta(days=chance.randint(2, 9))), recruiter=talk.recruiter.name
    )
    reply = f"{phrases.greeting.format(name=first_name)}\n\n{body}\n\n{phrases.closing}\n{signature}"
    quoted = replace(said, text="\n".join(said.text.splitlines()[:QUOTED_LINES]))
    who = f"{said.sender[0]} <{said.sender[1]}>"
    above = phrases.attribution.format(when=_when(said.sent_at, talk.candidate.language), who=who)
    draft = Draft(
        message_id=message_id(chance, author.domain),
        sender=(author.name, author.writes_from),
        to=(to,),
        cc=_entries(talk.copied),
        subject=said.subject if said.subject[:3].lower() in {"re:", "aw:"} else f"Re: {said.subject}",
        sent_at=at,
        references=(*said.references, said.message_id),
        text=quote(author.program, reply, above=above, labels=phrases.header_labels, said=quoted),
    )
    return _styled(
        chance, replace(author, language=talk.candidate.language), draft, reply=reply, above=above, said=quoted
    )


def _styled(
    chance: random.Random,
    author: Correspondent,
    draft: Draft,
    *,
    reply: str,
    above: str = "",
    said: Draft | None = None,
) -> Draft:
    """Gives a letter the charset and the HTML form that its author's program would."""
    if author.program == "thunderbird":
        return replace(draft, charset=PHRASES[author.language].legacy_charset)
    if author.program == "apple":
        return replace(draft, charset=PHRASES[author.language].legacy_charset if author.language == "ja" else None)
    if author.program == "outlook" and author.language != "en" and happens(chance, 0.5):
        return replace(draft, charset=PHRASES[author.language].legacy_charset)
    image = f"logo.{draft.message_id}" if happens(chance, 0.25) else None
    pictures = (Enclosure("logo.png", _logo(), image),) if image else ()
    rich = as_html(author.program, reply, above=above, said=said, language=author.language, image=image)
    charset = "base64" if author.program == "gmail" and not draft.text.isascii() else None
    return replace(draft, html=rich, charset=charset, enclosures=(*draft.enclosures, *pictures))


def _away(chance: random.Random, talk: Talk, said: Draft) -> Draft:
    """The candidate's program answers by itself. Source: RFC 3834 §3.1, §5."""
    phrases = talk.phrases
    day = _day(said.sent_at + timedelta(days=10))
    return Draft(
        message_id=message_id(chance, talk.candidate.domain),
        sender=(talk.candidate.name, talk.candidate.address),
        to=(said.sender,),
        subject=phrases.away_subject.format(subject=said.subject),
        sent_at=said.sent_at + timedelta(seconds=chance.randint(3, 90)),
        references=(said.message_id,),
        text=f"{phrases.away.format(day=day)}\n\n{talk.candidate.name}",
        headers=(("Auto-Submitted", "auto-replied"), ("Precedence", "bulk"), ("X-Auto-Response-Suppress", "All")),
    )


def _bounce(chance: random.Random, talk: Talk, said: Draft) -> Draft:
    """The candidate's server could not take it."""
    domain = talk.candidate.address.partition("@")[2]
    machine = Correspondent("Mail Delivery System", f"MAILER-DAEMON@mx.{domain}")
    return Draft(
        message_id=message_id(chance, machine.domain),
        sender=(machine.name, machine.address),
        to=(said.sender,),
        subject="Undelivered Mail Returned to Sender",
        sent_at=said.sent_at + timedelta(minutes=chance.randint(1, 20)),
        references=(said.message_id,),
        text=f"Your message could not be delivered to\n\n  {talk.candidate.address}\n\nbecause the mailbox is full.",
        headers=(("Auto-Submitted", "auto-replied"),),
        report=Bounce(talk.candidate.address, said, host=f"mx.{domain}"),
    )


# --- Reading what was said ---


def read(raw: bytes) -> Draft:
    """As much of a message as is needed to answer it."""
    message = message_from_bytes(raw)
    text = next((part for part in message.walk() if part.get_content_type() == "text/plain"), None)
    references = f"{message.get('References', '')} {message.get('In-Reply-To', '')}".split()
    return Draft(
        message_id=str(message.get("Message-ID", "")).strip().strip("<>"),
        sender=next(iter(_entries_of(message, "From")), ("", "")),
        to=_entries_of(message, "To"),
        cc=_entries_of(message, "Cc"),
        subject=str(make_header(decode_header(str(message.get("Subject", ""))))).replace("\n", " "),
        sent_at=parsedate_to_datetime(str(message["Date"])).astimezone(UTC),
        references=tuple(dict.fromkeys(reference.strip("<>") for reference in references)),
        text=_decoded(text) if text is not None else "",
    )


def _entries_of(message: Message, header: str) -> tuple[tuple[str, str], ...]:
    entries = getaddresses([str(value) for value in message.get_all(header, [])])
    return tuple((str(make_header(decode_header(name))), address) for name, address in entries)


def _decoded(part: Message) -> str:
    content = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    return content.decode(charset, "replace").replace("\r\n", "\n") if isinstance(content, bytes) else ""


def among(people: Sequence[Correspondent], said: Draft) -> Correspondent | None:
    addresses = addresses_of(said)
    return next((person for person in people if person.address in addresses), None)


def addresses_of(draft: Draft) -> set[str]:
    """Everybody's address on a letter, tags taken off."""
    found = set()
    for _, address in (draft.sender, *draft.to, *draft.cc):
        local, _, domain = address.partition("@")
        found.add(f"{local.partition('+')[0]}@{domain}")
    return found


# --- Small things ---


def _entries(people: Sequence[Correspondent]) -> tuple[tuple[str, str], ...]:
    return tuple((person.name, person.address) for person in people)


def _day(at: datetime) -> str:
    return f"{at.day}.{at.month}.{at.year}"


def _when(at: datetime, language: str) -> str:
    if language == "en":
        return at.strftime("%a, %d %b %Y at %H:%M")
    if language == "ja":
        return f"{at.year}年{at.month}月{at.day}日 {at:%H:%M}"
    return at.strftime("%d.%m.%Y %H:%M")


def _cv_name(candidate: Correspondent) -> str:
    return f"CV {candidate.name}.pdf"


@cache
def _cv(candidate: Correspondent, title: str) -> bytes:
    years = [
        f"{year}  {JOBS[year % len(JOBS)]}, {('Tidydesk', 'Northlight', 'Buildbarn')[year % 3]}"
        for year in range(2019, 2026)
    ]
    return pdf([candidate.name, title, "", *years, "", f"Contact: {candidate.address}"])


@cache
def _logo() -> bytes:
    return png(96, 24, (20, 90, 140))
