"""App launches through Django's client: registered apps, people who can sign in, and the walk from authorize to code.

The FHIR server behind is real. Modules of this folder have the fixtures from its conftest; others import those they
use, `small` and `calm` among them, and name them in their `__all__`.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.models import Authorization, AuthorizationCode, PendingAuthorization
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.receipts.models import Receipt
from tests.factories import make_client, phone_app, web_app
from tests.proxy.conftest import Behind, calm, small
from tests.proxy.test_records import Load, load

__all__ = [
    "Behind",
    "Load",
    "ana",
    "browser",
    "calm",
    "cardio",
    "dr_grey",
    "growth_chart",
    "load",
    "mallory",
    "parent",
    "pocket",
    "small",
]

AUTHORIZE = "/auth/sandbox/authorize"
FHIR_BASE = "http://127.0.0.1:8000/fhir/sandbox/r4"
PASSWORD = "correct horse battery staple"
# What an app asks for that reads one patient's record now and later.
SCOPE = "launch/patient openid fhirUser offline_access patient/*.rs"
# The most that the apps of these tests may have.
REGISTERED = (
    "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access"
    " patient/*.cruds user/*.cruds"
)
TICK = re.compile(r'<input type="checkbox" name="scope" value="([^"]*)"( checked)?>')
HIDDEN_PAGE = re.compile(r'<input type="hidden" name="page" value="([^"]*)">')
MORE_FORM = re.compile(r'<form class="answer more" method="post">(.*?)</form>', re.DOTALL)
FIELD = re.compile(r'<(?:input type="hidden"|button) name="([^"]*)" value="([^"]*)"')
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
MOST_STEPS = 10


@dataclass(frozen=True, slots=True)
class App:
    """A registered app; `redirect_uri` is its first."""

    client_id: str
    redirect_uri: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch that ended at the app with a code."""

    code: str
    state: str
    verifier: str
    client_id: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Pkce:
    """A fresh verifier and its S256 challenge.  RFC 7636 §4.2."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def challenge(self) -> str:
        hashed = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode("ascii")


@pytest.fixture
def browser() -> Browser:
    """Somebody's browser."""
    return Browser()


def make_app(metadata: dict[str, Any], *activate_at: TenantInfo, **options: Any) -> App:
    """Register an app that people use, active at these tenants."""
    grants = {"scope": REGISTERED, "grant_types": ["authorization_code", "refresh_token"]}
    registered = make_client(grants | metadata, activate_at=activate_at, **options)
    client = registered.client
    return App(client.client_id, client.redirect_uris.split()[0], registered.secret)


@pytest.fixture
def growth_chart(tenant: TenantInfo) -> App:
    """A public app."""
    return make_app(phone_app(client_name="Growth Chart"), tenant)


@pytest.fixture
def cardio(tenant: TenantInfo) -> App:
    """A confidential app with a secret."""
    return make_app(web_app(client_name="Cardio Clinic"), tenant)


@pytest.fixture
def pocket(tenant: TenantInfo) -> App:
    """A native app with a URL scheme of its own, and one that listens on loopback."""
    redirect_uris = ["com.example.app:/callback", "http://127.0.0.1/callback"]
    metadata = phone_app(
        client_id="pocket", client_name="Pocket Diary", application_type="native", redirect_uris=redirect_uris
    )
    return make_app(metadata, tenant)


def make_person(
    tenant: TenantInfo, username: str, fhir_user: str | None = None, *, acts_for: Collection[str] = ()
) -> User:
    """Make somebody who can sign in with PASSWORD. acts_for: ids of the patients of their proxy relations."""
    user = User.objects.create_user(username, password=PASSWORD)
    if fhir_user is not None:
        FhirUser.objects.create(user=user, tenant_id=tenant.pk, reference=fhir_user)
    since = datetime.now(UTC) - timedelta(days=1)
    for patient in acts_for:
        ProxyRelation.objects.create(user=user, tenant_id=tenant.pk, patient=patient, starts_at=since)
    return user


@pytest.fixture
def ana(tenant: TenantInfo) -> User:
    """A patient who acts for herself only."""
    return make_person(tenant, "ana", "Patient/ana")


@pytest.fixture
def parent(tenant: TenantInfo) -> User:
    """A patient who acts for ben as well."""
    return make_person(tenant, "parent", "Patient/ana", acts_for=["ben"])


@pytest.fixture
def dr_grey(tenant: TenantInfo) -> User:
    """A clinician."""
    return make_person(tenant, "dr-grey", "Practitioner/dr-grey")


@pytest.fixture
def mallory(tenant: TenantInfo) -> User:
    """Somebody without a record."""
    return make_person(tenant, "mallory")


def authorize_params(app: App | None = None, **changes: Any) -> dict[str, str]:
    """Return a good authorization request, of growth-chart unless told otherwise; a change to ... leaves one out."""
    good = {
        "response_type": "code",
        "client_id": app.client_id if app else "growth-chart",
        "redirect_uri": app.redirect_uri if app else "https://cardio.example.org/callback",
        "scope": SCOPE,
        "state": secrets.token_urlsafe(16),
        "aud": FHIR_BASE,
        "code_challenge": Pkce().challenge,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def sign_in(browser: Browser, user: User, *, then: str = "/") -> HttpResponse:
    """Post the sign-in form, or the one for signing in again, as its page sends it; return the answer."""
    cache.clear()  # Sign-ins are counted per address, and all tests have the same one.
    again = browser.session.get("_auth_user_id") == str(user.pk)
    path = "/account/reauthenticate/" if again else "/account/login/"
    answer = browser.post(path, {"login": user.get_username(), "password": PASSWORD, "next": then})
    assert (answer.status_code, answer.headers["Location"]) == (302, then), answer.content.decode()
    return answer


def begin(browser: Browser, app: App | None = None, *, path: str = AUTHORIZE, **changes: Any) -> str:
    """Send a good authorization request, with changes, and return the path of the page that continues it."""
    answer = browser.get(path, authorize_params(app, **changes))
    assert answer.status_code == 303, answer.content.decode()
    continuation: str = answer.headers["Location"]
    assert continuation == f"/auth/consent/{PendingAuthorization.objects.latest('created_at').pk}", continuation
    return continuation


def pending() -> PendingAuthorization:
    """Return the only request that was stored."""
    return PendingAuthorization.objects.get()


def ticks(page: HttpResponse) -> list[str]:
    """Return what is ticked on a consent page, in order; everything on it must be."""
    found = TICK.findall(page.content.decode())
    assert all(checked for _, checked in found), found
    return [unescape(value) for value, _ in found]


def more_form(page: HttpResponse) -> dict[str, str]:
    """Return what the button "Show more" of a picker sends; empty where there is none."""
    form = MORE_FORM.search(page.content.decode())
    fields = {name: unescape(value) for name, value in FIELD.findall(form[1] if form else "")}
    fields.pop("csrfmiddlewaretoken", None)
    return fields if "following" in fields else {}


def page_number(page: HttpResponse) -> str:
    """Return what a form carries to say on which page it was."""
    found = HIDDEN_PAGE.search(page.content.decode())
    assert found, page.content.decode()
    return found[1]


def answer_form(page: HttpResponse, decision: str = "allow", *, untick: Collection[str] = ()) -> dict[str, Any]:
    """Return what a browser sends for the consent form on a page, with some ticks taken back."""
    ticked = ticks(page)
    assert set(untick) <= set(ticked), f"{untick} cannot be taken back of {ticked}"
    scope = [value for value in ticked if value not in untick]
    return {"page": page_number(page), "scope": scope, "decision": decision}


def open_consent(
    browser: Browser, path: str, user: User, *, patient: str | None = None, visit: str | None = None
) -> HttpResponse:
    """Go on from a path of ours, signing in and picking patient and visit when asked, until the consent page is there.

    visit: the encounter to pick, "" to go on without one.
    """
    for _ in range(MOST_STEPS):
        page = browser.get(path)
        target = page.headers.get("Location", "")
        if target.startswith("/account/"):
            sign_in(browser, user, then=path)
        elif target.endswith("/patient"):
            assert patient is not None, "a patient has to be picked, and this test names none"
            path = browser.post(target, {"patient": patient}).headers["Location"]
        elif target.endswith("/visit"):
            assert visit is not None, "a visit has to be picked, and this test names none"
            path = browser.post(target, {"visit": visit}).headers["Location"]
        else:
            assert page.status_code == 200, (page.status_code, target, page.content.decode())
            assert browser.session["_auth_user_id"] == str(user.pk), "somebody else is signed in"
            return page
    raise AssertionError(f"after {MOST_STEPS} steps there is still no consent page at {path}")


def decide(
    browser: Browser, path: str, page: HttpResponse, decision: str = "allow", *, untick: Collection[str] = ()
) -> HttpResponse:
    """Answer the consent form on a page."""
    answer = browser.post(path, answer_form(page, decision, untick=untick))
    assert isinstance(answer, HttpResponse)
    return answer


def callback(answer: HttpResponse, redirect_uri: str) -> dict[str, str]:
    """Return what an answer tells the app: it must be a redirect to `redirect_uri`, each parameter there once."""
    assert answer.status_code == 303, (answer.status_code, answer.content.decode())
    target = answer.headers["Location"]
    start = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}"
    assert target.startswith(start), target
    pairs = parse_qsl(target.removeprefix(start), keep_blank_values=True, strict_parsing=True)
    told = dict(pairs)
    assert len(told) == len(pairs), target
    return told


def told_in(answer: HttpResponse, redirect_uri: str, state: str | None, error: str) -> Receipt:
    """Return the receipt of an error that went back to the app, with the request's `state` (None: it had none)."""
    told = callback(answer, redirect_uri)
    trace_id = answer.headers["X-Trace-Id"]
    assert told.keys() == {"error", "error_description"} | (set() if state is None else {"state"}), told
    assert (told["error"], told.get("state")) == (error, state)
    # RFC 6749 §4.1.2.1 and appendix A.8; whoever reports it has the number by which it is found.
    assert DESCRIPTION.fullmatch(told["error_description"]), told
    assert told["error_description"].endswith(f"(trace {trace_id})"), told
    receipt = Receipt.objects.get(trace_id=trace_id)
    assert (receipt.status, receipt.error) == (303, error)
    return receipt


def records_away(answer: HttpResponse) -> Receipt:
    """Return the receipt of a page for records that do not answer: the user may try again, or go back to the app."""
    text = answer.content.decode()
    assert "nothing was shared" in text
    assert "Try again" in text
    assert "Go back to the app" in text
    return page_refusal(answer, 503, ends_at=" ")


def page_refusal(answer: HttpResponse, status: int, *, ends_at: str = ";") -> Receipt:
    """Return the receipt of a refusal that ended on a page of ours; nothing may be redirected or kept by a cache.

    ends_at: what follows where its forms may end; ";" for at no app.
    """
    page = answer.content.decode()
    assert answer.status_code == status, (answer.status_code, page)
    assert "Location" not in answer.headers
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert f"form-action 'self'{ends_at}" in answer.headers["Content-Security-Policy"]
    assert f"<code>{answer.headers['X-Trace-Id']}</code>" in page
    receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
    assert (receipt.status, receipt.error) == (status, "page")
    return receipt


def assert_no_grant() -> None:
    """Fail when a code or what it stands for was stored."""
    assert not Authorization.objects.exists()
    assert not AuthorizationCode.objects.exists()


def launch(
    browser: Browser,
    app: App,
    user: User,
    *,
    scope: str = SCOPE,
    patient: str | None = None,
    visit: str | None = None,
    untick: Collection[str] = (),
    path: str = AUTHORIZE,
    **params: Any,
) -> Launch:
    """Launch an app as a user who allows it, and return what the app then knows. The `small` server must be behind.

    patient, visit: whom and what to pick when asked.    untick: permissions to take back.
    params: authorization parameters.
    """
    pkce = Pkce()
    sent = authorize_params(app, **({"scope": scope, "code_challenge": pkce.challenge} | params))
    answer = browser.get(f"{path}?{urlencode(sent)}")
    assert answer.status_code == 303, answer.content.decode()
    continuation = urlsplit(answer.headers["Location"]).path
    page = open_consent(browser, continuation, user, patient=patient, visit=visit)
    told = callback(decide(browser, continuation, page, untick=untick), sent["redirect_uri"])
    assert told.keys() == {"code", "state"}, told
    assert told["state"] == sent["state"]
    return Launch(told["code"], told["state"], pkce.verifier, app.client_id, sent["redirect_uri"])
