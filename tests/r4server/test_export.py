"""Bulk export of the small server: what a proxy in front of it has to withstand must really happen.

Bulk Data Access IG.
"""

import gzip
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.r4server.caller import Caller

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def leaky(sandbox: Caller) -> Caller:
    sandbox.send("PUT", "/_mode", {"mode": "leaky"})
    return sandbox


def started(caller: Caller, target: str, body: object = None) -> str:
    """Kick an export off and return the path of its status."""
    answer = caller.send("GET" if body is None else "POST", target, body, **ASYNC)
    assert answer.status == 202, answer.body
    return urlsplit(answer.headers["content-location"]).path


def manifest(caller: Caller, target: str, body: object = None) -> dict[str, Any]:
    status = started(caller, target, body)
    first = caller.send("GET", status)
    assert (first.status, first.headers["retry-after"]) == (202, "1")
    return caller.send("GET", status).json


def keys(caller: Caller, target: str, body: object = None) -> set[str]:
    found = set()
    for output in manifest(caller, target, body)["output"]:
        for line in caller.send("GET", urlsplit(output["url"]).path).body.splitlines():
            resource = json.loads(line)
            found.add(f"{resource['resourceType']}/{resource['id']}")
    return found


def test_a_whole_export_has_every_type(sandbox: Caller) -> None:
    document = manifest(sandbox, "$export")
    assert document["request"].endswith("/$export")
    assert len({output["type"] for output in document["output"]}) > 20


LEVELS = [
    # kick-off                               holds                     and not
    ("$export?_type=Patient,Practitioner", "Practitioner/dr-grey", "Condition/ben-problem-1"),
    ("Patient/$export", "Condition/ben-problem-1", "Practitioner/dr-grey"),
    ("Group/ana-and-ben/$export?_type=Patient,Goal", "Goal/ana-goal", "Practitioner/dr-grey"),
    ("Patient/$export?patient=Patient/ana", "Goal/ana-goal", "Condition/ben-problem-1"),
    ("$export?_type=Goal&_typeFilter=Goal%3Fpatient%3DPatient%252Fana", "Goal/ana-goal", "Goal/ben-goal"),
    ("$export?_type=Goal,Patient&_since=2000-01-01T00:00:00Z", "Goal/ana-goal", "Condition/ben-problem-1"),
]


@pytest.mark.parametrize(("target", "inside", "outside"), LEVELS)
def test_levels_and_filters(sandbox: Caller, target: str, inside: str, outside: str) -> None:
    found = keys(sandbox, target)
    assert inside in found
    assert outside not in found


def test_parameters_may_be_posted(sandbox: Caller) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Goal"},
            {"name": "patient", "valueReference": {"reference": "Patient/ana"}},
        ],
    }
    assert keys(sandbox, "Patient/$export", body) == {"Goal/ana-goal"}


def test_a_leaky_export_ignores_its_limits_and_slips_other_types_in(leaky: Caller) -> None:
    found = keys(leaky, "Patient/$export?_type=Goal&patient=Patient/ana")
    assert {"Goal/ana-goal", "Goal/ben-goal", "Patient/ana"} <= found
    assert any(key.startswith("AuditEvent/") for key in found) == any(
        key.startswith("AuditEvent/") for key in keys(leaky, "$export?_type=AuditEvent")
    )


def test_files_are_compressed_for_who_takes_that(sandbox: Caller) -> None:
    (output,) = manifest(sandbox, "$export?_type=Goal")["output"]
    path = urlsplit(output["url"]).path
    plain = sandbox.send("GET", path)
    packed = sandbox.send("GET", path, Accept_Encoding="gzip")
    assert plain.headers["content-type"] == "application/fhir+ndjson"
    assert gzip.decompress(packed.body) == plain.body


REFUSED = [
    ("GET", "$export", {}, 400),
    ("GET", "$export?_type=Nothing", ASYNC, 400),
    ("GET", "$export?_outputFormat=csv", ASYNC, 400),
    ("GET", "$export?_since=now", ASYNC, 400),
    ("GET", "$export?made=up", ASYNC, 400),
    ("GET", "Group/nobody/$export", ASYNC, 404),
    ("GET", "Observation/$export", ASYNC, 405),
    ("GET", "_export/nothing", {}, 404),
    ("GET", "_export/nothing/0", {}, 404),
    ("DELETE", "_export/nothing", {}, 404),
]


@pytest.mark.parametrize(("method", "target", "headers", "status"), REFUSED)
def test_refusals(sandbox: Caller, method: str, target: str, headers: dict[str, str], status: int) -> None:
    assert sandbox.send(method, target, **headers).status == status


def test_a_cancelled_export_is_gone(sandbox: Caller) -> None:
    status = started(sandbox, "$export?_type=Goal")
    assert sandbox.send("DELETE", status).status == 202
    assert sandbox.send("GET", status).status == 404
