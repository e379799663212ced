"""Our audit records as FHIR R4 AuditEvents, in the style of the Basic Audit Log Patterns. Pure.

One event for each patient whose data it was, as the patterns have it. Source: FHIR R4 auditevent; IHE Basic Audit Log
Patterns (Read, Query, Create, Update, Delete and their Patient forms).
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from smartauth.policy.granting import parse_registered
from smartauth.policy.scopes import as_uri

Tree = dict[str, Any]
Outcome = Literal["0", "4", "8"]  # success, minor failure (the caller's), serious failure (ours or the upstream's)

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
PROFILES = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
ENTITY_TYPE = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"

# The interaction: its action, the pattern for it, and whether data flows from the server to the client.
# A query flows to the server, the patterns say, and so its client is the source.
INTERACTIONS: Mapping[str, tuple[str, str, bool]] = {
    "read": ("R", "Read", True),
    "vread": ("R", "Read", True),
    "history": ("R", "", True),
    "history-instance": ("R", "", True),
    "history-type": ("R", "", True),
    "history-system": ("R", "", True),
    "search-type": ("E", "Query", False),
    "search-system": ("E", "Query", False),
    "search-compartment": ("E", "", False),
    "create": ("C", "Create", False),
    "update": ("U", "Update", False),
    "patch": ("U", "Update", False),
    "delete": ("D", "Delete", False),
    "batch": ("E", "", False),
    "transaction": ("E", "", False),
    "operation": ("E", "", False),
}
# The details in which a consent and a token say which scopes they are for.
GRANTED = ("granted", "scope")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One fact of the audit trail. `key` is unique; `subject` is the user's `sub`, "" when nobody was signed in."""

    key: str
    at: datetime
    trace_id: str
    action: str  # "read", "search", "token", "administer", …
    rule: str
    client_id: str
    tenant: str
    subject: str
    patients: tuple[str, ...] = ()
    interaction: str = ""  # FHIR's name, for what was asked of the FHIR API
    resource_type: str = ""
    resource_id: str = ""
    query: str = ""
    remote_address: str = ""
    outcome: Outcome = "0"
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def audit_events(recorded: Recorded, *, issuer: str, fhir_base: str) -> tuple[Tree, ...]:
    """Return a record as AuditEvents: one for each patient, or one when no patient is known.

    issuer: our own URL, the system of subjects and client ids.  fhir_base: of the tenant, "" when the record has none.
    """
    return tuple(
        _event(recorded, patient, number, issuer, fhir_base)
        for number, patient in enumerate(recorded.patients or ("",), start=1)
    )


def _event(recorded: Recorded, patient: str, number: int, issuer: str, fhir_base: str) -> Tree:
    action, pattern, is_outwards = INTERACTIONS.get(recorded.interaction, ("E", "", False))
    event: Tree = {
        "resourceType": "AuditEvent",
        "id": f"{recorded.key}-{number}",
        "meta": {"profile": [PROFILES + ("Patient" if patient else "") + pattern]} if _fits(recorded, pattern) else {},
        "type": _type(recorded),
        "subtype": _subtypes(recorded, issuer),
        "action": action,
        "recorded": recorded.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": recorded.outcome,
        "outcomeDesc": recorded.reason,
        "agent": _agents(recorded, issuer, fhir_base, is_outwards=is_outwards),
        "source": {
            "site": recorded.tenant,
            "observer": {"identifier": {"value": issuer}},
            "type": [_coding(f"{TERMINOLOGY}/security-source-type", "4", "Application Server")],
        },
        "entity": _entities(recorded, patient),
    }
    return {name: member for name, member in event.items() if member not in ("", {}, [])} | {
        "source": {name: member for name, member in event["source"].items() if member != ""}
    }


def _fits(recorded: Recorded, pattern: str) -> bool:
    """The patterns are for success, and ask for a client on the network, and for what was read or asked."""
    has_object = bool(recorded.query) if pattern == "Query" else bool(recorded.resource_type)
    return bool(pattern and recorded.outcome == "0" and recorded.remote_address and recorded.client_id and has_object)


def _type(recorded: Recorded) -> Tree:
    if recorded.interaction or recorded.action in ("read", "search", "refuse"):
        return _coding(f"{TERMINOLOGY}/audit-event-type", "rest", "RESTful Operation")
    return _coding(DCM, "110100", "Application Activity")


def _subtypes(recorded: Recorded, issuer: str) -> list[Tree]:
    """Return FHIR's name of the interaction; what has none of its own is an operation, with our name beside it."""
    named = recorded.interaction or recorded.action
    own = _coding(f"{issuer}/audit-action", named, named)
    if not recorded.interaction:
        return [own]
    # R4 has no code of its own for a search within a compartment.
    code = "search" if recorded.interaction == "search-compartment" else recorded.interaction
    if recorded.interaction not in INTERACTIONS:
        return [_coding("http://hl7.org/fhir/restful-interaction", "operation", "operation"), own]
    return [_coding("http://hl7.org/fhir/restful-interaction", code, code)]


def _agents(recorded: Recorded, issuer: str, fhir_base: str, *, is_outwards: bool) -> list[Tree]:
    source, destination = ("110153", "Source Role ID"), ("110152", "Destination Role ID")
    client_role, server_role = (destination, source) if is_outwards else (source, destination)
    agents: list[Tree] = []
    if recorded.client_id:
        network = {"network": _network(recorded.remote_address)} if recorded.remote_address else {}
        agents.append(
            {
                "type": _concept(DCM, *client_role),
                "who": {"identifier": {"system": issuer, "value": recorded.client_id}},
                "requestor": not recorded.subject,
                **_policies(recorded),
                **network,
            }
        )
    agents.append(
        {
            "type": _concept(DCM, *server_role),
            "who": {"identifier": {"value": fhir_base or issuer}},
            "requestor": False,
            "network": {"address": fhir_base or issuer, "type": "5"},
        }
    )
    if recorded.subject:
        role = ("AUT", "author") if recorded.interaction in WRITES else ("IRCP", "information recipient")
        agents.append(
            {
                "type": _concept(f"{TERMINOLOGY}/v3-ParticipationType", *role),
                "who": {"identifier": {"system": issuer, "value": recorded.subject}},
                "requestor": True,
            }
        )
    return agents


def _policies(recorded: Recorded) -> Tree:
    """Return what was granted as URIs: `policy` takes nothing else."""
    granted = [recorded.details.get(name, "") for name in GRANTED]
    uris = [as_uri(scope) for text in granted if isinstance(text, str) for scope in parse_registered(text)]
    return {"policy": uris} if uris else {}


WRITES = frozenset({"create", "update", "patch", "delete"})


def _network(address: str) -> Tree:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return {"address": address, "type": "1"}
    return {"address": address, "type": "2"}


def _entities(recorded: Recorded, patient: str) -> list[Tree]:
    entities: list[Tree] = []
    if recorded.trace_id:
        request = {"system": ENTITY_TYPE, "code": "XrequestId"}
        entities.append({"what": {"identifier": {"value": recorded.trace_id}}, "type": request})
    if patient:
        entities.append(
            {
                "what": {"reference": f"Patient/{patient}"},
                "type": _coding(f"{TERMINOLOGY}/audit-entity-type", "1", "Person"),
                "role": _coding(f"{TERMINOLOGY}/object-role", "1", "Patient"),
            }
        )
    data = _coding(f"{TERMINOLOGY}/audit-entity-type", "2", "System Object")
    if INTERACTIONS.get(recorded.interaction, ("", "", True))[1] == "Query" and recorded.query:
        query = base64.b64encode(recorded.query.encode()).decode("ascii")
        role = _coding(f"{TERMINOLOGY}/object-role", "24", "Query")
        entities.append({"type": data, "role": role, "query": query})
    elif recorded.resource_type:
        what = f"{recorded.resource_type}/{recorded.resource_id}"
        reference = {"reference": what} if recorded.resource_id else {"type": recorded.resource_type}
        role = _coding(f"{TERMINOLOGY}/object-role", "4", "Domain Resource")
        entities.append({"what": reference, "type": data, "role": role})
    return [*entities, _decision(recorded)]


def _decision(recorded: Recorded) -> Tree:
    """Return why it was allowed or refused, and what it cost: by our own names."""
    said = {"rule": recorded.rule, **recorded.details}
    return {
        "type": _coding(f"{TERMINOLOGY}/audit-entity-type", "4", "Other"),
        "name": "decision",
        "detail": [
            {"type": name, "valueString": str(value)} for name, value in said.items() if value not in ("", None, [])
        ],
    }


def _concept(system: str, code: str, display: str) -> Tree:
    return {"coding": [_coding(system, code, display)]}


def _coding(system: str, code: str, display: str) -> Tree:
    return {"system": system, "code": code, "display": display}
