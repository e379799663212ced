"""$validate through the proxy: judged as the write it stands for, and nothing is written.

FHIR R4 resource-operation-validate; SMART 2.2 scopes-and-launch-context.
"""

import json
from typing import Any

import pytest

from clients import tenants
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint
from tests.proxy.test_writes import observation, switch

ANA = {"patient": "ana"}
FINE = [{"severity": "information", "code": "informational"}]
OWN = "Observation/versioned-ana"


def parameters(resource: Any = None, **given: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [{"name": "resource", "resource": resource}] if resource else []
    found += [{"name": name, "valueUri" if name == "profile" else "valueCode": text} for name, text in given.items()]
    return {"resourceType": "Parameters", "parameter": found}


PASSED = [
    # path                       body                                                             mode
    ("Observation/$validate", observation(), "create"),
    ("Observation/$validate", parameters(observation()), "create"),
    ("Observation/$validate?mode=create", parameters(observation()), "create"),
    ("Observation/$validate", parameters(observation(id="versioned-ana"), mode="update"), "update"),
    (f"{OWN}/$validate", observation(id="versioned-ana"), "update"),
    (f"{OWN}/$validate", parameters(mode="delete"), "delete"),
    (f"{OWN}/$validate?mode=delete", "", "delete"),
]


@pytest.mark.parametrize(("path", "body", "mode"), PASSED)
def test_a_write_that_may_be_made_is_validated_and_not_made(
    small: Behind, minted: Mint, call: Caller, path: str, body: Any, mode: str
) -> None:
    before = small.stored(OWN)
    response = call.write("POST", f"/{path}", minted("patient/Observation.cud", **ANA), body)
    assert response.status_code == 200, response.content
    assert response.json() == {"resourceType": "OperationOutcome", "issue": FINE}
    [(method, target)] = small.sent()
    assert (method, target) == ("POST", f"/r4/{OWN if mode == 'delete' else 'Observation'}/$validate")
    sent = {one["name"]: one for one in json.loads(small.received()[-1]["body"])["parameter"]}
    assert sent["mode"]["valueCode"] == mode
    assert ("resource" in sent) is (mode != "delete")
    assert small.stored(OWN) == before
    record = AuditRecord.objects.get()
    assert (record.action, record.details["interaction"], record.resource_type) == (
        "validate",
        "$validate",
        "Observation",
    )


def test_what_is_wrong_is_told_without_the_words_of_the_upstream(small: Behind, minted: Mint, call: Caller) -> None:
    body = observation()
    del body["status"]
    response = call.write("POST", "/Observation/$validate", minted("patient/Observation.c", **ANA), body)
    assert response.status_code == 200
    assert response.json()["issue"] == [{"severity": "error", "code": "required", "expression": ["Observation.status"]}]


REFUSED = [
    # scope                    path                       body                                        status  rule
    ("patient/Observation.rs", "Observation/$validate", observation(), 403, "scope"),
    ("patient/Observation.u", "Observation/$validate", observation(), 403, "scope"),
    ("patient/Observation.c", f"{OWN}/$validate", observation(id="versioned-ana"), 403, "scope"),
    ("patient/Observation.cu", f"{OWN}/$validate?mode=delete", "", 403, "scope"),
    ("patient/Condition.cud", "Observation/$validate", observation(), 403, "scope"),
    ("patient/*.cud", "Observation/$validate", observation("Patient/ben"), 403, "write.outside"),
    ("patient/*.cud", "Observation/$validate", observation("Patient/nobody"), 403, "write.outside"),
    ("patient/*.cud", "Patient/$validate", {"resourceType": "Patient"}, 403, "write.patient"),
    ("patient/*.cud", "Practitioner/$validate", {"resourceType": "Practitioner"}, 403, "write.shared_type"),
    ("patient/*.cud", "AuditEvent/$validate", {"resourceType": "AuditEvent"}, 403, "scope.operator_type"),
    ("patient/*.cud", "Observation/$validate", observation(nonsense=1), 422, "body.element"),
    ("patient/*.cud", "Condition/$validate", observation(), 400, "body.type"),
    ("patient/*.cud", "Observation/$validate", "", 400, "validate.resource"),
    ("patient/*.cud", "Observation/$validate?mode=profile", observation(), 400, "validate.mode"),
    ("patient/*.cud", "Observation/$validate?mode=delete", "", 400, "validate.mode"),
    ("patient/*.cud", f"{OWN}/$validate?mode=create", observation(), 400, "validate.mode"),
    ("patient/*.cud", f"{OWN}/$validate?mode=delete", observation(), 400, "validate.resource"),
    ("patient/*.cud", f"{OWN}/$validate", observation(id="other"), 400, "body.id"),
    ("patient/*.cud", "Observation/$validate?mode=update", observation(), 400, "body.id"),
    ("patient/*.cud", "Observation/$validate?mode=create", parameters(observation(), mode="create"), 400,
     "query.repeated"),
    ("patient/*.cud", "Observation/$validate", parameters(observation(), other="x"), 400, "operation.parameters"),
    ("patient/*.cud", "Observation/$validate?other=x", observation(), 400, "operation.parameter"),
    ("patient/*.cud", "Observation/$validate?profile=http://evil.example/p", observation(), 403, "validate.profile"),
    ("patient/*.cud", "$validate", observation(), 403, "interaction.operation"),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "path", "body", "status", "rule"), REFUSED)
def test_what_may_not_be_written_is_not_validated(
    small: Behind, minted: Mint, call: Caller, scope: str, path: str, body: Any, status: int, rule: str
) -> None:
    response = call.write("POST", f"/{path}", minted(scope, **ANA), body)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.sent() == []


def test_absent_and_outside_are_the_same(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cud", **ANA)
    answers = []
    for name in ("ben-weight-focus-ana", "nobody-s"):
        for method in ("update", "delete"):
            body = observation(id=name) if method == "update" else ""
            response = call.write("POST", f"/Observation/{name}/$validate?mode={method}", token, body)
            outcome = response.json()
            outcome["issue"][0].pop("diagnostics")
            answers.append((response.status_code, json.dumps(outcome)))
    assert {status for status, _ in answers} == {404}
    assert len(set(answers)) == 1
    assert small.sent() == []


def test_conditions_have_no_place_in_it(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cud", **ANA)
    response = call.write("POST", f"/{OWN}/$validate", token, observation(id="versioned-ana"), HTTP_IF_MATCH='W/"1"')
    assert (response.status_code, Receipt.objects.get().rule) == (400, "validate.condition")
    assert call(f"/{OWN}/$validate", token).status_code == 405
    assert small.received() == []


def test_a_profile_on_a_known_host_goes_along(small: Behind, minted: Mint, call: Caller) -> None:
    profile = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-vital-signs"
    body = parameters(observation(), profile=profile)
    assert call.write("POST", "/Observation/$validate", minted("patient/*.c", **ANA), body).status_code == 200
    assert json.loads(small.received()[-1]["body"])["parameter"][-1] == {"name": "profile", "valueUri": profile}


def test_where_nothing_is_written_nothing_is_validated(small: Behind, minted: Mint, call: Caller) -> None:
    switch(writes="off")
    tenants._tenants.clear()
    response = call.write("POST", "/Observation/$validate", minted("patient/*.cud", **ANA), observation())
    assert (response.status_code, Receipt.objects.get().rule) == (405, "interaction.write")


UPSTREAM = [
    # fault                                        status  rule
    ({"kind": "status", "status": 404}, 501, "validate.unsupported"),
    ({"kind": "status", "status": 500}, 502, "upstream.failed"),
    ({"kind": "html"}, 502, "upstream.failed"),
]


@pytest.mark.parametrize(("fault", "status", "rule"), UPSTREAM)
def test_an_upstream_that_does_not_validate_is_no_verdict(
    small: Behind, minted: Mint, call: Caller, fault: dict[str, Any], status: int, rule: str
) -> None:
    small.fail(**fault)
    response = call.write("POST", "/Observation/$validate", minted("patient/*.c", **ANA), observation())
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)


def test_an_explanation_says_which_write_was_meant(small: Behind, minted: Mint, call: Caller) -> None:
    call.write("POST", "/Observation/$validate", minted("patient/*.c", **ANA), observation("Patient/ben"))
    found = Receipt.objects.get().decision
    assert found["parse"] == {"interaction": "validate", "type": "Observation"}
    assert (found["plan"]["plan"], found["plan"]["mode"]) == ("validation-plan", "create")
