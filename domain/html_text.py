"""What does a message's HTML say as plain text?"""

import re
from html import unescape

from domain.html_policy import BLOCK_CLEANER, CHARACTERS, is_bearable

_QUOTE_DEPTH = 10
_TAG = re.compile(r"<(/?)([a-z0-9]+)>")
_ANY_TAG = re.compile(r"<[^<>]*>")


def to_text(html: str) -> str:
    """Paragraphs and lines apart, list items marked with `- `, quotations with `> `. Never raises."""
    html = html[:CHARACTERS]
    if not is_bearable(html):
        return bare_words(html)
    return _Writer().write(BLOCK_CLEANER.clean(html))


def bare_words(html: str) -> str:
    """The words of HTML that no parser should be given."""
    return " ".join(unescape(_ANY_TAG.sub(" ", html)).replace("\0", "").split())


class _Writer:
    """Writes cleaned HTML as lines of text."""

    _APART = frozenset(
        {"address", "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}
    )
    """Blocks with an empty line around them."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._quotes = 0
        self._preformatted = 0
        self._gap: int | None = None
        """The depth of quotation at which an empty line is due."""

    def write(self, clean_html: str) -> str:
        position = 0
        for tag in _TAG.finditer(clean_html):
            self._text(clean_html[position : tag.start()])
            self._tag(tag[2], closes=bool(tag[1]))
            position = tag.end()
        self._text(clean_html[position:])
        self._end_line()
        return "\n".join(self._lines).strip("\n")

    def _text(self, escaped: str) -> None:
        if not escaped:
            return
        text = unescape(escaped).replace("\xa0", " ")
        if self._preformatted:
            *whole, last = text.split("\n")
            for line in whole:
                self._line += line
                self._new_line()
            self._line += last
            return
        words = " ".join(text.split())
        if not words:
            self._line += " " if self._line and not self._line.endswith(" ") else ""
            return
        if text[0].isspace() and self._line and not self._line.endswith(" "):
            self._line += " "
        self._line += words + (" " if text[-1].isspace() else "")

    def _tag(self, name: str, *, closes: bool) -> None:
        if name == "br":
            self._new_line()
        elif name in {"td", "th"}:
            if self._line and not closes:
                self._line = self._line.rstrip() + " "
        else:
            self._end_line()
            if name in self._APART:
                self._gap = self._quotes if self._gap is None else min(self._gap, self._quotes)
        if name == "blockquote":
            self._quotes = max(self._quotes + (-1 if closes else 1), 0)
        elif name == "pre":
            self._preformatted = max(self._preformatted + (-1 if closes else 1), 0)
        elif name == "li" and not closes:
            self._line = "- "

    def _end_line(self) -> None:
        if self._line.strip():
            self._new_line()
        self._line = ""

    def _new_line(self) -> None:
        if self._gap is not None and self._lines and self._lines[-1].strip("> "):
            self._lines.append(_marks(min(self._gap, self._quotes)).rstrip())
        self._gap = None
        self._lines.append(_marks(self._quotes) + self._line.rstrip())
        self._line = ""


def _marks(depth: int) -> str:
    return "> " * min(depth, _QUOTE_DEPTH)
