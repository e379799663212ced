"""Attachments that stay: a document may be saved again although what it attaches does not say whose it is.

A Binary without a security context is opened by the documents that attach it, so a writer must not attach one. A
document that did so before and does so afterwards, about the same patient, opens nothing new. Source: FHIR R4 binary,
"Security Context".
"""

from fhirproxy.policy.attachments import REFERRER, REFERRERS, attached
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.compartments import Checked, Known, Unchecked, check
from fhirproxy.policy.jsonpatch import copy_tree
from fhirproxy.policy.mentions import take_mentions
from fhirproxy.policy.paths import STEPS
from fhirproxy.policy.references import Bases, Local, classify, find_local, values_at
from fhirproxy.policy.write_plans import WritePlan
from smartauth.policy import r4


def with_kept(plan: WritePlan, was: Checked, after: Checked, bases: Bases, known: Known) -> Known:
    """Return what is known, and that `was` opens each Binary which it attached and `after` at most still attaches.

    For judging what `after` refers to, and for nothing else: who may keep a reference may not write the Binary.
    was: the document as it is now, inside the authority.  after: the same one as it would be.
    """
    if not plan.switches.attached_binaries or was.type not in REFERRERS:
        return known
    if _patients(was, bases) != _patients(after, bases):  # It would be opened to somebody else.
        return known
    # Who may not read the document could find out what it attaches, guess by guess.
    if check(Unchecked(was.resource, was.type, was.id), plan.readers, "r", bases, known) is None:
        return known
    kept = attached(was.resource, bases)
    kept -= _mentioned_elsewhere(after.resource, kept, bases)
    return {**known, **{(REFERRER, name): was.resource for name in kept if _says_nothing(name, known)}}


def _patients(document: Checked, bases: Bases) -> frozenset[str]:
    """Return every patient who has a part in a document; a tenant's rules may count each of them."""
    facts = r4.memberships()[document.type]
    paths = (*facts.primary, *facts.secondary)
    found = (classify(value, bases) for path in paths for value in values_at(document.resource, STEPS[path]))
    return frozenset(who.id for who in found if isinstance(who, Local))


def _mentioned_elsewhere(resource: Resource, kept: frozenset[str], bases: Bases) -> frozenset[str]:
    """A reference in another place, or in another form, is a new one."""
    bare: Resource = {name: copy_tree(value) for name, value in resource.items()}
    for path in r4.elements(str(resource["resourceType"])).attachments:
        for attachment in values_at(bare, STEPS[path]):
            url = attachment.get("url") if isinstance(attachment, dict) else None
            local = find_local(url, bases) if isinstance(url, str) else None
            if local is not None and (local.type, local.version) == ("Binary", None) and local.id in kept:
                del attachment["url"]  # type: ignore[union-attr, arg-type]
    return frozenset(local.id for local in take_mentions(bare, bases).locals if local.type == "Binary")


def _says_nothing(binary: str, known: Known) -> bool:
    """Say whether a Binary is there and has no security context, which would outrank every document."""
    found = known.get(("Binary", binary))
    return found is not None and "securityContext" not in found
