"""What a letter shows and does when a person reads it in a browser."""

import json

import pytest

from domain.html import render, sanitise
from tests.browser.chromium import READER, Chromium, Request, Window
from tests.browser.pages import FRAME_POLICY, FRAME_SANDBOX, PAGE, show_in_frames, wait_for_delayed

pytestmark = pytest.mark.timeout(120)

REMOTE = "https://newsletter.example/open.gif"
FILE = f"{READER}files/token?a=1&b=2"
LETTER = f"""
<table background="{REMOTE}?table"><tr background="{REMOTE}?row"><td background="{REMOTE}?cell">
<img src="{REMOTE}" srcset="{REMOTE}?2 2x" loading="eager" alt="A"><img src="cid:logo@example.org"></td></tr></table>
"""


def shown(html: str, *, remote_content: bool = False) -> str:
    return render(sanitise(html), remote_content=remote_content, cid_url={"logo@example.org": FILE}.get)


async def put(browser: Chromium, html: str) -> None:
    await browser.show(f"{PAGE}{html}")
    await wait_for_delayed(browser)


async def test_images_of_the_message_load_by_their_link_and_the_webs_do_not(browser: Chromium) -> None:
    await put(browser, shown(LETTER))
    assert [request.url for request in browser.deeds.requests] == [FILE]


async def test_images_of_the_web_load_when_asked_for_and_tell_not_who_asks(browser: Chromium) -> None:
    await put(browser, shown(LETTER, remote_content=True))
    from_web = [request for request in browser.deeds.requests if not request.url.startswith(READER)]
    assert from_web == [Request(REMOTE, "Image", None)]


async def test_images_asked_for_load_in_the_advised_frame(browser: Chromium) -> None:
    await show_in_frames(browser, [shown(LETTER, remote_content=True)])
    assert {(request.url, request.referrer) for request in browser.deeds.requests} == {(REMOTE, None), (FILE, None)}
    assert browser.deeds.refused == []


async def test_a_link_clicked_in_the_advised_frame_opens_apart_and_tells_not_from_where(browser: Chromium) -> None:
    link = shown('<a href="https://x.example/" style="font-size: 40px">Portfolio</a>')
    frame = json.dumps({"sandbox": FRAME_SANDBOX, "html": link, "policy": FRAME_POLICY})
    await browser.show(PAGE)
    x, y = await browser.run(
        f"""
        var given = {frame};
        new Promise((done) => {{
          const frame = document.createElement("iframe");
          frame.setAttribute("sandbox", given.sandbox);
          frame.srcdoc = `<meta http-equiv="Content-Security-Policy" content="${{given.policy}}">${{given.html}}`;
          const at = () => {{ const box = frame.getBoundingClientRect(); return [box.left + 40, box.top + 30]; }};
          frame.onload = () => requestAnimationFrame(() => requestAnimationFrame(() => done(at())));
          document.body.append(frame);
        }})
        """
    )
    await browser.click(x, y)
    await browser.until_opened(1)
    assert browser.deeds.windows == [Window("https://x.example/", is_apart=True)]
    assert browser.deeds.requests == [Request("https://x.example/", "Document", None)]


@pytest.mark.parametrize(
    "style",
    [
        "position: fixed; inset: 0; z-index: 2147483647; background-color: red",
        "position: absolute; top: -100px; left: 0; width: 500px; height: 500px",
        "margin-top: -90px; width: 500px; height: 300px; background-color: red",
        "margin: -90px 0 0 0 !important; height: 300px",
        "transform: translateY(-90px); height: 300px",
        "letter-spacing: -90px; font-size: 60px",
        "text-indent: -9999px",
        "float: left; margin-top: -100px; height: 300px; width: 500px",
    ],
)
async def test_no_style_covers_what_stands_around_the_message(browser: Chromium, style: str) -> None:
    html = shown(f'<div style="{style}">covering covering covering</div><p style="{style}">x</p>')
    await browser.show(
        f'{PAGE}<button id="above" style="width: 300px; height: 60px">Reject</button>'
        f'<div style="overflow: hidden">{html}</div>'
    )
    assert await browser.run("document.elementFromPoint(150, 40).id") == "above"
    positions = await browser.run(
        "[...document.querySelectorAll('div *')].map((e) => [getComputedStyle(e).position, getComputedStyle(e).zIndex])"
    )
    assert positions
    assert {tuple(position) for position in positions} == {("static", "auto")}


async def test_no_name_in_a_message_hides_one_of_the_page(browser: Chromium) -> None:
    html = """
    <form name="cookie" id="app"><input name="body" id="getElementById"></form><img name="title" id="config">
    <a id="config" name="url" href="https://x.example/">x</a><iframe name="parent"></iframe><object id="location"></object>
    """
    await browser.show(f"{PAGE}{shown(html)}")
    assert await browser.run("[typeof window.app, typeof window.config, typeof document.cookie]") == [
        "undefined",
        "undefined",
        "string",
    ]
    assert await browser.run("[document.body.localName, typeof document.getElementById, document.title]") == [
        "body",
        "function",
        "Reader",
    ]
