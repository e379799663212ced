"""Values for tests of the pure policy: bases, accesses, authorities."""

from datetime import UTC, datetime
from typing import Any

from fhirproxy.policy.authority import Authority, Loaded, make_authority
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.compartments import Unchecked, find_unchecked
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.references import Bases, make_bases
from fhirproxy.policy.requests import Interaction, parse_request
from fhirproxy.policy.targets import parse_target
from smartauth.policy.access import UNRESTRICTED, Access, Restrictions
from smartauth.policy.granting import parse_registered
from smartauth.policy.scopes import ResourceScope

PUBLIC = "https://smart.example.org/fhir/north/r4"
UPSTREAM = "https://ehr.example.org:8443/api/v4"
ALIAS = "http://ehr.internal/fhir"
PREFIX = "/fhir/north/r4"
APP = frozenset({"authorization_code", "refresh_token"})
SERVICE = frozenset({"client_credentials"})


def bases() -> Bases:
    return make_bases(PUBLIC, (UPSTREAM, ALIAS))


def access_for(
    scope: str,
    patient: str | None = None,
    fhir_user: str | None = None,
    *,
    grant_types: frozenset[str] | None = None,
    restrictions: Restrictions = UNRESTRICTED,
    related: frozenset[str] = frozenset(),
) -> Access:
    words = scope.split()
    kinds = SERVICE if any(word.startswith("system/") for word in words) else APP
    return Access(
        tenant="north",
        client_id="growth-chart",
        subject="ana",
        scopes=tuple(scope for scope in parse_registered(" ".join(words)) if isinstance(scope, ResourceScope)),
        named_scopes=frozenset(word for word in words if "/" not in word),
        grant_types=kinds if grant_types is None else grant_types,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        patient=patient,
        fhir_user=fhir_user,
        related_patients=related,
        restrictions=restrictions,
    )


def authority_for(scope: str, patient: str | None = None, fhir_user: str | None = None, **more: Any) -> Authority:
    loaded = more.pop("loaded", Loaded())
    switches = {name: more.pop(name) for name in ("practitioner_access", "proxy_relations", "rules") if name in more}
    access = access_for(scope, patient, fhir_user, **more)
    return make_authority(access, bases(), loaded, **{"practitioner_access": "all", **switches})


def parsed(line: str, **headers: str) -> Interaction:
    """Parse `GET /Patient/ana` below the tenant's base."""
    method, _, path = line.partition(" ")
    return parse_request(method, parse_target(PREFIX + path, prefix=PREFIX), Headers(**headers), b"", bases())


def unchecked(resource: Resource) -> Unchecked:
    found = find_unchecked({"id": "x", **resource})
    assert found is not None
    return found
