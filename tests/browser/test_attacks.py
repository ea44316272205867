"""No known attack does anything in a browser, however carelessly the safe HTML is shown."""

import json
import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from domain.html import render, sanitise
from tests.browser.chromium import READER, Chromium
from tests.browser.pages import names_in, open_as_documents, provoke, put_into_page, show_in_frames
from tests.support.mail_files import corpus
from tests.support.safe_html import ATTRIBUTES, TAGS

pytestmark = pytest.mark.timeout(300)
Show = Callable[[Chromium, list[str]], Awaitable[None]]
LINK = re.compile(r"https?://|mailto:|tel:", re.IGNORECASE)

EVIL = "https://evil.example/"
LIVE = f"""
<script src="{EVIL}script"></script>
<img src="{EVIL}image" onload="alert('handler')">
<img srcset="{EVIL}srcset 1x">
<picture><source srcset="{EVIL}source"><img></picture>
<a href="javascript:alert('link')">x</a>
<a href="{EVIL}followed" ping="{EVIL}ping" target="_blank">x</a>
<svg><a xlink:href="javascript:alert('svg')"><text y="9">x</text></a><image href="{EVIL}svg-image"></image></svg>
<svg onload="alert('svg onload')"></svg>
<math><mtext><img src="{EVIL}math" onerror="x"></mtext></math>
<form action="{EVIL}form" target="_blank"><input name="a" onchange="alert('change')"><button>x</button></form>
<iframe src="{EVIL}frame"></iframe>
<iframe srcdoc="<script>alert('srcdoc')</script>"></iframe>
<object data="{EVIL}object"></object><embed src="{EVIL}embed">
<video poster="{EVIL}poster"></video><audio src="{EVIL}audio" preload="auto"></audio>
<table background="{EVIL}background"><tr><td>x</table>
<p style="background: url({EVIL}style)">x</p>
<style>@import "{EVIL}import"; p {{ list-style: url({EVIL}sheet) inside; display: list-item }}</style>
<link rel="stylesheet" href="{EVIL}stylesheet"><link rel="preload" as="image" href="{EVIL}preload">
<link rel="dns-prefetch" href="https://looked-up.example"><link rel="preconnect" href="https://connected.example">
<input type="image" src="{EVIL}input">
"""
LOADED = (
    "image", "srcset", "source", "svg-image", "math", "frame", "object", "embed", "poster", "audio", "background",
    "style", "import", "sheet", "stylesheet", "preload", "input",
)  # fmt: skip
KEPT_WITH_REASON = {
    "dompurify-37": "an image without an address: noscript is read as where scripts are off, its content dropped",
    "dompurify-86": "an empty block around text",
    "dompurify-103": "a colour, found within a quoted font name",
    "dompurify-126": "a width, beside the filter that goes",
}
OUR_OWN = {"rel=noopener noreferrer nofollow", "target=_blank"}


def cases_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (corpus("xss") / f"{name}.jsonl").read_text().split("\n") if line]


def attacks() -> list[str]:
    """Every case of the corpus once: sanitised, and rendered to one who asked for no remote content."""
    found = [case["html"] for name in ("bleach", "dompurify", "mail-chatmail") for case in cases_of(name)]
    found += [path.read_text().rpartition("\n--\n")[0] for path in sorted(corpus("xss-bleach").rglob("*.test"))]
    strings: list[str] = json.loads((corpus("naughty-strings") / "blns.json").read_text())
    found += [text for text in strings if "<" in text or "script:" in text]
    return list(dict.fromkeys(found))


def everything_in(html: str) -> set[str]:
    """Names of elements, and attributes with their values."""
    found: set[str] = set()

    class Everything(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update([tag, *(f"{name}={value}" for name, value in attrs)])

    Everything().feed(html)
    return found


def shown(html: str) -> str:
    return render(sanitise(html), remote_content=False, cid_url=lambda _: None)


@pytest.mark.parametrize("show", [put_into_page, open_as_documents])
async def test_what_is_not_sanitised_runs_and_loads_here(browser: Chromium, show: Show) -> None:
    """The control: were an attack to get through, these tests would see it."""
    await show(browser, [LIVE])
    await provoke(browser)
    await browser.until_warned("handler", "change", "srcdoc", "svg onload", "link")
    await browser.until_requested(*(f"{EVIL}{name}" for name in (*LOADED, "followed", "ping")))
    assert browser.deeds.scripts
    assert f"{EVIL}form?a=" in [window.url for window in browser.deeds.windows]
    assert {"form", "iframe", "http://www.w3.org/2000/svg", "onload", "srcset"} <= await names_in(browser)
    await browser.close()
    assert {"looked-up.example", "connected.example"} <= browser.hosts_called()


async def test_what_is_not_sanitised_is_refused_in_the_frame_that_is_advised(browser: Chromium) -> None:
    await show_in_frames(browser, [LIVE])
    assert browser.deeds.dialogs == []
    assert any("Blocked script" in refusal for refusal in browser.deeds.refused)


@pytest.mark.parametrize("show", [put_into_page, open_as_documents, show_in_frames])
async def test_no_attack_runs_or_loads_anything(browser: Chromium, show: Show) -> None:
    await show(browser, [shown(html) for html in attacks()])
    deeds = browser.deeds
    assert (deeds.scripts, deeds.refused, deeds.dialogs) == ([], [], [])
    assert (deeds.requests, deeds.navigations, deeds.windows) == ([], [], [])
    assert await names_in(browser) <= TAGS | ATTRIBUTES
    await browser.close()
    assert browser.hosts_called() <= {"reader.example", "sentinel.example"}


@pytest.mark.parametrize("show", [put_into_page, open_as_documents])
async def test_every_link_of_an_attack_opens_the_web_or_mail_apart(browser: Chromium, show: Show) -> None:
    await show(browser, [shown(html) for html in attacks()])
    count = await provoke(browser)
    await browser.until_opened(count)
    deeds = browser.deeds
    assert deeds.windows
    assert [window for window in deeds.windows if not LINK.match(window.url) or not window.is_apart] == []
    assert (deeds.scripts, deeds.dialogs, deeds.navigations) == ([], [], [])
    assert {(request.kind, request.referrer) for request in deeds.requests} == {("Document", None)}
    assert await browser.run("location.href") == READER


def test_the_corpus_has_hundreds_of_attacks() -> None:
    assert len(attacks()) > 400


def test_what_dompurify_takes_out_is_not_left_in() -> None:
    """It keeps more than mail needs: forms, ids, SVG. What it does not keep, nobody may."""
    for case in cases_of("dompurify"):
        if case["id"] in KEPT_WITH_REASON:
            continue
        kept = [everything_in(expected) for expected in case["expected"]]
        ours = everything_in(sanitise(case["html"])) - OUR_OWN
        assert any(ours <= theirs for theirs in kept), (case["html"], ours, kept)
