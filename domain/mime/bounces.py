"""Which message came back, for whom, and why?

Reports in the standard form are read field by field. Of the others, and of what a standard report leaves out, the
prose is read: it names each recipient at the start of a line, and what follows is about that one.

Source: RFC 3464 (delivery status), RFC 5965 (complaints), RFC 6522 (reports); the notices that servers write.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

from domain import html as html_body
from domain.mail import BounceReason, BounceReport, DeliveryFailure
from domain.mime import charsets
from domain.mime.address_lists import read_addresses
from domain.mime.bounce_reasons import HARD, judge
from domain.mime.encoded_words import decode_header
from domain.mime.header_block import read_headers
from domain.mime.message_ids import read_message_id, read_references
from domain.mime.structure import Part

_LOOKED_AT = 64 * 1024
_HEADER_LENGTH = 1000
_DIAGNOSTIC_LENGTH = 500
_FAILURES = 100
_ADDRESSEES = 1000
_BLOCKS = 500
_REPORTS = 5

REPORT_FIELDS = frozenset(
    {
        "from",
        "content-type",
        "return-path",
        "auto-submitted",
        "x-failed-recipients",
        "x-ms-exchange-message-is-ndr",
    }
)
"""What `may_be_report` looks at."""
_OTHER_REPORTS = ("disposition-notification", "tlsrpt")
"""Read receipts (RFC 8098) and reports on encryption (RFC 8460)."""

_DAEMONS = re.compile(
    r"(mailer[-_. ]?daemon|mail-daemon|mdaemon|post[-_.]?master"
    r"|mail[ .-]deliver[y]?[ .-](?:sub)?system|mail delivery service)",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(undeliver|delivery (?:status notification|failure|failed|report|has failed|problem)|returned (?:mail|to sender)"
    r"|mail delivery failed|failure notice|could ?n[o']t be delivered|non[- ]?remis|unzustellbar|nicht zugestellt"
    r"|mail system error|delivery notification|rejected|could not send|delayed mail|fail(?:ed|ure) delivery"
    r"|mail failed|no entregado|onbestelbaar|niet bezorgd|配信できません)",
    re.IGNORECASE,
)
_REPORTED = re.compile(
    r"could ?n[o']t be delivered|could not deliver|was not delivered|(?:unable|failed) to deliver|did not reach"
    r"|delivery (?:to the following|failed|has failed)|transcript of session|no such user|mailbox is full"
    r"|配信できません",
    re.IGNORECASE,
)
"""What the prose of a notice says that has no telling subject."""

_REPORT_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED_TYPES = frozenset(
    {"message/rfc822", "message/global", "message/global-headers", "text/rfc822-headers", "message/partial"}
)
_COMPLAINTS_OF_HOTMAIL = "staff@hotmail.com"
_COMPLAINANT = {"message/feedback-report": "original-rcpt-to", "message/rfc822": "x-hmxmroriginalrecipient"}
"""Hotmail sends no report in the standard form, but the message with a header put in."""
_ARRIVED = frozenset({"delivered", "relayed", "expanded"})

_RETURNED_MESSAGE = re.compile(
    r"^(?:[ \t>*=-]{0,20}(?:original message(?: headers| follows)?|unsent message follows"
    r"|below (?:is a copy of|this line is a copy)|this is a copy of|returned message|message headers? follow)"
    r"|(?:received|return-path|x-received|dkim-signature|delivered-to) ?: ?\S)",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_LINE = re.compile(r"^[ \t]{0,8}[A-Za-z-]{2,40} ?:", re.MULTILINE)
_QUOTED_MESSAGE_ID = re.compile(r"^[ \t>]{0,8}message-id ?: ?\s{0,4}(<[^<>\s]{1,998}>)", re.IGNORECASE | re.MULTILINE)
_ADDRESS = r"[^\s<>()\[\]{}@,;:\"'|*]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]"
_BARE_ADDRESS = re.compile(_ADDRESS)
_RECIPIENT_LINE = re.compile(
    rf"^[ \t>*]{{0,12}}(?:<<< |>>> RCPT To:)?(?:[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}} )?)?<?({_ADDRESS})"
    r"(?:>|:|,|\.\.\.|[ \t]|\r?$|<mailto:)",
    re.MULTILINE,
)
_BLANK_LINE = re.compile(r"\r?\n[ \t]*\r?\n")
_IS_DELAYED = re.compile(
    r"(?:has been|is|was) delayed|warning message only|will be retried|still being retried|temporary failure report",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a report says of one recipient, in its fields or in prose."""

    recipient: str | None
    action: str
    status: str
    diagnostic: str


def may_be_report(fields: Mapping[str, str]) -> bool:
    """Whether a message with these header fields may be one that `read_bounce` reads; only its body tells.

    True of every report, and else of little: receipts and the answers of absent people are told apart as far as their
    headers go.

    Args:
        fields: values as sent, unfolded, by lower-case name; of REPORT_FIELDS, those that the message has.
    """
    if fields.get("x-failed-recipients") or "x-ms-exchange-message-is-ndr" in fields:
        return True
    content_type = fields.get("content-type", "").lower()
    if "multipart/report" in content_type:
        return not any(other in content_type for other in _OTHER_REPORTS)
    sender = fields.get("from", "")
    if _COMPLAINTS_OF_HOTMAIL in sender:
        return True
    if _DAEMONS.search(decode_header(sender[:_HEADER_LENGTH].encode()) if "=?" in sender else sender):
        return True
    has_null_return_path = fields.get("return-path", "").replace(" ", "") == "<>"
    return has_null_return_path and not fields.get("auto-submitted", "").strip().lower().startswith("auto-replied")


def read_bounce(root: Part, leaves: tuple[Part, ...]) -> BounceReport | None:
    """What the message reports as not delivered, or complained of; None where it is no such report. Never raises."""
    if _is_complaint(root, leaves):
        return BounceReport(_returned_id(root, leaves, ""), (_complaint(leaves),), _addressees(leaves, ""))
    if not _is_bounce(root, leaves):
        return None
    prose = _prose(leaves)
    start = _RETURNED_MESSAGE.search(prose)
    notice, returned = (prose[: start.start()], prose[start.start() :]) if start else (prose, "")
    fields = list(islice(_fields(leaves, prose), _FAILURES))
    if fields and all(evidence.action in _ARRIVED for evidence in fields):
        return None
    failed = [evidence for evidence in fields if evidence.action not in _ARRIVED]
    failures = _from_fields(failed, notice) or _from_prose(root, notice)
    return BounceReport(
        _returned_id(root, leaves, returned), tuple(failures[:_FAILURES]), _addressees(leaves, returned)
    )


def _is_bounce(root: Part, leaves: tuple[Part, ...]) -> bool:
    has_status = any(leaf.type.value in _REPORT_TYPES for leaf in leaves)
    is_from_daemon = bool(_DAEMONS.search(_header(root, "from")))
    if root.type.value == "multipart/report":
        report = root.type.parameters.get("report-type", "").lower()
        return report == "delivery-status" or (not report and (has_status or is_from_daemon))
    if _header(root, "x-failed-recipients") or root.header("x-ms-exchange-message-is-ndr") is not None:
        return True
    has_null_return_path = _header(root, "return-path").replace(" ", "") == "<>"
    return (is_from_daemon or has_null_return_path) and (
        has_status or bool(_FAILED.search(_header(root, "subject"))) or bool(_REPORTED.search(_prose(leaves)))
    )


def _is_complaint(root: Part, leaves: tuple[Part, ...]) -> bool:
    if root.type.value == "multipart/report":
        return root.type.parameters.get("report-type", "").lower() == "feedback-report"
    return _COMPLAINTS_OF_HOTMAIL in _header(root, "from") and bool(_complainant(leaves))


def _complaint(leaves: tuple[Part, ...]) -> DeliveryFailure:
    return DeliveryFailure(
        _address(decode_header(_complainant(leaves)[:_HEADER_LENGTH])), None, BounceReason.COMPLAINT, is_hard=False
    )


def _complainant(leaves: tuple[Part, ...]) -> bytes:
    """The header that names who complained; empty where none does."""
    named = (
        value
        for leaf in leaves
        if (field := _COMPLAINANT.get(leaf.type.value))
        for name, value in read_headers(leaf.content[:_LOOKED_AT])
        if name == field
    )
    return next(named, b"")


def _header(part: Part, name: str) -> str:
    value = part.header(name)
    return decode_header(value[:_HEADER_LENGTH]) if value else ""


def _prose(leaves: tuple[Part, ...]) -> str:
    """The notice itself: the first part for people."""
    for leaf in leaves:
        if leaf.type.value in {"text/plain", "text/html"}:
            text = charsets.decode(leaf.content[:_LOOKED_AT], leaf.type.parameters.get("charset"))
            if text.strip():
                return html_body.to_text(text) if leaf.type.value == "text/html" else text
    return ""


def _fields(leaves: tuple[Part, ...], prose: str) -> Iterator[_Evidence]:
    """The groups of fields for each recipient; some servers have them within their prose."""
    reports = [leaf.content[:_LOOKED_AT] for leaf in leaves if leaf.type.value in _REPORT_TYPES][:_REPORTS]
    if not reports and "-recipient:" in prose.lower():
        reports = [prose.encode()]
    for report in reports:
        for block in _BLANK_LINE.split(charsets.decode(report), _BLOCKS):
            evidence = _evidence(dict(reversed(read_headers(block.strip().encode() + b"\n"))))
            if evidence is not None:
                yield evidence


def _evidence(fields: dict[str, bytes]) -> _Evidence | None:
    def text(name: str) -> str:
        return decode_header(fields.get(name, b"")[: 4 * _HEADER_LENGTH]).strip()

    if not any(name in fields for name in ("final-recipient", "original-recipient", "action")):
        return None
    recipient = next(
        (found for name in ("final-recipient", "original-recipient") if (found := _address(text(name)))), None
    )
    return _Evidence(recipient, text("action").lower(), text("status"), text("diagnostic-code"))


def _address(text: str) -> str | None:
    """The address in `rfc822;<ana@example.org>`."""
    found = _BARE_ADDRESS.search(text[-_HEADER_LENGTH:].rpartition(";")[2])
    return found[0] if found else None


def _from_fields(failed: list[_Evidence], notice: str) -> list[DeliveryFailure]:
    sections = dict(reversed([(recipient.lower(), text) for recipient, text in _sections(notice)]))
    failures: list[DeliveryFailure] = []
    for evidence in failed:
        context = sections.get((evidence.recipient or "").lower()) or (notice if len(failed) == 1 else "")
        failures.append(_failure(evidence, context))
    return failures


def _from_prose(root: Part, notice: str) -> list[DeliveryFailure]:
    """What is said after each recipient that the prose names; the whole notice where nothing comes of that."""
    action = "delayed" if _IS_DELAYED.search(notice) else "failed"
    failures: dict[str, DeliveryFailure] = {}
    for recipient, text in _sections(notice):
        found = _failure(_Evidence(recipient, action, "", ""), text)
        if found.reason not in {BounceReason.OTHER, BounceReason.DELAYED}:
            failures.setdefault(recipient.lower(), found)
    if failures:
        return list(failures.values())
    named = _address(_header(root, "x-failed-recipients")) or next(
        (recipient for recipient, _ in _sections(notice)), None
    )
    return [_failure(_Evidence(named, action, "", ""), notice)]


def _sections(notice: str) -> list[tuple[str, str]]:
    """Each address at the start of a line, with the text from there to the next other one."""
    found: list[re.Match[str]] = []
    for match in islice(_RECIPIENT_LINE.finditer(notice), _FAILURES):
        if not found or found[-1][1].lower() != match[1].lower():
            found.append(match)
    starts = [*(match.start() for match in found), len(notice)]
    return [(match[1], notice[start:end]) for match, (start, end) in zip(found, pairwise(starts), strict=True)]


def _failure(evidence: _Evidence, context: str) -> DeliveryFailure:
    is_delayed = evidence.action == "delayed"
    verdict = judge(evidence.diagnostic, evidence.status, context, is_delayed=is_delayed)
    is_hard = verdict.reason in HARD and not is_delayed
    return DeliveryFailure(
        evidence.recipient,
        verdict.status,
        verdict.reason,
        is_hard,
        is_delayed=is_delayed,
        diagnostic=" ".join((evidence.diagnostic or context).split())[:_DIAGNOSTIC_LENGTH] or None,
    )


def _addressees(leaves: tuple[Part, ...], returned: str) -> tuple[str, ...]:
    """Whom the returned message was for, by its headers."""
    blocks = [leaf.content[:_LOOKED_AT].lstrip() for leaf in leaves if leaf.type.value in _RETURNED_TYPES][:_REPORTS]
    if not blocks and (start := _HEADER_LINE.search(returned)):
        blocks = [_BLANK_LINE.split(returned[start.start() :], 1)[0].encode("utf-8", "replace")]
    entries = (
        entry
        for block in blocks
        for name, value in read_headers(block)
        if name in {"to", "cc", "bcc"}
        for entry in read_addresses(value)
    )
    return tuple(islice(dict.fromkeys(entry.address for entry in entries if entry.address), _ADDRESSEES))


def _returned_id(root: Part, leaves: tuple[Part, ...], returned: str) -> str | None:
    """From the returned message or its headers, the headers quoted in prose, or what the report says it answers."""
    for leaf in leaves:
        if leaf.type.value in _RETURNED_TYPES:
            header = next(
                (value for name, value in read_headers(leaf.content[:_LOOKED_AT].lstrip()) if name == "message-id"),
                None,
            )
            if (found := read_message_id(header)) is not None:
                return found
    if quoted := _QUOTED_MESSAGE_ID.search(returned):
        return read_message_id(quoted[1].encode())
    answered = read_references(root.header("in-reply-to") or root.header("references"), frozenset())
    return answered[-1] if answered else None
