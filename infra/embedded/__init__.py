"""How does Postroom run where nobody gives it a PostgreSQL and a Redis? It brings its own, the real ones."""

from infra.embedded.errors import (
    DataFolderInUse,
    DataFolderNotUsable,
    EmbeddedServersError,
    NoAccountForPostgres,
    ServerDidNotStart,
    ServersNotInstalled,
)
from infra.embedded.servers import EmbeddedServers, ServerAddresses, running_servers

__all__ = [
    "DataFolderInUse",
    "DataFolderNotUsable",
    "EmbeddedServers",
    "EmbeddedServersError",
    "NoAccountForPostgres",
    "ServerAddresses",
    "ServerDidNotStart",
    "ServersNotInstalled",
    "running_servers",
]
