"""How is this Postroom set up? Every environment variable it reads, with type, unit and default, checked at start."""

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretBytes,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain import clock
from domain.errors import AppError

_KEY_BYTES = 32
_JWT_SECRET_MIN_LENGTH = 32  # Source: RFC 7518 §3.2, an HS256 key is at least as long as the hash; checked 2026-11-21
_HOST_NAME = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
_PAIRS = (
    ("POSTROOM_RELAY_URL", "POSTROOM_RELAY_FROM"),
    ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"),
    ("MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET"),
    ("GOOGLE_PUBSUB_TOPIC", "GOOGLE_PUBSUB_AUDIENCE"),
)


class SettingsError(AppError):
    """Settings that cannot be worked with. `problems` has one sentence for each, without any value."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("These settings are wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Which internal hosts mail servers may be on, although users name them.

    Attributes:
        networks: addresses that may be connected to.
        names: host names, in lower case, that may be connected to whatever they resolve to.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    names: frozenset[str] = field(default=frozenset())


def _split(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _decoded_keys(value: object) -> object:
    return _decode_keys(value) if isinstance(value, str) else value


def _decode_keys(text: str) -> tuple[bytes, ...]:
    return tuple(map(_decode_key, text.split(",")))


def _decode_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("each key is 32 random bytes in base64, as `openssl rand -base64 32` prints them")
    return key


def _allowed_hosts(value: object) -> object:
    if not isinstance(value, str):
        return value
    networks, names = [], []
    for entry in filter(None, map(str.strip, value.split(","))):
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError:
            if not _HOST_NAME.fullmatch(entry):
                raise ValueError(
                    "each entry is a host name or a network, such as 10.0.0.0/8 without host bits"
                ) from None
            names.append(entry.lower().rstrip("."))
    return AllowedHosts(tuple(networks), frozenset(names))


def _url_with(*schemes: str, needs_host: bool = False) -> AfterValidator:
    def check(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in schemes:
            raise ValueError(f"it starts with {' or '.join(f'{scheme}:' for scheme in schemes)}")
        if needs_host and not parts.hostname:
            raise ValueError("it names a host")
        try:
            _ = parts.port
        except ValueError:  # its own message repeats what was written there, which may be a password
            raise ValueError("its port is a number up to 65535") from None
        return url.rstrip("/") if needs_host else url

    return AfterValidator(check)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError("each origin is https://host or https://host:port")
    return url.rstrip("/")


Origin = Annotated[str, AfterValidator(_origin)]
WebURL = Annotated[str, _url_with("https", "http", needs_host=True)]


class Settings(BaseSettings):
    """One field for each environment variable, the same name in lower case. `.env.example` says what each means."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", validate_default=True)

    database_url: Annotated[str, _url_with("postgresql", "postgres")] | None = Field(None, repr=False)
    redis_url: Annotated[str, _url_with("redis", "rediss", "unix")] | None = Field(None, repr=False)

    postroom_data_dir: Annotated[Path, AfterValidator(Path.expanduser), AfterValidator(Path.absolute)] = Path("data")
    postroom_host: str = "127.0.0.1"
    postroom_port: int = Field(8000, ge=1, le=65535)
    postroom_public_url: WebURL | None = None
    postroom_allowed_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = ()

    postroom_metrics_host: str = "127.0.0.1"
    postroom_metrics_port: int | None = Field(None, ge=1, le=65533)
    """The first of three: `postroom up` gives one to each of its roles."""
    postroom_slow_operation_s: float = Field(1.0, ge=0, le=3600)

    postroom_secret_keys: Annotated[tuple[SecretBytes, ...], NoDecode, BeforeValidator(_decoded_keys)] = ()
    postroom_jwt_secret: SecretStr | None = Field(None, min_length=_JWT_SECRET_MIN_LENGTH)
    postroom_jwks_url: WebURL | None = None
    postroom_jwt_issuer: str | None = None
    postroom_jwt_audience: str | None = None

    postroom_blob_url: Annotated[str, _url_with("file", "memory", "s3", "gs", "az")] | None = Field(None, repr=False)
    postroom_allowed_private_hosts: Annotated[AllowedHosts, NoDecode, BeforeValidator(_allowed_hosts)] = AllowedHosts()
    postroom_poll_interval_s: float = Field(60.0, ge=1, le=86_400)

    postroom_relay_url: Annotated[str, _url_with("smtp", "smtps", needs_host=True)] | None = Field(None, repr=False)
    postroom_relay_from: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$")

    google_client_id: str | None = None
    google_client_secret: SecretStr | None = None
    google_auth_url: WebURL = "https://accounts.google.com/o/oauth2/v2/auth"
    google_token_url: WebURL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    gmail_api_url: WebURL = "https://gmail.googleapis.com"
    google_pubsub_topic: str | None = Field(None, pattern=r"^projects/[^/]+/topics/[^/]+$")
    google_pubsub_audience: str | None = None

    microsoft_client_id: str | None = None
    microsoft_client_secret: SecretStr | None = None
    microsoft_auth_url: WebURL = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
    microsoft_token_url: WebURL = "https://login.microsoftonline.com/common/oauth2/v2.0/token"  # noqa: S105 - an address
    graph_api_url: WebURL = "https://graph.microsoft.com/v1.0"

    @property
    def public_url(self) -> str:
        """Where browsers and providers reach this server; without a slash at the end."""
        return self.postroom_public_url or f"http://localhost:{self.postroom_port}"

    @property
    def embeds_postgres(self) -> bool:
        """Whether Postroom brings its own PostgreSQL."""
        return self.database_url is None

    @property
    def embeds_redis(self) -> bool:
        """Whether Postroom brings its own Valkey."""
        return self.redis_url is None

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """The keys of the vault: the first seals, all open."""
        return tuple(key.get_secret_value() for key in self.postroom_secret_keys)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*self._half_given(), *self._missing()]:
            raise ValueError("\n".join(problems))
        return self

    def _half_given(self) -> Iterator[str]:
        for first, second in _PAIRS:
            if (getattr(self, first.lower()) is None) != (getattr(self, second.lower()) is None):
                yield f"{first} and {second}: they belong together"

    def _missing(self) -> Iterator[str]:
        if self.postroom_jwks_url is not None:
            if self.postroom_jwt_secret is not None:
                yield "POSTROOM_JWT_SECRET and POSTROOM_JWKS_URL: only one of them says which tokens hold"
            if self.postroom_jwt_issuer is None or self.postroom_jwt_audience is None:
                yield "POSTROOM_JWT_ISSUER and POSTROOM_JWT_AUDIENCE: both are needed with POSTROOM_JWKS_URL"
        if self.embeds_postgres:
            return
        if not self.postroom_secret_keys:
            yield "POSTROOM_SECRET_KEYS: needed with DATABASE_URL; `openssl rand -base64 32` makes one"
        if self.postroom_jwt_secret is None and self.postroom_jwks_url is None:
            yield "POSTROOM_JWT_SECRET or POSTROOM_JWKS_URL: one is needed with DATABASE_URL"


def load_settings(*, env_file: Path | None = Path(".env")) -> Settings:
    """Settings from the environment, and under it from `env_file` where there is one, checked as a whole.

    With an embedded PostgreSQL, secrets that are not given are made once and kept in the data folder beside it.

    Raises:
        SettingsError: lists everything that is wrong.
    """
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        raise SettingsError(tuple(_sentences(error))) from None  # the cause repeats the values
    if not settings.embeds_postgres:
        return settings
    return _with_kept_secrets(settings)


def _sentences(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        sentence = problem["msg"].removeprefix("Value error, ")
        if problem["loc"]:
            yield f"{str(problem['loc'][0]).upper()}: {sentence}"
        else:
            yield from sentence.splitlines()


def _with_kept_secrets(settings: Settings) -> Settings:
    data_dir = settings.postroom_data_dir
    made: dict[str, object] = {}
    try:
        if not settings.postroom_secret_keys:
            if (data_dir / "postgres").exists() and not (data_dir / "secrets" / "keys").exists():
                problem = "POSTROOM_SECRET_KEYS: the data folder was made with keys that are not in it; give them here"
                raise SettingsError((problem,))
            kept = _kept_secret(data_dir / "secrets" / "keys")
            made["postroom_secret_keys"] = tuple(SecretBytes(key) for key in _decode_keys(kept))
        if settings.postroom_jwt_secret is None and settings.postroom_jwks_url is None:
            made["postroom_jwt_secret"] = SecretStr(_kept_secret(data_dir / "secrets" / "jwt"))
    except OSError as error:
        raise SettingsError((f"POSTROOM_DATA_DIR: it cannot be used ({error.strerror})",)) from error
    except ValueError:
        raise SettingsError(("POSTROOM_SECRET_KEYS: the file `secrets/keys` in the data folder is damaged",)) from None
    return settings.model_copy(update=made)


def _kept_secret(path: Path) -> str:
    """The secret in this file, made where there is none; of several that make it at once, one wins."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{clock.random_bytes(8).hex()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(base64.b64encode(clock.random_bytes(_KEY_BYTES)).decode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text().strip()
