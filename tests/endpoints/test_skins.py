"""Pages about a tenant have the tenant's look, others have ours, and every page says who runs it.

SMART 2.2 scopes-and-launch-context, "Styling"; RFC 8246; CSP level 3; WCAG 2.2.
"""

import hashlib
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from clients.models import Client, Skin, Tenant
from clients.tenants import TenantInfo
from smartauth import styling
from smartauth.marks.poller import poller
from smartauth.models import RefusedAuthorization
from smartauth.people.models import FhirUser, User
from tests.clients.picture_files import png
from tests.endpoints.app_launch import (
    AUTHORIZE,
    PASSWORD,
    App,
    authorize_params,
    begin,
    launch,
    make_app,
    open_consent,
    sign_in,
)
from tests.endpoints.conftest import Post
from tests.factories import make_tenant, phone_app

pytestmark = pytest.mark.usefixtures("small")

EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
NAME = "St. Brigid Hospital"
DARK = "@media (prefers-color-scheme: dark) { :root { } }"
UNLESS_DARK = " @media not all and (prefers-color-scheme: dark) { :root { } }"
OURS = '<a class="brand" href="/">'


def wear(slug: str, name: str = NAME, **values: Any) -> Skin:
    """Give a tenant a skin with a picture."""
    picture = png()
    logo = {
        "logo": picture,
        "logo_type": "image/png",
        "logo_digest": hashlib.sha256(picture).hexdigest(),
        "logo_width": 32,
        "logo_height": 16,
    }
    texts = {"en": {"greeting": "Welcome to us.", "phone": "+1 617 555 0100", "privacy_url": "https://b.example.org/p"}}
    good = {"name": name, "accent_light": "#7a1f5c", "accent_dark": "#e58ac6", "texts": texts} | logo
    return Skin.objects.create(tenant=Tenant.objects.get(slug=slug), **(good | values))


@pytest.fixture
def skin(tenant: TenantInfo) -> Skin:
    Tenant.objects.update(name="Sandbox hospital")
    return wear("sandbox")


def assert_worn(answer: Any, *, status: int = 200, name: str = NAME, place: str = "Sandbox hospital") -> str:
    """Fail unless a page has the look of the tenant, and tells who runs it."""
    page: str = answer.content.decode()
    assert answer.status_code == status, page
    assert f"<bdi>{name}</bdi></span>" in page
    assert f"· {name}</title>" in page
    assert OURS not in page
    for path in re.findall(r'"(/skin/[^"]+)"', page):
        assert Browser().get(path).status_code == 200, path
    assert len(re.findall(r'<link rel="stylesheet" href="/skin/[0-9a-f]{64}\.css">', page)) == 1
    assert re.search(r"Smartauth(?: at|, en) <strong>127\.0\.0\.1:8000</strong>", page)
    assert f"<bdi>{place}</bdi>." in page
    policy = answer.headers["Content-Security-Policy"]
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert " style=" not in page
    assert "<style" not in page
    return page


def assert_ours(answer: Any, *, status: int = 200) -> None:
    page = answer.content.decode()
    assert answer.status_code == status
    assert OURS in page
    assert NAME not in page
    assert "/skin/" not in page


def test_a_whole_launch_wears_it(skin: Skin, growth_chart: App, parent: User) -> None:
    browser = Browser()
    path = begin(browser)
    there = browser.get(path).headers["Location"]
    page = assert_worn(browser.get(there))
    assert "Welcome to us." in page
    assert '<a href="tel:+16175550100">+1 617 555 0100</a>' in page
    assert '<a href="https://b.example.org/p" rel="noopener noreferrer" target="_blank">' in page
    wrong = browser.post("/account/login/", {"login": "parent", "password": "wrong", "next": path})
    assert_worn(wrong)
    sign_in(browser, parent, then=path)
    picker = browser.get(path).headers["Location"]
    assert_worn(browser.get(picker))
    browser.post(picker, {"patient": "ben"})
    assert_worn(browser.get(path))
    assert_worn(browser.get(f"/account/reauthenticate/?{urlencode({'next': path})}"))
    assert_worn(browser.post(path, {"page": "0", "decision": "allow"}), status=409)
    assert_worn(browser.get(f"/account/logout/?{urlencode({'next': path})}"))
    assert_worn(Browser().get(path), status=403)  # It is another browser's.


def test_the_second_factor_wears_it_too(skin: Skin, growth_chart: App, ana: User) -> None:
    TOTP.activate(ana, "JBSWY3DPEHPK3PXP")
    browser = Browser()
    path = begin(browser)
    browser.get(path)
    answer = browser.post("/account/login/", {"login": "ana", "password": PASSWORD, "next": path})
    assert_worn(browser.get(answer.headers["Location"]))
    assert_worn(browser.post(answer.headers["Location"], {"code": "000000"}))


def test_pages_that_cannot_go_on_wear_it(skin: Skin, tenant: TenantInfo, mallory: User) -> None:
    app = make_app(phone_app(client_name="Growth Chart"), tenant)
    browser = Browser()
    assert_worn(browser.get(f"{AUTHORIZE}?client_id=nobody"), status=400)
    assert_worn(browser.get(AUTHORIZE, authorize_params(app, redirect_uri="https://evil.example/")), status=400)
    assert_ours(browser.get("/auth/authorize?client_id=nobody"), status=400)
    assert_worn(open_consent(browser, begin(browser, app), mallory))  # There is no record.
    Client.objects.update(is_operator_verified=False)
    told = browser.get(AUTHORIZE, authorize_params(app, aud="https://elsewhere.example/"))
    assert_worn(browser.get(told.headers["Location"]))
    assert RefusedAuthorization.objects.get().tenant == "sandbox"
    there = Browser().get(told.headers["Location"]).headers["Location"]
    assert_worn(Browser().get(there))


def test_signing_out_wears_it_where_the_app_says_which_tenant(skin: Skin, ana: User) -> None:
    for path, check in (("/auth/sandbox/logout", assert_worn), ("/auth/logout", assert_ours)):
        browser = Browser()
        browser.force_login(ana)
        ask = browser.get(path).headers["Location"]
        check(browser.get(ask))
        check(browser.post(ask))


def test_my_apps_wear_it_for_people_of_one_tenant_only(skin: Skin, growth_chart: App, ana: User) -> None:
    browser = Browser()
    browser.force_login(ana)
    assert_worn(browser.get("/account/apps"))
    FhirUser.objects.create(user=ana, tenant_id=make_tenant("south").pk, reference="Patient/x")
    assert_ours(browser.get("/account/apps"))
    assert_ours(browser.get("/account/"))


def test_where_no_tenant_is_known_the_look_is_ours(skin: Skin, growth_chart: App, ana: User) -> None:
    browser = Browser()
    path = begin(browser)
    for page in ("/", "/account/login/", "/account/login/?next=/account/apps", "/developers"):
        assert_ours(browser.get(page, follow=True))
    assert_ours(browser.get("/nowhere"), status=404)
    # Only a request that exists says which tenant it is; nobody dresses up a page by its address.
    for then in ("/auth/consent/00000000-0000-0000-0000-000000000000", "/auth/sandbox/authorize", f"//evil{path}"):
        assert_ours(browser.get(f"/account/login/?{urlencode({'next': then})}"))
    ana.is_staff = ana.is_superuser = True
    ana.save()
    browser.force_login(ana)
    assert NAME not in browser.get("/admin/").content.decode()


def test_one_tenant_never_looks_like_another(skin: Skin, growth_chart: App, ana: User) -> None:
    south = make_tenant("south", name="South")
    wear("south", "The Other Place", accent_light="#005eb8", logo=b"", logo_type="", logo_digest="")
    app = make_app(phone_app(client_id="south-app"), south)
    browser = Browser()
    base = "http://127.0.0.1:8000/fhir/south/r4"
    path = begin(browser, app, path="/auth/south/authorize", aud=base)
    page = assert_worn(browser.get(browser.get(path).headers["Location"]), name="The Other Place", place="South")
    assert NAME not in page
    assert "<img" not in page
    make_tenant("plain")
    assert_ours(browser.get("/auth/plain/authorize?client_id=nobody"), status=400)
    Skin.objects.filter(pk=skin.pk).update(is_active=False)
    assert_ours(browser.get(f"{AUTHORIZE}?client_id=nobody"), status=400)


@pytest.mark.parametrize("language", ["en", "es"])
def test_whatever_is_in_it_is_text(tenant: TenantInfo, growth_chart: App, language: str) -> None:
    said = dict.fromkeys(("greeting", "help", "phone", "email", "help_url", "privacy_url"), EVIL)
    wear("sandbox", EVIL[:60], texts={"en": said}, logo_alt=EVIL[:100])
    browser = Browser(headers={"Accept-Language": language})
    page = browser.get(browser.get(begin(browser)).headers["Location"]).content.decode()
    assert "<script>" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 9
    # What is shown in another language than the page's says so.
    assert ('lang="en">&lt;script' in page) is (language == "es")


def test_a_picture_that_shows_the_name_stands_for_it(tenant: TenantInfo) -> None:
    wear("sandbox", logo_says_name=True)
    page = Browser().get(f"{AUTHORIZE}?client_id=nobody").content.decode()
    assert f'alt="{NAME}" width="32" height="16"></span>' in page
    assert f"<bdi>{NAME}</bdi></span>" not in page


def files_of(path: str = f"{AUTHORIZE}?client_id=nobody") -> tuple[str, str]:
    page = Browser().get(path).content.decode()
    stylesheet, logo = (re.search(pattern, page) for pattern in (r'"(/skin/\w+\.css)"', r'"(/skin/\w+\.png)"'))
    assert stylesheet
    assert logo
    return stylesheet[1], logo[1]


def test_its_files_are_kept_for_ever_and_run_nothing(skin: Skin) -> None:
    stylesheet, logo = files_of()
    for path, media_type in ((stylesheet, "text/css; charset=utf-8"), (logo, "image/png")):
        answer = Browser().get(path, headers={"Cookie": "sessionid=x"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; sandbox;")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not answer.cookies
        assert path.partition(".")[0].rpartition("/")[2] == hashlib.sha256(answer.content).hexdigest()
        assert Browser().head(path).status_code == 200
        assert Browser().post(path).status_code == 405
        assert Browser().get(path.replace("/skin/", "/skin/0")).status_code == 404
    assert Browser().get(logo.replace(".png", ".html")).status_code == 404
    assert Browser().get(logo.replace(".png", ".css")).status_code == 404
    css = Browser().get(stylesheet).content.decode()
    # Nothing but custom properties, each a colour.
    left = re.sub(r"--accent(-dark|-ink|-paper)?: #[0-9a-f]{6};", "", css)
    assert left.split() == (DARK + UNLESS_DARK).split()


def test_guessed_names_cost_no_statement_and_known_ones_none_after_the_first(skin: Skin, serving: None) -> None:
    stylesheet, logo = files_of()
    for path in (stylesheet, logo):
        assert Browser().get(path).status_code == 200
    with CaptureQueriesContext(connection) as asked:
        for path in (stylesheet, logo):
            assert Browser().get(path).status_code == 200
    assert len(asked) == 0
    with CaptureQueriesContext(connection) as asked:
        for number in range(5):
            Browser().get(f"/skin/{number}.png")
            Browser().get(f"/skin/{number}.css")
    assert not [one["sql"] for one in asked if "clients_skin" in one["sql"]]


def test_a_page_about_a_tenant_asks_nothing_more_for_its_look(
    tenant: TenantInfo, growth_chart: App, ana: User, serving: None
) -> None:
    browser = Browser()

    def statements(path: str) -> int:
        browser.get(path)
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(path).status_code == 200
        return len(asked)

    path = begin(browser)
    signing_in = browser.get(path).headers["Location"]
    plain = statements(signing_in)
    sign_in(browser, ana, then=path)
    without = statements(path)
    wear("sandbox")
    poller.poll()
    assert statements(path) == without
    assert_worn(browser.get(path), place="sandbox")
    # The page for signing in asks for one row: which tenant the request is at. So it does without a skin.
    other = Browser()
    path = begin(other)
    signing_in = other.get(path).headers["Location"]
    other.get(signing_in)
    with CaptureQueriesContext(connection) as asked:
        assert_worn(other.get(signing_in), place="sandbox")
    assert len([one for one in asked if "smartauth_pendingauthorization" in one["sql"]]) == 1
    assert len(asked) == plain


def test_another_worker_sees_a_change_at_the_next_look_at_the_marks(skin: Skin, serving: None) -> None:
    before, _ = files_of()
    Skin.objects.update(accent_light="#005eb8")
    poller.poll()
    after, _ = files_of()
    assert after != before
    assert (Browser().get(before).status_code, Browser().get(after).status_code) == (404, 200)


@pytest.mark.requirement("CTX-09", "CTX-10")
def test_apps_are_asked_to_wear_it_as_it_is_now(skin: Skin, growth_chart: App, ana: User, post: Post) -> None:
    def style(body: dict[str, Any]) -> dict[str, Any]:
        answer = Browser().get(body["smart_style_url"].removeprefix("http://127.0.0.1:8000"))
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
        found: dict[str, Any] = answer.json()
        return found

    launched = launch(Browser(), growth_chart, ana, scope="launch/patient offline_access patient/*.rs")
    first = post(
        "/auth/sandbox/token",
        {
            "grant_type": "authorization_code",
            "code": launched.code,
            "redirect_uri": launched.redirect_uri,
            "client_id": launched.client_id,
            "code_verifier": launched.verifier,
        },
    ).json()
    assert style(first) == styling.STYLE | {"color_highlight": "#7a1f5c"}
    again = {"grant_type": "refresh_token", "client_id": "growth-chart", "refresh_token": first["refresh_token"]}
    Skin.objects.update(accent_light="#005eb8")
    second = post("/auth/sandbox/token", again).json()
    assert second["smart_style_url"] != first["smart_style_url"]
    assert style(second)["color_highlight"] == "#005eb8"
    Skin.objects.update(is_active=False)
    third = post("/auth/sandbox/token", again | {"refresh_token": second["refresh_token"]}).json()
    assert third["smart_style_url"] == styling.smart_style_url()
    assert style(third) == styling.STYLE
