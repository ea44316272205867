"""A bounce tells which message came back, for whom and why; a message of a person is never taken for one."""

import json
import logging
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mail import BounceReason, BounceReport, DeliveryFailure, MessageKind
from domain.mime_parse import parse
from tests.support.mail_files import corpus, own_message

log = logging.getLogger(__name__)
"""The scores are shown by `pytest --log-cli-level=INFO`."""


def failure(recipient: str, status: str, reason: BounceReason, *, is_hard: bool = False) -> DeliveryFailure:
    return DeliveryFailure(recipient, status, reason, is_hard)


def bounce_of(raw: bytes) -> BounceReport:
    bounce = parse(raw).bounce
    assert bounce is not None
    return bounce


@pytest.mark.parametrize(
    ("name", "message_id", "failures"),
    [
        (
            "bounce-exim",
            "interview-1@talent.example",
            [failure("ana@example.org", "5.1.1", BounceReason.USER_UNKNOWN, is_hard=True)],
        ),
        (
            "bounce-qmail",
            "interview-2@talent.example",
            [
                failure("ana@example.org", "5.2.2", BounceReason.MAILBOX_FULL),
                failure("eva@nowhere.example", "5.1.2", BounceReason.HOST_UNKNOWN, is_hard=True),
            ],
        ),
        (
            "bounce-two-recipients",
            "interview-3@talent.example",
            [
                failure("ana@example.org", "5.2.1", BounceReason.USER_UNKNOWN, is_hard=True),
                failure("eva@example.net", "5.0.0", BounceReason.RECIPIENT_REFUSED),
            ],
        ),
        (
            "bounce-delayed",
            "interview-4@talent.example",
            [failure("ana@example.org", "4.4.1", BounceReason.DELAYED)],
        ),
        (
            "bounce-exchange",
            "interview-5@talent.example",
            [failure("ana@example.org", "5.7.1", BounceReason.REJECTED_AS_SPAM)],
        ),
    ],
)
def test_servers_of_all_kinds_are_understood(name: str, message_id: str, failures: list[DeliveryFailure]) -> None:
    message = parse(own_message(name))
    assert message.kind is MessageKind.BOUNCE
    assert message.bounce is not None
    assert message.bounce.rfc_message_id == message_id
    assert [replace(one, diagnostic=None, is_delayed=False) for one in message.bounce.failures] == failures
    assert message.ancestry[-1] == message_id


def test_what_comes_back_says_whom_it_was_for_and_what_the_server_said() -> None:
    bounce = bounce_of(
        own_message("bounce-qmail").replace(b"Subject: Your", b"To: Ana <ana@example.org>\nSubject: Your")
    )
    assert bounce.addressees == ("ana@example.org",)
    assert [one.diagnostic for one in bounce.failures] == [
        (
            "<ana@example.org>: 192.0.2.7 failed after I sent the message. "
            "Remote host said: 552 sorry, that mailbox is over quota (#5.2.2)"
        ),
        "<eva@nowhere.example>: Sorry, I couldn't find any host named nowhere.example. Unknown host (#5.1.2)",
    ]


def test_what_is_only_late_is_never_given_up() -> None:
    (late,) = bounce_of(own_message("bounce-delayed")).failures
    assert (late.is_delayed, late.is_hard) == (True, False)


def test_a_complaint_is_no_bounce_and_no_persons_answer() -> None:
    message = parse(own_message("complaint"))
    assert message.kind is MessageKind.AUTO_REPLY
    assert message.bounce is not None
    assert message.bounce.is_complaint
    assert message.bounce.rfc_message_id == "interview-6@talent.example"
    assert [one.recipient for one in message.bounce.failures] == ["ana@provider.example"]


def test_a_receipt_for_what_arrived_is_no_bounce() -> None:
    message = parse(own_message("delivery-receipt"))
    assert (message.kind, message.bounce) == (MessageKind.AUTO_REPLY, None)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("550 5.1.1 The email account that you tried to reach does not exist.", "5.1.1", BounceReason.USER_UNKNOWN),
        ("452 4.2.2 The recipient's inbox is out of storage space.", "4.2.2", BounceReason.MAILBOX_FULL),
        ("552 5.3.4 Message size exceeds fixed limit", "5.3.4", BounceReason.TOO_LARGE),
        ("550 5.7.26 Unauthenticated email from x.example is not accepted", "5.7.26", BounceReason.AUTHENTICATION),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen", "5.7.1", BounceReason.BLOCKED),
        ("421 4.7.0 Too many connections from your host", "4.7.0", BounceReason.RATE_LIMITED),
        ("550 relay access denied", "5.7.1", BounceReason.RELAY_DENIED),
        ("DNS Error: 'mx' lookup of x.example responded with code NXDOMAIN", "5.1.2", BounceReason.HOST_UNKNOWN),
        ("554 5.4.0 something new", "5.4.0", BounceReason.NETWORK),
        ("544 nobody knows", "5.0.0", BounceReason.OTHER),
        (
            "550-5.7.1 Our system has detected that this\n 550-5.7.1 message is likely unsolicited mail.\n 550 5.7.1 x",
            "5.7.1",
            BounceReason.REJECTED_AS_SPAM,
        ),
    ],
)
def test_servers_words_and_codes_are_understood(answer: str, status: str, reason: BounceReason) -> None:
    raw = own_message("bounce-report").replace(
        b"Status: 5.1.1", f"Diagnostic-Code: smtp; {answer}".replace("\n", "\r\n").encode()
    )
    (found,) = bounce_of(raw).failures
    assert (found.status, found.reason) == (status, reason)


def test_a_person_who_quotes_a_bounce_does_not_bounce() -> None:
    message = parse(b"From: ana@example.org\r\nSubject: Re: Mail delivery failed\r\n\r\nLook: 550 5.1.1 User unknown")
    assert (message.kind, message.bounce) == (MessageKind.REGULAR, None)


def test_a_bounce_has_few_failures_whatever_it_holds() -> None:
    fields = b"Final-Recipient: rfc822; a@example.org\r\nAction: failed\r\n\r\n"
    assert (
        len(bounce_of(own_message("bounce-report").replace(b"Status: 5.1.1\r\n", b"\r\n" + fields * 5000)).failures)
        == 100
    )


words = st.sampled_from(
    [
        "550 5.1.1 ", "421-4.7.0 ", "<ana@example.org>", "ana@example.org: ", "\r\n", "\r\n\r\n", "User unknown", "quota ",
        "Final-Recipient: rfc822; ", "Action: failed", "Action: delayed", "Status: 5.0.0", "Diagnostic-Code: smtp; ",
        "Message-ID: <a@b>", "---- Original message ----", ">>> RCPT To:<a@b>", "in reply to end of DATA", "\0", "\x1b$B",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(words, st.text(max_size=20)), max_size=40).map("".join), st.sampled_from(["plain", "report"]))
def test_any_notice_is_read(notice: str, form: str) -> None:
    body = notice.encode("utf-8", "replace")
    raw = own_message(f"bounce-{form}").replace(b"No such user.", body).replace(b"Action: failed", body)
    bounce = parse(raw).bounce
    if bounce is not None:
        assert 0 < len(bounce.failures) <= 100
        for one in bounce.failures:
            assert one.status is not None
            assert one.status[0] in "45"
            assert one.recipient is None or "@" in one.recipient


LABELS = {
    "userunknown": BounceReason.USER_UNKNOWN,
    "filtered": BounceReason.RECIPIENT_REFUSED,
    "hostunknown": BounceReason.HOST_UNKNOWN,
    "notaccept": BounceReason.NOT_ACCEPTING,
    "hasmoved": BounceReason.MOVED,
    "mailboxfull": BounceReason.MAILBOX_FULL,
    "suspend": BounceReason.MAILBOX_DISABLED,
    "mesgtoobig": BounceReason.TOO_LARGE,
    "expired": BounceReason.EXPIRED,
    "networkerror": BounceReason.NETWORK,
    "toomanyconn": BounceReason.RATE_LIMITED,
    "speeding": BounceReason.RATE_LIMITED,
    "blocked": BounceReason.BLOCKED,
    "badreputation": BounceReason.BLOCKED,
    "requireptr": BounceReason.BLOCKED,
    "authfailure": BounceReason.AUTHENTICATION,
    "rejected": BounceReason.SENDER_REJECTED,
    "norelaying": BounceReason.RELAY_DENIED,
    "policyviolation": BounceReason.POLICY,
    "securityerror": BounceReason.POLICY,
    "spamdetected": BounceReason.REJECTED_AS_SPAM,
    "virusdetected": BounceReason.VIRUS,
    "contenterror": BounceReason.MALFORMED,
    "notcompliantrfc": BounceReason.MALFORMED,
    "systemerror": BounceReason.SERVER_ERROR,
    "mailererror": BounceReason.SERVER_ERROR,
    "syntaxerror": BounceReason.SERVER_ERROR,
    "undefined": BounceReason.OTHER,
    "feedback": BounceReason.COMPLAINT,
}
"""The corpus' names of reasons."""

DIFFERENT = {
    "lhost-amazonses-09": "an event of a web service as JSON, not a bounce that a mailbox receives",
    "lhost-amazonses-10": "an event of a web service as JSON, not a bounce that a mailbox receives",
    "lhost-amazonses-11": "an event of a web service as JSON, not a bounce that a mailbox receives",
    "lhost-amazonses-17": "the report's own code is 4.4.7; the expected one is of an earlier attempt",
    "lhost-amazonworkmail-05": "the report's own code is 4.4.7; the expected one is of an earlier attempt",
    "lhost-amazonworkmail-07": "the report's own code is 4.4.7; the expected one is of an earlier attempt",
    "lhost-exchange2007-05": "the report's own code is 4.4.7; the expected one is of an earlier attempt",
    "lhost-apachejames-01": "word for word as lhost-verizon-02, which is expected to be an unknown user",
    "lhost-gmail-03": "its words tell nothing, its code 5.7.0 is of policy",
    "lhost-kddi-01": "from an ordinary address, without any mark of a bounce but its text",
    "lhost-messagingserver-09": "nothing tells that the refusal was of the address; as lhost-messagingserver-08",
    "lhost-outlook-08": "nothing tells that the refusal was of the address; as lhost-zoho-03",
    "lhost-yahoo-07": "nothing tells that the refusal was of the address; as lhost-yahoo-06",
    "rhost-yahooinc-03": "nothing tells that the refusal was of the address; as lhost-x2-01",
    "lhost-office365-04": "the code 5.1.351 is of an unknown address, as in lhost-office365-07",
    "lhost-opensmtpd-12": "the server goes on trying, so it is not given up",
    "lhost-postfix-54": "access denied is policy; the sender is not named",
    "lhost-postfix-74": "the sending server's reputation, as in lhost-opensmtpd-13",
    "rhost-yahooinc-02": "the sending server's reputation, as in lhost-opensmtpd-13",
    "lhost-v5sendmail-05": "the reason stands before the recipient, whom only a later line names",
    "lhost-v5sendmail-06": "the reason stands before the recipient, whom only a later line names",
}
"""Bounces that are read otherwise than the corpus expects, and why."""

Wire = dict[str, Any]


def test_bounces_of_many_servers_are_read_as_expected() -> None:
    corpus("bounces")
    right, wrong = comparison()
    shares = {field: count / len(expected()) for field, count in right.items()}
    assert min(shares.values()) >= 0.9, shares
    log.info("bounces: %s of %d", dict(right), len(expected()))
    assert wrong == DIFFERENT.keys()


UNSUBSCRIBES = "arf-26"
"""A person's program asks to be taken off a list: an automatic message, but no complaint."""
_EVENTS = re.compile(r"lhost-amazonses-(?:09|1[0-3])")
"""What a web service tells a program, as JSON."""


def test_every_report_of_the_corpus_is_told_from_a_persons_message() -> None:
    for path in sorted(corpus("bounces").glob("*.eml")):
        message = parse(path.read_bytes())
        if not _EVENTS.match(path.stem) and path.stem not in DIFFERENT:
            assert message.kind is not MessageKind.REGULAR, path.name
        if path.stem.startswith("arf-") and path.stem != UNSUBSCRIBES:
            assert message.bounce is not None, path.name
            assert message.bounce.is_complaint, path.name


def test_what_is_only_delayed_is_never_given_up() -> None:
    for path in sorted(corpus("bounces").glob("*.eml")):
        bounce = parse(path.read_bytes()).bounce
        for one in bounce.failures if bounce is not None else ():
            assert not (one.is_hard and one.reason is BounceReason.DELAYED), path.name


@cache
def comparison() -> tuple[Counter[str], set[str]]:
    """How many files have each field right, and the names of those where any is wrong."""
    right: Counter[str] = Counter()
    wrong: set[str] = set()
    for name, entries in expected().items():
        bounce = parse((corpus("bounces") / name).read_bytes()).bounce
        judged = judge(bounce, [entry for entry in entries if entry["reason"] != "delivered"])
        right.update(field for field, is_right in judged.items() if is_right)
        if not all(judged.values()):
            wrong.add(name.removesuffix(".eml"))
    return right, wrong


def expected() -> dict[str, list[Wire]]:
    loaded: dict[str, list[Wire]] = json.loads((corpus("bounces") / "expected.json").read_text())
    return loaded


def judge(bounce: BounceReport | None, entries: list[Wire]) -> dict[str, bool]:
    """Whether each field is right for all the recipients that are expected; in any order."""
    remaining = list(bounce.failures) if bounce is not None else []
    judged = {"status": True, "reason": True, "hard": True, "all": bool(entries) or bounce is None}
    for entry in entries:
        if not remaining:
            return dict.fromkeys(judged, False)
        best = max(remaining, key=lambda one: sum(compared(one, entry).values()))
        remaining.remove(best)
        for field, is_right in compared(best, entry).items():
            judged[field] &= is_right
    judged["all"] &= judged["status"] and judged["reason"] and judged["hard"]
    return judged


def compared(found: DeliveryFailure, entry: Wire) -> dict[str, bool]:
    reason = BounceReason.EXPIRED if found.reason is BounceReason.DELAYED else found.reason
    # 5.0.9xx is no code of the server's: the corpus makes it from the reason.
    is_made_up = entry["dsn"][1:].startswith(".0.9")
    return {
        "status": is_made_up or (found.status or "") == entry["dsn"],
        "reason": reason is LABELS[entry["reason"]],
        "hard": found.is_hard == entry["hard"],
    }
