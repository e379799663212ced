"""The flight recorder: every request of a launch, in order, with reasons, and no value that opens or tells anything."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponseRedirect
from django.test import Client as Browser
from django.test import RequestFactory
from django.utils import timezone

from smartauth.sandbox.launcher import noting, recorder, runs
from smartauth.sandbox.launcher.arriving import Arrived
from smartauth.sandbox.launcher.choices import Choices
from smartauth.sandbox.launcher.kinds import BACKEND, STANDALONE
from smartauth.sandbox.models import Handle, Run, Step
from tests.endpoints.app_launch import AUTHORIZE, authorize_params
from tests.endpoints.token_requests import redemption
from tests.launcher.conftest import MINE, MakeFlow, Watch
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")


def test_every_request_of_a_launch_is_seen_in_order(make_flow: MakeFlow) -> None:
    flow = make_flow()
    tokens = flow.tokens()
    flow.call("/Patient/ana", tokens["access_token"])
    flow.call("/Observation?patient=ana&category=vital-signs", tokens["access_token"])
    flow.refresh(tokens)
    flow.browser.get("/auth/sandbox/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    told = [(step["what"], step["status"], step["outcome"]) for step in flow.seen()]
    assert told[0] == ("GET authorize", 303, "accepted")
    assert told[-6:] == [
        ("POST consent", 303, "a code for the app"),
        ("POST token authorization_code", 200, "answered"),
        ("GET Patient/…", 200, "answered"),
        ("GET Observation?patient&category", 200, "answered"),
        ("POST token refresh_token", 200, "answered"),
        ("GET userinfo", 200, "answered"),
    ]
    assert flow.verdicts() == {
        "discovery": "open",
        "pkce": "good",
        "state": "good",
        "nonce": "look",
        "aud": "good",
        "launch": "good",
        "code": "good",
        "unused": "good",
        "refused": "good",
        "refresh": "good",
        "expired": "good",
    }


def test_a_refusal_comes_with_the_reason_its_receipt_has(make_flow: MakeFlow) -> None:
    flow = make_flow()
    exchange = redemption(flow.code())
    tokens = flow.ask(flow.app, exchange).json()
    flow.call("/Immunization?patient=ana", tokens["access_token"])
    flow.ask(flow.app, exchange)
    forbidden, refused = flow.seen()[-2:]
    assert (forbidden["rule"], forbidden["status"], forbidden["is_refused"]) == ("scope", 403, True)
    assert forbidden["reason"]
    assert forbidden["trace_id"]
    assert refused["rule"] == "code.reused"
    assert refused["fix"]


def test_no_value_of_a_request_is_kept(make_flow: MakeFlow) -> None:
    flow = make_flow()
    code = flow.code()
    tokens = flow.ask(flow.app, redemption(code)).json()
    flow.call("/Patient/ana", tokens["access_token"])
    flow.call("/Patient?name=Lindqvist&birthdate=1984-05-12", tokens["access_token"])
    kept = json.dumps(
        [list(Step.objects.values()), list(Handle.objects.values()), recorder.told(flow.run)], default=str
    )
    secrets = [code.code, code.state, code.verifier, flow.asked["launch"], tokens["access_token"]]
    secrets += [tokens["refresh_token"], tokens["id_token"], tokens["access_token"].split(".")[2]]
    assert [secret for secret in (*secrets, "Lindqvist", "1984", "/ana", "=ana") if secret in kept] == []


def test_an_app_that_loses_its_launch_is_seen(make_flow: MakeFlow) -> None:
    flow = make_flow()
    asked = authorize_params(flow.app, **(flow.asked | {"launch": ...}))
    answer = flow.browser.get(AUTHORIZE, asked)
    assert "/auth/consent/" in answer.headers["Location"]
    assert flow.verdicts()["launch"] == "bad"


def test_a_service_is_seen_by_its_name(begin_run: Watch, service_token: Any, call: Caller) -> None:
    run = begin_run(BACKEND, "bulk-loader")
    call("/Patient?_count=1", service_token().json()["access_token"])
    call("/Observation?_count=1", service_token().json()["access_token"])
    told = recorder.told(run)
    assert [(step["what"], step["status"]) for step in told["steps"]] == [
        ("POST token client_credentials", 200),
        ("GET Patient?_count", 200),
        ("POST token client_credentials", 200),
        ("GET Observation?_count", 403),
    ]
    assert {mark["id"]: mark["verdict"] for mark in told["report"]} == {
        "discovery": "open",
        "unused": "good",
        "refused": "look",
        "expired": "good",
    }


def test_what_is_seen_is_told_to_the_browser_that_began_it_alone(make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.code()
    path = f"/launcher/run/{flow.run.pk}/steps"
    answer = flow.browser.get(path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert [step["part"] for step in answer.json()["steps"]][:2] == ["Authorize", "Consent"]
    other = Browser()
    assert other.get(path).status_code == 404
    other.cookies["smartauth_launcher"] = "of somebody else"
    assert other.get(path).status_code == 404
    page = other.get(f"/launcher/run/{flow.run.pk}")
    assert (page.status_code, b"Only the browser that began a launch sees it" in page.content) == (404, True)
    assert other.post(f"/launcher/run/{flow.run.pk}/service").status_code == 404


def test_a_launch_keeps_a_bounded_number_of_requests(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST_STEPS", 2)
    flow = make_flow()
    flow.code()
    told = recorder.told(flow.run)
    assert (len(told["steps"]), told["is_full"]) == (2, True)


def test_few_launches_are_kept_and_none_for_long(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_RUNS", 3)

    def begin(now: Any) -> Run:
        chosen = Choices(kind=STANDALONE, client="chart")
        return runs.begin(chosen, browser=MINE, opened="", launch="", now=now)

    now = timezone.now()
    old = begin(now - runs.KEPT_FOR - timedelta(seconds=1))
    made = [begin(now) for _ in range(5)]
    assert Run.objects.count() == 3
    assert not Run.objects.filter(pk=old.pk).exists()
    assert Run.objects.filter(pk=made[-1].pk).exists()


@pytest.mark.parametrize(
    ("method", "said"), [("GET", "a code for the app; nobody was asked"), ("POST", "a code for the app")]
)
def test_a_code_that_no_form_brought_is_told_as_one_nobody_was_asked_about(method: str, said: str) -> None:
    request = RequestFactory().generic(method, "/auth/consent/x")
    answer = HttpResponseRedirect("https://chart.example.org/callback?code=c&state=s")
    assert noting.outcome(request, answer, Arrived("consent", {}, (), "chart")) == (said, False)
