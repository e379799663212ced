"""Writes through the proxy: what is inside before and after is written as we wrote it, and nothing else is sent.

SMART 2.2 scopes-and-launch-context; FHIR R4 http, "create" to "delete"; RFC 6902; RFC 7240 §4.2.
"""

import json
from typing import Any

import pytest
from django.db import OperationalError

from clients.models import Tenant
from fhirproxy import write_trail
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint

ANA = {"patient": "ana"}
OWN = "/Observation/versioned-ana"
ABOUT_BEN = "/Observation/ben-pulse-taken-by-ana"
STRANGER = "Observation/ben-weight-focus-ana"


def observation(subject: str = "Patient/ana", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": subject},
        **elements,
    }


def switch(**policy: Any) -> None:
    Tenant.objects.update(policy=policy)


def test_a_create_is_stored_as_we_wrote_it(restored: Behind, minted: Mint, call: Caller) -> None:
    text = json.dumps(observation(id="mine", meta={"versionId": "9", "source": "x", "tag": [{"code": "t"}]}))
    text = text.replace('"status"', '"valueQuantity": {"value": 70.10, "unit": "kg"},\n "status"')
    response = call.write("POST", "/Observation", minted("patient/Observation.crs", **ANA), text)
    assert response.status_code == 201, response.content
    assert b'"value":70.10' in response.content
    created = response.json()
    assert created["id"] != "mine"
    assert response["Location"] == f"{PUBLIC}/Observation/{created['id']}/_history/1"
    assert (response["ETag"], response["Cache-Control"]) == ('W/"1"', "no-store")
    [forwarded] = restored.received()
    assert (forwarded["method"], forwarded["target"]) == ("POST", "/r4/Observation")
    assert forwarded["body"] == (
        '{"resourceType":"Observation","meta":{"tag":[{"code":"t"}]},"valueQuantity":{"value":70.10,"unit":"kg"},'
        '"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},'
        '"subject":{"reference":"Patient/ana"}}'
    )
    assert restored.stored(f"Observation/{created['id']}")["subject"] == {"reference": "Patient/ana"}
    intent, outcome = AuditRecord.objects.order_by("pk")
    assert (intent.action, intent.client_id, intent.patient, intent.resource_type) == (
        "create",
        "growth-chart",
        "ana",
        "Observation",
    )
    assert (outcome.action, outcome.resource_id, outcome.details["status"]) == ("written", created["id"], 201)


@pytest.mark.requirement("PROXY-45")
def test_the_trail_names_whom_a_write_is_about(restored: Behind, minted: Mint, call: Caller) -> None:
    """With no patient in context, as for a service, it is what is written that tells."""
    entry = {"request": {"method": "POST", "url": "Observation"}, "resource": observation("Patient/ben")}
    whole = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    switch(writes="all")
    service = minted("system/*.cruds")
    assert call.write("POST", "/Observation", service, observation()).status_code == 201
    assert call.write("POST", "", service, whole).status_code == 200
    told = AuditRecord.objects.exclude(action="read").order_by("pk").values_list("action", "patients")
    assert list(told) == [("create", ["ana"]), ("written", ["ana"]), ("create", ["ben"]), ("written", ["ben"])]


@pytest.mark.requirement("PROXY-38", "PROXY-47")
def test_an_update_is_tied_to_the_version_that_was_read(restored: Behind, minted: Mint, call: Caller) -> None:
    body = observation(id="versioned-ana", status="amended")
    response = call.write("PUT", OWN, minted("patient/Observation.ru", **ANA), body)
    assert response.status_code == 200, response.content
    assert response["ETag"] == 'W/"2"'
    assert response.json()["status"] == "amended"
    read, put = restored.received()
    assert (read["method"], put["method"]) == ("GET", "PUT")
    headers = {name.lower(): value for name, value in put["headers"]}
    assert headers["if-match"] == 'W/"1"'
    assert headers["prefer"] == "handling=strict, return=representation"
    assert headers["content-type"] == "application/fhir+json"
    assert headers["authorization"] == f"Bearer {restored.running.bearer}"


@pytest.mark.requirement("PROXY-34")
def test_a_patch_is_computed_here_and_sent_as_an_update(restored: Behind, minted: Mint, call: Caller) -> None:
    changes = [
        {"op": "test", "path": "/status", "value": "final"},
        {"op": "replace", "path": "/status", "value": "amended"},
        {"op": "add", "path": "/note", "value": [{"text": "checked"}]},
    ]
    response = call.write("PATCH", OWN, minted("patient/Observation.ru", **ANA), changes)
    assert (response.status_code, response.json()["note"]) == (200, [{"text": "checked"}])
    assert restored.sent() == [("PUT", "/r4/Observation/versioned-ana")]
    stored = restored.stored("Observation/versioned-ana")
    assert (stored["status"], stored["subject"]) == ("amended", {"reference": "Patient/ana/_history/1"})
    assert b'"value":70.10' in response.content


def test_a_delete_says_nothing(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.rd", **ANA)
    response = call.write("DELETE", OWN, token)
    assert (response.status_code, response.content) == (204, b"")
    assert call(OWN, token).status_code == 404
    assert call.write("DELETE", OWN, token).status_code == 404
    assert restored.sent() == [("DELETE", "/r4/Observation/versioned-ana")]


ROLES = [
    # scope, claims: whoever may not reach ben's
    ("patient/*.cruds", ANA),
    ("patient/Observation.cruds", ANA),
    ("patient/*.*", ANA),
    ("user/*.cruds", {"fhirUser": "Patient/ana"}),
    ("patient/*.cruds", {**ANA, "fhirUser": "Patient/ana"}),
    ("patient/*.cruds", {**ANA, "fhirUser": "Practitioner/dr-grey"}),
    ("patient/*.cruds user/*.cruds", {**ANA, "fhirUser": "Patient/ana"}),
]
FOREIGN = [
    # method, path, body, status
    ("POST", "/Observation", observation("Patient/ben"), 403),
    ("POST", "/Observation", observation("Patient/ANA"), 403),
    ("POST", "/Observation", observation("Group/ana-and-ben"), 403),
    ("POST", "/Observation", observation("https://other.example.org/fhir/Patient/ana"), 403),
    ("POST", "/Observation", observation("#p", contained=[{"resourceType": "Patient", "id": "p"}]), 403),
    ("POST", "/Observation", {**observation(), "subject": {"identifier": {"value": "MRN-1001"}}}, 403),
    ("POST", "/Patient", {"resourceType": "Patient"}, 403),
    ("POST", "/Practitioner", {"resourceType": "Practitioner"}, 403),
    ("POST", "/Binary", {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}, 403),
    ("PUT", ABOUT_BEN, observation(id="ben-pulse-taken-by-ana"), 404),
    ("PUT", "/Observation/no-such", observation(id="no-such"), 404),
    ("PUT", OWN, observation("Patient/ben", id="versioned-ana"), 403),
    ("PUT", "/Patient/ben", {"resourceType": "Patient", "id": "ben"}, 404),
    ("PATCH", ABOUT_BEN, [{"op": "replace", "path": "/subject/reference", "value": "Patient/ana"}], 404),
    ("PATCH", OWN, [{"op": "replace", "path": "/subject/reference", "value": "Patient/ben"}], 403),
    ("PATCH", OWN, [{"op": "remove", "path": "/subject"}], 403),
    ("DELETE", ABOUT_BEN, "", 404),
    ("DELETE", "/Observation/no-such", "", 404),
    ("DELETE", "/Patient/ana", "", 403),
    ("DELETE", "/Practitioner/dr-grey", "", 403),
]


@pytest.mark.requirement("PROXY-16", "PROXY-20", "PROXY-34", "PROXY-35", "PROXY-44", "T-58")
@pytest.mark.parametrize(("scope", "claims"), ROLES)
def test_nothing_about_another_patient_is_written_in_any_role(
    restored: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, str]
) -> None:
    token = minted(scope, **claims)
    for method, path, body, status in FOREIGN:
        response = call.write(method, path, token, body)
        expected = (status, 403) if "*" not in scope else (status,)
        assert response.status_code in expected, (method, path, response.content)
    assert restored.sent() == []
    assert not AuditRecord.objects.filter(action__in=("create", "update", "patch", "delete")).exists()


@pytest.mark.requirement("PROXY-44")
def test_outside_absent_and_deleted_cannot_be_told_apart_by_writing(
    restored: Behind, minted: Mint, call: Caller
) -> None:
    restored.load({**observation(), "id": "soon-gone"})
    restored.ask("DELETE", "/r4/Observation/soon-gone")
    token = minted("patient/*.cruds", **ANA)
    for method, body in (("PUT", observation()), ("PATCH", [{"op": "remove", "path": "/status"}]), ("DELETE", "")):
        answers = set()
        for name in ("nowhere", "ben-pulse-taken-by-ana", "soon-gone"):
            sent = {**body, "id": name} if isinstance(body, dict) else body
            response = call.write(method, f"/Observation/{name}", token, sent, HTTP_IF_MATCH='W/"7"')
            trace = response["X-Trace-Id"].encode()
            answers.add((response.status_code, response.content.replace(trace, b"")))
        assert len(answers) == 1, answers
        assert answers.pop()[0] == 404


def clinician(minted: Mint, scope: str = "user/*.cruds") -> str:
    return minted(scope, fhirUser="Practitioner/dr-grey")


@pytest.mark.requirement("PROXY-41", "PROXY-49")
def test_a_clinician_writes_about_everybody_and_keeps_the_directories(
    restored: Behind, minted: Mint, call: Caller
) -> None:
    token = clinician(minted)
    assert call.write("POST", "/Observation", token, observation("Patient/ben")).status_code == 201
    assert call.write("POST", "/Patient", token, {"resourceType": "Patient"}).status_code == 201
    organization = {"resourceType": "Organization", "name": "North"}
    assert call.write("POST", "/Organization", token, organization).status_code == 201
    assert call.write("DELETE", ABOUT_BEN, token).status_code == 204
    assert call.write("DELETE", ABOUT_BEN, token).status_code == 410
    assert call.write("POST", "/AuditEvent", token, {"resourceType": "AuditEvent"}).status_code == 403


SWITCHES = [
    # writes, patient/, user/, system/
    ("user", 201, 201, 405),
    ("off", 405, 405, 405),
    ("system", 405, 405, 201),
    ("all", 201, 201, 201),
]


@pytest.mark.requirement("PROXY-43")
@pytest.mark.parametrize(("writes", "patient", "user", "system"), SWITCHES)
def test_a_tenant_says_who_may_write(
    restored: Behind, minted: Mint, call: Caller, writes: str, patient: int, user: int, system: int
) -> None:
    switch(writes=writes)
    tokens = [minted("patient/*.cruds", **ANA), clinician(minted), minted("system/*.cruds")]
    answers = [call.write("POST", "/Observation", token, observation()) for token in tokens]
    assert [one.status_code for one in answers] == [patient, user, system]
    assert all(one["Allow"] == "GET, HEAD" for one in answers if one.status_code == 405)
    assert len(restored.sent()) == [patient, user, system].count(201)


LETTERS = [
    ("POST", "/Observation", "rds u".replace(" ", ""), "patient/Observation.c"),
    ("PUT", OWN, "crds", "patient/Observation.u"),
    ("PATCH", OWN, "crds", "patient/Observation.u"),
    ("DELETE", OWN, "crus", "patient/Observation.d"),
]


@pytest.mark.requirement("PROXY-04", "PROXY-11")
@pytest.mark.parametrize(("method", "path", "letters", "missing"), LETTERS)
def test_each_write_needs_its_letter(
    restored: Behind, minted: Mint, call: Caller, method: str, path: str, letters: str, missing: str
) -> None:
    ordered = "".join(letter for letter in "cruds" if letter in letters)
    response = call.write(method, path, minted(f"patient/Observation.{ordered}", **ANA), "not even JSON")
    assert response.status_code == 403
    assert f'scope="{missing}"' in response["WWW-Authenticate"]
    assert restored.received() == []


@pytest.mark.requirement("PROXY-12")
@pytest.mark.parametrize("letters", ["c", "cs", "cus"])
def test_writing_does_not_imply_reading(restored: Behind, minted: Mint, call: Caller, letters: str) -> None:
    token = minted(f"patient/Observation.{letters}", **ANA)
    response = call.write("POST", "/Observation", token, observation(), HTTP_PREFER="return=representation")
    assert (response.status_code, response.content) == (201, b"")
    assert response["Location"].startswith(f"{PUBLIC}/Observation/")


@pytest.mark.requirement("PROXY-47")
def test_a_writer_may_ask_for_no_body(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.cru", **ANA)
    response = call.write("POST", "/Observation", token, observation(), HTTP_PREFER="return=minimal")
    assert (response.status_code, response.content) == (201, b"")
    assert response["ETag"] == 'W/"1"'


def test_a_patch_tests_nothing_that_its_sender_may_not_read(restored: Behind, minted: Mint, call: Caller) -> None:
    guess = [{"op": "test", "path": "/status", "value": "final"}, {"op": "remove", "path": "/note"}]
    response = call.write("PATCH", OWN, minted("patient/Observation.u", **ANA), guess)
    assert (response.status_code, Receipt.objects.get().rule) == (403, "patch.test")
    assert restored.sent() == []


@pytest.mark.requirement("PROXY-47")
def test_two_clients_with_the_same_version_do_not_overwrite_each_other(
    restored: Behind, minted: Mint, call: Caller
) -> None:
    first, second = minted("patient/Observation.ru", **ANA), clinician(minted)
    etag = call(OWN, first)["ETag"]
    assert call(OWN, second)["ETag"] == etag
    body = observation(id="versioned-ana", status="amended")
    assert call.write("PUT", OWN, first, body, HTTP_IF_MATCH=etag).status_code == 200
    late = {**body, "status": "cancelled"}
    response = call.write("PUT", OWN, second, late, HTTP_IF_MATCH=etag)
    assert (response.status_code, response.json()["issue"][0]["code"]) == (412, "conflict")
    assert call.write("DELETE", OWN, second, HTTP_IF_MATCH=etag).status_code == 412
    patch = [{"op": "replace", "path": "/status", "value": "cancelled"}]
    assert call.write("PATCH", OWN, second, patch, HTTP_IF_MATCH=etag).status_code == 412
    assert restored.stored("Observation/versioned-ana")["status"] == "amended"
    assert len(restored.sent()) == 1


def test_somebody_who_writes_between_our_look_and_our_write_wins(
    restored: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer comes in with the audit record, which is stored between the two."""
    original, others = write_trail.record_before, iter(range(100))

    def interfere(*args: Any) -> None:
        original(*args)
        number = next(others)
        if number < 2:
            restored.load({**observation("Patient/ben"), "id": "versioned-ana"})

    monkeypatch.setattr(write_trail, "record_before", interfere)
    token = minted("patient/Observation.ru", **ANA)
    body = observation(id="versioned-ana", status="amended")
    assert call.write("PUT", OWN, token, body).status_code == 412
    assert restored.stored("Observation/versioned-ana")["subject"] == {"reference": "Patient/ben"}
    assert call.write("PUT", OWN, token, body).status_code == 404
    restored.load({**observation(), "id": "versioned-ana"})
    patch = [{"op": "replace", "path": "/status", "value": "cancelled"}]
    assert call.write("PATCH", OWN, token, patch).status_code == 404
    assert restored.stored("Observation/versioned-ana")["status"] == "final"


@pytest.mark.requirement("PROXY-45")
def test_nothing_is_sent_when_it_cannot_be_recorded(
    restored: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(recording, "record_now", away)
    response = call.write("POST", "/Observation", minted("patient/*.cruds", **ANA), observation())
    assert response.status_code == 503
    assert restored.received() == []


MALFORMED = [
    # body, status, rule
    (" ", 400, "body.json"),
    ("[]", 400, "body.json"),
    ('{"resourceType":"Observation","resourceType":"Observation"}', 400, "body.json"),
    ('{"resourceType":"Observation","subject":{"reference":"Patient/ana","referenc\\u0065":"Patient/ben"}}', 400,
     "body.json"),
    ('{"resourceType":"Observation","subject":{},"Subject":{}}', 400, "body.json"),
    ('{"resourceType":"Observation","a-b":1}', 400, "body.name"),
    ('{"resourceType":"Observation","fhir_comments":[]}', 400, "body.name"),
    ('{"resourceType":"Observation","valueQuantity":{"value":NaN}}', 400, "body.json"),
    ("\ufeff{}", 400, "body.json"),
    ('{"resourceType":"Observation"} x', 400, "body.json"),
    ('{"resourceType":"Observation","note":' + "[" * 60 + "]" * 60 + "}", 400, "body.json"),
    ('{"resourceType":"Patient"}', 400, "body.type"),
    ('{"resourceType":"Observation","patient":{"reference":"Patient/ana"}}', 422, "body.element"),
    ('{"resourceType":"Observation","subject":[{"reference":"Patient/ana"},{"reference":"Patient/ana"}]}', 422,
     "body.shape"),
    ('{"resourceType":"Observation","subject":"Patient/ana"}', 422, "body.shape"),
    ('{"resourceType":"Observation","performer":{"reference":"Patient/ana"}}', 422, "body.shape"),
    ('{"resourceType":"Observation","meta":[]}', 422, "body.meta"),
    ('{"resourceType":"Observation","contained":[{"resourceType":"Nothing"}]}', 422, "body.nested"),
    ('{"resourceType":"Observation","text":{"status":"generated","div":"<div>no namespace</div>"}}', 422,
     "body.narrative"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "rule"), MALFORMED)
def test_a_body_that_could_be_read_in_two_ways_is_refused(
    restored: Behind, minted: Mint, call: Caller, body: str, status: int, rule: str
) -> None:
    response = call.write("POST", "/Observation", minted("patient/*.cruds", **ANA), body)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule), response.content
    assert restored.received() == []


HEADERS = [
    # method, extra, status, rule
    ("POST", {"kind": "application/xml"}, 415, "header.content_type"),
    ("POST", {"kind": "application/fhir+json; charset=latin-1"}, 415, "header.content_type"),
    ("PATCH", {"kind": "application/merge-patch+json"}, 415, "header.content_type"),
    ("PATCH", {"kind": "application/fhir+json"}, 415, "header.content_type"),
    ("PUT", {"HTTP_IF_MATCH": "*"}, 400, "header.if_match"),
    ("PUT", {"HTTP_IF_MATCH": 'W/"1", W/"2"'}, 400, "header.if_match"),
    ("PUT", {"HTTP_IF_NONE_MATCH": "*"}, 400, "header.if_none_match"),
    ("PUT", {"HTTP_IF_NONE_EXIST": "code=a"}, 400, "header.if_none_exist"),
    ("DELETE", {}, 400, "body.unexpected"),
]


@pytest.mark.requirement("PROXY-34")
@pytest.mark.parametrize(("method", "extra", "status", "rule"), HEADERS)
def test_headers_that_cannot_be_kept_are_refused(
    restored: Behind, minted: Mint, call: Caller, method: str, extra: dict[str, str], status: int, rule: str
) -> None:
    path = "/Observation" if method == "POST" else OWN
    response = call.write(method, path, minted("patient/*.cruds", **ANA), observation(id="versioned-ana"), **extra)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert restored.received() == []


def test_the_id_in_the_body_is_the_id_in_the_path(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    for body in (observation(), observation(id="other")):
        assert call.write("PUT", OWN, token, body).status_code == 400
    for path in ("/id", "/resourceType"):
        patch = [{"op": "replace", "path": path, "value": "Patient"}]
        assert call.write("PATCH", OWN, token, patch).status_code == 422
    assert restored.sent() == []


PLANTED = [
    # element, value, status
    ("hasMember", [{"reference": "Observation/versioned-ana"}], 201),
    ("hasMember", [{"reference": f"{PUBLIC}/Observation/versioned-ana"}], 201),
    ("hasMember", [{"reference": "Observation/ben-weight-focus-ana"}], 422),
    ("hasMember", [{"reference": f"{PUBLIC}/Observation/ben-weight-focus-ana"}], 422),
    ("hasMember", [{"reference": "Observation/ben-weight-focus-ana/_history/1"}], 422),
    ("hasMember", [{"reference": "Observation/no-such"}], 422),
    ("hasMember", [{"reference": "Observation?code=29463-7"}], 422),
    ("hasMember", [{"reference": "observation/ben"}], 422),
    ("hasMember", [{"reference": f" {PUBLIC}/Observation/ben-weight-focus-ana"}], 422),
    ("hasMember", [{"reference": " https://other.example.org/Observation/x"}], 422),
    ("hasMember", [{"reference": "/Observation/ben-weight-focus-ana"}], 422),
    ("hasMember", [{"reference": "../r4/Observation/ben-weight-focus-ana"}], 422),
    ("hasMember", [{"reference": "https://other.example.org/fhir/Observation/x"}], 201),
    ("focus", [{"reference": "Patient/ben"}], 422),
    ("focus", [{"reference": "Patient/ana"}], 201),
    ("performer", [{"reference": "Practitioner/dr-grey"}], 201),
    ("extension", [{"url": "http://x.example/e", "valueReference": {"reference": "Patient/ben"}}], 422),
    ("extension", [{"url": "http://x.example/e", "valueUrl": "Patient/ben"}], 422),
    ("extension", [{"url": "http://x.example/e", "valueUri": f"{PUBLIC}/Patient/ben"}], 422),
    ("extension", [{"url": "http://x.example/e", "valueUri": f"{PUBLIC}/Patient%2Fben"}], 422),
    ("extension", [{"url": "http://x.example/e", "valueAttachment": {"url": "Binary/ben-note-2023-05"}}], 422),
    ("extension", [{"url": "http://x.example/e", "valueAttachment": {"url": f"{PUBLIC}/Binary/ben-note-2023-05"}}],
     422),
    ("extension", [{"url": "http://x.example/e", "valueString": "see Patient/ben"}], 201),
    ("contained", [{"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/ben"}}], 422),
    ("identifier", [{"system": f"{PUBLIC}/sid/mine", "value": "1"}], 201),
]  # fmt: skip


@pytest.mark.requirement("PROXY-34")
@pytest.mark.parametrize(("element", "value", "status"), PLANTED)
def test_nobody_points_at_what_lies_outside(
    restored: Behind, minted: Mint, call: Caller, element: str, value: Any, status: int
) -> None:
    response = call.write("POST", "/Observation", minted("patient/*.cruds", **ANA), observation(**{element: value}))
    assert response.status_code == status, response.content
    if status == 422:
        assert restored.sent() == []
        patch = [{"op": "add", "path": f"/{element}", "value": value}]
        assert call.write("PATCH", OWN, minted("patient/*.cruds", **ANA), patch).status_code == 422
        assert restored.sent() == []


def test_absent_and_foreign_targets_get_the_same_answer(restored: Behind, minted: Mint, call: Caller) -> None:
    token, bodies = minted("patient/*.cruds", **ANA), set()
    for name in ("ben-weight-focus-ana", "no-such"):
        body = observation(hasMember=[{"reference": f"Observation/{name}"}])
        response = call.write("POST", "/Observation", token, body)
        bodies.add(response.content.replace(response["X-Trace-Id"].encode(), b""))
    assert len(bodies) == 1
    assert b"no-such" not in bodies.pop()


def test_our_base_becomes_relative_and_more_than_fifty_targets_are_too_many(
    restored: Behind, minted: Mint, call: Caller
) -> None:
    token = minted("patient/*.cruds", **ANA)
    body = observation(f"{PUBLIC}/Patient/ana", hasMember=[{"reference": f"{PUBLIC}/Observation/versioned-ana"}])
    response = call.write("POST", "/Observation", token, body)
    assert response.status_code == 201
    stored = restored.stored(f"Observation/{response.json()['id']}")
    assert stored["subject"] == {"reference": "Patient/ana"}
    assert stored["hasMember"] == [{"reference": "Observation/versioned-ana"}]
    many = observation(hasMember=[{"reference": f"Observation/o{number}"} for number in range(51)])
    assert call.write("POST", "/Observation", token, many).status_code == 422


def test_beside_the_subject_nothing_says_whom_it_is_about(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    subject = {"reference": "Patient/ana", "identifier": {"value": "MRN-1001"}}
    response = call.write("POST", "/Observation", token, {**observation(), "subject": subject})
    assert (response.status_code, Receipt.objects.get().rule) == (422, "write.primary_reference")
    assert restored.received() == []


def test_security_labels_stay_as_they_were(restored: Behind, minted: Mint, call: Caller) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    restored.load({**observation(), "id": "labelled", "meta": {"security": [label], "tag": [{"code": "a"}]}})
    token, body = minted("patient/*.cruds", **ANA), observation(id="labelled", status="amended")
    assert call.write("PUT", "/Observation/labelled", token, body).status_code == 200
    assert restored.stored("Observation/labelled")["meta"]["security"] == [label]
    same = {**body, "meta": {"security": [label]}}
    assert call.write("PUT", "/Observation/labelled", token, same).status_code == 200
    for meta in ({"security": []}, {"security": [{**label, "code": "N"}]}, {"security": [label, label]}):
        expected = 200 if meta == {"security": []} else 403
        assert call.write("PUT", "/Observation/labelled", token, {**body, "meta": meta}).status_code == expected
    patch = [{"op": "remove", "path": "/meta/security"}]
    assert call.write("PATCH", "/Observation/labelled", token, patch).status_code == 403
    assert call.write("POST", "/Observation", token, observation(meta={"security": [label]})).status_code == 403
    assert restored.stored("Observation/labelled")["meta"]["security"] == [label]
    assert call.write("PUT", "/Observation/labelled", clinician(minted), {**body, "meta": {}}).status_code == 200
    assert "security" not in restored.stored("Observation/labelled")["meta"]


@pytest.mark.requirement("PROXY-25")
def test_a_filter_holds_before_and_after(restored: Behind, minted: Mint, call: Caller) -> None:
    weight, other = "http://loinc.org|29463-7", {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    token = minted(f"patient/Observation.cu?code={weight}", **ANA)
    assert call.write("POST", "/Observation", token, observation()).status_code == 201
    assert call.write("POST", "/Observation", token, observation(code=other)).status_code == 403
    assert call.write("PUT", OWN, token, observation(id="versioned-ana", code=other)).status_code == 403
    restored.load({**observation(code=other), "id": "pulse"})
    assert call.write("PUT", "/Observation/pulse", token, observation(id="pulse")).status_code == 404
    wide = minted("user/Observation.u?code=" + weight, fhirUser="Practitioner/dr-grey")
    assert call.write("PUT", "/Observation/pulse", wide, observation(id="pulse")).status_code == 404
    assert call.write("PUT", OWN, wide, observation("Patient/ben", id="versioned-ana")).status_code == 200


def test_a_tag_on_which_a_scope_depends_cannot_be_put_on(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.u patient/Observation.rs?_tag=shared", **ANA)
    assert call(OWN, token).status_code == 404
    body = observation(id="versioned-ana", meta={"tag": [{"code": "shared"}]})
    assert call.write("PUT", OWN, token, body).status_code == 403
    assert restored.sent() == []


def test_patient_links_stay_as_they_were(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    record = {**restored.stored("Patient/ana"), "gender": "other"}
    assert call.write("PUT", "/Patient/ana", token, record).status_code == 200
    link = [{"other": {"reference": "Patient/ben"}, "type": "seealso"}]
    response = call.write("PUT", "/Patient/ana", token, {**record, "link": link})
    assert (response.status_code, Receipt.objects.get().rule) == (403, "write.patient_link")
    restored.load({**record, "link": link})
    assert call.write("PUT", "/Patient/ana", token, {**record, "link": link}).status_code == 200
    assert call.write("PUT", "/Patient/ana", token, record).status_code == 403


def test_devices_that_name_nobody_are_not_everybody_s_to_write(restored: Behind, minted: Mint, call: Caller) -> None:
    pump: dict[str, Any] = {"resourceType": "Device", "id": "pump"}
    restored.load(pump, {**pump, "id": "hers", "patient": {"reference": "Patient/ana"}})
    token = minted("patient/*.cruds", **ANA)
    assert call("/Device/pump", token).status_code == 200
    assert call.write("POST", "/Device", token, {"resourceType": "Device"}).status_code == 403
    assert call.write("PUT", "/Device/pump", token, pump).status_code == 404
    assert call.write("PUT", "/Device/hers", token, {**pump, "id": "hers"}).status_code == 403
    assert call.write("DELETE", "/Device/pump", token).status_code == 404
    assert restored.sent() == []
    assert call.write("DELETE", "/Device/hers", token).status_code == 204
    assert call.write("DELETE", "/Device/pump", clinician(minted)).status_code == 204


def test_binaries_belong_to_somebody(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}
    for context, status in (("Patient/ana", 201), ("Patient/ben", 403), ("Observation/versioned-ana", 201)):
        body = {**binary, "securityContext": {"reference": context}}
        assert call.write("POST", "/Binary", token, body).status_code == status, context
    body = {**binary, "securityContext": {"reference": STRANGER}}
    assert call.write("POST", "/Binary", token, body).status_code == 403


def test_provenance_is_about_what_is_inside(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    body = {
        "resourceType": "Provenance",
        "target": [{"reference": "Observation/versioned-ana"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/dr-grey"}}],
    }
    assert call.write("POST", "/Provenance", token, body).status_code == 201
    body["target"] = [*body["target"], {"reference": STRANGER}]  # type: ignore[misc]
    assert call.write("POST", "/Provenance", token, body).status_code == 403


@pytest.mark.requirement("PROXY-13")
def test_an_id_that_was_never_used_is_created_only_where_the_tenant_says_so(
    restored: Behind, minted: Mint, call: Caller
) -> None:
    body, doctor, ana = observation(id="new"), clinician(minted), minted("patient/*.cruds", **ANA)
    assert call.write("PUT", "/Observation/new", doctor, body).status_code == 404
    switch(update_as_create=True)
    assert call.write("PUT", "/Observation/new", ana, body).status_code == 404
    assert call.write("PUT", "/Observation/new", clinician(minted, "user/*.ru"), body).status_code == 404
    response = call.write("PUT", "/Observation/new", doctor, body)
    assert (response.status_code, response["Location"]) == (201, f"{PUBLIC}/Observation/new/_history/1")
    assert AuditRecord.objects.filter(details__switches="update_as_create").exists()


UPSTREAM = [
    # fault, status
    ({"kind": "status", "status": 401}, 502),
    ({"kind": "status", "status": 403}, 502),
    ({"kind": "status", "status": 400}, 422),
    ({"kind": "status", "status": 422}, 422),
    ({"kind": "status", "status": 409}, 409),
    ({"kind": "status", "status": 412}, 412),
    ({"kind": "status", "status": 500}, 502),
    ({"kind": "html"}, 502),
    ({"kind": "notfhir"}, 502),
    ({"kind": "truncate"}, 502),
    ({"kind": "duplicate-keys"}, 502),
    ({"kind": "redirect", "location": "http://127.0.0.1:1/"}, 502),
    ({"kind": "close"}, 502),
]


@pytest.mark.requirement("PROXY-40", "PROXY-46")
@pytest.mark.parametrize(("fault", "status"), UPSTREAM)
def test_what_goes_wrong_upstream_is_told_without_details(
    restored: Behind, minted: Mint, call: Caller, fault: dict[str, Any], status: int
) -> None:
    restored.fail(**fault)
    response = call.write("POST", "/Observation", minted("patient/*.cruds", **ANA), observation())
    assert response.status_code == status
    assert b"a fault was asked for" not in response.content
    assert len(restored.received()) == 1  # a write is never repeated


def test_a_server_that_does_not_say_what_it_stored_is_asked(restored: Behind, minted: Mint, call: Caller) -> None:
    restored.fail(kind="silent")
    response = call.write("POST", "/Observation", minted("patient/Observation.cr", **ANA), observation())
    assert (response.status_code, response["ETag"]) == (201, 'W/"1"')
    assert restored.targets() == ["Observation", f"Observation/{response.json()['id']}"]


@pytest.mark.requirement("PROXY-40")
def test_a_server_that_stores_something_else_is_found_out(restored: Behind, minted: Mint, call: Caller) -> None:
    restored.leak()
    token = minted("patient/*.cruds", **ANA)
    response = call.write("POST", "/Observation", token, observation())
    assert response.status_code == 500
    assert b"ben" not in response.content
    assert Receipt.objects.get().rule == "write.escaped"
    response = call.write("PUT", OWN, token, observation(id="versioned-ana"))
    assert response.status_code == 502
    assert [method for method, _ in restored.sent()] == ["POST", "PUT"]
    switch(compensate=True)
    call.write("POST", "/Observation", token, observation())
    assert [method for method, _ in restored.sent()][2:] == ["POST", "DELETE"]
