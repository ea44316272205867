"""Where two established mail servers read a real message alike, it is read as they do."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from domain.addresses import canonical
from domain.mail import MailAddress, ParsedMessage
from domain.mime.armour import split_uuencoded
from domain.mime_parse import parse
from tests.support.mail_files import corpus

Wire = Mapping[str, Any]

AGREEMENT = 0.97
"""The share of readings on which two servers agree that must come out the same."""


def test_messages_are_read_as_two_servers_agree_to_read_them() -> None:
    corpus()
    counts = agreement()
    assert sum(counts["messages"].values()) > 800
    shares = {name: counted[True] / counted.total() for name, counted in counts.items() if name != "messages"}
    assert {name: share for name, share in shares.items() if share < AGREEMENT} == {}


@cache
def agreement() -> dict[str, Counter[bool]]:
    """How often each field came out as agreed, and how often not."""
    counts = {name: Counter[bool]() for name in ("messages", "addresses", "subject", "date", "message id", "text")}
    for raw, dovecot, cyrus, notmuch in readings():
        message = parse(raw)
        counts["messages"][True] += 1
        for name, ours, theirs in compared(message, dovecot, cyrus, notmuch):
            agreed = [reading for reading, count in Counter(theirs).items() if count > 1 and "\ufffd" not in reading]
            # Of a message whose parts cannot be told apart servers show nothing; here its text is shown as it came.
            if agreed and (name != "text" or any(agreed)):
                counts[name][ours in agreed] += 1
    return counts


def readings() -> Iterator[tuple[bytes, Wire, Wire, Wire]]:
    """The messages that both Dovecot and Cyrus have read, with notmuch's reading too."""
    for path in sorted(corpus("oracles/jmap").glob("*.json")):
        cyrus = {(entry["file"], entry["idx"]): entry["jmap"] for entry in json.loads(path.read_text())}
        for entry in json.loads((corpus("oracles/mime") / path.name).read_text()):
            source = corpus(path.stem) / entry["file"]
            dovecot, jmap = entry.get("dovecot") or {}, cyrus.get((entry["file"], entry["idx"]))
            if jmap is None or dovecot.get("ok") != "OK" or not source.is_file():
                continue
            raw = source.read_bytes()
            # Entries taken out of an mbox have other bytes than their file.
            if hashlib.sha1(raw, usedforsecurity=False).hexdigest() == entry["sha1"]:
                yield raw, dovecot["envelope"], jmap, entry.get("notmuch") or {}


def compared(message: ParsedMessage, dovecot: Wire, cyrus: Wire, notmuch: Wire) -> Iterator[tuple[str, str, list[str]]]:
    """Name of a field, our reading of it, the others'."""
    headers = notmuch.get("headers") or {}
    for ours, theirs, jmap in ((message.from_, "from_", "from"), (message.to, "to", "to"), (message.cc, "cc", "cc")):
        of_dovecot = [f"{entry[2]}@{entry[3]}" for entry in dovecot[theirs] or () if entry[2] and entry[3]]
        of_cyrus = [entry["email"] for entry in cyrus[jmap] or () if "@" in (entry.get("email") or "")]
        yield "addresses", listed(addresses(ours)), [listed(of_dovecot), listed(of_cyrus)]
    subjects = [
        dovecot["subject"] or "",
        cyrus["subject"] or "",
        *([headers["Subject"]] if "Subject" in headers else []),
    ]
    yield "subject", words(message.subject), [words(subject) for subject in subjects]
    if dovecot["date"] and cyrus["sentAt"]:
        sent_at = datetime.fromisoformat(cyrus["sentAt"]).astimezone(UTC)
        yield (
            "date",
            f"{message.date:%Y-%m-%d %H:%M:%S}" if message.date else "",
            [
                dovecot["date"][:19],
                f"{sent_at:%Y-%m-%d %H:%M:%S}",
            ],
        )
    if dovecot["message_id"] and cyrus["messageId"]:
        yield "message id", message.rfc_message_id or "", [dovecot["message_id"].strip("<> "), cyrus["messageId"][0]]
    plain = [part for part in cyrus.get("textBody") or () if part["type"] == "text/plain"]
    if plain and len(plain) == len(cyrus["textBody"]):
        of_cyrus_text = prose("".join(cyrus["bodyValues"].get(part["partId"], {}).get("value", "") for part in plain))
        leaves = [leaf["text"] or "" for leaf in notmuch.get("leaves") or () if leaf["type"] == "text/plain"]
        yield "text", letters(message.text), [of_cyrus_text, prose("".join(leaves))]


def addresses(entries: tuple[MailAddress, ...]) -> list[str]:
    return [entry.address for entry in entries if entry.address is not None]


def listed(written: list[str]) -> str:
    return " ".join(sorted(canonical(address) or address for address in written))


def words(text: str) -> str:
    return " ".join(text.split())


def prose(text: str) -> str:
    """Its letters, without uuencoded files: servers leave them in the text, here they are attachments."""
    return letters(split_uuencoded(text.encode("utf-8", "replace"))[0].decode())


def letters(text: str) -> str:
    """Text without what reflowing changes."""
    return re.sub(r"[\W_]+", "", text)
