"""With which settings, and at which servers, does a command work?"""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass

from domain.errors import AppError
from infra.embedded import EmbeddedServers, ServerAddresses, running_servers
from infra.settings import Settings, load_settings
from infra.vault import Vault
from services.deps import Deps
from services.startup import deps_when_ready


class NotRunning(AppError):
    """The command is part of a Postroom that somebody else must start."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Checked settings, and where PostgreSQL and Redis are.

    Attributes:
        embeds_postgres: whether the database is Postroom's own, to be migrated without being asked.
    """

    settings: Settings
    database_url: str
    redis_url: str
    embeds_postgres: bool

    @property
    def vault(self) -> Vault:
        return Vault(self.settings.secret_keys)

    def deps(self) -> AbstractAsyncContextManager[Deps]:
        """The ports of this process, opened as soon as the servers are there."""
        return deps_when_ready(
            self.settings, database_url=self.database_url, redis_url=self.redis_url, vault=self.vault
        )


def embedded_servers(settings: Settings) -> EmbeddedServers | None:
    """Servers to start for what the settings do not name; None where they name both."""
    if not (settings.embeds_postgres or settings.embeds_redis):
        return None
    return EmbeddedServers(settings.postroom_data_dir, postgres=settings.embeds_postgres, valkey=settings.embeds_redis)


def environment_of(settings: Settings) -> Environment | None:
    """Where everything is while it runs; None where the embedded servers are wanted and do not run."""
    if embedded_servers(settings) is None:
        return _environment(settings, None)
    addresses = running_servers(settings.postroom_data_dir)
    return None if addresses is None else _environment(settings, addresses)


def running_environment() -> Environment:
    """For the roles of a Postroom that is up.

    Raises:
        SettingsError: lists what is wrong.
        NotRunning: embedded servers are wanted, and nobody runs them.
    """
    settings = load_settings()
    environment = environment_of(settings)
    if environment is None:
        raise NotRunning(
            f"No Postroom runs on the data folder {settings.postroom_data_dir}. Start `postroom up`, which runs "
            "everything, or name servers in DATABASE_URL and REDIS_URL."
        )
    return environment


@contextmanager
def own_environment(settings: Settings) -> Iterator[Environment]:
    """For short commands: the running servers, or servers started for as long as the command takes.

    Raises:
        EmbeddedServersError: they do not start; the message says why.
    """
    environment = environment_of(settings)
    if environment is not None:
        yield environment
        return
    servers = embedded_servers(settings)
    if servers is None:
        raise RuntimeError("servers that are named are not started here")
    with servers:
        yield started_environment(settings, servers)


def started_environment(settings: Settings, servers: EmbeddedServers | None) -> Environment:
    """Where everything is, with embedded servers that this process has started, or none."""
    return _environment(settings, None if servers is None else servers.addresses)


def _environment(settings: Settings, embedded: ServerAddresses | None) -> Environment:
    database_url = settings.database_url or (embedded and embedded.database_url)
    redis_url = settings.redis_url or (embedded and embedded.redis_url)
    if not database_url or not redis_url:
        raise RuntimeError("a server has no address")
    return Environment(settings, database_url, redis_url, embeds_postgres=settings.embeds_postgres)
