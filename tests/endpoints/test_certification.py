"""What a certified system in the United States shows, walked once from end to end.

45 CFR §170.315(g)(10) and its test procedure; US Core SMART scopes. What each step promises in every detail is tested
where it belongs; here is the order in which an inspector goes through it.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client as Browser
from django.utils import timezone

from smartauth.digests import digest
from smartauth.models import AuthorizationCode, RefreshToken
from smartauth.people.models import User
from smartauth.policy import advertising
from tests.endpoints.app_launch import (
    AUTHORIZE,
    App,
    Pkce,
    authorize_params,
    callback,
    decide,
    launch,
    make_app,
    open_consent,
    ticks,
)
from tests.endpoints.conftest import Post
from tests.endpoints.ehr import begin_answer, begin_launch, chart, ehr, visits
from tests.endpoints.test_discovery_truth import Here, here
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_token_refresh_token import refresh, start
from tests.endpoints.token_requests import Ask, body_of, redemption, verified
from tests.factories import phone_app
from tests.proxy.test_records import Load

__all__ = [
    "auditor",
    "begin_answer",
    "begin_launch",
    "chart",
    "ehr",
    "here",
    "refresh",
    "start",
    "visits",
]

pytestmark = pytest.mark.usefixtures("signing_key", "small", "visits")

THREE_MONTHS = timedelta(days=93)
PERSON = "openid fhirUser offline_access"
DIVIDED = ("Condition", "Observation")
STATUS = {"Observation": {"status": "final"}, "Condition": {}}
GRANULAR = [f"{kind}.rs?category={value}" for kind in DIVIDED for value in advertising.CATEGORIES[kind]]


def scopes_in(tokens: dict[str, Any]) -> set[str]:
    return set(tokens["scope"].split(" "))


@pytest.mark.requirement("ONC-01")
@pytest.mark.parametrize("kind", ["growth_chart", "cardio", "atlas"])
def test_public_symmetric_and_asymmetric_apps_launch_by_themselves_and_know_who_the_user_is(
    here: Here, kind: str
) -> None:
    tokens = here.start(getattr(here, kind), scope=f"launch/patient {PERSON} patient/Patient.rs")
    assert tokens["patient"] == "ana"
    assert here.reads_ana(tokens)
    assert verified(tokens["id_token"], "RS256").claims["fhirUser"].endswith("/Patient/ana")
    assert here.reads_ana(here.refresh(tokens["refresh_token"], getattr(here, kind)).json())


@pytest.mark.requirement("ONC-01")
def test_an_ehr_launches_an_app_and_a_service_gets_its_token(here: Here) -> None:
    assert here.reads_ana(here.launched(f"launch {PERSON} patient/Patient.rs"))
    token = here.service_token(here.bulk_loader, "system/Patient.rs").json()["access_token"]
    assert here.call("/Patient/ana", token).status_code == 200


@pytest.mark.requirement("ONC-02")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_launch_is_asked_for_by_get_and_by_post(here: Here, method: str) -> None:
    pkce, chosen = Pkce(), Browser()
    handle = here.begin_launch()
    params = authorize_params(here.chart, scope="launch user/Patient.rs", launch=handle, code_challenge=pkce.challenge)
    form = {"data": urlencode(params), "content_type": "application/x-www-form-urlencoded"}
    answer = chosen.get(AUTHORIZE, params) if method == "GET" else chosen.post(AUTHORIZE, **form)
    path = answer.headers["Location"]
    told = callback(decide(chosen, path, open_consent(chosen, path, here.dr_grey)), here.chart.redirect_uri)
    grant = {"grant_type": "authorization_code", "code": told["code"], "code_verifier": pkce.verifier}
    tokens = body_of(here.ask(here.chart, grant | {"redirect_uri": here.chart.redirect_uri}))
    assert here.reads_ana(tokens)


@pytest.mark.requirement("ONC-03", "ONC-09")
def test_a_patient_grants_every_type_that_was_asked_in_the_words_it_was_asked_in(here: Here) -> None:
    asked = f"launch/patient {PERSON} " + " ".join(f"patient/{one}.rs" for one in advertising.US_CORE_TYPES)
    tokens = here.granted(asked)
    levels = {one.partition("/")[0] for one in scopes_in(tokens) if one.endswith(".rs")}
    assert levels == {"patient"}
    assert (tokens["patient"], "refresh_token" in tokens, "id_token" in tokens) == ("ana", True, True)


@pytest.mark.requirement("ONC-04", "ONC-20")
def test_a_practitioner_in_an_ehr_grants_what_is_the_users_and_no_more(here: Here) -> None:
    asked = f"launch {PERSON} " + " ".join(f"user/{one}.rs" for one in advertising.US_CORE_TYPES)
    tokens = here.launched(asked, encounter="visit-of-ana", need_patient_banner=False)
    assert {one.partition("/")[0] for one in scopes_in(tokens) if one.endswith(".rs")} == {"user"}
    assert (tokens["patient"], tokens["encounter"], tokens["need_patient_banner"]) == ("ana", "visit-of-ana", False)
    assert tokens["smart_style_url"].startswith("http")
    assert here.call(f"/Encounter/{tokens['encounter']}", tokens["access_token"]).status_code == 200


@pytest.mark.requirement("ONC-05")
def test_a_launch_with_a_patient_scope_tells_and_opens_the_patient(here: Here) -> None:
    tokens = here.launched("launch patient/Patient.rs")
    assert (tokens["patient"], tokens["scope"]) == ("ana", "launch patient/Patient.rs")
    assert here.reads_ana(tokens)
    assert here.call("/Patient/ben", tokens["access_token"]).status_code == 404


@pytest.mark.requirement("ONC-06", "ONC-21")
def test_what_a_person_took_back_the_api_does_not_give(here: Here) -> None:
    asked = "launch/patient patient/Patient.rs patient/Goal.rs patient/Immunization.rs"
    tokens = here.start(here.growth_chart, scope=asked, untick=["patient/Goal.rs"])
    assert scopes_in(tokens) == {"launch/patient", "patient/Patient.rs", "patient/Immunization.rs"}
    for kind, status in (("Patient", 200), ("Immunization", 200), ("Goal", 403), ("Condition", 403)):
        query = "_id=ana" if kind == "Patient" else "patient=ana"
        assert here.call(f"/{kind}?{query}", tokens["access_token"]).status_code == status, kind


@pytest.mark.requirement("ONC-07")
def test_scopes_of_smart_1_0_are_granted_as_they_were_written_and_open_the_record(here: Here) -> None:
    tokens = here.granted("launch/patient openid fhirUser patient/Patient.read patient/Observation.read")
    assert here.reads_ana(tokens)
    assert here.call("/Observation?patient=ana", tokens["access_token"]).status_code == 200


@pytest.mark.requirement("ONC-08", "ONC-10")
def test_categories_are_granted_without_the_type_and_open_what_is_in_them(here: Here, load: Load) -> None:
    assert len(GRANULAR) == 9
    members = {"code": {"text": "x"}, "subject": {"reference": "Patient/ana"}}
    for number, one in enumerate(GRANULAR):
        kind, _, value = one.partition(".rs?category=")
        system, _, code = value.partition("|")
        category = [{"coding": [{"system": system, "code": code}]}]
        load(kind, f"category-{number}", category=category, **members, **STATUS[kind])
    tokens = here.granted("launch/patient " + " ".join(f"patient/{one}" for one in GRANULAR))
    assert not {"patient/Observation.rs", "patient/Condition.rs", "patient/*.rs"} & scopes_in(tokens)
    conditions, observations = ([one for one in GRANULAR if one.startswith(kind)] for kind in DIVIDED)
    for pair in zip(cycle(conditions), observations, strict=False):
        granted = here.granted("launch/patient " + " ".join(f"patient/{one}" for one in pair))["access_token"]
        for number, one in enumerate(GRANULAR):
            status = here.call(f"/{one.partition('.')[0]}/category-{number}", granted).status_code
            assert status == (200 if one in pair else 404), (pair, one)


@pytest.mark.requirement("ONC-09", "ONC-21")
@pytest.mark.parametrize("kind", DIVIDED)
def test_whoever_is_asked_for_a_type_may_choose_categories(here: Here, kind: str) -> None:
    asked = f"launch/patient patient/Patient.rs patient/{kind}.rs"
    chosen = Browser()
    path = chosen.get(AUTHORIZE, authorize_params(here.growth_chart, scope=asked)).headers["Location"]
    offered = ticks(open_consent(chosen, path, here.ana))
    categories = [f"patient/{kind}.rs?category={value}" for value in advertising.CATEGORIES[kind]]
    assert sorted(offered) == sorted(["patient/Patient.rs", *categories])
    tokens = here.start(here.growth_chart, scope=asked, untick=categories[1:])
    assert scopes_in(tokens) == {"launch/patient", "patient/Patient.rs", categories[0]}


@pytest.mark.requirement("ONC-11")
@pytest.mark.parametrize("aud", ["https://elsewhere.example/r4", ""])
def test_an_app_that_names_another_server_gets_no_code(here: Here, aud: str) -> None:
    answer = Browser().get(AUTHORIZE, authorize_params(here.growth_chart, aud=aud or ...))
    assert callback(answer, here.growth_chart.redirect_uri)["error"] == "invalid_request"
    assert not AuthorizationCode.objects.exists()


VERIFIERS: list[tuple[str, Callable[[str, str], Any]]] = [
    ("none", lambda verifier, challenge: ...),
    ("empty", lambda verifier, challenge: ""),
    ("another", lambda verifier, challenge: "x" * 43),
    ("the challenge", lambda verifier, challenge: challenge),
]


@pytest.mark.requirement("ONC-11")
@pytest.mark.parametrize("wrong", [one for _, one in VERIFIERS], ids=[name for name, _ in VERIFIERS])
def test_a_verifier_that_does_not_fit_gets_no_token(
    browser: Browser, ask: Ask, growth_chart: App, ana: User, wrong: Callable[[str, str], Any]
) -> None:
    done = launch(browser, growth_chart, ana)
    challenge = AuthorizationCode.objects.get().code_challenge
    sent = redemption(done) | {"code_verifier": wrong(done.verifier, challenge)}
    answer = ask(growth_chart, {name: value for name, value in sent.items() if value is not ...})
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_request", "invalid_grant")


@pytest.mark.requirement("ONC-11")
def test_an_invalid_code_client_or_refresh_token_gets_no_token(here: Here, browser: Browser, post: Post) -> None:
    done = launch(browser, here.growth_chart, here.ana)
    wrong = here.ask(here.growth_chart, redemption(done) | {"code": "BAD_CODE"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    unknown = post("/auth/sandbox/token", redemption(done) | {"client_id": "BAD_CLIENT"})
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_client")
    stale = here.refresh("BAD_REFRESH_TOKEN")
    assert (stale.status_code, stale.json()["error"]) == (400, "invalid_grant")


@pytest.mark.requirement("ONC-12")
def test_native_apps_stay_connected_too(here: Here) -> None:
    metadata = phone_app(client_id="native", application_type="native", redirect_uris=["org.example.app:/callback"])
    app = make_app(metadata, here.tenant)
    tokens = here.start(app, scope=f"launch/patient {PERSON} patient/Patient.rs")
    again = here.refresh(tokens["refresh_token"], app).json()
    assert here.reads_ana(again)
    for one in (tokens, again):
        row = RefreshToken.objects.get(token_checksum=digest(one["refresh_token"]))
        assert row.expires - timezone.now() > THREE_MONTHS


@pytest.mark.requirement("ONC-13")
def test_introspection_tells_what_a_token_is_and_for_whom(here: Here) -> None:
    tokens = here.launched(f"launch {PERSON} user/Patient.rs", encounter="visit-of-ana")
    told = here.post(INTROSPECT, {"token": tokens["access_token"], **here.auditor.credentials()}).json()
    assert (told["active"], told["client_id"], told["scope"]) == (True, "chart", tokens["scope"])
    assert {"exp", "iss", "sub", "fhirUser", "patient", "encounter"} <= told.keys()
    invalid = here.post(INTROSPECT, {"token": "nonsense", **here.auditor.credentials()})
    assert invalid.json() == {"active": False}


@pytest.mark.requirement("ONC-20", "ONC-21")
def test_discovery_tells_of_what_is_required(here: Here) -> None:
    told = Browser().get("/fhir/sandbox/r4/.well-known/smart-configuration").json()
    required = {"context-ehr-encounter", "permission-v2", "client-confidential-asymmetric", "authorize-post"}
    assert required <= set(told["capabilities"])
    assert "introspection_endpoint" in told
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
    for level in ("patient", "user", "system"):
        assert {f"{level}/{one}" for one in (*GRANULAR, "Patient.rs")} <= set(told["scopes_supported"])
