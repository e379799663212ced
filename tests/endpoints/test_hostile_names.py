"""Names are whatever somebody typed: of apps, hospitals, people, visits. On no page, in no language, are they markup.

RFC 9700 §4.16; OWASP ASVS, output encoding.
"""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.models import Client, Tenant
from clients.tenants import TenantInfo
from smartauth.people.models import User
from tests.endpoints.app_launch import App, Load, authorize_params, begin, decide, make_app, make_person, sign_in
from tests.endpoints.ehr import Begin, begin_answer, begin_launch, chart, ehr
from tests.factories import phone_app

__all__ = ["begin_answer", "begin_launch", "chart", "ehr"]

pytestmark = pytest.mark.usefixtures("small")

EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)> %(place)s {{ 7|add:7 }} %s"
SCOPE = "launch/patient launch/encounter openid fhirUser offline_access patient/*.rs user/Goal.rs"


def assert_text_only(answer: HttpResponse, *, names: int) -> None:
    """Fail for a page on which a name is markup, or on which it stands fewer than `names` times as text."""
    page = answer.content.decode()
    assert "<script>" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(1)>" not in page.replace("onerror=alert(1)&gt;", "")
    assert page.count("&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;") >= names, page
    assert "14" not in page.partition("{{ 7|add:7 }}")[0][-20:]


@pytest.fixture(params=["en", "es"])
def browser(request: Any) -> Browser:
    return Browser(headers={"Accept-Language": request.param})


@pytest.fixture
def evil(tenant: TenantInfo, load: Load) -> App:
    """An app of an evil name, at a hospital of one, with a patient and a visit of one."""
    Tenant.objects.update(name=EVIL[:100])
    app = make_app(phone_app(client_name="Evil"), tenant)
    Client.objects.update(name=EVIL)
    load("Patient", "odd", name=[{"text": EVIL}], identifier=[{"value": EVIL}], birthDate=EVIL, gender=EVIL)
    texts: dict[str, Any] = {"type": [{"text": EVIL}], "reasonCode": [{"text": EVIL}], "class": {"display": EVIL}}
    period = {"start": EVIL, "end": EVIL}
    place = [{"location": {"display": EVIL}}]
    load(*("Encounter", "odd"), subject={"reference": "Patient/odd"}, period=period, location=place, **texts)
    return app


def user_of(tenant: TenantInfo, fhir_user: str | None = "Practitioner/dr-grey") -> User:
    user = make_person(tenant, "grey", fhir_user)
    User.objects.filter(pk=user.pk).update(username=EVIL[:150])
    user.refresh_from_db()
    return user


def test_a_whole_launch_shows_names_as_text(browser: Browser, evil: App, tenant: TenantInfo) -> None:
    user = user_of(tenant)
    path = begin(browser, evil, scope=SCOPE)
    sign_in(browser, user, then=path)
    assert_text_only(browser.get(f"{path}/patient"), names=2)
    found = browser.post(f"{path}/patient", {"name": EVIL, "birthdate": EVIL, "identifier": EVIL})
    assert_text_only(found, names=3)
    browser.post(f"{path}/patient", {"patient": "odd"})
    assert_text_only(browser.get(f"{path}/visit"), names=5)
    assert_text_only(browser.post(f"{path}/visit", {"day": "<script>"}), names=1)
    assert browser.post(f"{path}/visit", {"visit": "odd"}).status_code == 302
    page = browser.get(path)
    assert_text_only(page, names=7)
    assert decide(browser, path, page).status_code == 303
    assert_text_only(browser.get("/account/apps"), names=4)
    stopped = browser.post("/account/apps/stop", {"client": evil.client_id, "tenant": "sandbox"}, follow=True)
    assert_text_only(stopped, names=1)


def test_whoever_has_no_record_sees_names_as_text(browser: Browser, evil: App, tenant: TenantInfo) -> None:
    path = begin(browser, evil)
    sign_in(browser, user_of(tenant, None), then=path)
    assert_text_only(browser.get(path), names=3)


def test_whoever_is_not_meant_sees_names_as_text(
    browser: Browser, evil: App, chart: App, tenant: TenantInfo, dr_grey: User, begin_launch: Begin
) -> None:
    path = begin(browser, chart, scope="launch openid user/Goal.rs", launch=begin_launch())
    Client.objects.update(name=EVIL)
    sign_in(browser, user_of(tenant, "Practitioner/other"), then=path)
    answer = browser.get(path)
    assert answer.status_code == 403
    assert_text_only(answer, names=2)


def test_a_refused_app_is_named_as_text(browser: Browser, evil: App, tenant: TenantInfo) -> None:
    Client.objects.update(is_operator_verified=False)
    sign_in(browser, user_of(tenant))
    answer = browser.get("/auth/sandbox/authorize", authorize_params(evil, scope="nonsense"), follow=True)
    assert answer.status_code == 200
    assert_text_only(answer, names=2)


def test_an_app_that_asks_to_sign_out_is_named_as_text(browser: Browser, evil: App, tenant: TenantInfo) -> None:
    sign_in(browser, user_of(tenant))
    answer = browser.get("/auth/sandbox/logout", {"client_id": evil.client_id, "state": EVIL}, follow=True)
    assert answer.status_code == 200
    assert_text_only(answer, names=2)


@pytest.mark.parametrize("path", ["/account/login/?next={}", "/account/language?to={}&next={}", "/{}"])
def test_what_stands_in_an_address_is_text(browser: Browser, tenant: TenantInfo, path: str) -> None:
    for text in (EVIL, "/auth/consent/\"><script>alert('x')</script>"):
        page = browser.get(path.replace("{}", text.replace("%", "%25").replace("#", ""))).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
