"""How is a browser told what to do and heard? The DevTools protocol over a WebSocket.

Source: https://chromedevtools.github.io/devtools-protocol/.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 60.0

Json = dict[str, Any]


class ProtocolError(RuntimeError):
    """The browser refused a command; the message is its own."""


class Connection:
    """Commands to a browser and events from it.

    Args:
        socket: open to the browser's own endpoint.
        on_event: called with the session (empty: the browser itself), the event's name and its parameters.
    """

    def __init__(self, socket: ClientConnection, on_event: Callable[[str, str, Json], None]) -> None:
        self._socket = socket
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[Json]] = {}
        self._posted: asyncio.Queue[bytes] = asyncio.Queue()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Sends what is posted, hands out replies and events, until the browser ends."""
        sending = asyncio.create_task(self._send())
        try:
            async for message in self._socket:
                self._take(orjson.loads(message))
        except ConnectionClosed:
            pass  # it says no farewell
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            for reply in self._replies.values():
                reply.cancel()

    async def _send(self) -> None:
        while True:
            await self._socket.send(await self._posted.get(), text=True)

    def _take(self, message: Json) -> None:
        if "method" in message:
            self._on_event(message.get("sessionId", ""), message["method"], message["params"])
        elif reply := self._replies.pop(message["id"], None):
            if "error" in message:
                reply.set_exception(ProtocolError(message["error"]["message"]))
            else:
                reply.set_result(message["result"])
        self._changed.set()

    def post(self, session: str, method: str, **parameters: object) -> int:
        """Sends a command whose reply nobody waits for; its number."""
        number = next(self._numbers)
        command: Json = {"id": number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        self._posted.put_nowait(orjson.dumps(command))
        return number

    async def call(self, session: str, method: str, **parameters: object) -> Json:
        """Sends a command and returns its result; raises ProtocolError where the browser refuses it."""
        reply: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._replies[self.post(session, method, **parameters)] = reply
        async with asyncio.timeout(PATIENCE_S):
            return await reply

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns once that holds, which is asked after each message of the browser; TimeoutError after a minute."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()
