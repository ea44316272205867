"""Which commands does a terminal have?"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from domain import clock
from domain.errors import AppError, invalid
from domain.ids import from_global, to_global
from infra.db.migrate import migrate as apply_migrations
from infra.logs import configure_logging
from infra.settings import Settings, load_settings
from server.console import print_error, print_fact, print_line
from server.doctor import examine
from server.environment import (
    Environment,
    embedded_servers,
    own_environment,
    running_environment,
    started_environment,
)
from server.listening import listen, listen_for_metrics
from server.processes import Role, Supervisor, die_with
from server.standing_up import announce_ready, mended, migrate_patiently
from server.tokens import NoSigningSecret, issue_token
from services import bootstrap as bootstrapping
from services.deps import MODELS, Deps

PROBLEM_STATUS = 2
"""Something that the person at the terminal can mend."""
COMMAND_DEADLINE_S = 60
"""For the short commands, the wait for a server that is just starting included."""
LONGEST_TOKEN_DAYS = 3650

app = typer.Typer(
    name="postroom",
    help="The mail side of an applicant tracking system.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Result = TypeVar("Result")
Parent = Annotated[int | None, typer.Option(hidden=True, help="End with the process of this id.")]
Inherited = Annotated[int | None, typer.Option(hidden=True, help="A listening socket that is inherited.")]
Proxies = Annotated[
    str | None,
    typer.Option(
        envvar="FORWARDED_ALLOW_IPS",
        help="Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, with commas.",
    ),
]


@app.command()
def up(trusted_proxies: Proxies = None) -> None:
    """Run everything: the API, a worker, the watch, and PostgreSQL and Valkey where none are named."""
    configure_logging()
    settings = load_settings()
    servers = embedded_servers(settings)
    with servers or nullcontext():
        environment = started_environment(settings, servers)
        with ExitStack() as sockets:
            listener = sockets.enter_context(listen(settings.postroom_host, settings.postroom_port))
            api_arguments = ["api", f"--listener={listener.fileno()}"]
            if trusted_proxies is not None:
                api_arguments.append(f"--trusted-proxies={trusted_proxies}")
            roles = [
                Role("api", api_arguments, descriptors=[listener.fileno()]),
                Role("worker", ["worker"]),
                Role("watch", ["watch"]),
            ]
            seen = [_with_metrics(settings, role, sockets) for role in roles]
            asyncio.run(_stand_up(environment, Supervisor(seen, mend_servers=mended(servers))))
    print_line("Postroom has stopped.")


def _with_metrics(settings: Settings, role: Role, sockets: ExitStack) -> Role:
    """The role with the socket that it answers Prometheus on, where the settings want one."""
    listener = listen_for_metrics(settings, role=role.name)
    if listener is None:
        return role
    sockets.enter_context(listener)
    return Role(
        role.name,
        [*role.arguments, f"--metrics-listener={listener.fileno()}"],
        descriptors=[*role.descriptors, listener.fileno()],
    )


async def _stand_up(environment: Environment, supervisor: Supervisor) -> None:
    await migrate_patiently(environment.database_url)
    await supervisor.run(beside=announce_ready(environment))


@app.command()
def api(
    listener: Inherited = None,
    metrics_listener: Inherited = None,
    trusted_proxies: Proxies = None,
    parent: Parent = None,
) -> None:
    """Serve the API: GraphQL over HTTP and WebSocket, files, health."""
    environment = _role(parent)
    # Here, since the other commands do without a schema and a web server.
    from gql.schema.root import schema  # noqa: PLC0415
    from server.app import create_app  # noqa: PLC0415
    from server.observed import observed  # noqa: PLC0415
    from server.serving import serve  # noqa: PLC0415

    settings = environment.settings
    opened = (
        listen(settings.postroom_host, settings.postroom_port) if listener is None else socket.socket(fileno=listener)
    )
    with closing(opened), _metrics_socket(settings, metrics_listener) as seen_at:
        app = create_app(settings, schema, lambda: observed(environment.deps(), seen_at, role="api"))
        serve(app, opened, trusted_proxies=trusted_proxies)


@app.command()
def worker(metrics_listener: Inherited = None, parent: Parent = None) -> None:
    """Run jobs: syncs, imports, upkeep."""
    environment = _role(parent)
    from server.observed import observed  # noqa: PLC0415 - the other commands do without them
    from workers.worker import work  # noqa: PLC0415

    with _metrics_socket(environment.settings, metrics_listener) as seen_at:
        asyncio.run(work(observed(environment.deps(), seen_at, role="worker"), environment.redis_url))


@app.command()
def watch(metrics_listener: Inherited = None, parent: Parent = None) -> None:
    """Listen at the mail servers for new mail."""
    environment = _role(parent)
    from server.observed import observed  # noqa: PLC0415 - the other commands do without them
    from workers.watch import watch as keep_watch  # noqa: PLC0415

    with _metrics_socket(environment.settings, metrics_listener) as seen_at:
        asyncio.run(keep_watch(observed(environment.deps(), seen_at, role="watch")))


@app.command()
def migrate() -> None:
    """Bring the database to the shape that this version expects."""
    with own_environment(load_settings()) as environment:
        asyncio.run(apply_migrations(environment.database_url, models=MODELS))
    print_line("The database is up to date.")


@app.command()
def bootstrap(
    organisation: Annotated[str, typer.Option(help="The organisation's name.")],
    admin: Annotated[str, typer.Option(help="The mail address of its first administrator.")],
) -> None:
    """Make an organisation with its first administrator, and print their ids and a token. Safe to repeat."""

    async def make(deps: Deps) -> bootstrapping.Bootstrapped:
        return await bootstrapping.bootstrap(deps, organisation=organisation, admin=admin)

    with own_environment(load_settings()) as environment:
        made = _with_deps(environment, make)
    print_fact("organisation", to_global("organisation", made.organisation_id))
    print_fact("administrator", to_global("user", made.user_id))
    try:
        _print_token(environment, made.organisation_id, made.external_id, days=30)
    except NoSigningSecret as refusal:
        print_fact("token", refusal.message)


@app.command()
def token(
    user: Annotated[str | None, typer.Option(help="The user's mail address, or their external id.")] = None,
    service: Annotated[bool, typer.Option("--service", help="For the applicant tracking system itself.")] = False,
    organisation: Annotated[str | None, typer.Option(help="The organisation's id, where there are several.")] = None,
    days: Annotated[int, typer.Option(min=1, max=LONGEST_TOKEN_DAYS, help="How long it is good for.")] = 30,
) -> None:
    """Print a token for a user, or for the applicant tracking system."""
    if service == (user is not None):
        raise typer.BadParameter("give either --user or --service")
    organisation_id = None if organisation is None else _organisation_id(organisation)

    async def find(deps: Deps) -> tuple[UUID, str | None]:
        return await bootstrapping.token_subject(deps, user=user, organisation_id=organisation_id)

    with own_environment(load_settings()) as environment:
        named, external_id = _with_deps(environment, find)
    _print_token(environment, named, external_id, days=days)


@app.command()
def doctor() -> None:
    """Check every setting and everything it leads to, and say what to do about what is wrong."""
    raise SystemExit(examine())


@app.command()
def schema() -> None:
    """Print the API's schema."""
    from gql.schema.root import schema as built  # noqa: PLC0415 - the other commands do without it

    sys.stdout.write(built.as_str() + "\n")


def main() -> None:
    """Runs a command; what a person can mend is told in a sentence, with status 2."""
    configure_logging(level="WARNING")
    try:
        app()
    except AppError as problem:
        print_error(problem.message)
        raise SystemExit(PROBLEM_STATUS) from None
    except OSError as problem:
        print_error(f"A server cannot be reached ({type(problem).__name__}). `postroom doctor` tells more.")
        raise SystemExit(PROBLEM_STATUS) from None


def _role(parent: int | None) -> Environment:
    if parent is not None:
        die_with(parent)
    configure_logging()
    return running_environment()


def _metrics_socket(settings: Settings, inherited: int | None) -> AbstractContextManager[socket.socket | None]:
    """Where this process answers Prometheus, if anywhere; closed on exit."""
    opened = listen_for_metrics(settings) if inherited is None else socket.socket(fileno=inherited)
    return nullcontext() if opened is None else closing(opened)


def _with_deps(environment: Environment, act: Callable[[Deps], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with asyncio.timeout(COMMAND_DEADLINE_S):
            if environment.embeds_postgres:
                await apply_migrations(environment.database_url, models=MODELS)
            async with environment.deps() as deps:
                return await act(deps)

    return asyncio.run(run())


def _organisation_id(text: str) -> UUID:
    kind, found = from_global(text) or from_global(f"organisation_{text.replace('-', '')}") or ("", None)
    if kind != "organisation" or found is None:
        raise invalid("An organisation's id looks like organisation_0192…; `postroom bootstrap` prints it.")
    return found


def _print_token(environment: Environment, organisation_id: UUID, external_id: str | None, *, days: int) -> None:
    issued = issue_token(environment.settings, organisation_id=organisation_id, external_id=external_id, days=days)
    print_fact("token", issued)
    print_fact("good until", (clock.now() + timedelta(days=days)).strftime("%Y-%m-%d %H:%M UTC"))
