"""On which pages is mail shown in the tests? As the documentation advises, and as carelessly as can be."""

import json

from tests.browser.chromium import Chromium

PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Reader</title><body>'
SENTINEL = "https://sentinel.example/"
FRAME_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src http: https:"
"""What SECURITY.md tells front-ends to show mail in."""

_INTO_PAGE = """
for (const html of CASES) {
  const root = document.body.appendChild(document.createElement("div"));
  root.innerHTML = html;
  for (let again = 0; again < 2; again++) root.innerHTML = root.innerHTML;
}
"""
_THROUGH_ELEMENTS = """
for (const html of CASES) {
  for (const name of ["template", "table", "select", "style", "textarea", "title", "xmp", "noscript", "iframe"]) {
    const other = document.createElement(name);
    other.innerHTML = html;
    document.body.appendChild(document.createElement("div")).innerHTML = other.innerHTML;
  }
  for (const space of ["http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"]) {
    const other = document.createElementNS(space, space.endsWith("svg") ? "svg" : "math");
    other.innerHTML = html;
    document.body.appendChild(document.createElement("div")).innerHTML = other.innerHTML;
  }
}
"""
_AS_DOCUMENTS = """
const loaded = (html) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.onload = () => done(frame);
  frame.srcdoc = html;
  document.body.append(frame);
});
(async () => {
  const frames = await Promise.all(CASES.map(loaded));
  await Promise.all(frames.map((frame) => loaded(frame.contentDocument.documentElement.outerHTML)));
})()
"""
_IN_FRAMES = """
Promise.all(CASES.map((html) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", SANDBOX);
  frame.onload = done;
  frame.srcdoc = `<meta http-equiv="Content-Security-Policy" content="${POLICY}">${html}`;
  document.body.append(frame);
})))
"""
_SENTINEL = f"""
document.body.appendChild(document.createElement("iframe")).srcdoc =
  '<meta http-equiv="refresh" content="1;url={SENTINEL}">';
"""
_PROVOKE = """
(() => {
  const kinds = ["click", "mouseover", "mouseenter", "pointerenter", "focus", "blur", "load", "error", "toggle", "scroll",
    "input", "change", "submit", "keydown", "wheel", "copy", "animationend", "transitionend", "begin", "beforetoggle"];
  const pages = [document, ...[...document.querySelectorAll("iframe")].map((frame) => frame.contentDocument)];
  const elements = pages.flatMap((page) => page ? [...page.body.querySelectorAll("*")] : []);
  for (const element of elements) {
    for (const kind of kinds.slice(1)) element.dispatchEvent(new Event(kind));
  }
  const pressed = new Set();
  for (const element of elements) {
    const target = element.getAttribute("href") ?? element.getAttribute("xlink:href");
    if (element.localName === "a" || element.localName === "area" || target !== null) {
      if (!target || pressed.has(target)) continue;
      pressed.add(target);
      element.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));
    } else if (["button", "input", "summary", "label", "option"].includes(element.localName)) {
      element.click();
    } else if (element.localName === "form") {
      HTMLFormElement.prototype.requestSubmit.call(element);
    }
  }
  return pressed.size;
})()
"""
_NAMES = """
(() => {
  const found = new Set();
  for (const page of [document, ...[...document.querySelectorAll("iframe")].map((frame) => frame.contentDocument)]) {
    for (const element of page ? page.body.querySelectorAll("*") : []) {
      if (page === document && element.parentElement === page.body) continue;  // the tests' own
      found.add(element.namespaceURI.endsWith("xhtml") ? element.localName : element.namespaceURI);
      for (const attribute of element.attributes) found.add(attribute.name);
    }
  }
  return [...found];
})()
"""


async def put_into_page(browser: Chromium, cases: list[str]) -> None:
    """Each by innerHTML, read out and put in again, and once through other elements; no policy protects the page."""
    await _shown(browser, cases, _INTO_PAGE + _THROUGH_ELEMENTS)


async def open_as_documents(browser: Chromium, cases: list[str]) -> None:
    """As documents of the page's origin, written out and opened again; no policy protects them."""
    await _shown(browser, _by_twenty(cases), _AS_DOCUMENTS)


async def show_in_frames(browser: Chromium, cases: list[str]) -> None:
    """As the documentation advises: in frames that run nothing, under a policy that loads images alone."""
    await _shown(browser, _by_twenty(cases), _IN_FRAMES)


async def provoke(browser: Chromium) -> int:
    """Fires events at every element, follows each link once, presses each button and sends each form.

    How many links there were.
    """
    return int(await browser.run(_PROVOKE))


async def names_in(browser: Chromium) -> set[str]:
    """Every element's and attribute's name in the page and its frames; of other than HTML elements the namespace."""
    return set(await browser.run(_NAMES))


async def wait_for_delayed(browser: Chromium) -> None:
    """Returns when what a page delays by up to a second has happened: our own refresh, started last, has."""
    await browser.run(_SENTINEL)
    await browser.until_requested(SENTINEL)
    browser.deeds.requests = [request for request in browser.deeds.requests if request.url != SENTINEL]
    browser.deeds.navigations = [url for url in browser.deeds.navigations if url != SENTINEL and url[:6] != "about:"]


def _by_twenty(cases: list[str]) -> list[str]:
    """Twenty in a document: a browser takes long to open hundreds."""
    return ["".join(cases[start : start + 20]) for start in range(0, len(cases), 20)]


async def _shown(browser: Chromium, cases: list[str], script: str) -> None:
    await browser.show(PAGE)
    constants = {"CASES": cases, "SANDBOX": FRAME_SANDBOX, "POLICY": FRAME_POLICY}
    await browser.run("".join(f"var {name} = {json.dumps(value)};\n" for name, value in constants.items()) + script)
    await wait_for_delayed(browser)
