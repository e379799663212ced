"""The sample app, with the npm fhirclient in it, launched by people in a real browser.

SMART 2.2 app-launch; the pages between the app's request and its answer, with everything people do to them.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from playwright.sync_api import Page, expect

from clients.models import Client, Tenant
from smartauth.models import Authorization
from smartauth.people.models import FhirUser, ProxyRelation, User
from tests.world import World, register

PASSWORD = "correct horse battery staple"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CAST = {"ana": "Patient/ana", "ben": "Patient/ben", "dr-grey": "Practitioner/dr-grey", "mallory": None}
SCOPE = "launch/patient openid fhirUser offline_access patient/*.rs user/*.rs"


@pytest.fixture
def cast(world: World) -> dict[str, User]:
    """The people and the sample app, as the sandbox has them."""
    if not Client.objects.filter(client_id="growth-chart").exists():
        register(
            world,
            {
                "client_id": "growth-chart",
                "client_name": "Growth Chart",
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "redirect_uris": [f"{world.base_url}/launcher/app/"],
                "scope": SCOPE,
            },
        )
    tenant = Tenant.objects.get(slug=world.tenant)
    password = make_password(PASSWORD, hasher=Argon2PasswordHasher())
    people = {}
    for name, reference in CAST.items():
        people[name], _ = User.objects.get_or_create(username=name, defaults={"password": password})
        if reference:
            FhirUser.objects.get_or_create(user=people[name], tenant=tenant, defaults={"reference": reference})
    return people


def connect(page: Page, world: World, scopes: str = "Whole record", *, stay: bool = True) -> None:
    """Open the sample app from the landing page and press Connect."""
    page.goto(world.base_url)
    page.get_by_role("link", name="Open the sample app").click()
    page.get_by_label("What to ask for").select_option(label=scopes)
    page.get_by_label("Stay connected").set_checked(stay)
    page.get_by_role("button", name="Connect").click()


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("User name")).to_have_count(0)  # Whatever comes next has come.


def allow(page: Page) -> None:
    page.get_by_role("button", name="Allow").click()


def authorize_url(world: World, **changes: Any) -> str:
    parameters = {
        "response_type": "code",
        "client_id": "growth-chart",
        "redirect_uri": f"{world.base_url}/launcher/app/",
        "scope": "openid fhirUser launch/patient patient/Patient.rs",
        "state": "a state",
        "aud": world.fhir_base,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{world.base_url}/auth/sandbox/authorize?{urlencode(parameters)}"


def token_of(page: Page) -> str:
    """Return the access token that fhirclient keeps."""
    found: str = page.evaluate(
        "() => JSON.parse(sessionStorage[JSON.parse(sessionStorage.SMART_KEY)]).tokenResponse.access_token"
    )
    return found


def status(page: Page, world: World, path: str) -> int:
    """Return what the proxy answers to the app's token."""
    headers = {"Authorization": f"Bearer {token_of(page)}"}
    return page.request.get(f"{world.fhir_base}/{path}", headers=headers).status


def categories(page: Page, world: World, kind: str) -> set[str]:
    """Return the categories of everything of a kind that the proxy gives the app."""
    headers = {"Authorization": f"Bearer {token_of(page)}"}
    found = page.request.get(f"{world.fhir_base}/{kind}?_count=500", headers=headers).json()
    said = (category for entry in found["entry"] for category in entry["resource"]["category"])
    return {coding["code"] for category in said for coding in category["coding"]}


def test_a_patient_goes_from_the_landing_page_to_the_chart(page: Page, world: World, cast: dict[str, User]) -> None:
    connect(page, world)
    sign_in(page, "ana")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile(r"Allow Growth Chart\s+to use your health record\?")
    )
    expect(page.get_by_text("MRN-1001")).to_be_visible()
    allow(page)
    expect(page.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()
    expect(page.locator("#vitals svg")).to_be_visible()
    expect(page.get_by_text("patient/*.rs", exact=True)).to_be_visible()
    expect(page).to_have_url(f"{world.base_url}/launcher/app/")
    page.get_by_role("button", name="Refresh token").click()
    expect(page.get_by_text("There is a new token.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()


def test_the_second_launch_of_a_session_needs_no_second_sign_in(
    page: Page, world: World, cast: dict[str, User]
) -> None:
    connect(page, world, "Vital signs only")
    sign_in(page, "ana")
    allow(page)
    page.get_by_role("button", name="Start over").click()
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    expect(page.get_by_text("Not you?")).to_be_visible()


def test_a_clinician_searches_for_the_patient(page: Page, world: World, cast: dict[str, User]) -> None:
    connect(page, world)
    sign_in(page, "dr-grey")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Whose record shall Growth Chart use"))
    page.get_by_label("Name").fill("okaf")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status")).to_contain_text("1 person")
    page.get_by_role("button", name="Ben Okafor").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("the health record of Ben Okafor")
    page.get_by_role("link", name="Choose somebody else").click()
    page.get_by_label("Birth date").fill("1984-05-12")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Ana Lindqvist").click()
    allow(page)
    expect(page.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()
    assert status(page, world, "Patient/ana") == 200
    assert status(page, world, "Patient/ben") == 404


def test_what_is_unticked_is_refused_by_the_proxy_and_nothing_else(
    page: Page, world: World, cast: dict[str, User]
) -> None:
    connect(page, world)
    sign_in(page, "ana")
    page.get_by_role("button", name="Remove all ticks").click()
    expect(page.get_by_role("group").get_by_role("checkbox", checked=True)).to_have_count(0)
    page.get_by_role("button", name="Tick all").click()
    page.get_by_label("Vital signs").uncheck()
    page.get_by_label("Diagnoses from visits").uncheck()
    page.get_by_label("Vaccinations").uncheck()
    page.get_by_label("Stay connected").uncheck()
    allow(page)
    expect(page.get_by_text("Vital signs were not shared with this app")).to_be_visible()
    expect(page.get_by_role("button", name="Refresh token")).to_be_hidden()
    assert status(page, world, "Immunization") == 403
    assert status(page, world, "Observation/ana-weight-2021-03") == 404
    assert status(page, world, "Condition/ana-diagnosis") == 404
    assert categories(page, world, "Observation") == {"laboratory", "procedure", "sdoh", "social-history", "survey"}
    assert categories(page, world, "Condition") == {"problem-list-item", "health-concern"}
    assert status(page, world, "AllergyIntolerance") == 200
    assert status(page, world, "Patient/ana") == 200


def test_the_app_hears_that_it_was_denied(page: Page, world: World, cast: dict[str, User]) -> None:
    before = Authorization.objects.count()
    connect(page, world)
    sign_in(page, "ana")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading", name="Growth Chart")).to_be_visible()
    expect(page.locator("#problem")).to_be_visible()
    assert Authorization.objects.count() == before


def test_somebody_without_a_record_may_go_back_or_sign_in_as_another(
    page: Page, world: World, cast: dict[str, User]
) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "mallory")
    expect(page.get_by_role("heading", name="There is no record you could share")).to_be_visible()
    page.get_by_role("button", name="Sign in as somebody else").click()
    sign_in(page, "ana")
    expect(page.get_by_role("button", name="Allow")).to_be_visible()


def test_not_you_leads_to_another_persons_own_record(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "ana")
    page.get_by_role("button", name="Not you?").click()
    sign_in(page, "ben")
    expect(page.get_by_text("Ben Okafor").first).to_be_visible()
    expect(page.get_by_text("Ana Lindqvist")).to_have_count(0)


def test_a_form_shown_to_one_person_decides_nothing_for_the_next(
    page: Page, world: World, cast: dict[str, User]
) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "ana")
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Not you?").click()
    sign_in(other, "ben")
    expect(other.get_by_text("Ben Okafor").first).to_be_visible()
    before = Authorization.objects.count()
    allow(page)
    expect(page.get_by_role("heading", name="This page is out of date")).to_be_visible()
    assert Authorization.objects.count() == before
    allow(other)
    other.wait_for_url(f"{world.base_url}/launcher/app/**")
    assert Authorization.objects.latest("created_at").user == cast["ben"]
    assert Authorization.objects.latest("created_at").context["patient"] == "ben"


def test_two_tabs_give_one_answer(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "ana")
    other = page.context.new_page()
    other.goto(page.url)
    allow(other)
    other.wait_for_url(f"{world.base_url}/launcher/app/**")
    before = Authorization.objects.count()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading", name="You have already answered")).to_be_visible()
    assert Authorization.objects.count() == before


def test_pressing_twice_brings_the_app_its_answer(page: Page, world: World, cast: dict[str, User]) -> None:
    connect(page, world)
    sign_in(page, "ana")
    page.get_by_role("button", name="Allow").dblclick()
    expect(page.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()


def test_going_back_after_the_answer_says_that_it_was_given(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world, state="back"))
    sign_in(page, "ana")
    consent = page.url
    page.reload()
    allow(page)
    page.wait_for_url(f"{world.base_url}/launcher/app/**")
    page.goto(consent)
    expect(page.get_by_role("heading", name="You have already answered")).to_be_visible()


def test_another_browser_is_told_that_the_page_is_not_its_own(
    page: Page, world: World, cast: dict[str, User], new_page: Callable[[], Page]
) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "ana")
    stranger = new_page()
    stranger.goto(page.url)
    expect(stranger.get_by_role("heading", name="This page belongs to another browser")).to_be_visible()


def test_without_cookies_a_page_says_so(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world))
    page.context.clear_cookies()
    sign_in(page, "ana")
    expect(page.get_by_role("heading", name="Your browser sent no cookie")).to_be_visible()


def test_a_post_from_another_site_launches_too(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "ana")
    query = parse_qs(urlsplit(authorize_url(world, state="posted & sent")).query)
    fields = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, [value] in query.items())
    # The same server under its other name is another site to the browser.
    form = f'<form method="post" action="{world.base_url}/auth/sandbox/authorize">{fields}<button>Go</button></form>'
    elsewhere = world.base_url.replace("127.0.0.1", "localhost")
    page.route(f"{elsewhere}/elsewhere", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{elsewhere}/elsewhere")
    page.get_by_role("button", name="Go").click()
    allow(page)
    page.wait_for_url(f"{world.base_url}/launcher/app/**")


def test_prompt_login_asks_once_more(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world))
    sign_in(page, "ana")
    page.goto(authorize_url(world, prompt="login"))
    expect(page.get_by_role("heading", name="Is it still you?")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Allow")).to_be_visible()


def test_a_parent_chooses_between_the_records(page: Page, world: World, cast: dict[str, User]) -> None:
    tenant = Tenant.objects.get(slug=world.tenant)
    relation = ProxyRelation.objects.create(
        user=cast["ben"], tenant=tenant, patient="ivo", relation="child", starts_at="2020-01-01T00:00Z"
    )
    try:
        page.goto(authorize_url(world))
        sign_in(page, "ben")
        expect(page.get_by_role("status")).to_contain_text("2 people")
        page.get_by_role("button", name="Ivo Castellan").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("the health record of Ivo Castellan")
        allow(page)
        page.wait_for_url(f"{world.base_url}/launcher/app/**")
        assert Authorization.objects.latest("created_at").context["patient"] == "ivo"
    finally:
        relation.delete()


def test_a_redirect_that_is_not_registered_ends_on_our_page(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world, redirect_uri="https://evil.example.org/"))
    expect(page.get_by_role("heading", name="This app cannot start here")).to_be_visible()
    assert page.url.startswith(world.base_url)


@pytest.mark.requirement("AUTHZ-30")
def test_an_app_nobody_checked_is_told_of_an_error_by_a_link(page: Page, world: World, cast: dict[str, User]) -> None:
    metadata = {
        "client_id": "stranger",
        "client_name": "Stranger",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [f"{world.base_url}/launcher/app/"],
        "scope": "openid",
    }
    if not Client.objects.filter(client_id="stranger").exists():
        register(world, metadata)
        Client.objects.filter(client_id="stranger").update(is_operator_verified=False)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(authorize_url(world, client_id="stranger", scope="openid", aud="https://fhir.evil.example/r4"))
    sign_in(page, "ana")
    expect(page.get_by_role("heading", name="Stranger cannot go on")).to_be_visible()
    assert "/auth/refused/" in page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    link = page.get_by_role("link", name="Go back to")
    told = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    assert (told["error"], told["state"]) == (["invalid_request"], ["a state"])
    link.click()
    page.wait_for_url(f"{world.base_url}/launcher/app/**")
    expect(page.locator("#problem")).to_be_visible()
