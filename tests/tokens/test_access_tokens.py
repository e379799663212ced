"""Access tokens: what they look like, where they count, and that nothing else passes for one.

RFC 6750 §2.1; RFC 9068 §2 and §4; RFC 8725 §2.8 and §3.11; RFC 9700 §2.3; SMART 2.2 app-launch, "Obtain access token".
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.compact_jws import parse_compact_jws
from clients.models import Client
from clients.tenants import TenantInfo
from fhirproxy.models import Upstream
from smartauth import keys
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.tokens.issuing import LARGEST_JWT
from tests.conftest import Configure
from tests.endpoints.app_launch import FHIR_BASE, App, launch
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_revoke import REVOKE
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.endpoints.test_token_refresh_token import Refresh, Start
from tests.endpoints.token_requests import verified
from tests.factories import ASSERTION_TYPE, ISSUER, make_tenant
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

USERINFO = "/auth/sandbox/userinfo"
B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
FORMATS = pytest.mark.parametrize("form", ["jwt", "opaque"])


def userinfo(token: str) -> HttpResponse:
    return Browser().get(USERINFO, headers={"Authorization": f"Bearer {token}"})


def rule_of(answer: HttpResponse) -> str:
    return Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule


def at_hash(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).decode().rstrip("=")


@pytest.mark.requirement("AT-01", "AT-07")
@FORMATS
def test_a_token_fits_a_header_and_is_stored_as_a_digest(
    post: Post, bulk_loader: Service, configure: Configure, form: str
) -> None:
    configure(access_token_format=form)
    values = [post(TOKEN, {**GRANT, **bulk_loader.credentials()}).json()["access_token"] for _ in range(5)]
    for value in values:
        assert B64TOKEN.fullmatch(value)
        assert value.count(".") == (2 if form == "jwt" else 0)
        assert len(value) >= 43  # 256 bits in base64url
    assert len(set(values)) == 5
    rows = AccessToken.objects.all()
    assert {row.token_checksum for row in rows} == {digest(value) for value in values}
    assert not [value for value in values if value in str([row.__dict__ for row in rows])]


@pytest.mark.requirement("AT-07", "AT-08")
@FORMATS
def test_both_formats_work_everywhere_and_end_by_revocation(
    configure: Configure,
    start: Start,
    refresh: Refresh,
    call: Caller,
    post: Post,
    auditor: Service,
    growth_chart: App,
    form: str,
) -> None:
    configure(access_token_format=form)
    first = start()
    token = refresh(first["refresh_token"]).json()["access_token"]
    assert ("." in token) is (form == "jwt")
    assert verified(first["id_token"], "RS256").claims["at_hash"] == at_hash(first["access_token"])

    assert call("/Patient/ana", token).json()["id"] == "ana"
    assert call("/Patient/ben", token).status_code == 404
    assert userinfo(token).json()["fhirUser"] == f"{FHIR_BASE}/Patient/ana"
    told = post(INTROSPECT, {"token": token, **auditor.credentials()}).json()
    assert (told["active"], told["scope"], told["patient"]) == (True, first["scope"], "ana")

    assert post(REVOKE, {"token": token, "client_id": growth_chart.client_id}).status_code == 200
    assert call("/Patient/ana", token).status_code == userinfo(token).status_code == 401
    assert post(INTROSPECT, {"token": token, **auditor.credentials()}).json() == {"active": False}


def many(count: int) -> str:
    """Return so many scopes that none covers another."""
    return " ".join(f"system/Observation.rs?code=http://loinc.org|{number}-7" for number in range(1000, 1000 + count))


@pytest.mark.requirement("AT-07")
@pytest.mark.parametrize(("count", "told"), [(20, True), (30, True), (60, False), (200, False)])
def test_a_jwt_that_would_be_too_large_leaves_its_scope_behind(
    post: Post, call: Caller, register: Callable[..., Service], auditor: Service, count: int, told: bool
) -> None:
    who = register("wide", scope="system/*.rs")
    scope = many(count)
    body = post(TOKEN, {"grant_type": "client_credentials", "scope": scope, **who.credentials()}).json()
    token = body["access_token"]

    assert body["scope"] == scope
    claims = verified(token, "ES256").claims
    assert ("scope" in claims) is told
    assert len(token) <= LARGEST_JWT == 3_072
    assert (claims["sub"], claims["aud"], claims["jti"]) == ("wide", FHIR_BASE, AccessToken.objects.get().claims["jti"])

    seen = post(INTROSPECT, {"token": token, **auditor.credentials()}).json()
    assert (seen["active"], seen["scope"]) == (True, scope)
    assert call("/Observation?code=http://loinc.org|1001-7", token).status_code == 200
    assert call("/Condition", token).status_code == 403


CLAIMS = {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope"}
LAUNCHED = {"auth_time", "fhirUser", "patient", "need_patient_banner", "smart_style_url"}


@pytest.mark.requirement("AT-03", "JWT-09")
def test_its_claims_are_those_of_the_standard_and_of_the_launch_and_no_others(
    start: Start, get_token: Callable[..., str], bulk_loader: Service
) -> None:
    before = int(datetime.now(UTC).timestamp())
    tokens = [start()["access_token"], start()["access_token"], get_token(bulk_loader), get_token(bulk_loader)]
    jtis = set()
    for token, expected in zip(tokens, [CLAIMS | LAUNCHED] * 2 + [CLAIMS] * 2, strict=True):
        parsed = verified(token, "ES256")
        assert (parsed.header["typ"], parsed.header["alg"]) == ("at+jwt", "ES256")
        assert set(parsed.claims) == expected
        for name in {"iat", "exp", "auth_time"} & expected:
            assert type(parsed.claims[name]) is int
        assert before <= parsed.claims["iat"] <= datetime.now(UTC).timestamp()
        assert isinstance(parsed.claims["aud"], str)
        jtis.add(parsed.claims["jti"])
    assert len(jtis) == 4


@pytest.mark.requirement("JWT-09", "JWT-07")
def test_the_times_of_an_id_token_are_whole_seconds_too(start: Start) -> None:
    token = verified(start()["id_token"], "RS256")
    assert {type(token.claims[name]) for name in ("iat", "exp", "auth_time")} == {int}
    assert token.claims["iat"] <= datetime.now(UTC).timestamp()
    assert token.header["typ"] == "JWT"


@pytest.mark.requirement("AT-02")
def test_it_counts_at_the_base_it_was_issued_for_and_at_no_other(
    tenant: TenantInfo, call: Caller, register: Callable[..., Service], get_token: Callable[..., str]
) -> None:
    north = make_tenant("north")
    upstream = Upstream.objects.get()
    upstream.pk, upstream.tenant_id = None, north.pk
    upstream.save(force_insert=True)
    token = get_token(register(activate_at=(tenant, north)))
    assert call("/Patient/ana", token).status_code == 200
    other = Browser().get("/fhir/north/r4/Patient/ana", headers={"Authorization": f"Bearer {token}"})
    assert other.status_code == 401
    assert 'error="invalid_token"' in other.headers["WWW-Authenticate"]
    assert rule_of(other) == "token.audience"
    elsewhere = Browser().get("/auth/north/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert (elsewhere.status_code, rule_of(elsewhere)) == (401, "token.audience")


@pytest.mark.requirement("AT-05")
def test_it_ends_with_the_second_of_its_expiry(start: Start, call: Caller) -> None:
    token = start()["access_token"]
    AccessToken.objects.update(expires=timezone.now() + timedelta(seconds=5))
    assert call("/Patient/ana", token).status_code == 200
    AccessToken.objects.update(expires=timezone.now())
    answer = call("/Patient/ana", token)
    assert (answer.status_code, rule_of(answer)) == (401, "token.expired")
    assert userinfo(token).status_code == 401


def forged(now: datetime, claims: dict[str, Any], **changes: Any) -> str:
    return keys.access_token_signer(now).sign({**claims, **changes}, typ="at+jwt")


@pytest.mark.requirement("AT-04", "JWT-03")
def test_what_our_own_key_signed_is_nothing_without_its_row(
    start: Start, call: Caller, post: Post, auditor: Service
) -> None:
    """Whoever steals the signing key has no token of ours."""
    token = start()["access_token"]
    now, claims = timezone.now(), AccessToken.objects.get().claims
    header, payload, signature = token.split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).decode().rstrip("=")
    for other in (
        forged(now, claims),
        forged(now, claims, scope="user/*.cruds", patient="ben"),
        forged(now, claims, exp=claims["exp"] + 3600),
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
    ):
        for answer in (call("/Patient/ana", other), userinfo(other)):
            assert (answer.status_code, rule_of(answer)) == (401, "token.unknown")
        assert post(INTROSPECT, {"token": other, **auditor.credentials()}).json() == {"active": False}
    assert call("/Patient/ana", token).status_code == 200


@pytest.mark.requirement("AT-04", "T-61")
def test_a_revoked_jwt_is_dead_although_its_signature_and_its_time_are_good(start: Start, call: Caller) -> None:
    token = start()["access_token"]
    Authorization.objects.update(revoked_at=timezone.now(), revoked_by="user")
    assert verified(token, "ES256").claims["exp"] > datetime.now(UTC).timestamp()
    answer = call("/Patient/ana", token)
    assert (answer.status_code, rule_of(answer)) == (401, "token.authorization_revoked")


KINDS = ("access_token", "refresh_token", "id_token", "code", "assertion", "session", "registration")
PLACES = ("proxy", "userinfo", "introspect", "refresh", "code", "assertion")
AT_HOME = {
    ("access_token", "proxy"),
    ("access_token", "userinfo"),
    ("access_token", "introspect"),
    ("refresh_token", "refresh"),
    ("code", "code"),
    ("assertion", "assertion"),
}


class TestKinds:
    """One kind of token shown where another belongs."""

    @pytest.fixture
    def held(
        self, start: Start, browser: Browser, growth_chart: App, ana: User, register: Callable[..., Service]
    ) -> dict[str, str]:
        """One of each kind, all of them good."""
        values = start()
        Client.objects.update(registration_access_token=digest("registration-token"))
        launched = launch(browser, growth_chart, ana)
        return {
            **{name: values[name] for name in ("access_token", "refresh_token", "id_token")},
            "code": launched.code,
            "verifier": launched.verifier,
            "redirect_uri": launched.redirect_uri,
            "assertion": register().credentials()["client_assertion"],
            "session": browser.session.session_key or "",
            "registration": "registration-token",
        }

    def show(self, place: str, value: str, held: dict[str, str], call: Caller, post: Post, auditor: Service) -> Any:
        match place:
            case "proxy":
                return call("/Patient/ana", value)
            case "userinfo":
                return userinfo(value)
            case "introspect":
                return post(INTROSPECT, {"token": value, **auditor.credentials()})
            case "refresh":
                params = {"grant_type": "refresh_token", "refresh_token": value, "client_id": "growth-chart"}
                return post(TOKEN, params)
            case "code":
                params = {"grant_type": "authorization_code", "code": value, "client_id": "growth-chart"}
                proof = {"code_verifier": held["verifier"], "redirect_uri": held["redirect_uri"]}
                return post(TOKEN, params | proof)
            case _:
                return post(TOKEN, {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": value})

    @pytest.mark.requirement("AT-06", "JWT-07")
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_is_good_in_its_own_place_only(
        self, held: dict[str, str], call: Caller, post: Post, auditor: Service, kind: str
    ) -> None:
        for place in PLACES:
            answer = self.show(place, held[kind], held, call, post, auditor)
            is_taken = answer.status_code == 200 and answer.json() != {"active": False}
            assert is_taken is ((kind, place) in AT_HOME), f"{kind} at {place}: {answer.status_code}"
            if not is_taken:
                assert answer.status_code == {"introspect": 200, "refresh": 400, "code": 400}.get(place, 401)

    @pytest.mark.requirement("JWT-07")
    def test_what_a_client_signs_as_an_access_token_is_none(
        self, call: Caller, bulk_loader: Service, register: Callable[..., Service]
    ) -> None:
        claims = {"scope": "system/*.rs", "client_id": "bulk-loader", "aud": FHIR_BASE, "iss": ISSUER}
        assertion = bulk_loader.credentials(**claims)["client_assertion"]
        assert parse_compact_jws(assertion).claims["scope"] == "system/*.rs"
        assert call("/Patient/ana", assertion).status_code == 401


class TestServices:
    """The token of a backend service is nobody's.  RFC 9068 §2.2 and §5; SMART 2.2 backend-services."""

    @pytest.mark.requirement("BACK-12")
    def test_its_subject_is_the_client_and_no_user_stands_behind_it(
        self, call: Caller, post: Post, bulk_loader: Service, auditor: Service, get_token: Callable[..., str]
    ) -> None:
        token = get_token(bulk_loader)
        told = post(INTROSPECT, {"token": token, **auditor.credentials()}).json()
        assert told["sub"] == told["client_id"] == "bulk-loader"
        assert not {"fhirUser", "patient", "auth_time", "username"} & set(told)
        answer = userinfo(token)
        assert (answer.status_code, rule_of(answer)) == (403, "userinfo.openid")
        assert call("/Patient/ana", token).status_code == 200
        recording._buffer.flush()
        assert {record.user_id for record in AuditRecord.objects.filter(client_id="bulk-loader")} == {None}

    @pytest.mark.requirement("BACK-12")
    def test_one_that_is_called_like_a_user_is_not_that_user(
        self, call: Caller, register: Callable[..., Service], get_token: Callable[..., str], ana: User
    ) -> None:
        for name in (ana.username, str(ana.subject)):
            who = register(name, scope="system/Observation.rs")
            token = get_token(who, "system/Observation.rs")
            assert AccessToken.objects.get(application__client_id=name).user_id is None
            assert call("/Patient/ana", token).status_code == 403
            assert userinfo(token).status_code == 403

    BOUNDS = [
        # restrictions             ana's record  ben's record
        ({},                       200,          200),
        ({"patients": ["ana"]},    200,          404),
        ({"patients": []},         403,          403),
    ]  # fmt: skip

    @pytest.mark.requirement("BACK-09")
    @pytest.mark.parametrize(("restrictions", "ana_s", "ben_s"), BOUNDS)
    def test_its_restrictions_hold_whatever_its_scopes_say(
        self,
        call: Caller,
        register: Callable[..., Service],
        get_token: Callable[..., str],
        restrictions: dict[str, Any],
        ana_s: int,
        ben_s: int,
    ) -> None:
        token = get_token(register(scope="system/*.cruds", restrictions=restrictions), "system/*.rs")
        assert (call("/Patient/ana", token).status_code, call("/Patient/ben", token).status_code) == (ana_s, ben_s)

    @pytest.mark.requirement("BACK-10", "T-65")
    def test_what_no_scope_covers_fails_at_the_first_request(
        self, call: Caller, bulk_loader: Service, get_token: Callable[..., str]
    ) -> None:
        token = get_token(bulk_loader, "system/Observation.rs")
        for path in ("/Patient", "/Patient/ana", "/Condition?patient=ana"):
            answer = call(path, token)
            assert answer.status_code == 403
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]

    @pytest.mark.requirement("BACK-06", "T-64")
    def test_scopes_of_people_give_it_nothing_of_theirs(self, post: Post, register: Callable[..., Service]) -> None:
        who = register(scope="system/*.rs openid fhirUser offline_access online_access launch launch/patient")
        asked = "openid fhirUser profile offline_access online_access launch launch/patient system/Patient.rs"
        body = post(TOKEN, {"grant_type": "client_credentials", "scope": asked, **who.credentials()}).json()
        assert body["scope"] == "system/Patient.rs"
        assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
        assert set(AccessToken.objects.get().claims) == CLAIMS

    @pytest.mark.requirement("BACK-02")
    @pytest.mark.parametrize("scope", [..., "", " "])
    def test_it_must_say_what_it_wants(self, post: Post, bulk_loader: Service, scope: Any) -> None:
        asked = {} if scope is ... else {"scope": scope}
        answer = post(TOKEN, {"grant_type": "client_credentials", **asked, **bulk_loader.credentials()})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
        assert rule_of(answer) == "scope.missing"
        assert not AccessToken.objects.exists()
