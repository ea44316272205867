"""What is a message's text, what its HTML, and what are its files?

Source: RFC 8621 §4.1.4 (which parts are the body), RFC 3676 (format=flowed).
"""

import re
from dataclasses import dataclass, field
from html import unescape

from domain import html as html_body
from domain.mail import AttachmentPart
from domain.mime import charsets
from domain.mime.encoded_words import decode_header
from domain.mime.file_names import safe_file_name
from domain.mime.header_block import read_headers
from domain.mime.structure import Part

_TEXT_CHARACTERS = 2_000_000
"""A million words: longer bodies are logs, and are cut in `text`, not in the source."""
_META_CHARSET = re.compile(rb"""<meta[^<>]{0,200}charset=["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_META_WITHIN_BYTES = 2048
_CID = re.compile(r'data-cid="([^"]{1,300})"')
_LINE_END = re.compile(r"\r\n?")


@dataclass(slots=True)
class Bodies:
    """The parts by their role; a part may be both text and HTML where there is only one of the two."""

    text: list[Part] = field(default_factory=list)
    html: list[Part] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)


def sort_parts(root: Part) -> Bodies:
    """The body parts and the attachments of a message, as RFC 8621 tells them apart."""
    bodies = Bodies()
    _sort((root,), "mixed", in_alternative=False, html=bodies.html, text=bodies.text, attachments=bodies.attachments)
    return bodies


def leaves(root: Part) -> tuple[Part, ...]:
    """Every part that has content, in order."""
    if not root.parts:
        return (root,)
    return tuple(leaf for part in root.parts for leaf in leaves(part))


def plain_text(bodies: Bodies) -> str:
    """The body as plain text, made from HTML where the message has no other text or an empty one."""
    text = _joined_text(bodies.text)
    return text if text.strip() else _joined_text(bodies.html)


def _joined_text(parts: list[Part]) -> str:
    texts = (
        html_body.to_text(_characters(part)) if part.type.value == "text/html" else _unflowed(part, _characters(part))
        for part in parts
    )
    return "\n".join(texts)[:_TEXT_CHARACTERS]


def safe_html(bodies: Bodies) -> str | None:
    """The body as safe HTML; None where no part is HTML."""
    if not any(part.type.value == "text/html" for part in bodies.html):
        return None
    sections = (
        _characters(part) if part.type.value == "text/html" else html_body.from_text(_unflowed(part, _characters(part)))
        for part in bodies.html
    )
    return html_body.sanitise("\n".join(sections)).strip()


def read_attachments(bodies: Bodies, html: str | None) -> tuple[AttachmentPart, ...]:
    """The files, each with a safe name. Those that the HTML shows by `cid:` are inline."""
    shown = {unescape(content_id).lower() for content_id in _CID.findall(html)} if html else set()
    return tuple(_attachment(part, shown, position) for position, part in enumerate(bodies.attachments, start=1))


def _attachment(part: Part, shown: set[str], position: int) -> AttachmentPart:
    content_id = _content_id(part)
    declared = part.disposition.parameters.get("filename") or part.type.parameters.get("name")
    content_type = charsets.clean(part.type.value)[:200]
    if not declared and content_type == "message/rfc822":
        declared = _subject_of(part)
    return AttachmentPart(
        filename=safe_file_name(declared, content_type, position),
        content_type=content_type,
        content=part.content,
        content_id=content_id,
        is_inline=content_id is not None and content_id.lower() in shown,
    )


def _content_id(part: Part) -> str | None:
    header = part.header("content-id")
    if header is None:
        return None
    return decode_header(header).strip().removeprefix("<").removesuffix(">").strip()[:300] or None


def _subject_of(part: Part) -> str | None:
    """A file name for an attached message: its subject."""
    subject = next((value for name, value in read_headers(part.content) if name == "subject"), b"")
    title = decode_header(subject).replace("/", "_").replace("\\", "_").strip()[:100]
    return f"{title}.eml" if title else None


def _sort(
    parts: tuple[Part, ...],
    multipart: str,
    *,
    in_alternative: bool,
    html: list[Part] | None,
    text: list[Part] | None,
    attachments: list[Part],
) -> None:
    """RFC 8621 §4.1.4, but that images are always files, and a text sent as a file is one even where it is shown too.

    `html` or `text` is None once the other alone is filled.
    """
    html_before, text_before = len(html or ()), len(text or ())
    for place, part in enumerate(parts):
        content_type = part.type.value
        if part.parts:
            subtype = content_type.partition("/")[2]
            within = in_alternative or subtype == "alternative"
            _sort(part.parts, subtype, in_alternative=within, html=html, text=text, attachments=attachments)
            continue
        is_body = _is_body(part, multipart, place)
        if not is_body or part.disposition.parameters.get("filename"):
            attachments.append(part)
        if not is_body:
            continue
        if multipart == "alternative":
            _put(part, text if content_type == "text/plain" else html)
        else:
            if in_alternative and content_type == "text/plain":
                html = None
            elif in_alternative:
                text = None
            _put(part, text, html)
    if multipart == "alternative" and text is not None and html is not None:
        _fill_missing_alternative(text, html, text_before, html_before)


def _put(part: Part, *targets: list[Part] | None) -> None:
    for target in targets:
        if target is not None:
            target.append(part)


def _fill_missing_alternative(text: list[Part], html: list[Part], text_before: int, html_before: int) -> None:
    if len(text) == text_before and len(html) > html_before:
        text.extend(html[html_before:])
    elif len(html) == html_before and len(text) > text_before:
        html.extend(text[text_before:])


def _is_body(part: Part, multipart: str, place: int) -> bool:
    if part.disposition.value == "attachment" or part.type.value not in {"text/plain", "text/html"}:
        return False
    is_named = bool(part.disposition.parameters.get("filename") or part.type.parameters.get("name"))
    return place == 0 or (multipart != "related" and not is_named)


def _characters(part: Part) -> str:
    content = part.content
    charset = part.type.parameters.get("charset")
    if not charset and part.type.value == "text/html" and (meta := _META_CHARSET.search(content[:_META_WITHIN_BYTES])):
        charset = meta[1].decode("ascii")
    text = charsets.decode(content, charset)
    return _LINE_END.sub("\n", text) if "\r" in text else text


def _unflowed(part: Part, text: str) -> str:
    """Paragraphs that were broken for transport in one line again."""
    if part.type.parameters.get("format", "").strip().lower() != "flowed":
        return text
    deletes_space = part.type.parameters.get("delsp", "").strip().lower() == "yes"
    lines: list[str] = []
    flowing: str | None = None
    paragraph: list[str] = []
    for line in text.split("\n"):
        content = line.lstrip(">")
        quotes = line[: len(line) - len(content)]
        content = content.removeprefix(" ")
        is_signature = content == "-- "
        if paragraph and (quotes != flowing or is_signature):
            lines.append((flowing or "") + (" " if flowing else "") + "".join(paragraph))
            paragraph = []
        flowing = quotes
        if content.endswith(" ") and not is_signature:
            paragraph.append(content[:-1] if deletes_space else content)
            continue
        paragraph.append(content)
        lines.append(quotes + (" " if quotes else "") + "".join(paragraph))
        paragraph = []
    if paragraph:
        lines.append((flowing or "") + (" " if flowing else "") + "".join(paragraph))
    return "\n".join(lines)
