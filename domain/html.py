"""What of a message's HTML is safe to keep and to show, and what does it say as plain text?

The stored form (`sanitise`) loads nothing by itself: addresses of remote images wait in `data-remote-src`, those of
images within the message in `data-cid`. `render` turns it into what one reader is shown.
"""

import re
from collections.abc import Callable
from html import escape, unescape

import nh3

_HTML_CHARACTERS = 1_000_000
_DEPTH = 200
_ATTRIBUTES_PER_TAG = 1000
_TAGS = 30_000
_REOPENED = 10_000
"""How many formatting elements a parser may have to open again in new blocks, as HTML prescribes."""
_URL_LENGTH = 4096

_STRUCTURE_TAGS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
_INLINE_TAGS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "var",
        "wbr",
        "del",
    ]
)
_CONTENT_DROPPED = frozenset(
    [
        "applet",
        "embed",
        "frameset",
        "iframe",
        "head",
        "math",
        "noembed",
        "noframes",
        "noscript",
        "object",
        "script",
        "select",
        "style",
        "svg",
        "template",
        "textarea",
        "title",
        "xmp",
    ]
)
_ATTRIBUTES = {
    "*": {"align", "bgcolor", "dir", "height", "lang", "style", "title", "valign", "width"},
    "a": {"href"},
    "font": {"color", "face", "size"},
    "img": {"alt", "border", "hspace", "src", "vspace"},
    "li": {"value"},
    "ol": {"start", "type"},
    "table": {"background", "border", "cellpadding", "cellspacing"},
    "td": {"background", "colspan", "nowrap", "rowspan"},
    "th": {"background", "colspan", "nowrap", "rowspan"},
    "tr": {"background"},
}
_STYLE_PROPERTIES = frozenset(
    [
        "background-color",
        "border",
        "border-bottom",
        "border-collapse",
        "border-color",
        "border-left",
        "border-radius",
        "border-right",
        "border-spacing",
        "border-style",
        "border-top",
        "border-width",
        "clear",
        "color",
        "direction",
        "display",
        "float",
        "font",
        "font-family",
        "font-size",
        "font-style",
        "font-variant",
        "font-weight",
        "height",
        "letter-spacing",
        "line-height",
        "list-style-type",
        "margin",
        "margin-bottom",
        "margin-left",
        "margin-right",
        "margin-top",
        "max-height",
        "max-width",
        "min-height",
        "min-width",
        "padding",
        "padding-bottom",
        "padding-left",
        "padding-right",
        "padding-top",
        "text-align",
        "text-decoration",
        "text-indent",
        "text-transform",
        "vertical-align",
        "white-space",
        "width",
        "word-break",
        "word-spacing",
        "word-wrap",
        "overflow-wrap",
    ]
)
_STYLE_VALUE = re.compile(r"""[A-Za-z0-9#%.,\s'"!_()-]{1,300}""")
_STYLE_CALLS = re.compile(r"([a-z-]+)\(", re.IGNORECASE)
_HARMLESS_CALLS = frozenset({"rgb", "rgba", "hsl", "hsla"})
_NEGATIVE = re.compile(r"(^|[\s,(])-")
"""A negative margin or indent moves content out of its place, over what stands around the message."""

_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_CID = re.compile(r"cid:", re.IGNORECASE)

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20})([^<>]*)")
_CLEAN_TAG = re.compile(r"""<(/?)([a-z0-9]+)((?:\s[a-z-]+="[^"]*")*)\s?/?>""")
_CLEAN_ATTRIBUTE = re.compile(r"""\s([a-z-]+)="([^"]*)\"""")
_ANY_TAG = re.compile(r"<[^<>]*>")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_CLOSED_BY_OTHERS = frozenset(
    ["colgroup", "dd", "dt", "html", "body", "head", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"]
)
_FORMATTING = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)


def sanitise(html: str) -> str:
    """The stored form: no script, style sheet, form, handler or class, no link but web, mail and telephone; links open
    apart. HTML that is larger, deeper or more tangled than any mail needs becomes its plain text.
    """
    html = html[:_HTML_CHARACTERS]
    if not _is_bearable(html):
        return from_text(_ANY_TAG.sub(" ", html).replace("<", " "))
    return _CLEAN_TAG.sub(_set_aside, _cleaner.clean(html))


def render(safe_html: str, *, remote_content: bool, cid_url: Callable[[str], str | None]) -> str:
    """What a reader is shown.

    Args:
        safe_html: as `sanitise` gave it.
        remote_content: whether images are loaded from the web; that tells their owner who reads when.
        cid_url: the link to the attachment with that content id; None where there is none.
    """

    def restored(tag: re.Match[str]) -> str:
        attributes = tag[3]
        if "data-" not in attributes:
            return tag[0]
        source = "src" if tag[2] == "img" else "background"
        written: list[str] = []
        for name, value in _CLEAN_ATTRIBUTE.findall(attributes):
            if name == "data-remote-src" and remote_content and _REMOTE.match(value):
                written.append(f' {source}="{value}"')
            elif name == "data-cid" and (url := cid_url(unescape(value))) is not None:
                written.append(f' {source}="{escape(url)}"')
            else:
                written.append(f' {name}="{value}"')
        return f"<{tag[2]}{''.join(written)}>"

    return _CLEAN_TAG.sub(restored, safe_html)


def from_text(text: str) -> str:
    """Plain text as HTML that keeps its lines."""
    return f'<div style="white-space: pre-wrap">{escape(text)}</div>'


def to_text(html: str) -> str:
    """What the HTML says: paragraphs and lines apart, list items marked with `- `, quotations with `> `."""
    html = html[:_HTML_CHARACTERS]
    if not _is_bearable(html):
        return " ".join(unescape(_ANY_TAG.sub(" ", html)).split())
    return _Writer().write(_text_cleaner.clean(html))


def _is_bearable(html: str) -> bool:
    """Whether an HTML parser takes linear time: nesting, attributes and formatting to be opened again are few."""
    if html.count("<") > 2 * _TAGS:
        return False
    depth = reopened = open_formatting = 0
    for count, match in enumerate(_TAG.finditer(html)):
        closes, name, attributes = match[1], match[2].lower(), match[3]
        if (
            len(attributes) > _ATTRIBUTES_PER_TAG
            and attributes.count("=") + attributes.count(" ") > _ATTRIBUTES_PER_TAG
        ):
            return False
        step = -1 if closes else 1
        if name in _FORMATTING:
            open_formatting = max(open_formatting + step, 0)
        elif name in _STRUCTURE_TAGS and name not in _VOID:
            reopened += open_formatting
        if name not in _VOID and name not in _CLOSED_BY_OTHERS:
            depth = max(depth + step, 0)
        if depth > _DEPTH or reopened > _REOPENED or count > _TAGS:
            return False
    return True


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return _harmless_style(value)
    value = value.strip()
    if len(value) > _URL_LENGTH:
        return None
    if name == "href":
        return value if _LINK.match(value) else None
    if name in {"src", "background"}:
        return value if _REMOTE.match(value) or _CID.match(value) else None
    return value


def _harmless_style(style: str) -> str | None:
    kept: list[str] = []
    for declaration in style[:10_000].split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name not in _STYLE_PROPERTIES or not _STYLE_VALUE.fullmatch(value):
            continue
        if any(call.lower() not in _HARMLESS_CALLS for call in _STYLE_CALLS.findall(value)):
            continue
        if name.startswith(("margin", "text-indent")) and _NEGATIVE.search(value):
            continue
        kept.append(f"{name}: {value}")
    return "; ".join(kept) or None


def _set_aside(tag: re.Match[str]) -> str:
    """Renames what would load something. The cleaner has left only remote and `cid:` addresses there."""
    attributes = tag[3]
    if "src=" not in attributes and "background=" not in attributes:
        return tag[0]
    written: list[str] = []
    for name, value in _CLEAN_ATTRIBUTE.findall(attributes):
        if name not in {"src", "background"}:
            written.append(f' {name}="{value}"')
        elif _CID.match(value):
            written.append(f' data-cid="{value[4:]}"')
        else:
            written.append(f' data-remote-src="{value}"')
    return f"<{tag[2]}{''.join(written)}>"


_cleaner = nh3.Cleaner(
    tags=set(_STRUCTURE_TAGS | _INLINE_TAGS),
    clean_content_tags=set(_CONTENT_DROPPED),
    attributes=_ATTRIBUTES,
    attribute_filter=_filter_attribute,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto", "tel", "cid"},
    url_relative="deny",
)
_text_cleaner = nh3.Cleaner(
    tags=set(_STRUCTURE_TAGS),
    clean_content_tags=set(_CONTENT_DROPPED),
    attributes={},
    link_rel=None,
)


class _Writer:
    """Writes cleaned HTML as lines of text."""

    _APART = frozenset(
        ["address", "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"]
    )
    """Blocks with an empty line around them."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._quotes = 0
        self._preformatted = 0
        self._gap = False

    def write(self, clean_html: str) -> str:
        position = 0
        for tag in _CLEAN_TAG.finditer(clean_html):
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
            self._gap = self._gap or name in self._APART
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
        if self._gap and self._lines and self._lines[-1].strip("> "):
            self._lines.append("> " * min(self._quotes, 10) if self._quotes else "")
        self._gap = False
        self._lines.append("> " * min(self._quotes, 10) + self._line.rstrip())
        self._line = ""
