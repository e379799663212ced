"""The pages of a person whose record it is: signing in, choosing, allowing, stopping. In any language."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import requests
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from playwright.sync_api import Page

from clients.models import Client, Tenant
from smartauth.people.models import ProxyRelation, User
from tests.browser.judge import Judge
from tests.browser.test_app_launch import authorize_url
from tests.hospital import PASSWORD
from tests.world import World, register

LONG = "Dolichocephalographicometrics" * 3  # what others type may have no blank
EVIL = f"{LONG}<svg/onload=alert(1)>"  # and what it says may be meant for the browser
EVERYTHING = "openid fhirUser offline_access launch/patient launch/encounter patient/*.rs"


def enter(page: Page, name: str) -> None:
    """Sign in on the page that asks for it."""
    page.locator("#id_login").fill(name)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("#id_password").press("Enter")
    page.wait_for_url(lambda url: "/account/login/" not in url)


def make_user(name: str, **rights: bool) -> User:
    """Make somebody anew who has nothing but a password."""
    User.objects.filter(username=name).delete()
    stored = make_password(PASSWORD, hasher=Argon2PasswordHasher())  # As the server hashes; tests do it cheaper.
    return User.objects.create(username=name, password=stored, **rights)


def from_ehr(world: World, user: str) -> str:
    """Return the handle of a launch that an EHR has begun for somebody."""
    token = world.mint(client_id="ehr", scope="__launch", tenant=world.tenant)
    wanted = {"client_id": "growth-chart", "iss": world.fhir_base, "user": user, "patient": "ana"}
    return str(post_json(f"{world.base_url}/auth/launch", wanted, token)["launch"])


def post_json(url: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    answer = requests.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert answer.ok, answer.text
    return dict(answer.json())


def act_for_others(user: User, tenant: Tenant) -> None:
    """Make somebody a parent of one patient and a caregiver of another."""
    since, born = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC).date() - timedelta(days=3_000)
    ties: tuple[dict[str, Any], ...] = (
        {"patient": "ben", "kind": "parent", "patient_born": born},
        {"patient": "ivo", "kind": "caregiver", "ends_at": since + timedelta(days=300)},
        {"patient": "evil", "kind": "caregiver"},
    )
    for tie in ties:
        values = {"starts_at": since, **tie}
        ProxyRelation.objects.get_or_create(user=user, tenant=tenant, patient=tie["patient"], defaults=values)


def load_evil(world: World) -> None:
    """File a patient and more than a page of visits whose every text is made to run in a browser."""
    person = {"name": [{"text": EVIL}], "identifier": [{"value": EVIL}], "gender": EVIL, "birthDate": EVIL}
    visit = {"subject": {"reference": "Patient/evil"}, "type": [{"text": EVIL}], "reasonCode": [{"text": EVIL}]}
    visit |= {"status": "finished", "class": {"code": EVIL, "display": EVIL}, "period": {"start": EVIL}}
    headers = {"Authorization": f"Bearer {world.upstream.bearer}", "Content-Type": "application/fhir+json"}
    visits = {f"Encounter/evil{number}": visit for number in range(22)}
    for name, body in {"Patient/evil": person, **visits}.items():
        kind, _, resource_id = name.partition("/")
        resource = {"resourceType": kind, "id": resource_id, **body}
        answer = requests.put(f"{world.upstream.base_url}/{name}", json=resource, headers=headers, timeout=10)
        assert answer.ok, answer.text


def make_strangers(world: World) -> None:
    """Register apps that nobody checked, one of them with words that go on and on."""
    app = {
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [f"{world.base_url}/launcher/app/"],
        "scope": EVERYTHING + " user/*.cruds",
    }
    wordy = {"client_name": EVIL, "publisher": EVIL, "purpose": f"{EVIL} " * 4, "intended_users": EVIL}
    links = {"client_uri": f"https://{'long-' * 10}name.example.org/", "policy_uri": "https://app.example.org/policy"}
    for name, more in {"stranger": {"client_name": "Stranger"}, "wordy": wordy | links}.items():
        if not Client.objects.filter(client_id=name).exists():
            register(world, app | {"client_id": name} | more)
            Client.objects.filter(client_id=name).update(is_operator_verified=False)


def walk(page: Page, world: World, judge: Judge, language: str) -> None:
    """Go from an app's request to My apps, with everything that may come between."""
    tenant = Tenant.objects.get(slug=world.tenant)
    ana = User.objects.get(username="ana")
    act_for_others(ana, tenant)
    load_evil(world)
    make_strangers(world)
    make_user("mallory")

    def see(name: str) -> None:
        judge(page, f"{name} ({language})", language=language, brief=language != "en")

    def ask(**changes: Any) -> None:
        page.goto(authorize_url(world, scope=EVERYTHING, **changes))

    page.goto(f"{world.base_url}/account/apps")
    see("sign-in")
    page.locator("#id_login").fill("ana")
    page.locator("#id_password").fill("wrong")
    page.locator("#id_password").press("Enter")
    page.locator("main [role=alert]:visible").first.wait_for()
    see("sign-in with a wrong password")
    ask()
    see("sign-in for an app")
    enter(page, "ana")
    see("patient picker")
    page.locator("button[name=patient]").first.click()
    page.locator("button[name=visit]").first.wait_for()
    see("visit picker")
    page.locator("button[name=visit]").last.click()
    page.locator("button[value=allow]").wait_for()
    see("consent")
    look = (
        "one => JSON.stringify([getComputedStyle(one).backgroundColor, getComputedStyle(one).color, one.offsetHeight])"
    )
    assert page.locator("button[value=allow]").evaluate(look) == page.locator("button[value=deny]").evaluate(look)
    page.locator("button[value=allow]").click()
    page.wait_for_url(f"{world.base_url}/launcher/app/**")
    for client, patient in {"wordy": "evil", "stranger": "ben"}.items():
        ask(client_id=client)
        page.locator(f"button[name=patient][value={patient}]").click()
        if patient == "evil" and language == "en":
            page.locator("button[name=following]").press("Enter")
            page.locator("button[name=visit]:focus").wait_for()
            see("visit picker, more")
            page.locator("#day").fill("05/12/2020")
            page.locator("#day").press("Enter")
            page.locator("button[name=day]:focus").wait_for()
            see("visit picker, two days")
        page.locator("button[name=visit]").first.click()
        see(f"consent for {client}")
        page.locator("input[name=scope]").first.uncheck()
        page.locator("button[value=allow]").click()
        page.wait_for_url(f"{world.base_url}/launcher/app/**")
    page.goto(f"{world.base_url}/account/apps")
    see("my apps")
    while page.locator("button.stop").count():
        page.locator("button.stop").first.click()
        page.locator("[role=status]").wait_for()
    see("my apps, empty")
    ask(client_id="stranger", aud="https://fhir.evil.example/r4")
    see("refused app")
    ask(launch=from_ehr(world, "dr-grey"), state="other")
    page.goto(authorize_url(world, scope="launch openid patient/*.rs", launch=from_ehr(world, "dr-grey")))
    see("launch of somebody else")
    page.goto(f"{world.base_url}/auth/logout?{urlencode({'client_id': 'growth-chart'})}")
    see("app asks to sign out")
    page.goto(f"{world.base_url}/account/logout/")
    see("sign out")
    page.goto(f"{world.base_url}/auth/logout?{urlencode({'client_id': 'growth-chart'})}")
    page.locator("main button").click()
    see("signed out")
    ask()
    enter(page, "mallory")
    see("no record")
    page.context.clear_cookies()
    _search(page, world, judge, language)


def _search(page: Page, world: World, judge: Judge, language: str) -> None:
    """The picker of a clinician, who searches."""
    page.goto(authorize_url(world, scope=EVERYTHING))
    enter(page, "dr-grey")
    judge(page, f"clinician's picker ({language})", language=language)
    for name, asked in {"many": "a", "nobody": EVIL[-90:]}.items():
        page.locator("#name").fill(asked)
        page.locator("#birthdate").fill("" if name == "many" else "05/12/1984")
        page.locator("#name").press("Enter")
        page.locator(f"#name[value='{asked}']").wait_for()
        judge(page, f"clinician's picker, {name} ({language})", language=language)
