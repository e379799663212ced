"""Reads through the proxy: what is inside comes back in our words, what is outside looks absent.

SMART 2.2 scopes-and-launch-context; RFC 6750 §3; FHIR R4 http, "read".
"""

from typing import Any

import pytest

from fhirproxy import rights
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint

ANA = {"patient": "ana"}


@pytest.mark.requirement("PROXY-37", "PROXY-45")
def test_a_resource_inside_comes_back_in_our_words(small: Behind, minted: Mint, call: Caller) -> None:
    response = call("/Observation/ana-compared-with-ben", minted("patient/Observation.r", **ANA))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/fhir+json"
    assert response["ETag"] == 'W/"1"'
    assert response["Last-Modified"].endswith("GMT")
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "Authorization, Origin"
    assert b'"value":70.10' in response.content.replace(b" ", b"")
    assert small.running.base_url.encode() not in response.content
    record = AuditRecord.objects.get()
    assert (record.action, record.client_id, record.resource_type) == ("read", "growth-chart", "Observation")
    assert not Receipt.objects.exists()


READS = [
    # scope, claims, path, status
    ("patient/Observation.r", ANA, "Observation/ana-member-of-ben", 200),
    ("patient/Observation.read", ANA, "Observation/ana-member-of-ben", 200),
    ("patient/*.rs", ANA, "Observation/ana-member-of-ben", 200),
    ("patient/Observation.s", ANA, "Observation/ana-member-of-ben", 403),
    ("patient/Condition.r", ANA, "Observation/ana-member-of-ben", 403),
    ("patient/Observation.r", {}, "Observation/ana-member-of-ben", 403),
    ("patient/Observation.r", {"patient": ""}, "Observation/ana-member-of-ben", 403),
    ("patient/Observation.r", {"patient": "*"}, "Observation/ana-member-of-ben", 403),
    ("patient/Observation.r", {"patient": "ben"}, "Observation/ana-member-of-ben", 404),
    ("patient/Observation.r", ANA, "Observation/versioned-ana", 200),
    ("patient/Observation.r", ANA, "Observation/ben-pulse-taken-by-ana", 404),
    ("patient/Observation.r", ANA, "Observation/ben-weight-focus-ana", 404),
    ("patient/Observation.r", ANA, "Observation/family-household-water", 404),
    ("patient/Observation.r", ANA, "Observation/contained-subject", 404),
    ("patient/Observation.r", ANA, "Observation/foreign-ana", 404),
    ("patient/Observation.r", ANA, "Observation/subject-by-identifier", 404),
    ("patient/Observation.r", ANA, "Observation/subject-urn", 404),
    ("patient/Observation.r", ANA, "Observation/without-subject", 404),
    ("patient/Observation.r", ANA, "Observation/shouting-ana-weight", 404),
    ("patient/Observation.r", ANA, "Observation/nowhere", 404),
    ("patient/Patient.r", ANA, "Patient/ana", 200),
    ("patient/Patient.r", ANA, "Patient/ANA", 404),
    ("patient/Patient.r", ANA, "Patient/ben", 404),
    ("patient/*.r", ANA, "Group/ana-and-ben", 404),
    ("patient/*.r", ANA, "Account/joint-account", 404),
    ("patient/*.r", ANA, "Appointment/joint-appointment", 404),
    ("patient/*.r", ANA, "Condition/ben-migraine-said-by-ana", 404),
    ("patient/*.r", ANA, "Coverage/ben-covered-by-ana", 404),
    ("patient/*.r", ANA, "RelatedPerson/ana-as-wife-of-ben", 404),
    ("patient/*.r", ANA, "List/ben-list-of-ana", 404),
    ("patient/*.r", ANA, "Communication/about-ben-to-ana", 404),
    ("patient/*.r", ANA, "Bundle/mixed-document", 404),
    ("patient/*.r", ANA, "Provenance/joint-provenance", 404),
    ("patient/*.r", {"patient": "ben"}, "Binary/ben-note-2023-05", 200),
    ("patient/*.r", ANA, "Binary/ben-note-2023-05", 404),
    ("patient/*.r", ANA, "Practitioner/dr-grey", 200),
    ("patient/*.r", ANA, "Schedule/dr-grey-schedule", 200),
    ("patient/*.r", ANA, "AuditEvent/any", 403),
    ("system/*.rs", {}, "Observation/ben-weight-focus-ana", 200),
    ("system/*.rs", {}, "Bundle/mixed-document", 200),
    ("system/*.rs", {}, "AuditEvent/any", 403),
    ("system/Observation.r", ANA, "Observation/foreign-ana", 200),
    ("user/Observation.r", {}, "Observation/versioned-ana", 403),
    ("user/Observation.r", {"fhirUser": "Patient/ana"}, "Observation/versioned-ana", 200),
    ("user/Observation.r", {"fhirUser": "Patient/ben"}, "Observation/versioned-ana", 404),
    ("user/Observation.r", {"fhirUser": "Practitioner/dr-grey"}, "Observation/versioned-ana", 200),
    ("user/Observation.r", {"fhirUser": "Organization/hillside-clinic"}, "Observation/versioned-ana", 403),
    ("user/Observation.r", {"fhirUser": "https://other.example/Patient/ana"}, "Observation/versioned-ana", 403),
    ("user/Observation.r", {"fhirUser": f"{PUBLIC}/Patient/ana"}, "Observation/versioned-ana", 200),
    ("user/Observation.r", {"fhirUser": "RelatedPerson/ana-as-wife-of-ben"}, "Observation/ben-weight-focus-ana", 200),
    ("user/Observation.r", {"fhirUser": "RelatedPerson/ana-as-wife-of-ben"}, "Observation/versioned-ana", 404),
    ("patient/Observation.r", {"patient": "ben", "fhirUser": "Patient/ana"}, "Observation/ben-weight-focus-ana", 403),
    ("openid fhirUser", {"fhirUser": "Practitioner/dr-grey"}, "Practitioner/dr-grey", 200),
    ("openid fhirUser", {"fhirUser": "Practitioner/dr-grey"}, "Practitioner/other", 403),
    ("openid fhirUser", {"fhirUser": "Patient/ana"}, "Patient/ana", 200),
    ("openid fhirUser", {"fhirUser": "Patient/ana"}, "Patient/ben", 403),
    ("openid", {"fhirUser": "Patient/ana"}, "Patient/ana", 403),
    ("fhirUser", {"fhirUser": "Patient/ana"}, "Patient/ana", 403),
    ("patient/Observation.rs?category=laboratory", ANA, "Observation/versioned-ana", 404),
    ("patient/Observation.rs?category=vital-signs", ANA, "Observation/versioned-ana", 200),
]


@pytest.mark.requirement(
    "SCOPE-08", "SCOPE-09", "PROXY-11", "PROXY-16", "PROXY-20", "PROXY-23", "PROXY-36", "PROXY-41", "T-58"
)
@pytest.mark.parametrize(("scope", "claims", "path", "status"), READS)
def test_reads(
    small: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], path: str, status: int
) -> None:
    response = call(f"/{path}", minted(scope, **claims))
    assert response.status_code == status, response.content
    if status == 200:
        assert response.json()["id"] == path.split("/")[1]
        assert AuditRecord.objects.count() == 1
    else:
        assert response.json()["resourceType"] == "OperationOutcome"
        assert str(Receipt.objects.get().trace_id) == response["X-Trace-Id"]
        assert not AuditRecord.objects.exists()


@pytest.mark.requirement("SCOPE-11")
def test_contexts_are_honoured_for_clients_of_their_kind_only(small: Behind, minted: Mint, call: Caller) -> None:
    as_app = minted("system/Observation.r", client_id="growth-chart")
    assert call("/Observation/versioned-ana", as_app).status_code == 403
    as_service = minted("patient/Observation.r", client_id="bulk-loader", patient="ana")
    assert call("/Observation/versioned-ana", as_service).status_code == 403
    assert small.received() == []


@pytest.mark.requirement("PROXY-44")
def test_absent_outside_and_deleted_are_told_in_the_same_words(small: Behind, minted: Mint, call: Caller) -> None:
    gone = {
        "resourceType": "Observation",
        "id": "soon-gone",
        "status": "final",
        "subject": {"reference": "Patient/ana"},
    }
    small.load(gone)
    small.ask("DELETE", "/r4/Observation/soon-gone")
    token = minted("patient/Observation.r", **ANA)
    paths = ("/Observation/nowhere", "/Observation/ben-weight-focus-ana", "/Observation/soon-gone")
    answers = [call(path, token) for path in paths]
    bodies = {answer.content.replace(answer["X-Trace-Id"].encode(), b"") for answer in answers}
    headers = {tuple(sorted((k, v) for k, v in answer.items() if k != "X-Trace-Id")) for answer in answers}
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (len(bodies), len(headers)) == (1, 1)
    receipts = Receipt.objects.values_list("rule", "reason", "expected", "seen", "fix").distinct()
    reason = "the resource is absent or outside the authority, which is not told apart"
    fix = "Check the id, and whose record the token is for."
    assert list(receipts) == [("read.absent_or_outside", reason, "", "", fix)]
    assert Receipt.objects.values_list("officer", flat=True).distinct().count() == 3
    assert call("/Observation/soon-gone", minted("system/*.rs")).status_code == 410


@pytest.mark.requirement("PROXY-10")
def test_head_is_a_read_without_its_body(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    whole, head = call("/Patient/ana", token), call("/Patient/ana", token, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Length"] == str(len(whole.content))
    assert call("/Patient/ben", token, method="HEAD").status_code == 404


@pytest.mark.requirement("PROXY-47")
def test_not_modified_is_told_after_the_check_only(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    first = call("/Patient/ana", token)
    again = call("/Patient/ana", token, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert call("/Patient/ana", token, HTTP_IF_NONE_MATCH='W/"7"').status_code == 200
    assert call("/Patient/ana", token, HTTP_IF_MODIFIED_SINCE=first["Last-Modified"]).status_code == 304
    assert call("/Patient/ben", token, HTTP_IF_NONE_MATCH='W/"1"').status_code == 404
    assert all("if-none-match" not in dict(one["headers"]) for one in small.received())


def test_elements_and_summary_are_applied_here(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    some = call("/Observation/versioned-ana?_elements=valueQuantity", token).json()
    assert set(some) == {"resourceType", "id", "meta", "status", "code", "valueQuantity"}
    assert some["meta"]["tag"][-1]["code"] == "SUBSETTED"
    text = call("/Patient/ana?_summary=text&_pretty=true", token)
    assert set(text.json()) <= {"resourceType", "id", "meta", "text"}
    assert text.content.count(b"\n") > 3
    assert small.targets() == ["Observation/versioned-ana", "Patient/ana"]


@pytest.mark.requirement("PROXY-04", "PROXY-05")
def test_a_missing_scope_is_named(small: Behind, minted: Mint, call: Caller) -> None:
    response = call("/Condition/c1", minted("patient/Observation.rs", **ANA))
    assert response["WWW-Authenticate"] == (
        'Bearer realm="fhir", error="insufficient_scope", scope="patient/Condition.r"'
    )
    assert response.json()["issue"][0]["code"] == "forbidden"
    receipt = Receipt.objects.get()
    assert (receipt.rule, receipt.expected, receipt.client_id) == ("scope", "patient/Condition.r", "growth-chart")
    assert small.received() == []


@pytest.mark.requirement("PROXY-42")
def test_restricted_services_reach_their_patients_only(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs", restrictions={"patients": ["ana"]})
    assert call("/Observation/versioned-ana", token).status_code == 200
    assert call("/Observation/ben-weight-focus-ana", token).status_code == 404
    token = minted("system/*.rs", restrictions={"patients": []})
    assert call("/Observation/versioned-ana", token).status_code == 403
    token = minted("system/*.rs", restrictions={"groups": ["ana-and-ben"]})
    assert call("/Observation/ben-weight-focus-ana", token).status_code == 200
    assert call("/Observation/shouting-ana-weight", token).status_code == 404
    token = minted("system/*.rs", restrictions={"groups": ["no-such-group"]})
    assert call("/Observation/ben-weight-focus-ana", token).status_code == 403


def test_a_group_is_asked_for_once_and_counts_for_nobody_when_it_cannot_be_read(
    small: Behind, minted: Mint, call: Caller
) -> None:
    token = minted("system/*.rs", restrictions={"groups": ["ana-and-ben"]})
    for _ in range(2):
        assert call("/Observation/versioned-ana", token).status_code == 200
    assert small.targets() == ["Group/ana-and-ben", *["Observation/versioned-ana"] * 2]
    rights._facts.clear()
    small.fail(kind="html")
    assert call("/Observation/versioned-ana", token).status_code == 403


@pytest.mark.requirement("PROXY-20", "PROXY-42")
def test_operator_types_need_permission_by_name(small: Behind, minted: Mint, call: Caller) -> None:
    small.load({"resourceType": "Endpoint", "id": "e1", "status": "active"})
    assert call("/Endpoint/e1", minted("system/*.rs")).status_code == 403
    assert call("/Endpoint/e1", minted("system/*.rs", restrictions={"operator_types": ["Endpoint"]})).status_code == 200
