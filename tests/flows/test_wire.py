"""What only real HTTP shows: names of headers in any case, long lines, and what ends up in addresses and logs.

RFC 9110 §5.1, §11.1 and §15.5.15; RFC 9700 §4.3; RFC 6819 §4.
"""

import base64
import hashlib
import http.client
import secrets
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from joserfc import jwt

from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.factories import ASSERTION_TYPE, claims_at
from tests.world import App, MakeApp, MakePartner, MakePerson, World, make_app, make_partner, make_person

__all__ = ["make_app", "make_partner", "make_person"]

SCOPE = "launch/patient openid fhirUser offline_access patient/Patient.rs"
LONG = 8 * 1024  # bytes that a header line and a URL may have at least


def send(url: str, method: str, headers: dict[str, str], body: str = "") -> tuple[int, bytes]:
    """Send exactly these names of headers."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)) as connection:
        connection.putrequest(method, url.removeprefix(f"{parts.scheme}://{parts.netloc}"))
        for name, value in headers.items():
            connection.putheader(name, value)
        if body:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body.encode() or None)
        answer = connection.getresponse()
        return answer.status, answer.read()


def authorize_url(world: World, app: App, verifier: str, **changes: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    good = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "scope": SCOPE,
        "state": "s",
        "aud": world.fhir_base,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{world.base_url}/auth/{world.tenant}/authorize?{urlencode(good | changes)}"


def redeem(world: World, app: App, code: str, verifier: str, secret: str) -> requests.Response:
    params = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
    auth = (app.client_id, secret)
    return requests.post(world.token_url, {**params, "code_verifier": verifier}, auth=auth, timeout=20)


@pytest.mark.requirement("HDR-06", "HDR-12")
def test_headers_are_known_in_any_case_and_may_be_long(world: World, make_app: MakeApp) -> None:
    app = make_app("wire-headers", "none", "launch/patient patient/*.rs")
    token = world.mint(client_id=app.client_id, tenant=world.tenant, scope="patient/*.rs", patient="ana", sub="ana")
    record = f"{world.fhir_base}/Patient/ana"
    for name in ("Authorization", "authorization", "AUTHORIZATION", "aUTHORIZATION"):
        assert send(record, "GET", {name: f"bearer {token}"})[0] == 200, name
    assert send(record, "GET", {"Authorization": f"Bearer {token}", "X-Long": "x" * LONG})[0] == 200
    form = {"CONTENT-TYPE": "application/x-www-form-urlencoded", "x-long": "x" * LONG}
    assert send(world.token_url, "POST", form, "grant_type=x")[1].startswith(b'{"error":"unsupported_grant_type"')


@pytest.mark.requirement("HDR-12")
def test_urls_and_bodies_may_be_long_and_not_longer(world: World, make_app: MakeApp) -> None:
    app = make_app("wire-long", "none", SCOPE)
    for length, status in ((LONG, 303), (40_000, 414), (80_000, 414)):
        url = authorize_url(world, app, secrets.token_urlsafe(32), state="s" * length)
        assert send(url, "GET", {})[0] == status, length
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for length, status in ((60_000, 400), (70_000, 413)):
        assert send(world.token_url, "POST", form, f"grant_type=x&x={'x' * length}")[0] == status, length


@pytest.mark.requirement("HDR-14", "HDR-08", "T-29")
def test_no_secret_is_in_an_address_of_ours_or_in_anything_we_keep(
    world: World, make_app: MakeApp, make_partner: MakePartner, make_person: MakePerson
) -> None:
    app = make_app("wire-secrets", "client_secret_basic", SCOPE)
    person = make_person("ana-wire", "Patient/ana")
    verifier, state = secrets.token_urlsafe(32), "s"
    told = parse_qs(urlsplit(person.launch(authorize_url(world, app, verifier, state=state))).query)
    code, secret = told["code"][0], str(app.secret)
    tokens = redeem(world, app, code, verifier, secret).json()
    kept = {"code": code, "verifier": verifier, "secret": secret, "password": person._password}
    kept |= {name: tokens[name] for name in ("access_token", "refresh_token", "id_token")}

    # What is refused is recorded in full, so it is refused in many ways.
    guess = kept["wrong secret"] = secrets.token_urlsafe(32)
    assert redeem(world, app, code, verifier, guess).status_code == 401
    assert redeem(world, app, code, verifier, secret).status_code == 400  # Used before: everything is revoked.
    auth = (app.client_id, secret)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert requests.post(world.token_url, refresh, auth=auth, timeout=20).status_code == 400
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert requests.get(f"{world.fhir_base}/Patient/ana", headers=headers, timeout=20).status_code == 401
    assert requests.get(f"{world.base_url}/auth/userinfo", headers=headers, timeout=20).status_code == 401
    kept["assertion"] = _refused_assertion(world, make_partner)
    assert person_fails_to_sign_in(world, person.username, kept)

    assert all(world.base_url in page.url for page in person.pages)
    seen = {
        "addresses of pages": " ".join(page.url for page in person.pages),
        "the log": world.server.log.read_text(),
        "receipts": str([vars(row) for row in Receipt.objects.all()]),
        "audit records": str([vars(row) for row in AuditRecord.objects.all()]),
    }
    assert "wire-secrets" in seen["receipts"]
    found = [(name, where) for where, text in seen.items() for name, value in kept.items() if value in text]
    assert found == []


def _refused_assertion(world: World, make_partner: MakePartner) -> str:
    partner = make_partner("wire-partner")
    claims = claims_at(datetime.now(UTC), iss=partner.client_id, sub=partner.client_id, aud="https://elsewhere.example")
    assertion = jwt.encode({"alg": "ES384", "kid": partner.key.kid}, claims, partner.key, algorithms=["ES384"])
    params = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    answer = requests.post(world.token_url, {**params, "client_assertion": assertion}, timeout=20)
    assert answer.status_code == 401
    return assertion


def person_fails_to_sign_in(world: World, username: str, kept: dict[str, Any]) -> bool:
    """Sign in with a wrong password, which then must not be found either."""
    kept["wrong password"] = secrets.token_urlsafe(16)
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(f"{world.base_url}/account/login/", timeout=20)
        csrf = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {"csrfmiddlewaretoken": csrf, "login": username, "password": kept["wrong password"]}
        answer = session.post(page.url, form, headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"}, timeout=20)
        return answer.status_code == 200 and kept["wrong password"] not in answer.text
