"""The check every resource passes before it may leave: is it inside the authority?

Strict membership: a resource is a patient's when everybody it is about is authorised; other roles count only when it is
about nobody. A tenant may loosen this for reading (`membership.py`). Narrowing a query is convenience, this is the
enforcement. Source: FHIR R4 compartmentdefinition-patient, read strictly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhirproxy.policy.attachments import REFERRER, attached
from fhirproxy.policy.authority import Everyone, Grant, is_operator_allowed
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.constraints import matches
from fhirproxy.policy.membership import STRICT, MembershipRules
from fhirproxy.policy.paths import STEPS
from fhirproxy.policy.references import Bases, Local, Opaque, Other, Referent, classify, is_id, values_at
from smartauth.policy import r4

MAX_TARGETS = 10
WRITING = frozenset("cud")
_SEAL = object()

# Resources that were fetched because a decision hangs on them; None: absent.
Known = Mapping[tuple[str, str], Resource | None]
NOTHING_KNOWN: Known = {}


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A resource as the upstream gave it: parsed, of a known type, with an id, and not yet judged."""

    resource: Resource
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A resource inside the authority. Only `check` makes one."""

    resource: Resource
    type: str
    id: str
    via: Grant
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only the check makes a checked resource")


def find_unchecked(tree: object) -> Unchecked | None:
    """Return the tree as a resource to be checked, or None when it has no known type or no id."""
    if not isinstance(tree, dict):
        return None
    kind, resource_id = tree.get("resourceType"), tree.get("id")
    if not (
        isinstance(kind, str) and r4.is_resource_type(kind) and isinstance(resource_id, str) and is_id(resource_id)
    ):
        return None
    return Unchecked(tree, kind, resource_id)


def check(
    unchecked: Unchecked, grants: tuple[Grant, ...], letters: str, bases: Bases, known: Known = NOTHING_KNOWN
) -> Checked | None:
    """Return the resource as checked when one grant with any of `letters` admits it, else None.

    What is shown inside a document must be visible by itself, to whoever reads it.
    """
    # However a tenant reads compartments: what is written must be about the patient, or one could write about another.
    is_writing = any(letter in WRITING for letter in letters)
    if not is_writing and not _shows_what_it_may(unchecked, grants, letters, bases):
        return None
    for grant in grants:
        rules = STRICT if is_writing else grant.rules
        if any(grant.permits(letter, unchecked.type) for letter in letters) and admits(
            grant, unchecked, bases, known, rules
        ):
            return Checked(unchecked.resource, unchecked.type, unchecked.id, grant, _SEAL)
    return None


def _shows_what_it_may(unchecked: Unchecked, grants: tuple[Grant, ...], letters: str, bases: Bases) -> bool:
    entries = unchecked.resource.get("entry") if unchecked.type == "Bundle" else None
    for entry in entries if isinstance(entries, list) else ():
        inside = entry.get("resource") if isinstance(entry, dict) else None
        if inside is None:
            continue
        found = _in_document(inside)
        # One level: a document within a document is not looked through.
        if found is None or found.type == "Bundle" or check(found, grants, letters, bases) is None:
            return False
    return True


def _in_document(tree: object) -> Unchecked | None:
    """Return what stands in a document. It need not have an id there; without one it is nobody's own record."""
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(kind, str) or not r4.is_resource_type(kind):
        return None
    resource_id = tree.get("id")
    return Unchecked(tree, kind, resource_id if isinstance(resource_id, str) else "")


def admits(grant: Grant, unchecked: Unchecked, bases: Bases, known: Known, rules: MembershipRules = STRICT) -> bool:
    """Say whether the patients, the instance and the filter of one grant admit a resource of a permitted type."""
    if grant.instance and unchecked.id != grant.instance:
        return False
    if r4.memberships()[unchecked.type].cls == "operator":
        if not is_operator_allowed(grant, unchecked.type):
            return False
    elif not isinstance(grant.patients, Everyone) and not is_member(unchecked, grant.patients, bases, known, rules):
        return False
    return not grant.filters or matches(unchecked.resource, grant.filters, bases)


def needed(unchecked: Unchecked, bases: Bases) -> tuple[Local, ...]:
    """Return the resources of ours on which membership of this one hangs, to be fetched before the check."""
    cls = r4.memberships()[unchecked.type].cls
    if cls not in ("derived-targets", "derived-binary"):
        return ()
    about = _at(unchecked, r4.memberships()[unchecked.type].primary, bases)
    targets = [who.target for who in about if isinstance(who, Other)]
    found = tuple(dict.fromkeys(target for target in targets if target is not None))
    return found if len(found) <= MAX_TARGETS else ()


def is_member(
    unchecked: Unchecked,
    patients: frozenset[str],
    bases: Bases,
    known: Known = NOTHING_KNOWN,
    rules: MembershipRules = STRICT,
) -> bool:
    """Say whether a resource lies inside the compartments of `patients`, by the rule of its class."""
    facts = r4.memberships()[unchecked.type]
    match facts.cls:
        case "patient-self":
            return unchecked.id in patients
        case "shared":
            return rules.shared_read
        case "compartment" if rules.is_formal:
            return _names_one(_at(unchecked, [*facts.primary, *facts.secondary], bases), patients)
        case "compartment":
            return _is_about(unchecked, facts, patients, bases, any_of=unchecked.type in rules.any_of)
        case "conditional":
            about = _at(unchecked, facts.primary, bases)
            is_named = any(isinstance(who, Local) for who in about)
            return not _names_stranger(about, patients) and (is_named or rules.shared_read)
        case "derived-targets":
            return _derives(_at(unchecked, facts.primary, bases), patients, bases, known, rules)
        case "derived-binary":
            about = _at(unchecked, facts.primary, bases)
            if about:  # It says whose it is, and then nothing else counts.
                return _derives(about, patients, bases, known, rules)
            return _is_attached(unchecked, patients, bases, known, rules)
        case "document":
            return _document_is_member(unchecked, patients, bases, rules)
    return False  # Operator types, and any class this code does not know.


def _is_about(
    unchecked: Unchecked, facts: r4.Membership, patients: frozenset[str], bases: Bases, *, any_of: bool
) -> bool:
    about = _at(unchecked, facts.primary, bases)
    if any_of and _names_one(about, patients):
        return not any(isinstance(who, Opaque) for who in about)
    if _names_stranger(about, patients):
        return False
    if any(isinstance(who, Local) for who in about):
        return True
    if about:  # It is about a group, a device or a place: nobody's record.
        return False
    return _names_one(_at(unchecked, facts.secondary, bases), patients)


def _names_one(about: tuple[Referent, ...], patients: frozenset[str]) -> bool:
    return any(isinstance(who, Local) and who.id in patients for who in about)


def _names_stranger(about: tuple[Referent, ...], patients: frozenset[str]) -> bool:
    return any(isinstance(who, Opaque) or (isinstance(who, Local) and who.id not in patients) for who in about)


def _derives(
    about: tuple[Referent, ...], patients: frozenset[str], bases: Bases, known: Known, rules: MembershipRules
) -> bool:
    if not about or len(about) > MAX_TARGETS:
        return False
    for who in about:
        match who:
            case Local(id=resource_id):
                if resource_id not in patients:
                    return False
            case Other(target=Local() as target):
                if not _known_is_member(target, patients, bases, known, rules):
                    return False
            case _:
                return False
    return True


def _is_attached(
    unchecked: Unchecked, patients: frozenset[str], bases: Bases, known: Known, rules: MembershipRules
) -> bool:
    referrer = find_unchecked(known.get((REFERRER, unchecked.id)))
    if referrer is None or unchecked.id not in attached(referrer.resource, bases):
        return False
    return _at_one_level(referrer, patients, bases, rules)


def _known_is_member(
    target: Local, patients: frozenset[str], bases: Bases, known: Known, rules: MembershipRules
) -> bool:
    found = find_unchecked(known.get((target.type, target.id)))
    if found is None or (found.type, found.id) != (target.type, target.id):
        return False
    return _at_one_level(found, patients, bases, rules)


def _document_is_member(unchecked: Unchecked, patients: frozenset[str], bases: Bases, rules: MembershipRules) -> bool:
    entries = unchecked.resource.get("entry")
    if not isinstance(entries, list) or not entries:
        return False
    for entry in entries:
        found = find_unchecked(entry.get("resource")) if isinstance(entry, dict) else None
        if found is None or not _at_one_level(found, patients, bases, rules):
            return False
    return True


def _at_one_level(unchecked: Unchecked, patients: frozenset[str], bases: Bases, rules: MembershipRules) -> bool:
    """What hangs on something else again is not followed: no recursion a writer could steer."""
    if r4.memberships()[unchecked.type].cls in ("derived-targets", "derived-binary", "document"):
        return False
    return is_member(unchecked, patients, bases, rules=rules)


def _at(unchecked: Unchecked, paths: list[str], bases: Bases) -> tuple[Referent, ...]:
    return tuple(classify(value, bases) for path in paths for value in values_at(unchecked.resource, STEPS[path]))
