"""From an Access to grants: whose data, of which types, with which letters, within which filter.

Each grant is judged alone and an answer is their union. A grant over no patient is no grant.
Source: SMART 2.2 scopes-and-launch-context, "Scopes for requesting FHIR Resources" and "Scopes for requesting identity
data".
"""

import hashlib
from dataclasses import dataclass

from fhirproxy.policy.constraints import Filters, is_supported
from fhirproxy.policy.membership import STRICT, MembershipRules
from fhirproxy.policy.references import Bases, Local, find_local, is_id
from smartauth.policy import r4
from smartauth.policy.access import Access
from smartauth.policy.scopes import Level, ResourceScope

# SMART 2.2 names these as what fhirUser may be; PractitionerRole is how many servers name a clinician at work.
CLINICIANS = frozenset({"Practitioner", "PractitionerRole"})
USER_TYPES = frozenset({"Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"})


@dataclass(frozen=True, slots=True)
class Everyone:
    """All patients. A value of its own, so that an empty set can never be mistaken for it."""


EVERYONE = Everyone()
Patients = frozenset[str] | Everyone


def within(one: Patients, other: Patients) -> Patients:
    """Return the patients in both."""
    if isinstance(one, Everyone):
        return other
    return one if isinstance(other, Everyone) else one & other


def union(sets: list[Patients]) -> Patients:
    """Return the patients in any of them."""
    ids: set[str] = set()
    for one in sets:
        if isinstance(one, Everyone):
            return EVERYONE
        ids |= one
    return frozenset(ids)


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing the token may do. `patients` is never an empty set."""

    level: Level
    resource: str  # a FHIR resource type, or "*"
    letters: str
    patients: Patients
    filters: Filters = ()
    instance: str = ""  # a logical id: this one resource of the type and no other
    operator_types: frozenset[str] = frozenset()
    rules: MembershipRules = STRICT

    @property
    def is_full(self) -> bool:
        """Return True when nothing but the type confines this grant."""
        return isinstance(self.patients, Everyone) and not self.filters and not self.instance

    def permits(self, letter: str, resource_type: str) -> bool:
        """Return True when the grant has `letter` for a type, patients and filters aside."""
        return letter in self.letters and self.resource in ("*", resource_type)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Facts about people that had to be read upstream, with our own credentials, before grants could be made."""

    group_members: frozenset[str] = frozenset()  # patients in the Groups the client is restricted to
    related_patients: frozenset[str] = frozenset()  # the patient of an active RelatedPerson who is the user
    panel: frozenset[str] = frozenset()  # patients on the panel of a clinician who is the user


def user_of(access: Access, bases: Bases) -> Local | None:
    """Return the resource that fhirUser names on our own base, or None."""
    found = find_local(access.fhir_user or "", bases)
    return found if found is not None and found.version is None and found.type in USER_TYPES else None


def make_grants(
    access: Access,
    bases: Bases,
    loaded: Loaded,
    *,
    practitioner_access: str,
    proxy_relations: bool = True,
    rules: MembershipRules = STRICT,
) -> tuple[Grant, ...]:
    """Return every grant of a token. Scopes that reach nobody, or that cannot be judged, are left out.

    practitioner_access: "all", "panel" or "none", what a clinician reaches as one.  proxy_relations: whether stored
    relations to other patients count at the tenant.  rules: how the tenant reads compartments.
    """
    limit = _client_limit(access, loaded)
    reach = _user_reach(access, bases, loaded, practitioner_access, proxy_relations=proxy_relations)
    grants = []
    for scope in access.scopes:
        patients = within(_patients(scope, access, reach), limit)
        if patients and is_supported(scope.resource, scope.filters, bases):
            operator_types = access.restrictions.operator_types if scope.level == "system" else frozenset()
            grants.append(
                Grant(
                    scope.level, scope.resource, scope.permissions, patients, scope.filters, "", operator_types, rules
                )
            )
    me = _own_record(access, bases, limit)
    return (*grants, me) if me else tuple(grants)


def _client_limit(access: Access, loaded: Loaded) -> Patients:
    restrictions = access.restrictions
    if restrictions.patients is None and restrictions.groups is None:
        return EVERYONE
    return (restrictions.patients or frozenset()) | (loaded.group_members if restrictions.groups else frozenset())


def is_panel_bound(access: Access, user: Local | None, practitioner_access: str) -> bool:
    """Return True when the user is a clinician who reaches a panel only: the tenant says so, or the client's limits."""
    if user is None or user.type not in CLINICIANS:
        return False
    return practitioner_access == "panel" or (practitioner_access == "all" and access.restrictions.panel)


def _user_reach(
    access: Access, bases: Bases, loaded: Loaded, practitioner_access: str, *, proxy_relations: bool
) -> Patients:
    """Return whom the user may act for: by what they are here, and by relation, for which they need not be anything."""
    counts = proxy_relations and access.restrictions.proxy_relations
    related = access.related_patients if counts else frozenset()
    user = user_of(access, bases)
    if is_panel_bound(access, user, practitioner_access):
        return related | loaded.panel
    match user:
        case Local(type="Patient", id=patient):
            return related | {patient}
        case Local(type="RelatedPerson"):
            return related | loaded.related_patients
        case Local(type="Practitioner" | "PractitionerRole") if practitioner_access == "all":
            return EVERYONE
    return related


def _patients(scope: ResourceScope, access: Access, reach: Patients) -> Patients:
    nobody: frozenset[str] = frozenset()
    match scope.level:
        case "system":
            return EVERYONE if "client_credentials" in access.grant_types else nobody
        case "user":
            return reach if "authorization_code" in access.grant_types else nobody
        case "patient":
            patient = access.patient
            if "authorization_code" not in access.grant_types or patient is None or not is_id(patient):
                return nobody
            # Only a token that says of nobody that they are signed in can do without rights of theirs.
            is_without_user = access.user is None and access.fhir_user is None
            return frozenset({patient}) if is_without_user else within(frozenset({patient}), reach)


def _own_record(access: Access, bases: Bases, limit: Patients) -> Grant | None:
    """`openid fhirUser` lets an app read the one resource that says who is signed in, and nothing else."""
    user = user_of(access, bases)
    asked = {"openid", "fhirUser"} <= access.named_scopes and "authorization_code" in access.grant_types
    if user is None or not asked or not limit:
        return None
    return Grant("user", user.type, "r", limit, (), user.id)


def reaches_all(grants: tuple[Grant, ...], resource_type: str) -> bool:
    """Return True when nothing of a type can be hidden from who holds these grants.

    Never of Bundle: what is in one may be of types that even those who reach everybody do not see.
    """
    return resource_type != "Bundle" and any(grant.is_full for grant in grants)


def patients_digest(grants: tuple[Grant, ...]) -> str:
    """Return a short text that is the same exactly for the same union of patient sets."""
    patients = union([grant.patients for grant in grants])
    text = "*" if isinstance(patients, Everyone) else ",".join(sorted(patients))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Authority:
    """What one request may touch: the grants, and what is needed to say what is missing."""

    grants: tuple[Grant, ...]
    scopes: tuple[ResourceScope, ...]
    level: Level  # the context in which a missing scope is suggested
    bases: Bases
    binary: str = "referenced"  # how a Binary shows whose it is: "security-context", "referenced", or "deny": never

    def having(self, letters: str, resource_type: str) -> tuple[Grant, ...]:
        """Return the grants with any of `letters` for a type; operator types only where they are allowed by name."""
        return tuple(
            grant
            for grant in self.grants
            if any(grant.permits(letter, resource_type) for letter in letters)
            and _reaches(grant, resource_type)
            and (resource_type != "Binary" or self.binary != "deny" or grant.is_full)
        )


def _reaches(grant: Grant, resource_type: str) -> bool:
    match r4.memberships()[resource_type].cls:
        case "operator":
            return is_operator_allowed(grant, resource_type)
        case "shared":
            return isinstance(grant.patients, Everyone) or grant.rules.shared_read
    return True


def make_authority(
    access: Access,
    bases: Bases,
    loaded: Loaded,
    *,
    practitioner_access: str,
    proxy_relations: bool = True,
    binary: str = "referenced",
    rules: MembershipRules = STRICT,
) -> Authority:
    """Return the authority of a token. See `make_grants` and `Authority.binary`."""
    grants = make_grants(
        access,
        bases,
        loaded,
        practitioner_access=practitioner_access,
        proxy_relations=proxy_relations,
        rules=rules,
    )
    if "authorization_code" not in access.grant_types:
        return Authority(grants, access.scopes, "system", bases, binary)
    return Authority(grants, access.scopes, "patient" if access.patient else "user", bases, binary)


def is_operator_allowed(grant: Grant, resource_type: str) -> bool:
    """Return True when the client may see this operator type: by name, with system/ scopes only."""
    return grant.level == "system" and resource_type in grant.operator_types
