"""What of a message's HTML is safe to keep and to show, and what does it say as plain text?

The stored form (`sanitise`) loads nothing by itself: addresses of remote images wait in `data-remote-src`, those of
images within the message in `data-cid`. `render` turns it into what one reader is shown.
"""

import re
from collections.abc import Callable
from html import escape, unescape
from urllib.parse import unquote

from domain.html_policy import CHARACTERS, CLEANER, is_bearable
from domain.html_text import bare_words, to_text

__all__ = ["from_text", "render", "sanitise", "to_text"]

_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_CID = re.compile(r"cid:", re.IGNORECASE)
_CLEAN_TAG = re.compile(r"""<(/?)([a-z0-9]+)((?:\s[a-z-]+="[^"]*")*)\s?/?>""")
"""A tag as the cleaner writes it; taken whole, so that nothing within an attribute is taken for a tag."""
_CLEAN_ATTRIBUTE = re.compile(r"""\s([a-z-]+)="([^"]*)\"""")


def sanitise(html: str) -> str:
    """The stored form of a message's HTML. Never raises.

    It has no script, style sheet, form, handler, id or class, and no link but to the web, to mail and to a telephone;
    links open apart. HTML that is larger, deeper or more tangled than any mail needs becomes its words.
    """
    html = html[:CHARACTERS]
    if not is_bearable(html):
        return from_text(bare_words(html))
    return _CLEAN_TAG.sub(_set_aside, CLEANER.clean(html))


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
            if name == "data-remote-src" and remote_content and tag[2] == "img" and _REMOTE.match(value):
                written.append(f' src="{value}" referrerpolicy="no-referrer"')
            elif name == "data-cid" and (url := cid_url(unescape(value))) is not None:
                written.append(f' {source}="{escape(url)}"')
            else:
                written.append(f' {name}="{value}"')
        return f"<{tag[2]}{''.join(written)}>"

    return _CLEAN_TAG.sub(restored, safe_html)


def from_text(text: str) -> str:
    """Plain text as HTML that keeps its lines."""
    return f'<div style="white-space: pre-wrap">{escape(text)}</div>'


def _set_aside(tag: re.Match[str]) -> str:
    """Renames what would load something. The cleaner has left only remote and `cid:` addresses there.

    No sign that could begin or end a tag stays within an attribute, so that the result means the same wherever it is
    put. Source: HTML Living Standard, "Serializing HTML fragments", as changed in May 2025.
    """
    if not tag[3] and tag[2] != "pre":
        return tag[0]
    written: list[str] = []
    for name, value in _CLEAN_ATTRIBUTE.findall(tag[3].replace("<", "&lt;").replace(">", "&gt;")):
        if name not in {"src", "background"}:
            written.append(f' {name}="{value}"')
        elif _CID.match(value):
            written.append(f' data-cid="{_content_id(value)}"')
        else:
            written.append(f' data-remote-src="{value}"')
    # A parser drops the first line end of a `pre`; the cleaner writes what the parser gave it.
    lost = "\n" if tag[2] == "pre" and not tag[1] and tag.string.startswith("\n", tag.end()) else ""
    return f"<{tag[1]}{tag[2]}{''.join(written)}>{lost}"


def _content_id(address: str) -> str:
    """What `cid:` names, escaped. Source: RFC 2392: the id is percent-encoded in the address."""
    return escape(unquote(unescape(address[len("cid:") :])).replace("\0", ""))
