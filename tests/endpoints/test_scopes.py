"""Scopes all the way: asked for at authorize, narrowed at consent, told with the token, and enforced by the proxy.

SMART 2.2 scopes-and-launch-context; US Core SMART scopes; RFC 6749 §3.3 and §5.1.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.models import PendingAuthorization
from smartauth.people.models import User
from smartauth.policy.advertising import US_CORE_TYPES, advertised_scopes
from tests.endpoints.app_launch import (
    AUTHORIZE,
    FHIR_BASE,
    REGISTERED,
    App,
    authorize_params,
    launch,
    make_app,
    told_in,
)
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_token_client_credentials import TOKEN
from tests.endpoints.token_requests import Ask, body_of, redemption, verified
from tests.factories import phone_app
from tests.proxy.conftest import Behind, Caller, ids

__all__ = ["auditor"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")

HL7 = "http://terminology.hl7.org/CodeSystem"
US_CORE = "http://hl7.org/fhir/us/core/CodeSystem"
LAB = f"{HL7}/observation-category|laboratory"
VITALS = f"{HL7}/observation-category|vital-signs"
# As certification asks for them, written out.
CATEGORIES = {
    "Condition": {
        f"{HL7}/condition-category|encounter-diagnosis",
        f"{HL7}/condition-category|problem-list-item",
        f"{US_CORE}/condition-category|health-concern",
    },
    "Observation": {
        f"{HL7}/observation-category|laboratory",
        f"{HL7}/observation-category|social-history",
        f"{HL7}/observation-category|survey",
        f"{HL7}/observation-category|vital-signs",
        f"{HL7}/observation-category|procedure",
        f"{US_CORE}/us-core-category|sdoh",
    },
    "DocumentReference": {f"{US_CORE}/us-core-documentreference-category|clinical-note"},
}
CERTIFIED_TYPES = (
    *("AllergyIntolerance", "CarePlan", "CareTeam", "Condition", "Coverage", "Device", "DiagnosticReport"),
    *("DocumentReference", "Encounter", "Goal", "Immunization", "Location", "Medication", "MedicationDispense"),
    *("MedicationRequest", "Observation", "Organization", "Patient", "Practitioner", "PractitionerRole", "Procedure"),
    *("Provenance", "QuestionnaireResponse", "RelatedPerson", "ServiceRequest", "Specimen", "FamilyMemberHistory"),
)
Token = Callable[..., dict[str, Any]]


@pytest.fixture
def token(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> Token:
    """Launch growth-chart as ana for these scopes and return the token answer."""

    def obtain(scope: str, *, user: User = ana, **options: Any) -> dict[str, Any]:
        launched = launch(browser, growth_chart, user, scope=scope, **options)
        body: dict[str, Any] = body_of(ask(growth_chart, redemption(launched)))
        return body

    return obtain


# Which dialect is answered


def granular(letters: str, *values: str) -> str:
    return " ".join(f"patient/Observation.{letters}?category={value}" for value in values)


DECLINED = sorted(CATEGORIES["Observation"] - {LAB, VITALS})
ANSWERS = [
    # asked, taken back, told
    ("patient/Observation.read", [], "patient/Observation.read"),
    ("patient/Observation.write", [], "patient/Observation.write"),
    ("patient/Goal.*", [], "patient/Goal.*"),
    ("patient/*.read", [], "patient/*.read"),
    ("patient/Observation.rs", [], "patient/Observation.rs"),
    ("patient/Observation.cud", [], "patient/Observation.cud"),
    ("patient/*.cruds", [], "patient/*.cruds"),
    ("patient/Goal.read patient/CarePlan.rs patient/Goal.rs", [], "patient/Goal.rs patient/CarePlan.rs"),
    ("patient/Goal.rs patient/Goal.read", [], "patient/Goal.rs"),
    ("patient/Goal.r patient/Goal.s", [], "patient/Goal.r patient/Goal.s"),
    ("patient/Goal.read patient/CarePlan.rs", [], "patient/Goal.read patient/CarePlan.rs"),
    ("patient/Goal.read patient/CarePlan.read", ["patient/CarePlan.read"], "patient/Goal.read"),
    ("patient/Goal.rs patient/CarePlan.read", ["patient/Goal.rs"], "patient/CarePlan.read"),
    ("patient/Observation.read", DECLINED, granular("rs", LAB, VITALS)),
    ("patient/Observation.*", DECLINED, granular("cruds", LAB, VITALS)),
    ("patient/Observation.rs", DECLINED, granular("rs", LAB, VITALS)),
    (granular("rs", LAB, VITALS), [], granular("rs", LAB, VITALS)),
]


@pytest.mark.requirement("SCOPE-05", "SCOPE-06", "SCOPE-18", "T-15")
@pytest.mark.parametrize(("asked", "declined", "told"), ANSWERS, ids=lambda value: str(value)[:50])
def test_every_answer_is_in_the_dialect_that_was_asked_where_that_can_say_it(
    token: Token, ask: Ask, post: Post, auditor: Service, growth_chart: App, asked: str, declined: list[str], told: str
) -> None:
    letters = asked.rpartition(".")[2].replace("read", "rs").replace("*", "cruds")
    untick = [f"patient/Observation.{letters}?category={one}" if "|" in one else one for one in declined]
    first = token(f"offline_access {asked}", untick=untick)
    told = f"offline_access {told}"
    assert first["scope"] == told
    again = body_of(ask(growth_chart, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}))
    assert again["scope"] == told
    for access_token in (first["access_token"], again["access_token"]):
        assert body_of(post(INTROSPECT, {"token": access_token, **auditor.credentials()}))["scope"] == told
        assert verified(access_token, "ES256").claims["scope"] == told


@pytest.mark.requirement("SCOPE-20", "T-36")
@pytest.mark.parametrize(
    "asked", ["patient/Goal.s patient/Goal.r", "patient/Goal.read", "patient/Goal.rs", "patient/Goal.r  patient/Goal.r"]
)
def test_a_refresh_may_write_the_same_otherwise(token: Token, ask: Ask, growth_chart: App, asked: str) -> None:
    first = token("offline_access patient/Goal.rs patient/CarePlan.rs")
    params = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "scope": asked}
    assert body_of(ask(growth_chart, params))["scope"] == " ".join(dict.fromkeys(asked.split()))


# What can be asked for


@pytest.mark.requirement("SCOPE-13", "SCOPE-14", "SCOPE-15", "T-57")
def test_the_categories_are_those_of_us_core(client: Any, tenant: TenantInfo) -> None:
    told = client.get(f"{FHIR_BASE}/.well-known/smart-configuration").json()["scopes_supported"]
    for kind, values in CATEGORIES.items():
        prefix = f"patient/{kind}.rs?category="
        assert {one.removeprefix(prefix) for one in told if one.startswith(prefix)} == values


@pytest.mark.requirement("SCOPE-13", "SCOPE-14", "SCOPE-15")
@pytest.mark.parametrize("kind", CATEGORIES)
def test_every_category_can_be_granted(token: Token, kind: str) -> None:
    scope = " ".join(f"patient/{kind}.rs?category={value}" for value in sorted(CATEGORIES[kind]))
    assert token(scope)["scope"] == scope


@pytest.mark.requirement("T-57")
def test_a_misspelt_category_is_not_granted(token: Token) -> None:
    misspelt = "patient/Observation.rs?category=http://terminology.hl7.org//CodeSystem-observation-category|survey"
    assert token(f"patient/Goal.rs {misspelt}")["scope"] == "patient/Goal.rs"
    assert PendingAuthorization.objects.get().dropped == f"{misspelt} (scope.grammar)"


@pytest.mark.requirement("SCOPE-24")
def test_every_us_core_type_is_known() -> None:
    assert set(US_CORE_TYPES) == set(CERTIFIED_TYPES)


@pytest.mark.requirement("SCOPE-24", "T-68")
@pytest.mark.parametrize("level", ["patient", "user"])
def test_every_advertised_scope_of_an_app_can_be_granted(token: Token, client: Any, level: str) -> None:
    advertised = client.get(f"{FHIR_BASE}/.well-known/smart-configuration").json()["scopes_supported"]
    assert set(advertised_scopes(level)) <= set(advertised)  # type: ignore[arg-type]
    needs_ehr = {"launch", "launch/encounter"}  # They are asked for in test_discovery_truth.
    named = [one for one in advertised if not one.startswith(("system/", "user/", "patient/"))]
    scope = " ".join(one for one in named if one not in needs_ehr)
    for one in (scope, " ".join(f"{level}/{kind}.rs" for kind in CERTIFIED_TYPES)):
        assert set(token(one)["scope"].split()) >= set(one.split()) - {"online_access"}


@pytest.mark.requirement("SCOPE-24")
def test_every_us_core_type_can_be_granted_to_a_service(post: Post, bulk_loader: Service) -> None:
    scope = " ".join(f"system/{kind}.rs" for kind in CERTIFIED_TYPES)
    params = {"grant_type": "client_credentials", "scope": scope, **bulk_loader.credentials()}
    assert body_of(post(TOKEN, params))["scope"] == scope


@pytest.mark.requirement("SCOPE-26")
def test_openid_alone_gives_an_id_token(token: Token) -> None:
    body = token("openid")
    assert (body["scope"], "patient" in body) == ("openid", False)
    assert verified(body["id_token"], "RS256").claims["aud"] == "growth-chart"


@pytest.mark.requirement("SCOPE-26")
@pytest.mark.parametrize("name", ["fhirUser", "profile"])
def test_who_the_user_is_is_nothing_without_openid(token: Token, name: str) -> None:
    body = token(f"{name} patient/Goal.rs")
    assert body["scope"] == "patient/Goal.rs"
    assert "id_token" not in body
    assert "fhirUser" not in verified(body["access_token"], "ES256").claims


@pytest.mark.requirement("SCOPE-22")
def test_scopes_may_be_asked_for_as_uris(token: Token) -> None:
    smart, openid = "http://smarthealthit.org/fhir/scopes/", "http://openid.net/specs/openid-connect-core-1_0#"
    body = token(f"{openid}openid {smart}fhirUser {smart}launch/patient {smart}patient/Goal.read")
    assert body["scope"] == "openid fhirUser launch/patient patient/Goal.read"
    assert verified(body["id_token"], "RS256").claims["fhirUser"] == f"{FHIR_BASE}/Patient/ana"


@pytest.mark.requirement("SCOPE-11")
def test_an_app_registered_for_system_scopes_gets_none(
    browser: Browser, ask: Ask, tenant: TenantInfo, ana: User
) -> None:
    app = make_app(phone_app(scope=f"{REGISTERED} system/*.cruds"), tenant)
    launched = launch(browser, app, ana, scope="patient/Goal.rs system/Goal.rs system/*.read")
    assert body_of(ask(app, redemption(launched)))["scope"] == "patient/Goal.rs"


@pytest.mark.requirement("SCOPE-28")
def test_a_large_set_of_scopes_does_not_travel_in_the_token(
    token: Token, post: Post, auditor: Service, call: Caller
) -> None:
    scope = " ".join(f"patient/Observation.rs?code=http://loinc.org|{number}-7" for number in range(200))
    body = token(scope)
    assert body["scope"] == scope
    assert len(body["access_token"]) < 3_500
    assert "scope" not in verified(body["access_token"], "ES256").claims
    assert body_of(post(INTROSPECT, {"token": body["access_token"], **auditor.credentials()}))["scope"] == scope
    assert call("/Observation", body["access_token"]).status_code == 200


# Filters, however they are escaped


def laboratory(name: str, *codings: dict[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "category": [{"coding": list(codings)}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "Patient/ana"},
    }


@pytest.fixture
def results(small: Behind) -> Any:
    """Put laboratory results behind: by system and code, in two categories, by a code without a system, and none."""
    system = f"{HL7}/observation-category"
    lab, vital, own = ({"system": system, "code": code} for code in ("laboratory", "vital-signs", "laboratory"))
    del own["system"]
    rows = {"lab": [lab], "both": [vital, lab], "own": [own], "vital": [vital]}
    small.load(*(laboratory(f"filtered-{name}", *codings) for name, codings in rows.items()))
    yield
    for name in rows:
        small.ask("DELETE", f"/r4/Observation/filtered-{name}")


SPELLINGS = [
    # filter as the app writes it, as it is told, what it shows of the results
    (LAB, LAB, {"lab", "both"}),
    (quote(LAB, safe=""), LAB, {"lab", "both"}),
    (LAB.replace("|", "%7C"), LAB, {"lab", "both"}),
    (LAB.replace("|", "%7c"), LAB, {"lab", "both"}),
    ("laboratory", "laboratory", {"lab", "both", "own"}),
    ("|laboratory", "|laboratory", {"own"}),
    ("%7Claboratory", "|laboratory", {"own"}),
    (f"{HL7}/observation-category|", f"{HL7}/observation-category|", {"lab", "both", "vital"}),
    (f"{LAB},{VITALS}", f"{LAB},{VITALS}", {"lab", "both", "vital"}),
    (f"{LAB}&category={VITALS}", f"{LAB}&category={VITALS}", {"both"}),
]


@pytest.mark.requirement("AUTHZ-32", "SCOPE-12", "SCOPE-17", "T-54", "T-55")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("spelling", "told", "shown"), SPELLINGS, ids=lambda value: str(value)[-30:])
def test_a_filter_is_decoded_once_and_enforced_as_a_token(
    browser: Browser,
    token: Token,
    call: Caller,
    results: None,
    method: str,
    spelling: str,
    told: str,
    shown: set[str],
) -> None:
    if method == "POST":
        browser.get = posting(browser)  # type: ignore[method-assign]
    body = token(f"patient/Observation.rs?category={spelling}")
    assert body["scope"] == f"patient/Observation.rs?category={told}"
    found = {
        one.removeprefix("Observation/filtered-") for one in ids(call("/Observation?code=718-7", body["access_token"]))
    }
    assert found == shown
    for name in ("lab", "both", "own", "vital"):
        status = call(f"/Observation/filtered-{name}", body["access_token"]).status_code
        assert status == (200 if name in shown else 404)


def posting(browser: Browser) -> Callable[..., HttpResponse]:
    """Return a `get` that sends authorization requests as forms, and everything else as it is."""
    get = browser.get

    def send(path: str, *args: Any, **kwargs: Any) -> HttpResponse:
        target, _, query = path.partition("?")
        if target == AUTHORIZE:
            return browser.post(target, query, content_type="application/x-www-form-urlencoded")
        return get(path, *args, **kwargs)

    return send


@pytest.mark.requirement("SCOPE-16")
@pytest.mark.parametrize(
    "scope",
    [
        "patient/Observation.rs?category:in=http://x",
        "patient/Observation.rs?patient.name=x",
        "patient/Observation.rs?_filter=code eq x",
        "patient/Observation.rs?category:not=x",
        "patient/Observation.rs?value-quantity=5",
        "patient/Observation.rs?_has:Group:member:_id=1",
    ],
)
def test_a_filter_we_cannot_judge_takes_its_scope_away(
    growth_chart: App, token: Token, call: Caller, scope: str
) -> None:
    asked = authorize_params(scope=scope)
    answer = Browser().get(f"{AUTHORIZE}?{urlencode(asked)}")
    told_in(answer, growth_chart.redirect_uri, asked["state"], "invalid_scope")
    body = token(f"patient/Goal.rs {scope}")
    assert body["scope"] == "patient/Goal.rs"
    assert call("/Observation", body["access_token"]).status_code == 403


@pytest.mark.requirement("SCOPE-23", "SCOPE-09")
def test_a_linked_record_is_another_record(small: Behind, token: Token, call: Caller) -> None:
    links = [{"other": {"reference": "Patient/ana"}, "type": "replaces"}]
    observation = laboratory("of-linked", {"code": "x"}) | {"subject": {"reference": "Patient/linked"}}
    small.load({"resourceType": "Patient", "id": "linked", "link": links}, observation)
    try:
        access_token = token("patient/*.rs")["access_token"]
        for path in ("Patient/linked", "Observation/of-linked"):
            assert call(f"/{path}", access_token).status_code == 404
            kind, _, name = path.partition("/")
            assert path not in ids(call(f"/{kind}?_id={name}", access_token))
    finally:
        for path in ("Observation/of-linked", "Patient/linked"):
            small.ask("DELETE", f"/r4/{path}")
