"""What can keep the embedded servers from running, and what can a person do about it."""

from domain.errors import AppError, Retry


class EmbeddedServersError(AppError):
    """The embedded PostgreSQL or Valkey cannot run here; the message says what to do."""


class DataFolderInUse(EmbeddedServersError):
    """Another process keeps its servers in this folder. Trying again helps once that one has stopped."""

    retry = Retry.LATER


class DataFolderNotUsable(EmbeddedServersError):
    """The folder cannot be made, read or written by this user."""


class ServersNotInstalled(EmbeddedServersError):
    """There is no server program for this platform."""


class NoAccountForPostgres(EmbeddedServersError):
    """Started as root, and no other account can be found for PostgreSQL, which refuses to run as root."""


class ServerDidNotStart(EmbeddedServersError):
    """A server stopped, or said nothing, while it was starting; its log file knows more."""
