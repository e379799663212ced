"""Whose bytes are these? A Binary that does not say it itself is told by the documents that attach it.

Source: FHIR R4 binary, "Security Context"; FHIR R4 datatypes, Attachment.
"""

from dataclasses import dataclass

from fhirproxy.policy.authority import Authority, Everyone, Grant, union, within
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.paths import STEPS
from fhirproxy.policy.plans import SearchPlan, canonical_request
from fhirproxy.policy.references import Bases, find_local, values_at
from fhirproxy.policy.results import Shape
from smartauth.policy import r4

# Types whose attachments open a Binary to whoever may read them.
REFERRERS = ("DocumentReference", "DiagnosticReport", "Media")
REFERRER = "referrer of Binary"  # the key of such a document among what is known; no type is called so
MOST_REFERRERS = 500  # documents of one type looked at
MOST_PATIENTS = 50  # beyond, only a securityContext opens a Binary
PAGE = 100


def attached(resource: Resource, bases: Bases) -> frozenset[str]:
    """Return the ids of the Binaries of ours that a resource attaches."""
    kind = resource.get("resourceType")
    found = set()
    for path in r4.elements(kind).attachments if isinstance(kind, str) and kind in REFERRERS else ():
        for attachment in values_at(resource, STEPS[path]):
            url = attachment.get("url") if isinstance(attachment, dict) else None
            local = find_local(url, bases) if isinstance(url, str) else None
            if local is not None and local.type == "Binary" and local.version is None:
                found.add(local.id)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class ReferrerSearch:
    """Where to look for documents that attach something, and the grants by which they may be read."""

    type: str
    plan: SearchPlan


def referrer_searches(via: tuple[Grant, ...], authority: Authority) -> tuple[ReferrerSearch, ...]:
    """Return the searches for documents about the patients of the Binary grants `via` that may be read themselves."""
    reach = union([grant.patients for grant in via])
    found = []
    for kind in REFERRERS:
        grants = tuple(grant for grant in authority.having("r", kind) if not grant.instance)
        patients = within(reach, union([grant.patients for grant in grants]))
        narrow = r4.memberships()[kind].narrow
        if isinstance(patients, Everyone) or not 0 < len(patients) <= MOST_PATIENTS or narrow is None:
            continue
        named = ",".join(f"Patient/{one}" for one in sorted(patients))
        pairs = ((narrow, named), ("_count", str(PAGE)))
        found.append(ReferrerSearch(kind, _plan(kind, grants, pairs)))
    return tuple(found)


def _plan(kind: str, grants: tuple[Grant, ...], pairs: tuple[tuple[str, str], ...]) -> SearchPlan:
    return SearchPlan(
        request=canonical_request((kind,), pairs),
        type=kind,
        via=grants,
        count=MOST_REFERRERS,
        pairs=pairs,
        includes=(),
        shape=Shape(),
        is_full=False,
        total="none",
    )
