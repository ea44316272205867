"""Which messages does a header name?

What programs write into these headers is not to be trusted: words, people's addresses and sentences stand there, and
taking one of them for a message id joins strangers' conversations.

Source: RFC 5322 §3.6.4; RFC 822 §4.6.2 (phrases in In-Reply-To).
"""

import re

from domain.addresses import canonical
from domain.mime.encoded_words import to_text

_VALUE_LENGTH = 100_000
_IDS = 500
"""Of a longer chain the first and the last ones tell where it belongs."""
_ID_LENGTH = 998
_BRACKETED = re.compile(r"<([^<>]{1,1200})>")
_WHITE_SPACE = re.compile(r"\s+")
_COMMENT = re.compile(r"\([^()<>]{0,1000}\)")
_LOCAL_ID = re.compile(r"(?=.*\d)[^@]{6,}")
"""An id without a domain; the digit and the length tell it from a word."""


def read_message_id(header: bytes | None) -> str | None:
    """The id that the message gives itself, without brackets; None where there is none."""
    if header is None:
        return None
    text = to_text(header[:_VALUE_LENGTH])
    if match := _BRACKETED.search(text):
        found = _WHITE_SPACE.sub("", match[1])
    else:
        found = next(iter(text.replace("<", " ").replace(">", " ").split()), "")
    return found if 0 < len(found) <= _ID_LENGTH and found.isprintable() else None


def read_references(header: bytes | None, participants: frozenset[str]) -> tuple[str, ...]:
    """The ids in brackets, in order, each once.

    Args:
        header: References as sent.
        participants: canonical addresses in the message's own headers; these are no ids.
    """
    if header is None:
        return ()
    return _believable(_BRACKETED.findall(to_text(header[-_VALUE_LENGTH:])), participants)


def read_in_reply_to(header: bytes | None, participants: frozenset[str]) -> tuple[str, ...]:
    """As `read_references`; of a sentence (`Message from Ana <ana@…> of "Monday" <id>`) only the last id."""
    if header is None:
        return ()
    text = to_text(header[:_VALUE_LENGTH])
    ids = _believable(_BRACKETED.findall(text), participants)
    around = _COMMENT.sub("", _BRACKETED.sub("", text)).strip(" \t,;")
    return ids[-1:] if around else ids


def _believable(found: list[str], participants: frozenset[str]) -> tuple[str, ...]:
    ids = dict.fromkeys("".join(text.split()) for text in found)
    believed = [text for text in ids if _looks_like_id(text) and canonical(text) not in participants]
    if len(believed) > _IDS:
        believed = believed[:1] + believed[1 - _IDS :]
    return tuple(believed)


def _looks_like_id(text: str) -> bool:
    if len(text) > _ID_LENGTH or not text.isprintable():
        return False
    left, at, right = text.rpartition("@")
    return bool(left and right) if at else bool(_LOCAL_ID.fullmatch(text))
