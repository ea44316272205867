"""What did the writer of a reply write, and what only stands there again?

One pass over the lines, with string comparisons and regular expressions that look at bounded stretches only: the
libraries for this can all be brought to a standstill by a message made for it.
"""

# ruff: noqa: RUF001 - the words of other languages, as they are written

import re
from enum import Enum, auto

_CHARACTERS = 64 * 1024
_LINES = 2000
_ATTRIBUTION_LINES = 4
_ATTRIBUTION_LENGTH = 400
_LOOKED_AT = 300
"""Characters of a line that are looked at; what tells history from answers is never further in."""
_SIGNATURE_WORDS = 10
_RULE_LENGTH = 10
_WRAPPED_AT = 60
"""Lines that were broken in transport are about this long at least."""

_WRITTEN = (
    "wrote:", "writes:", "said:", "schrieb:", "geschrieben:", "a écrit :", "a écrit:", "escribió:", "schreef:",
    "geschreven:", "het volgende:", "escreveu:", "ha scritto:", "skrev:", "napisał:", "napisał(a):", "napisała:",
    "написал:", "написал(а):", "написала:", "пишет:", "написав:", "kirjoitti:", "írta:", "写道:", "寫道:",
)  # fmt: skip
"""How the line before a quotation ends."""
_WROTE_WITHIN = (" wrote ", " schrieb ", " schreef ", " skrev ", " ha scritto ", " escribió ", " a écrit ", " napisał ",
                 " het volgende geschreven")  # fmt: skip
"""Languages that put the writer after the verb."""
_DATE_FIRST = re.compile(r"[-* ]{0,3}(on|am|le|el|op|em|il|den|dnia|w dniu|в|a|il giorno|på|pe)\b", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,100}")
_QUOTE_MARK = re.compile(r"\|?[A-Z]{0,3}>(?!:$)")
"""Some programs put the initials of whom they quote before the sign."""
_STARTS_WITH_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b")
_DATE_SIGN = re.compile(r"\d(?:[:.h]\d{2}|[./-]\d|(?<=\b1)9\d\d\b|(?<=\b2)0\d\d\b)")
"""A time, a date or a year; it begins with a digit, so that a line without any is passed over at once."""

_SEPARATOR_WORDS = (
    "original message", "original appointment", "forwarded message", "reply message", "reply above this line",
    "ursprüngliche nachricht", "ursprungliche nachricht", "originalnachricht", "original-nachricht",
    "weitergeleitete nachricht", "message d'origine", "message d’origine", "message original", "message transféré",
    "message initial", "mensaje original", "mensaje reenviado", "oorspronkelijk bericht",
    "doorgestuurd bericht", "messaggio originale", "messaggio inoltrato", "mensagem original",
    "mensagem encaminhada", "ursprungligt meddelande", "исходное сообщение", "пересылаемое сообщение",
)  # fmt: skip
_BARE_SEPARATORS = (
    "begin forwarded message", "anfang der weitergeleiteten", "début du message réexpédié",
    "début du message transféré", "inicio del mensaje reenviado", "begin doorgestuurd bericht",
)  # fmt: skip
_RULES = frozenset("-_=*~#+—–")

_FROM = frozenset({"from", "von", "de", "van", "da", "från", "fra", "od", "от", "发件人", "寄件者"})
_OTHER_FIELDS = frozenset(
    {
        "sent", "date", "to", "cc", "subject", "reply-to", "importance", "when", "where", "attachments",
        "gesendet", "datum", "an", "betreff", "kopie", "wichtigkeit", "antwort an",
        "envoyé", "envoyé le", "message du", "copie à", "sujet", "à", "objet",
        "enviado", "enviado el", "fecha", "para", "asunto",
        "verzonden", "verzonden op", "aan", "onderwerp", "inviato", "data", "a", "oggetto", "assunto",
        "skickat", "till", "ämne", "sendt", "til", "emne", "wysłano", "do", "temat",
        "отправлено", "дата", "кому", "тема", "发送时间", "收件人", "主题", "日期",
    }
)  # fmt: skip
_FIELD = re.compile(r"\s{0,12}[*_]{0,2}([^\W\d_][^:：<>@]{0,18}?)\s?[*_]{0,2}\s?[:：][*_]{0,2}(?:\s|$|[^/\s])")
_HEADER_FIELDS = 3
_FIELDS_WITHIN_LINES = 10

_DEVICE_SIGNATURE = re.compile(
    r"[(<\[*_\s]{0,4}(sent (via|with|by|using)\b|sent from (?!an? (?!phone|mobile|tablet|cell))"
    r"|get outlook for|get \[outlook|from my (iphone|ipad|android)"
    r"|von mein\w{1,3} .{1,40} gesendet|gesendet (von|mit|über)\b|diese nachricht wurde von mein"
    r"|envoyé (de|depuis|à partir)\b|télécharger outlook|enviado (desde|do|de mi)\b|obtener outlook"
    r"|verzonden (met|vanaf|via|vanuit)\b|verstuurd vanaf|inviato da|download outlook|scarica outlook"
    r"|someone from mobile|skickat från|sendt fra|wysłane z|отправлено (с|из)\b|從我的 .{1,20} 傳送|发自我的)",
    re.IGNORECASE,
)

_SIGNED_OFF = re.compile(r"-[^\W\d_][\w.'’]{0,30}(?: [^\W\d_][\w.'’]{0,30}){0,2}")
"""`-Ana Silva`"""


class _Kind(Enum):
    EMPTY = auto()
    TEXT = auto()
    QUOTED = auto()
    ATTRIBUTION = auto()
    """`On Monday Ana wrote:`"""
    HISTORY = auto()
    """The start of a message repeated without quotation marks: a separator or a block of header fields."""


def reply_text(text: str) -> str:
    """`text` without what it repeats of earlier messages and without signature; answers between quotations stay.

    Where nothing would be left, the whole text. Only the first 64 KB and 2,000 lines are looked at; what is beyond
    them stays where no history began before.
    """
    head, beyond = _capped(text)
    lines = head.split("\n")
    kinds = _kinds(lines)
    end = _start_of_history(kinds)
    is_whole = end == len(lines)
    kept = [index for index in range(end) if kinds[index] is not _Kind.HISTORY]
    kept = _without_signature(kept, lines, kinds)
    kept = _without_quotations(kept, kinds)
    kept = _without_marks_at_end(kept, lines, kinds)
    reply = "\n".join(lines[index].rstrip() for index in kept).strip("\n")
    if is_whole and beyond and kept and kept[-1] == len(lines) - 1:
        reply += beyond
    return (reply.strip() and reply.strip("\n")) or text.strip()


def _capped(text: str) -> tuple[str, str]:
    head = text[:_CHARACTERS]
    if head.count("\n") >= _LINES:
        head = "\n".join(head.split("\n", _LINES)[:_LINES])
    return head, text[len(head) :]


def _kinds(lines: list[str]) -> list[_Kind]:
    kinds = [_kind(line) for line in lines]
    for index in range(1, len(lines)):
        if kinds[index] is _Kind.TEXT and kinds[index - 1] is _Kind.QUOTED and _wraps(lines[index - 1], lines[index]):
            kinds[index] = _Kind.QUOTED
    index = 0
    while index < len(lines):
        if kinds[index] is _Kind.TEXT:
            if _is_separator(lines[index]):
                kinds[index] = _Kind.HISTORY
            elif _is_header_block(lines, index):
                length = _lines_to_gap(kinds, index)
                kinds[index : index + length] = [_Kind.HISTORY] * length
                index += length - 1
            elif length := _attribution_length(lines, kinds, index):
                kinds[index : index + length] = [_Kind.ATTRIBUTION] * length
                index += length - 1
        index += 1
    return kinds


def _lines_to_gap(kinds: list[_Kind], index: int) -> int:
    """How many lines a header block has: up to the next empty one."""
    gap = next((place for place in range(index, len(kinds)) if kinds[place] is _Kind.EMPTY), len(kinds))
    return min(gap - index, 2 * _FIELDS_WITHIN_LINES)


def _kind(line: str) -> _Kind:
    start = line[:_LOOKED_AT].strip()
    if not start.strip("\u200b\u1427\ufeff"):
        return _Kind.EMPTY
    return _Kind.QUOTED if _QUOTE_MARK.match(start) else _Kind.TEXT


def _wraps(quoted: str, line: str) -> bool:
    """Whether a long quoted line was broken in transport, its rest left without a mark."""
    return len(quoted) >= _WRAPPED_AT and line[:1].islower()


def _is_separator(line: str) -> bool:
    text = line[:_LOOKED_AT].strip().lower().strip("*")
    if text.startswith(_BARE_SEPARATORS):
        return True
    words = text.strip("-_=*~#+—– >")
    is_marked = len(text) - len(words) >= 2  # noqa: PLR2004 - one dash on each side
    return is_marked and words.rstrip(":").startswith(_SEPARATOR_WORDS)


def _is_header_block(lines: list[str], index: int) -> bool:
    """Whether From, or its like, and at least two more header fields begin here, as Outlook puts them."""
    first = _field(lines[index])
    if first is None:
        return False
    has_from, found = first in _FROM, {first}
    if not has_from and first not in _OTHER_FIELDS:
        return False
    for line in lines[index + 1 : index + _FIELDS_WITHIN_LINES]:
        field = _field(line)
        if field in _FROM or field in _OTHER_FIELDS:
            has_from = has_from or field in _FROM
            found.add(str(field))
    return has_from and len(found) >= _HEADER_FIELDS


def _field(line: str) -> str | None:
    start = line[:_LOOKED_AT]
    match = _FIELD.match(start) if ":" in start or "：" in start else None
    return match[1].strip().lower() if match else None


def _attribution_length(lines: list[str], kinds: list[_Kind], index: int) -> int:
    """How many lines from here on say who wrote what follows; 0 where none do."""
    joined = ""
    for length in range(1, _ATTRIBUTION_LINES + 1):
        place = index + length - 1
        if place >= len(lines) or kinds[place] is not _Kind.TEXT:
            return 0
        joined = f"{joined} {lines[place].strip()}" if joined else lines[place].strip()
        if joined.startswith("--") and joined.endswith(" ----"):
            joined = joined.strip("- ") + ":"
        if len(joined) > _ATTRIBUTION_LENGTH:
            return 0
        if length == 1 and _is_zoned_date(joined):
            return length
        if joined.endswith((":", "：")):
            before_quotation = _next_kind(kinds, place + 1) is _Kind.QUOTED
            return length if _is_attribution(joined, before_quotation=before_quotation) else 0
        if length == 1 and not _may_begin_attribution(joined):
            return 0
    return 0


def _may_begin_attribution(line: str) -> bool:
    return bool(_DATE_FIRST.match(line) or _DATE_SIGN.search(line) or _names_address(line))


def _names_address(text: str) -> bool:
    return "@" in text and bool(_ADDRESS.search(text))


def _is_zoned_date(line: str) -> bool:
    """`2016-03-03 17:21 GMT+01:00 Ana Silva`, `2013/7/20 Ana <ana@…>`: marks that need no verb."""
    if not _STARTS_WITH_DATE.match(line):
        return False
    return (" GMT" in line[:24] and not line.endswith("<")) or (line.endswith(">") and _names_address(line))


def _is_attribution(joined: str, *, before_quotation: bool) -> bool:
    text = joined.strip("- ").replace("：", ":").replace("\xa0", " ").lower().strip("*_ ")
    if _STARTS_WITH_DATE.match(text) and text.endswith((">:", ">")):
        return _names_address(text)
    names_writer = _names_address(text)
    names_date = bool(_DATE_SIGN.search(text))
    if before_quotation and names_writer and names_date:
        return True
    if text.endswith(_WRITTEN):
        return names_writer or names_date
    return (
        any(verb in text for verb in _WROTE_WITHIN) and names_date and (names_writer or bool(_DATE_FIRST.match(text)))
    )


def _start_of_history(kinds: list[_Kind]) -> int:
    """Where the repeated message begins that runs to the end: at a separator, or an attribution before no quote marks.

    History that has nothing before it is no end: it is what there is to read.
    """
    has_text = False
    for index, kind in enumerate(kinds):
        if kind is _Kind.TEXT:
            has_text = True
        elif (kind is _Kind.HISTORY and has_text) or (
            kind is _Kind.ATTRIBUTION and has_text and _next_kind(kinds, index) is not _Kind.QUOTED
        ):
            return index
    return len(kinds)


def _next_kind(kinds: list[_Kind], index: int) -> _Kind | None:
    following = kinds[index : index + 2 * _ATTRIBUTION_LINES]
    return next((kind for kind in following if kind is not _Kind.EMPTY and kind is not _Kind.ATTRIBUTION), None)


def _without_quotations(kept: list[int], kinds: list[_Kind]) -> list[int]:
    """Drops the quotation at the end, and one at the start where a single answer follows it.

    What is quoted between answers stays, with the line that says who wrote it.
    """
    texts = [place for place, index in enumerate(kept) if kinds[index] is _Kind.TEXT]
    if not texts:
        return []
    first, last = texts[0], texts[-1]
    has_attribution = any(kinds[index] is _Kind.ATTRIBUTION for index in kept)
    answers_between = any(kinds[index] is _Kind.QUOTED for index in kept[first : last + 1])
    start = first if has_attribution and not answers_between else 0
    return [
        index
        for index in kept[start : last + 1]
        if kinds[index] is not _Kind.ATTRIBUTION or _next_kind(kinds, index) is _Kind.QUOTED
    ]


def _without_signature(kept: list[int], lines: list[str], kinds: list[_Kind]) -> list[int]:
    """Cuts at the first `-- ` or long rule that has text before it."""
    has_text = False
    for place, index in enumerate(kept):
        line = lines[index].strip()
        if has_text and (line in {"--", "—"} or (len(line) >= _RULE_LENGTH and not line.strip("_"))):
            return kept[:place]
        has_text = has_text or kinds[index] is _Kind.TEXT
    return kept


def _without_marks_at_end(kept: list[int], lines: list[str], kinds: list[_Kind]) -> list[int]:
    """Drops what devices and programs put under a message, rules, and the name after a dash."""
    kept = _without_closing(kept, lines, kinds)
    if _is_signed_off(kept, lines, kinds):
        kept = _without_closing(kept[:-1], lines, kinds)
    return kept


def _without_closing(kept: list[int], lines: list[str], kinds: list[_Kind]) -> list[int]:
    while kept and (kinds[kept[-1]] is _Kind.EMPTY or _is_closing(lines[kept[-1]])):
        kept = kept[:-1]
    return kept


def _is_signed_off(kept: list[int], lines: list[str], kinds: list[_Kind]) -> bool:
    """Whether a name after a dash stands apart at the end; one dash among several is a list's."""
    if len(kept) < 2 or kinds[kept[-2]] is not _Kind.EMPTY:  # noqa: PLR2004 - a name and what is signed
        return False
    name = lines[kept[-1]].strip()
    is_name = bool(_SIGNED_OFF.fullmatch(name)) and name[1].isupper()
    return is_name and not any(lines[index].lstrip()[:1] == "-" for index in kept[:-1])


def _is_closing(line: str) -> bool:
    text = line[:_LOOKED_AT].strip()
    if set(text) <= _RULES:
        return True
    is_short = len(text.split()) <= _SIGNATURE_WORDS or "excuse" in text.lower()
    return is_short and bool(_DEVICE_SIGNATURE.match(text))
