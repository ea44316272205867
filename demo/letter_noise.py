"""What fills anybody's mailbox beside the letters that matter?"""

import random
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from demo.letter_forms import Correspondent, Draft, Enclosure, happens, message_id, pdf

_Writer: TypeAlias = Callable[[random.Random, Correspondent, datetime], Draft]

NEWSLETTERS = (
    ("The Slow Gardener", "slow-gardener.example", "Issue {n}: what to sow this month"),
    ("Type & Paper Weekly", "typeandpaper.example", "No. {n}: five typefaces for long texts"),
    ("Rail Notes", "railnotes.example", "Night trains, new timetable and a look back ({n})"),
    ("Database Digest", "dbdigest.example", "#{n}: indexes that nobody reads"),
    ("Küche am Fluss", "kueche-am-fluss.example", "Rezeptbrief {n}: Kürbis, Nüsse, Glück"),
    ("Hallway Talks", "hallwaytalks.example", "Episode {n} is out: hiring without hurry"),
)

SHOPS = (
    ("Lindqvist Bürobedarf", "lindqvist-buero.example", "Rechnung {n}"),
    ("Harbour Telecom", "harbour-telecom.example", "Your invoice {n} is ready"),
    ("Café Tournesol", "cafe-tournesol.example", "Facture n° {n}"),
    ("Northlight Hosting", "northlight-hosting.example", "Invoice {n} for your servers"),
)

NOTICES = (
    ("Build Bot", "ci.buildbarn.example", "[website] Build #{n} failed on main"),
    ("Calendar", "calendar.tidydesk.example", "Reminder: weekly planning at 10:00 ({n})"),
    ("Tidydesk", "notify.tidydesk.example", "3 tasks are due this week [{n}]"),
    ("Cloudbox", "mail.cloudbox.example", "A file was shared with you ({n})"),
    ("Stadtwerke", "stadtwerke-nord.example", "Ihr Zählerstand {n} wurde gespeichert"),
)

FRIENDS = (
    ("Marta Oliveira", "marta@oliveira-family.example"),
    ("Jonas Weiß", "jonas.weiss@feldpost.example"),
    ("Uncle Pete", "pete@tinmine.example"),
    ("Sofie Lund", "sofie.lund@nordmail.example"),
    ("Éva Szabó", "eva@szabo-studio.example"),
)

PRIVATE = (
    ("Sunday?", "Are you coming on Sunday? We thought of a walk along the river and soup afterwards."),
    ("The photos", "I have finally sorted the photos of the summer. The one with the goat is the best."),
    ("Wohnungsschlüssel", "Der Schlüssel liegt bei Frau Köhler im zweiten Stock. Bitte gieße die Tomaten!"),
    ("Book", "I have finished the book you lent me. The ending is strange, but I liked it."),
    ("Parents' evening", "Parents' evening has moved to Thursday at seven, same room as last time."),
    ("Concert tickets", "I could still get two seats in the balcony. Shall I take them?"),
)

BUSINESS = (
    ("Minutes of Monday", "Please find the minutes below. Two points are open: the budget and the new printer."),
    ("Lunch with the agency", "The agency would like to come by at noon. Is the small meeting room free?"),
    ("Holiday plan", "Could you enter your days off by Friday, so that the summer plan can go out?"),
    ("Job advertisement, second draft", "Here is the second draft. I have shortened the list of requirements by half."),
    ("Angebot Messestand", "Das Angebot für den Messestand ist da, etwas teurer als im letzten Jahr."),
)

SPAM = (
    ("Y0u have been selected", "Claim your reward within 24 hours. Your parcel is waiting for a small fee."),
    ("Re: Re: your account", "We noticed unusual activity. Confirm your details now to avoid suspension."),
    ("Cheap watches, 90% off!!!", "Only today. All famous models. Discreet delivery to your door."),
    ("Investment opportunity", "Dear friend, I write to you in confidence about a large sum that waits for you."),
)

FILLER = (
    "There was more rain than usual, and the roses took it badly.",
    "Readers asked for a shorter edition, so here it is, with three links and one picture.",
    "The workshop was full after two days; a second date follows in spring.",
    "We tried four ways to do it and describe the one that needed the least patience.",
    "Prices are rising again, though more slowly than a year ago.",
    "A reader from Lisbon sent us a correction, for which we are grateful.",
    "Vergessen Sie nicht, die Zwiebeln vor dem ersten Frost zu setzen.",
    "The next issue appears in two weeks, as always on a Thursday.",
)

COLLEAGUES = (
    ("Harriet Blom", "harriet@harbourworks.example"),
    ("Accounts", "accounts@harbourworks.example"),
    ("Felix Sauer", "felix@signpost-agency.example"),
    ("Ana Pires", "ana.pires@fairs-and-stands.example"),
)


def chatter(chance: random.Random, owner: Correspondent, at: datetime) -> tuple[str, Draft]:
    """A letter to or from `owner` that has nothing to do with candidates, and the folder it lies in."""
    kinds: tuple[tuple[int, str, _Writer], ...] = (
        (34, "INBOX", _newsletter),
        (22, "INBOX", _notice),
        (9, "INBOX", _invoice),
        (9, "INBOX", _private),
        (12, "INBOX", _business),
        (6, "Sent", _sent),
        (8, "Junk", _spam),
    )
    _, folder, write = chance.choices(kinds, weights=[weight for weight, _, _ in kinds])[0]
    return folder, write(chance, owner, at)


def _newsletter(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    name, domain, subject = chance.choice(NEWSLETTERS)
    lines = chance.sample(FILLER, k=5)
    number = (at.year - 2020) * 52 + at.timetuple().tm_yday // 7
    link = f"https://{domain}/issues/{number}"
    rows = "".join(
        f'<tr><td style="padding:12px"><p>{line} <a href="{link}">Read on</a></p></td></tr>' for line in lines
    )
    return Draft(
        message_id=message_id(chance, f"bulk.{domain}"),
        sender=(name, f"letter@{domain}"),
        to=((owner.name, owner.address),),
        subject=subject.format(n=number),
        sent_at=at,
        text="\n\n".join(lines) + f"\n\n{link}\nUnsubscribe: https://{domain}/leave",
        html=f'<html><body style="background:#f4f4f4"><h1>{name}</h1><table width="600">{rows}</table>'
        f'<img src="https://{domain}/seen.gif?i={chance.getrandbits(32)}" width="1" height="1" alt="">'
        f'<p><a href="https://{domain}/leave">Unsubscribe</a></p></body></html>',
        headers=(
            ("List-Id", f"{name.encode('ascii', 'ignore').decode()} <letter.{domain}>"),
            ("List-Unsubscribe", f"<https://{domain}/leave>"),
            ("Precedence", "bulk"),
        ),
    )


def _notice(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    name, domain, subject = chance.choice(NOTICES)
    return Draft(
        message_id=message_id(chance, domain),
        sender=(name, f"no-reply@{domain}"),
        to=((owner.name, owner.address),),
        subject=subject.format(n=chance.randint(100, 9999)),
        sent_at=at,
        text=f"{chance.choice(FILLER)}\n\nThis message was sent by a machine. Please do not answer it.",
        headers=(("Auto-Submitted", "auto-generated"),),
    )


def _invoice(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    name, domain, subject = chance.choice(SHOPS)
    number = f"{at.year}-{chance.randint(1000, 9999)}"
    amount = f"{chance.randint(9, 900)},{chance.randint(0, 99):02} EUR"
    return Draft(
        message_id=message_id(chance, domain),
        sender=(name, f"billing@{domain}"),
        to=((owner.name, owner.address),),
        subject=subject.format(n=number),
        sent_at=at,
        text=f"{name}\n\n{subject.format(n=number)}: {amount}\n\nGrüße · Regards · Cordialement",
        charset="iso-8859-1",
        enclosures=(Enclosure(f"{number}.pdf", pdf([name, number, amount])),),
    )


def _private(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    friend = chance.choice(FRIENDS)
    subject, text = chance.choice(PRIVATE)
    return _plain(
        chance,
        friend,
        (owner.name, owner.address),
        subject=subject,
        text=f"{text}\n\n{friend[0].partition(' ')[0]}",
        at=at,
    )


def _business(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    colleague = chance.choice(COLLEAGUES)
    subject, text = chance.choice(BUSINESS)
    if happens(chance, 0.4):
        subject, text = f"Re: {subject}", f"{chance.choice(FILLER)}\n\n> {text}"
    return _plain(
        chance, colleague, (owner.name, owner.address), subject=subject, text=f"{text}\n\n-- \n{colleague[0]}", at=at
    )


def _sent(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    other = chance.choice((*FRIENDS, *COLLEAGUES))
    subject, text = chance.choice((*PRIVATE, *BUSINESS))
    words = f"{chance.choice(FILLER)}\n\n> {text}"
    return _plain(chance, (owner.name, owner.address), other, subject=f"Re: {subject}", text=words, at=at)


def _spam(chance: random.Random, owner: Correspondent, at: datetime) -> Draft:
    subject, text = chance.choice(SPAM)
    domain = f"offer-{chance.randint(100, 999)}.example"
    sender = ("Customer Service", f"{chance.getrandbits(24):06x}@{domain}")
    words = f"{text}\n\nhttp://{domain}/claim"
    return _plain(chance, sender, (owner.address, owner.address), subject=subject, text=words, at=at)


def _plain(
    chance: random.Random, sender: tuple[str, str], to: tuple[str, str], *, subject: str, text: str, at: datetime
) -> Draft:
    return Draft(
        message_id=message_id(chance, sender[1].partition("@")[2]),
        sender=sender,
        to=(to,),
        subject=subject,
        sent_at=at,
        text=text,
    )
