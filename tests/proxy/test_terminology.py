"""Questions about codes through the proxy: who may ask, about which systems, and what of an answer leaves.

FHIR R4 terminology-service; SMART 2.2 scopes-and-launch-context.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clients import tenants
from clients.models import Tenant
from fhirproxy.policy.shaping import expansion, primitive_parameters
from fhirproxy.r4server.process import Running
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.policy.proxy.building import UPSTREAM, bases
from tests.proxy.conftest import Behind, Caller, Mint, holding

ANA = {"patient": "ana"}
CONCEPTS = [{"code": "a", "display": "First"}, {"code": "b", "display": "Second"}]
STORED: list[dict[str, Any]] = [
    {"resourceType": "CodeSystem", "id": "cs", "url": "http://loinc.org", "name": "Loinc", "concept": CONCEPTS},
    {
        "resourceType": "ValueSet",
        "id": "vs",
        "url": "http://loinc.org/vs/LL1",
        "compose": {"include": [{"system": "http://loinc.org", "concept": CONCEPTS}]},
    },
    {
        "resourceType": "ConceptMap",
        "id": "cm",
        "url": "http://hl7.org/fhir/ConceptMap/x",
        "group": [{"element": [{"code": "a"}]}],
    },
]


@pytest.fixture(scope="module")
def _loaded(_small: Running) -> Iterator[None]:
    with holding(_small, *STORED):
        yield


@pytest.fixture
def codes(_loaded: None, small: Behind) -> Behind:
    return small


ASKED = [
    # scope                  asked                                                                  in the answer
    ("patient/ValueSet.r", "ValueSet/$expand?url=http://loinc.org/vs/LL1&filter=x&count=10", '"display":"Second"'),
    ("patient/*.rs", "ValueSet/vs/$expand", '"display":"Second"'),
    ("patient/*.rs", "CodeSystem/$lookup?system=http://loinc.org&code=a", '"valueString":"First"'),
    ("patient/*.rs", "CodeSystem/$validate-code?url=http://loinc.org&code=a", '"valueBoolean":true'),
    ("patient/*.rs", "ValueSet/$validate-code?url=http://loinc.org/vs/LL1|2&code=c", '"valueBoolean":false'),
    ("patient/*.rs", "CodeSystem/$subsumes?system=http://loinc.org&codeA=a&codeB=a", '"valueCode":"equivalent"'),
    ("patient/*.rs", "ConceptMap/$translate?url=http://hl7.org/fhir/ConceptMap/x&code=a", '"valueBoolean":true'),
    ("system/*.rs", "ValueSet/vs/$expand", '"display":"Second"'),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "asked", "told"), ASKED)
def test_answers(codes: Behind, minted: Mint, call: Caller, scope: str, asked: str, told: str) -> None:
    response = call(f"/{asked}", minted(scope, **({} if "system" in scope else ANA)))
    assert response.status_code == 200, response.content
    assert told in response.content.decode()
    assert len(codes.targets()) == 1
    assert AuditRecord.objects.get().details["interaction"].startswith("$")


def test_a_post_asks_the_same_and_inline_resources_are_refused(codes: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    given: list[dict[str, Any]] = [{"name": "url", "valueUri": "http://loinc.org/vs/LL1"}]

    def post(parameters: list[dict[str, Any]]) -> Any:
        body = json.dumps({"resourceType": "Parameters", "parameter": parameters})
        return call("/ValueSet/$expand", token, method="POST", data=body, content_type="application/json")

    assert post(given).status_code == 200
    assert (codes.received()[0]["method"], codes.targets()) == (
        "GET",
        ["ValueSet/$expand?url=http%3A%2F%2Floinc.org%2Fvs%2FLL1"],
    )
    codes.ask("DELETE", "/_received")
    assert post([*given, {"name": "valueSet", "resource": {"resourceType": "ValueSet"}}]).status_code == 400
    assert post([{"name": "valueSet", "valueString": "x"}]).status_code == 400
    assert codes.received() == []


REFUSED = [
    # scope                       asked                                                        status  rule
    ("patient/Observation.rs",    "ValueSet/vs/$expand",                                       403, "scope"),
    ("patient/ValueSet.s",        "ValueSet/vs/$expand",                                       403, "scope"),
    ("patient/ValueSet.r?_tag=a", "ValueSet/vs/$expand", 403, "terminology.filtered"),
    ("patient/*.rs",              "ValueSet/$expand?url=http://evil.example/vs",               403, "terminology.host"),
    ("patient/*.rs",              "ValueSet/$expand?url=http://loinc.org.evil.example/vs",     403, "terminology.host"),
    ("patient/*.rs",              "ValueSet/$expand?url=http://localhost/vs",                  403, "terminology.host"),
    ("patient/*.rs",              "ValueSet/$expand?url=http://loinc.org/vs&system-version=http://evil.example|1",
     403, "terminology.host"),
    ("patient/*.rs", "ValueSet/$expand?url=http://loinc.org|http://evil.example/", 403, "terminology.host"),
    ("patient/*.rs",              "ValueSet/$expand?url=http://a@loinc.org/vs",                400, "operation.value"),
    ("patient/*.rs",              "ValueSet/$expand?url=file:///etc/passwd",                   400, "operation.value"),
    ("patient/*.rs",              "ValueSet/$expand?url=ValueSet/vs",                          400, "operation.value"),
    ("patient/*.rs", "ValueSet/$expand?context=x", 400, "operation.parameter"),
    ("patient/*.rs",              "ValueSet/vs/$expand?filter=a&filter=b",                     400, "query.repeated"),
    ("patient/*.rs",              "CodeSystem/$lookup?system=http://evil.example&code=a",      403, "terminology.host"),
    ("patient/*.rs",              "ConceptMap/$translate?code=a&target=http://evil.example/",  403, "terminology.host"),
    ("patient/*.rs", "CodeSystem/$expand", 403, "interaction.operation"),
    ("patient/*.rs", "Observation/$validate-code", 403, "interaction.operation"),
    ("patient/*.rs", "$closure", 403, "interaction.operation"),
    ("patient/*.rs", "Patient/$validate", 405, "http.method"),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "asked", "status", "rule"), REFUSED)
def test_refused_questions_are_not_forwarded(
    codes: Behind, minted: Mint, call: Caller, scope: str, asked: str, status: int, rule: str
) -> None:
    response = call(f"/{asked}", minted(scope, **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert codes.received() == []


def test_the_hosts_are_the_tenants_to_say(codes: Behind, minted: Mint, call: Caller) -> None:
    Tenant.objects.update(policy={"valueset_hosts": ["terms.example.org"]})
    tenants._tenants.clear()
    token = minted("patient/*.rs", **ANA)
    assert call("/ValueSet/$expand?url=http://loinc.org/vs/LL1", token).status_code == 403
    assert call("/ValueSet/$expand?url=http://terms.example.org/vs", token).status_code == 404
    assert call("/ValueSet/vs/$expand", token).status_code == 200


def test_what_is_unknown_is_absent_and_what_is_no_answer_is_a_fault(codes: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    assert call("/ValueSet/nowhere/$expand", token).status_code == 404
    assert call("/CodeSystem/$lookup?system=http://loinc.org&code=z", token).status_code == 404
    codes.fail(kind="html")
    assert call("/ValueSet/vs/$expand", token).status_code == 502
    codes.fail(kind="status", status=400)
    assert call("/ValueSet/vs/$expand", token).status_code == 400


def test_only_codes_are_left_of_an_answer() -> None:
    inline = {"name": "x", "resource": {"resourceType": "Patient", "id": "ben"}, "valueString": "kept"}
    kept = {"name": "x", "valueString": "kept"}
    tree = {
        "resourceType": "Parameters",
        "parameter": [inline, {"name": "y", "valueReference": {"reference": "Patient/ben"}, "part": [inline]}, "odd"],
    }
    assert primitive_parameters(tree, bases()).tree == {
        "resourceType": "Parameters",
        "parameter": [kept, {"name": "y", "part": [kept]}],
    }
    found = {"resourceType": "ValueSet", "url": f"{UPSTREAM}/ValueSet/v", "contained": [inline], "odd": 1}
    assert set(expansion(found, bases()).tree) == {"resourceType", "url"}
