"""Tokens bound to a key, at the authorization server: proofs, nonces, and what is issued with them.

RFC 9449 §4 to §6, §8 and §10; RFC 7638; RFC 7800 §3.1; RFC 8725 §3.
"""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from joserfc.jwk import ECKey, OctKey, RSAKey

from clients import registered
from clients.metadata import InvalidClientMetadata
from clients.models import Client
from clients.registration import describe_client, register_client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.conf import config
from smartauth.models import AccessToken, AuthorizationCode, PendingAuthorization, ProofId, RefreshToken
from smartauth.people.models import User
from smartauth.proofs import verify_proof
from smartauth.proofs.nonces import is_good, new_nonce
from smartauth.sealing import encrypt
from smartauth.tokens import finding
from tests.conftest import Configure
from tests.endpoints.app_launch import (
    AUTHORIZE,
    SCOPE,
    App,
    Launch,
    Pkce,
    authorize_params,
    callback,
    decide,
    launch,
    make_app,
    open_consent,
    told_in,
)
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_par import FORM, PAR, pushed_uri
from tests.endpoints.test_token_authorization_code import assert_refused
from tests.endpoints.test_token_client_credentials import TOKEN, statements
from tests.endpoints.token_requests import STATEMENTS, basic, body_of, redemption, verified
from tests.factories import phone_app, weak_rsa, web_app
from tests.proofs import ISSUER, TOKEN_URL, Holder

__all__ = ["auditor"]

pytestmark = pytest.mark.usefixtures("signing_key")

Ask = Callable[..., HttpResponse]
BOUND = {"dpop_bound_access_tokens": True}


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def growth_chart(tenant: TenantInfo) -> App:
    """A public app that wants bound tokens."""
    return make_app(phone_app(**BOUND), tenant)


@pytest.fixture
def cardio(tenant: TenantInfo) -> App:
    """A confidential app that wants bound tokens."""
    return make_app(web_app(**BOUND), tenant)


@pytest.fixture
def exporter(register: Callable[..., Service]) -> Service:
    """A backend service that wants bound tokens."""
    return register("exporter", **BOUND)


@pytest.fixture
def ask(post: Post) -> Ask:
    """Post to the token endpoint as an app does, with a proof unless it is None."""

    def send(app: App, params: dict[str, str], proof: str | None, *, path: str = TOKEN) -> HttpResponse:
        headers = {} if proof is None else {"DPoP": proof}
        if app.secret is not None:
            return post(path, params, Authorization=basic(app.client_id, app.secret), **headers)
        return post(path, {"client_id": app.client_id, **params}, **headers)

    return send


@pytest.fixture
def get(post: Post, exporter: Service) -> Callable[..., Any]:
    """Ask for a token of the service with a proof, or without one for None."""

    def send(proof: str | None, *, who: Service = exporter, path: str = TOKEN, scope: str = "system/*.rs") -> Any:
        params = {"grant_type": "client_credentials", "scope": scope, **who.credentials(aud=ISSUER)}
        return post(path, params, **({} if proof is None else {"DPoP": proof}))

    return send


def assert_proof_refused(answer: Any, rule: str, error: str = "invalid_dpop_proof") -> None:
    assert_refused(answer, error, rule)
    assert set(answer.json()) == {"error", "error_description", "trace_id"}
    assert ("DPoP-Nonce" in answer.headers) == (error == "use_dpop_nonce")
    assert not AccessToken.objects.exists()


# What is issued


@pytest.mark.requirement("EXT-05", "EXT-06")
@pytest.mark.parametrize(
    ("alg", "make"),
    [
        ("ES256", lambda: ECKey.generate_key("P-256")),
        ("ES384", lambda: ECKey.generate_key("P-384")),
        ("PS256", lambda: RSAKey.generate_key(2048)),
        ("PS384", lambda: RSAKey.generate_key(2048)),
        ("RS256", lambda: RSAKey.generate_key(2048)),
        ("RS384", lambda: RSAKey.generate_key(2048)),
    ],
)
def test_a_service_gets_a_token_bound_to_its_key(
    get: Callable[..., Any], client: Any, alg: str, make: Callable[[], Any]
) -> None:
    advertised = client.get("/.well-known/oauth-authorization-server").json()["dpop_signing_alg_values_supported"]
    assert alg in advertised
    holder = Holder(make(), alg)
    body = body_of(get(holder.proof()))
    assert body["token_type"] == "DPoP"
    assert verified(body["access_token"], "ES256").claims["cnf"] == {"jkt": holder.jkt}
    assert AccessToken.objects.get().claims["cnf"] == {"jkt": holder.jkt}
    assert AuditRecord.objects.get(action="token").details["dpop_jkt"] == holder.jkt


@pytest.mark.requirement("EXT-06")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["growth_chart", "cardio"])
@pytest.mark.requirement("SEC-04")
def test_an_app_gets_tokens_bound_to_its_key(
    request: pytest.FixtureRequest, browser: Browser, ask: Ask, ana: User, holder: Holder, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    body = body_of(ask(app, redemption(launch(browser, app, ana)), holder.proof()))
    assert (body["token_type"], body["scope"], body["patient"]) == ("DPoP", SCOPE, "ana")
    assert AccessToken.objects.get().claims["cnf"] == {"jkt": holder.jkt}
    # A confidential client proves who it is whenever it refreshes.
    assert RefreshToken.objects.get().dpop_jkt == (holder.jkt if name == "growth_chart" else "")
    record = AuditRecord.objects.get(action="token")
    assert record.details["dpop_jkt"] == holder.jkt


@pytest.mark.requirement("EXT-09")
@pytest.mark.usefixtures("small")
def test_a_client_that_is_not_registered_for_it_gets_bearer_tokens_whatever_it_sends(
    browser: Browser, ask: Ask, ana: User, holder: Holder, tenant: TenantInfo, get: Callable[..., Any], register: Any
) -> None:
    plain = make_app(phone_app(client_id="plain"), tenant)
    for proof in (None, holder.proof(), "no proof at all"):
        body = body_of(ask(plain, redemption(launch(browser, plain, ana, dpop_jkt=holder.jkt)), proof))
        assert body["token_type"] == "Bearer"
        refreshed = ask(plain, {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}, proof)
        assert body_of(refreshed)["token_type"] == "Bearer"
    assert body_of(get(holder.proof(), who=register()))["token_type"] == "Bearer"
    assert not AccessToken.objects.filter(claims__has_key="cnf").exists()
    assert set(PendingAuthorization.objects.values_list("dpop_jkt", flat=True)) == {""}
    assert set(RefreshToken.objects.values_list("dpop_jkt", flat=True)) == {""}
    assert not ProofId.objects.exists()


@pytest.mark.requirement("EXT-06")
def test_introspection_tells_the_key(
    post: Post, get: Callable[..., Any], auditor: Service, get_token: Callable[..., str], holder: Holder
) -> None:
    bound = body_of(get(holder.proof()))["access_token"]
    told = post(INTROSPECT, {"token": bound, **auditor.credentials(aud=ISSUER)}).json()
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "DPoP", {"jkt": holder.jkt})
    plain = get_token(auditor, "__introspect")
    told = post(INTROSPECT, {"token": plain, **auditor.credentials(aud=ISSUER)}).json()
    assert (told["active"], told["token_type"], "cnf" in told) == (True, "Bearer", False)


@pytest.mark.requirement("EXT-06")
def test_views_that_the_toolkit_protects_do_not_take_bound_tokens(
    get: Callable[..., Any], register: Callable[..., Service], holder: Holder
) -> None:
    body_of(get(holder.proof()))
    body_of(get(None, who=register()))
    assert {"cnf" in row.claims: row.is_valid() for row in AccessToken.objects.all()} == {True: False, False: True}


ALGS = 'algs="ES256 ES384 PS256 PS384 RS256 RS384"'


def show(method: str, path: str, token: str, proof: str | None, *, scheme: str = "DPoP", body: str = "") -> Any:
    """Show a token at an endpoint of ours."""
    headers = {"Authorization": f"{scheme} {token}"} | ({} if proof is None else {"DPoP": proof})
    return Browser().generic(method, path, body, content_type=FORM, headers=headers)


def assert_challenged(answer: Any, rule: str, error: str = "invalid_dpop_proof") -> None:
    assert_refused(answer, error, rule, 401)
    assert answer.headers["WWW-Authenticate"] == f'DPoP realm="smartauth", error="{error}", {ALGS}'
    assert ("DPoP-Nonce" in answer.headers) == (error == "use_dpop_nonce")


@pytest.mark.requirement("EXT-06", "EXT-07")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("path", ["/auth/sandbox/userinfo", "/auth/userinfo"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_wants_a_proof_of_its_own(
    browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder, path: str, method: str
) -> None:
    token = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana)), holder.proof()))["access_token"]
    url = f"{ISSUER}{path}"
    told = show(method, path, token, holder.proof(method, url, token))
    assert told.json()["sub"] == str(ana.subject)
    assert_challenged(show(method, path, token, None), "dpop.missing")
    assert_challenged(show(method, path, token, holder.proof(method, TOKEN_URL, token)), "dpop.htu")
    assert_challenged(show(method, path, token, Holder().proof(method, url, token)), "dpop.key")
    as_bearer = show(method, path, token, holder.proof(method, url, token), scheme="Bearer")
    assert_refused(as_bearer, "invalid_token", "token.bound", 401)
    challenge = f'Bearer realm="smartauth", error="invalid_token", DPoP realm="smartauth", {ALGS}'
    assert as_bearer.headers["WWW-Authenticate"] == challenge
    Client.objects.update(require_dpop_nonce=True)
    finding._live.clear()
    demanded = show(method, path, token, holder.proof(method, url, token))
    assert_challenged(demanded, "dpop.nonce_missing", "use_dpop_nonce")
    nonce = demanded.headers["DPoP-Nonce"]
    assert show(method, path, token, holder.proof(method, url, token, nonce=nonce)).status_code == 200


@pytest.mark.requirement("EXT-06")
@pytest.mark.usefixtures("small")
def test_what_userinfo_lacks_is_told_in_the_scheme_of_the_token(
    browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder
) -> None:
    launched = launch(browser, growth_chart, ana, scope="launch/patient patient/*.rs")
    token = body_of(ask(growth_chart, redemption(launched), holder.proof()))["access_token"]
    path = "/auth/sandbox/userinfo"
    answer = show("GET", path, token, holder.proof("GET", f"{ISSUER}{path}", token))
    assert answer.headers["WWW-Authenticate"] == 'DPoP realm="smartauth", error="insufficient_scope", scope="openid"'


@pytest.mark.requirement("EXT-06")
def test_a_caller_of_introspection_shows_its_bound_token_with_a_proof(
    get: Callable[..., Any], register: Callable[..., Service], holder: Holder
) -> None:
    who = register("bound-auditor", scope="__introspect system/*.rs", **BOUND)
    token = body_of(get(holder.proof(), who=who, scope="__introspect"))["access_token"]
    url = f"{ISSUER}{INTROSPECT}"
    body = urlencode({"token": token})
    told = show("POST", INTROSPECT, token, holder.proof("POST", url, token), body=body).json()
    assert (told["active"], told["cnf"]) == (True, {"jkt": holder.jkt})
    assert_challenged(show("POST", INTROSPECT, token, None, body=body), "dpop.missing")
    as_bearer = show("POST", INTROSPECT, token, None, scheme="Bearer", body=body)
    assert_refused(as_bearer, "invalid_token", "token.bound", 401)


# Proofs


FLAWS: list[tuple[str, dict[str, Any]]] = [
    ("dpop.typ", {"header": {"typ": ...}}),
    ("dpop.typ", {"header": {"typ": "JWT"}}),
    ("dpop.typ", {"header": {"typ": "at+jwt"}}),
    ("dpop.typ", {"header": {"typ": 5}}),
    ("dpop.alg", {"header": {"alg": ...}}),
    ("dpop.alg", {"header": {"alg": "none"}}),
    ("dpop.alg", {"header": {"alg": "HS256"}}),
    ("dpop.alg", {"header": {"alg": "ES512"}}),
    ("dpop.alg", {"header": {"alg": ["ES256"]}}),
    ("dpop.crit", {"header": {"crit": ["x"], "x": 1}}),
    ("dpop.crit", {"header": {"b64": False}}),
    ("dpop.jwk_missing", {"header": {"jwk": ...}}),
    ("dpop.jwk_missing", {"header": {"jwk": "a key"}}),
    ("dpop.jwk_missing", {"header": {"jwk": ..., "kid": "a", "jku": "https://evil.example/jwks"}}),
    ("dpop.jwk_kind", {"header": {"jwk": {}}}),
    ("dpop.jwk_kind", {"header": {"jwk": ECKey.generate_key("P-384").as_dict(private=False)}}),
    ("dpop.jwk_kind", {"header": {"alg": "RS256"}}),
    ("dpop.jwk_private", {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=True)}}),
    ("dpop.jwk_private", {"header": {"jwk": OctKey.generate_key(256).as_dict()}}),
    ("dpop.jwk", {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}}),
    ("dpop.jwk", {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": 5}}}),
    ("dpop.jwk", {"header": {"jwk": weak_rsa(), "alg": "RS256"}}),
    ("dpop.signature", {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}}),
    ("dpop.jti", {"jti": ...}),
    ("dpop.jti", {"jti": ""}),
    ("dpop.jti", {"jti": 7}),
    ("dpop.jti", {"jti": "x" * 256}),
    ("dpop.htm", {"htm": ...}),
    ("dpop.htm", {"htm": "GET"}),
    ("dpop.htm", {"htm": "post"}),
    ("dpop.htu", {"htu": ...}),
    ("dpop.htu", {"htu": ["http://127.0.0.1:8000/auth/sandbox/token"]}),
    ("dpop.htu", {"htu": f"{ISSUER}/auth/token"}),
    ("dpop.htu", {"htu": f"{ISSUER}/auth/north/token"}),
    ("dpop.htu", {"htu": f"{TOKEN_URL}/"}),
    ("dpop.htu", {"htu": "/auth/sandbox/token"}),
    ("dpop.htu", {"htu": "http://testserver/auth/sandbox/token"}),
    ("dpop.htu", {"htu": "https://127.0.0.1:8000/auth/sandbox/token"}),
    ("dpop.htu", {"htu": "http://127.0.0.1/auth/sandbox/token"}),
    ("dpop.htu", {"htu": "http://ana@127.0.0.1:8000/auth/sandbox/token"}),
    ("dpop.htu", {"htu": "http://[::1/auth/sandbox/token"}),
    ("dpop.iat", {"iat": ...}),
    ("dpop.iat", {"iat": "now"}),
    ("dpop.iat", {"iat": True}),
    ("dpop.iat", {"iat": -5}),
    ("dpop.exp", {"exp": 1}),
    ("dpop.exp", {"exp": "soon"}),
    ("dpop.nbf", {"nbf": 253_402_300_000}),
]


@pytest.mark.requirement("EXT-05", "EXT-07")
@pytest.mark.parametrize(("rule", "flaw"), FLAWS, ids=[f"{number}-{rule}" for number, (rule, _) in enumerate(FLAWS)])
def test_a_proof_with_one_flaw_is_refused_and_spends_nothing(
    get: Callable[..., Any], holder: Holder, rule: str, flaw: dict[str, Any]
) -> None:
    assert_proof_refused(get(holder.proof(**flaw)), rule)
    assert not ProofId.objects.exists()


@pytest.mark.requirement("EXT-05")
@pytest.mark.parametrize(
    ("seconds", "rule"),
    [(-3_600, "dpop.iat_old"), (-75, "dpop.iat_old"), (180, "dpop.iat_future"), (3_600, "dpop.iat_future")],
)
def test_a_proof_is_made_now(get: Callable[..., Any], holder: Holder, seconds: int, rule: str) -> None:
    assert_proof_refused(get(holder.proof(iat=int(timezone.now().timestamp()) + seconds)), rule)


@pytest.mark.requirement("EXT-05")
@pytest.mark.parametrize("seconds", [-60, -59, 0, 59, 60])
def test_clocks_may_be_a_minute_apart(db: None, holder: Holder, seconds: int) -> None:
    now = timezone.now().replace(microsecond=0)
    proof = holder.proof(iat=int(now.timestamp()) + seconds)
    assert verify_proof(proof, method="POST", url=TOKEN_URL, now=now, needs_nonce=False) == holder.jkt


SAME_URL = [
    "HTTP://127.0.0.1:8000/auth/sandbox/token",
    f"{TOKEN_URL}?a=b",
    f"{TOKEN_URL}#fragment",
    f"{ISSUER}/auth/s%61ndbox/token",
]


@pytest.mark.requirement("EXT-05")
@pytest.mark.parametrize("htu", SAME_URL)
def test_the_url_is_compared_as_urls_are(get: Callable[..., Any], holder: Holder, htu: str) -> None:
    assert body_of(get(holder.proof(htu=htu)))["token_type"] == "DPoP"


def test_the_default_port_may_be_written_or_not(db: None, holder: Holder) -> None:
    for htu, url in (("https://A.example:443/t", "https://a.example/t"), ("https://a.example", "https://a.example/")):
        proof = holder.proof(htu=htu)
        verify_proof(proof, method="POST", url=url, now=timezone.now(), needs_nonce=False)


@pytest.mark.requirement("EXT-05")
def test_the_url_is_ours_and_never_the_one_of_the_host_header(post: Post, exporter: Service, holder: Holder) -> None:
    params = {"grant_type": "client_credentials", "scope": "system/*.rs", **exporter.credentials(aud=ISSUER)}
    theirs = holder.proof(htu="http://localhost/auth/sandbox/token")
    assert_proof_refused(post(TOKEN, params, DPoP=theirs, Host="localhost"), "dpop.htu")
    params |= exporter.credentials(aud=ISSUER)
    assert body_of(post(TOKEN, params, DPoP=holder.proof(), Host="localhost"))["token_type"] == "DPoP"


def test_the_short_token_url_has_proofs_of_its_own(get: Callable[..., Any], holder: Holder) -> None:
    assert_proof_refused(get(holder.proof(), path="/auth/token"), "dpop.htu")
    assert body_of(get(holder.proof(url=f"{ISSUER}/auth/token"), path="/auth/token"))["token_type"] == "DPoP"


ODD = [
    ("dpop.missing", None),
    ("dpop.missing", ""),
    ("dpop.not_jwt", "x"),
    ("dpop.not_jwt", "a.b"),
    ("dpop.not_jwt", "a.b.c"),
    ("dpop.not_jws", "a.b.c.d.e"),
    ("dpop.too_large", "x" * 9_000),
]


@pytest.mark.requirement("EXT-05", "EXT-07")
@pytest.mark.parametrize(("rule", "header"), ODD, ids=lambda value: str(value)[:20])
def test_what_is_no_proof_is_refused(get: Callable[..., Any], rule: str, header: str | None) -> None:
    assert_proof_refused(get(header), rule)


@pytest.mark.requirement("EXT-05")
def test_two_proofs_are_none(get: Callable[..., Any], holder: Holder) -> None:
    assert_proof_refused(get(f"{holder.proof()}, {holder.proof()}"), "dpop.repeated")
    assert_proof_refused(get(f"{holder.proof()},"), "dpop.repeated")


@pytest.mark.requirement("EXT-05")
def test_a_name_that_stands_twice_in_a_proof_condemns_it(get: Callable[..., Any], holder: Holder) -> None:
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": holder.key.as_dict(private=False)}
    now = int(timezone.now().timestamp())
    payload = f'{{"jti":"a","jti":"b","htm":"POST","htu":"{TOKEN_URL}","iat":{now}}}'
    assert_proof_refused(get(holder.sign(header, payload)), "dpop.duplicate_member")
    assert_proof_refused(get(holder.sign(header, "[]")), "dpop.not_jwt")


def test_members_that_nobody_knows_are_ignored(get: Callable[..., Any], holder: Holder) -> None:
    proof = holder.proof(header={"kid": "mine", "x": {"y": 1}}, sub="anything", aud=7, ath="of no token")
    assert body_of(get(proof))["token_type"] == "DPoP"


@pytest.mark.requirement("JWT-07")
def test_a_client_assertion_is_no_proof_and_a_proof_no_assertion(
    post: Post, get: Callable[..., Any], exporter: Service, holder: Holder
) -> None:
    assert_proof_refused(get(exporter.credentials()["client_assertion"]), "dpop.typ")
    params = {"grant_type": "client_credentials", "scope": "system/*.rs", **exporter.credentials()}
    params["client_assertion"] = holder.proof(iss="exporter", sub="exporter", aud=ISSUER, exp=9_999_999_999)
    assert post(TOKEN, params, DPoP=holder.proof()).json()["error"] == "invalid_client"


@pytest.mark.requirement("EXT-05")
def test_a_proof_is_good_once(get: Callable[..., Any], holder: Holder) -> None:
    proof = holder.proof()
    body_of(get(proof))
    again = get(proof)
    assert_refused(again, "invalid_dpop_proof", "dpop.replayed")
    same_jti = holder.proof(jti=json_of(proof)["jti"], iat=json_of(proof)["iat"] + 1)
    assert_refused(get(same_jti), "invalid_dpop_proof", "dpop.replayed")
    assert AccessToken.objects.count() == 1


def json_of(proof: str) -> Any:
    body = proof.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_nobody_spends_the_jti_of_others(get: Callable[..., Any], holder: Holder) -> None:
    body_of(get(holder.proof(jti="common")))
    assert body_of(get(Holder().proof(jti="common")))["token_type"] == "DPoP"


def test_a_proof_is_not_spent_inside_a_transaction(transactional_db: None, holder: Holder) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        verify_proof(holder.proof(), method="POST", url=TOKEN_URL, now=timezone.now(), needs_nonce=False)


@pytest.mark.requirement("EXT-05")
def test_spent_proofs_are_forgotten_when_they_are_too_old_to_be_taken_again(
    get: Callable[..., Any], holder: Holder, capsys: pytest.CaptureFixture[str]
) -> None:
    body_of(get(holder.proof()))
    spent = ProofId.objects.get()
    latest = timezone.now() + config().dpop_window
    assert latest < spent.expires_at < latest + timedelta(minutes=2)
    call_command("purge")
    assert ProofId.objects.count() == 1
    ProofId.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    call_command("purge")
    assert not ProofId.objects.exists()


# Nonces


@pytest.fixture(params=["setting", "registration"])
def demanding(request: pytest.FixtureRequest, exporter: Service, configure: Configure) -> None:
    """Let every proof of the service need a nonce, because the operator or its registration wants it."""
    if request.param == "setting":
        configure(dpop_nonces="required")
    else:
        Client.objects.filter(client_id="exporter").update(require_dpop_nonce=True)
        registered._clients.clear()


@pytest.mark.requirement("EXT-05", "EXT-07")
@pytest.mark.usefixtures("demanding")
def test_a_nonce_is_demanded_and_given(get: Callable[..., Any], holder: Holder) -> None:
    first = get(holder.proof())
    assert_proof_refused(first, "dpop.nonce_missing", "use_dpop_nonce")
    assert not ProofId.objects.exists()
    nonce = first.headers["DPoP-Nonce"]
    for _ in range(2):  # It is good for several proofs.
        assert body_of(get(holder.proof(nonce=nonce)))["token_type"] == "DPoP"


NONCES = ["", "x", "é", 5, None, ["a"], "a" * 500]


@pytest.mark.requirement("EXT-05", "EXT-07")
@pytest.mark.usefixtures("demanding")
@pytest.mark.parametrize("nonce", NONCES, ids=lambda value: str(value)[:10])
def test_a_nonce_that_is_not_ours_is_none(get: Callable[..., Any], holder: Holder, nonce: Any) -> None:
    rule = "dpop.nonce_missing" if nonce is None else "dpop.nonce"
    assert_proof_refused(get(holder.proof(nonce=nonce)), rule, "use_dpop_nonce")


def test_a_nonce_that_is_not_ours_is_told_where_none_is_needed(get: Callable[..., Any], holder: Holder) -> None:
    answer = get(holder.proof(nonce="of another server"))
    assert_proof_refused(answer, "dpop.nonce", "use_dpop_nonce")
    assert body_of(get(holder.proof(nonce=answer.headers["DPoP-Nonce"])))["token_type"] == "DPoP"


def test_a_nonce_grows_old_and_has_one_spelling(configure: Configure) -> None:
    now = timezone.now()
    nonce = new_nonce(now)
    assert all(0x21 <= ord(letter) <= 0x7E and letter not in '"\\' for letter in nonce)  # RFC 9449 §8.1
    lifetime = config().dpop_nonce_lifetime
    moments = [timedelta(0), lifetime - timedelta(seconds=2), lifetime + timedelta(seconds=2), timedelta(days=1)]
    assert [is_good(nonce, now + age) for age in moments] == [True, True, False, False]
    assert not is_good(nonce, now - timedelta(minutes=5))
    assert not is_good(nonce + "=", now)
    assert not is_good(nonce[:-1], now)
    assert not is_good(encrypt(str(int(now.timestamp())).encode(), purpose="page cursor"), now)


@pytest.mark.usefixtures("small")
def test_a_demand_costs_no_code(
    browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder, configure: Configure
) -> None:
    configure(dpop_nonces="required")
    params = redemption(launch(browser, growth_chart, ana))
    demanded = ask(growth_chart, params, holder.proof())
    assert_proof_refused(demanded, "dpop.nonce_missing", "use_dpop_nonce")
    assert AuthorizationCode.objects.get().spent_at is None
    assert body_of(ask(growth_chart, params, holder.proof(nonce=demanded.headers["DPoP-Nonce"])))["patient"] == "ana"


# Codes and refresh tokens


@pytest.mark.requirement("EXT-08")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pushes", [False, True])
@pytest.mark.parametrize("name", ["growth_chart", "cardio"])
def test_a_code_whose_request_named_a_key_is_good_with_it_only(
    request: pytest.FixtureRequest,
    post: Post,
    browser: Browser,
    ask: Ask,
    ana: User,
    holder: Holder,
    name: str,
    pushes: bool,
) -> None:
    app: App = request.getfixturevalue(name)

    def launched() -> Launch:
        return (
            push_and_launch(post, browser, app, ana, {"dpop_jkt": holder.jkt})
            if pushes
            else launch(browser, app, ana, dpop_jkt=holder.jkt)
        )

    assert_refused(ask(app, redemption(launched()), Holder().proof()), "invalid_grant", "code.dpop_key")
    assert not AccessToken.objects.exists()
    assert body_of(ask(app, redemption(launched()), holder.proof()))["token_type"] == "DPoP"


def push_and_launch(
    post: Post, browser: Browser, app: App, user: User, params: dict[str, str], proof: str | None = None
) -> Launch:
    pkce = Pkce()
    asked = authorize_params(app, code_challenge=pkce.challenge, **params)
    headers = {} if proof is None else {"DPoP": proof}
    if app.secret is not None:
        headers["Authorization"] = basic(app.client_id, app.secret)
    request_uri = pushed_uri(post(PAR, asked, **headers))
    path = browser.get(AUTHORIZE, {"client_id": app.client_id, "request_uri": request_uri}).headers["Location"]
    told = callback(decide(browser, path, open_consent(browser, path, user)), app.redirect_uri)
    return Launch(told["code"], told["state"], pkce.verifier, app.client_id, app.redirect_uri)


PAR_URL = f"{ISSUER}{PAR}"


@pytest.mark.requirement("EXT-08")
@pytest.mark.usefixtures("small")
def test_a_push_with_a_proof_names_the_key_of_the_proof(
    post: Post, browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder
) -> None:
    launched = push_and_launch(post, browser, growth_chart, ana, {}, holder.proof(url=PAR_URL))
    assert AuthorizationCode.objects.get().dpop_jkt == holder.jkt
    assert_refused(ask(growth_chart, redemption(launched), Holder().proof()), "invalid_grant", "code.dpop_key")
    both = push_and_launch(post, browser, growth_chart, ana, {"dpop_jkt": holder.jkt}, holder.proof(url=PAR_URL))
    assert body_of(ask(growth_chart, redemption(both), holder.proof()))["token_type"] == "DPoP"


@pytest.mark.requirement("EXT-05", "EXT-08")
def test_a_push_with_a_proof_that_does_not_hold_is_refused(post: Post, growth_chart: App, holder: Holder) -> None:
    asked = authorize_params(growth_chart)
    proof = holder.proof(url=PAR_URL)
    pushed_uri(post(PAR, asked, DPoP=proof))
    assert_refused(post(PAR, asked, DPoP=proof), "invalid_dpop_proof", "dpop.replayed")
    assert_refused(post(PAR, asked, DPoP=holder.proof()), "invalid_dpop_proof", "dpop.htu")
    other = post(PAR, asked | {"dpop_jkt": Holder().jkt}, DPoP=holder.proof(url=PAR_URL))
    assert_refused(other, "invalid_dpop_proof", "dpop.jkt")
    Client.objects.update(require_dpop_nonce=True)
    registered._clients.clear()
    demanded = post(PAR, asked, DPoP=holder.proof(url=PAR_URL))
    assert_refused(demanded, "use_dpop_nonce", "dpop.nonce_missing")
    pushed_uri(post(PAR, asked, DPoP=holder.proof(url=PAR_URL, nonce=demanded.headers["DPoP-Nonce"])))
    assert PendingAuthorization.objects.count() == 2


@pytest.mark.parametrize("jkt", ["x", "a" * 44, "a" * 42 + "=", "é" * 43])
def test_a_key_is_named_by_its_thumbprint(post: Post, browser: Browser, growth_chart: App, jkt: str) -> None:
    asked = authorize_params(growth_chart, dpop_jkt=jkt)
    answer = browser.get(AUTHORIZE, asked)
    assert isinstance(answer, HttpResponse)
    assert told_in(answer, growth_chart.redirect_uri, asked["state"], "invalid_request").rule == "authorize.dpop_jkt"
    assert_refused(post(PAR, asked), "invalid_request", "authorize.dpop_jkt")


def test_a_code_without_a_proof_gives_nothing_and_is_not_spent(
    small: Any, browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder
) -> None:
    params = redemption(launch(browser, growth_chart, ana))
    assert_proof_refused(ask(growth_chart, params, None), "dpop.missing")
    assert body_of(ask(growth_chart, params, holder.proof()))["token_type"] == "DPoP"


def refresh_with(ask: Ask, app: App, token: str, proof: str | None) -> Any:
    return ask(app, {"grant_type": "refresh_token", "refresh_token": token}, proof)


@pytest.mark.requirement("EXT-08")
@pytest.mark.usefixtures("small")
def test_a_refresh_token_of_a_public_app_is_good_with_its_key_only(
    browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder
) -> None:
    first = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana)), holder.proof()))
    foreign = refresh_with(ask, growth_chart, first["refresh_token"], Holder().proof())
    assert_refused(foreign, "invalid_grant", "refresh_token.dpop_key")
    assert_refused(refresh_with(ask, growth_chart, first["refresh_token"], None), "invalid_dpop_proof", "dpop.missing")
    second = body_of(refresh_with(ask, growth_chart, first["refresh_token"], holder.proof()))
    assert second["token_type"] == "DPoP"
    assert second["access_token"] != first["access_token"]
    # Whoever shows the old one without the key ends nothing.
    RefreshToken.objects.exclude(rotated_at=None).update(rotated_at=timezone.now() - timedelta(hours=1))
    foreign = refresh_with(ask, growth_chart, first["refresh_token"], Holder().proof())
    assert_refused(foreign, "invalid_grant", "refresh_token.dpop_key")
    third = body_of(refresh_with(ask, growth_chart, second["refresh_token"], holder.proof()))
    assert {row.claims["cnf"]["jkt"] for row in AccessToken.objects.all()} == {holder.jkt}
    assert set(RefreshToken.objects.values_list("dpop_jkt", flat=True)) == {holder.jkt}
    # With the key it is what it always was.
    reused = refresh_with(ask, growth_chart, first["refresh_token"], holder.proof())
    assert_refused(reused, "invalid_grant", "refresh_token.reused")
    assert refresh_with(ask, growth_chart, third["refresh_token"], holder.proof()).status_code == 400


@pytest.mark.requirement("EXT-08")
@pytest.mark.usefixtures("small")
def test_a_binding_outlives_the_registration_that_asked_for_it(
    browser: Browser, ask: Ask, ana: User, growth_chart: App, holder: Holder
) -> None:
    first = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana)), holder.proof()))
    waiting = launch(browser, growth_chart, ana, dpop_jkt=holder.jkt)
    Client.objects.update(dpop_bound_access_tokens=False)
    registered._clients.clear()
    answer = refresh_with(ask, growth_chart, first["refresh_token"], None)
    assert_refused(answer, "invalid_grant", "refresh_token.dpop_key")
    assert_refused(ask(growth_chart, redemption(waiting), None), "invalid_grant", "code.dpop_key")


@pytest.mark.usefixtures("small")
def test_a_confidential_app_may_come_with_a_new_key(
    browser: Browser, ask: Ask, ana: User, cardio: App, holder: Holder
) -> None:
    first = body_of(ask(cardio, redemption(launch(browser, cardio, ana)), holder.proof()))
    other = Holder()
    assert body_of(refresh_with(ask, cardio, first["refresh_token"], other.proof()))["token_type"] == "DPoP"
    assert AccessToken.objects.latest("created").claims["cnf"] == {"jkt": other.jkt}


# Registration, costs, pages of other origins


def test_registration_keeps_and_tells_what_a_client_wants(db: None) -> None:
    client = register_client(web_app(dpop_bound_access_tokens=True, require_dpop_nonce=True), operator=True).client
    told = describe_client(client)
    assert (told["dpop_bound_access_tokens"], told["require_dpop_nonce"]) == (True, True)
    assert "dpop_bound_access_tokens" not in describe_client(register_client(phone_app(), operator=True).client)


@pytest.mark.parametrize(
    ("member", "metadata"),
    [
        ("dpop_bound_access_tokens", {"dpop_bound_access_tokens": "true"}),
        ("require_dpop_nonce", {"dpop_bound_access_tokens": True, "require_dpop_nonce": 1}),
        ("require_dpop_nonce", {"require_dpop_nonce": True}),
    ],
)
def test_what_a_client_wants_is_true_or_false_and_fits(db: None, member: str, metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidClientMetadata) as refused:
        register_client(phone_app(**metadata), operator=True)
    assert refused.value.member == member


@pytest.mark.usefixtures("small", "serving")
def test_a_proof_costs_one_statement(
    browser: Browser,
    ask: Ask,
    ana: User,
    get: Callable[..., Any],
    register: Callable[..., Service],
    holder: Holder,
    growth_chart: App,
    tenant: TenantInfo,
) -> None:
    def cost(act: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            body_of(act())
        return statements(captured)

    def code(app: App, proof: str | None) -> int:
        params = redemption(launch(browser, app, ana))
        return cost(lambda: ask(app, params, proof))

    plain, plain_app = register(), make_app(phone_app(client_id="plain"), tenant)
    for _ in range(2):  # The first fills what is remembered.
        service = (cost(lambda: get(None, who=plain)), cost(lambda: get(holder.proof())))
        app = (code(plain_app, None), code(growth_chart, holder.proof()))
    assert (service[1], app[1]) == (service[0] + 1, app[0] + 1)
    assert app[0] <= STATEMENTS


def test_pages_of_registered_origins_may_send_proofs_and_read_nonces(
    growth_chart: App, ask: Ask, post: Post, holder: Holder, configure: Configure
) -> None:
    configure(dpop_nonces="required")
    origin = "https://cardio.example.org"
    for path in (TOKEN, PAR, "/auth/sandbox/userinfo", "/fhir/sandbox/r4/Patient"):
        asked: Any = Browser().options(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert "DPoP" in asked.headers["Access-Control-Allow-Headers"].split(", ")
    params = {"grant_type": "authorization_code", "client_id": "growth-chart", "code": "x"}
    refused = post(TOKEN, params, DPoP=holder.proof(), Origin=origin)
    assert refused.json()["error"] == "use_dpop_nonce"
    assert "DPoP-Nonce" in refused.headers["Access-Control-Expose-Headers"].split(", ")
    assert refused.headers["Access-Control-Allow-Origin"] == origin
