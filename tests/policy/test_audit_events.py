"""Audit records as FHIR R4 AuditEvents.  FHIR R4 auditevent; IHE Basic Audit Log Patterns."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from smartauth.policy.audit_events import PROFILES, Recorded, audit_events

READ = Recorded(
    key="audit-7",
    at=datetime(2026, 3, 1, 12, 0, 0, 5_000, tzinfo=UTC),
    trace_id="6f1c",
    action="read",
    rule="allow",
    client_id="growth-chart",
    tenant="north",
    subject="a-subject",
    patients=("ana",),
    interaction="read",
    resource_type="Observation",
    resource_id="o1",
    query="Observation/o1",
    remote_address="192.0.2.7",
    details={"scopes": "patient/*.rs", "checked": 1, "switches": ""},
)
SEARCH = replace(READ, action="search", interaction="search-type", resource_id="", query="Observation?patient=ana")


def events(recorded: Recorded) -> tuple[dict[str, Any], ...]:
    return audit_events(recorded, issuer="https://a.example.org", fhir_base="https://a.example.org/fhir/north/r4")


def only(recorded: Recorded) -> dict[str, Any]:
    (event,) = events(recorded)
    return event


def roles(event: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [
        (one["type"]["coding"][0]["code"], one["who"]["identifier"]["value"], one["requestor"])
        for one in event["agent"]
    ]


@pytest.mark.requirement("SCOPE-22")
@pytest.mark.parametrize("name", ["granted", "scope"])
def test_what_was_granted_is_told_as_uris(name: str) -> None:
    details = {name: "openid patient/Observation.read unreadable", "asked": "openid patient/*.read"}
    consent = replace(READ, action="consent", interaction="", resource_type="", query="", details=details)
    assert only(consent)["agent"][0]["policy"] == [
        "http://openid.net/specs/openid-connect-core-1_0#openid",
        "http://smarthealthit.org/fhir/scopes/patient/Observation.read",
    ]
    assert "policy" not in only(replace(consent, details={"asked": "openid", name: ""}))["agent"][0]
    assert not [one for one in only(READ)["agent"] if "policy" in one]


def test_a_read_says_who_read_what_of_whom() -> None:
    event = only(READ)
    assert (event["resourceType"], event["id"], event["recorded"]) == (
        *("AuditEvent", "audit-7-1", "2026-03-01T12:00:00.005Z"),
    )
    assert (event["type"]["code"], event["subtype"][0]["code"], event["action"]) == ("rest", "read", "R")
    assert (event["outcome"], event["meta"]["profile"]) == ("0", [f"{PROFILES}PatientRead"])
    assert roles(event) == [
        ("110152", "growth-chart", False),
        ("110153", "https://a.example.org/fhir/north/r4", False),
        ("IRCP", "a-subject", True),
    ]
    assert event["agent"][0]["network"] == {"address": "192.0.2.7", "type": "2"}
    request, patient, data, decision = event["entity"]
    assert (request["type"]["code"], request["what"]["identifier"]["value"]) == ("XrequestId", "6f1c")
    assert (patient["what"], patient["role"]["code"]) == ({"reference": "Patient/ana"}, "1")
    assert (data["what"], data["role"]["code"]) == ({"reference": "Observation/o1"}, "4")
    assert {one["type"]: one["valueString"] for one in decision["detail"]} == {
        "rule": "allow",
        "scopes": "patient/*.rs",
        "checked": "1",
    }


def test_a_search_keeps_its_query_in_base64_and_flows_the_other_way() -> None:
    event = only(SEARCH)
    assert (event["action"], event["meta"]["profile"]) == ("E", [f"{PROFILES}PatientQuery"])
    assert roles(event)[:2] == [
        ("110153", "growth-chart", False),
        ("110152", "https://a.example.org/fhir/north/r4", False),
    ]
    query = event["entity"][2]
    assert base64.b64decode(query["query"]) == b"Observation?patient=ana"
    assert (query["role"]["code"], "what" in query) == ("24", False)


def test_each_patient_has_an_event_and_none_has_one_too() -> None:
    two = events(replace(SEARCH, patients=("ana", "ben")))
    assert [one["id"] for one in two] == ["audit-7-1", "audit-7-2"]
    assert [one["entity"][1]["what"]["reference"] for one in two] == ["Patient/ana", "Patient/ben"]
    alone = only(replace(SEARCH, patients=()))
    assert alone["meta"]["profile"] == [f"{PROFILES}Query"]
    assert [one["type"]["code"] for one in alone["entity"]] == ["XrequestId", "2", "4"]


def test_without_a_user_the_client_is_the_requestor() -> None:
    event = only(replace(READ, subject=""))
    assert [(code, requestor) for code, _, requestor in roles(event)] == [("110152", True), ("110153", False)]


INTERACTIONS = [
    # interaction, subtype, action, the pattern it fits
    ("vread", "vread", "R", "PatientRead"),
    ("history-instance", "history-instance", "R", ""),
    ("search-compartment", "search", "E", ""),
    ("search-system", "search-system", "E", "PatientQuery"),
    ("create", "create", "C", "PatientCreate"),
    ("update", "update", "U", "PatientUpdate"),
    ("patch", "patch", "U", "PatientUpdate"),
    ("delete", "delete", "D", "PatientDelete"),
    ("batch", "batch", "E", ""),
    ("operation", "operation", "E", ""),
]


@pytest.mark.parametrize(("interaction", "subtype", "action", "pattern"), INTERACTIONS)
def test_interactions_have_their_codes(interaction: str, subtype: str, action: str, pattern: str) -> None:
    event = only(replace(READ, interaction=interaction, action=interaction))
    assert (event["subtype"][0]["code"], event["action"]) == (subtype, action)
    assert event.get("meta", {"profile": [""]})["profile"] == [pattern and PROFILES + pattern]


@pytest.mark.parametrize("name", ["$everything", "bulk-start"])
def test_what_fhir_has_no_name_for_is_an_operation_with_ours_beside_it(name: str) -> None:
    event = only(replace(READ, interaction=name))
    assert [one["code"] for one in event["subtype"]] == ["operation", name]
    assert (event["type"]["code"], event["action"], "meta" in event) == ("rest", "E", False)


@pytest.mark.parametrize(("outcome", "status"), [("4", 403), ("8", 502)])
def test_a_refusal_says_so_and_fits_no_pattern_of_success(outcome: Any, status: int) -> None:
    refused = replace(READ, action="refuse", outcome=outcome, reason="no scope", details={"status": status})
    event = only(refused)
    assert (event["outcome"], event["outcomeDesc"], "meta" in event) == (outcome, "no scope", False)


@pytest.mark.parametrize("action", ["token", "administer", "receipt.read"])
def test_what_is_no_fhir_request_is_an_act_of_ours(action: str) -> None:
    act = Recorded("audit-8", READ.at, "", action, "r", "", "", "a-subject")
    event = only(act)
    assert (event["type"]["code"], event["subtype"][0]["code"], event["action"]) == ("110100", action, "E")
    assert [code for code, _, _ in roles(event)] == ["110152", "IRCP"]
    assert "site" not in event["source"]


@pytest.mark.parametrize(
    "change", [{"remote_address": ""}, {"client_id": ""}, {"resource_type": "", "resource_id": ""}], ids=str
)
def test_a_pattern_is_named_only_where_it_fits(change: dict[str, str]) -> None:
    assert "meta" not in only(replace(READ, **change))


@pytest.mark.parametrize("recorded", [READ, SEARCH, replace(READ, outcome="4", reason="x"), replace(READ, subject="")])
def test_no_member_is_empty(recorded: Recorded) -> None:
    def walk(value: Any) -> None:
        assert value not in ("", None, [], {})
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(one)

    for event in events(recorded):
        walk(event)
