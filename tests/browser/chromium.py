"""What does a page make a real browser do? Chromium without a window, every script, request and window written down.

Nothing leaves the machine: the browser's requests are answered here, and its name server does not exist.
"""

import asyncio
import base64
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import connect

from tests.browser.cdp import PATIENCE_S, Connection, Json

READER = "https://reader.example/"
"""Where the page is that shows mail. Over HTTPS, as it has to be: over HTTP Chromium looks up every link's host."""
_HARNESS = "postroom-harness"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-sandbox",  # it would need root or user namespaces, and the pages are the tests' own
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-popup-blocking",
    # All frames in one process: they are many, and one session sees them all.
    "--disable-site-isolation-trials",
    "--disable-features=IsolateSandboxedIframes,SitePerProcess",
)
_NO_NAME_SERVER = {"dns_over_https": {"mode": "secure", "templates": "https://127.0.0.1:9/dns-query"}}
_OWN_HOST = re.compile(r"(.*\.)?(google|googleapis|gstatic|gvt1)\.com|127\.0\.0\.1")
"""Whom the browser calls for itself."""
_PIXEL = base64.b64encode(
    base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # a transparent GIF
).decode()


class BrowserUnavailable(RuntimeError):
    """There is no browser here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the browser asked for: `kind` as the protocol calls it, `referrer` None where it sent none."""

    url: str
    kind: str
    referrer: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """What a click opened; `is_apart` where it cannot reach the page it came from."""

    url: str
    is_apart: bool


@dataclass(slots=True)
class Deeds:
    """All that a page did beyond being shown."""

    scripts: list[str] = field(default_factory=list)
    """Where each script stood that the browser compiled: blocks, handlers and `javascript:` alike."""
    refused: list[str] = field(default_factory=list)
    """What the browser itself did not let happen: scripts in a sandbox, loads against a policy."""
    dialogs: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    navigations: list[str] = field(default_factory=list)


class Chromium:
    """A browser with one page. Use as an asynchronous context manager."""

    def __init__(self, profile: Path, executable: str) -> None:
        self.deeds = Deeds()
        self._profile = profile
        self._executable = executable
        self._session = ""
        self._popups: dict[str, str] = {}
        self._shown = ""
        self._is_loaded = False

    async def __aenter__(self) -> Self:
        (self._profile / "Local State").write_bytes(orjson.dumps(_NO_NAME_SERVER))
        self._process = await asyncio.create_subprocess_exec(
            self._executable,
            *_FLAGS,
            f"--user-data-dir={self._profile}",
            f"--log-net-log={self._net_log}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._profile)},
        )
        self._connection = Connection(await connect(await self._endpoint(), max_size=None), self._on_event)
        self._listening = asyncio.create_task(self._connection.run())
        page = (await self._connection.call("", "Target.createTarget", url="about:blank"))["targetId"]
        attached = await self._connection.call("", "Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Debugger", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        windows = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        await self._connection.call("", "Target.setAutoAttach", **windows)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the browser; safe to call twice."""
        if self._process.returncode is None:
            self._connection.post("", "Browser.close")
            try:
                async with asyncio.timeout(20):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await self._listening

    # --- What the tests do ---

    async def show(self, html: str) -> None:
        """Opens the reader's page with that HTML, written down as a page of its own, and waits until it is loaded."""
        self.deeds, self._shown, self._is_loaded = Deeds(), html, False
        await self.call("Page.navigate", url=READER)
        await self._connection.until(lambda: self._is_loaded)

    async def run(self, script: str) -> Any:
        """The value of a script's last expression, awaited; it runs as by a gesture of the user."""
        done = await self.call(
            "Runtime.evaluate",
            expression=f"{script}\n//# sourceURL={_HARNESS}",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"]["exception"].get("description"))
        return done["result"].get("value")

    async def click(self, x: float, y: float) -> None:
        """A press of the mouse at that place of the page."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def call(self, method: str, **parameters: object) -> Json:
        return await self._connection.call(self._session, method, **parameters)

    async def until_requested(self, *urls: str) -> None:
        await self._connection.until(lambda: {request.url for request in self.deeds.requests} >= set(urls))

    async def until_opened(self, count: int) -> None:
        """Returns once so many windows were opened, and those to the web have asked for their pages."""

        def is_settled() -> bool:
            to_web = [window for window in self.deeds.windows if window.url.startswith("http")]
            asked = [request for request in self.deeds.requests if request.kind == "Document"]
            return len(self.deeds.windows) >= count and len(asked) >= len(to_web)

        await self._connection.until(is_settled)

    async def until_warned(self, *messages: str) -> None:
        """Returns once scripts have shown dialogs with those messages."""
        await self._connection.until(lambda: set(self.deeds.dialogs) >= set(messages))

    def hosts_called(self) -> set[str]:
        """Of the closed browser: every host that it looked up or connected to, hints to prepare that included."""
        log = orjson.loads(self._net_log.read_bytes())
        kinds = {number: name for name, number in log["constants"]["logEventTypes"].items()}
        hosts: set[str] = set()
        for event in log["events"]:
            parameters = event.get("params", {})
            if kinds[event["type"]] == "HOST_RESOLVER_MANAGER_REQUEST" and "host" in parameters:
                host = str(parameters["host"])
                hosts.add(urlsplit(host if "//" in host else f"//{host}").hostname or "")
            elif kinds[event["type"]] == "HTTP_STREAM_JOB_CONTROLLER" and "url" in parameters:
                hosts.add(urlsplit(parameters["url"]).hostname or "")
        return {host for host in hosts if not _OWN_HOST.fullmatch(host)}

    async def _endpoint(self) -> str:
        """Where it listens, which it writes into its profile."""
        written = self._profile / "DevToolsActivePort"
        async with asyncio.timeout(PATIENCE_S):
            while not (written.exists() and (found := written.read_text().split()) and len(found) == 2):
                await asyncio.sleep(0.05)
        return f"ws://127.0.0.1:{found[0]}{found[1]}"

    @property
    def _net_log(self) -> Path:
        return self._profile / "net-log.json"

    # --- What the browser tells ---

    def _on_event(self, session: str, method: str, parameters: Json) -> None:
        match method:
            case "Fetch.requestPaused":
                self._answer(session, parameters)
            case "Page.loadEventFired":
                self._is_loaded = True
            case "Debugger.scriptParsed" if parameters["url"] != _HARNESS:
                self.deeds.scripts.append(f"{parameters['url']}:{parameters['startLine']}:{parameters['startColumn']}")
            case "Page.javascriptDialogOpening":
                self.deeds.dialogs.append(parameters["message"])
                self._connection.post(session, "Page.handleJavaScriptDialog", accept=True)
            case "Page.windowOpen":
                is_apart = "noopener" in parameters["windowFeatures"]
                self.deeds.windows.append(Window(parameters["url"], is_apart))
            case "Page.frameRequestedNavigation":
                self.deeds.navigations.append(parameters["url"])
            case "Log.entryAdded" if parameters["entry"]["source"] in {"security", "violation"}:
                self.deeds.refused.append(parameters["entry"]["text"])
            case "Target.attachedToTarget" if self._session:
                self._let_start(parameters["sessionId"], parameters["targetInfo"])
            case _:
                pass

    def _let_start(self, session: str, target: Json) -> None:
        """A window that the page opened waits; what it loads is written down like the page's own."""
        if "openerId" in target:
            self._popups[session] = target["targetId"]
            self._connection.post(session, "Debugger.enable")
            self._connection.post(session, "Fetch.enable", patterns=[{"urlPattern": "*"}])
        self._connection.post(session, "Runtime.runIfWaitingForDebugger")

    def _answer(self, session: str, paused: Json) -> None:
        request = paused["request"]
        is_page = session == self._session and request["url"] == READER
        if not is_page:
            self.deeds.requests.append(
                Request(request["url"], paused["resourceType"], request["headers"].get("Referer"))
            )
        is_image = paused["resourceType"] == "Image"
        self._connection.post(
            session,
            "Fetch.fulfillRequest",
            requestId=paused["requestId"],
            responseCode=200,
            responseHeaders=[{"name": "Content-Type", "value": "image/gif" if is_image else "text/html"}],
            body=_PIXEL if is_image else base64.b64encode(self._shown.encode() if is_page else b"").decode(),
        )
        if session in self._popups:
            self._connection.post("", "Target.closeTarget", targetId=self._popups.pop(session))


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Chromium]:
    """A browser of its own, with an empty profile. Raises BrowserUnavailable where none is installed."""
    executable = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if executable is None:
        raise BrowserUnavailable(
            "Chromium is not installed, so that no message is rendered; on Debian or Ubuntu: apt-get install chromium"
        )
    with tempfile.TemporaryDirectory(prefix="postroom-browser-", ignore_cleanup_errors=True) as profile:
        async with Chromium(Path(profile), executable) as browser:
            yield browser
