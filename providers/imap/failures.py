"""In which ways can a conversation over IMAP break: this package's own errors, for the table in providers.errors."""

import aioimaplib


class ConnectionLost(aioimaplib.Abort):  # type: ignore[misc] # aioimaplib has no types
    """The connection ended, or was ended because what was going on over it was cut short."""


class ServerSaidBye(ConnectionLost):
    """The server announced that it hangs up."""


class ServerBusy(ConnectionLost):
    """The server hung up or refused because there is too much of us: fewer or later requests help."""


class ProtocolViolation(aioimaplib.Error):  # type: ignore[misc] # aioimaplib has no types
    """What the server sent is not IMAP, or more of it than anybody needs."""


class NotIMAP(ProtocolViolation):
    """The first thing the server sent is no IMAP greeting."""


class TLSRefused(ProtocolViolation):
    """The server does not do STARTTLS, or tampered with it."""


class CommandRefused(aioimaplib.Error):  # type: ignore[misc] # aioimaplib has no types
    """The server answered NO."""


class CommandNotUnderstood(aioimaplib.Error):  # type: ignore[misc] # aioimaplib has no types
    """The server answered BAD."""
