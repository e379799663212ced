"""The simulator: the proxy's own decision about a request that is never sent."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo, TenantPolicy
from fhirproxy.policy.supported import Supported
from fhirproxy.simulation import STATEMENT, Setting, simulate
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.policy.access import Restrictions
from tests.policy.proxy.building import access_for, bases
from tests.proxy.conftest import Behind, Caller, Mint, forget_statement, know_statement


def told(line: str, scope: str, patient: str | None = None, fhir_user: str | None = None, **more: Any) -> Any:
    policy, reach = more.pop("policy", TenantPolicy()), frozenset(more.pop("reach", ()))
    setting = Setting(policy, bases(), reach, more.pop("supported", None))
    return simulate(access_for(scope, patient, fhir_user, **more), line, setting)


DECISIONS: list[tuple[str, str, str | None, bool, str]] = [
    # request, scopes, patient, allowed, rule
    ("GET Observation?code=x", "patient/Observation.rs", "ana", True, "allow"),
    ("GET /Observation?code=x", "patient/Observation.rs", "ana", True, "allow"),
    ("GET Observation?patient=ben", "patient/Observation.rs", "ana", False, "compartment"),
    ("GET Condition", "patient/Observation.rs", "ana", False, "scope"),
    ("GET Observation", "patient/Observation.rs", None, False, "authority.empty"),
    ("GET Observation?nonsense=1", "patient/Observation.rs", "ana", False, "search.parameter"),
    ("GET Nothing", "patient/*.rs", "ana", False, "target.type"),
    ("FETCH Observation", "patient/*.rs", "ana", False, "http.method"),
    ("GET", "patient/*.rs", "ana", False, "target.base"),
    ("GET metadata", "", None, True, "public"),
]


@pytest.mark.parametrize(("line", "scope", "patient", "allowed", "rule"), DECISIONS)
def test_a_decision_and_its_rule(line: str, scope: str, patient: str | None, allowed: bool, rule: str) -> None:
    decision = told(line, scope, patient)["decision"]
    assert (decision["allowed"], decision["rule"]) == (allowed, rule)


def test_every_step_is_told() -> None:
    found = told("GET Observation?code=http://loinc.org|718-7&_sort=-date", "patient/Observation.rs", "ana")
    assert found["token"]["scopes"] == ["patient/Observation.rs"]
    assert found["parse"]["interaction"] == "search-type"
    assert found["parse"]["parameters"] == ["code=http://loinc.org|718-7"]
    assert found["grants"] == [{"scope": "patient/Observation.rs", "patients": ["ana"]}]
    assert found["decision"]["request"] == (
        "Observation?patient=Patient%2Fana&code=http%3A%2F%2Floinc.org%7C718-7&_sort=-date&_count=50"
    )
    assert found["decision"]["via"] == found["grants"]


def test_search_parameters_are_held_against_a_statement_that_is_known_and_none_is_asked_for() -> None:
    line, scope = "GET Observation?code=x", "patient/Observation.rs"
    unknown = told(line, scope, "ana")
    assert (unknown["decision"]["allowed"], unknown["facts"]) == (True, [STATEMENT])
    assert told("GET Observation?_id=x", scope, "ana")["facts"] == []
    assert told("GET Observation/x", scope, "ana")["facts"] == []
    listed = told(line, scope, "ana", supported=Supported({"Observation": frozenset({"code"})}))
    assert (listed["decision"]["allowed"], listed["facts"]) == (True, [])
    dates = Supported({"Observation": frozenset({"date"})})
    refused = told(line, scope, "ana", supported=dates)
    assert (refused["decision"]["rule"], refused["decision"]["status"]) == ("search.unsupported", 400)
    policy = TenantPolicy(extra_parameters=("Observation.remark",))
    assert told("GET Observation?remark=x", scope, "ana", policy=policy, supported=dates)["decision"]["allowed"]


def test_what_a_tenant_adds_is_simulated_too() -> None:
    policy = TenantPolicy(extra_parameters=("Observation.remark",), extra_operations=("Observation/$noted=Bundle",))
    found = told("GET Observation?remark=x", "patient/Observation.rs", "ana", policy=policy)
    assert (found["decision"]["allowed"], found["switches"]) == (True, ["extra_parameters"])
    found = told("GET Observation/$noted?mood=good", "patient/Observation.rs", "ana", policy=policy)
    assert (found["decision"]["request"], found["switches"]) == ("Observation/$noted?mood=good", ["extra_operations"])
    assert told("GET Observation/$noted", "patient/Observation.rs", "ana")["decision"]["allowed"] is False


def test_a_validation_is_simulated_as_the_write_it_stands_for() -> None:
    found = told("POST Observation/o1/$validate?mode=delete", "patient/Observation.d", "ana")
    assert found["parse"] == {"interaction": "validate", "type": "Observation", "id": "o1"}
    assert (found["decision"]["allowed"], found["decision"]["mode"]) == (True, "delete")
    assert told("POST Observation/o1/$validate?mode=delete", "patient/Observation.c", "ana")["decision"]["rule"] == (
        "scope"
    )


def test_what_a_scope_contributes_is_the_difference_without_it() -> None:
    scopes = "patient/Observation.rs?category=laboratory patient/Observation.rs?category=vital-signs patient/Patient.rs"
    found = told("GET Observation", scopes, "ana")
    assert "category" not in found["decision"]["request"]
    assert [one["scope"] for one in found["without"]] == scopes.split()[:2]
    assert found["without"][0]["decision"]["request"] == (
        "Observation?patient=Patient%2Fana&category=vital-signs&_count=50"
    )
    alone = told("GET Condition", "patient/Condition.rs patient/Patient.rs", "ana")
    (difference,) = alone["without"]
    assert (difference["scope"], difference["decision"]["rule"]) == ("patient/Condition.rs", "scope")


FACTS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("Practitioner/p", {}, []),
    (
        "Practitioner/p",
        {"policy": TenantPolicy(practitioner_access="panel")},
        ["the panel of Practitioner/p by general-practitioner and care-team"],
    ),
    ("Practitioner/p", {"policy": TenantPolicy(practitioner_access="panel", panel_by=())}, []),
    ("RelatedPerson/r", {}, ["the patient of RelatedPerson/r"]),
    ("Patient/ana", {"restrictions": Restrictions(groups=frozenset({"g"}))}, ["members of Group/g"]),
]


@pytest.mark.parametrize(("fhir_user", "more", "facts"), FACTS, ids=str)
def test_what_would_have_to_be_read_upstream_is_named_and_may_be_said(
    fhir_user: str, more: dict[str, Any], facts: list[str]
) -> None:
    found = told("GET Patient/ana", "user/*.rs", fhir_user=fhir_user, **more)
    assert found["facts"] == facts
    if facts:
        assert not found["grants"]
        assert told("GET Patient/ana", "user/*.rs", fhir_user=fhir_user, reach=["ana"], **more)["grants"]


def test_a_panel_by_name_is_known() -> None:
    policy = TenantPolicy(practitioner_access="panel", panel_by=(), panels={"Practitioner/p": ("ana",)})
    found = told("GET Patient/ana", "user/*.rs", fhir_user="Practitioner/p", policy=policy)
    assert found["grants"][0]["patients"] == ["ana"]


def test_loosened_switches_are_named() -> None:
    policy = TenantPolicy(compartment_mode="formal", trust_totals=True)
    assert told("GET Observation", "patient/*.rs", "ana", policy=policy)["switches"] == [
        "compartment_mode",
        "trust_totals",
    ]


AGREEING = [
    # scopes, patient, path
    ("patient/*.rs", "ana", "Patient/ana"),
    ("patient/*.rs", "ana", "Patient/ben"),
    ("patient/*.rs", "ana", "Observation?code=x"),
    ("patient/Observation.rs?category=laboratory", "ana", "Observation"),
    ("patient/*.rs", "ana", "Observation?patient=ben"),
    ("patient/Patient.r", "ana", "Patient"),
    ("patient/*.rs", "ana", "Observation?subject.name=x"),
    ("patient/*.rs", "ana", "Patient?_id=ben"),
    ("system/*.rs", None, "Observation?patient=ben&_sort=-date"),
    ("system/Patient.rs", None, "Observation"),
]


@pytest.mark.parametrize(("scope", "patient", "path"), AGREEING)
def test_the_simulator_and_the_proxy_agree(
    small: Behind, minted: Mint, call: Caller, scope: str, patient: str | None, path: str
) -> None:
    from smartauth.receipts.models import Receipt

    claims = {"patient": patient} if patient else {}
    real = call(f"/{path}", minted(scope, **claims))
    words = ("--client", "bulk-loader" if scope.startswith("system") else "growth-chart", "--scope", scope)
    patient_words = ("--patient", patient) if patient else ()
    sent = small.targets()
    decision = explain(*words, *patient_words, f"GET {path}")["decision"]
    assert small.targets() == sent  # Simulating asks the upstream nothing.
    if decision["allowed"]:
        assert sent[:1] == [decision["request"]][: decision["request"] is not None]
        assert real.status_code in (200, 404)
    else:
        assert (real.status_code, Receipt.objects.get().rule) == (decision["status"], decision["rule"])
        assert sent == []


def explain(*words: str) -> Any:
    out = StringIO()
    call_command("explain_request", "--json", *words, stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def ana(minted: Mint, tenant: TenantInfo) -> User:
    """Ana, who is a patient and acts for ben, and the clients of the tenant."""
    user = User.objects.create_user("ana")
    FhirUser.objects.create(user=user, tenant_id=tenant.pk, reference="Patient/ana")
    ProxyRelation.objects.create(user=user, tenant_id=tenant.pk, patient="ben", starts_at="2020-01-01T00:00:00Z")
    ProxyRelation.objects.create(
        user=user, tenant_id=tenant.pk, patient="cyd", starts_at="2020-01-01T00:00:00Z", ends_at="2021-01-01T00:00:00Z"
    )
    return user


def test_a_user_brings_what_they_are_and_whom_they_act_for(ana: User) -> None:
    found = explain("--client", "growth-chart", "--user", "ana", "--scope", "user/*.rs", "GET Patient")
    assert found["token"]["fhirUser"] == "Patient/ana"
    assert found["grants"][0]["patients"] == ["ana", "ben"]
    assert found["decision"]["request"] == "Patient?_id=ana%2Cben&_count=50"


def test_a_scope_outside_the_registration_or_the_activation_is_not_in_the_token(ana: User) -> None:
    Activation.objects.filter(client__client_id="growth-chart").update(allowed_scope="patient/Patient.r")
    words = ("--client", "growth-chart", "--patient", "ana")
    found = explain(*words, "--scope", "patient/Patient.rs system/*.rs", "GET Patient")
    assert found["token"]["scopes"] == ["patient/Patient.r"]
    assert (found["decision"]["rule"], found["decision"]["missing_scope"]) == ("scope", "patient/Patient.s")


def test_people_read_lines(ana: User) -> None:
    out = StringIO()
    words = ("--client", "growth-chart", "--user", "ana", "--patient", "ana", "--scope", "patient/*.rs")
    call_command("explain_request", *words, "GET Observation?code=x", stdout=out)
    lines = out.getvalue().splitlines()
    assert "grant      patient/*.rs  for ana" in lines
    assert "decision   allowed, rule allow" in lines
    assert "upstream   Observation?patient=Patient%2Fana&code=x&_count=50" in lines
    assert "without    patient/*.rs" in lines


UNIMAGINABLE: list[tuple[dict[str, Any], str]] = [
    ({"--client": "nobody"}, "no client 'nobody'"),
    ({"--tenant": "nowhere"}, "no tenant 'nowhere'"),
    ({"--user": "nobody"}, "no user 'nobody'"),
    ({"--reach": "a/b"}, "not a logical id"),
    ({"--body": "/nowhere"}, "cannot be read"),
]


@pytest.mark.parametrize(("change", "why"), UNIMAGINABLE, ids=str)
def test_what_cannot_be_is_said(ana: User, change: dict[str, Any], why: str) -> None:
    words = {"--client": "growth-chart", "--scope": "patient/*.rs", **change}
    with pytest.raises(CommandError, match=why):
        explain(*(word for pair in words.items() for word in pair), "GET Patient")


def test_a_token_the_proxy_would_not_take_is_401(ana: User) -> None:
    for spoil in (
        lambda: Client.objects.update(status=Client.Status.SUSPENDED),
        lambda: Activation.objects.all().delete(),
        lambda: Tenant.objects.update(is_active=False),
    ):
        spoil()
        with pytest.raises(CommandError, match="401"):
            explain("--client", "growth-chart", "--scope", "patient/*.rs", "GET Patient")
        Client.objects.update(status=Client.Status.APPROVED)


def test_the_admin_simulates_too_for_those_who_may_look(client: Any, ana: User, small: Behind) -> None:
    url = "/admin/fhirproxy/upstream/simulate/"
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(url).status_code == 403
    client.force_login(User.objects.create_superuser("admin"))
    assert b"Simulate a request" in client.get("/admin/fhirproxy/upstream/").content
    form = {"client": "growth-chart", "tenant": "sandbox", "patient": "ana", "scope": "patient/*.rs", "line": "GET "}
    assert client.get(url).status_code == 200
    forget_statement()
    page = client.post(url, {**form, "line": "GET Observation?code=<b>"}).content.decode()
    assert f"not asked  {STATEMENT}" in page
    assert "decision   allowed" in page
    assert "code=%3Cb%3E" in page
    assert "<b>" not in page
    know_statement()
    small.ask("DELETE", "/_received")
    assert "not asked" not in client.post(url, {**form, "line": "GET Observation?code=x"}).content.decode()
    assert "There is no client" in client.post(url, {**form, "client": "nobody"}).content.decode()
    assert small.received() == []
