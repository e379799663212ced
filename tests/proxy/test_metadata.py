"""The CapabilityStatement: public, reduced to what is let through, true about the endpoints that exist.

FHIR R4 capabilitystatement; SMART App Launch 1.0 conformance; Fetch standard, CORS.
"""

from typing import Any

import pytest

from clients.models import Tenant
from fhirproxy import statement
from fhirproxy.policy.capabilities import reduce_capabilities
from fhirproxy.policy.switches import WriteSwitches
from smartauth import endpoints
from tests.proxy.conftest import PUBLIC, Behind, Caller, forget_statement

READING = ["read", "vread", "history-instance", "history-type", "search-type"]

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


def resource(document: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in document["rest"][0]["resource"] if one["type"] == kind)
    return found


@pytest.mark.requirement("META-05", "META-08", "CORS-01", "CORS-02", "T-47", "PROXY-07")
def test_it_is_public_and_reduced(small: Behind, call: Caller) -> None:
    response = call("/metadata")
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response["Cache-Control"] == "public, max-age=600"
    document = response.json()
    assert (document["kind"], document["format"], document["implementation"]["url"]) == ("instance", ["json"], PUBLIC)
    observation = resource(document, "Observation")
    codes = [one["code"] for one in observation["interaction"]]
    assert codes == [
        *("read", "vread", "history-instance", "history-type", "search-type"),
        *("create", "update", "patch", "delete"),
    ]
    assert (observation["versioning"], observation["readHistory"]) == ("versioned", True)
    assert (observation["updateCreate"], observation["conditionalRead"]) == (False, "not-supported")
    names = {one["name"] for one in observation["searchParam"]}
    assert {"patient", "code", "date", "_id", "_lastUpdated"} <= names
    assert not names & {"_text", "_content", "_query", "_source"}
    assert "*" not in observation["searchInclude"]
    assert "Observation:subject" in observation["searchInclude"]
    assert small.running.base_url not in response.content.decode()
    assert "Small R4 server" not in response.content.decode()


@pytest.mark.requirement("META-08")
def test_it_says_what_can_be_written(small: Behind, call: Caller) -> None:
    document = call("/metadata").json()
    assert document["patchFormat"] == ["application/json-patch+json"]
    assert document["rest"][0]["interaction"][-2:] == [{"code": "batch"}, {"code": "transaction"}]
    observation = resource(document, "Observation")
    assert (observation["conditionalCreate"], observation["conditionalUpdate"]) == (True, True)
    assert (observation["conditionalDelete"], observation["updateCreate"]) == ("single", False)
    endpoint = resource(document, "Endpoint")
    assert [one["code"] for one in endpoint["interaction"]] == READING
    Tenant.objects.update(policy={"writes": "off"})
    document = call("/metadata").json()
    assert "patchFormat" not in document
    assert document["rest"][0]["interaction"][-1:] == [{"code": "batch"}]
    observation = resource(document, "Observation")
    assert [one["code"] for one in observation["interaction"]] == READING
    assert (observation["conditionalCreate"], observation["conditionalDelete"]) == (False, "not-supported")


@pytest.mark.requirement("META-08")
def test_operations_are_those_that_work(small: Behind, call: Caller) -> None:
    document = call("/metadata").json()
    names = {
        kind: {one["name"] for one in resource(document, kind)["operation"]}
        for kind in ("Patient", "Observation", "DocumentReference", "ValueSet", "CodeSystem", "ConceptMap", "Condition")
    }
    assert names == {
        "Patient": {"meta", "everything", "export", "validate"},
        "Observation": {"meta", "lastn", "validate"},
        "DocumentReference": {"meta", "docref", "validate"},
        "ValueSet": {"meta", "expand", "validate-code", "validate"},
        "CodeSystem": {"meta", "lookup", "validate-code", "subsumes", "validate"},
        "ConceptMap": {"meta", "translate", "validate"},
        "Condition": {"meta", "validate"},
    }
    (rest,) = document["rest"]
    assert rest["compartment"] == ["http://hl7.org/fhir/CompartmentDefinition/patient"]
    assert [one["code"] for one in rest["interaction"]][:2] == ["search-system", "history-system"]


@pytest.mark.requirement("META-08")
def test_nothing_is_claimed_that_the_upstream_does_not_offer() -> None:
    upstream: dict[str, Any] = {
        "rest": [
            {"mode": "client", "resource": [{"type": "Condition", "interaction": [{"code": "read"}]}]},
            {
                "mode": "server",
                "interaction": [{"code": "transaction"}],
                "operation": [{"name": "expunge"}, {"name": "$everything"}],
                "resource": [
                    {"type": "Patient", "interaction": [{"code": "read"}, {"code": "delete"}], "readHistory": True},
                    {"type": "Observation", "interaction": [{"code": "read"}], "operation": [{"name": "lastn"}]},
                    {"type": "Group", "interaction": [{"code": "create"}]},
                    {"type": "Nothing", "interaction": [{"code": "read"}]},
                ],
            },
        ]
    }
    nothing = WriteSwitches(levels=frozenset())
    (rest,) = reduce_capabilities(upstream, public_url=PUBLIC, oauth_uris={}, writes=nothing)["rest"]
    assert rest["interaction"] == [{"code": "batch"}]
    assert [one["type"] for one in rest["resource"]] == ["Patient", "Observation"]
    patient, observation = rest["resource"]
    assert [one["code"] for one in patient["interaction"]] == ["read"]
    assert (patient["versioning"], patient["readHistory"]) == ("no-version", False)
    assert [one["name"] for one in patient["operation"]] == ["meta", "everything"]
    assert [one["name"] for one in observation["operation"]] == ["meta"]


VALIDATING = [
    # the upstream's operations   who may write          offered
    (["validate"], frozenset({"user"}), True),
    ([], frozenset({"user"}), False),
    (["validate"], frozenset(), False),
]


@pytest.mark.parametrize(("listed", "levels", "is_offered"), VALIDATING)
def test_validation_is_claimed_where_there_are_writes_and_the_upstream_validates(
    listed: list[str], levels: frozenset[str], is_offered: bool
) -> None:
    interactions: Any = [{"code": "read"}, {"code": "create"}]
    goal: Any = {"type": "Goal", "interaction": interactions, "operation": [{"name": name} for name in listed]}
    upstream: Any = {"rest": [{"mode": "server", "resource": [goal]}]}
    writes = WriteSwitches(levels=levels)
    document = reduce_capabilities(upstream, public_url=PUBLIC, oauth_uris={}, writes=writes)
    names = [one["name"] for one in resource(document, "Goal")["operation"]]
    assert ("validate" in names) is is_offered


@pytest.mark.requirement("META-06", "META-07", "META-08", "T-46")
def test_the_security_block_names_what_exists(small: Behind, call: Caller) -> None:
    security = call("/metadata").json()["rest"][0]["security"]
    assert security["cors"] is True
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    (extension,) = security["extension"]
    assert extension["url"] == OAUTH_URIS
    advertised = endpoints.advertised("sandbox")
    assert {one["url"]: one["valueUri"] for one in extension["extension"]} == {
        short: advertised[name]
        for short, name in (
            ("authorize", "authorization_endpoint"),
            ("token", "token_endpoint"),
            ("introspect", "introspection_endpoint"),
            ("revoke", "revocation_endpoint"),
            ("manage", "management_endpoint"),
            ("register", "registration_endpoint"),
        )
        if name in advertised
    }


def test_it_is_asked_for_once_in_ten_minutes(small: Behind, call: Caller) -> None:
    forget_statement()
    for _ in range(3):
        assert call("/metadata").status_code == 200
    assert small.targets() == ["metadata"]
    assert call("/metadata", method="HEAD").content == b""
    assert call("/metadata?_format=json&_pretty=true").status_code == 200


def test_wrong_spellings_are_not_it(small: Behind, call: Caller) -> None:
    assert call("/metadata/").status_code == 404
    assert call("//metadata").status_code == 400
    assert call("/metadata?mode=full").status_code == 400
    assert call("/metadata", HTTP_ACCEPT="application/fhir+xml").status_code == 406
    preflight = call("/metadata", method="OPTIONS", HTTP_ORIGIN="https://any.example")
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (204, "*")


def test_the_last_good_copy_outlives_the_upstream(small: Behind, call: Caller) -> None:
    before = call("/metadata").json()
    statement._copies.clear()
    small.fail(kind="html")
    assert call("/metadata").json() == before


@pytest.mark.requirement("META-05")
def test_without_any_copy_no_resources_are_claimed(small: Behind, call: Caller) -> None:
    forget_statement()
    small.fail(kind="status", status=500)
    response = call("/metadata")
    assert response.status_code == 200
    (rest,) = response.json()["rest"]
    assert "resource" not in rest
    assert rest["security"]["cors"] is True
