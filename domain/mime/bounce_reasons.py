"""Why did a server refuse a message, by its own words and codes?

Source: RFC 3463 and the registry of enhanced status codes, RFC 5321 §4.2; what the big providers answer (their
postmaster pages, November 2026).
"""

import re
from dataclasses import dataclass

from domain.mail import BounceReason

_LOOKED_AT = 4000
_STATUS = r"([45]\.\d{1,3}\.\d{1,3})(?![\d.])"
_STATUS_AFTER_REPLY = re.compile(rf"(?<![\d.])[45]\d\d[ :,#'\"-]{{1,3}}(?:error_code :)?(?:[45]\d\d )?{_STATUS}")
_STATUS_MARKED = re.compile(rf"(?:[#(:;]|\bcode |\bdsn |^) ?{_STATUS}")
_REPLY = re.compile(r"(?<![\d.\w])([45]\d\d)(?=[ :,#'\"-]|$)")
_CONTINUED_REPLY = re.compile(rf"(?<![\d.\w])([45]\d\d)-({_STATUS}) ")
_OF_RECIPIENT = re.compile(r"\d\.[12]\.[1-9]")
"""Codes that say enough of an address or a mailbox, so that the prose around is not asked."""
_TO_RECIPIENT = re.compile(r"rcpt[ _]to|smtp:rcpt")
_TO_CONTENT = re.compile(r"(?:in reply to|after) (?:the )?(?:end of data|data)|\[data\]")

HARD = frozenset({BounceReason.USER_UNKNOWN, BounceReason.HOST_UNKNOWN, BounceReason.NOT_ACCEPTING, BounceReason.MOVED})

_SAYINGS: tuple[tuple[BounceReason, tuple[str, ...]], ...] = (
    (BounceReason.SERVER_ERROR, ("procmail:",)),
    (
        BounceReason.AUTHENTICATION,
        (r"\bdmarc\b", r"spf (?:record|check|fail)", r"unauthenticated email", "sender is unauthenticated",
         r"dkim.{0,30}fail", "failed (?:sender )?authentication"),
    ),
    (
        BounceReason.BLOCKED,
        ("ptr record", "dns ptr", "reverse dns", "mismatches client ip", "low reputation", "poor reputation",
         "blocked using", r"blocked[ ,-]{1,3}(?:see|by)\b", "block ?list", "black ?list", "invalid ip for sending",
         "open relay", "refused to talk to me", "cdrbl", "client host .{0,60}blocked", "client host rejected",
         "unexpected volume or user compl", "no access from mail server"),
    ),
    (
        BounceReason.RATE_LIMITED,
        ("rate limit", "too many (?:recipients|connections|messages)", "receiving mail (?:at a rate|too quickly)",
         "sending limit", "daily .{0,20}limit"),
    ),
    (BounceReason.VIRUS, (r"\bvirus", "malware", "infected", "mcspamsignature")),
    (
        BounceReason.REJECTED_AS_SPAM,
        (r"(?:as|like|be|considered|is|suspected|contains?|possible) (?:likely )?(?:a )?(?:spam|unsolicited)\b",
         "- spam", "spam (?:detected|score|message|content|filter)", "junk mail"),
    ),
    (
        BounceReason.MALFORMED,
        (r"not rfc ?\d+ compliant", "multiple addresses in from", "addresses in from: header", "duplicate header",
         "malformed (?:header|message|address)"),
    ),
    (
        BounceReason.RELAY_DENIED,
        ("relay(?:ing)? (?:access )?(?:denied|not|prohibited)", "to relay", "mail relay", "not relay",
         "address is not verified"),
    ),
    (
        BounceReason.MAILBOX_FULL,
        (r"(?:mailbox|inbox|mail box|account|user) is (?:\w+ )?full", "mailbox full", "full mailbox", "over ?quota",
         "quota (?:has been )?exceeded", "exceed\\w* (?:\\w+ ){0,3}(?:quota|storage)", "out of storage",
         "exceeded the local limit", "disk quota", "exceededquota", "quotaexceeded", "over the allocated"),
    ),
    (
        BounceReason.TOO_LARGE,
        ("message (?:is )?too (?:large|big)", "sizelimit", "size limit", "message (?:size|length) exceeds",
         "exceeds .{0,30}size"),
    ),
    (BounceReason.MOVED, ("no longer on server", "user has moved", "has moved to")),
    (
        BounceReason.MAILBOX_DISABLED,
        ("temporar(?:y|ily) locked", "mailbox (?:is )?(?:frozen|disabled|locked|suspended|inactive)",
         "account .{0,40}(?:disabled|inactive|suspended|discontinued|deactivated)"),
    ),
    (
        BounceReason.NOT_ACCEPTING,
        ("does not accept mail", "no mx (?:record )?found", "indicated no smtp service", "null ?mx"),
    ),
    (
        BounceReason.SENDER_REJECTED,
        ("sender address rejected", "sender rejected", "domain of sender address",
         r"groups\.google\.com/support", "sender denied", "not permitted to send to"),
    ),
    (
        BounceReason.NETWORK,
        ("host not found, try again", "unexpected name server reply", "hop count", "routing loop", "mail loop",
         "network error", "lost connection", "dns query failed", "destination mxs"),
    ),
    (
        BounceReason.HOST_UNKNOWN,
        ("host (?:is )?unknown", "unknown host", "host not found", "host or domain name not found", "no such domain",
         "domain (?:\\S{1,100} )?does not exist",
         "domain (?:\\S{1,100} )?couldn.t be found", "nxdomain", "had no relevant answers", "invalid domain",
         "domain is not reachable", "domain not found",
         "unrouteable address", "illegal host", "non-existent (?:host|domain)"),
    ),
    (
        BounceReason.USER_UNKNOWN,
        ("user (?:is )?unknown", "unknown (?:user|recipient|address|local)", "no such (?:user|recipient|mailbox|addr)",
         "no mailbox (?:here )?by that name", "recipient (?:name )?(?:is )?not (?:found|recognized|exist)",
         "recip(?:ient)?notfound", "does(?: not|n.t) (?:exist|have an? )",
         "invalid (?:recipient|user|address|mailbox)",
         "user (?:\\S{1,100} )?not found", "not listed in (?:domino|public)", "no valid recipients",
         "mailbox (?:unavailable|not found)", "inactive email addr",
         "(?:wasn.t|couldn.t be) found", "user does not", "user doesn.t", "account not found",
         "recipient address rejected: access denied", "empfänger unbekannt", "domino ディレクトリ"),
    ),
    (
        BounceReason.EXPIRED,
        ("message expired", "queue.expired", "envelope expired", "retry timeout exceeded", "in the queue too long",
         "timed out", "could not find a gateway", "multiple retries", "time ?out", "not reachable",
         "did not accept our requests", "connection refused", "retry time not reached"),
    ),
    (
        BounceReason.POLICY,
        ("polic(?:y|ies)", "protocol violation", "access denied", "auth(?:entication)? ?required", "not allowed",
         "unauthenticated senders"),
    ),
    (
        BounceReason.SERVER_ERROR,
        ("system error", "service (?:currently )?unavailable", "transaction failed", "could not load",
         "queue file", "temporary failure", "not support tls", "not implemented", "try again later"),
    ),
)  # fmt: skip
"""Words that tell the reason, the more telling first: of several within one answer the first here counts."""
_SAID = tuple((reason, re.compile("|".join(words))) for reason, words in _SAYINGS)

_REFUSED = re.compile("(?:address|recipient) rejected")
"""What servers put before any reason: counts only where nothing else is said."""

_SURELY_UNKNOWN = re.compile(
    r"000c05a6|because the address couldn.t be found\.|recipient address rejected: access denied|not listed in"
    r"|recip(?:ient)?notfound|no valid recipients|unknown user: |ディレクトリ"
)
"""What only a directory says, never a filter."""

_BY_STATUS = {
    "1.2": BounceReason.HOST_UNKNOWN,
    "1.6": BounceReason.MOVED,
    "1.7": BounceReason.SENDER_REJECTED,
    "1.8": BounceReason.SENDER_REJECTED,
    "2.1": BounceReason.MAILBOX_DISABLED,
    "2.2": BounceReason.MAILBOX_FULL,
    "2.3": BounceReason.TOO_LARGE,
    "3.4": BounceReason.TOO_LARGE,
    "4.1": BounceReason.EXPIRED,
    "4.4": BounceReason.HOST_UNKNOWN,
    "4.7": BounceReason.EXPIRED,
    "7.25": BounceReason.BLOCKED,
    "7.26": BounceReason.AUTHENTICATION,
}
_BY_SUBJECT = {
    "1": BounceReason.USER_UNKNOWN,
    "3": BounceReason.SERVER_ERROR,
    "4": BounceReason.NETWORK,
    "5": BounceReason.SERVER_ERROR,
    "6": BounceReason.MALFORMED,
    "7": BounceReason.POLICY,
}
"""By the second number of a status code, where the third says nothing special."""

_STATUS_OF = {
    BounceReason.USER_UNKNOWN: "1.1",
    BounceReason.HOST_UNKNOWN: "1.2",
    BounceReason.NOT_ACCEPTING: "1.10",
    BounceReason.MOVED: "1.6",
    BounceReason.MAILBOX_FULL: "2.2",
    BounceReason.MAILBOX_DISABLED: "2.1",
    BounceReason.TOO_LARGE: "3.4",
    BounceReason.DELAYED: "4.7",
    BounceReason.EXPIRED: "4.7",
    BounceReason.NETWORK: "4.0",
    BounceReason.RATE_LIMITED: "7.1",
    BounceReason.BLOCKED: "7.1",
    BounceReason.AUTHENTICATION: "7.26",
    BounceReason.SENDER_REJECTED: "1.8",
    BounceReason.RELAY_DENIED: "7.1",
    BounceReason.POLICY: "7.1",
    BounceReason.REJECTED_AS_SPAM: "7.1",
    BounceReason.VIRUS: "7.0",
    BounceReason.MALFORMED: "6.0",
    BounceReason.SERVER_ERROR: "3.0",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a server's words come to; see `DeliveryFailure`."""

    status: str
    reason: BounceReason


def judge(diagnostic: str, status: str, context: str, *, is_delayed: bool) -> Verdict:
    """What happened, from the most reliable source that says something.

    Args:
        diagnostic: the remote server's answer; empty where it is not given apart.
        status: the report's Status field, or empty.
        context: what the report says in prose about this recipient.
        is_delayed: the report says that the server goes on trying.
    """
    answer, prose = _plain(diagnostic), _plain(context)
    stated = _stated_status(answer, status, prose)
    reason = _said(_remote_answer(answer), stated, prose) or _said(answer, stated, prose)
    if reason is None and answer and stated is not None and _OF_RECIPIENT.match(stated):
        reason = _by_status(stated)
    reason = reason or _said(prose, stated, prose)
    if reason is None:
        reason = BounceReason.DELAYED if is_delayed else _by_status(stated)
    if reason is BounceReason.OTHER and _REFUSED.search(answer or prose):
        reason = BounceReason.USER_UNKNOWN if _TO_RECIPIENT.search(prose) else BounceReason.RECIPIENT_REFUSED
    return Verdict(stated or _status_for(reason, answer, prose, is_delayed=is_delayed), reason)


def _plain(text: str) -> str:
    """In lower case on one line, without the codes that begin the further lines of one answer."""
    text = " ".join(text[:_LOOKED_AT].lower().split())
    if first := _CONTINUED_REPLY.search(text):
        rest = text[first.end() :].replace(f"{first[1]}-{first[2]} ", "").replace(f"{first[1]} {first[2]} ", "")
        return f"{text[: first.start()]}{first[1]} {first[2]} {rest}"
    return text


def _stated_status(answer: str, status: str, prose: str) -> str | None:
    """The first code that says more than "failed", else the first of any kind.

    The remote server's own answer goes before the reporting server's Status, which often only classifies it.
    """
    found = [
        *_STATUS_AFTER_REPLY.findall(answer),
        *re.findall(_STATUS, status[:40])[:1],
        *re.findall(rf"(?<![\d.]){_STATUS}", answer),
        *_STATUS_AFTER_REPLY.findall(prose),
        *_STATUS_MARKED.findall(prose),
    ]
    return next((code for code in found if not code.endswith(".0.0")), found[0] if found else None)


def _remote_answer(answer: str) -> str:
    """What follows the last reply code: before it stand the reporting server's own words."""
    starts = [reply.start() for reply in _REPLY.finditer(answer)]
    return answer[starts[-1] :] if starts else answer


def _said(words: str, stated: str | None, prose: str) -> BounceReason | None:
    reason = next((reason for reason, sayings in _SAID if sayings.search(words)), None)
    if reason is BounceReason.USER_UNKNOWN and not _is_surely_unknown(words, stated, prose):
        return BounceReason.RECIPIENT_REFUSED
    return reason


def _is_surely_unknown(words: str, stated: str | None, prose: str) -> bool:
    """Whether it was said of the address, not of the content."""
    if _SURELY_UNKNOWN.search(words):
        return True
    if _TO_CONTENT.search(prose):
        return False
    return (stated is not None and stated[1:4] == ".1.") or bool(_TO_RECIPIENT.search(prose))


def _by_status(stated: str | None) -> BounceReason:
    if stated is None or stated.endswith(".0.0"):
        return BounceReason.OTHER
    _, subject, _ = stated.split(".")
    return _BY_STATUS.get(stated[2:]) or _BY_SUBJECT.get(subject, BounceReason.OTHER)


def _status_for(reason: BounceReason, answer: str, prose: str, *, is_delayed: bool) -> str:
    reply = _REPLY.search(answer) or _REPLY.search(prose)
    is_passing = is_delayed or (reply is not None and reply[1][0] == "4")
    return f"{4 if is_passing else 5}.{_STATUS_OF.get(reason, '0.0')}"
