"""Which keys sign the tokens that this server believes, and by which algorithm?"""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

import httpx
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from domain import clock
from domain.errors import NotAuthenticated

log = structlog.get_logger()

FETCH_DEADLINE_S = 5.0
FRESH_S = 600.0
"""After this the key set is fetched anew with the next token, so that a key taken out of it ends."""
REFETCH_PAUSE_S = 60.0
"""Between two fetches, whatever tokens ask for: unknown key ids cost their sender nothing."""
LARGEST_KEY_SET_BYTES = 256 * 1024

_KEY_TYPES: dict[str, type[RSAKey | ECKey]] = {"RS256": RSAKey, "ES256": ECKey}
_ES256_CURVE = "P-256"


class SigningKeys(Protocol):
    """Gives the one key that a token's header may be checked with."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those that these keys are made for."""

    async def key_for(self, header: dict[str, Any]) -> Key:
        """The key.

        Raises:
            NotAuthenticated: there is none for this header.
        """


class SharedSecret:
    """One secret for HS256, and no other algorithm."""

    algorithms = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)

    async def key_for(self, header: dict[str, Any]) -> Key:  # noqa: ARG002 - there is only the one
        return self._key


class FetchedKeys:
    """The public keys at a JWKS address (RFC 7517), for RS256 and ES256.

    Keys that were fetched once are used on while the address does not answer.
    """

    algorithms = ("RS256", "ES256")

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching = asyncio.Lock()

    async def key_for(self, header: dict[str, Any]) -> Key:
        is_being_fetched = bool(self._keys) and self._fetching.locked()
        if self._is_older_than(self._fetched_at, FRESH_S) and not is_being_fetched:
            await self._refresh()
        key = self._find(header)
        if key is None:
            await self._refresh()
            key = self._find(header)
        if key is None:
            raise NotAuthenticated("The token is signed by a key that is not known here.")
        return key

    async def fetch(self) -> int:
        """Fetches the key set now; how many usable keys are in it.

        Raises:
            httpx.HTTPError, TimeoutError, ValueError: it is not there, or is none. Later it may be.
        """
        async with asyncio.timeout(FETCH_DEADLINE_S), httpx.AsyncClient() as client:
            body = await _body(client, self._url)
        document = orjson.loads(body)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError("there is no key set at this address")  # noqa: TRY004 - what they sent, not our bug
        self._keys = tuple(_usable(entries))
        self._fetched_at = clock.monotonic()
        return len(self._keys)

    async def _refresh(self) -> None:
        """Fetches, unless somebody just has; a failure is logged and leaves the old keys."""
        async with self._fetching:
            if not self._is_older_than(self._tried_at, REFETCH_PAUSE_S):
                return
            self._tried_at = clock.monotonic()
            try:
                await self.fetch()
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as failure:
                log.warning("jwks_fetch_failed", error=type(failure).__name__)

    def _find(self, header: dict[str, Any]) -> Key | None:
        wanted = _KEY_TYPES[header["alg"]]
        fitting = [
            key for key in self._keys if isinstance(key, wanted) and key.get("alg", header["alg"]) == header["alg"]
        ]
        if "kid" in header:
            return next((key for key in fitting if key.kid == header["kid"]), None)
        return fitting[0] if len(fitting) == 1 else None

    @staticmethod
    def _is_older_than(at: float | None, seconds: float) -> bool:
        return at is None or clock.monotonic() - at >= seconds


async def _body(client: httpx.AsyncClient, url: str) -> bytes:
    body = bytearray()
    async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST_KEY_SET_BYTES:
                raise ValueError("the key set is too large")
    return bytes(body)


def _usable(entries: Iterable[object]) -> Iterable[Key]:
    """Keys for signatures; what is not understood is passed over, as RFC 7517 §5 asks."""
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            if entry.get("kty") == "RSA":
                yield RSAKey.import_key(entry)
            elif entry.get("kty") == "EC" and entry.get("crv") == _ES256_CURVE:
                yield ECKey.import_key(entry)
        except (JoseError, ValueError, TypeError, KeyError):
            log.warning("jwks_key_unreadable")
