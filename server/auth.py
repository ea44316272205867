"""Whom does a bearer token name, and does it hold?

A JSON Web Token with `org` (the organisation's global id), `exp`, and either `sub` (a user's external id) or
`scope: "service"`. Every way to fail is NotAuthenticated, and which one it was is told in its sentence alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError

from domain import clock
from domain.access import Viewer
from domain.errors import NotAuthenticated
from domain.ids import from_global
from infra.settings import Settings
from server.keys import FetchedKeys, SharedSecret, SigningKeys
from services.deps import Deps
from services.viewers import service_viewer, viewer_of

LEEWAY_S = 30
"""How far the clock of whoever issues tokens may be ahead of ours."""
LONGEST_TOKEN = 8192
LATEST_EXPIRY = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
SERVICE_SCOPE = "service"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a valid token says.

    Attributes:
        external_id: the user's; None for a service token.
        expires_at: from then on it says nothing.
    """

    organisation_id: UUID
    external_id: str | None
    expires_at: datetime


class Authenticator:
    """Checks tokens as the settings ask for."""

    def __init__(self, settings: Settings) -> None:
        self._keys: SigningKeys = signing_keys(settings)
        self._issuer = settings.postroom_jwt_issuer
        self._audience = settings.postroom_jwt_audience

    async def identity(self, token: str) -> Identity:
        """Whom the token names.

        Raises:
            NotAuthenticated: it does not hold.
        """
        claims = await self._claims(token)
        self._check_times(claims)
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise NotAuthenticated("The token comes from another issuer.")
        if self._audience is not None and not _is_for(claims.get("aud"), self._audience):
            raise NotAuthenticated("The token is meant for another audience.")
        return Identity(_organisation(claims), _subject(claims), datetime.fromtimestamp(_number(claims, "exp"), UTC))

    async def viewer(self, deps: Deps, identity: Identity) -> Viewer:
        """The identity's present rights.

        Raises:
            NotAuthenticated: it has expired, or its organisation or active user is not there (any more).
        """
        if identity.expires_at <= clock.now():
            raise NotAuthenticated("The token has expired.")
        async with deps.db.statement() as db:
            if identity.external_id is None:
                return await service_viewer(db, identity.organisation_id)
            return await viewer_of(db, identity.organisation_id, identity.external_id)

    async def _claims(self, token: str) -> Mapping[str, Any]:
        """What is signed, by a key and an algorithm of ours; the token's own word on either counts for nothing."""
        if len(token) > LONGEST_TOKEN:
            raise NotAuthenticated("The token is too long.")
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            if header.get("alg") not in self._keys.algorithms:
                raise NotAuthenticated("The token is signed in a way that is not accepted here.")
            key = await self._keys.key_for(header)
            return jwt.decode(token, key, algorithms=[header["alg"]]).claims
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise NotAuthenticated("The token is damaged, or not signed by a key of ours.") from None

    @staticmethod
    def _check_times(claims: Mapping[str, Any]) -> None:
        now = clock.now().timestamp()
        if _number(claims, "exp") <= now:
            raise NotAuthenticated("The token has expired.")
        for name in ("nbf", "iat"):
            if name in claims and _number(claims, name) > now + LEEWAY_S:
                raise NotAuthenticated("The token is not valid yet.")


def signing_keys(settings: Settings) -> SigningKeys:
    """The keys of these settings, which have been checked to name one source of them."""
    if settings.postroom_jwks_url is not None:
        return FetchedKeys(settings.postroom_jwks_url)
    if settings.postroom_jwt_secret is None:
        raise ValueError("neither a secret nor a key set is given")
    return SharedSecret(settings.postroom_jwt_secret.get_secret_value())


def bearer_token(authorization: object) -> str:
    """The token of an Authorization header, or of the field of that name in `connection_init`.

    Raises:
        NotAuthenticated: there is none.
    """
    scheme, _, token = authorization.partition(" ") if isinstance(authorization, str) else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("A bearer token is needed.")
    return token.strip()


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotAuthenticated(f"The token's `{name}` is missing, or no time.")
    if not 0 <= value < LATEST_EXPIRY:
        raise NotAuthenticated(f"The token's `{name}` is no time.")
    return float(value)


def _is_for(audience: object, wanted: str) -> bool:
    return audience == wanted or (isinstance(audience, list) and wanted in audience)


def _organisation(claims: Mapping[str, Any]) -> UUID:
    named = claims.get("org")
    kind, organisation_id = (from_global(named) if isinstance(named, str) else None) or ("", None)
    if kind != "organisation" or organisation_id is None:
        raise NotAuthenticated("The token names no organisation.")
    return organisation_id


def _subject(claims: Mapping[str, Any]) -> str | None:
    """The user's external id; None for a service. A token that claims to be both is neither."""
    subject, scope = claims.get("sub"), claims.get("scope")
    is_service = isinstance(scope, str) and SERVICE_SCOPE in scope.split()
    if is_service and subject is None:
        return None
    if is_service or not isinstance(subject, str) or not subject or "\0" in subject:
        raise NotAuthenticated("The token names neither one user nor a service.")
    return subject
