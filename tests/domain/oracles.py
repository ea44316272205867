"""How do Dovecot, Cyrus, notmuch, Stalwart and imap_tools read the messages of the corpus?

Each reading is put into the form in which it is compared with ours. A field that a program leaves out has no reading
of its; an empty text is no reading either, as of a message whose parts they cannot tell apart programs show nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from functools import cache
from pathlib import Path
from typing import Any

from domain.addresses import canonical
from domain.mime.file_names import safe_file_name
from tests.support.mail_files import corpus

Wire = Mapping[str, Any]
ADDRESS_HEADERS = ("from", "to", "cc", "bcc")

_MBOX_LINE = re.compile(rb"(?m)^From [^\r\n]*\r?\n")


@dataclass(frozen=True, slots=True)
class Specimen:
    """A message of the corpus and what others read in it.

    Attributes:
        name: the folder in the corpus, the file and what it lies in; `#2` follows for the third message of an mbox.
        readings: by `from`, `to`, `cc`, `bcc`, `subject`, `date`, `text` and `names`, what each program reads there.
    """

    name: str
    raw: bytes
    readings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, reading: str) -> None:
        self.readings.setdefault(name, []).append(reading)

    def add_text(self, text: str) -> None:
        if reading := letters(text):
            self.add("text", reading)


def specimens() -> Iterator[Specimen]:
    """Every message that Dovecot has read, with all readings that there are of it."""
    for path in sorted(corpus("oracles/mime").glob("*.json")):
        cyrus = _cyrus(path.stem)
        for entry in json.loads(path.read_text()):
            source = corpus(path.stem) / entry["file"]
            raw = _message(source.read_bytes(), entry["size"], entry["sha1"])
            if raw is None or entry["dovecot"]["ok"] != "OK":
                continue
            place = f"#{entry['idx']}" if len(raw) < source.stat().st_size else ""
            specimen = Specimen(f"{path.stem}/{'/'.join(source.parts[-2:])}{place}", raw)
            _of_dovecot(specimen, entry["dovecot"])
            _of_notmuch(specimen, entry.get("notmuch") or {})
            if (jmap := cyrus.get((entry["file"], entry["idx"]))) is not None:
                _of_cyrus(specimen, jmap)
            if not place:
                _of_stalwart(specimen, source)
                _of_imap_tools(specimen, source)
            yield specimen


def _message(raw: bytes, size: int, sha1: str) -> bytes | None:
    """The file, or the message within it should it be an mbox."""
    starts = [0, *(line.end() for line in _MBOX_LINE.finditer(raw))]
    messages = (raw[start : start + size] for start in starts)
    return next((one for one in messages if hashlib.sha1(one, usedforsecurity=False).hexdigest() == sha1), None)


def _cyrus(name: str) -> dict[tuple[str, int], Wire]:
    path = corpus("oracles/jmap") / f"{name}.json"
    if not path.is_file():
        return {}
    return {(entry["file"], entry["idx"]): entry["jmap"] for entry in json.loads(path.read_text())}


def _of_dovecot(specimen: Specimen, dovecot: Wire) -> None:
    envelope = dovecot["envelope"]
    for name in ADDRESS_HEADERS:
        entries = envelope["from_" if name == "from" else name] or ()
        present = (entry for entry in entries if entry[2] and entry[3] not in {None, "", "MISSING_DOMAIN"})
        specimen.add(name, listed(f"{mailbox}@{domain}" for _, _, mailbox, domain in present))
    specimen.add("subject", words(envelope["subject"] or ""))
    if envelope["date"] and envelope["date"] != "None":
        specimen.add("date", envelope["date"][:19])
    leaves = (
        (leaf["dparams"].get("filename") or leaf["params"].get("name"), leaf["type"]) for leaf in dovecot["leaves"]
    )
    specimen.add("names", named((_decoded(name), content_type) for name, content_type in leaves))


def _of_cyrus(specimen: Specimen, jmap: Wire) -> None:
    for name in ADDRESS_HEADERS:
        specimen.add(name, listed(email for entry in jmap[name] or () if "@" in (email := entry.get("email") or "")))
    specimen.add("subject", words(jmap["subject"] or ""))
    if jmap["sentAt"]:
        specimen.add("date", in_utc(datetime.fromisoformat(jmap["sentAt"])))
    parts = jmap["textBody"] or ()
    if all(part["type"] == "text/plain" for part in parts):
        values = (jmap["bodyValues"].get(part["partId"], {}).get("value", "") for part in parts)
        specimen.add_text("".join(values))
    specimen.add("names", named((part["name"], part["type"]) for part in jmap["attachments"]))


def _of_notmuch(specimen: Specimen, notmuch: Wire) -> None:
    if "Subject" in (notmuch.get("headers") or {}):
        specimen.add("subject", words(notmuch["headers"]["Subject"]))
    leaves = notmuch.get("leaves")
    if leaves:
        plain = (leaf["text"] or "" for leaf in leaves if leaf["type"] == "text/plain")
        specimen.add_text("".join(plain))
        specimen.add("names", named((leaf["filename"], leaf["type"]) for leaf in leaves))


def _of_stalwart(specimen: Specimen, source: Path) -> None:
    path = source.with_suffix(".json")
    if "stalwart-mail-parser" not in specimen.name or not path.is_file():
        return
    wire = json.loads(path.read_text())
    headers = {
        header["name"]: header["value"] for header in wire["parts"][0]["headers"] if isinstance(header["name"], str)
    }
    for name in ADDRESS_HEADERS:
        specimen.add(name, listed(_stalwart_addresses(headers.get(name, "Empty"))))
    subject = headers.get("subject", "Empty")
    specimen.add("subject", words(subject["Text"]) if subject != "Empty" else "")
    if "DateTime" in (date := headers.get("date", "Empty")):
        specimen.add("date", _stalwart_date(date["DateTime"]))
    bodies = [wire["parts"][index]["body"] for index in wire["text_body"]]
    if all("Text" in body for body in bodies):
        specimen.add_text("".join(body["Text"] for body in bodies))
    specimen.add("names", named(_stalwart_name(wire["parts"][index]) for index in wire["attachments"]))


def _stalwart_addresses(value: Any) -> Iterator[str]:
    address = value["Address"] if value != "Empty" else {}
    groups = [{"addresses": address["List"]}] if "List" in address else address.get("Group", ())
    return (entry["address"] for group in groups for entry in group["addresses"] if "@" in (entry["address"] or ""))


def _stalwart_date(wire: Wire) -> str:
    zone = timezone((-1 if wire["tz_before_gmt"] else 1) * timedelta(hours=wire["tz_hour"], minutes=wire["tz_minute"]))
    day = (wire["year"], wire["month"], wire["day"])
    return in_utc(datetime(*day, wire["hour"], wire["minute"], wire["second"], tzinfo=zone))


def _stalwart_name(part: Wire) -> tuple[str | None, str]:
    """Declared name and content type."""
    headers = {str(header["name"]): header["value"] for header in part["headers"]}
    name = _stalwart_parameter(headers, "content_disposition", "filename") or _stalwart_parameter(
        headers, "content_type", "name"
    )
    content_type = headers.get("content_type", "Empty")
    declared = content_type["ContentType"] if content_type != "Empty" else {"c_type": "text", "c_subtype": "plain"}
    return name, f"{declared['c_type']}/{declared['c_subtype']}".lower()


def _stalwart_parameter(headers: Wire, header: str, wanted: str) -> str | None:
    value = headers.get(header, "Empty")
    attributes = value["ContentType"]["attributes"] or () if value != "Empty" else ()
    return next((attribute["value"] for attribute in attributes if attribute["name"] == wanted), None)


def _of_imap_tools(specimen: Specimen, source: Path) -> None:
    wire = _imap_tools().get(source.name) if specimen.name.startswith("imap_tools/") else None
    if wire is None:
        return
    specimen.add("from", listed([wire["from_"]] if "@" in wire["from_"] else []))
    for name in ("to", "cc", "bcc"):
        specimen.add(name, listed(address for address in wire[name] if "@" in address))
    specimen.add("subject", words(wire["subject"]))
    if wire["date"] and (date := datetime.fromisoformat(wire["date"])).year > 1900:
        specimen.add("date", in_utc(date if date.tzinfo else date.replace(tzinfo=UTC)))
    specimen.add_text(wire["text"])
    specimen.add("names", named((part["filename"], part["content_type"]) for part in wire["attachments"]))


@cache
def _imap_tools() -> Wire:
    expected: Wire = json.loads((corpus("imap_tools") / "expected.json").read_text())
    return expected


def _decoded(name: str | None) -> str | None:
    """A file name as Dovecot gives it, its encoded words decoded."""
    if name is None or "=?" not in name:
        return name
    try:
        return str(make_header(decode_header(name)))
    except (LookupError, ValueError):
        return name


def listed(addresses: Iterable[str]) -> str:
    return " ".join(sorted(canonical(address) or address for address in addresses))


def named(parts: Iterable[tuple[str | None, str]]) -> str:
    """The names that the message itself gives, as they would be shown and saved."""
    return "\n".join(sorted(safe_file_name(name, content_type, 0) for name, content_type in parts if name))


def in_utc(date: datetime) -> str:
    return f"{date.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def words(text: str) -> str:
    return " ".join(text.split())


def letters(text: str) -> str:
    """Text without what reflowing changes."""
    return re.sub(r"[\W_]+", "", text)
