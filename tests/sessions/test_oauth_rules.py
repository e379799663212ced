"""Rules that no endpoint has for itself alone.  RFC 9700 §2 and §4; RFC 8725 §3.2; OIDC Core §2."""

import hmac
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.test import Client as Browser
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import KeySet

from clients.models import Client
from clients.tenants import TenantInfo
from smartauth import keys
from smartauth.context import new_context
from smartauth.models import Authorization, SigningKey
from smartauth.people.models import User
from tests.conftest import Configure
from tests.endpoints.app_launch import AUTHORIZE, App, authorize_params, begin, callback, decide, open_consent
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_token_client_credentials import TOKEN
from tests.endpoints.test_token_refresh_token import Start
from tests.factories import make_tenant

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize(
    "response_type", ["token", "id_token", "id_token token", "code token", "code id_token", "none"]
)
def test_no_token_ever_travels_through_the_browser(growth_chart: App, response_type: str) -> None:
    params = authorize_params(growth_chart, response_type=response_type)
    told = callback(Browser().get(f"{AUTHORIZE}?{urlencode(params)}"), growth_chart.redirect_uri)
    assert told.keys() == {"error", "error_description", "state"}
    assert told["error"] == "unsupported_response_type"


@pytest.mark.requirement("SEC-01")
def test_nobody_gives_a_password_to_an_app(cardio: App, post: Post, ana: User) -> None:
    params = {"grant_type": "password", "username": "ana", "password": "correct horse battery staple"}
    answer = post(TOKEN, {**params, "client_id": "growth-chart"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    for document in ("openid-configuration", "smart-configuration", "oauth-authorization-server"):
        body = Browser().get(f"/.well-known/{document}").json()
        assert body["response_types_supported"] == ["code"]
        assert body["grant_types_supported"] == ["authorization_code", "refresh_token", "client_credentials"]


@pytest.mark.requirement("SEC-02")
def test_an_answer_names_no_server_so_each_gets_a_redirect_uri_of_its_own(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    path = begin(browser, growth_chart)
    told = callback(decide(browser, path, open_consent(browser, path, ana)), growth_chart.redirect_uri)
    assert told.keys() == {"code", "state"}
    document = browser.get("/.well-known/openid-configuration").json()
    assert not document.get("authorization_response_iss_parameter_supported")
    guide = Path(__file__).parents[2] / "docs" / "how-to" / "connect-an-app.md"
    assert "## One redirect URI for each server" in guide.read_text()


@pytest.mark.requirement("SEC-05")
def test_a_token_is_for_one_fhir_base(start: Start, post: Post, auditor: Service) -> None:
    make_tenant("north")
    token = start(scope="launch/patient patient/Observation.rs")["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    elsewhere = Browser().get("/fhir/north/r4/Observation?patient=ana", headers=headers)
    assert elsewhere.status_code == 401
    assert 'error="invalid_token"' in elsewhere.headers["WWW-Authenticate"]
    assert Browser().get("/fhir/sandbox/r4/Observation?patient=ana", headers=headers).status_code == 200
    assert Browser().get("/fhir/sandbox/r4/Condition?patient=ana", headers=headers).status_code == 403
    told = post(INTROSPECT, {"token": token, **auditor.credentials()}).json()
    assert told["aud"] == "http://127.0.0.1:8000/fhir/sandbox/r4"


@pytest.mark.requirement("SEC-06")
def test_secrets_and_verifiers_are_compared_in_constant_time(
    start: Start, cardio: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    real = hmac.compare_digest

    def watched(a: str, b: str) -> bool:
        compared.append(len(a))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    start(cardio)
    assert {64, 43} <= set(compared)  # The digest of the client's secret, and the challenge of the code.


ECHOED = '"><script>alert(1)</script>'


@pytest.mark.requirement("SEC-10")
@pytest.mark.parametrize(
    "path",
    [
        f"{AUTHORIZE}?{urlencode({'client_id': ECHOED, 'state': ECHOED})}",
        f"{AUTHORIZE}?{urlencode({'client_id': 'growth-chart', 'redirect_uri': ECHOED})}",
        f"/auth/sandbox/logout?{urlencode({'client_id': ECHOED, 'state': ECHOED})}",
        f"/auth/sandbox/logout?{urlencode({'post_logout_redirect_uri': ECHOED})}",
        f"/auth/logout/confirm?{urlencode({'request': ECHOED})}",
        f"/account/login/?{urlencode({'next': ECHOED})}",
        f"/nothing/{ECHOED}",
    ],
)
def test_what_was_sent_is_no_part_of_a_page_but_text(growth_chart: App, path: str) -> None:
    page = Browser().get(path).content.decode()
    assert "<h1>" in page
    assert "<script>alert" not in page


@pytest.mark.requirement("SEC-10", "SEC-11")
def test_the_name_of_an_app_is_shown_as_text_and_cut_where_people_decide(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    Client.objects.update(name=f"{ECHOED}{'x' * 200}")
    page = open_consent(browser, begin(browser, growth_chart), ana).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "x" * 80 not in page.replace("<title>", "").partition("<main")[2]


@pytest.mark.requirement("SEC-12")
@pytest.mark.parametrize("mode", ["web_message", "fragment", "form_post", "query.jwt"])
def test_answers_go_by_redirect_alone(growth_chart: App, mode: str) -> None:
    params = authorize_params(growth_chart, response_mode=mode)
    answer = Browser().get(f"{AUTHORIZE}?{urlencode(params)}")
    told = callback(answer, growth_chart.redirect_uri)
    assert (told["error"], answer.content) == ("invalid_request", b"")
    assert Browser().get("/.well-known/openid-configuration").json()["response_modes_supported"] == ["query"]


@pytest.mark.requirement("SEC-14")
def test_our_own_keys_are_strong(db: None) -> None:
    published = keys.published_keys(timezone.now())
    assert {(key["kty"], key["alg"]) for key in published} == {("RSA", "RS256"), ("EC", "ES256")}
    assert all(key["crv"] == "P-256" for key in published if key["kty"] == "EC")
    rsa = [key for key in published if key["kty"] == "RSA"]
    assert all(len(key["n"]) * 6 >= 3072 for key in rsa)


class TestRolledKeys:
    """ID tokens stay verifiable while they live, whatever key signs the next.  OIDC Core §10.1.1."""

    @staticmethod
    def published(browser: Browser) -> KeySet:
        return KeySet.import_key_set(browser.get("/.well-known/jwks.json").json())

    @pytest.mark.requirement("OIDC-04", "T-41")
    def test_the_old_and_the_new_key_are_published_together(self, browser: Browser, start: Start) -> None:
        def step() -> None:
            SigningKey.objects.filter(state="next").update(created_at=timezone.now() - keys.PUBLISHED_BEFORE_USE)
            keys.rotate("id_token", "RS256", context=new_context(), now=timezone.now())

        before = start()["id_token"]
        step()  # Whoever reads the set now knows the key that will sign.
        early = self.published(browser)
        step()
        after = start()["id_token"]
        late = self.published(browser)
        kids = []
        for token in (before, after):
            for known in (early, late):
                kids.append(jwt.decode(token, known, algorithms=["RS256"]).header["kid"])
        assert kids[0] == kids[1] != kids[2] == kids[3]

    @pytest.mark.requirement("OIDC-04")
    def test_a_retired_key_is_published_until_the_last_token_it_signed_has_expired(self, configure: Configure) -> None:
        configure(id_token_lifetime=timedelta(hours=3))
        now = timezone.now()
        old = keys.id_token_signer("ES256", now).kid
        keys.rotate("id_token", "ES256", context=new_context(), now=now)
        later = now + timedelta(minutes=20)
        keys.rotate("id_token", "ES256", context=new_context(), now=later)
        assert old in {key["kid"] for key in keys.published_keys(later + timedelta(hours=3))}
        assert old not in {key["kid"] for key in keys.published_keys(later + timedelta(hours=4))}


@pytest.mark.requirement("OIDC-05")
@pytest.mark.parametrize("max_age", ["0", "3600"])
def test_auth_time_is_when_the_user_proved_who_they_are(
    browser: Browser, start: Start, growth_chart: App, tenant: TenantInfo, max_age: str
) -> None:
    start()
    earlier = timezone.now() - timedelta(minutes=30)
    session = browser.session
    session["account_authentication_methods"][-1]["at"] = earlier.timestamp()
    session.save()
    token = start(max_age=max_age)["id_token"]
    known = KeySet.import_key_set(browser.get("/.well-known/jwks.json").json())
    claims = jwt.decode(token, known, algorithms=["RS256"]).claims
    row = Authorization.objects.latest("created_at")
    assert claims["auth_time"] == int(row.auth_time.timestamp())
    if max_age == "0":  # The user had to sign in once more.
        assert claims["auth_time"] > earlier.timestamp() + 60
    else:
        assert claims["auth_time"] == int(earlier.timestamp())


@pytest.mark.requirement("INTRO-06")
def test_introspection_tells_what_kind_of_token_it_is_and_since_when(
    start: Start, post: Post, auditor: Service
) -> None:
    token = start()
    told = post(INTROSPECT, {"token": token["access_token"], **auditor.credentials()}).json()
    assert told["token_type"] == "Bearer"
    assert told["iat"] == told["nbf"] == told["exp"] - token["expires_in"]
    assert told["aud"] == "http://127.0.0.1:8000/fhir/sandbox/r4"
    assert len(told["jti"]) >= 16
    assert "username" not in told
