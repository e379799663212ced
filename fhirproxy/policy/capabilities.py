"""The upstream's CapabilityStatement, reduced to what the proxy lets through, with the SMART security block.

Source: FHIR R4 capabilitystatement; SMART App Launch 1.0 conformance, "Declaring support in the CapabilityStatement".
"""

from dataclasses import dataclass

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.bulk_capabilities import add_exports
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.operation_capabilities import offered_operations
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.parameters import search_parameter
from fhirproxy.policy.results import parse_include
from fhirproxy.policy.supported import Supported, read_supported
from fhirproxy.policy.switches import WriteSwitches
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

    oauth_uris: discovery name to URL, only of endpoints that exist.  writes: the tenant's switches.  extras: what the
    tenant adds, named for types that the upstream has.
    """
    source = upstream or {}
    date = source.get("date")
    rest: Resource = {"mode": "server", "security": security_block(oauth_uris)}
    server = _server(source)
    tenant = _Tenant(public_url, writes, extras, _operation_names(server), read_supported(source))
    listed = (_resource(one, tenant) for one in _objects(server, "resource"))
    resources: list[Json] = [one for one in listed if one is not None]
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


@dataclass(frozen=True, slots=True)
class _Tenant:
    """What a tenant's statement hangs on beside the upstream's."""

    public_url: str
    writes: WriteSwitches
    extras: Extras
    everywhere: frozenset[str]  # operations that the upstream has for all types
    supported: Supported


def _operation_names(parent: Resource) -> frozenset[str]:
    names = (one.get("name") for one in _objects(parent, "operation"))
    return frozenset(name.removeprefix("$") for name in names if isinstance(name, str))


def _resource(listed: Resource, tenant: _Tenant) -> Json:
    kind = listed.get("type")
    if not isinstance(kind, str) or not r4.is_resource_type(kind):
        return None
    offered = _codes(listed)
    written = written_interactions(kind, offered, tenant.writes)
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
        **write_details(written, offered, tenant.writes),
    }
    if "search-type" in offered:
        _add(reduced, "searchParam", _parameters(kind, listed, tenant.extras))
        _add(reduced, "searchInclude", _includes(kind, listed, "searchInclude", "_include"))
        _add(reduced, "searchRevInclude", _includes(kind, listed, "searchRevInclude", "_revinclude"))
    operations = offered_operations(
        kind,
        offered,
        _operation_names(listed) | tenant.everywhere,
        is_written=bool(written),
        supported=tenant.supported,
        extras=tenant.extras,
        public_url=tenant.public_url,
    )
    _add(reduced, "operation", operations)
    return reduced


def _parameters(kind: str, listed: Resource, extras: Extras) -> list[Json]:
    """Return what a type can be searched by. What the tenant adds is among it: the tenant knows its own server."""
    names = (one.get("name") for one in _objects(listed, "searchParam"))
    common = {name: search_parameter(kind, name) for name in names if isinstance(name, str)}
    added = {name: parameter for (place, name), parameter in extras.parameters.items() if place == kind}
    return [
        {"name": name, "type": parameter.type}
        for name, parameter in (common | added).items()
        if parameter is not None and parameter.type != "special"
    ]


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
