"""Faults and habits inside: which rule refuses, what is recorded, what is left alone. What the app meets of each in
every kind of launch is tried in tests/flows/test_launcher_faults.py.

RFC 6749 §4.1.2.1 and §5.2; RFC 6750 §3.1; SMART 2.2 app-launch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from smartauth.receipts.models import Receipt
from smartauth.sandbox.launcher import spoiling
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS, STANDALONE
from tests.endpoints.app_launch import (
    AUTHORIZE,
    Launch,
    Pkce,
    authorize_params,
    callback,
    decide,
    launch,
    open_consent,
    told_in,
)
from tests.endpoints.token_requests import redemption
from tests.launcher.conftest import Flow, MakeFlow, Watch
from tests.proxy.conftest import Behind

pytestmark = pytest.mark.usefixtures("small")

SCOPES = "openid offline_access patient/*.rs patient/Patient.rs patient/Goal.read patient/Observation.read"


def rule_of(answer: Any) -> str:
    return Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule


def read_patient(flow: Flow, tokens: dict[str, Any]) -> Any:
    return flow.call("/Patient/ana", tokens["access_token"])


def test_every_fault_strikes_in_every_kind_that_it_claims_and_no_other_is_left_out() -> None:
    assert {kind for fault in FAULTS.values() for kind in fault.kinds} == set(KINDS)
    without = {fault.id for fault in FAULTS.values() if BACKEND not in fault.kinds}
    assert without == {"altered-state", "expired-code", "missing-context"}


def test_without_a_fault_everything_is_answered(make_flow: MakeFlow) -> None:
    flow = make_flow()
    tokens = flow.tokens()
    assert tokens["patient"] == "ana"
    assert read_patient(flow, tokens).status_code == 200
    assert not any(step["fault"] or step["rule"] for step in flow.seen())


def test_a_wrong_aud_is_refused_at_authorize(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="wrong-aud")
    asked = authorize_params(flow.app, state="state-1", **flow.asked)
    answer = flow.browser.get(AUTHORIZE, asked)
    receipt = told_in(answer, flow.app.redirect_uri, "state-1", "invalid_request")
    assert (receipt.rule, receipt.seen) == ("aud.unknown", spoiling.OTHER_SERVER)
    [step] = flow.seen()
    assert (step["rule"], step["fault"]) == ("aud.unknown", "Wrong aud")
    assert flow.verdicts()["aud"] == "good"  # It was not the app.


def test_a_wrong_aud_is_refused_in_a_form_and_where_it_is_pushed_too(make_flow: MakeFlow) -> None:
    flow = make_flow(STANDALONE, fault="wrong-aud")
    asked = authorize_params(flow.app, state="state-1", **flow.asked)
    answer = flow.browser.post(AUTHORIZE, urlencode(asked), content_type="application/x-www-form-urlencoded")
    assert callback(answer, flow.app.redirect_uri)["error"] == "invalid_request"
    pushed = flow.ask(flow.app, asked, path="/auth/sandbox/par")
    assert (pushed.status_code, rule_of(pushed)) == (400, "aud.unknown")


def test_an_expired_code_is_refused_at_the_token_endpoint(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="expired-code")
    answer = flow.ask(flow.app, redemption(flow.code()))
    assert (answer.status_code, answer.json()["error"], rule_of(answer)) == (400, "invalid_grant", "code.expired")
    assert "you chose this fault" in flow.seen()[-1]["fix"]  # Nothing of the app's is to be mended.
    assert flow.seen()[-1]["fault"] == "Expired code"


def test_an_invalid_token_is_refused_at_the_fhir_api(make_flow: MakeFlow, small: Behind) -> None:
    flow = make_flow(fault="invalid-token")
    tokens = flow.tokens()
    before = len(small.received())
    answer = read_patient(flow, tokens)
    assert (answer.status_code, rule_of(answer)) == (401, "token.unknown")
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert len(small.received()) == before


def test_an_expired_token_is_refused_until_it_is_refreshed(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="expired-token")
    tokens = flow.tokens()
    assert tokens["expires_in"] == 1800  # The app cannot know.
    answer = read_patient(flow, tokens)
    assert (answer.status_code, rule_of(answer)) == (401, "token.expired")
    assert flow.verdicts()["refresh"] == "bad"
    assert read_patient(flow, flow.refresh(tokens)).status_code == 200
    assert (flow.verdicts()["refresh"], flow.verdicts()["refused"]) == ("good", "good")


def test_missing_context_is_missing_in_every_token_response(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="missing-context")
    tokens = flow.tokens()
    assert not {"patient", "encounter", "fhirContext"} & tokens.keys()
    assert "need_patient_banner" in tokens
    assert "patient" not in flow.refresh(tokens)
    assert read_patient(flow, tokens).status_code == 200  # Only the app was not told.


def test_a_failing_fhir_server_is_503_with_an_outcome(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="fhir-fails")
    answer = read_patient(flow, flow.tokens())
    assert (answer.status_code, answer.headers["Retry-After"], rule_of(answer)) == (503, "5", "fault.fhir_fails")
    outcome = answer.json()
    assert outcome["issue"][0]["diagnostics"] == answer.headers["X-Trace-Id"]
    assert "Lindqvist" not in answer.content.decode()
    assert not {"ETag", "Last-Modified"} & set(answer.headers)
    assert flow.seen()[-1]["rule"] == "fault.fhir_fails"


def test_a_failing_fhir_server_answers_head_without_a_body(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="fhir-fails")
    headers = {"Authorization": f"Bearer {flow.tokens()['access_token']}"}
    answer = Browser().head("/fhir/sandbox/r4/Patient/ana", headers=headers)
    assert (answer.status_code, answer.content) == (503, b"")


def test_a_page_of_another_origin_can_read_the_failure(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="fhir-fails")
    headers = {
        "Authorization": f"Bearer {flow.tokens()['access_token']}",
        "Origin": "https://cardio.example.org",
    }
    answer = Browser().get("/fhir/sandbox/r4/Patient/ana", headers=headers)
    assert answer.status_code == 503
    assert answer.headers["Access-Control-Allow-Origin"] == "https://cardio.example.org"


def test_an_answer_with_another_state_is_recorded_and_an_app_that_takes_it_is_told(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="altered-state")
    pkce = Pkce()
    asked = authorize_params(flow.app, code_challenge=pkce.challenge, **flow.asked)
    path = urlsplit(flow.browser.get(AUTHORIZE, asked).headers["Location"]).path
    told = callback(decide(flow.browser, path, open_consent(flow.browser, path, flow.user)), flow.app.redirect_uri)
    assert (told["state"] != asked["state"], flow.verdicts()["state"]) == (True, "good")
    [step] = [step for step in flow.seen() if step["fault"]]
    assert (step["part"], step["fault"], step["outcome"]) == ("Consent", "Altered state", "a code for the app")
    code = Launch(told["code"], told["state"], pkce.verifier, flow.app.client_id, flow.app.redirect_uri)
    assert flow.ask(flow.app, redemption(code)).status_code == 200
    assert flow.verdicts()["state"] == "bad"


def test_what_is_refused_anyway_is_refused_for_its_own_reason(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="fhir-fails")
    answer = flow.call("/Immunization?patient=ana", flow.tokens()["access_token"])
    assert answer.status_code == 403
    assert flow.seen()[-1]["fault"] == ""
    assert flow.verdicts()["refused"] == "look"


def test_only_some_requests_wait_at_once(make_flow: MakeFlow) -> None:
    flow = make_flow(fault="fhir-is-slow", delay="60")
    tokens = flow.tokens()
    for _ in range(spoiling.MOST_WAITING):
        assert spoiling._waiting.acquire(blocking=False)
    try:
        assert read_patient(flow, tokens).status_code == 200
    finally:
        for _ in range(spoiling.MOST_WAITING):
            spoiling._waiting.release()
    assert flow.seen()[-1]["fault"] == ""


# ---- backend services


def test_a_service_with_a_wrong_aud_is_refused_at_the_token_endpoint(
    begin_run: Watch, service_token: Callable[..., Any]
) -> None:
    begin_run(BACKEND, "bulk-loader", fault="wrong-aud")
    answer = service_token()
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["Cache-Control"] == "no-store"
    receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
    assert (receipt.rule, receipt.client_id, receipt.seen) == ("assertion.aud", "bulk-loader", spoiling.OTHER_SERVER)


# ---- habits


@pytest.mark.parametrize(
    ("habit", "granted"),
    [
        ("", "launch/patient openid offline_access patient/*.rs patient/Goal.read"),
        ("no-refresh", "launch/patient openid patient/*.rs patient/Goal.read"),
        ("exact-scopes", "launch/patient openid offline_access patient/Goal.read"),
        ("v1-scopes", "launch/patient openid offline_access patient/Goal.read"),
        ("narrowed-scopes", "launch/patient openid offline_access patient/Patient.rs patient/Observation.rs"),
    ],
)
def test_a_habit_leaves_of_what_is_asked_what_it_knows(make_flow: MakeFlow, habit: str, granted: str) -> None:
    flow = make_flow(STANDALONE, habit=habit)
    asked = "launch/patient openid offline_access patient/*.rs patient/Goal.read"
    code = launch(flow.browser, flow.app, flow.user, scope=asked)
    body = flow.ask(flow.app, redemption(code)).json()
    assert body["scope"] == granted
    assert ("refresh_token" in body) == ("offline_access" in granted)
    is_told = "the habit left" in flow.seen()[0]["outcome"]
    assert is_told == bool(habit)


def test_a_habit_that_leaves_nothing_is_no_scope_at_all(make_flow: MakeFlow) -> None:
    flow = make_flow(STANDALONE, habit="exact-scopes")
    answer = flow.browser.get(AUTHORIZE, authorize_params(flow.app, scope="patient/*.rs", state="state-1"))
    assert told_in(answer, flow.app.redirect_uri, "state-1", "invalid_scope").rule == "scope.missing"
    told = flow.seen()[0]
    assert "knows none of the scopes" in told["reason"]  # It did send some, so "scope is missing" would mislead.
    assert "choose no habit" in told["fix"]


def test_short_tokens_say_so_and_end_so(make_flow: MakeFlow, begin_run: Watch, service_token: Any) -> None:
    assert make_flow(habit="short-tokens").tokens()["expires_in"] == 60
    begin_run(BACKEND, "bulk-loader", habit="short-tokens")
    assert service_token().json()["expires_in"] == 60


def test_a_service_asks_under_a_habit_too(begin_run: Watch, service_token: Callable[..., Any]) -> None:
    begin_run(BACKEND, "bulk-loader", habit="narrowed-scopes")
    assert service_token("system/*.rs").json()["scope"] == "system/Patient.rs system/Observation.rs"


# ---- whom it strikes


def test_another_launch_of_the_same_app_is_left_alone(
    make_flow: MakeFlow, begin_launch: Callable[..., str], browser: Browser
) -> None:
    flow = make_flow(fault="missing-context")
    other = begin_launch(user=flow.user.username)  # By another EHR, or by hand.
    code = launch(browser, flow.app, flow.user, scope=flow.asked["scope"], launch=other)
    assert flow.ask(flow.app, redemption(code)).json()["patient"] == "ana"
    assert flow.tokens().get("patient") is None


def test_another_browser_is_left_alone_and_one_that_says_nothing_is_not(make_flow: MakeFlow) -> None:
    flow = make_flow(STANDALONE, fault="wrong-aud")
    other, silent = Browser(), Browser()
    other.cookies["smartauth_launcher"] = "of somebody else"
    assert other.get(AUTHORIZE, authorize_params(flow.app, **flow.asked)).headers["Location"].startswith("/auth/")
    answer = silent.get(AUTHORIZE, authorize_params(flow.app, **flow.asked))
    assert callback(answer, flow.app.redirect_uri)["error"] == "invalid_request"


def test_when_its_minutes_are_over_a_launch_spoils_nothing(make_flow: MakeFlow) -> None:
    flow = make_flow(STANDALONE, fault="wrong-aud")
    flow.run.watched_until = flow.run.begun_at
    flow.run.save()
    answer = flow.browser.get(AUTHORIZE, authorize_params(flow.app, **flow.asked))
    assert answer.headers["Location"].startswith("/auth/consent/")


def test_while_nothing_is_watched_a_request_costs_no_statement(make_flow: MakeFlow, tmp_path: Path) -> None:
    flow, sign = make_flow(), tmp_path / "launcher-watches"
    costs = []
    for is_there in (True, False):
        if not is_there:
            sign.unlink()
        with CaptureQueriesContext(connection) as statements:
            assert flow.call("/Patient/ana", "unknown").status_code == 401
        costs.append(len(statements))
    assert costs[0] == costs[1] + 1
