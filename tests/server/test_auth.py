"""Tokens: those that hold name their viewer, and every other one is UNAUTHENTICATED, over HTTP and WebSocket alike."""

import base64
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain import clock
from domain.errors import NotAuthenticated
from domain.ids import new_id, to_global
from infra.settings import Settings
from server import keys
from server.auth import Authenticator
from server.listening import listen
from server.serving import server_for
from services.deps import Deps
from tests.server.conftest import RITA, Scene
from tests.support.site import Site, closed_with, hear, say, served, signed, standard_claims

WHO = {"query": "{ viewer { email } organisation { id } }"}
ISSUER, AUDIENCE = "https://id.example", "postroom"


def part(content: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


async def http_code(site: Site, token: str | None) -> tuple[int, str]:
    answer = await site.post(WHO, token)
    return answer.status_code, answer.json()["errors"][0]["extensions"]["code"]


async def socket_code(site: Site, payload: object) -> int | None:
    async with site.socket() as socket:
        await say(socket, type="connection_init", payload=payload)
        return await closed_with(socket)


async def test_a_users_token_names_the_user_over_http_and_websocket(scene: Scene) -> None:
    expected = {
        "viewer": {"email": RITA},
        "organisation": {"id": to_global("organisation", scene.office.organisation_id)},
    }
    answer = await scene.site.post(WHO, scene.token)
    assert (answer.status_code, answer.json()) == (200, {"data": expected})
    async with scene.site.session(scene.token) as socket:
        await say(socket, type="subscribe", id="1", payload=WHO)
        assert await hear(socket) == {"id": "1", "type": "next", "payload": {"data": expected}}
        assert await hear(socket) == {"id": "1", "type": "complete"}


async def test_a_service_token_names_no_user(scene: Scene) -> None:
    answer = await scene.site.post(WHO, scene.site.token(scene.office.organisation_id, None))
    assert answer.json()["data"]["viewer"] is None


def bad_tokens(scene: Scene) -> Iterator[tuple[str, str]]:
    """What is wrong, and a token of which that is true."""
    organisation_id = scene.office.organisation_id
    now = clock.now().timestamp()
    good = standard_claims(organisation_id, RITA)

    def of(**claims: object) -> str:
        return scene.site.token(organisation_id, RITA, **claims)

    yield "expired", of(exp=int(now) - 1)
    yield "no expiry", of(exp=None)
    for wrong in ("soon", True, -1, 1e300, [1]):
        yield f"expiry {wrong!r}", of(exp=wrong)
    yield "huge expiry", of(exp=10**400)
    yield "not valid yet", of(nbf=int(now) + 90)
    yield "issued in the future", of(iat=int(now) + 90)
    yield "another organisation", of(org=to_global("organisation", new_id()))
    yield "no organisation", of(org=None)
    yield "organisation of another kind", of(org=to_global("user", organisation_id))
    yield "organisation that is no id", of(org="organisation_1")
    yield "unknown user", of(sub="nobody@acme.example")
    yield "no user", of(sub=None)
    yield "user that is no text", of(sub=7)
    yield "user with NUL", of(sub="rita\0")
    yield "user and service at once", of(scope="service")
    yield "another scope and no user", of(sub=None, scope="services")
    yield "another secret", signed("x" * 40, good)
    yield "no algorithm", f"{part({'alg': 'none'})}.{part(good)}."
    yield "algorithm NONE", f"{part({'alg': 'NONE'})}.{part(good)}.{part('x')}"
    yield "algorithm that is no text", f"{part({'alg': ['HS256']})}.{part(good)}.{part('x')}"
    yield "another algorithm", jwt.encode(
        {"alg": "HS512"}, good, OctKey.import_key(scene.site.settings.postroom_jwt_secret.get_secret_value()),  # type: ignore[union-attr]
        algorithms=["HS512"],
    )  # fmt: skip
    key = RSAKey.generate_key(2048)
    yield "a key of its own", jwt.encode({"alg": "RS256", "jwk": key.as_dict(private=False)}, good, key)
    header, _, signature = of().split(".")
    yield "other claims under the signature", f"{header}.{part({**good, 'sub': 'boss'})}.{signature}"
    yield "claims that are no object", f"{header}.{part([1])}.{signature}"
    yield "nothing", "."
    yield "no token", "garbage"
    yield "three empty parts", ".."
    yield "too long", "a" * 10_000


async def test_every_token_that_does_not_hold_is_unauthenticated(scene: Scene) -> None:
    for what, token in bad_tokens(scene):
        assert await http_code(scene.site, token) == (401, "UNAUTHENTICATED"), what
        assert await socket_code(scene.site, {"authorization": f"Bearer {token}"}) == 4403, what


@pytest.mark.parametrize("header", ["", "Bearer", "Basic cml0YTpyaXRh", "Token x"])
async def test_every_header_without_a_bearer_token_is_unauthenticated(scene: Scene, header: str) -> None:
    answer = await scene.site.post(WHO, authorization=header)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="postroom"')
    assert await socket_code(scene.site, {"authorization": header}) == 4403


@pytest.mark.parametrize("payload", [{}, {"authorization": 7}, {"authorization": None}, {"token": "x"}])
async def test_a_socket_without_a_token_is_closed(scene: Scene, payload: object) -> None:
    assert await socket_code(scene.site, payload) == 4403


async def test_who_has_left_is_unauthenticated_and_an_open_socket_serves_them_no_more(scene: Scene) -> None:
    async with scene.site.session(scene.token) as socket:
        async with scene.office.deps.db.transaction() as tx:
            await tx.execute("UPDATE user_account SET is_active = false")
        await say(socket, type="subscribe", id="1", payload=WHO)
        assert await closed_with(socket) == 4403
    assert await http_code(scene.site, scene.token) == (401, "UNAUTHENTICATED")


async def test_a_socket_ends_with_its_token(scene: Scene) -> None:
    expires_at = clock.now() + timedelta(seconds=2)
    token = scene.site.token(scene.office.organisation_id, RITA, exp=expires_at.timestamp())
    async with scene.site.session(token) as socket:
        await say(socket, type="subscribe", id="1", payload={"query": "subscription { events { cursor } }"})
        assert await closed_with(socket) == 4403
    assert clock.now() >= expires_at


async def test_an_operation_runs_with_the_rights_of_its_own_moment(scene: Scene) -> None:
    level = {"query": "{ viewer { accessLevel } }"}
    async with scene.site.session(scene.token) as socket:
        async with scene.office.deps.db.transaction() as tx:
            await tx.execute("UPDATE user_account SET access_level = 'ADMIN'")
        await say(socket, type="subscribe", id="1", payload=level)
        assert (await hear(socket))["payload"]["data"]["viewer"]["accessLevel"] == "ADMIN"


# ---------------------------------------------------------------- public keys


@dataclass(slots=True)
class Issuer:
    """An identity provider: a key set at an address, and the private keys."""

    url: str
    published: list[Any]
    is_up: bool = True
    fetches: int = 0

    def settings(self, deps: Deps) -> Settings:
        return deps.settings.model_copy(
            update={
                "postroom_jwt_secret": None,
                "postroom_jwks_url": self.url,
                "postroom_jwt_issuer": ISSUER,
                "postroom_jwt_audience": AUDIENCE,
            }
        )

    def publish(self, *public: RSAKey | ECKey | OctKey) -> None:
        self.published = [
            key.as_dict(private=False) if not isinstance(key, OctKey) else key.as_dict() for key in public
        ]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with published_keys() as found:
        yield found


@asynccontextmanager
async def published_keys() -> AsyncIterator[Issuer]:
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        issuer = Issuer(f"http://{host}:{port}/keys", [])

        async def answer(_request: Request) -> Response:
            issuer.fetches += 1
            status = 200 if issuer.is_up else 503
            return Response(orjson.dumps({"keys": issuer.published}), status_code=status, media_type="application/json")

        async with running(Starlette(routes=[Route("/keys", answer)]), listener):
            yield issuer


@asynccontextmanager
async def running(app: Starlette, listener: Any) -> AsyncIterator[None]:
    import asyncio  # noqa: PLC0415 - for this helper alone

    server = server_for(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await serving


def issued(key: RSAKey | ECKey | OctKey, algorithm: str, claims: dict[str, object], **header: object) -> str:
    whole = {"iss": ISSUER, "aud": AUDIENCE, **claims}
    return jwt.encode({"alg": algorithm, **header}, whole, key, algorithms=[algorithm])


RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})


async def test_tokens_of_an_issuer_hold_by_its_published_keys(deps: Deps, scene: Scene, issuer: Issuer) -> None:
    issuer.publish(RSA, EC)
    claims = standard_claims(scene.office.organisation_id, RITA)
    async with served(deps, issuer.settings(deps)) as site:
        for key, algorithm, kid in ((RSA, "RS256", "rsa"), (EC, "ES256", "ec")):
            assert (await site.post(WHO, issued(key, algorithm, claims, kid=kid))).status_code == 200
            assert (await site.post(WHO, issued(key, algorithm, claims))).status_code == 200  # the only one of its kind
        many = issued(RSA, "RS256", {**claims, "aud": ["another", AUDIENCE]}, kid="rsa")
        assert (await site.post(WHO, many)).status_code == 200
    assert issuer.fetches == 1


async def test_a_public_key_is_no_secret(deps: Deps, scene: Scene, issuer: Issuer) -> None:
    """The confusion of algorithms: what everybody may read must not sign anything."""
    issuer.publish(RSA)
    claims = standard_claims(scene.office.organisation_id, RITA)
    async with served(deps, issuer.settings(deps)) as site:
        for form in (RSA.as_pem(private=False), RSA.as_der(private=False), orjson.dumps(RSA.as_dict(private=False))):
            content = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part({'iss': ISSUER, 'aud': AUDIENCE, **claims})}"
            mark = base64.urlsafe_b64encode(hmac.digest(form, content.encode(), "sha256")).rstrip(b"=").decode()
            forged = f"{content}.{mark}"
            assert await http_code(site, forged) == (401, "UNAUTHENTICATED")
        for what, token in {
            "no issuer": issued(RSA, "RS256", {**claims, "iss": None}, kid="rsa"),
            "another issuer": issued(RSA, "RS256", {**claims, "iss": "https://evil.example"}, kid="rsa"),
            "another audience": issued(RSA, "RS256", {**claims, "aud": "other"}, kid="rsa"),
            "no audience": issued(RSA, "RS256", {**claims, "aud": []}, kid="rsa"),
            "another key": issued(RSAKey.generate_key(2048), "RS256", claims, kid="rsa"),
            "key of another kind": issued(EC, "ES256", claims, kid="rsa"),
            "unknown key": issued(RSA, "RS256", claims, kid="unknown"),
            "this server's own secret": scene.token,
        }.items():
            assert await http_code(site, token) == (401, "UNAUTHENTICATED"), what


async def test_new_keys_are_found_at_most_once_a_minute_and_old_ones_outlive_an_outage(
    deps: Deps, scene: Scene, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = standard_claims(scene.office.organisation_id, RITA)
    issuer.publish(RSA)
    checks = Authenticator(issuer.settings(deps))
    old, new = issued(RSA, "RS256", claims, kid="rsa"), issued(EC, "ES256", claims, kid="ec")
    await checks.identity(old)
    issuer.publish(RSA, EC)
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            await checks.identity(new)
    assert issuer.fetches == 1
    monkeypatch.setattr(keys, "REFETCH_PAUSE_S", 0.0)
    assert (await checks.identity(new)).external_id == RITA
    issuer.is_up = False
    monkeypatch.setattr(keys, "FRESH_S", 0.0)
    assert (await checks.identity(old)).external_id == RITA
    assert issuer.fetches == 3


async def test_a_key_set_that_is_none_lets_nobody_in(deps: Deps, scene: Scene, issuer: Issuer) -> None:
    claims = standard_claims(scene.office.organisation_id, RITA)
    token = issued(RSA, "RS256", claims, kid="rsa")
    wrong: list[Any] = [[], [1, None, {}], [{"kty": "RSA"}], [{"kty": "RSA", "n": "!", "e": "AQAB"}], {"a": 1}, "x"]
    for published in wrong:
        issuer.published = published
        with pytest.raises(NotAuthenticated):
            await Authenticator(issuer.settings(deps)).identity(token)
    issuer.publish(RSA)
    issuer.published.insert(0, {"kty": "OKP", "crv": "Ed25519", "x": "x", "kid": "rsa"})
    assert (await Authenticator(issuer.settings(deps)).identity(token)).external_id == RITA
