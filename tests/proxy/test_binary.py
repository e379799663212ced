"""Binaries, attachments, documents and other special types through the proxy.

FHIR R4 binary, "Security Context"; FHIR R4 bundle, documents; FHIR R4 group, list, provenance.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clients import tenants
from clients.models import Tenant
from clients.tenants import TenantInfo
from fhirproxy import attachments
from fhirproxy.r4server.process import Running
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, holding

ANA = {"patient": "ana"}
TEXT = b"%PDF-1.4 not really"


def binary(name: str, context: str | None = None, content_type: str = "application/pdf", **more: Any) -> dict[str, Any]:
    found = {
        "resourceType": "Binary",
        "id": name,
        "contentType": content_type,
        "data": base64.b64encode(TEXT).decode(),
    }
    if context is not None:
        found["securityContext"] = {"reference": context}
    return found | more


def note(name: str, patient: str, url: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "id": name,
        "status": "current",
        "subject": {"reference": f"Patient/{patient}"},
        "content": [{"attachment": {"url": url}}],
        **more,
    }


def report(name: str, patient: str, url: str) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": name,
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
        "presentedForm": [{"url": url}],
    }


def stored(base_url: str) -> list[dict[str, Any]]:
    return [
        *(binary(name) for name in ("noted", "absolute", "bens", "elsewhere", "orphan", "versioned", "reported")),
        binary("own", "Patient/ana"),
        binary("by-note", "DocumentReference/note-noted"),
        binary("bens-own", "Patient/ben"),
        binary("claimed", "Patient/ben"),
        binary("unclear", "https://other.example.org/Patient/ana"),
        binary("empty-context", securityContext={}),
        note("note-noted", "ana", "Binary/noted"),
        note("note-absolute", "ana", f"{base_url}/Binary/absolute"),
        note("note-bens", "ben", "Binary/bens"),
        note("note-elsewhere", "ana", "https://other.example.org/Binary/elsewhere"),
        note("note-versioned", "ana", "Binary/versioned/_history/1"),
        note("note-claimed", "ana", "Binary/claimed"),
        note("note-empty", "ana", "Binary/empty-context"),
        report("report-reported", "ana", "Binary/reported"),
        binary("page", "Patient/ana", "text/html"),
        binary("drawing", "Patient/ana", "image/svg+xml"),
        binary("plain", "Patient/ana", "text/plain; charset=utf-8"),
        binary("picture", "Patient/ana", "image/png"),
        binary("tricky", "Patient/ana", "text/plain\r\nSet-Cookie: a=b"),
        binary("broken", "Patient/ana", "application/pdf", data="***"),
    ]


@pytest.fixture(scope="module")
def _loaded(_small: Running) -> Iterator[None]:
    with holding(_small, *stored(_small.base_url)):
        yield


@pytest.fixture
def filled(_loaded: None, small: Behind) -> Behind:
    return small


@pytest.fixture
def policy(tenant: TenantInfo) -> Callable[..., None]:
    def switch(**switches: str) -> None:
        Tenant.objects.filter(pk=tenant.pk).update(policy=switches)
        tenants._tenants.clear()

    return switch


READS = [
    # scope                                     name              status
    ("patient/*.r",                             "own",            200),
    ("patient/Binary.r",                        "own",            200),
    ("patient/*.s",                             "own",            403),
    ("patient/*.r",                             "by-note",        200),
    ("patient/*.r",                             "bens-own",       404),
    ("patient/*.r",                             "noted",          200),
    ("patient/*.r",                             "absolute",       200),
    ("patient/*.r",                             "reported",       200),
    ("patient/Binary.r patient/DocumentReference.r", "noted",     200),
    ("patient/Binary.r patient/DocumentReference.r", "reported",  404),
    ("patient/Binary.r patient/DiagnosticReport.r",  "reported",  200),
    ("patient/Binary.r patient/DocumentReference.s", "noted",     404),
    ("patient/Binary.r",                        "noted",          404),
    ("patient/Binary.r patient/DocumentReference.r?status=superseded", "noted", 404),
    ("patient/*.r",                             "bens",           404),
    ("patient/*.r",                             "elsewhere",      404),
    ("patient/*.r",                             "versioned",      404),
    ("patient/*.r",                             "orphan",         404),
    ("patient/*.r",                             "claimed",        404),
    ("patient/*.r",                             "unclear",        404),
    ("patient/*.r",                             "empty-context",  404),
    ("patient/*.r",                             "nowhere",        404),
    ("system/*.r",                              "orphan",         200),
]  # fmt: skip


@pytest.mark.requirement("PROXY-33")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("scope", "name", "status"), READS)
def test_reads(filled: Behind, minted: Mint, call: Caller, scope: str, name: str, status: int, leak: bool) -> None:
    if leak:
        filled.leak()
    token = minted(scope, **({} if "system" in scope else ANA))
    response = call(f"/Binary/{name}", token)
    assert response.status_code == status, response.content
    assert call(f"/Binary/{name}/_history/1", token).status_code == status
    if status == 200:
        assert base64.b64decode(response.json()["data"]) == TEXT


def test_refusals_look_alike(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.r", **ANA)
    answers = [call(f"/Binary/{name}", token) for name in ("nowhere", "orphan", "bens", "bens-own", "claimed")]
    assert len({one.content.replace(one["X-Trace-Id"].encode(), b"") for one in answers}) == 1


def test_who_attaches_what_is_asked_once_and_looked_at_every_time(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Binary.r patient/DocumentReference.r", **ANA)
    for _ in range(2):
        assert call("/Binary/noted", token).status_code == 200
    assert filled.targets() == [
        "Binary/noted",
        "DocumentReference?patient=Patient%2Fana&_count=100",
        "DocumentReference/note-noted",
        "Binary/noted",
        "DocumentReference/note-noted",
    ]
    filled.load(note("note-noted", "ben", "Binary/noted"))
    assert call("/Binary/noted", token).status_code == 404
    filled.load(note("note-noted", "ana", "Binary/other"))
    assert call("/Binary/noted", token).status_code == 404
    filled.load(note("note-noted", "ana", "Binary/noted"))
    attachments._indexes.clear()
    assert call("/Binary/noted", token).status_code == 200


@pytest.mark.requirement("PROXY-33", "PROXY-43")
def test_the_tenant_decides_what_opens_a_binary(
    filled: Behind, minted: Mint, call: Caller, policy: Callable[..., None]
) -> None:
    token = minted("patient/*.rs", **ANA)
    policy(binary="security-context")
    assert [call(f"/Binary/{name}", token).status_code for name in ("own", "by-note", "noted")] == [200, 200, 404]
    policy(binary="deny")
    filled.ask("DELETE", "/_received")
    assert [call(f"/Binary/{name}", token).status_code for name in ("own", "by-note", "noted")] == [403, 403, 403]
    assert filled.received() == []
    assert call("/Binary/own", minted("system/*.rs")).status_code == 200


DOWNLOADS = [
    # name        Accept                                    status  Content-Type
    ("own",       "application/pdf",                        200,    "application/pdf"),
    ("own",       "application/pdf, */*",                   200,    "application/pdf"),
    ("own",       "APPLICATION/PDF;q=0.9",                  200,    "application/pdf"),
    ("own",       "application/pdf;q=0, */*",               200,    "application/fhir+json"),
    ("own",       "*/*",                                    200,    "application/fhir+json"),
    ("own",       "application/fhir+json",                  200,    "application/fhir+json"),
    ("own",       "",                                       200,    "application/fhir+json"),
    ("own",       "image/png",                              406,    "application/fhir+json"),
    ("plain",     "text/plain",                             200,    "text/plain; charset=utf-8"),
    ("picture",   "image/*",                                200,    "image/png"),
    ("page",      "text/html",                              200,    "application/octet-stream"),
    ("drawing",   "image/svg+xml",                          200,    "application/octet-stream"),
    ("tricky",    "text/plain",                             406,    "application/fhir+json"),
    ("broken",    "application/pdf",                        502,    "application/fhir+json"),
    ("bens-own",  "application/pdf",                        404,    "application/fhir+json"),
    ("bens-own",  "image/png",                              404,    "application/fhir+json"),
    ("nowhere",   "image/png",                              404,    "application/fhir+json"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-39")
@pytest.mark.parametrize(("name", "accept", "status", "content_type"), DOWNLOADS)
def test_downloads(
    filled: Behind, minted: Mint, call: Caller, name: str, accept: str, status: int, content_type: str
) -> None:
    response = call(f"/Binary/{name}", minted("patient/*.r", **ANA), HTTP_ACCEPT=accept)
    assert (response.status_code, response["Content-Type"]) == (status, content_type)
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response
    if content_type != "application/fhir+json":
        assert response.content == TEXT
        assert response["Content-Disposition"] == "attachment"
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        head = call(f"/Binary/{name}", minted("patient/*.r", **ANA), method="HEAD", HTTP_ACCEPT=accept)
        assert (head.content, head["Content-Length"]) == (b"", str(len(TEXT)))


def test_format_wins_over_accept_and_other_types_stay_json(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.r", **ANA)
    asked = call("/Binary/own?_format=json", token, HTTP_ACCEPT="application/pdf")
    assert asked["Content-Type"] == "application/fhir+json"
    assert call("/Binary/own?_format=xml", token, HTTP_ACCEPT="application/pdf").status_code == 406
    assert call("/Patient/ana", token, HTTP_ACCEPT="application/pdf").status_code == 406
    assert Receipt.objects.order_by("-at")[0].rule == "header.format"


def test_attachments_lead_to_our_base_and_others_are_left(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.r", **ANA)
    absolute = call("/DocumentReference/note-absolute", token)
    url = absolute.json()["content"][0]["attachment"]["url"]
    assert url.endswith("/fhir/sandbox/r4/Binary/absolute")
    other = call("/DocumentReference/note-elsewhere", token).json()
    assert other["content"][0]["attachment"]["url"] == "https://other.example.org/Binary/elsewhere"


def bundle(name: str, *resources: dict[str, Any]) -> dict[str, Any]:
    entries = [{"fullUrl": f"urn:uuid:{index}", "resource": one} for index, one in enumerate(resources)]
    found = {"resourceType": "Bundle", "id": name, "type": "document"}
    return found | ({"entry": entries} if entries else {})


def about(kind: str, name: str, patient: str) -> dict[str, Any]:
    return {"resourceType": kind, "id": name, "subject": {"reference": f"Patient/{patient}"}}


SPECIAL = [
    # resource                                                                             status for patient/*.r of ana
    (bundle("d1", about("Composition", "c", "ana"), about("Condition", "x", "ana")),       200),
    (bundle("d2", about("Composition", "c", "ana"), about("Condition", "x", "ben")),       404),
    (bundle("d3", about("Composition", "c", "ana"), {"resourceType": "Patient", "id": "ana"}), 200),
    (bundle("d4", about("Composition", "c", "ana"), {"resourceType": "Patient", "id": "ben"}), 404),
    (bundle("d5"),                                                                         404),
    (bundle("d6", bundle("inner", about("Condition", "x", "ana"))),                        404),
    (bundle("d7", about("Composition", "c", "ana"), {"resourceType": "Practitioner", "id": "p"}), 200),
    ({"resourceType": "List", "id": "l1", "subject": {"reference": "Patient/ana"},
      "entry": [{"item": {"reference": "Observation/ben-weight-focus-ana"}}]},             200),
    ({"resourceType": "List", "id": "l2"},                                                 404),
    ({"resourceType": "List", "id": "l3", "source": {"reference": "Patient/ana"}},         200),
    ({"resourceType": "List", "id": "l4", "source": {"reference": "Practitioner/p"}},      404),
    ({"resourceType": "Group", "id": "g1", "member": [{"entity": {"reference": "Patient/ana"}}]}, 200),
    ({"resourceType": "Group", "id": "g2", "characteristic": [{"valueReference": {"reference": "Patient/ana"}}]}, 404),
    ({"resourceType": "Provenance", "id": "p1", "target": [{"reference": "Patient/ana"}]}, 200),
    ({"resourceType": "Provenance", "id": "p2", "target": [{"reference": "Observation/versioned-ana"}]}, 200),
    ({"resourceType": "Provenance", "id": "p3", "target": [{"reference": "Observation/ben-weight-focus-ana"}]}, 404),
    ({"resourceType": "Provenance", "id": "p4", "target": [{"reference": "Provenance/p1"}]}, 404),
    ({"resourceType": "Provenance", "id": "p5",
      "target": [{"reference": "Patient/ana"}] * 11},                                      404),
    ({"resourceType": "Subscription", "id": "s1", "status": "active"},                     403),
]  # fmt: skip


@pytest.mark.requirement("PROXY-36", "PROXY-49")
@pytest.mark.parametrize(("resource", "status"), SPECIAL, ids=[one["id"] for one, _ in SPECIAL])
def test_special_types(filled: Behind, minted: Mint, call: Caller, resource: dict[str, Any], status: int) -> None:
    name = f"{resource['resourceType']}/{resource['id']}"
    filled.load({"resourceType": "Provenance", "id": "p1", "target": [{"reference": "Patient/ana"}]}, resource)
    assert call(f"/{name}", minted("patient/*.r", **ANA)).status_code == status
    for one in (name, "Provenance/p1"):
        filled.ask("DELETE", f"/r4/{one}")
