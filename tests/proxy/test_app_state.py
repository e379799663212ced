"""State that apps keep: filed by subject and code, changed version by version, and seen by nobody else.

SMART 2.2 app-state.
"""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone

from clients.models import Client, Tenant
from clients.tenants import TenantInfo
from fhirproxy import app_states
from fhirproxy.models import AppState, AppStateTrust
from fhirproxy.policy.app_state import LARGEST, LONGEST_CODE, LONGEST_SYSTEM
from smartauth.audit.models import AuditRecord
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.factories import make_client, make_tenant, web_app
from tests.proofs import Holder
from tests.proxy.conftest import BASE, PUBLIC, Behind, Caller, Mint, put_behind

STATE = "/fhir/sandbox/app-state"
STATE_URL = f"http://127.0.0.1:8000{STATE}"
APP = "https://app.example.org"
PREFERENCES = "display-preferences"
ANA = {"patient": "ana", "fhirUser": "Patient/ana"}
GREY = {"fhirUser": "Practitioner/dr-grey"}
SCOPE = "patient/Basic.cuds"
USER_SCOPE = "user/Basic.cuds"


class StateCaller(Caller):
    """Asks below the base of app state."""

    def ask(self, method: str, path: str, token: str, body: Any = None, **extra: Any) -> HttpResponse:
        data = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        if body is not None:
            extra.setdefault("content_type", "application/fhir+json")
        authorization = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
        return self.browser.generic(method, f"{STATE}{path}", data, **authorization, **extra)

    def query(self, token: str, subject: str = "Patient/ana", code: str = f"{APP}|{PREFERENCES}") -> HttpResponse:
        about = {"subject": f"{PUBLIC}/{subject}"} if subject else {"subject:missing": "true"}
        return self.browser.get(f"{STATE}/Basic", {"code": code, **about}, HTTP_AUTHORIZATION=f"Bearer {token}")

    def found(self, token: str, subject: str = "Patient/ana", code: str = f"{APP}|{PREFERENCES}") -> list[str]:
        answer = self.query(token, subject, code)
        assert answer.status_code == 200, answer.content
        bundle = answer.json()
        ids = [one["resource"]["id"] for one in bundle.get("entry", [])]
        assert bundle["total"] == len(ids)
        return ids


@pytest.fixture
def call() -> StateCaller:
    return StateCaller()


@pytest.fixture(autouse=True)
def offered(configure: Configure, small: Behind) -> None:
    configure(app_state=True)


def state(
    subject: str | None = "Patient/ana", code: str = PREFERENCES, system: str = APP, **more: Any
) -> dict[str, Any]:
    about = {"subject": {"reference": f"{PUBLIC}/{subject}"}} if subject else {}
    return {
        "resourceType": "Basic",
        "code": {"coding": [{"system": system, "code": code}]},
        **about,
        "extension": [{"url": f"{APP}/preferences", "valueString": '{"view":"problems"}'}],
        **more,
    }


def created(call: StateCaller, token: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = call.ask("POST", "/Basic", token, body or state())
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def rule_of(answer: HttpResponse) -> str:
    """Return the rule that refused; every refusal leaves a receipt."""
    return Receipt.objects.get(trace_id=answer["X-Trace-Id"]).rule


def trust(tenant: TenantInfo, client_id: str, **values: Any) -> None:
    AppStateTrust.objects.create(tenant_id=tenant.pk, client_id=client_id, **{"system": APP} | values)


@pytest.mark.requirement("STATE-02", "STATE-04")
def test_what_an_app_keeps_it_finds_again_as_it_was(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    sent = state(meta={"profile": ["http://hl7.org/fhir/smart-app-launch/StructureDefinition/smart-app-state-basic"]})
    sent["extension"].append({"url": f"{APP}/key", "valueString": "eyJ é \\ \u2028"})
    sent["code"]["text"] = "Preferences"
    answer = call.ask("POST", "/Basic", token, sent)
    assert answer.status_code == 201, answer.content
    kept = answer.json()
    assert answer["ETag"] == 'W/"1"'
    assert answer["Location"] == f"{STATE_URL}/Basic/{kept['id']}/_history/1"
    assert answer["Cache-Control"] == "no-store"
    assert {name: kept[name] for name in ("code", "subject", "extension")} == {
        name: sent[name] for name in ("code", "subject", "extension")
    }
    assert kept["meta"]["versionId"] == "1"
    assert kept["meta"]["profile"] == sent["meta"]["profile"]
    bundle = call.query(token).json()
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 1)
    [entry] = bundle["entry"]
    assert entry == {"fullUrl": f"{STATE_URL}/Basic/{kept['id']}", "resource": kept, "search": {"mode": "match"}}
    assert bundle["link"][0]["url"].startswith(f"{STATE_URL}/Basic?code=")


@pytest.mark.requirement("STATE-02", "STATE-06", "STATE-07")
def test_state_is_changed_version_by_version_and_gone_when_it_is_deleted(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    kept = created(call, token)
    path = f"/Basic/{kept['id']}"
    kept["extension"][0]["valueString"] = "new"
    answer = call.ask("PUT", path, token, kept, HTTP_IF_MATCH='W/"1"')
    assert (answer.status_code, answer["ETag"], answer.json()["meta"]["versionId"]) == (200, 'W/"2"', "2")
    assert answer.json()["extension"] == kept["extension"]
    stale = call.ask("PUT", path, token, kept, HTTP_IF_MATCH='W/"1"')
    assert (stale.status_code, rule_of(stale)) == (412, "app_state.precondition")
    assert call.ask("DELETE", path, token, HTTP_IF_MATCH='W/"1"').status_code == 412
    assert call.found(token) == [kept["id"]]
    assert call.ask("DELETE", path, token, HTTP_IF_MATCH='W/"2"').status_code == 204
    assert call.found(token) == []
    for method, body in (("PUT", kept), ("DELETE", None)):
        for version in ("1", "2", "3"):
            later = call.ask(method, path, token, body, HTTP_IF_MATCH=f'W/"{version}"')
            assert later.status_code == 412
    assert AppState.objects.get().sealed_members == ""


@pytest.mark.requirement("STATE-06", "STATE-07")
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_names_the_version_it_is_about(minted: Mint, call: StateCaller, method: str) -> None:
    token = minted(SCOPE, **ANA)
    kept = created(call, token)
    body = kept if method == "PUT" else None
    without = call.ask(method, f"/Basic/{kept['id']}", token, body)
    assert (without.status_code, rule_of(without)) == (428, "app_state.if_match")
    for tag in ("*", "1", 'W/"1", W/"2"', 'W/"a b"'):
        assert call.ask(method, f"/Basic/{kept['id']}", token, body, HTTP_IF_MATCH=tag).status_code == 400
    assert AppState.objects.get().version == 1


CHANGED = [
    # Also what the token could not have kept: it is about a change, and not about what it would be changed to.
    {"subject": {"reference": f"{PUBLIC}/Patient/ben"}},
    {"subject": {"reference": f"{PUBLIC}/Practitioner/dr-house"}},
    {"code": {"coding": [{"system": "https://other.example", "code": PREFERENCES}]}},
    {"subject": {"reference": f"{PUBLIC}/Practitioner/dr-grey"}},
    {"subject": {"reference": f"{PUBLIC}/Patient/ana", "display": "New"}},
    {"code": {"coding": [{"system": APP, "code": "other"}]}},
    {"code": {"coding": [{"system": APP, "code": PREFERENCES, "display": "New"}]}},
]


@pytest.mark.requirement("STATE-06")
@pytest.mark.parametrize("change", CHANGED)
def test_subject_and_code_never_change(
    tenant: TenantInfo, minted: Mint, call: StateCaller, change: dict[str, Any]
) -> None:
    token = minted(f"{SCOPE} {USER_SCOPE}", patient="ana", **GREY)
    kept = created(call, token)
    answer = call.ask("PUT", f"/Basic/{kept['id']}", token, kept | change, HTTP_IF_MATCH='W/"1"')
    assert (answer.status_code, rule_of(answer)) == (412, "app_state.precondition")
    without = {name: value for name, value in kept.items() if name != "subject"}
    trust(tenant, "growth-chart", modifies=["global"])
    answer = call.ask("PUT", f"/Basic/{kept['id']}", token, without, HTTP_IF_MATCH='W/"1"')
    assert answer.status_code == 412
    assert AppState.objects.get().version == 1


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in state().items() if key != name}


def about(reference: str, **more: Any) -> dict[str, Any]:
    return state() | {"subject": {"reference": reference, **more}}


CODING = {"system": APP, "code": PREFERENCES}
EXTENSION = {"url": f"{APP}/x", "valueString": "x"}
REFUSED: list[tuple[str, Any, int, str]] = [
    ("an id of its own", state(id="mine"), 422, "app_state.id"),
    ("a version", state(meta={"versionId": "1"}), 422, "app_state.version_id"),
    ("a tag", state(meta={"tag": [CODING]}), 422, "app_state.meta"),
    ("no code", _without("code"), 422, "app_state.code"),
    ("no coding", state() | {"code": {"text": "x"}}, 422, "app_state.code"),
    ("two codings", state() | {"code": {"coding": [CODING, CODING]}}, 422, "app_state.code"),
    ("no system", state() | {"code": {"coding": [{"code": "x"}]}}, 422, "app_state.code"),
    ("a bar in the code", state(code="a|b"), 422, "app_state.code"),
    ("a comma in the code", state(code="a,b"), 422, "app_state.code"),
    ("a code without end", state(code="a" * 129), 422, "app_state.code"),
    ("a relative subject", about("Patient/ana"), 422, "app_state.subject"),
    ("a subject elsewhere", about("https://x.example/Patient/ana"), 422, "app_state.subject"),
    ("a subject on this base", about(f"{STATE_URL}/Patient/ana"), 422, "app_state.subject"),
    ("a version of a subject", state("Patient/ana/_history/1"), 422, "app_state.subject"),
    ("a subject of another type", state("Group/ana"), 422, "app_state.subject"),
    ("a subject that is two things", about(f"{PUBLIC}/Patient/ana", type="Group"), 422, "app_state.subject"),
    ("a subject by identifier", state() | {"subject": {"identifier": {"value": "1"}}}, 422, "app_state.subject"),
    ("a subject that is null", state() | {"subject": None}, 422, "app_state.subject"),
    ("a number", state(extension=[{"url": APP, "valueInteger": 1}]), 422, "app_state.extension"),
    ("a number as text", state(extension=[{"url": APP, "valueString": 1}]), 422, "app_state.extension"),
    ("nothing in it", state(extension=[{"url": APP}]), 422, "app_state.extension"),
    ("no name for it", state(extension=[{"valueString": "x"}]), 422, "app_state.extension"),
    ("one within another", state(extension=[{"url": APP, "extension": [EXTENSION]}]), 422, "app_state.extension"),
    ("one beside its text", state(extension=[EXTENSION | {"extension": []}]), 422, "app_state.extension"),
    ("no list", state(extension={"url": APP, "valueString": "x"}), 422, "app_state.extension"),
    ("more than is kept", state(text={"status": "generated", "div": "<div/>"}), 422, "app_state.element"),
    ("an author", state(author={"reference": "Patient/ana"}), 422, "app_state.element"),
    ("another type", state() | {"resourceType": "Observation"}, 400, "body.type"),
    ("no JSON", "{", 400, "body.json"),
    ("a name twice", '{"resourceType":"Basic","resourceType":"Basic"}', 400, "body.json"),
    ("too much", state(extension=[{"url": APP, "valueString": "x" * 256 * 1024}]), 413, "app_state.size"),
]  # fmt: skip


@pytest.mark.requirement("STATE-03", "STATE-04")
@pytest.mark.parametrize(("what", "body", "status", "rule"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_cannot_be_kept_whole_is_not_kept(
    minted: Mint, call: StateCaller, what: str, body: Any, status: int, rule: str
) -> None:
    answer = call.ask("POST", "/Basic", minted(SCOPE, **ANA), body)
    assert (answer.status_code, rule_of(answer)) == (status, rule)
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert not AppState.objects.exists()


@pytest.mark.requirement("STATE-03")
def test_256_kilobytes_are_kept_and_one_byte_more_is_not(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    bare = len(json.dumps(state(extension=[{"url": APP, "valueString": ""}])))
    room = 256 * 1024 - bare
    full = state(extension=[{"url": APP, "valueString": "x" * room}])
    assert len(created(call, token, full)["extension"][0]["valueString"]) == room
    more = state(extension=[{"url": APP, "valueString": "x" * (room + 1)}])
    assert call.ask("POST", "/Basic", token, more).status_code == 413


@pytest.mark.requirement("STATE-06")
def test_an_update_is_read_as_strictly_and_names_its_own_id(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    kept = created(call, token)
    path = f"/Basic/{kept['id']}"
    for body, status in ((state(), 400), (kept | {"id": "other"}, 400), (kept | {"text": {}}, 422)):
        assert call.ask("PUT", path, token, body, HTTP_IF_MATCH='W/"1"').status_code == status
    form = call.ask("PUT", path, token, kept, HTTP_IF_MATCH='W/"1"', content_type="application/xml")
    assert form.status_code == 415
    assert call.ask("DELETE", path, token, kept, HTTP_IF_MATCH='W/"1"').status_code == 400
    assert AppState.objects.get().version == 1


PEOPLE = [
    ("Patient/ana", "user"),
    ("Practitioner/dr-grey", "user"),
    ("PractitionerRole/role", "user"),
    ("RelatedPerson/mother", "user"),
    ("Person/ana", "user"),
]


@pytest.mark.requirement("STATE-05", "STATE-11")
@pytest.mark.parametrize(("who", "level"), PEOPLE)
def test_each_kind_of_person_has_state_of_their_own(minted: Mint, call: StateCaller, who: str, level: str) -> None:
    token = minted(f"{level}/Basic.cuds", fhirUser=who)
    kept = created(call, token, state(who))
    assert kept["subject"]["reference"] == f"{PUBLIC}/{who}"
    assert call.found(token, who) == [kept["id"]]
    other = created(call, token, state(who, "other"))
    assert call.found(token, who, f"{APP}|other") == [other["id"]]


QUERIES = [
    "",
    "?code=https://app.example.org|x",
    f"?subject={PUBLIC}/Patient/ana",
    "?code=x&subject:missing=true",
    "?code=https://app.example.org|&subject:missing=true",
    "?code=|x&subject:missing=true",
    "?code=https://app.example.org|x,https://app.example.org|y&subject:missing=true",
    "?code=https://app.example.org|x&code=https://app.example.org|y&subject:missing=true",
    "?code=https://app.example.org|x&subject:missing=false",
    "?code=https://app.example.org|x&subject=Patient/ana",
    f"?code=https://app.example.org|x&subject={PUBLIC}/Patient/ana,{PUBLIC}/Patient/ben",
    f"?code=https://app.example.org|x&subject={PUBLIC}/Patient/ana&subject:missing=true",
    f"?code=https://app.example.org|x&subject={PUBLIC}/Patient/ana&_count=1",
    f"?code=https://app.example.org|x&subject={PUBLIC}/Patient/ana&_include=Basic:subject",
    f"?code:text=https://app.example.org|x&subject={PUBLIC}/Patient/ana",
]


@pytest.mark.requirement("STATE-08")
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_for_one_code_and_one_subject(minted: Mint, call: StateCaller, query: str) -> None:
    answer = call.ask("GET", f"/Basic{query.replace('|', '%7C')}", minted(SCOPE, **ANA))
    assert (answer.status_code, rule_of(answer)) == (400, "app_state.query")


@pytest.mark.requirement("STATE-08", "STATE-02")
def test_a_query_matches_exactly(minted: Mint, call: StateCaller) -> None:
    token = minted(f"{SCOPE} {USER_SCOPE}", patient="ana", **GREY)
    mine = created(call, token)["id"]
    created(call, token, state(code="display"))
    created(call, token, state("Practitioner/dr-grey"))
    assert call.found(token) == [mine]
    assert call.found(token, "") == []
    assert call.found(token, code=f"{APP}|Display-Preferences") == []


PLACES = [
    ("GET", "/Basic/1", 405),
    ("PATCH", "/Basic/1", 405),
    ("POST", "/Basic/_search", 404),
    ("PUT", "/Basic", 405),
    ("GET", "/Patient", 404),
    ("GET", "", 404),
    ("GET", "/Basic/", 404),
    ("GET", "//Basic", 400),
    ("POST", "/Basic?_id=1", 400),
    ("GET", "/Basic/1/_history/1", 404),
    ("GET", "/_history", 404),
    ("POST", "/metadata", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), PLACES)
def test_there_is_nothing_else_at_this_base(
    minted: Mint, call: StateCaller, method: str, path: str, status: int
) -> None:
    assert call.ask(method, path, minted(SCOPE, **ANA)).status_code == status


@pytest.mark.requirement("STATE-01")
def test_the_base_tells_what_it_can_do_and_nothing_while_it_is_off(
    minted: Mint, call: StateCaller, configure: Configure
) -> None:
    told = call.ask("GET", "/metadata", "").json()
    [basic] = told["rest"][0]["resource"]
    assert told["implementation"]["url"] == STATE_URL
    assert [one["code"] for one in basic["interaction"]] == ["create", "update", "delete", "search-type"]
    token = minted(SCOPE, **ANA)
    kept = created(call, token)
    configure(app_state=False)
    for method, path in (("GET", "/metadata"), ("POST", "/Basic"), ("DELETE", f"/Basic/{kept['id']}"), ("OPTIONS", "")):
        answer = call.ask(method, path, token)
        assert (answer.status_code, rule_of(answer)) == (404, "app_state.off")
    assert call.query(token).status_code == 404
    configure(app_state=True)
    assert call.found(token) == [kept["id"]]


@pytest.mark.requirement("STATE-09")
def test_every_request_has_a_token_of_this_tenant(minted: Mint, call: StateCaller) -> None:
    assert call.ask("POST", "/Basic", "", state()).status_code == 401
    assert call.query("nonsense").status_code == 401
    answer = call.ask("GET", "/Basic", "")
    assert answer["WWW-Authenticate"].startswith('Bearer realm="fhir"')


LETTERS = [
    ("patient/Basic.s", "POST", 403),
    ("patient/Basic.cud", "GET", 403),
    ("patient/Basic.cs", "PUT", 403),
    ("patient/Basic.cus", "DELETE", 403),
    ("patient/Basic.r", "GET", 403),
    ("patient/Observation.cruds", "POST", 403),
    ("patient/*.cruds", "GET", 200),
    ("patient/Basic.write", "POST", 201),
    ("patient/Basic.s", "GET", 200),
]


@pytest.mark.requirement("STATE-10")
@pytest.mark.parametrize(("scope", "method", "status"), LETTERS)
def test_a_scope_permits_what_its_letters_say(
    minted: Mint, call: StateCaller, scope: str, method: str, status: int
) -> None:
    kept = created(call, minted(SCOPE, **ANA))
    token = minted(scope, **ANA)
    if method == "GET":
        answer = call.query(token)
    elif method == "POST":
        answer = call.ask("POST", "/Basic", token, state())
    else:
        body = kept if method == "PUT" else None
        answer = call.ask(method, f"/Basic/{kept['id']}", token, body, HTTP_IF_MATCH='W/"1"')
    assert answer.status_code == status, answer.content
    if status == 403:
        assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]
        assert AppState.objects.get().version == 1


@pytest.mark.requirement("STATE-10", "STATE-09")
def test_a_scope_for_one_code_is_good_for_that_code_alone(minted: Mint, call: StateCaller) -> None:
    other = created(call, minted(SCOPE, **ANA), state(code="other"))
    token = minted(f"patient/Basic.cuds?code={APP}|{PREFERENCES}", **ANA)
    kept = created(call, token)
    assert call.found(token) == [kept["id"]]
    for answer in (call.query(token, code=f"{APP}|other"), call.ask("POST", "/Basic", token, state(code="other"))):
        assert (answer.status_code, rule_of(answer)) == (403, "app_state.scope_filter")
    gone = call.ask("DELETE", f"/Basic/{other['id']}", token, HTTP_IF_MATCH='W/"1"')
    assert gone.status_code == 412
    assert call.found(minted(SCOPE, **ANA), code=f"{APP}|other") == [other["id"]]


OUTSIDE = [
    # scope          claims                                    subject                  may
    (SCOPE,          ANA,                                      "Patient/ana",           True),
    (SCOPE,          ANA,                                      "Patient/ben",           False),
    (SCOPE,          ANA,                                      "Patient/ANA",           False),
    (SCOPE,          {"patient": "ana", **GREY},               "Patient/ana",           True),
    (SCOPE,          {"patient": "ana", **GREY},               "Practitioner/dr-grey",  False),
    (SCOPE,          {"patient": "ben", "fhirUser": "Patient/ana"}, "Patient/ben",      False),
    (USER_SCOPE,     ANA,                                      "Patient/ana",           True),
    (USER_SCOPE,     ANA,                                      "Patient/ben",           False),
    (USER_SCOPE,     ANA,                                      "Practitioner/dr-grey",  False),
    (USER_SCOPE,     GREY,                                     "Practitioner/dr-grey",  True),
    (USER_SCOPE,     GREY,                                     "Practitioner/dr-house", False),
    (USER_SCOPE,     GREY,                                     "PractitionerRole/dr-grey", False),
    (USER_SCOPE,     GREY,                                     "Patient/ben",           True),
    (USER_SCOPE,     {"fhirUser": "Person/ana"},               "Patient/ana",           False),
    (USER_SCOPE,     {},                                       "Patient/ana",           False),
]  # fmt: skip


@pytest.mark.requirement("STATE-09")
@pytest.mark.parametrize(("scope", "claims", "subject", "may"), OUTSIDE)
def test_a_scope_reaches_its_patients_and_the_person_who_is_signed_in(
    minted: Mint, call: StateCaller, scope: str, claims: dict[str, str], subject: str, may: bool
) -> None:
    token = minted(scope, **claims)
    posted = call.ask("POST", "/Basic", token, state(subject))
    asked = call.query(token, subject)
    assert (posted.status_code, asked.status_code) == ((201, 200) if may else (403, 403)), posted.content
    assert AppState.objects.count() == int(may)


@pytest.mark.requirement("STATE-09")
def test_a_code_is_the_apps_when_its_system_is_an_origin_the_operator_verified(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    created(call, token, state(system="https://cardio.example.org"))  # where its redirect URI is
    for system in ("https://evil.example", f"{APP}/", f"{APP}:443", f"{APP}/sub", "HTTPS://app.example.org", "urn:x"):
        answer = call.ask("POST", "/Basic", token, state(system=system))
        assert (answer.status_code, rule_of(answer)) == (403, "app_state.trust"), system
        assert call.query(token, code=f"{system}|x").status_code == 403
    Client.objects.filter(client_id="growth-chart").update(is_operator_verified=False)
    answer = call.ask("POST", "/Basic", token, state())
    assert (answer.status_code, rule_of(answer)) == (403, "app_state.trust")


KINDS = {"patient": "Patient/ana", "user": "Practitioner/dr-grey", "global": None}


@pytest.mark.requirement("STATE-09", "STATE-10")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["queries", "modifies"])
def test_an_operator_trusts_a_client_with_each_kind_of_state_by_itself(
    tenant: TenantInfo, minted: Mint, call: StateCaller, kind: str, side: str
) -> None:
    other = "https://other.example"
    token = minted(f"{SCOPE} {USER_SCOPE}", patient="ana", **GREY)
    trust(tenant, "growth-chart", system=other, code="shared", **{side: [kind]})
    for each, subject in KINDS.items():
        posted = call.ask("POST", "/Basic", token, state(subject, "shared", other)).status_code
        asked = call.query(token, subject or "", f"{other}|shared").status_code
        assert posted == (201 if (side, kind) == ("modifies", each) else 403)
        assert asked == (200 if (side, kind) == ("queries", each) else 403)
        assert call.query(token, subject or "", f"{other}|another").status_code == 403


@pytest.mark.requirement("STATE-09")
def test_another_user_of_the_same_app_changes_nothing_of_the_first_and_is_not_told_that_it_is_there(
    minted: Mint, call: StateCaller
) -> None:
    kept = created(call, minted(USER_SCOPE, **GREY), state("Practitioner/dr-grey"))
    other = minted(USER_SCOPE, fhirUser="Practitioner/dr-house")
    absent = "00000000-0000-4000-8000-000000000000"
    answers = [
        call.ask(method, f"/Basic/{name}", other, body, HTTP_IF_MATCH=f'W/"{version}"')
        for name in (kept["id"], absent)
        for method, body in (("PUT", kept | {"id": name}), ("DELETE", None))
        for version in "12"
    ]
    assert {one.status_code for one in answers} == {412}
    assert len({json.dumps(one.json()["issue"][0]["details"]) for one in answers}) == 1
    receipts = Receipt.objects.filter(rule="app_state.precondition")
    assert receipts.values("reason", "expected", "seen", "fix").distinct().count() == 1
    assert AppState.objects.get().version == 1


@pytest.mark.requirement("STATE-10")
def test_state_about_nobody_is_written_by_administrative_apps_alone(
    tenant: TenantInfo, minted: Mint, call: StateCaller
) -> None:
    token = minted(USER_SCOPE, **GREY)
    answer = call.ask("POST", "/Basic", token, state(None))
    assert (answer.status_code, rule_of(answer)) == (403, "app_state.trust")
    trust(tenant, "growth-chart", queries=["global"], modifies=["global"])
    kept = created(call, token, state(None))
    assert "subject" not in kept
    everybody = minted(SCOPE, **ANA)
    assert call.found(everybody, "") == [kept["id"]]
    assert call.found(token, "Practitioner/dr-grey") == []


@pytest.fixture
def companion(tenant: TenantInfo, minted: Mint) -> str:
    """Another app of the same origin, for which `minted` makes tokens when it is named."""
    metadata = web_app(client_id="companion", scope="patient/*.cruds user/*.cruds", allowed_origins=[APP])
    make_client(metadata, activate_at=(tenant,))
    return "companion"


@pytest.mark.requirement("STATE-09")
def test_another_client_sees_nothing_until_an_operator_says_so(
    tenant: TenantInfo, minted: Mint, call: StateCaller, companion: str
) -> None:
    mine, theirs = minted(SCOPE, **ANA), minted(SCOPE, client_id=companion, **ANA)
    kept = created(call, mine)
    path = f"/Basic/{kept['id']}"
    answers = [
        (
            call.ask("PUT", f"/Basic/{name}", theirs, kept | {"id": name}, HTTP_IF_MATCH='W/"1"'),
            call.ask("DELETE", f"/Basic/{name}", theirs, HTTP_IF_MATCH='W/"1"'),
        )
        for name in (kept["id"], "00000000-0000-4000-8000-000000000000", "nothing-like-ours")
    ]
    assert {one.status_code for pair in answers for one in pair} == {412}
    texts = {json.dumps(one.json()["issue"][0]["details"]) for pair in answers for one in pair}
    assert len(texts) == 1
    assert call.found(theirs) == []
    trust(tenant, companion, queries=["patient"])
    assert call.found(theirs) == [kept["id"]]
    assert call.ask("DELETE", path, theirs, HTTP_IF_MATCH='W/"1"').status_code == 412
    AppStateTrust.objects.update(modifies=["patient"])
    assert call.ask("PUT", path, theirs, kept, HTTP_IF_MATCH='W/"1"').status_code == 200
    assert call.found(mine) == [kept["id"]]


@pytest.mark.requirement("STATE-09")
def test_another_tenant_has_none_of_it(tenant: TenantInfo, small: Behind, minted: Mint, call: StateCaller) -> None:
    kept = created(call, minted(SCOPE, **ANA))
    north = make_tenant("north")
    put_behind(north, small.running.base_url, bearer=small.running.bearer)
    make_client(web_app(client_id="there", scope="patient/*.cruds", allowed_origins=[APP]), activate_at=(north,))
    token = minted(SCOPE, client_id="there", tenant="north", **ANA)
    path = f"/Basic/{kept['id']}"
    assert call.ask("DELETE", path, token, HTTP_IF_MATCH='W/"1"').status_code == 401
    there = {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_IF_MATCH": 'W/"1"'}
    assert call.browser.delete(f"/fhir/north/app-state{path}", **there).status_code == 412
    about = {"code": f"{APP}|{PREFERENCES}", "subject": f"{PUBLIC.replace('sandbox', 'north')}/Patient/ana"}
    trust(north, "there", queries=["patient"])
    assert call.browser.get("/fhir/north/app-state/Basic", about, **there).json()["total"] == 0
    assert AppState.objects.get().version == 1


@pytest.mark.requirement("STATE-12")
def test_the_fhir_api_knows_nothing_of_it_and_the_server_behind_is_not_asked(
    small: Behind, minted: Mint, call: StateCaller
) -> None:
    token = minted("patient/*.cruds", **ANA)
    kept = created(call, token)
    call.found(token)
    call.ask("DELETE", f"/Basic/{kept['id']}", token, HTTP_IF_MATCH='W/"9"')
    assert small.received() == []
    for path in (f"/Basic?code={APP}%7C{PREFERENCES}", "/Basic", "/Basic?patient=ana", "/Patient/ana/$everything"):
        answer = call(path, token)
        assert (answer.status_code, kept["id"] in answer.content.decode()) == (200, False)
    assert call(f"/Basic/{kept['id']}", token).status_code == 404


@pytest.mark.requirement("STATE-11")
def test_a_client_keeps_a_hundred_items_about_a_subject(
    minted: Mint, call: StateCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app_states.MOST == 100
    told = (Path(__file__).parents[2] / "docs" / "how-to" / "keep-app-state.md").read_text()
    limits = [f"at most {LARGEST // 1024} KB", f"keeps {app_states.MOST} items"]
    limits += [f"up to {longest}" for longest in (LONGEST_SYSTEM, LONGEST_CODE)]
    assert all(limit in told for limit in limits)
    monkeypatch.setattr(app_states, "MOST", 2)
    token = minted(f"{SCOPE} {USER_SCOPE}", patient="ana", **GREY)
    first = created(call, token)
    created(call, token, state(code="other"))
    full = call.ask("POST", "/Basic", token, state(code="third"))
    assert (full.status_code, rule_of(full)) == (422, "app_state.full")
    created(call, token, state("Practitioner/dr-grey"))
    call.ask("DELETE", f"/Basic/{first['id']}", token, HTTP_IF_MATCH='W/"1"')
    created(call, token, state(code="third"))


@pytest.mark.requirement("STATE-11")
def test_it_is_kept_as_long_as_the_app_is_registered(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    created(call, token)
    Client.objects.filter(client_id="growth-chart").update(status=Client.Status.SUSPENDED)
    assert call.query(token).status_code == 401
    Client.objects.filter(client_id="growth-chart").update(status=Client.Status.APPROVED)
    assert len(call.found(token)) == 1
    Client.objects.get(client_id="growth-chart").delete()
    assert not AppState.objects.exists()


def test_a_tenant_where_nobody_may_write_keeps_nothing_new(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    Tenant.objects.update(policy={"writes": "off"})
    answer = call.ask("POST", "/Basic", token, state())
    assert (answer.status_code, rule_of(answer)) == (405, "interaction.write")
    assert call.found(token) == []


@pytest.mark.parametrize("shut", [{"patients": []}, {"groups": []}, {"patients": ["ben"]}])
def test_a_client_confined_to_patients_keeps_state_about_no_other(
    minted: Mint, call: StateCaller, shut: dict[str, Any]
) -> None:
    token = minted(f"{SCOPE} {USER_SCOPE}", **ANA)
    Client.objects.filter(client_id="growth-chart").update(restrictions=shut)
    assert call.ask("POST", "/Basic", token, state()).status_code == 403
    assert not AppState.objects.exists()


def test_what_is_kept_is_sealed_and_the_trail_says_who_did_what(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    kept = created(call, token)
    assert "problems" not in AppState.objects.get().sealed_members
    call.ask("PUT", f"/Basic/{kept['id']}", token, kept, HTTP_IF_MATCH='W/"1"')
    call.ask("DELETE", f"/Basic/{kept['id']}", token, HTTP_IF_MATCH='W/"2"')
    rows = AuditRecord.objects.order_by("pk")
    assert [(one.action, one.client_id, one.patients, one.resource_id) for one in rows] == [
        (action, "growth-chart", ["ana"], kept["id"]) for action in ("create", "update", "delete")
    ]
    assert "problems" not in str([one.details for one in rows])


def test_pages_of_the_app_read_the_answers_and_no_others(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    answer = call.ask("POST", "/Basic", token, state(), HTTP_ORIGIN=APP)
    assert answer["Access-Control-Allow-Origin"] == APP
    assert "ETag" in answer["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in call.ask(
        "POST", "/Basic", token, state(), HTTP_ORIGIN="https://x.example"
    )
    preflight = call.ask("OPTIONS", "/Basic", "", HTTP_ORIGIN=APP)
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (204, APP)
    assert "If-Match" in preflight["Access-Control-Allow-Headers"]


def test_the_database_keeps_content_exactly_until_it_is_deleted(minted: Mint, call: StateCaller) -> None:
    created(call, minted(SCOPE, **ANA))
    with pytest.raises(IntegrityError), transaction.atomic():
        AppState.objects.update(sealed_members="")


def test_it_is_no_part_of_the_fhir_base(minted: Mint, call: StateCaller) -> None:
    assert call.browser.get(f"{BASE}/app-state/Basic").status_code == 401
    assert call.browser.get("/fhir/sandbox/app-statement/Basic").status_code == 404


@pytest.mark.requirement("STATE-09")
def test_a_bound_token_shows_a_proof_for_this_base(minted: Mint, call: StateCaller) -> None:
    holder = Holder()
    token = minted(SCOPE, cnf={"jkt": holder.jkt}, **ANA)
    for base, status in ((STATE_URL, 201), (PUBLIC, 401)):
        headers = {"Authorization": f"DPoP {token}", "DPoP": holder.proof("POST", f"{base}/Basic", token)}
        answer = call.browser.post(
            f"{STATE}/Basic", json.dumps(state()), content_type="application/json", headers=headers
        )
        assert answer.status_code == status, answer.content


def test_trust_is_given_and_taken_in_the_administration_and_recorded(
    tenant: TenantInfo, minted: Mint, call: StateCaller
) -> None:
    operator = User.objects.create_superuser("admin", password="not used here")
    call.browser.force_login(operator)
    form = {"tenant": tenant.pk, "client": "growth-chart", "system": APP, "code": "", "modifies": ["global", "user"]}
    page = "/admin/fhirproxy/appstatetrust/"
    assert call.browser.post(f"{page}add/", form).status_code == 302
    row = AppStateTrust.objects.get()
    assert (row.client_id, row.queries, row.modifies) == ("growth-chart", [], ["global", "user"])
    assert call.browser.get(page).status_code == call.browser.get(f"{page}{row.pk}/change/").status_code == 200
    for wrong in ({"system": "a b"}, {"code": "a|b"}, {"modifies": []}):
        assert call.browser.post(f"{page}add/", form | {"code": "x"} | wrong).status_code == 200, wrong
    again = call.browser.post(f"{page}add/", form)
    assert (again.status_code, AppStateTrust.objects.count()) == (200, 1)
    assert call.browser.post(f"{page}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    told = AuditRecord.objects.order_by("pk").values_list("rule", "client_id", "tenant")
    assert list(told) == [(f"app_state_trust.{act}", "growth-chart", "sandbox") for act in ("added", "deleted")]


@pytest.mark.requirement("STATE-07", "STATE-11")
def test_what_was_deleted_is_purged_after_a_week_and_nothing_else(minted: Mint, call: StateCaller) -> None:
    token = minted(SCOPE, **ANA)
    kept, deleted = created(call, token), created(call, token)
    assert call.ask("DELETE", f"/Basic/{deleted['id']}", token, HTTP_IF_MATCH='W/"1"').status_code == 204
    assert app_states.purge(timezone.now() + timedelta(days=6)) == 0
    out = StringIO()
    AppState.objects.filter(pk=deleted["id"]).update(deleted_at=timezone.now() - timedelta(days=8))
    call_command("purge", stdout=out)
    assert "1 deleted app states" in out.getvalue().splitlines()
    assert [str(row.pk) for row in AppState.objects.all()] == [kept["id"]]
    assert app_states.purge(timezone.now() + timedelta(days=4_000)) == 0
    again = call.ask("PUT", f"/Basic/{deleted['id']}", token, state(id=deleted["id"]), HTTP_IF_MATCH='W/"1"')
    assert (again.status_code, rule_of(again)) == (412, "app_state.precondition")
