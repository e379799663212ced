"""Bulk export through the proxy: whatever is behind, only lines inside the authority leave, and only to their client.

Bulk Data Access IG; SMART 2.2 backend-services.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse

from clients import tenants
from clients.key_pairs import KeyPair
from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from fhirproxy import bulk_jobs
from fhirproxy.models import BulkJob
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization
from smartauth.receipts.models import Receipt
from tests.factories import make_client, service
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint

ASYNC = {"HTTP_PREFER": "respond-async"}
EVERYTHING = "system/*.rs"
GROUP = "Group/ana-and-ben"


def kick_off(call: Caller, token: str, path: str = "/$export", **extra: Any) -> str:
    """Start an export and return the path of its status below the FHIR base."""
    response = call(path, token, **ASYNC, **extra)
    assert response.status_code == 202, response.content
    url: str = response["Content-Location"]
    assert url.startswith(f"{PUBLIC}/_bulk/")
    return url.removeprefix(PUBLIC)


def manifest(call: Caller, token: str, job: str) -> dict[str, Any]:
    for _ in range(3):
        response = call(job, token)
        if response.status_code != 202:
            break
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    document: dict[str, Any] = response.json()
    return document


def content(response: HttpResponse) -> bytes:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/fhir+ndjson"
    return b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]


def resources(call: Caller, token: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Fetch every file, holding each line against the type its file has in the manifest."""
    found = []
    for output in document["output"]:
        lines = content(call(output["url"].removeprefix(PUBLIC), token)).splitlines()
        for line in map(json.loads, lines):
            assert line["resourceType"] == output["type"]
            found.append(line)
    return found


def export(call: Caller, token: str, path: str = "/$export", **extra: Any) -> set[str]:
    document = manifest(call, token, kick_off(call, token, path, **extra))
    return {f"{one['resourceType']}/{one['id']}" for one in resources(call, token, document)}


@pytest.mark.requirement("BULK-01", "BULK-06", "BULK-08", "BULK-11")
def test_a_whole_export(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    job = kick_off(call, token)
    waiting = call(job, token)
    assert (waiting.status_code, waiting["X-Progress"], waiting["Retry-After"]) == (202, "in progress", "1")
    assert (waiting.content, waiting["Cache-Control"]) == (b"", "no-store")
    document = manifest(call, token, job)
    assert document["request"] == f"{PUBLIC}/$export"
    assert (document["requiresAccessToken"], document["error"]) == (True, [])
    assert [set(one) for one in document["output"]] == [{"type", "url"}] * len(document["output"])
    found = resources(call, token, document)
    keys = {f"{one['resourceType']}/{one['id']}" for one in found}
    assert {"Patient/ana", "Patient/ben", "Condition/ben-problem-1", "Practitioner/dr-grey"} <= keys
    assert not any(one["resourceType"] in ("AuditEvent", "Subscription") for one in found)
    everything = json.dumps(document) + json.dumps(found)
    assert sandbox.running.base_url not in everything
    for one in sandbox.received():
        assert "system/" not in json.dumps(one["headers"])
        assert token not in json.dumps(one["headers"])


EXPORTS = [
    # kick-off                                                      holds                     and not
    (f"/{GROUP}/$export", "Condition/ben-problem-1", "Practitioner/dr-grey"),
    ("/Patient/$export", "Condition/ben-problem-1", "Practitioner/dr-grey"),
    ("/$export?_type=Patient,Practitioner", "Practitioner/dr-grey", "Condition/ben-problem-1"),
    ("/%24export?_type=Goal", "Goal/ana-goal", "Condition/ben-problem-1"),
    ("/$export?_type=Goal&_typeFilter=Goal%3Fpatient%3Dana", "Goal/ana-goal", "Goal/ben-goal"),
    ("/Patient/$export?_type=Goal&patient=Patient/ana", "Goal/ana-goal", "Goal/ben-goal"),
    (f"/Patient/$export?_type=Goal&patient={PUBLIC}/Patient/ana", "Goal/ana-goal", "Goal/ben-goal"),
    ("/$export?_type=Goal&_since=2000-01-01T00:00:00Z&_outputFormat=ndjson", "Goal/ana-goal", "Condition/ana"),
    ("/$export?_type=Goal&_outputFormat=application/fhir%2Bndjson", "Goal/ana-goal", "Condition/ana"),
    ("/$export?_type=Goal&_outputFormat=application/ndjson", "Goal/ana-goal", "Condition/ana"),
    ("/$export?_type=Goal&_since=2100-01-01T00:00:00Z", "", "Goal/ana-goal"),
    ("/$export?_type=Goal&_until=2100-01-01T00:00:00%2B01:00", "Goal/ana-goal", "Condition/ana"),
]


@pytest.mark.requirement("BULK-01", "BULK-10")
@pytest.mark.parametrize(("path", "inside", "outside"), EXPORTS)
def test_levels_and_parameters(
    sandbox: Behind, minted: Mint, call: Caller, path: str, inside: str, outside: str
) -> None:
    found = export(call, minted(EVERYTHING), path)
    assert not inside or inside in found
    assert outside not in found


@pytest.mark.requirement("BULK-01")
def test_parameters_may_be_posted_and_patients_go_upstream_by_post(sandbox: Behind, minted: Mint, call: Caller) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Goal"},
            {"name": "_since", "valueInstant": "2000-01-01T00:00:00Z"},
            {"name": "patient", "valueReference": {"reference": "Patient/ana"}},
        ],
    }
    posted = {"method": "POST", "data": json.dumps(body), "content_type": "application/fhir+json"}
    token = minted(EVERYTHING)
    assert export(call, token, "/Patient/$export", **posted) == {"Goal/ana-goal"}
    asked = sandbox.received()[0]
    assert (asked["method"], asked["target"]) == ("POST", "/r4/Patient/$export")
    assert json.loads(asked["body"]) == body


@pytest.mark.requirement("BULK-03", "BULK-14")
def test_only_granted_types_are_exported_when_none_is_named(sandbox: Behind, minted: Mint, call: Caller) -> None:
    scope = "system/Goal.rs system/Patient.rs system/Condition.r system/Observation.rs?category=a"
    found = export(call, minted(scope))
    assert sandbox.targets()[0] == "$export?_type=Goal%2CPatient"
    assert {key.partition("/")[0] for key in found} == {"Goal", "Patient"}


def test_elements_are_cut_by_us_after_the_check(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    job = kick_off(call, token, "/$export?_type=Goal,Patient&_elements=Patient.gender,Goal.startDate")
    assert "_elements" not in sandbox.targets()[0]
    document = manifest(call, token, job)
    assert document["request"].endswith("_type=Goal%2CPatient&_elements=Goal.startDate%2CPatient.gender")
    found = resources(call, token, document)
    patient = next(one for one in found if one["id"] == "ana")
    assert set(patient) == {"resourceType", "id", "meta", "gender"}
    goal = next(one for one in found if one["id"] == "ana-goal")
    assert {"description", "lifecycleStatus", "subject"} <= set(goal)  # mandatory
    assert goal["meta"]["tag"][-1]["code"] == "SUBSETTED"


RESTRICTED = {"groups": ["ana-and-ben"]}


@pytest.mark.requirement("ONC-17")
@pytest.mark.requirement("BULK-05")
def test_a_restricted_client_sees_its_groups_only(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING, restrictions=RESTRICTED)
    sandbox.leak()
    found = export(call, token, f"/{GROUP}/$export")
    assert {"Patient/ana", "Patient/ben", "Condition/ben-problem-1"} <= found
    patients = {key for key in found if key.startswith("Patient/")}
    assert patients == {"Patient/ana", "Patient/ben"}


@pytest.mark.requirement("BULK-04", "BULK-05")
@pytest.mark.parametrize("restrictions", [RESTRICTED, {"patients": ["ana"]}, {"groups": []}])
@pytest.mark.parametrize("path", ["/$export", "/Patient/$export", "/Group/another/$export", "/Group/none/$export"])
def test_a_restricted_client_starts_nothing_else(
    sandbox: Behind, minted: Mint, call: Caller, restrictions: dict[str, Any], path: str
) -> None:
    response = call(path, minted(EVERYTHING, restrictions=restrictions), **ASYNC)
    assert (response.status_code, Receipt.objects.get().rule) == (403, "bulk.restricted")
    assert not any("$export" in target for target in sandbox.targets())
    assert not BulkJob.objects.exists()


@pytest.mark.requirement("BULK-05")
def test_lines_of_other_types_and_patients_are_dropped_and_counted(sandbox: Behind, minted: Mint, call: Caller) -> None:
    sandbox.leak()
    token = minted(EVERYTHING, restrictions=RESTRICTED)
    job = kick_off(call, token, f"/{GROUP}/$export?_type=Goal")
    document = manifest(call, token, job)
    (output,) = document["output"]
    lines = content(call(output["url"].removeprefix(PUBLIC), token)).splitlines()
    assert {json.loads(line)["subject"]["reference"] for line in lines} == {"Patient/ana", "Patient/ben"}
    recording._buffer.flush()
    record = AuditRecord.objects.get(details__interaction="bulk-file-end")
    assert (record.action, record.resource_type, record.details["complete"]) == ("export", "Goal", 1)
    assert record.details["checked"] == len(lines) + record.details["removed"]
    assert record.details["removed"] >= 5


def test_everything_about_a_job_is_recorded(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    job = kick_off(call, token, f"/{GROUP}/$export?_type=Goal")
    document = manifest(call, token, job)
    content(call(document["output"][0]["url"].removeprefix(PUBLIC), token))
    assert call(job, token, method="DELETE").status_code == 202
    recording._buffer.flush()
    records = {one.details["interaction"]: one for one in AuditRecord.objects.filter(action="export")}
    assert set(records) == {"bulk-kick-off", "bulk-status", "bulk-file", "bulk-file-end", "bulk-cancel"}
    assert {one.details["job"] for one in records.values()} == {job.rpartition("/")[2]}
    assert records["bulk-kick-off"].query == f"{GROUP}/$export?_type=Goal"
    assert (records["bulk-kick-off"].resource_type, records["bulk-kick-off"].resource_id) == ("Group", "ana-and-ben")
    assert records["bulk-file"].details["scopes"] == "system/*.rs"


REFUSED = [
    # granted                   path                                          status rule
    ("system/Patient.rs",       "/$export?_type=Patient,Goal",                403, "scope"),
    ("system/Patient.r",        "/$export?_type=Patient",                     403, "scope"),
    ("system/Patient.s",        "/$export?_type=Patient",                     403, "scope"),
    ("system/Patient.r",        "/$export",                                   403, "scope"),
    ("system/Goal.rs",          "/Patient/$export",                           403, "scope"),
    ("system/Goal.rs system/Patient.rs", "/Group/ana-and-ben/$export",        403, "scope"),
    ("system/Observation.rs?category=a", "/$export?_type=Observation",        403, "scope"),
    ("system/Patient.rs",       "/$export?_typeFilter=Goal%3Fpatient%3Dana",  403, "scope"),
    ("system/*.rs",             "/$export?_type=AuditEvent",                  403, "scope.operator_type"),
    ("system/*.rs",             "/$export?_type=Nothing",                     400, "bulk.type"),
    ("system/*.rs",             "/$export?_type=patient",                     400, "bulk.type"),
    ("system/*.rs",             "/$export?_outputFormat=csv",                 400, "bulk.output_format"),
    ("system/*.rs",             "/$export?_since=2020",                       400, "bulk.instant"),
    ("system/*.rs",             "/$export?_until=2020-02-30T00:00:00Z",       400, "bulk.instant"),
    ("system/*.rs",             "/$export?_since=2020-01-01T00:00:00Z&_since=2020-01-01T00:00:00Z", 400,
     "query.repeated"),
    ("system/*.rs",             "/$export?_elements=made-up",                 400, "bulk.elements"),
    ("system/*.rs",             "/$export?_elements=Nothing.id",              400, "bulk.elements"),
    ("system/*.rs",             "/$export?patient=Patient/ana",               400, "bulk.patient"),
    ("system/*.rs",             "/Patient/$export?patient=ana",               400, "bulk.patient"),
    ("system/*.rs",             "/Patient/$export?patient=Group/g",           400, "bulk.patient"),
    ("system/*.rs",             "/Patient/$export?patient=http://e.example/Patient/a", 400, "bulk.patient"),
    ("system/*.rs",             "/$export?_count=5",                          400, "bulk.parameter"),
    ("system/*.rs",             "/$export?includeAssociatedData=x",           400, "bulk.parameter"),
    ("system/*.rs",             "/$export?_typeFilter=Goal",                  400, "bulk.type_filter"),
    ("system/*.rs",             "/$export?_typeFilter=Goal%3F_count%3D5",     400, "bulk.type_filter"),
    ("system/*.rs",             "/$export?_type=Goal&_typeFilter=Patient%3F_id%3Da", 400, "bulk.type_filter"),
    ("system/*.rs",             "/$export?_typeFilter=Goal%3Fmade-up%3D5",    400, "search.parameter"),
    ("system/*.rs",             "/$export?_typeFilter=Goal%3Fpatient.name%3Da", 403, "bulk.type_filter_chain"),
    ("system/*.rs",             "/$export?_typeFilter=Patient%3F_has:Goal:patient:_id%3Da", 403,
     "bulk.type_filter_chain"),
    ("patient/*.rs",            "/Patient/$export",                           403, "bulk.level"),
    ("user/*.rs",               "/$export",                                   403, "bulk.level"),
    ("system/*.rs",             "/Observation/$export",                       403, "interaction.operation"),
    ("system/*.rs",             "/Patient/ana/$export",                       403, "interaction.operation"),
    ("system/*.rs",             "/_bulk",                                     404, "target.path"),
    ("system/*.rs",             "/_bulk/1",                                   404, "target.path"),
    ("system/*.rs",             "/_bulk/00000000-0000-0000-0000-000000000000/01", 404, "target.path"),
    ("system/*.rs",             "/_bulk/00000000-0000-0000-0000-000000000000?x=1", 400, "bulk.parameter"),
    ("system/*.rs",             "/_bulk/00000000-0000-0000-0000-000000000000", 404, "bulk.absent"),
    ("system/*.rs",             "/_bulk/00000000-0000-0000-0000-000000000000/1", 404, "bulk.absent"),
]  # fmt: skip


@pytest.mark.requirement("BULK-03", "BULK-04", "BULK-14")
@pytest.mark.parametrize(("scope", "path", "status", "rule"), REFUSED)
def test_refusals_start_nothing(
    sandbox: Behind, minted: Mint, call: Caller, scope: str, path: str, status: int, rule: str
) -> None:
    claims = {"patient": "ana", "fhirUser": "Patient/ana"} if "system/" not in scope else {}
    response = call(path, minted(scope, **claims), **ASYNC)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule), response.content
    assert response.json()["resourceType"] == "OperationOutcome"
    assert sandbox.received() == []
    assert not BulkJob.objects.exists()


def test_the_smallest_missing_scope_is_named(sandbox: Behind, minted: Mint, call: Caller) -> None:
    response = call("/$export?_type=Goal", minted("system/Goal.r"), **ASYNC)
    assert 'scope="system/Goal.rs"' in response["WWW-Authenticate"]


BODIES = [
    (b"[]", "application/fhir+json", 400),
    (b"{}", "application/fhir+json", 400),
    (b'{"resourceType":"Bundle"}', "application/fhir+json", 400),
    (b'{"resourceType":"Parameters","id":"x"}', "application/fhir+json", 400),
    (b'{"resourceType":"Parameters","parameter":{}}', "application/fhir+json", 400),
    (b'{"resourceType":"Parameters","parameter":[{"name":"_type"}]}', "application/fhir+json", 400),
    (b'{"resourceType":"Parameters","parameter":[{"name":"_type","valueCode":"Goal"}]}', "application/json", 400),
    (b'{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Goal","id":"x"}]}',
     "application/json", 400),
    (b'{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"Goal"}]}', "application/json", 400),
    (b'{"resourceType":"Parameters"}', "text/plain", 415),
    (b'{"resourceType":"Parameters"}', "application/json; charset=latin-1", 415),
]  # fmt: skip


@pytest.mark.parametrize(("body", "content_type", "status"), BODIES)
def test_bodies_that_are_no_plain_parameters(
    sandbox: Behind, minted: Mint, call: Caller, body: bytes, content_type: str, status: int
) -> None:
    extra = {"data": body, "content_type": content_type}
    assert call("/$export", minted(EVERYTHING), method="POST", **ASYNC, **extra).status_code == status
    assert sandbox.received() == []


def test_the_headers_of_a_kick_off_and_of_a_file(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    assert call("/$export", token).json()["issue"][0]["code"] == "invalid"
    assert Receipt.objects.get().rule == "bulk.prefer"
    head = call("/$export", token, method="HEAD", **ASYNC)
    assert (head.status_code, head["Allow"]) == (405, "GET, POST")
    assert call("/$export", token, method="DELETE").status_code == 405
    assert call("/$export", token, HTTP_ACCEPT="application/fhir+xml", **ASYNC).status_code == 406
    assert sandbox.received() == []
    job = kick_off(call, token, "/$export?_type=Goal", HTTP_ACCEPT="application/fhir+json")
    document = manifest(call, token, job)
    path = document["output"][0]["url"].removeprefix(PUBLIC)
    assert call(path, token, HTTP_ACCEPT="application/json").status_code == 406
    assert call(path, token, method="DELETE").status_code == 405
    assert call(job, token, method="POST").status_code == 405
    whole = call(path, token, HTTP_ACCEPT="application/fhir+ndjson")
    assert int(whole["Content-Length"]) == len(whole.content) > 0
    looked = call(path, token, method="HEAD")
    assert (looked.status_code, looked.content, looked["Content-Length"]) == (200, b"", whole["Content-Length"])
    assert call(f"{job}/99999", token).status_code == 404
    assert call(path).status_code == call(job).status_code == 401


EVERYWHERE = [
    ("GET", "/$export"),
    ("POST", "/$export"),
    ("GET", "/Patient/$export"),
    ("GET", f"/{GROUP}/$export"),
    ("GET", "{job}"),
    ("DELETE", "{job}"),
    ("GET", "{job}/1"),
    ("HEAD", "{job}/1"),
    ("GET", "{job}/0"),
]


@pytest.mark.requirement("BULK-02", "BULK-07", "BULK-12")
@pytest.mark.parametrize("token", ["", "nonsense"])
def test_without_a_token_nothing_of_an_export_is_told(sandbox: Behind, minted: Mint, call: Caller, token: str) -> None:
    job = kick_off(call, minted(EVERYTHING), "/$export?_type=Goal")
    manifest(call, minted(EVERYTHING), job)
    sandbox.ask("DELETE", "/_received")
    for method, path in EVERYWHERE:
        response = call(path.format(job=job), token, method=method, **ASYNC)
        assert (response.status_code, "Bearer" in response["WWW-Authenticate"]) == (401, True), (method, path)
    assert sandbox.received() == []


class TestWhoMaySeeAJob:
    """A job and its files belong to one client at one tenant, as long as its authority covers them."""

    @pytest.fixture
    def started(self, sandbox: Behind, minted: Mint, call: Caller) -> str:
        token = minted(EVERYTHING)
        job = kick_off(call, token, f"/{GROUP}/$export?_type=Goal,Patient")
        manifest(call, token, job)
        sandbox.ask("DELETE", "/_received")
        return job

    def hidden(self, call: Caller, sandbox: Behind, job: str, token: str) -> None:
        answers = [call(job, token), call(f"{job}/1", token), call(f"{job}/0", token)]
        answers.append(call(job, token, method="DELETE"))
        assert [one.status_code for one in answers] == [404] * 4
        unknown = call("/_bulk/00000000-0000-0000-0000-000000000000", token).json()
        for one in answers:
            assert one.json()["issue"][0]["details"] == unknown["issue"][0]["details"]
        assert not any("_export" in target for target in sandbox.targets())

    @pytest.mark.requirement("BULK-07")
    def test_another_client(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str, tenant: TenantInfo, ec256: KeyPair
    ) -> None:
        metadata = service(client_id="mallory", client_name="Mallory", jwks={"keys": [ec256.public_jwk]})
        make_client(metadata, activate_at=(tenant,))
        self.hidden(call, sandbox, started, minted(EVERYTHING, client_id="mallory", sub="mallory"))

    @pytest.mark.requirement("BULK-07", "BULK-13")
    @pytest.mark.parametrize(
        "scope", ["system/Goal.rs", "system/Goal.rs system/Patient.rs", "system/*.r", "system/*.rs?_tag=a"]
    )
    def test_a_token_that_covers_less(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str, scope: str
    ) -> None:
        self.hidden(call, sandbox, started, minted(scope))

    def test_a_token_for_people(self, sandbox: Behind, minted: Mint, call: Caller, started: str) -> None:
        self.hidden(call, sandbox, started, minted("user/*.rs", fhirUser="Practitioner/dr-grey"))

    @pytest.mark.parametrize("restrictions", [{"groups": ["other"]}, {"patients": ["ana"]}])
    def test_a_client_restricted_since(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str, restrictions: dict[str, Any]
    ) -> None:
        self.hidden(call, sandbox, started, minted(EVERYTHING, restrictions=restrictions))

    @pytest.mark.requirement("BULK-07")
    def test_a_job_of_another_tenant(self, sandbox: Behind, minted: Mint, call: Caller, started: str) -> None:
        from clients.models import Tenant

        BulkJob.objects.update(tenant=Tenant.objects.create(slug="north"))
        self.hidden(call, sandbox, started, minted(EVERYTHING))

    @pytest.mark.requirement("BULK-15")
    @pytest.mark.parametrize("ends", ["the client", "its activation", "the token"])
    def test_a_client_that_was_stopped_since(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str, ends: str
    ) -> None:
        token = minted(EVERYTHING)
        assert call(f"{started}/1", token).status_code == 200
        sandbox.ask("DELETE", "/_received")
        match ends:
            case "the client":
                Client.objects.filter(client_id="bulk-loader").update(status=Client.Status.SUSPENDED)
            case "its activation":
                Activation.objects.filter(client__client_id="bulk-loader").update(is_active=False)
            case "the token":
                Authorization.objects.update(revoked_at=datetime.now(UTC))
        for method, path in (("GET", started), ("GET", f"{started}/1"), ("DELETE", started), ("GET", "/$export")):
            assert call(path, token, method=method, **ASYNC).status_code == 401
        assert sandbox.received() == []

    def test_an_expired_job(self, sandbox: Behind, minted: Mint, call: Caller, started: str) -> None:
        long_ago = datetime.now(UTC) - timedelta(hours=25)
        BulkJob.objects.update(created_at=long_ago, expires_at=long_ago + bulk_jobs.LIFETIME)
        self.hidden(call, sandbox, started, minted(EVERYTHING))

    @pytest.mark.requirement("BULK-09")
    def test_a_cancelled_job_is_dropped_upstream_too(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str
    ) -> None:
        token = minted(EVERYTHING)
        assert call(started, token, method="DELETE").status_code == 202
        assert [(one["method"], "_export" in one["target"]) for one in sandbox.received()] == [("DELETE", True)]
        sandbox.ask("DELETE", "/_received")
        self.hidden(call, sandbox, started, token)

    @pytest.mark.requirement("BULK-13")
    def test_a_fresh_token_of_the_same_client_will_do(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str
    ) -> None:
        token = minted("system/Goal.rs system/Patient.rs system/Group.rs")
        found = resources(call, token, manifest(call, token, started))
        assert "ana-goal" in {one["id"] for one in found}

    @pytest.mark.requirement("BULK-13")
    def test_a_client_restricted_to_the_group_since_sees_its_patients_only(
        self, sandbox: Behind, minted: Mint, call: Caller, started: str
    ) -> None:
        token = minted(EVERYTHING, restrictions={"groups": ["ana-and-ben"]})
        found = resources(call, token, manifest(call, token, started))
        assert {one["id"] for one in found if one["resourceType"] == "Patient"} == {"ana", "ben"}


@pytest.mark.requirement("BULK-13")
def test_what_was_not_asked_for_then_is_not_given_now(sandbox: Behind, minted: Mint, call: Caller) -> None:
    sandbox.leak()
    narrow = minted("system/Goal.rs")
    job = kick_off(call, narrow, "/$export")
    document = manifest(call, narrow, job)
    assert BulkJob.objects.get().types == ["Goal"]
    found = resources(call, minted(EVERYTHING), document)
    assert {one["resourceType"] for one in found} == {"Goal"}


@pytest.mark.requirement("BULK-06")
def test_three_exports_at_a_time(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    jobs = [kick_off(call, token, "/$export?_type=Goal") for _ in range(3)]
    refused = call("/$export?_type=Goal", token, **ASYNC)
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert refused.json()["issue"][0]["code"] == "throttled"
    assert len(sandbox.received()) == 3
    manifest(call, token, jobs[0])  # One that is done makes room, and so does one that is cancelled.
    kick_off(call, token, "/$export?_type=Goal")
    assert call("/$export?_type=Goal", token, **ASYNC).status_code == 429
    call(jobs[1], token, method="DELETE")
    kick_off(call, token, "/$export?_type=Goal")


@pytest.mark.parametrize("most", [0, 1, 4])
def test_how_many_exports_is_the_tenants_to_say(sandbox: Behind, minted: Mint, call: Caller, most: int) -> None:
    Tenant.objects.update(policy={"max_jobs": most})
    tenants._tenants.clear()
    token = minted(EVERYTHING)
    for _ in range(most):
        kick_off(call, token, "/$export?_type=Goal")
    assert call("/$export?_type=Goal", token, **ASYNC).status_code == 429
    assert Receipt.objects.get().rule == "bulk.too_many"
    assert len(sandbox.received()) == BulkJob.objects.count() == most


@pytest.mark.requirement("BULK-06")
def test_a_job_the_upstream_does_not_start_leaves_nothing(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    assert call("/Group/nobody/$export", token, **ASYNC).status_code == 404
    for status, ours in ((400, 400), (422, 400), (429, 429), (401, 502), (403, 502), (404, 502), (500, 502)):
        sandbox.fail(kind="status", status=status)
        assert call("/$export", token, **ASYNC).status_code == ours
    sandbox.fail(kind="close")
    assert call("/$export", token, **ASYNC).status_code == 502
    assert not BulkJob.objects.exists()


def test_the_purge_deletes_expired_jobs(sandbox: Behind, minted: Mint, call: Caller, capsys: Any) -> None:
    token = minted(EVERYTHING)
    kick_off(call, token, "/$export?_type=Goal")
    kick_off(call, token, "/$export?_type=Patient")
    long_ago = datetime.now(UTC) - timedelta(hours=25)
    BulkJob.objects.filter(types=["Goal"]).update(created_at=long_ago, expires_at=long_ago + bulk_jobs.LIFETIME)
    call_command("purge")
    assert "1 bulk exports" in capsys.readouterr().out
    assert BulkJob.objects.get().types == ["Patient"]


def test_a_page_may_go_on_to_delete_an_export(sandbox: Behind, minted: Mint, call: Caller) -> None:
    job = kick_off(call, minted(EVERYTHING), "/$export?_type=Goal")
    for path in (job, f"{job}/1"):
        answer = call(path, method="OPTIONS", HTTP_ORIGIN="https://app.example.org")
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (204, "https://app.example.org")
        assert "DELETE" in answer["Access-Control-Allow-Methods"].split(", ")


def test_urls_of_the_upstream_are_stored_sealed(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    manifest(call, token, kick_off(call, token, "/$export?_type=Goal"))
    row = BulkJob.objects.get()
    assert row.completed_at is not None
    assert "127.0.0.1" not in row.sealed_status_url + row.sealed_files
    assert row.sealed_files


@pytest.mark.requirement("META-09")
def test_the_statement_claims_what_the_upstream_offers(small: Behind, call: Caller) -> None:
    document = call("/metadata").json()
    assert document["instantiates"] == ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"]
    (rest,) = document["rest"]
    assert [one["name"] for one in rest["operation"]] == ["export"]
    claimed = {
        one["type"]: operation["definition"]
        for one in rest["resource"]
        for operation in one.get("operation", [])
        if operation["name"] == "export"
    }
    assert claimed == {
        "Patient": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
        "Group": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export",
    }
