"""Transactions: entries that name each other, judged as what they will be, and written as one Bundle of ours.

Source: FHIR R4 http, "Transaction Processing Rules"; FHIR R4 bundle, "Resolving references in Bundles".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fhirproxy.policy.bodies import Json, Resource, write_json
from fhirproxy.policy.compartments import Checked, Known, Unchecked
from fhirproxy.policy.judging import Draft, copy_resource, require_sendable
from fhirproxy.policy.mentions import Mentions, renamed
from fhirproxy.policy.outcomes import bad_request, unprocessable
from fhirproxy.policy.references import Local
from fhirproxy.policy.write_plans import WritePlan


@dataclass(frozen=True, slots=True)
class Step:
    """One write of a transaction. `name`: the urn by which others refer to it, or empty."""

    plan: WritePlan
    checked: Checked
    version: str
    name: str = ""


@dataclass(slots=True)
class Names:
    """What the urns of one transaction stand for. A resource still to be created goes by its uuid until it is."""

    known_as: dict[str, Local] = field(default_factory=dict)
    created: dict[str, Local] = field(default_factory=dict)

    def add(self, urn: str, kind: str, resource_id: str) -> None:
        """Let `urn` stand for a resource; one without an id yet is one that will be created."""
        if not urn:
            return
        self.known_as[urn] = Local(kind, resource_id or urn.removeprefix("urn:uuid:"))
        if not resource_id:
            self.created[urn] = self.known_as[urn]

    @property
    def urns(self) -> dict[str, str]:
        """Return the address under which each resource to be created is judged, and its urn."""
        return {str(local): urn for urn, local in self.created.items()}


def require_one_write_each(plans: list[WritePlan]) -> None:
    """Raise FhirRefusal (400) when two entries write the same resource. Source: FHIR R4 http, "transaction"."""
    written = [(plan.type, plan.id) for plan in plans if plan.id]
    if len(written) != len(set(written)):
        raise bad_request("transaction.repeated", "two entries write the same resource")


def named(drafted: Draft, names: Names) -> Draft:
    """Return a draft in which every urn is the address of what it stands for, to be judged as that.

    Raises FhirRefusal (422) for a urn that no entry has, and for a body that writes such an address itself.
    """
    mentions = drafted.mentions
    if not mentions.urns <= names.known_as.keys():
        raise unprocessable("transaction.urn", "the body refers to a urn that no entry has")
    if mentions.locals & set(names.created.values()):
        raise unprocessable("write.reference", "the body refers to something absent or outside what this token reaches")
    addresses = {urn: str(names.known_as[urn]) for urn in mentions.urns}
    source = drafted.unchecked
    resource = copy_resource(source.resource)
    resource = {name: renamed(value, addresses, name) for name, value in resource.items()}
    reached = mentions.locals | {names.known_as[urn] for urn in mentions.urns}
    return Draft(replace(source, resource=resource), Mentions(reached, set(), mentions.is_unclear))


def known_with(known: Known, drafts: list[tuple[str, Draft]], names: Names, gone: frozenset[Local]) -> Known:
    """Return what is known as this transaction will leave it: with what it creates and changes, without what is gone.

    gone: what the transaction deletes. FHIR has deletes happen first, so nothing else in it can hang on them.
    """
    together = {**known, **{(local.type, local.id): None for local in gone}}
    for urn, drafted in drafts:
        unchecked: Unchecked = drafted.unchecked
        local = names.created.get(urn) or Local(unchecked.type, unchecked.id)
        if local.id:
            together[local.type, local.id] = {**unchecked.resource, "id": local.id}
    return together


def transaction_body(steps: tuple[Step, ...], urns: Mapping[str, str]) -> bytes:
    """Return the Bundle that is sent. Raises FhirRefusal (413)."""
    entries: list[Json] = [_entry(step, urns) for step in steps]
    return require_sendable(write_json({"resourceType": "Bundle", "type": "transaction", "entry": entries}))


def _entry(step: Step, urns: Mapping[str, str]) -> Resource:
    plan, checked = step.plan, step.checked
    address = f"{checked.type}/{checked.id}"
    tied: Resource = {"ifMatch": f'W/"{step.version}"'} if step.version else {}
    if plan.verb == "delete":
        return {"request": {"method": "DELETE", "url": address, **tied}}
    resource = renamed(checked.resource, urns)
    if plan.id:
        return {"resource": resource, "request": {"method": "PUT", "url": address, **tied}}
    name: Resource = {"fullUrl": step.name} if step.name else {}
    return {**name, "resource": resource, "request": {"method": "POST", "url": checked.type}}
