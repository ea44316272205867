"""Is everything right with this Postroom, and if not, what is to be done?"""

import asyncio
import errno
import resource
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import asyncpg
import httpx
from redis.exceptions import RedisError

from domain import clock
from infra import tracing
from infra.blobs import BlobError, open_blobs
from infra.db import Statements
from infra.db.version import missing_migrations
from infra.embedded import EmbeddedServersError
from infra.redis import open_redis
from infra.settings import Settings, SettingsError, load_settings
from server.console import print_finding, print_line
from server.environment import Environment, own_environment
from server.keys import FetchedKeys

DEADLINE_S = 10.0
LITTLE_SPACE_BYTES = 2_000_000_000
TOO_LITTLE_SPACE_BYTES = 200_000_000
FEW_DESCRIPTORS = 8192
TOO_FEW_DESCRIPTORS = 1024
OLDEST_POSTGRES = 140_000
"""As `server_version_num`."""
CLOCK_SKEW_S = 2.0
OVERDUE_S = 60
"""A worker looks every five seconds; a mailbox that is due for this long has none."""
_MAILBOXES = """
SELECT count(*) AS connected,
       count(problem_code) AS troubled,
       coalesce(array_agg(DISTINCT problem_code::text) FILTER (WHERE problem_code IS NOT NULL), '{}') AS codes,
       count(*) FILTER (WHERE next_run_at < now() - make_interval(secs => $1) AND NOT needs_reauthorization
                          AND (lease_until IS NULL OR lease_until < now())) AS overdue,
       count(*) FILTER (WHERE NOT needs_reauthorization AND connected_at < now() - make_interval(secs => $1)
                          AND (watch_until IS NULL OR watch_until < now())) AS unwatched
  FROM mailbox WHERE sync_enabled AND disconnected_at IS NULL
"""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found.

    Attributes:
        remedy: what to do; empty where nothing is.
    """

    subject: str
    state: State
    what: str
    remedy: str = ""


Check: TypeAlias = Callable[[Environment], AsyncIterator[Finding]]


def examine() -> int:
    """Looks at everything and prints what it finds; 1 where something is wrong, else 0."""
    is_well = True
    for finding in _findings():
        print_finding(finding.state, finding.subject, finding.what, finding.remedy)
        is_well = is_well and finding.state is not State.WRONG
    print_line("All is well." if is_well else "Something is wrong: see above.", style="green" if is_well else "red")
    return 0 if is_well else 1


def _findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in error.problems:
            yield Finding("settings", State.WRONG, problem, "Correct it; .env.example says what each setting means.")
        return
    yield Finding("settings", State.OK, "all of them make sense")
    yield from _of_machine(settings)
    yield from _of_settings(settings)
    try:
        with own_environment(settings) as environment:
            yield from asyncio.run(_of_servers(environment))
    except EmbeddedServersError as error:
        yield Finding("embedded servers", State.WRONG, error.message, "See the logs in the data folder.")


def _of_machine(settings: Settings) -> Iterator[Finding]:
    folder = settings.postroom_data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".doctor-{clock.random_bytes(4).hex()}"
        probe.write_bytes(b"ok")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = "Set POSTROOM_DATA_DIR to one that can."
        if error.errno == errno.ENOSPC:
            remedy = "Make room; what says below that it cannot be used may only be waiting for that."
        yield Finding("data folder", State.WRONG, f"it cannot be written ({error.strerror})", remedy)
    else:
        state = State.WRONG if free < TOO_LITTLE_SPACE_BYTES else State.NOTE if free < LITTLE_SPACE_BYTES else State.OK
        remedy = "" if state is State.OK else "Make room, or set POSTROOM_DATA_DIR to a larger disk."
        yield Finding("data folder", state, f"writable, {free / 1e9:.1f} GB free", remedy)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    state = State.WRONG if limit < TOO_FEW_DESCRIPTORS else State.NOTE if limit < FEW_DESCRIPTORS else State.OK
    remedy = "" if state is State.OK else "Raise it (`ulimit -n 65536`): every socket and mailbox takes one."
    yield Finding("open files", state, f"{limit} at a time", remedy)


def _of_settings(settings: Settings) -> Iterator[Finding]:
    count = len(settings.secret_keys)
    yield Finding("secret keys", State.OK, f"{count} in use; the first one seals" if count else "none")
    url = settings.public_url
    is_open = settings.postroom_host not in LOOPBACK
    if is_open and settings.postroom_public_url is None:
        yield Finding("public URL", State.NOTE, f"not set; links lead to {url}", "Set POSTROOM_PUBLIC_URL.")
    elif is_open and url.startswith("http:"):
        yield Finding(
            "public URL", State.NOTE, f"{url} is not encrypted", "Put TLS in front, and an https URL in the setting."
        )
    else:
        yield Finding("public URL", State.OK, url)
    yield _of_metrics(settings)
    if tracing.is_wanted():
        problem = tracing.obstacle()
        remedy = "" if problem is None else "See docs/operations.md, or take the OTEL_… variables away."
        state = State.OK if problem is None else State.NOTE
        yield Finding("traces", state, "sent" if problem is None else f"not sent: {problem}", remedy)


def _of_metrics(settings: Settings) -> Finding:
    port, host = settings.postroom_metrics_port, settings.postroom_metrics_host
    if port is None:
        return Finding("metrics", State.NOTE, "nobody is answered", "Set POSTROOM_METRICS_PORT for Prometheus.")
    where = f"at {host}, port {port}; with `postroom up` also the next two"
    if host in LOOPBACK:
        return Finding("metrics", State.OK, where)
    return Finding("metrics", State.NOTE, where, "Keep this address to networks of your own: it asks for no password.")


async def _of_servers(environment: Environment) -> list[Finding]:
    """What the dependencies say. Each has its own deadline, so one that is stuck hides no other."""
    findings: list[Finding] = []
    for subject, check in _CHECKS.items():
        try:
            async with asyncio.timeout(DEADLINE_S):
                findings += [finding async for finding in check(environment)]
        except (OSError, asyncpg.PostgresError, RedisError, BlobError) as failure:
            what = f"it cannot be used ({type(failure).__name__})"
            findings.append(Finding(subject, State.WRONG, what, _REMEDIES[subject]))
    return findings


async def _check_database(environment: Environment) -> AsyncIterator[Finding]:
    connection = await asyncpg.connect(environment.database_url)
    try:
        statements = Statements(connection)
        before = clock.now()
        theirs = await statements.fetch_value("SELECT clock_timestamp()")
        after = clock.now()
        version = int(await statements.fetch_value("SHOW server_version_num"))
        missing = await missing_migrations(statements)
        mailboxes = [] if missing else await _of_mailboxes(statements)
    finally:
        await connection.close()
    is_old = version < OLDEST_POSTGRES
    yield Finding(
        "database",
        State.WRONG if is_old else State.OK,
        f"PostgreSQL {version // 10_000}",
        "Use PostgreSQL 14 or later." if is_old else "",
    )
    if missing:
        yield Finding("migrations", State.WRONG, f"{len(missing)} to be applied", "Run `postroom migrate`.")
    else:
        yield Finding("migrations", State.OK, "all applied")
    skew_s = abs((theirs - (before + (after - before) / 2)).total_seconds())
    is_skewed = skew_s > CLOCK_SKEW_S
    yield Finding(
        "clock",
        State.WRONG if is_skewed else State.OK,
        f"{skew_s:.2f} s apart from the database's",
        "Have both keep time by NTP." if is_skewed else "",
    )
    for finding in mailboxes:
        yield finding


async def _of_mailboxes(statements: Statements) -> list[Finding]:
    row = await statements.fetch_row(_MAILBOXES, OVERDUE_S)
    if row is None:
        return []
    workers = Finding("workers", State.OK, "no mailbox is waiting for one")
    if row["overdue"]:
        what = f"{row['overdue']} mailboxes are due and nobody syncs them"
        workers = Finding("workers", State.WRONG, what, "Start `postroom worker`.")
    watch = Finding("watch", State.OK, "no mailbox is waiting for one")
    if row["unwatched"]:
        what = f"nobody listens to {row['unwatched']} mailboxes; their new mail waits for the poll"
        watch = Finding("watch", State.NOTE, what, "Start `postroom watch`.")
    mailboxes = Finding("mailboxes", State.OK, f"{row['connected']} connected, none with a problem")
    if row["troubled"]:
        what = f"{row['troubled']} of {row['connected']} cannot be read: {', '.join(row['codes'])}"
        remedy = "Their owners see what to do; where it is all of one host, look at the way there."
        mailboxes = Finding("mailboxes", State.NOTE, what, remedy)
    return [workers, watch, mailboxes]


async def _check_redis(environment: Environment) -> AsyncIterator[Finding]:
    async with open_redis(environment.redis_url) as redis:
        about = await redis.info()
    name = "Valkey" if "valkey_version" in about else "Redis"
    yield Finding("redis", State.OK, f"{name} {about.get('valkey_version', about.get('redis_version', ''))}")
    keeps = bool(about.get("aof_enabled")) or bool(about.get("rdb_saves") or about.get("rdb_last_save_time"))
    if not about.get("aof_enabled"):
        what = "snapshots only" if keeps else "none"
        yield Finding("redis persistence", State.NOTE, what, "Set `appendonly yes`: a restart then delays no job.")
    else:
        yield Finding("redis persistence", State.OK, "append-only file")
    if about.get("maxmemory") and about.get("maxmemory_policy") != "noeviction":
        yield Finding("redis memory", State.WRONG, "jobs may be evicted", "Set `maxmemory-policy noeviction`.")


async def _check_keys(environment: Environment) -> AsyncIterator[Finding]:
    url = environment.settings.postroom_jwks_url
    if url is None:
        yield Finding("tokens", State.OK, "signed with this server's own secret")
        return
    try:
        count = await FetchedKeys(url).fetch()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as failure:
        what = f"the key set cannot be fetched ({type(failure).__name__})"
        yield Finding("tokens", State.WRONG, what, "Correct POSTROOM_JWKS_URL, or open the way to it.")
        return
    remedy = "" if count else "Have the issuer publish an RS256 or ES256 key there."
    yield Finding("tokens", State.OK if count else State.WRONG, f"{count} usable keys in the key set", remedy)


async def _check_blobs(environment: Environment) -> AsyncIterator[Finding]:
    settings = environment.settings
    blobs = open_blobs(settings.postroom_blob_url, settings.postroom_data_dir)
    key = f"doctor/{clock.random_bytes(8).hex()}"
    await blobs.put(key, b"ok")
    try:
        is_kept = await blobs.get(key) == b"ok"
    finally:
        await blobs.delete([key])
    remedy = "" if is_kept else _REMEDIES["blob store"]
    yield Finding("blob store", State.OK if is_kept else State.WRONG, "writable" if is_kept else "loses bytes", remedy)


_CHECKS: dict[str, Check] = {
    "database": _check_database,
    "redis": _check_redis,
    "tokens": _check_keys,
    "blob store": _check_blobs,
}
_REMEDIES = {
    "database": "Start PostgreSQL, or correct DATABASE_URL.",
    "redis": "Start Redis or Valkey, or correct REDIS_URL.",
    "tokens": "Correct POSTROOM_JWKS_URL.",
    "blob store": "Correct POSTROOM_BLOB_URL, or the right to write there.",
}
