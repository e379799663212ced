"""The launcher over real HTTP: its EHR goes through the launch API like any other, and its service through the token
endpoint.

SMART 2.2 app-launch, "Launch App: EHR Launch"; backend-services.
"""

import re
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests

from clients.models import Client
from smartauth.audit.models import AuditRecord
from smartauth.conf import config
from smartauth.models import Launch
from smartauth.sandbox.launcher import runs
from smartauth.sandbox.models import Run
from tests.endpoints.app_launch import Pkce
from tests.flows.visitor import FORM, Visitor, latest, opened_in, visitor
from tests.hospital import PASSWORD, hospital
from tests.person import Person
from tests.world import World, register

__all__ = ["hospital", "visitor"]

# An app that lives elsewhere: it opens in a window of its own.
CHART = {
    "client_id": "chart-elsewhere",
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code"],
    "redirect_uris": ["https://chart.example.org/callback"],
    "launch_urls": ["https://chart.example.org/launch?tab=1"],
    "scope": "launch openid patient/Patient.rs",
}


@pytest.mark.requirement("LAUNCH-01", "LAUNCH-10")
def test_the_ehr_begins_a_launch_by_the_api_and_the_app_learns_what_it_said(visitor: Visitor, hospital: World) -> None:
    if not Client.objects.filter(client_id=CHART["client_id"]).exists():
        register(hospital, CHART)
    form = visitor.press("/launcher/", **FORM, do="find-context", find_context="DiagnosticReport")
    found = re.search(r'name="pick" value="context (DiagnosticReport/[^"]+)"', form.text)
    assert found, form.text
    said = {"encounter": "latest", "intent": "review", "need_patient_banner": "yes"}
    said |= {
        "fhir_context": f'[{{"reference": "{found[1]}"}}]',
        "smart_style_url": "https://ehr.example.org/style.json",
    }
    page = visitor.launch(client=CHART["client_id"], **said)
    run = latest()
    assert (page.status_code, urlsplit(page.url).path) == (200, f"/launcher/run/{run.pk}")
    opened = opened_in(page)
    handle = parse_qs(urlsplit(opened).query)["launch"][0]
    assert opened.startswith(f"{CHART['launch_urls'][0]}&iss=")
    stored = Launch.objects.latest("created_at")
    assert (stored.begun_by, stored.patient, stored.context["intent"]) == ("ehr", "ana", "review")
    assert stored.encounter == runs.choices_of(run).encounter != "latest"
    assert AuditRecord.objects.filter(action="launch", rule="launch.begun", client_id="ehr").exists()
    assert [(step["what"], step["status"]) for step in visitor.seen(run)] == [
        ("POST token client_credentials", 200),
        ("POST launch", 201),
    ]
    # The handle signs nobody in: the person is asked for a password, and only then the app is told.
    pkce, person = Pkce(), Person(hospital.base_url, "dr-grey", PASSWORD)
    asked = {
        "response_type": "code",
        "client_id": CHART["client_id"],
        "redirect_uri": CHART["redirect_uris"][0],
        "scope": CHART["scope"],
        "state": "a state",
        "aud": hospital.fhir_base,
        "launch": handle,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    answer = person.launch(f"{hospital.base_url}/auth/sandbox/authorize?{urlencode(asked)}")
    told = dict(parse_qsl(urlsplit(answer).query))
    assert person.kinds == ["sign-in", "consent"]
    form = {
        "grant_type": "authorization_code",
        "client_id": asked["client_id"],
        "code": told["code"],
        "redirect_uri": asked["redirect_uri"],
        "code_verifier": pkce.verifier,
    }
    body = requests.post(hospital.token_url, form, timeout=20).json()
    assert (body["patient"], body["encounter"], body["intent"]) == ("ana", stored.encounter, "review")
    assert body["need_patient_banner"] is True
    assert body["smart_style_url"] == said["smart_style_url"]
    assert body["fhirContext"] == [{"reference": found[1]}]
    told_last = visitor.seen(run)[-1]
    assert (told_last["what"], told_last["status"]) == ("POST token authorization_code", 200)
    assert ("POST sign-in", 302) in [(step["what"], step["status"]) for step in visitor.seen(run)]


def test_a_portal_is_about_the_own_record_unless_another_is_named(visitor: Visitor) -> None:
    visitor.launch(kind="patient-portal", user="ana", patient="")
    assert Launch.objects.latest("created_at").patient == "ana"


def test_what_the_server_refuses_is_said_with_its_rule_and_loses_nothing(visitor: Visitor) -> None:
    Client.objects.filter(client_id="ehr").update(status="suspended")
    try:
        page = visitor.launch(intent="keep me")
    finally:
        Client.objects.filter(client_id="ehr").update(status="approved")
    assert page.status_code == 400
    assert "client.suspended" in page.text
    assert 'value="keep me"' in page.text


def test_a_patient_without_an_encounter_has_no_latest(visitor: Visitor) -> None:
    page = visitor.launch(patient="nobody-here", encounter="latest")
    assert page.status_code == 400
    assert "This patient has no encounter that could be the latest" in page.text


def test_without_its_key_the_ehr_says_so(visitor: Visitor) -> None:
    key = config().var / "secrets" / "ehr.pem"
    away = key.rename(key.with_suffix(".away"))
    try:
        page = visitor.launch()
    finally:
        away.rename(key)
    assert page.status_code == 400
    assert "The sandbox has no key for ehr" in page.text


@pytest.mark.parametrize(
    ("fault", "token", "read"),
    [
        ("", 200, 200),
        ("wrong-aud", 401, None),
        ("expired-token", 200, 401),
        ("invalid-token", 200, 401),
        ("fhir-fails", 200, 503),
    ],
)
def test_a_service_is_run_over_http_and_meets_its_fault(
    visitor: Visitor, fault: str, token: int, read: int | None
) -> None:
    visitor.launch(kind="backend", client="bulk-loader", user="", patient="", fault=fault)
    run = latest()
    page = visitor.press(f"/launcher/run/{run.pk}")
    run.refresh_from_db()
    assert run.result["token"]["status"] == token
    assert run.result.get("read", {}).get("status") == read
    assert "What came of it" in page.text
    seen = [(step["what"], step["status"]) for step in visitor.seen(run)]
    assert seen == [("POST token client_credentials", token)] + ([] if read is None else [("GET Patient?_count", read)])
    Run.objects.filter(pk=run.pk).delete()  # So that it spoils nothing for other tests.
