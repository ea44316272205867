"""How does somebody without an identity provider get a token? The server signs one with its own secret."""

from datetime import timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OctKey

from domain import clock
from domain.errors import AppError
from domain.ids import to_global
from infra.settings import Settings
from server.auth import SERVICE_SCOPE


class NoSigningSecret(AppError):
    """Tokens are issued elsewhere: this server knows public keys only."""


def issue_token(settings: Settings, *, organisation_id: UUID, external_id: str | None, days: int) -> str:
    """A token for the user of this external id, or for a service where it is None.

    Raises:
        NoSigningSecret: POSTROOM_JWKS_URL is set.
    """
    if settings.postroom_jwt_secret is None:
        raise NoSigningSecret("Tokens come from the issuer that POSTROOM_JWKS_URL belongs to; get one there.")
    now = clock.now()
    claims: dict[str, object] = {
        "org": to_global("organisation", organisation_id),
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(days=days)).timestamp()),
    }
    if external_id is None:
        claims["scope"] = SERVICE_SCOPE
    else:
        claims["sub"] = external_id
    if settings.postroom_jwt_issuer is not None:
        claims["iss"] = settings.postroom_jwt_issuer
    if settings.postroom_jwt_audience is not None:
        claims["aud"] = settings.postroom_jwt_audience
    key = OctKey.import_key(settings.postroom_jwt_secret.get_secret_value())
    return jwt.encode({"alg": "HS256"}, claims, key, algorithms=["HS256"])
