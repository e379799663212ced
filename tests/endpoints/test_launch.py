"""The endpoint where an EHR begins a launch: who may, what it may say, and what it gets.

SMART 2.2 app-launch, "Launch App: EHR Launch", and scopes-and-launch-context; RFC 6750 §3.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.models import Client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import AccessToken, Launch
from smartauth.people.models import FhirUser, User
from smartauth.receipts.models import Receipt
from smartauth.styling import smart_style_url
from tests.endpoints.app_launch import FHIR_BASE, App, launch, make_app, make_person
from tests.endpoints.conftest import Post, Service
from tests.endpoints.ehr import LAUNCH, LAUNCH_URL, BeginAnswer, begin_answer, chart, clinic, ehr, launch_body
from tests.endpoints.token_requests import basic
from tests.factories import make_tenant, phone_app, web_app

__all__ = ["begin_answer", "chart", "clinic", "ehr"]

pytestmark = pytest.mark.usefixtures("signing_key", "chart", "dr_grey")

HANDLE = 43  # characters of base64url that hold 256 bits


def rule_of(answer: Any, status: int, error: str = "invalid_request") -> str:
    """Return the rule by which a request was refused; nothing may have been begun."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    assert not Launch.objects.exists()
    rule: str = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule
    return rule


@pytest.mark.requirement("LAUNCH-01", "LAUNCH-03", "LAUNCH-04", "LAUNCH-05")
def test_an_ehr_gets_the_registered_launch_url_with_iss_and_a_handle(
    begin_answer: BeginAnswer, dr_grey: User, tenant: TenantInfo
) -> None:
    said = {
        "patient": "ana",
        "encounter": "visit-1",
        "fhirContext": [{"reference": "ImagingStudy/img-88"}],
        "intent": "reconcile-medications",
        "need_patient_banner": False,
        "smart_style_url": "https://ehr.example.org/style.json",
        "tenant": "lakeside-main",
    }
    answer = begin_answer(**said)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body.keys() == {"launch", "launch_url", "expires_in"}
    url, _, query = body["launch_url"].partition("?")
    assert url == LAUNCH_URL
    assert parse_qsl(query) == [("iss", FHIR_BASE), ("launch", body["launch"])]
    assert (len(body["launch"]), body["expires_in"]) == (HANDLE, 300)
    row = Launch.objects.get()
    assert row.handle == digest(body["launch"])
    assert (row.client.client_id, row.user, row.tenant_id, row.begun_by) == ("chart", dr_grey, tenant.pk, "ehr")
    assert (row.expires_at - row.created_at).total_seconds() == 300
    assert (row.used_at, row.context) == (None, said)
    told = AuditRecord.objects.get(action="launch")
    assert (told.rule, told.client_id, told.tenant, told.user_id, told.patient) == (
        *("launch.begun", "ehr", "sandbox", dr_grey.pk, "ana"),
    )
    assert told.details == {"launch": str(row.pk), "app": "chart", "encounter": "visit-1"}


@pytest.mark.requirement("LAUNCH-03")
def test_no_two_launches_have_the_same_handle_and_none_is_kept(begin_answer: BeginAnswer) -> None:
    handles = {begin_answer().json()["launch"] for _ in range(5)}
    assert len(handles) == 5
    stored = json.dumps(list(Launch.objects.values("id", "handle", "context", "begun_by")), default=str)
    stored += json.dumps(list(AuditRecord.objects.filter(action="launch").values("details", "query")), default=str)
    assert not any(one in stored for one in handles)


@pytest.mark.requirement("REG-04")
@pytest.mark.requirement("LAUNCH-02")
@pytest.mark.parametrize("wanted", [..., "https://cardio.example.org/other"])
def test_the_query_of_a_launch_url_stays_and_values_are_encoded(
    begin_answer: BeginAnswer, clinic: App, wanted: Any
) -> None:
    url = begin_answer(client_id="clinic", launch_url=wanted).json()["launch_url"]
    expected = {"iss": [FHIR_BASE]} if wanted is not ... else {"tab": ["1"], "iss": [FHIR_BASE]}
    query = parse_qs(urlsplit(url).query)
    assert query.pop("launch")
    assert query == expected
    assert "iss=http%3A%2F%2F127.0.0.1%3A8000%2Ffhir%2Fsandbox%2Fr4&" in url


def test_what_an_ehr_leaves_out_is_told_on_the_safe_side(begin_answer: BeginAnswer) -> None:
    begin_answer(patient=..., intent="")
    assert Launch.objects.get().context == {"need_patient_banner": True, "smart_style_url": smart_style_url()}


@pytest.mark.parametrize("name", ["dr-grey", "Practitioner/dr-grey", f"{FHIR_BASE}/Practitioner/dr-grey"])
@pytest.mark.parametrize("iss", [FHIR_BASE, f"{FHIR_BASE}/"])
def test_a_user_has_three_names_and_the_base_may_have_its_last_slash(
    begin_answer: BeginAnswer, dr_grey: User, name: str, iss: str
) -> None:
    answer = begin_answer(user=name, iss=iss)
    assert parse_qs(urlsplit(answer.json()["launch_url"]).query)["iss"] == [FHIR_BASE]
    assert Launch.objects.get().user == dr_grey


# ---- who may


@pytest.mark.requirement("LAUNCH-10")
def test_who_is_no_ehr_begins_nothing(
    register: Callable[..., Service],
    get_token: Callable[..., str],
    bulk_loader: Service,
) -> None:
    def send(**headers: str) -> HttpResponse:
        return Browser().post(LAUNCH, launch_body(), content_type="application/json", headers=headers)

    assert rule_of(send(), 401, "invalid_token") == "launch.no_credentials"
    assert rule_of(send(Authorization="Basic Zm9vOmJhcg=="), 401, "invalid_token") == "launch.no_credentials"
    assert rule_of(send(Authorization="Bearer nonsense"), 401, "invalid_token") == "token.unknown"
    without = send(Authorization=f"Bearer {get_token(bulk_loader)}")
    assert rule_of(without, 403, "insufficient_scope") == "launch.no_right"
    assert 'scope="__launch"' in without.headers["WWW-Authenticate"]
    both = register("ehr", scope="__launch system/Patient.rs")
    # The right has to be asked for.
    less = send(Authorization=f"Bearer {get_token(both, 'system/Patient.rs')}")
    assert rule_of(less, 403, "insufficient_scope") == "launch.no_right"


def test_the_right_ends_with_the_registration(begin_answer: BeginAnswer) -> None:
    Client.objects.filter(client_id="ehr").update(scope="system/Patient.rs")
    assert rule_of(begin_answer(), 403, "insufficient_scope") == "launch.no_right"


@pytest.mark.requirement("LAUNCH-10")
@pytest.mark.usefixtures("small")
def test_a_user_of_an_app_with_the_right_is_no_ehr(post: Post, tenant: TenantInfo, dr_grey: User) -> None:
    app = make_app(web_app(client_id="busy", scope="openid __launch"), tenant)
    launched = launch(Browser(), app, dr_grey, scope="openid __launch")
    params = {"grant_type": "authorization_code", "code": launched.code, "code_verifier": launched.verifier}
    params |= {"redirect_uri": app.redirect_uri}
    tokens = post("/auth/sandbox/token", params, Authorization=basic(app.client_id, str(app.secret))).json()
    assert tokens["scope"] == "openid"  # It is of no use to a person, so nobody is asked about it.
    AccessToken.objects.filter(application__client_id="busy").update(scope="openid __launch")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = Browser().post(LAUNCH, launch_body(), content_type="application/json", headers=headers)
    assert rule_of(answer, 403, "insufficient_scope") == "launch.no_right"


def test_a_right_at_one_tenant_is_none_at_another(begin_answer: BeginAnswer, tenant: TenantInfo) -> None:
    make_tenant("north")
    answer = begin_answer(iss="http://127.0.0.1:8000/fhir/north/r4")
    assert rule_of(answer, 400) == "launch.iss"


# ---- what it may say


ENTRY = {"reference": "ImagingStudy/img-88"}
BAD = [
    # changed                                                       rule
    ({"client_id": ...},                                            "launch.request"),
    ({"client_id": ""},                                             "launch.request"),
    ({"client_id": 7},                                              "launch.request"),
    ({"iss": ...},                                                  "launch.request"),
    ({"iss": "https://elsewhere.example/r4"},                       "launch.iss"),
    ({"iss": FHIR_BASE.upper()},                                    "launch.iss"),
    ({"user": ...},                                                 "launch.request"),
    ({"user": "nobody"},                                            "launch.user"),
    ({"user": "Practitioner/nobody"},                               "launch.user"),
    ({"user": "Patient/dr-grey"},                                   "launch.user"),
    ({"user": "https://elsewhere.example/r4/Practitioner/dr-grey"}, "launch.user"),
    ({"user": f"{FHIR_BASE}/dr-grey"},                              "launch.user"),
    ({"client_id": "nobody"},                                       "launch.client"),
    ({"client_id": "ehr"},                                          "launch.client_scope"),
    ({"launch_url": "https://evil.example/launch"},                 "launch.url"),
    ({"launch_url": f"{LAUNCH_URL}/"},                              "launch.url"),
    ({"patient": "Patient/ana"},                                    "launch.request"),
    ({"patient": "a b"},                                            "launch.request"),
    ({"patient": ["ana"]},                                          "launch.request"),
    ({"encounter": "Encounter/e"},                                  "launch.request"),
    ({"encounter": "e", "patient": ...},                            "launch.request"),
    ({"need_patient_banner": "false"},                              "launch.request"),
    ({"need_patient_banner": 0},                                    "launch.request"),
    ({"need_patient_banner": None},                                 "launch.request"),
    ({"smart_style_url": "/style.json"},                            "launch.request"),
    ({"smart_style_url": "http://ehr.example.org/style.json"},      "launch.request"),
    ({"intent": {"a": 1}},                                          "launch.request"),
    ({"intent": "x" * 256},                                         "launch.request"),
    ({"intent": "a\nb"},                                            "launch.request"),
    ({"tenant": 1},                                                 "launch.request"),
    ({"fhirContext": ENTRY},                                        "launch.request"),
    ({"fhirContext": [ENTRY["reference"]]},                         "launch.request"),
    ({"fhirContext": [{"reference": "Patient/ben"}]},               "launch.request"),
    # What nobody knows might be what somebody meant.
    ({"encouter": "visit-1"},                                       "launch.request"),
    ({"scope": "patient/*.rs"},                                     "launch.request"),
    ({"__secret": "x"},                                             "launch.request"),
]  # fmt: skip


@pytest.mark.requirement("CTX-08", "CTX-14", "CTX-19", "LAUNCH-01")
@pytest.mark.parametrize(("changes", "rule"), BAD, ids=lambda part: str(part)[:60])
def test_what_is_wrong_is_refused_by_name(begin_answer: BeginAnswer, changes: dict[str, Any], rule: str) -> None:
    assert rule_of(begin_answer(**changes), 400) == rule


def test_the_member_that_is_wrong_is_named_to_the_ehr_if_it_is_one_of_ours(begin_answer: BeginAnswer) -> None:
    wrong = {"encounter": "a b", "fhirContext": {}, "iss": ..., "task": {}}
    for member, value in wrong.items():
        told = begin_answer(**{member: value}).json()
        assert told["error_description"] == (
            f"The member {member} of the launch request is missing, not valid or not known here"
        )
    told = begin_answer(**{"é<b>": 1}).json()
    assert told["error_description"].startswith("A member of the launch request is ")


def _not_active(tenant: TenantInfo) -> None:
    make_app(phone_app(client_id="other", launch_urls=[LAUNCH_URL], scope="launch openid"), make_tenant("north"))


def _suspended(tenant: TenantInfo) -> None:
    metadata = phone_app(client_id="other", launch_urls=[LAUNCH_URL], scope="launch openid")
    make_app(metadata, tenant, status=Client.Status.SUSPENDED)


@pytest.mark.parametrize("made", [_not_active, _suspended])
def test_an_app_that_is_not_active_here_looks_like_none(
    begin_answer: BeginAnswer, tenant: TenantInfo, made: Callable[[TenantInfo], None]
) -> None:
    made(tenant)
    assert rule_of(begin_answer(client_id="other"), 400) == "launch.client"
    receipts = list(Receipt.objects.filter(rule="launch.client").values_list("reason", "expected", "fix"))
    assert rule_of(begin_answer(client_id="nobody-at-all"), 400) == "launch.client"
    assert set(Receipt.objects.filter(rule="launch.client").values_list("reason", "expected", "fix")) == set(receipts)


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"scope": "launch openid"}, "launch.url"),
        ({"launch_urls": [LAUNCH_URL], "scope": "openid"}, "launch.client_scope"),
    ],
)
def test_an_app_must_be_registered_for_launches(
    begin_answer: BeginAnswer, tenant: TenantInfo, members: dict[str, Any], rule: str
) -> None:
    make_app(phone_app(client_id="other", **members), tenant)
    assert rule_of(begin_answer(client_id="other"), 400) == rule


def _nobody_here(tenant: TenantInfo) -> None:
    User.objects.create_user("somebody")


def _somewhere_else(tenant: TenantInfo) -> None:
    FhirUser.objects.create(
        user=User.objects.create_user("somebody"), tenant_id=make_tenant("north").pk, reference="Practitioner/x"
    )


def _inactive(tenant: TenantInfo) -> None:
    make_person(tenant, "somebody", "Practitioner/x")
    User.objects.filter(username="somebody").update(is_active=False)


@pytest.mark.parametrize("made", [_nobody_here, _somewhere_else, _inactive])
def test_who_is_nobody_at_the_tenant_cannot_be_named(
    begin_answer: BeginAnswer, tenant: TenantInfo, made: Callable[[TenantInfo], None]
) -> None:
    made(tenant)
    assert rule_of(begin_answer(user="somebody"), 400) == "launch.user"


def test_a_resource_that_two_users_are_names_neither(begin_answer: BeginAnswer, tenant: TenantInfo) -> None:
    make_person(tenant, "twin", "Practitioner/dr-grey")
    assert rule_of(begin_answer(user="Practitioner/dr-grey"), 400) == "launch.user"


def test_who_acts_for_others_can_be_named(begin_answer: BeginAnswer, tenant: TenantInfo) -> None:
    carer = make_person(tenant, "carer", acts_for=["ana", "ben"])
    assert begin_answer(user="carer").status_code == 201
    assert Launch.objects.get().user == carer


BODIES = [
    (b"client_id=chart", "application/x-www-form-urlencoded", 400, "http.content_type"),
    (b" ", "application/json", 400, "http.json"),
    (b"[]", "application/json", 400, "http.json"),
    (b"null", "application/json", 400, "http.json"),
    (b"{", "application/json", 400, "http.json"),
    (b'{"user": "a", "user": "b"}', "application/json", 400, "http.json"),
    (b'{"need_patient_banner": NaN}', "application/json", 400, "http.json"),
    (b'{"user": "\\ud800"}', "application/json", 400, "http.json"),
    (b'{"user": "\xff"}', "application/json", 400, "http.json"),
    (b'{"user": "' + b"x" * 70_000 + b'"}', "application/json", 413, "http.size"),
]


@pytest.mark.parametrize(("raw", "kind", "status", "rule"), BODIES, ids=lambda part: str(part)[:40])
def test_the_body_is_one_json_object(
    ehr: Service, get_token: Callable[..., str], raw: bytes, kind: str, status: int, rule: str
) -> None:
    headers = {"Authorization": f"Bearer {get_token(ehr, '__launch')}"}
    answer = Browser().generic("POST", LAUNCH, raw, kind, headers=headers)
    assert answer.status_code == status, answer.content
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == rule


def test_only_post_is_taken(client: Browser) -> None:
    answer = client.get(LAUNCH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
