"""How the server sends a letter of its own: through the operator's relay (`POSTROOM_RELAY_URL`)."""

from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib

from providers.errors import boundary

SEND_TIMEOUT_S = 30.0
_PORTS = {"smtp": 587, "smtps": 465}


async def send_by_relay(url: str, message: EmailMessage) -> None:
    """Hands a letter to the relay: `smtps://` is TLS from the first byte, `smtp://` takes STARTTLS where offered.

    Raises:
        ProviderError: the relay did not take it, or its answer never came (then it may have left).
    """
    parts = urlsplit(url)
    with boundary():
        await aiosmtplib.send(
            message,
            hostname=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            use_tls=parts.scheme == "smtps",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            timeout=SEND_TIMEOUT_S,
        )
