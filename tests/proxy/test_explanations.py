"""What is kept of each decision: whose data it was, which loosened switches it rested on, and why for the officer."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from clients.models import Tenant
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization
from smartauth.receipts.models import Receipt
from smartauth.receipts.views import describe
from tests.proxy.conftest import Behind, Caller, Mint


def policy(**switches: Any) -> None:
    Tenant.objects.update(policy=switches)


def decision(receipt: Receipt) -> dict[str, Any]:
    found = describe(receipt, "officer")["decision"]
    assert isinstance(found, dict)
    return found


def test_the_officer_sees_parse_grants_plan_and_numbers(small: Behind, minted: Mint, call: Caller) -> None:
    small.leak()
    assert call("/Observation/ben-glucose", minted("patient/*.rs", patient="ana")).status_code == 404
    found = decision(Receipt.objects.get())
    assert found["parse"] == {"interaction": "read", "type": "Observation", "id": "ben-glucose"}
    assert found["grants"] == [{"scope": "patient/*.rs", "patients": ["ana"]}]
    assert (found["plan"]["plan"], found["plan"]["request"]) == ("read-plan", "Observation/ben-glucose")
    assert (found["patient"], found["upstream_calls"]) == ("ana", 1)
    assert found["switches"] == []


def test_a_denial_is_explained_without_the_values_of_the_search(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.rs?category=laboratory", patient="ana")
    assert call("/Condition?code=s3cret", token).status_code == 403
    found = decision(Receipt.objects.get())
    assert found["parse"]["parameters"] == ["code"]
    assert found["grants"] == [{"scope": "patient/Observation.rs?category=laboratory", "patients": ["ana"]}]
    assert (found["plan"]["rule"], found["plan"]["missing_scope"]) == ("scope", "patient/Condition.s")
    assert "s3cret" not in json.dumps(found)
    assert small.received() == []


def test_what_the_upstream_removed_is_the_officer_s_to_know_alone(small: Behind, minted: Mint, call: Caller) -> None:
    receipts = []
    token = minted("patient/*.rs", patient="ana")
    for target in ("/Patient/ben", "/Observation/nowhere"):
        assert call(target, token).status_code == 404
        receipts.append(Receipt.objects.latest("at"))
    partner = [describe(one, "partner") for one in receipts]
    assert all("decision" not in one and "removed" not in json.dumps(one) for one in partner)
    same = [{name: one[name] for name in one if name not in ("trace_id", "at")} for one in partner]
    assert same[0] == same[1]


def test_explain_prints_the_steps(small: Behind, minted: Mint, call: Caller) -> None:
    call("/Condition?code=x", minted("patient/Observation.rs", patient="ana"))
    out = StringIO()
    call_command("explain", str(Receipt.objects.get().trace_id), stdout=out)
    lines = dict(line.split(maxsplit=1) for line in out.getvalue().splitlines())
    assert json.loads(lines["grants"]) == [{"scope": "patient/Observation.rs", "patients": ["ana"]}]
    assert json.loads(lines["parse"])["interaction"] == "search-type"
    assert lines["checked"] == "0"


def record() -> AuditRecord:
    return AuditRecord.objects.latest("pk")


@pytest.mark.requirement("PROXY-45")
def test_an_audit_record_names_everybody_whose_data_left(small: Behind, minted: Mint, call: Caller) -> None:
    small.leak()
    call("/Patient?_id=ana", minted("patient/*.rs", patient="ana"))
    assert record().patients == ["ana"]
    call("/Patient?_id=ana,ben", minted("user/*.rs", fhirUser="Practitioner/dr-grey"))
    assert {"ana", "ben"} <= set(record().patients)
    call("/Organization?_count=1", minted("system/*.rs"))
    assert record().patients == []
    small.load({"resourceType": "Observation", "id": "joint", "subject": {"reference": "Patient/ben"}})
    call("/Observation/joint", minted("system/*.rs"))
    assert record().patients == ["ben"]
    small.ask("DELETE", "/r4/Observation/joint")


TOLD = [
    # path, status, interaction, type, id
    ("/Patient/ana", 200, "read", "Patient", "ana"),
    ("/Observation?code=x", 200, "search-type", "Observation", ""),
    ("/Observation/nowhere", 404, "read", "Observation", "nowhere"),
    ("/Slot/x", 403, "read", "Slot", "x"),
]


@pytest.mark.requirement("PROXY-45")
@pytest.mark.parametrize(("path", "status", "interaction", "kind", "name"), TOLD)
def test_who_asked_for_what_and_how_it_ended_is_kept_without_the_token(
    small: Behind, minted: Mint, call: Caller, path: str, status: int, interaction: str, kind: str, name: str
) -> None:
    token = minted("patient/Patient.rs patient/Observation.rs", patient="ana", sub="somebody")
    response = call(path, token)
    assert response.status_code == status
    authorization = Authorization.objects.get().pk
    if status == 200:
        kept: Any = record()
        assert (kept.patient, kept.authorization) == ("ana", authorization)
        found = {"interaction": kept.details["interaction"], "type": kept.resource_type, "id": kept.resource_id}
    else:
        kept = Receipt.objects.get()
        decided = decision(kept)
        assert (kept.status, decided["patient"], decided["authorization"]) == (status, "ana", str(authorization))
        found = decided["parse"]
    assert (str(kept.trace_id), kept.client_id, kept.tenant) == (response["X-Trace-Id"], "growth-chart", "sandbox")
    assert {name: found.get(name, "") for name in ("interaction", "type", "id")} == {
        "interaction": interaction,
        "type": kind,
        "id": name,
    }
    assert token not in str(vars(kept))


def test_both_kinds_of_decision_are_exported(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.rs", patient="ana")
    call("/Observation?code=x", token)
    call("/Condition?code=x", token)
    out = StringIO()
    call_command("export_audit", "--patient", "ana", stdout=out)
    allowed, refused = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (allowed["outcome"], allowed["meta"]["profile"][0].rpartition(".")[2]) == ("0", "PatientQuery")
    assert (refused["outcome"], refused["subtype"][0]["code"]) == ("4", "search-type")
    assert {one["entity"][1]["what"]["reference"] for one in (allowed, refused)} == {"Patient/ana"}


def test_an_attempt_at_somebody_else_is_found_under_both(small: Behind, minted: Mint, call: Caller) -> None:
    call("/Patient/ben", minted("patient/*.rs", patient="ana"))
    for patient in ("ana", "ben"):
        out = StringIO()
        call_command("export_audit", "--patient", patient, stdout=out)
        events = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [one["entity"][1]["what"]["reference"] for one in events] == ["Patient/ana", "Patient/ben"]


SWITCHES: list[tuple[dict[str, Any], str, str, str]] = [
    # policy, scope, request, switches that influenced it
    ({}, "patient/*.rs", "/Observation", ""),
    ({"compartment_mode": "formal"}, "patient/*.rs", "/Observation", "compartment_mode"),
    ({"compartment_mode": "formal"}, "patient/*.rs", "/Patient/ana", ""),
    ({"compartment_mode": "formal"}, "system/*.rs", "/Observation", ""),
    ({"compartment_mode": "formal"}, "patient/*.rs", "/Patient?_revinclude=Provenance:target", ""),
    ({"compartment_mode": "formal"}, "patient/*.rs", "/Patient?_revinclude=Observation:subject", "compartment_mode"),
    ({"type_overrides": {"Appointment": "any"}}, "patient/*.rs", "/Appointment", "type_overrides"),
    ({"type_overrides": {"Appointment": "any"}}, "patient/*.rs", "/Observation", ""),
    ({"trust_totals": True, "writes": "all"}, "patient/*.rs", "/Observation", "trust_totals"),
    ({"shared_read": False, "update_as_create": True}, "patient/*.rs", "/Patient/ana", ""),
]


@pytest.mark.parametrize(("switches", "scope", "path", "named"), SWITCHES, ids=str)
def test_an_audit_record_names_the_loosened_switches_it_rests_on(
    small: Behind, minted: Mint, call: Caller, switches: dict[str, Any], scope: str, path: str, named: str
) -> None:
    policy(**switches)
    patient = {} if scope.startswith("system") else {"patient": "ana"}
    assert call(path, minted(scope, **patient)).status_code == 200
    assert record().details.get("switches", "") == named


@pytest.mark.parametrize("leak", [False, True])
def test_a_trusted_total_saves_counting_and_is_not_told_when_something_was_hidden(
    sandbox: Behind, minted: Mint, call: Caller, leak: bool
) -> None:
    token = minted("patient/*.rs", patient="ana")
    honest = call("/Observation?_count=2&_total=accurate", token).json()["total"]
    counted = len(sandbox.targets())
    policy(trust_totals=True)
    if leak:
        sandbox.leak()
    answer = call("/Observation?_count=2&_total=accurate", token).json()
    asked = len(sandbox.targets()) - counted
    assert answer.get("total", honest) == honest
    assert (asked < counted) is not leak


def test_a_receipt_names_them_too(small: Behind, minted: Mint, call: Caller) -> None:
    policy(compartment_mode="formal")
    assert call("/Observation/nowhere", minted("patient/*.rs", patient="ana")).status_code == 404
    assert decision(Receipt.objects.get())["switches"] == ["compartment_mode"]


def test_a_formal_tenant_shows_what_a_strict_one_hides(small: Behind, minted: Mint, call: Caller) -> None:
    performed = {
        "resourceType": "Observation",
        "id": "performed",
        "subject": {"reference": "Patient/ben"},
        "performer": [{"reference": "Patient/ana"}],
    }
    small.load(performed)
    token = minted("patient/*.rs", patient="ana")
    found = []
    for mode in ("strict", "formal"):
        policy(compartment_mode=mode)
        searched = call("/Observation?performer=Patient/ana&_count=200", token).json().get("entry", [])
        found.append(
            (
                call("/Observation/performed", token).status_code,
                "performed" in {one["resource"]["id"] for one in searched},
            )
        )
    small.ask("DELETE", "/r4/Observation/performed")
    assert found == [(404, False), (200, True)]
