"""The upstream's CapabilityStatement, reduced to what the proxy lets through, with the SMART security block.

Source: FHIR R4 capabilitystatement; SMART App Launch 1.0 conformance, "Declaring support in the CapabilityStatement".
"""

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.bulk_capabilities import add_exports
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.parameters import search_parameter
from fhirproxy.policy.results import parse_include
from fhirproxy.policy.switches import WriteSwitches
from fhirproxy.policy.terminology import PARAMETERS as QUESTIONS
from fhirproxy.policy.write_capabilities import system_interactions, write_details, written_interactions
from smartauth.policy import r4

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"
# What the extension calls the endpoints that discovery documents name.
OAUTH_URI_NAMES = (
    ("authorize", "authorization_endpoint"),
    ("token", "token_endpoint"),
    ("introspect", "introspection_endpoint"),
    ("revoke", "revocation_endpoint"),
    ("manage", "management_endpoint"),
    ("register", "registration_endpoint"),
)
INTERACTIONS = ("read", "vread", "history-instance", "history-type", "search-type")
SYSTEM_INTERACTIONS = ("search-system", "history-system")
PATIENT_COMPARTMENT = "http://hl7.org/fhir/CompartmentDefinition/patient"
# Operations we carry out ourselves, with the interaction they stand on: for every type, or for one.
OWN_OPERATIONS = (
    ("*", "meta", "read", "http://hl7.org/fhir/OperationDefinition/Resource-meta"),
    ("Observation", "lastn", "search-type", "http://hl7.org/fhir/OperationDefinition/Observation-lastn"),
)
# Operations we ask the upstream for: ours as long as they are its.
VALIDATE = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
PASSED_OPERATIONS = {
    ("Patient", "everything"): "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    ("DocumentReference", "docref"): "http://hl7.org/fhir/us/core/OperationDefinition/docref",
    **{
        (kind, name.removeprefix("$")): f"http://hl7.org/fhir/OperationDefinition/{kind}-{name.removeprefix('$')}"
        for name, kind in QUESTIONS
    },
}
UNKNOWN_DATE = "2020-01-01"


def reduce_capabilities(
    upstream: Resource | None,
    *,
    public_url: str,
    oauth_uris: dict[str, str],
    writes: WriteSwitches,
    extras: Extras = NO_EXTRAS,
) -> Resource:
    """Return our CapabilityStatement. `upstream` None: it did not answer, so no resources are claimed.

    oauth_uris: discovery name to URL, only of endpoints that exist.  writes: the tenant's switches.  extras: its own
    search parameters, named where the upstream has them.
    """
    source = upstream or {}
    date = source.get("date")
    rest: Resource = {"mode": "server", "security": security_block(oauth_uris)}
    server = _server(source)
    resources = _resources(server, writes, extras)
    if resources:
        rest["resource"] = resources
        rest["compartment"] = [PATIENT_COMPARTMENT]
        read: list[Json] = [{"code": code} for code in SYSTEM_INTERACTIONS if code in _codes(server)]
        rest["interaction"] = read + system_interactions(_codes(server), writes)
    patches: Resource = {"patchFormat": ["application/json-patch+json"]} if writes.levels else {}
    document: Resource = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date if isinstance(date, str) else UNKNOWN_DATE,
        "kind": "instance",
        "software": {"name": "FHIR access proxy"},
        "implementation": {"description": "FHIR API behind SMART on FHIR", "url": public_url},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        **patches,
        "rest": [rest],
    }
    add_exports(document, rest, source)
    return document


def security_block(oauth_uris: dict[str, str]) -> Resource:
    """Return `rest.security`: what a SMART client reads when it has no discovery document."""
    children: list[Json] = [
        {"url": child, "valueUri": oauth_uris[name]} for child, name in OAUTH_URI_NAMES if name in oauth_uris
    ]
    return {
        "extension": [{"url": OAUTH_URIS, "extension": children}],
        "cors": True,
        "service": [{"coding": [{"system": SERVICE, "code": "SMART-on-FHIR"}], "text": "SMART on FHIR"}],
    }


def _server(source: Resource) -> Resource:
    return next((one for one in _objects(source, "rest") if one.get("mode") == "server"), {})


def _codes(listed: Resource) -> set[Json]:
    codes = [one.get("code") for one in _objects(listed, "interaction")]
    return {code for code in codes if isinstance(code, str)}


def _resources(server: Resource, writes: WriteSwitches, extras: Extras) -> list[Json]:
    everywhere = _operation_names(server)
    found = [_resource(one, everywhere, writes, extras) for one in _objects(server, "resource")]
    return [one for one in found if one is not None]


def _operation_names(parent: Resource) -> frozenset[str]:
    names = (one.get("name") for one in _objects(parent, "operation"))
    return frozenset(name.removeprefix("$") for name in names if isinstance(name, str))


def _resource(listed: Resource, everywhere: frozenset[str], writes: WriteSwitches, extras: Extras) -> Json:
    kind = listed.get("type")
    if not isinstance(kind, str) or not r4.is_resource_type(kind):
        return None
    offered = _codes(listed)
    written = written_interactions(kind, offered, writes)
    read = [code for code in INTERACTIONS if code in offered]
    interactions: list[Json] = [{"code": code} for code in (*read, *written)]
    if not interactions:
        return None
    reduced: Resource = {
        "type": kind,
        "interaction": interactions,
        "versioning": "versioned" if "vread" in offered else "no-version",
        "readHistory": "vread" in offered and listed.get("readHistory") is True,
        "conditionalRead": "not-supported",
        **write_details(written, offered, writes),
    }
    if "search-type" in offered:
        _add(reduced, "searchParam", _parameters(kind, listed, extras))
        _add(reduced, "searchInclude", _includes(kind, listed, "searchInclude", "_include"))
        _add(reduced, "searchRevInclude", _includes(kind, listed, "searchRevInclude", "_revinclude"))
    _add(reduced, "operation", _operations(kind, offered, _operation_names(listed) | everywhere, written))
    return reduced


def _operations(kind: str, offered: set[Json], listed: frozenset[str], written: list[str]) -> list[Json]:
    own: list[Json] = [
        {"name": name, "definition": definition}
        for place, name, interaction, definition in OWN_OPERATIONS
        if place in ("*", kind) and interaction in offered
    ]
    passed: list[Json] = [
        {"name": name, "definition": definition}
        for (place, name), definition in PASSED_OPERATIONS.items()
        if place == kind and name in listed
    ]
    # A validation stands for a write, so it is for types that can be written.
    judged: list[Json] = [{"name": "validate", "definition": VALIDATE}] if written and "validate" in listed else []
    return own + passed + judged


def _parameters(kind: str, listed: Resource, extras: Extras) -> list[Json]:
    found: list[Json] = []
    for one in _objects(listed, "searchParam"):
        name = one.get("name")
        parameter = (
            (search_parameter(kind, name) or extras.parameters.get((kind, name))) if isinstance(name, str) else None
        )
        if parameter is not None and parameter.type != "special":
            found.append({"name": name, "type": parameter.type})
    return found


def _includes(kind: str, listed: Resource, name: str, parameter: str) -> list[Json]:
    values = listed.get(name)
    found: list[Json] = []
    for text in values if isinstance(values, list) else []:
        try:
            parse_include(kind, parameter, str(text))
        except FhirRefusal:
            continue
        found.append(text)
    return found


def _objects(parent: Resource, name: str) -> list[Resource]:
    values = parent.get(name)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _add(reduced: Resource, name: str, values: list[Json]) -> None:
    if values:
        reduced[name] = values
