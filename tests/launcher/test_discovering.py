"""To which launch a request for a public document is counted: by the page it comes from, and never by guessing.

SMART 2.2 conformance; RFC 8414 §3.
"""

from datetime import timedelta

import pytest
from django.test import Client as Browser

from clients.models import Client
from smartauth.sandbox.launcher import recorder
from smartauth.sandbox.launcher.browsers import COOKIE
from smartauth.sandbox.launcher.kinds import STANDALONE
from smartauth.sandbox.models import Run
from tests.endpoints.app_launch import App
from tests.launcher.conftest import MINE, Watch

SMART = "/fhir/sandbox/r4/.well-known/smart-configuration"
APP = "https://cardio.example.org"  # where chart is registered

DOCUMENTS = [
    # path                                            how it is told
    (SMART,                                           "GET .well-known/smart-configuration"),
    ("/fhir/sandbox/r4/metadata?_format=json",        "GET metadata"),
    ("/.well-known/jwks.json",                        "GET .well-known/jwks.json"),
    ("/.well-known/smart-configuration",              "GET .well-known/smart-configuration"),
    ("/.well-known/openid-configuration",             "GET .well-known/openid-configuration"),
    ("/.well-known/oauth-authorization-server",       "GET .well-known/oauth-authorization-server"),
]  # fmt: skip

CASES = [
    # headers                                              cookie              counted
    ({"Origin": APP},                                      "",                 True),
    ({"Referer": f"{APP}/launch?launch=x"},                "",                 True),
    ({"Origin": "https://another.example"},                "",                 False),
    ({"Origin": "http://["},                               "",                 True),
    ({"Origin": "null"},                                   "",                 True),   # as good as nothing said
    ({},                                                   "",                 True),   # a server, and one launch only
    ({"Origin": APP},                                      MINE,               True),
    ({"Origin": APP},                                      "somebody else's",  False),
    ({},                                                   MINE,               False),  # the browser, and no page
    ({"Sec-Fetch-Dest": "document"},                       "",                 False),  # a person reads it
]  # fmt: skip


def parts(run: Run) -> list[tuple[str, str]]:
    return [(step["part"], step["what"]) for step in recorder.told(run)["steps"]]


@pytest.mark.parametrize(("path", "told"), DOCUMENTS)
def test_every_public_document_is_recorded(begin_run: Watch, chart: App, path: str, told: str) -> None:
    run = begin_run(STANDALONE, "chart")
    Browser().get(path, headers={"Origin": APP})
    assert parts(run) == [("Discovery", told)]


@pytest.mark.parametrize(("headers", "cookie", "counted"), CASES)
def test_a_document_counts_for_the_app_it_comes_from(
    begin_run: Watch, chart: App, headers: dict[str, str], cookie: str, counted: bool
) -> None:
    run = begin_run(STANDALONE, "chart")
    browser = Browser()
    if cookie:
        browser.cookies[COOKIE] = cookie
    assert browser.get(SMART, headers=headers).status_code == 200
    assert bool(parts(run)) == counted


def test_an_app_of_the_sandbox_itself_is_known_though_it_names_no_origin(begin_run: Watch, growth_chart: App) -> None:
    Client.objects.filter(client_id=growth_chart.client_id).update(redirect_uris="http://127.0.0.1:8000/launcher/app/")
    run, browser = begin_run(STANDALONE, growth_chart.client_id), Browser()
    browser.cookies[COOKIE] = MINE
    browser.get(SMART, headers={"Sec-Fetch-Site": "same-origin"})
    assert len(parts(run)) == 1


def test_while_two_browsers_launch_what_comes_from_no_page_is_nobodys(begin_run: Watch, chart: App) -> None:
    mine, theirs = begin_run(STANDALONE, "chart"), begin_run(STANDALONE, "chart")
    Run.objects.filter(pk=theirs.pk).update(browser="of somebody else")
    Browser().get(SMART)
    assert (parts(mine), parts(theirs)) == ([], [])
    Run.objects.filter(pk=theirs.pk).update(begun_at=theirs.begun_at - timedelta(hours=1))
    Browser().get(SMART)
    assert len(parts(mine)) == 1


def test_a_fault_of_the_fhir_server_leaves_its_public_documents_alone(begin_run: Watch, chart: App) -> None:
    begin_run(STANDALONE, "chart", fault="fhir-fails")
    assert Browser().get("/fhir/sandbox/r4/metadata", headers={"Origin": APP}).status_code == 200
