"""Patient/$everything and $meta through the proxy: what is granted about one patient, entry by entry, page by page.

FHIR R4 patient-operation-everything, resource-operation-meta; SMART 2.2 scopes-and-launch-context.
"""

import json
from typing import Any

import pytest

from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids, link
from tests.proxy.oracle import Token, allowed
from tests.proxy.test_no_leak import POPULATION

ANA = {"patient": "ana"}
LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


def pages(call: Caller, path: str, token: str) -> list[list[str]]:
    found = []
    while path:
        response = call(path, token)
        found.append(ids(response))
        path = link(response, "next") or ""
        assert len(found) < 200
    return found


def inside(scope: str) -> set[str]:
    token = Token((scope,), patient="ana")
    return {
        name
        for name, one in POPULATION.items()
        if one["resourceType"] != "Practitioner" and allowed(token, one, "s") and "'Patient/ana'" in str(one)
    }


@pytest.mark.requirement("PROXY-31", "T-58")
@pytest.mark.parametrize("leak", [False, True])
def test_everything_inside_comes_and_nothing_else(sandbox: Behind, minted: Mint, call: Caller, leak: bool) -> None:
    if leak:
        sandbox.leak()
    token = minted("patient/*.rs", **ANA)
    found = [one for page in pages(call, "/Patient/ana/$everything?_count=100", token) for one in page]
    assert leak or len(found) == len(set(found))
    assert "Patient/ana" in found
    assert "Patient/ben" not in found
    kinds = {one.partition("/")[0] for one in found}
    assert {"Observation", "Condition", "Encounter", "MedicationRequest", "Practitioner"} <= kinds
    everywhere = Token(("patient/*.rs",), patient="ana")
    for one in found:
        assert POPULATION[one]["resourceType"] in ("Provenance", "Binary") or allowed(everywhere, POPULATION[one], "s")
    if not leak:
        wanted = {one for one in inside("patient/*.rs") if one.partition("/")[0] in ("Observation", "Condition")}
        assert wanted <= set(found)


def test_what_is_sent_names_the_granted_types(small: Behind, minted: Mint, call: Caller) -> None:
    call("/Patient/ana/$everything", minted("patient/*.rs", **ANA))
    call("/Patient/ana/$everything?_type=Observation", minted("patient/*.rs", **ANA))
    call("/Patient/ana/$everything", minted("patient/Patient.r patient/Observation.rs patient/Condition.s", **ANA))
    call("/Patient/ana/$everything?_since=2020-01-01&start=2021&end=2022&_count=9999", minted("patient/*.rs", **ANA))
    assert small.targets() == [
        "Patient/ana",
        "Patient/ana/$everything?_count=50",
        "Patient/ana",
        "Patient/ana/$everything?_type=Observation&_count=50",
        "Patient/ana",
        "Patient/ana/$everything?_type=Condition%2CObservation%2CPatient&_count=50",
        "Patient/ana",
        "Patient/ana/$everything?_since=2020-01-01&start=2021&end=2022&_count=500",
    ]
    assert AuditRecord.objects.filter(details__interaction="$everything").count() == 4


def test_a_directory_entry_comes_with_what_names_it(sandbox: Behind, minted: Mint, call: Caller) -> None:
    """A doctor is open to be read; that the doctor wrote something about ana is not, when what it is is hidden."""
    scope = "patient/Patient.r patient/Coverage.rs patient/Practitioner.rs patient/Organization.rs"
    found = [one for page in pages(call, "/Patient/ana/$everything", minted(scope, **ANA)) for one in page]
    named = {
        f"{kind}/{POPULATION[one]['id']}"
        for one in POPULATION
        for kind in ("Practitioner", "Organization")
        if one.startswith(f"{kind}/")
        and any(one in str(POPULATION[each]) for each in found if each.startswith(("Patient/", "Coverage/")))
    }
    shared = {one for one in found if one.startswith(("Practitioner/", "Organization/"))}
    assert shared <= named
    everyone = [one for page in pages(call, "/Patient/ana/$everything", minted("patient/*.rs", **ANA)) for one in page]
    assert len({one for one in everyone if one.startswith("Practitioner/")}) > len(
        {one for one in shared if one.startswith("Practitioner/")}
    )


def test_a_device_of_nobody_comes_with_what_names_it(small: Behind, minted: Mint, call: Caller) -> None:
    stored: list[dict[str, Any]] = [
        {"resourceType": "Device", "id": "scales"},
        {"resourceType": "Device", "id": "anas-own", "patient": {"reference": "Patient/ana"}},
        {
            "resourceType": "Observation",
            "id": "weighed",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": "Patient/ana"},
            "device": {"reference": "Device/scales"},
            "focus": [{"reference": "Device/anas-own"}],
        },
    ]
    small.load(*stored)
    without = ids(call("/Patient/ana/$everything", minted("patient/Patient.r patient/Device.rs", **ANA)))
    scope = "patient/Patient.r patient/Device.rs patient/Observation.rs"
    with_it = ids(call("/Patient/ana/$everything", minted(scope, **ANA)))
    assert [one for one in without if one.startswith("Device/")] == ["Device/anas-own"]
    assert {"Device/scales", "Device/anas-own", "Observation/weighed"} <= set(with_it)
    for one in stored:
        small.ask("DELETE", f"/r4/{one['resourceType']}/{one['id']}")


@pytest.mark.requirement("PROXY-31")
@pytest.mark.parametrize("leak", [False, True])
def test_granular_scopes_alone_and_in_union(sandbox: Behind, minted: Mint, call: Caller, leak: bool) -> None:
    if leak:
        sandbox.leak()
    for scopes in (
        (f"patient/Observation.rs?category={LAB}",),
        (
            f"patient/Observation.rs?category={LAB}",
            f"patient/Observation.rs?category={LAB.replace('laboratory', 'survey')}",
        ),
    ):
        token = minted(" ".join(("patient/Patient.r", *scopes)), **ANA)
        found = {one for page in pages(call, "/Patient/ana/$everything?_count=100", token) for one in page}
        shown = Token(scopes, patient="ana")
        wanted = {name for name, one in POPULATION.items() if allowed(shown, one, "s") and name.startswith("Obs")}
        assert found - {"Patient/ana"} == wanted
        assert wanted


def test_pages_are_full_and_serve_their_holder_only(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(f"patient/Patient.r patient/Observation.rs?category={LAB}", **ANA)
    found = pages(call, "/Patient/ana/$everything?_count=5", token)
    assert {len(page) for page in found[:-1]} == {5}
    following = link(call("/Patient/ana/$everything?_count=5", token), "next") or ""
    sandbox.ask("DELETE", "/_received")
    assert call(following, minted("patient/*.rs", patient="ben")).status_code == 404
    assert call(following, minted("patient/Observation.rs", **ANA)).status_code == 403
    assert sandbox.received() == []


def test_a_full_grant_for_one_type_is_none_for_the_others(sandbox: Behind, minted: Mint, call: Caller) -> None:
    """A next link that leads to nothing would tell of Observations that are hidden."""
    scope = f"user/Patient.rs patient/Observation.rs?category={LAB}"
    token = minted(scope, patient="ana", fhirUser="Practitioner/dr-grey")
    whole = pages(call, "/Patient/ana/$everything?_count=500", token)[0]
    found = pages(call, f"/Patient/ana/$everything?_count={len(whole) // 3}", token)
    assert [one for page in found for one in page] == whole
    assert all(found)


def test_a_post_is_the_same_and_head_has_no_body(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    get = call("/Patient/ana/$everything?_type=Observation", token)
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Observation"}]}
    post = call(
        "/Patient/ana/$everything", token, method="POST", data=json.dumps(body), content_type="application/fhir+json"
    )
    assert ids(get) == ids(post)
    assert call("/Patient/ana/$everything", token, method="HEAD").content == b""
    assert call("/Patient/ana/$everything", token).json()["total"] == len(ids(call("/Patient/ana/$everything", token)))


REFUSED = [
    # scope                               path                                   status  rule
    ("patient/Observation.rs",            "Patient/ana/$everything",             403, "scope"),
    ("patient/*.s",                       "Patient/ana/$everything",             403, "scope"),
    ("patient/*.rs",                      "Patient/ben/$everything",             404, "read.absent_or_outside"),
    ("patient/*.rs",                      "Patient/nobody/$everything",          404, "read.absent_or_outside"),
    ("patient/Patient.rs",                "Patient/ana/$everything?_type=Observation", 403, "scope"),
    ("patient/*.rs",                      "Patient/ana/$everything?_type=AuditEvent",  403, "scope.operator_type"),
    ("patient/*.rs",                      "Patient/ana/$everything?_type=Nothing",     400, "operation.types"),
    ("patient/*.rs",                      "Patient/ana/$everything?start=soon",  400, "operation.date"),
    ("patient/*.rs",                      "Patient/ana/$everything?code=x",      400, "operation.parameter"),
    ("patient/*.rs",                      "Patient/$everything",                 403, "interaction.operation"),
    ("patient/*.rs",                      "Encounter/e/$everything",             403, "interaction.operation"),
    ("patient/*.rs",                      "Patient/ana/$merge",                  403, "interaction.operation"),
    ("patient/*.rs",                      "Patient/ana/$made-up",                404, "interaction.unknown_operation"),
    ("patient/Observation.s",             "Observation/versioned-ana/$meta",     403, "scope"),
    ("patient/*.rs",                      "Observation/ben-weight-focus-ana/$meta?code=x", 400, "operation.parameter"),
    ("patient/*.rs",                      "Patient/ben/$meta",                   404, "read.absent_or_outside"),
    ("patient/*.rs",                      "Patient/$meta",                       403, "interaction.operation"),
    ("patient/*.rs",                      "Patient/ana/$meta-add",               403, "interaction.operation"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-31", "T-58")
@pytest.mark.parametrize(("scope", "path", "status", "rule"), REFUSED)
def test_refused_operations_are_not_forwarded(
    small: Behind, minted: Mint, call: Caller, scope: str, path: str, status: int, rule: str
) -> None:
    response = call(f"/{path}", minted(scope, **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.received() == []


BODIES = [
    # body                                                                                  status
    ({"resourceType": "Parameters"},                                                        200),
    ({"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": 5}]},  200),
    ({"resourceType": "Patient"},                                                           400),
    ({"resourceType": "Parameters", "parameter": [{"name": "x", "resource": {"resourceType": "Patient"}}]}, 400),
    ({"resourceType": "Parameters", "parameter": [{"name": "_type", "part": []}]},          400),
    ({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": ""}]},     400),
    ({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "a", "valueString": "b"}]}, 400),
    ({"resourceType": "Parameters", "parameter": {"name": "_type"}},                        400),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BODIES)
def test_bodies_hold_primitive_parameters(
    small: Behind, minted: Mint, call: Caller, body: dict[str, Any], status: int
) -> None:
    token = minted("patient/*.rs", **ANA)
    sent = {"method": "POST", "data": json.dumps(body)}
    response = call("/Patient/ana/$everything", token, **sent, content_type="application/fhir+json")
    assert response.status_code == status
    assert call("/Patient/ana/$everything", token, **sent, content_type="text/plain").status_code == 415


def test_meta_is_that_of_a_readable_resource(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.r", **ANA)
    answer = call("/Observation/versioned-ana/$meta", token).json()
    assert answer["resourceType"] == "Parameters"
    assert answer["parameter"][0]["valueMeta"]["versionId"] == "1"
    assert set(answer["parameter"][0]) == {"name", "valueMeta"}
    outside, absent = (call(f"/Observation/{one}/$meta", token) for one in ("ben-weight-focus-ana", "nowhere"))
    assert (outside.status_code, absent.status_code) == (404, 404)
    assert len({one.content.replace(one["X-Trace-Id"].encode(), b"") for one in (outside, absent)}) == 1
    assert small.targets()[0] == "Observation/versioned-ana"


def test_an_upstream_without_the_operation_is_told_apart(small: Behind, minted: Mint, call: Caller) -> None:
    small.fail(kind="status", status=404)
    assert call("/Patient/ana/$everything", minted("patient/*.rs", **ANA)).status_code == 404
