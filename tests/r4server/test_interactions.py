"""Read, create, update, delete, and the versions they make."""

from email.utils import parsedate_to_datetime

import pytest

from tests.r4server.caller import Caller

WEIGHT = {"resourceType": "Observation", "id": "w1", "status": "final", "code": {"text": "Weight"}}


def test_a_read_says_which_version_it_is_and_when_it_was_written(sandbox: Caller) -> None:
    answer = sandbox.send("GET", "Patient/ana")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.json["meta"]["versionId"] == "1"
    written_at = parsedate_to_datetime(answer.headers["last-modified"])
    assert answer.json["meta"]["lastUpdated"].startswith(written_at.strftime("%Y-%m-%dT%H:%M:%S"))


def test_a_read_that_names_the_current_version_is_answered_without_a_body(sandbox: Caller) -> None:
    assert sandbox.send("GET", "Patient/ana", If_None_Match='W/"1"').status == 304
    assert sandbox.send("GET", "Patient/ana", If_None_Match='W/"2"').status == 200


def test_a_create_chooses_the_id_and_says_where_the_resource_is(scratch: Caller) -> None:
    answer = scratch.send("POST", "Observation", WEIGHT)
    created = answer.json
    assert answer.status == 201
    assert created["id"] != "w1"
    assert answer.headers["location"] == f"{scratch.server.base_url}/Observation/{created['id']}/_history/1"
    assert scratch.send("GET", f"Observation/{created['id']}").json == created


def test_an_update_creates_then_replaces_and_earlier_versions_stay_readable(scratch: Caller) -> None:
    assert scratch.send("PUT", "Observation/w1", WEIGHT).status == 201
    changed = scratch.send("PUT", "Observation/w1", WEIGHT | {"status": "amended"})
    assert (changed.status, changed.headers["etag"]) == (200, 'W/"2"')
    assert scratch.send("GET", "Observation/w1").json["status"] == "amended"
    assert scratch.send("GET", "Observation/w1/_history/1").json["status"] == "final"
    assert scratch.send("GET", "Observation/w1/_history/3").status == 404


@pytest.mark.parametrize(
    ("method", "if_match", "status"),
    [
        ("PUT", 'W/"1"', 200),
        ("PUT", 'W/"7"', 412),
        ("DELETE", 'W/"1"', 204),
        ("DELETE", 'W/"7"', 412),
    ],
)
def test_if_match_guards_a_write_against_a_version_that_moved_on(
    scratch: Caller, method: str, if_match: str, status: int
) -> None:
    scratch.send("PUT", "Observation/w1", WEIGHT)
    answer = scratch.send(method, "Observation/w1", WEIGHT if method == "PUT" else None, If_Match=if_match)
    assert answer.status == status
    unchanged = scratch.send("GET", "Observation/w1/_history/2").status == 404
    assert unchanged is (status == 412)


def test_a_deleted_resource_is_gone_but_can_come_back(scratch: Caller) -> None:
    scratch.send("PUT", "Observation/w1", WEIGHT)
    assert scratch.send("DELETE", "Observation/w1").status == 204
    gone = scratch.send("GET", "Observation/w1")
    assert (gone.status, gone.json["issue"][0]["code"]) == (410, "deleted")
    assert scratch.search("Observation").matches == []
    assert scratch.send("DELETE", "Observation/w1").status == 204
    assert scratch.send("PUT", "Observation/w1", WEIGHT).headers["etag"] == 'W/"3"'


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("GET", "Patient/nobody", None, 404, "not-found"),
        ("GET", "Nonsense/ana", None, 404, "not-supported"),
        ("PUT", "Observation/other", WEIGHT, 400, "invalid"),
        ("PUT", "Patient/w1", WEIGHT, 400, "invalid"),
        ("POST", "Patient", WEIGHT, 400, "invalid"),
        ("PUT", "Observation/w_1", WEIGHT | {"id": "w_1"}, 400, "invalid"),
        ("PATCH", "Patient/ana", {}, 405, "not-supported"),
        ("GET", "Patient/ana/$graph", None, 405, "not-supported"),
    ],
)
def test_what_cannot_be_done_is_answered_with_an_operation_outcome(
    scratch: Caller, method: str, target: str, body: object, status: int, code: str
) -> None:
    answer = scratch.send(method, target, body)
    assert (answer.status, answer.json["resourceType"]) == (status, "OperationOutcome")
    assert answer.json["issue"][0]["code"] == code


@pytest.mark.parametrize(("content_type", "body", "status"), [
    ("application/fhir+json", '{"resourceType":"Observation","status":"final"}', 201),
    ("application/json", '{"resourceType":"Observation","status":"final"}', 201),
    ("application/fhir+xml", "<Observation/>", 415),
    ("application/fhir+json", '{"resourceType":"Observation"', 400),
    ("application/fhir+json", "[]", 400),
])  # fmt: skip
def test_a_create_needs_a_resource_in_json(scratch: Caller, content_type: str, body: str, status: int) -> None:
    assert scratch.send("POST", "Observation", body, Content_Type=content_type).status == status


def test_decimals_keep_every_digit_they_came_with(scratch: Caller) -> None:
    literal = "70.1000000000000000000000000000001"
    body = f'{{"resourceType":"Observation","id":"d","valueQuantity":{{"value":{literal},"unit":"1.50"}}}}'
    scratch.send("PUT", "Observation/d", body, Content_Type="application/fhir+json")
    assert f'"value":{literal},'.encode() in scratch.send("GET", "Observation/d").body


def test_head_sends_the_header_of_a_read_and_no_body(sandbox: Caller) -> None:
    read, head = sandbox.send("GET", "Patient/ana"), sandbox.send("HEAD", "Patient/ana")
    assert head.body == b""
    assert head.headers["content-length"] == str(len(read.body))


def test_the_capability_statement_names_every_type_with_its_interactions_and_parameters(sandbox: Caller) -> None:
    statement = sandbox.send("GET", "metadata").json
    resources = {each["type"]: each for each in statement["rest"][0]["resource"]}
    assert statement["fhirVersion"] == "4.0.1"
    assert len(resources) == 146
    observation = resources["Observation"]
    assert {each["code"] for each in observation["interaction"]} >= {"read", "create", "update", "delete"}
    assert {"name": "subject", "type": "reference"} in observation["searchParam"]
    assert "Observation:subject" in observation["searchInclude"]


@pytest.mark.parametrize("bearer", [None, "wrong"])
@pytest.mark.parametrize("target", ["Patient/ana", "Patient?_id=ana", "metadata", "/_received", "/_nowhere"])
def test_every_url_demands_the_credential(sandbox: Caller, target: str, bearer: str | None) -> None:
    answer = sandbox.send("GET", target, bearer=bearer)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json["issue"][0]["code"] == "login"
