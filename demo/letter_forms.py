"""How does a mail program put a letter into bytes: its MIME parts, charsets, quotations, invitations and reports?"""

import html
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.charset import BASE64, QP, Charset
from email.header import Header
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import Literal, TypeAlias

Program: TypeAlias = Literal["gmail", "outlook", "apple", "thunderbird"]

_WIRE = compat32.clone(linesep="\r\n", mangle_from_=False)
_UTF8_QUOTED = Charset("utf-8")
_UTF8_QUOTED.body_encoding = QP
_DAYS_OF_OUTLOOK = "%A, %d %B %Y %H:%M"


@dataclass(frozen=True, slots=True)
class Correspondent:
    """Someone who writes letters.

    Attributes:
        language: a key of `letter_texts.PHRASES`.
        program: decides how their replies quote and how their mail is encoded.
        tag: they write from `local+tag@domain`; None: from the address itself.
    """

    name: str
    address: str
    language: str = "en"
    program: Program = "gmail"
    tag: str | None = None

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]

    @property
    def writes_from(self) -> str:
        local, _, domain = self.address.partition("@")
        return f"{local}+{self.tag}@{domain}" if self.tag else self.address


@dataclass(frozen=True, slots=True)
class Enclosure:
    """An attached file; with a `content_id` an image of the HTML body."""

    filename: str
    content: bytes
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter before it becomes bytes. Ids have no angle brackets; `charset` None is UTF-8 in quoted-printable."""

    message_id: str
    sender: tuple[str, str]
    to: tuple[tuple[str, str], ...]
    subject: str
    sent_at: datetime
    text: str
    cc: tuple[tuple[str, str], ...] = ()
    references: tuple[str, ...] = ()
    html: str | None = None
    charset: str | None = None
    calendar: tuple[str, str] | None = None  # METHOD and the iCalendar text
    enclosures: tuple[Enclosure, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    report: "Bounce | None" = None


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a delivery report says about which letter."""

    recipient: str
    about: Draft
    host: str = field(default="mx.far-away.example")


def compose(draft: Draft, *, received_by: str | None) -> bytes:
    """The letter as it lies in a mailbox; `received_by`: the host that took it in, None for a copy in Sent."""
    message = _body(draft)
    content_headers = message.items()
    for name, _ in content_headers:
        del message[name]
    charset = _charset_for(draft.subject, draft.charset)
    if received_by is not None:
        stamp = format_datetime(draft.sent_at + timedelta(seconds=2))
        domain = draft.sender[1].rpartition("@")[2]
        message["Return-Path"] = f"<{draft.sender[1]}>" if draft.report is None else "<>"
        message["Received"] = (
            f"from mail.{domain} (mail.{domain} [192.0.2.25])\n\tby {received_by} with ESMTPS; {stamp}"
        )
    message["From"] = _mailbox(draft.sender, draft.charset)
    message["To"] = ", ".join(_mailbox(entry, draft.charset) for entry in draft.to)
    if draft.cc:
        message["Cc"] = ", ".join(_mailbox(entry, draft.charset) for entry in draft.cc)
    message["Subject"] = draft.subject if draft.subject.isascii() else Header(draft.subject, charset).encode()
    message["Date"] = format_datetime(draft.sent_at)
    message["Message-ID"] = f"<{draft.message_id}>"
    if draft.references:
        message["In-Reply-To"] = f"<{draft.references[-1]}>"
        message["References"] = "\n ".join(f"<{reference}>" for reference in draft.references)
    for name, value in draft.headers:
        message[name] = value
    for name, value in content_headers:  # below those of the letter, where mail programs put them
        message[name] = value
    return message.as_bytes(policy=_WIRE)


def _body(draft: Draft) -> Message:
    if draft.report is not None:
        return _report(draft, draft.report)
    body = _text(draft.text, "plain", draft.charset)
    if draft.html is not None:
        rich = _text(draft.html, "html", draft.charset)
        images = [enclosure for enclosure in draft.enclosures if enclosure.content_id]
        if images:
            rich = _multipart("related", draft, [rich, *map(_enclosed, images)])
        body = _multipart("alternative", draft, [body, rich])
    if draft.calendar is not None:
        method, text = draft.calendar
        event = _text(text, "calendar", None)
        event.set_param("method", method)
        body = _multipart("alternative", draft, [body, event])
    files = [enclosure for enclosure in draft.enclosures if not enclosure.content_id]
    if files:
        body = _multipart("mixed", draft, [body, *map(_enclosed, files)])
    return body


def _multipart(kind: str, draft: Draft, parts: Iterable[Message]) -> MIMEMultipart:
    # The boundary follows from the letter: the same seed gives the same bytes.
    boundary = f"=_{kind}_{zlib.crc32(draft.message_id.encode()):08x}_"
    together = MIMEMultipart(kind, boundary=boundary)
    for part in parts:
        del part["MIME-Version"]
        together.attach(part)
    return together


def _text(text: str, kind: str, charset: str | None) -> Message:
    chosen = _charset_for(text, charset)
    part = MIMENonMultipart("text", kind, charset=str(chosen))
    is_base64 = Charset(str(chosen)).body_encoding == BASE64 and chosen is not _UTF8_QUOTED
    part.set_payload(text.replace("\n", "\r\n") if is_base64 and "\r" not in text else text, chosen)
    return part


def _charset_for(text: str, charset: str | None) -> Charset | str:
    """The wished charset where it has all the letters of the text, otherwise UTF-8; `base64` is UTF-8 in base64."""
    if charset == "base64":
        return "utf-8"
    try:
        text.encode(charset or "ascii")
    except UnicodeEncodeError:
        return _UTF8_QUOTED
    return charset or ("us-ascii" if all(len(line) < 900 for line in text.splitlines()) else _UTF8_QUOTED)  # noqa: PLR2004 - RFC 5322 allows 998


def _mailbox(entry: tuple[str, str], charset: str | None) -> str:
    chosen = _charset_for(entry[0], charset)
    return formataddr(entry, str(chosen))


def _enclosed(enclosure: Enclosure) -> Message:
    part: Message
    if enclosure.content_id:
        part = MIMEImage(enclosure.content, "png")
        part["Content-ID"] = f"<{enclosure.content_id}>"
    else:
        part = MIMEApplication(enclosure.content, "ics" if enclosure.filename.endswith(".ics") else "pdf")
    name = enclosure.filename
    filename = name if name.isascii() else ("utf-8", "", name)
    part.add_header("Content-Disposition", "inline" if enclosure.content_id else "attachment", filename=filename)
    return part


def _report(draft: Draft, bounce: Bounce) -> Message:
    """A delivery status notification. Source: RFC 3464 §2, RFC 6522 §3."""
    per_message, per_recipient = Message(), Message()
    per_message["Reporting-MTA"] = f"dns; {bounce.host}"
    per_recipient["Final-Recipient"] = f"rfc822; {bounce.recipient}"
    per_recipient["Action"] = "failed"
    per_recipient["Status"] = "5.2.2"
    per_recipient["Diagnostic-Code"] = "smtp; 552 5.2.2 The mailbox is full"
    status = MIMEBase("message", "delivery-status")
    status.set_payload([per_message, per_recipient])
    about = bounce.about
    headers = (
        f"From: {_mailbox(about.sender, None)}\nTo: {bounce.recipient}\nMessage-ID: <{about.message_id}>\n"
        f"Date: {format_datetime(about.sent_at)}\n"
    )
    parts = [_text(draft.text, "plain", None), status, _text(headers, "rfc822-headers", None)]
    report = _multipart("report", draft, parts)
    report.set_param("report-type", "delivery-status")
    return report


def quote(program: Program, reply: str, *, above: str, labels: Sequence[str], said: Draft) -> str:
    """A reply with what it answers below it, as that program writes it. `above` is the program's line over it."""
    if program == "outlook":
        sender, sent, to, subject = labels
        recipients = "; ".join(name or address for name, address in said.to)
        return (
            f"{reply}\n\n________________________________\n{sender}: {said.sender[0]} <{said.sender[1]}>\n"
            f"{sent}: {said.sent_at.strftime(_DAYS_OF_OUTLOOK)}\n{to}: {recipients}\n"
            f"{subject}: {said.subject}\n\n{said.text}"
        )
    quoted = "\n".join(f"> {line}" if line[:1] != ">" and line else f">{line}" for line in said.text.splitlines())
    if program == "apple":
        return f"{reply}\n\n> {above}\n> \n{quoted}"
    if program == "thunderbird":
        return f"{above}\n{quoted}\n\n{reply}"
    return f"{reply}\n\n{above}\n\n{quoted}"


def as_html(program: Program, reply: str, *, above: str, said: Draft | None, language: str, image: str | None) -> str:
    """The HTML form of the same letter; `image` is the Content-ID of the picture in its signature."""
    direction = ' dir="rtl"' if language == "ar" else ""
    body = f"<div{direction}>{_paragraphs(reply)}</div>"
    if image is not None:
        body += f'<p><img src="cid:{image}" alt="" width="96" height="24"></p>'
    if said is not None:
        line, quoted = html.escape(above), _paragraphs(said.text)
        body += {
            "gmail": f'<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{line}<br></div>'
            f'<blockquote class="gmail_quote" style="margin:0 0 0 .8ex;border-left:1px #ccc solid;padding-left:1ex">'
            f"{quoted}</blockquote></div>",
            "outlook": '<div id="appendonsend"></div><hr style="display:inline-block;width:98%">'
            f'<div id="divRplyFwdMsg" dir="ltr"><b>{line}</b></div>{quoted}',
            "apple": f'<br><div><blockquote type="cite"><div>{line}</div><br>{quoted}</blockquote></div>',
            "thunderbird": f'<div class="moz-cite-prefix">{line}</div><blockquote type="cite">{quoted}</blockquote>',
        }[program]
    return f'<html><head><meta http-equiv="Content-Type" content="text/html"></head><body>{body}</body></html>'


def _paragraphs(text: str) -> str:
    blocks = (html.escape(block).replace("\n", "<br>\n") for block in text.split("\n\n"))
    return "\n".join(f"<p>{block}</p>" for block in blocks)


def invitation(
    method: str, *, uid: str, starts_at: datetime, summary: str, organiser: Correspondent, attendee: Correspondent
) -> str:
    """An iCalendar event of an hour. Source: RFC 5545 §3.6.1, RFC 5546 §3.2."""
    state = "ACCEPTED" if method == "REPLY" else "NEEDS-ACTION"
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Tidydesk//Calendar//EN",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{starts_at - timedelta(days=7):%Y%m%dT%H%M%SZ}",
        f"DTSTART:{starts_at:%Y%m%dT%H%M%SZ}",
        f"DTEND:{starts_at + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{summary}",
        f"ORGANIZER:mailto:{organiser.address}",
        f"ATTENDEE;PARTSTAT={state};RSVP=TRUE:mailto:{attendee.address}",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "\r\n".join(lines) + "\r\n"


def pdf(lines: Sequence[str]) -> bytes:
    """One A4 page of text in Helvetica; what Latin-1 lacks becomes a question mark. Source: ISO 32000-1 §7.5."""
    shown = "".join(f"({_pdf_string(line)}) Tj T*\n" for line in lines)
    stream = f"BT /F1 12 Tf 72 770 Td 16 TL\n{shown}ET".encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    written = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table_at = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    written += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table_at)
    return bytes(written)


def _pdf_string(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A picture that fades from white to one colour. Source: RFC 2083 §4."""
    row = b"".join(bytes(255 - (255 - part) * x // width for part in colour) for x in range(width))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress((b"\0" + row) * height)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    )


def message_id(chance: random.Random, domain: str) -> str:
    return f"{chance.getrandbits(96):024x}@{domain}"


def happens(chance: random.Random, share: float) -> bool:
    """True in that share of cases."""
    return chance.random() < share
