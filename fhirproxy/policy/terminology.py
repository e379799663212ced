"""Questions about codes: who may ask them, of which code systems and value sets, and what of an answer leaves.

A server may fetch what a URL names, so URLs are confined to hosts the tenant knows, and nothing is given inline.
Source: FHIR R4 terminology-service; FHIR R4 codesystem-, valueset- and conceptmap-operations.
"""

import re
from dataclasses import dataclass, field

from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.plans import CanonicalRequest, Deny, Limits, canonical_request, deny_letter
from fhirproxy.policy.results import SHAPE_NAMES, Shape, parse_shape
from fhirproxy.policy.targets import Pairs

CANONICAL = "canonical"  # a URL, possibly with a version
TEXT = "text"
_CODE = {"code": TEXT, "system": CANONICAL, "version": TEXT, "display": TEXT, "date": TEXT, "displayLanguage": TEXT}
# Operation and type to its parameters; those of complex types are not taken.
PARAMETERS: dict[tuple[str, str], dict[str, str]] = {
    ("$expand", "ValueSet"): {
        "url": CANONICAL, "valueSetVersion": TEXT, "filter": TEXT, "date": TEXT, "offset": TEXT, "count": TEXT,
        "includeDesignations": TEXT, "designation": TEXT, "includeDefinition": TEXT, "activeOnly": TEXT,
        "excludeNested": TEXT, "excludeNotForUI": TEXT, "excludePostCoordinated": TEXT, "displayLanguage": TEXT,
        "exclude-system": CANONICAL, "system-version": CANONICAL, "check-system-version": CANONICAL,
        "force-system-version": CANONICAL,
    },
    ("$lookup", "CodeSystem"): {
        "code": TEXT, "system": CANONICAL, "version": TEXT, "date": TEXT, "displayLanguage": TEXT, "property": TEXT,
    },
    ("$validate-code", "CodeSystem"): {**_CODE, "url": CANONICAL, "abstract": TEXT},
    ("$validate-code", "ValueSet"): {
        **_CODE, "url": CANONICAL, "valueSetVersion": TEXT, "systemVersion": TEXT, "abstract": TEXT,
    },
    ("$subsumes", "CodeSystem"): {"codeA": TEXT, "codeB": TEXT, "system": CANONICAL, "version": TEXT},
    ("$translate", "ConceptMap"): {
        "url": CANONICAL, "conceptMapVersion": TEXT, "code": TEXT, "system": CANONICAL, "version": TEXT,
        "source": CANONICAL, "target": CANONICAL, "targetsystem": CANONICAL, "reverse": TEXT,
    },
}  # fmt: skip
REPEATED = frozenset(
    {"property", "designation", "exclude-system", "system-version", "check-system-version", "force-system-version"}
)
URL = re.compile(r"(?:https?://|urn:)[A-Za-z0-9\-._~:/%?=&]{1,300}(?:\|[A-Za-z0-9.\-:/]{1,200})?")
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Terminology:
    """One question about codes. `pairs` are parameters it takes, in order; `id` None: asked of the type."""

    name: str
    type: str
    id: str | None
    pairs: Pairs
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True, slots=True)
class TerminologyPlan:
    """Ask, and give a resource of `result`, "ValueSet" or "Parameters". `type` and `id` are for the audit record."""

    request: CanonicalRequest
    type: str
    id: str
    interaction: str  # the operation's name
    result: str
    shape: Shape
    via: tuple[Grant, ...]
    rule: str = "allow"


def is_question(name: str, resource_type: str) -> bool:
    """Return True when a type has an operation of this name that asks about codes."""
    return (name, resource_type) in PARAMETERS


def parse_question(name: str, resource_type: str, resource_id: str | None, pairs: Pairs) -> Terminology:
    """Read a question about codes. Raises FhirRefusal."""
    known = PARAMETERS[name, resource_type]
    results: dict[str, list[str]] = {}
    asked: list[tuple[str, str]] = []
    for key, value in pairs:
        if key in SHAPE_NAMES - {"_elements", "_summary"}:
            results.setdefault(key, []).append(value)
            continue
        if key not in known:
            raise bad_request("operation.parameter", "the operation takes no such parameter", seen=key[:64])
        if key not in REPEATED and any(key == name for name, _ in asked):
            raise bad_request("query.repeated", f"{key} may occur once")
        if len(value) > MAX_TEXT or (known[key] == CANONICAL and URL.fullmatch(value) is None):
            raise bad_request("operation.value", f"the value of {key} cannot be read")
        asked.append((key, value))
    shape = parse_shape("Basic", results, for_search=False)
    return Terminology(name, resource_type, resource_id, tuple(asked), shape)


def decide_question(wanted: Terminology, authority: Authority, limits: Limits) -> TerminologyPlan | Deny:
    """Say what to ask upstream, or why not. Needs `r` on the type, without a filter."""
    via = authority.having("r", wanted.type)
    if not via:
        return deny_letter(authority, "r", wanted.type, "reading")
    # An answer cannot be held against a filter: it is not the resource the filter is about.
    whole = tuple(grant for grant in via if not (grant.filters or grant.instance))
    if not whole:
        return Deny("terminology.filtered", f"the grant for {wanted.type} has a filter, which no answer can be held to")
    known = PARAMETERS[wanted.name, wanted.type]
    for name, value in wanted.pairs:
        if known[name] == CANONICAL and not all(limits.knows_value_set(one) for one in _urls(value)):
            return Deny("terminology.host", f"{name} is not on a host this server knows")
    segments = (wanted.type, *((wanted.id,) if wanted.id else ()), wanted.name)
    return TerminologyPlan(
        canonical_request(segments, wanted.pairs),
        wanted.type,
        wanted.id or "",
        wanted.name,
        "ValueSet" if wanted.name == "$expand" else "Parameters",
        wanted.shape,
        whole,
    )


def _urls(value: str) -> list[str]:
    """Return the URLs in a canonical: a version may be a URL itself, as SNOMED CT's are."""
    url, _, version = value.partition("|")
    return [url, version] if "://" in version or version.startswith("urn:") else [url]
