"""Decide: an interaction and an authority to a plan of upstream requests, or a refusal that says why.

Pure: no clock, no database, no network. Unknown means deny. Source: SMART 2.2 scopes-and-launch-context; FHIR R4 http.
"""

import re
from collections.abc import Mapping

from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bulk_requests import BulkCancel, BulkExport, BulkFile, BulkStatus
from fhirproxy.policy.compartments import Checked, Unchecked
from fhirproxy.policy.history import decide_history, decide_version
from fhirproxy.policy.judging import require_sendable, version_of, write_body
from fhirproxy.policy.narrowing import decide_search
from fhirproxy.policy.operating import Plan, decide_operation, read_instance
from fhirproxy.policy.operations import DocRef, Everything, LastN, Meta
from fhirproxy.policy.own_operations import OwnOperation, OwnOperationPlan, decide_own_operation
from fhirproxy.policy.plans import (
    CanonicalRequest,
    Deny,
    Limits,
    canonical_request,
    canonical_write,
    upstream_link_request,
)
from fhirproxy.policy.references import Bases
from fhirproxy.policy.requests import (
    Bundled,
    Capabilities,
    Create,
    Delete,
    History,
    Interaction,
    Operation,
    Page,
    Patch,
    Read,
    SearchCompartment,
    SearchSystem,
    SearchType,
    Update,
    VRead,
)
from fhirproxy.policy.targets import Pairs
from fhirproxy.policy.terminology import Terminology
from fhirproxy.policy.transactions import Step, transaction_body
from fhirproxy.policy.validation import Validate
from fhirproxy.policy.validation_plans import ValidationPlan, decide_validation, validation_body
from fhirproxy.policy.wider_searches import decide_compartment_search, decide_system_search
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.policy.writes import decide_write

# Operations FHIR R4 and its guides define; naming one that exists nowhere is naming no place at all.
KNOWN_OPERATIONS = frozenset(
    {
        "$everything", "$lastn", "$docref", "$expand", "$lookup", "$validate-code", "$translate", "$subsumes",
        "$validate", "$export", "$meta", "$graphql", "$match", "$member-match", "$merge", "$process-message", "$import",
        "$expunge", "$reindex", "$meta-add", "$meta-delete", "$apply", "$evaluate-measure", "$convert", "$diff",
        "$stats", "$find", "$document", "$summary", "$submit", "$bulk-delete", "$closure", "$conforms", "$graph",
        "$implements", "$populate", "$snapshot", "$transform", "$versions", "$data-requirements",
    }
)  # fmt: skip
AnyPlan = Plan | WritePlan | ValidationPlan | OwnOperationPlan
LONGEST_LINK = 16 * 1024
LINK = re.compile(r"(?P<path>[A-Za-z0-9\-._~/$]*)(?:\?(?P<query>[\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x7e]*))?")


def decide(wanted: Interaction, authority: Authority, limits: Limits) -> AnyPlan | Deny:
    """Say what to fetch for `wanted` or what to write, or why not.

    Capabilities and pages never come here, since they have no letter; bulk data has decisions of its own.
    Raises FhirRefusal for the body of a write.
    """
    match wanted:
        case Read():
            return read_instance(wanted.type, wanted.id, wanted.shape, authority)
        case SearchType():
            return decide_search(wanted.type, wanted.query, authority, limits)
        case VRead():
            return decide_version(wanted.type, wanted.id, wanted.version, wanted.shape, authority)
        case History():
            return decide_history(wanted.type, wanted.id, wanted.query, authority, limits)
        case Create() | Update() | Patch() | Delete():
            return decide_write(wanted, authority, limits)
        case SearchSystem() | SearchCompartment():
            return _decide_wider(wanted, authority, limits)
        case Everything() | LastN() | DocRef() | Meta() | Terminology():
            return decide_operation(wanted, authority, limits)
        case OwnOperation():
            return decide_own_operation(wanted, authority)
        case Validate():
            return decide_validation(wanted, authority, limits)
        case Bundled() | Operation():
            return _not_offered(wanted)
        case Capabilities() | Page() | BulkExport() | BulkStatus() | BulkCancel() | BulkFile():
            raise AssertionError(wanted)


def _decide_wider(wanted: SearchSystem | SearchCompartment, authority: Authority, limits: Limits) -> Plan | Deny:
    if isinstance(wanted, SearchSystem):
        return decide_system_search(wanted.wanted, authority, limits)
    return decide_compartment_search(wanted.compartment, wanted.id, wanted.type, wanted.query, authority, limits)


def _not_offered(wanted: Bundled | Operation) -> Deny:
    if isinstance(wanted, Bundled):
        return Deny("interaction.bundle", "a batch or transaction has no place inside another")
    if wanted.name in KNOWN_OPERATIONS:
        return Deny("interaction.operation", f"the operation {wanted.name} is not offered")
    return Deny(
        "interaction.unknown_operation",
        "there is no such operation",
        status=404,
        issue="not-found",
        fix="Use an operation that /metadata lists.",
    )


def follow_link(url: str, bases: Bases) -> CanonicalRequest | None:
    """Return the request for a page link the upstream gave, or None when it leads off its bases."""
    rest = next((rest for base in bases.upstream if (rest := base.relative(url)) is not None), None)
    return None if rest is None else resume_link(rest)


def resume_link(rest: str) -> CanonicalRequest | None:
    """Return the request for what followed the base in a page link, or None when it is not plainly a path and query."""
    if len(rest) > LONGEST_LINK or rest.startswith("/") or LINK.fullmatch(rest) is None or "//" in rest.split("?")[0]:
        return None
    return upstream_link_request(rest)


def read_for_ourselves(resource_type: str, resource_id: str) -> CanonicalRequest:
    """Return the request for a resource a decision hangs on; its content never reaches the client by this way."""
    return canonical_request((resource_type, resource_id))


def search_for_ourselves(resource_type: str, pairs: Pairs) -> CanonicalRequest:
    """Return the request for a search a decision hangs on; what it finds never reaches the client by this way."""
    return canonical_request((resource_type,), pairs)


def write_request(verb: str, checked: Checked, version: str) -> CanonicalRequest:
    """Return the request that writes what was checked, or deletes it, if it is still at `version` (empty: whichever).

    `verb`: create, update, patch or delete; a patch is sent as the update it amounts to. Raises FhirRefusal (413).
    """
    if verb == "create":
        return canonical_write("POST", (checked.type,), write_body(checked), version="")
    if verb == "delete":
        return canonical_write("DELETE", (checked.type, checked.id), version=version)
    return canonical_write("PUT", (checked.type, checked.id), write_body(checked), version=version)


def validation_request(plan: ValidationPlan, checked: Checked) -> CanonicalRequest:
    """Return the request that has the upstream look at a write that was judged. Raises FhirRefusal (413)."""
    segments = (plan.type, checked.id, "$validate") if plan.mode == "delete" else (plan.type, "$validate")
    return canonical_write("POST", segments, require_sendable(validation_body(plan, checked)), version="")


def transaction_request(steps: tuple[Step, ...], urns: Mapping[str, str]) -> CanonicalRequest:
    """Return one transaction of writes that were each checked.

    urns: the address under which an entry that is still to be created was judged, and its name in this transaction.
    Raises FhirRefusal (413).
    """
    return canonical_write("POST", (), transaction_body(steps, urns), version="")


def undo_request(found: Unchecked) -> CanonicalRequest:
    """Return the request that takes back what a create of ours became, when it became something else than was sent."""
    return canonical_write("DELETE", (found.type, found.id), version=version_of(found.resource, ""))


def read_capabilities() -> CanonicalRequest:
    """Return the request for the upstream's CapabilityStatement."""
    return canonical_request(("metadata",))
