"""How are secrets kept at rest, and how is something recognised that was handed out and comes back?

Sealed bytes are `0x01 | key id (8) | nonce (12) | AES-256-GCM ciphertext and tag`. The key id says which of the
configured keys opens them, so that keys can be changed: a new first key seals, and the old ones open until all is
sealed anew. Each use has a key of its own, derived from the configured ones by HKDF (RFC 5869).
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain import clock
from domain.errors import AppError

MIN_MAC_BYTES = 12
"""How far a mark may be cut: 96 bits. Source: RFC 2104 §5 asks for at least half of the hash or 80 bits."""

_FORMAT = b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12  # Source: NIST SP 800-38D §8.2, the length GCM is made for
_KEY_BYTES = 32
_EXPIRY_BYTES = 8


class VaultError(AppError):
    """Something sealed cannot be opened. Trying again does not help."""


class SealBroken(VaultError):
    """It was changed, or cut, or belongs to something else than what it was presented for."""


class UnknownKey(VaultError):
    """It was sealed with a key that is not among the configured ones."""


class TokenInvalid(VaultError):
    """The token is not one of ours, or was made for another purpose."""


class TokenExpired(VaultError):
    """The token was right, once."""


@dataclass(frozen=True, slots=True)
class _Key:
    id: bytes
    secret: bytes
    cipher: AESGCM


class Vault:
    """Seals and opens with the configured keys: the first seals, all open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 random bytes each, at least one."""
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError("a vault needs one key or more, of 32 bytes each")
        self._keys = tuple(
            _Key(_derive(key, "key id")[:_KEY_ID_BYTES], key, AESGCM(_derive(key, "seal"))) for key in keys
        )

    def seal(self, plaintext: bytes, *, bound_to: str) -> bytes:
        """`plaintext` so that only `open` with the same `bound_to` (which row, which field) gives it back."""
        key = self._keys[0]
        head = _FORMAT + key.id
        nonce = clock.random_bytes(_NONCE_BYTES)
        return head + nonce + key.cipher.encrypt(nonce, plaintext, head + bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What was sealed.

        Raises:
            SealBroken: it is not as it was sealed, or was sealed for something else.
            UnknownKey: its key is not configured any more.
        """
        head, rest = sealed[: 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES :]
        nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        if head[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
            raise SealBroken("This was not sealed here.")
        key = next((key for key in self._keys if key.id == head[1:]), None)
        if key is None:
            raise UnknownKey("This was sealed with a key that is not in POSTROOM_SECRET_KEYS.")
        try:
            return key.cipher.decrypt(nonce, ciphertext, head + bound_to.encode())
        except InvalidTag:
            raise SealBroken("This was changed, or sealed for something else.") from None

    def needs_resealing(self, sealed: bytes) -> bool:
        """Whether it was sealed with another key than the one that seals now."""
        return sealed[: 1 + _KEY_ID_BYTES] != _FORMAT + self._keys[0].id

    def mac(self, message: bytes, *, purpose: str) -> bytes:
        """32 bytes that only this vault can make for this message and purpose (HMAC-SHA256), of the first key."""
        return _mac(self._keys[0], message, purpose)

    def macs(self, message: bytes, *, purpose: str) -> tuple[bytes, ...]:
        """`mac` of each key, in their order: the first is what is made now, the others are what was made before."""
        return tuple(_mac(key, message, purpose) for key in self._keys)

    def verify_mac(self, message: bytes, mac: bytes, *, purpose: str) -> bool:
        """Whether `mac`, or what is left of it after 12 bytes or more, was made here, by any key. In constant time."""
        if len(mac) < MIN_MAC_BYTES:
            return False
        return any(hmac.compare_digest(_mac(key, message, purpose)[: len(mac)], mac) for key in self._keys)

    def seal_token(self, payload: bytes, *, purpose: str, expires_in_s: int) -> str:
        """`payload`, hidden in text that fits into a URL, for this purpose and this many seconds."""
        expires_at = int(clock.now().timestamp()) + expires_in_s
        sealed = self.seal(expires_at.to_bytes(_EXPIRY_BYTES, "big") + payload, bound_to=f"token {purpose}")
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open_token(self, token: str, *, purpose: str) -> bytes:
        """The payload of a token.

        Raises:
            TokenInvalid: it is none of ours for this purpose.
            TokenExpired: its time is over; a new one is needed.
        """
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            opened = self.open(sealed, bound_to=f"token {purpose}")
        except (ValueError, binascii.Error, VaultError):
            raise TokenInvalid("This link is not valid.") from None
        if int.from_bytes(opened[:_EXPIRY_BYTES], "big") <= clock.now().timestamp():
            raise TokenExpired("This link has expired.")
        return opened[_EXPIRY_BYTES:]


def _derive(key: bytes, use: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"postroom {use}".encode()).derive(key)


def _mac(key: _Key, message: bytes, purpose: str) -> bytes:
    return hmac.digest(_derive(key.secret, f"mac {purpose}"), message, "sha256")
