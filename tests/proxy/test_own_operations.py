"""Operations a tenant adds: refused until it names them, and then each resource in a result is checked.

FHIR R4 operations; SMART 2.2 scopes-and-launch-context.
"""

from typing import Any

import pytest

from clients import tenants
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint, ids
from tests.proxy.oracle import Token, allowed
from tests.proxy.test_metadata import resource
from tests.proxy.test_no_leak import POPULATION
from tests.proxy.test_writes import switch

ANA = {"patient": "ana"}
NOTED = "Observation/$noted=Bundle"
OVERVIEW = "Patient/id/$overview=Parameters"


def offer(*operations: str) -> None:
    switch(extra_operations=list(operations))
    tenants._tenants.clear()


def resources(parts: list[dict[str, Any]]) -> list[str]:
    """Return Type/id of every resource in the parts of Parameters."""
    found = [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in parts if "resource" in one]
    return found + [name for one in parts for name in resources(one.get("part", []))]


@pytest.mark.requirement("PROXY-31")
@pytest.mark.parametrize("scope", ["patient/*.rs", "patient/Observation.s", "patient/Observation.rs?status=final"])
def test_of_a_bundle_what_is_inside_is_given(sandbox: Behind, minted: Mint, call: Caller, scope: str) -> None:
    offer(NOTED)
    found = set(ids(call("/Observation/$noted", minted(scope, **ANA))))
    assert found
    assert found == {
        name
        for name, one in POPULATION.items()
        if one["resourceType"] == "Observation" and allowed(Token((scope,), patient="ana"), one, "s")
    }
    assert sandbox.targets()[0] == "Observation/$noted"
    recording._buffer.flush()
    record = AuditRecord.objects.get()
    assert (record.details["interaction"], record.details["switches"]) == ("$noted", "extra_operations")
    assert record.details["removed"] > 0


def test_of_parameters_the_resources_inside_are_given_and_no_numbers(small: Behind, minted: Mint, call: Caller) -> None:
    offer(OVERVIEW)
    document = call("/Patient/ana/$overview", minted("patient/*.rs", **ANA)).json()
    found = resources(document["parameter"])
    assert "Patient/ana" in found
    assert "Observation/versioned-ana" in found
    assert "Observation/ben-pulse-taken-by-ana" not in found
    assert "count" not in [one["name"] for one in document["parameter"]]
    assert small.targets()[0] == "Patient/ana"
    everything = call("/Patient/ana/$overview", minted("system/*.rs")).json()
    assert "Observation/ben-pulse-taken-by-ana" in resources(everything["parameter"])
    assert everything["parameter"][0]["name"] == "count"
    narrow = call("/Patient/ana/$overview", minted("patient/Patient.r", **ANA)).json()
    assert resources(narrow["parameter"]) == ["Patient/ana"]


def test_one_resource_outside_is_absent(small: Behind, minted: Mint, call: Caller) -> None:
    offer("Patient/id/$overview=Observation")
    response = call("/Patient/ana/$overview", minted("patient/*.rs", **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (502, "upstream.failed")  # Not what was declared.


UNKNOWN = "interaction.unknown_operation"
REFUSED = [
    # offered     scope                     asked                                   status  rule
    ((),          "patient/*.rs",           "Observation/$noted",                   404, UNKNOWN),
    ((NOTED,),    "patient/*.rs",           "Condition/$noted",                     404, UNKNOWN),
    ((NOTED,),    "patient/*.rs",           "Observation/x/$noted",                 404, UNKNOWN),
    ((NOTED,),    "patient/*.rs",           "$noted",                               404, UNKNOWN),
    ((NOTED,),    "patient/Observation.r",  "Observation/$noted",                   403, "scope"),
    ((NOTED,),    "patient/Condition.rs",   "Observation/$noted",                   403, "scope"),
    ((NOTED,),    "patient/*.rs",           "Observation/$noted?subject=Patient/ben", 403, "compartment"),
    ((NOTED,),    "patient/*.rs",           "Observation/$noted?_has=x",            400, "operation.parameter"),
    ((OVERVIEW,), "patient/*.s",            "Patient/ana/$overview",                403, "scope"),
    ((OVERVIEW,), "patient/*.rs",           "Patient/ben/$overview",                404, "read.absent_or_outside"),
    ((OVERVIEW,), "patient/*.rs",           "Patient/nobody/$overview",             404, "read.absent_or_outside"),
]  # fmt: skip


@pytest.mark.parametrize(("offered", "scope", "asked", "status", "rule"), REFUSED)
def test_refused_operations_are_not_forwarded(
    small: Behind,
    minted: Mint,
    call: Caller,
    offered: tuple[str, ...],
    scope: str,
    asked: str,
    status: int,
    rule: str,
) -> None:
    offer(*offered)
    response = call(f"/{asked}", minted(scope, **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.received() == []


def test_it_is_asked_by_post_with_primitive_parameters(small: Behind, minted: Mint, call: Caller) -> None:
    offer(NOTED)
    token = minted("patient/*.rs", **ANA)
    body = {"resourceType": "Parameters", "parameter": [{"name": "mood", "valueString": "good"}]}
    assert call.write("POST", "/Observation/$noted", token, body).status_code == 200
    assert small.targets()[0] == "Observation/$noted?mood=good"
    body["parameter"] = [{"name": "mood", "resource": {"resourceType": "Goal"}}]
    assert call.write("POST", "/Observation/$noted", token, body).status_code == 400


def test_they_are_claimed_with_definitions_of_our_own(small: Behind, call: Caller) -> None:
    def named(kind: str) -> dict[str, str]:
        listed: Any = resource(call("/metadata").json(), kind)["operation"]
        return {one["name"]: one["definition"] for one in listed}

    assert "noted" not in named("Observation")
    offer(NOTED, OVERVIEW, "Patient/$overview=Bundle")
    assert named("Observation")["noted"] == f"{PUBLIC}/OperationDefinition/Observation-noted"
    assert named("Patient")["overview"] == f"{PUBLIC}/OperationDefinition/Patient-overview"
    assert "noted" not in named("Patient")
