"""Did a person write this message, or a machine?

Source: RFC 3464 and RFC 6522 (reports), RFC 3834 (automatic replies), RFC 6047 (invitations by mail).
"""

import re

from domain.mail import MessageKind
from domain.mime.encoded_words import decode_header
from domain.mime.structure import Part

_DAEMONS = re.compile(
    r"(mailer-daemon|mailerdaemon|mail-daemon|mdaemon|postmaster"
    r"|mail[ .-]delivery[ .-](?:sub)?system|mail delivery service)",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(undeliver|delivery (?:status notification|failure|failed|report|has failed|problem)|returned (?:mail|to sender)"
    r"|mail delivery failed|failure notice|could ?n[o']t be delivered|non[- ]?remis|unzustellbar|nicht zugestellt"
    r"|mail system error|delivery notification|rejected|warning: could not send)",
    re.IGNORECASE,
)
_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(\[?auto(?:matic)?[ -]?(?:reply|response)|automatische antwort|abwesenheits|out of (?:the )?office|autoreply"
    r"|réponse automatique|respuesta automática|automatisch antwoord|resposta automática)",
    re.IGNORECASE,
)
_AUTOMATIC_HEADERS = frozenset({"x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from"})
_SCAN_LENGTH = 1000


def read_kind(root: Part, leaves: tuple[Part, ...]) -> MessageKind:
    """What the message's marks say; a bounce before an automatic reply before an invitation. Never raises."""
    if _is_bounce(root):
        return MessageKind.BOUNCE
    if _is_automatic(root):
        return MessageKind.AUTO_REPLY
    if any(leaf.type.value == "text/calendar" and leaf.type.parameters.get("method") for leaf in leaves):
        return MessageKind.INVITATION
    return MessageKind.REGULAR


def _is_bounce(root: Part) -> bool:
    if root.type.value == "multipart/report":
        report = root.type.parameters.get("report-type", "").lower()
        return report == "delivery-status" or (not report and _has_type(root, "message/delivery-status"))
    if _header(root, "x-failed-recipients"):
        return True
    is_from_daemon = bool(_DAEMONS.search(_header(root, "from")))
    has_null_return_path = _header(root, "return-path").replace(" ", "") == "<>"
    return (is_from_daemon or has_null_return_path) and (
        bool(_FAILED.search(_header(root, "subject"))) or _has_type(root, "message/delivery-status")
    )


def _is_automatic(root: Part) -> bool:
    submitted = _header(root, "auto-submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return True
    if _header(root, "precedence").strip().lower() in {"auto_reply", "auto-reply"}:
        return True
    if any(_header(root, name).strip().lower() not in {"", "no"} for name in _AUTOMATIC_HEADERS):
        return True
    return bool(_AUTOMATIC_SUBJECT.match(_header(root, "subject")))


def _has_type(root: Part, content_type: str) -> bool:
    return any(part.type.value == content_type for part in root.parts)


def _header(root: Part, name: str) -> str:
    value = root.header(name)
    return decode_header(value[:_SCAN_LENGTH]) if value else ""
