"""May this stand in a message that is shown? Written apart from the sanitiser, so that the two can disagree."""

import re
from html.parser import HTMLParser

TAGS = frozenset(
    """
    a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn
    div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q s
    samp section small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var wbr
    """.split()  # noqa: SIM905 - one word a line would take a page
)
ATTRIBUTES = frozenset(
    """
    align alt bgcolor border cellpadding cellspacing color colspan data-cid data-remote-src dir face height href hspace
    lang nowrap rel rowspan size start style target title type valign value vspace width
    """.split()  # noqa: SIM905 - one word a line would take a page
)
"""Of the stored form; what is rendered has `src`, `background` and `referrerpolicy` besides."""
_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
_BAD_STYLE = re.compile(
    r"url|image|expression|@|position|behavior|binding|\\|javascript|var\(|content|z-index|transform|opacity"
    r"|visibility|clip|margin[a-z-]*:[^;]*-\d|indent:[^;]*-\d|spacing:[^;]*-\d",
    re.IGNORECASE,
)


def harm_in(stored: str) -> list[str]:
    """What in the stored form of a message could do anything; nothing where it is safe."""
    checker = _Checker()
    checker.feed(stored)
    checker.close()
    return checker.found


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if not _is_harmless(name, value or ""):
                self.found.append(f"{name}={value}")
        if tag == "a" and dict(attrs).get("rel") != "noopener noreferrer nofollow":
            self.found.append("a link that tells where it was followed from")
        if tag == "a" and dict(attrs).get("target") != "_blank":
            self.found.append("a link that leaves the page")


def _is_harmless(name: str, value: str) -> bool:
    if name == "href":
        return bool(_LINK.match(value))
    if name == "data-remote-src":
        return value.lower().startswith(("http://", "https://"))
    if name == "style":
        return not _BAD_STYLE.search(value)
    return name in ATTRIBUTES
