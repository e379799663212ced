"""Every page there is, as everybody may have it. That none is left out is counted: by templates and by routes.

A new template or route makes the last test fail until a walk (tests/browser/walks/) comes by it. `PICTURES=folder`
keeps a picture of each page, wide in light and dark, and narrow.
Source: WCAG 2.2, by way of axe-core and of tests/browser/judge.py.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Browser, Page, expect

from clients.models import Tenant
from fhirproxy.r4server import process as r4server
from smartauth.people.models import FhirUser
from tests import settings as test_settings
from tests.browser.judge import Judge
from tests.browser.test_app_launch import authorize_url
from tests.browser.walks import accounts, administration, launching, moments, people, portal, skinned
from tests.hospital import hospital
from tests.servers import database, free_port, running_server
from tests.world import World, beside

__all__ = ["hospital"]

TELLING = "tests.browser.telling:application"

# Which walk it is, in which language; None where there is English only.
WALKS: dict[str, tuple[Callable[..., None], str | None]] = {
    "a person": (people.walk, "en"),
    "a person in Spanish": (people.walk, "es"),
    "an account in Spanish": (accounts.walk, "es"),
    "something wrong": (moments.walk, "en"),
    "something wrong in Spanish": (moments.walk, "es"),
    "a developer": (portal.walk, None),
    "whoever tries apps": (launching.walk, None),
    "the hospital": (administration.walk, None),
    "whoever comes to a hospital with a look of its own": (skinned.walk, None),
}

# Templates that no walk comes by, each with the reason.
ELSEWHERE = {
    "account/reauthenticate_upstream.html": "judged in test_upstream.py, where there is a provider to come from",
    "allauth/layouts/base.html": "for pages of a library that have no template of ours; there is none at the moment",
}
# Routes that have no page, or the page of another route.
NO_PAGE = {
    r"healthz|readyz|\.well-known/.*|brands.*|style/.*|fhir/.*|developers/api/.*": "answers to programs",
    r"auth/(<tenant:tenant>/)?(par|token|introspect|revoke|userinfo)|auth/(launch|register.*)": "answers to programs",
    r"launcher/run/<uuid:pk>/steps|developers/drafts/<int:pk>/(<slug:name>/check|export)": "answers to scripts, files",
    r"account/second-factor/recovery-codes/download/|admin/(jsi18n|autocomplete)/": "answers to scripts, files",
    r"skin/.*|admin/clients/skin/preview\.css": "colours and pictures of pages",
    r"auth/authorize|auth/(<tenant:tenant>/)?logout|account/(language|upstream/callback)": "leads on, or to an error",
    r"admin|admin/(login|password_change|password_change/done|r/.*)/": "leads on",
    r"developers|launcher|launcher/(app|start|callback|app/launch)|account/apps/": "another address, or in a frame",
    r"account/apps/stop|launcher/run/<uuid:pk>/service|developers/tokens/<int:pk>/withdraw": "an act, which leads on",
    r"developers/drafts/<int:pk>/(submit|discard)|admin/clients/skin/<int:pk>/our-look/": "an act, which leads on",
    r"admin/clients/skin/preview/": "the same as for a skin that is stored",
    r"developers/apps/<str:client_id>/(revise|steps/.*|withdraw-change|secret|secret/end)": "an act, which leads on",
    # Of these a walk sees those that there are, for every table.
    r"admin/\w+/\w+/(add/|<path:object_id>/((history|delete|change)/)?)|admin/\(\?P<url>\.\*\)\$": "Django's own",
}


@pytest.fixture(scope="module")
def _telling(
    django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory, _sandbox: r4server.Running
) -> Iterator[World]:
    """Start a server that tells what its pages are made of, with everything switched on that has a page."""
    port, var = free_port(), tmp_path_factory.mktemp("every-page")
    base = f"http://localhost:{port}"  # Browsers make no passkeys for an IP address.
    told = {
        "PORT": str(port),
        "SMARTAUTH_BASE_URL": base,
        "SMARTAUTH_UPSTREAM_IDP_ISSUER": f"http://127.0.0.1:{free_port()}",  # Nobody is there.
        "SMARTAUTH_UPSTREAM_IDP_CLIENT_ID": "smartauth",
        "SMARTAUTH_UPSTREAM_IDP_NAME": "City Hospital",
    }
    (var / "bearer").write_text(_sandbox.bearer)
    with (
        database(str(test_settings.DATABASE_URL)) as url,
        running_server(
            database_url=url, var=var, environment=told, port=port, workers=2, application=TELLING
        ) as server,
    ):
        upstream = ("--upstream", _sandbox.base_url, "--upstream-bearer-file", str(var / "bearer"))
        made = server.command("create_tenant", "--slug", "sandbox", *upstream)
        assert made.returncode == 0, made.stderr
        yield World(replace(server, base_url=base), _sandbox, "sandbox")


@pytest.fixture
def world(_telling: World, settings: Any, django_db_blocker: Any) -> Iterator[World]:
    with beside(_telling, settings, django_db_blocker):
        yield _telling


@pytest.fixture(scope="module")
def judge(_telling: World) -> Judge:
    return Judge(_telling.base_url)


@pytest.fixture(scope="module")
def walked() -> set[str]:
    """Return which walks were walked to their end."""
    return set()


@pytest.mark.parametrize("walk", WALKS)
def test_everybody_can_use_the_pages_of(
    browser: Browser, hospital: World, judge: Judge, walked: set[str], walk: str
) -> None:
    go, language = WALKS[walk]
    context = browser.new_context(locale=language or "en")
    page: Page = judge.watch(context)
    before = set(judge.found)
    if language is None:
        go(page, hospital, judge)
    else:
        go(page, hospital, judge, language)
    context.close()
    walked.add(walk)
    assert {name: one for name, one in judge.found.items() if one and name not in before} == {}


def test_no_template_and_no_route_was_left_out(judge: Judge, walked: set[str]) -> None:
    if walked != set(WALKS):
        pytest.skip("not every walk was walked to its end, so nothing can be said of what is left out")
    folder = Path(django_settings.BASE_DIR) / "templates"
    templates = {str(path.relative_to(folder)) for path in folder.rglob("*.html")}
    assert templates - judge.templates == set(ELSEWHERE)
    routes = set(_routes(get_resolver()))
    without = {route for route in routes for kind in NO_PAGE if re.fullmatch(kind, route)}
    assert routes - judge.routes - without == set()
    assert [kind for kind in NO_PAGE if not any(re.fullmatch(kind, route) for route in routes)] == []


def _routes(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        here = before + str(entry.pattern).removeprefix("^")
        if isinstance(entry, URLPattern):
            yield here
        else:
            yield from _routes(entry, here)


def test_people_need_no_scripts(browser: Browser, hospital: World) -> None:
    """From the app's request to stopping it; what only a script could answer is not offered."""
    user = people.make_user("noscript")
    FhirUser.objects.create(user=user, tenant=Tenant.objects.get(slug=hospital.tenant), reference="Patient/ana")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(authorize_url(hospital, scope=people.EVERYTHING))
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="passkey")).to_be_hidden()
    people.enter(page, "noscript")
    page.locator("button[name=visit]").first.click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/launcher/app/?code=*")
    page.goto(f"{hospital.base_url}/account/apps")
    page.get_by_role("button", name="Stop now").click()
    expect(page.get_by_role("status")).to_contain_text("Growth Chart is stopped")
    for path in ("/account/", "/account/password/", "/account/second-factor/"):
        page.goto(f"{hospital.base_url}{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    context.close()
