"""Which HTML may a message keep, and which is too much for a parser?"""

import re

import nh3

CHARACTERS = 1_000_000
_DEPTH = 200
_ATTRIBUTES_PER_TAG = 1000
_TAGS = 30_000
_CHARACTER_REFERENCES = 100_000
_REOPENED = 10_000
"""How many formatting elements a parser may have to open again in new blocks, as HTML prescribes."""
_URL_LENGTH = 4096
_STYLE_LENGTH = 10_000

# fmt: off
BLOCK_TAGS = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "ul",
})
_INLINE_TAGS = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "caption", "cite", "code", "col", "colgroup", "del", "dfn", "em",
    "font", "i", "img", "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt",
    "u", "var", "wbr",
})
_CONTENT_DROPPED = frozenset({
    "applet", "embed", "frameset", "iframe", "head", "math", "noembed", "noframes", "noscript", "object", "script",
    "select", "style", "svg", "template", "textarea", "title", "xmp",
})
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
_STYLE_PROPERTIES = frozenset({
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius",
    "border-right", "border-spacing", "border-style", "border-top", "border-width", "clear", "color", "direction",
    "display", "float", "font", "font-family", "font-size", "font-style", "font-variant", "font-weight", "height",
    "letter-spacing", "line-height", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right",
    "margin-top", "max-height", "max-width", "min-height", "min-width", "overflow-wrap", "padding", "padding-bottom",
    "padding-left", "padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "text-transform",
    "vertical-align", "white-space", "width", "word-break", "word-spacing", "word-wrap",
})
_VOID_TAGS = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
})
_CLOSED_BY_OTHERS = frozenset({
    "body", "colgroup", "dd", "dt", "head", "html", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr",
})
_FORMATTING_TAGS = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})
# fmt: on
_LINE_TAGS = frozenset({"br", "hr"})

_STYLE_VALUE = re.compile(r"""[A-Za-z0-9#%.,\s'"!_()-]{1,300}""")
_STYLE_CALL = re.compile(r"([a-z-]+)\(", re.IGNORECASE)
_HARMLESS_CALLS = frozenset({"rgb", "rgba", "hsl", "hsla"})
_NEGATIVE = re.compile(r"(^|[\s,(])-[\d.]")
"""A negative margin, indent or spacing moves content out of its place, over what stands around the message."""

_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
_LOADED = re.compile(r"(https?://|cid:)", re.IGNORECASE)
_WITHIN_MESSAGE = re.compile(r"cid:", re.IGNORECASE)
"""All that a background may be: from the web it would load with a referrer, which only images can be told not to."""
_LONG_TAG = re.compile(rf"<[^<>]{{{_ATTRIBUTES_PER_TAG}}}")
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20})([^<>]*)")


def is_bearable(html: str) -> bool:
    """Whether an HTML parser takes linear time: nesting, attributes and formatting to be opened again are few."""
    signs = html.count("<")
    if signs > 2 * _TAGS or html.count("&") > _CHARACTER_REFERENCES:
        return False
    if signs <= _DEPTH and not _LONG_TAG.search(html):
        return True  # so few cannot be too deep, nor have too much opened again
    depth = reopened = open_formatting = 0
    for count, match in enumerate(_TAG.finditer(html)):
        closes, name, attributes = match[1], match[2].lower(), match[3]
        if (
            len(attributes) > _ATTRIBUTES_PER_TAG
            and attributes.count("=") + attributes.count(" ") > _ATTRIBUTES_PER_TAG
        ):
            return False
        step = -1 if closes else 1
        if name in _FORMATTING_TAGS:
            open_formatting = max(open_formatting + step, 0)
        elif name in BLOCK_TAGS:
            reopened += open_formatting
        if name not in _VOID_TAGS and name not in _CLOSED_BY_OTHERS:
            depth = max(depth + step, 0)
        if depth > _DEPTH or reopened > _REOPENED or count > _TAGS:
            return False
    return True


def _filter_attribute(_tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return _harmless_style(value)
    value = value.strip()
    if len(value) > _URL_LENGTH:
        return None
    if name == "href":
        return value if _LINK.match(value) else None
    if name == "src":
        return value if _LOADED.match(value) else None
    if name == "background":
        return value if _WITHIN_MESSAGE.match(value) else None
    return value


def _harmless_style(style: str) -> str | None:
    kept: list[str] = []
    for declaration in style[:_STYLE_LENGTH].split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name not in _STYLE_PROPERTIES or not _STYLE_VALUE.fullmatch(value):
            continue
        if any(call.lower() not in _HARMLESS_CALLS for call in _STYLE_CALL.findall(value)):
            continue
        if name != "vertical-align" and _NEGATIVE.search(value):
            continue
        kept.append(f"{name}: {value}")
    return "; ".join(kept) or None


CLEANER = nh3.Cleaner(
    tags=set(BLOCK_TAGS | _INLINE_TAGS | _LINE_TAGS),
    clean_content_tags=set(_CONTENT_DROPPED),
    attributes=_ATTRIBUTES,
    attribute_filter=_filter_attribute,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto", "tel", "cid"},
    url_relative="deny",
)
BLOCK_CLEANER = nh3.Cleaner(
    tags=set(BLOCK_TAGS | _LINE_TAGS),
    clean_content_tags=set(_CONTENT_DROPPED),
    attributes={},
    link_rel=None,
)
