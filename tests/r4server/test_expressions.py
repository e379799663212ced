"""Search parameter expressions: all of them load, and the plain walk agrees with the FHIRPath library."""

import pytest

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.facts import resource_types, search_parameter_definitions
from fhirproxy.r4server.population import generate
from fhirproxy.r4server.search.fhirpath import compile_expression
from fhirproxy.r4server.search.parameters import find_parameter, parameter_kind, parameter_names
from fhirproxy.r4server.search.paths import Node, find_plain_path
from fhirproxy.r4server.search.references import referenced_type


@pytest.mark.parametrize("resource_type", ["Observation", "Patient", "MolecularSequence", "Bundle", "Device"])
def test_every_parameter_that_is_advertised_can_be_evaluated(resource_type: str) -> None:
    for name in parameter_names(resource_type):
        parameter = find_parameter(resource_type, name)
        assert parameter is not None
        assert parameter.kind == parameter_kind(resource_type, name)
        for alternative in parameter.alternatives:
            alternative.evaluate(Node({"resourceType": resource_type}, resource_type))


def test_every_type_can_be_searched_by_id_and_time() -> None:
    for resource_type in resource_types():
        assert {"_id", "_lastUpdated"} <= set(parameter_names(resource_type))


def test_the_plain_walk_reaches_what_the_library_reaches() -> None:
    samples: dict[str, list[JsonObject]] = {}
    for resource in generate("small"):
        samples.setdefault(resource["resourceType"], []).append(resource)
    compared = 0
    for resource_type, resources in samples.items():
        for definition in search_parameter_definitions().get(resource_type, {}).values():
            for operand in definition.get("expr", "").split(" | "):
                plain = find_plain_path(operand)
                if plain is None:
                    continue
                by_library = compile_expression(operand)
                for resource in resources:
                    start = Node(resource, resource_type)
                    assert [node.value for node in plain.walk(start)] == [node.value for node in by_library(start)]
                    compared += 1
    assert compared > 500


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"reference": "Patient/ana"}, "Patient"),
        ({"reference": "Patient/ana/_history/2"}, "Patient"),
        ({"reference": "https://other.example.org/fhir/Patient/ana"}, "Patient"),
        ({"reference": "Group/ana"}, "Group"),
        ({"reference": "Group/ana", "type": "Patient"}, "Group"),
        ({"type": "Patient", "identifier": {"value": "1"}}, "Patient"),
        ({"reference": "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11", "type": "Patient"}, "Patient"),
        ({"reference": "#p"}, "Patient"),
        ({"reference": "#q"}, None),
        ({"reference": "Nonsense/ana"}, None),
        ("Patient/ana", None),
    ],
)
def test_the_type_a_reference_points_to_is_told_without_resolving_it(reference: object, expected: str | None) -> None:
    assert referenced_type(reference, {"contained": [{"resourceType": "Patient", "id": "p"}]}) == expected
