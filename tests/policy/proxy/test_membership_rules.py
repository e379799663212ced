"""Switches of a tenant that change whose a resource is: formal compartments, overrides by type, shared types."""

from itertools import product
from typing import Any

import pytest

from fhirproxy.policy.authority import Grant
from fhirproxy.policy.compartments import check, is_member
from fhirproxy.policy.decisions import decide
from fhirproxy.policy.membership import STRICT, MembershipRules
from fhirproxy.policy.plans import Deny, Limits, ReadPlan, SearchPlan
from smartauth.policy import r4
from tests.policy.proxy.building import authority_for, bases, parsed, unchecked

ANA, BEN = ({"reference": f"Patient/{name}"} for name in ("ana", "ben"))
GROUP, DOCTOR = {"reference": "Group/g"}, {"reference": "Practitioner/p"}
FOREIGN = {"reference": "https://x.example/Patient/ana"}
FORMAL = MembershipRules(is_formal=True)
ANY = MembershipRules(any_of=frozenset({"Appointment", "Account"}))
CLOSED = MembershipRules(shared_read=False)


def meeting(*actors: Any) -> dict[str, Any]:
    return {"participant": [{"actor": actor} for actor in actors]}


MEMBERS: list[tuple[str, dict[str, Any], bool, MembershipRules, bool]] = [
    # type, elements, a member for ana when read strictly, other rules, and by those
    ("Observation", {"subject": ANA}, True, FORMAL, True),
    ("Observation", {"subject": BEN}, False, FORMAL, False),
    ("Observation", {"subject": BEN, "performer": [ANA]}, False, FORMAL, True),
    ("Observation", {"subject": BEN, "performer": [DOCTOR]}, False, FORMAL, False),
    ("Observation", {"subject": BEN, "focus": [ANA]}, False, FORMAL, False),
    ("Observation", {"subject": GROUP, "performer": [ANA]}, False, FORMAL, True),
    ("Observation", {"subject": FOREIGN}, False, FORMAL, False),
    ("Observation", {"subject": FOREIGN, "performer": [ANA]}, False, FORMAL, True),
    ("Account", {"subject": [ANA, BEN]}, False, FORMAL, True),
    ("Account", {"subject": []}, False, FORMAL, False),
    ("Appointment", meeting(ANA, BEN), False, ANY, True),
    ("Appointment", meeting(BEN), False, ANY, False),
    ("Appointment", meeting(DOCTOR), False, ANY, False),
    ("Appointment", meeting(ANA, FOREIGN), False, ANY, False),
    ("Appointment", meeting(ANA, BEN, "x"), False, ANY, False),
    ("Account", {"subject": [ANA, BEN]}, False, ANY, True),
    ("Group", {"member": [{"entity": ANA}, {"entity": BEN}]}, False, ANY, False),
    ("Observation", {"subject": BEN, "performer": [ANA]}, False, ANY, False),
    ("Patient", {"id": "ben", "link": [{"other": ANA}]}, False, FORMAL, False),
    ("Device", {"patient": BEN, "owner": ANA}, False, FORMAL, False),
    ("Practitioner", {}, True, CLOSED, False),
    ("Medication", {}, True, CLOSED, False),
    ("Device", {}, True, CLOSED, False),
    ("Device", {"patient": ANA}, True, CLOSED, True),
    ("Schedule", {"actor": [DOCTOR]}, True, CLOSED, False),
    ("Observation", {"subject": ANA}, True, CLOSED, True),
    ("AuditEvent", {"agent": [{"who": ANA}]}, False, FORMAL, False),
]


@pytest.mark.parametrize(("kind", "elements", "strictly", "rules", "otherwise"), MEMBERS, ids=str)
def test_a_switch_changes_membership_and_its_default_does_not(
    kind: str, elements: dict[str, Any], strictly: bool, rules: MembershipRules, otherwise: bool
) -> None:
    resource = unchecked({"resourceType": kind, **elements})
    patients = frozenset({"ana"})
    assert is_member(resource, patients, bases()) is strictly
    assert is_member(resource, patients, bases(), rules=rules) is otherwise


WHO: dict[str, list[Any]] = {
    "nobody": [],
    "ana": [ANA],
    "ben": [BEN],
    "both": [ANA, BEN],
    "foreign": [FOREIGN],
    "ana and foreign": [ANA, FOREIGN],
    "doctor": [DOCTOR],
}


def placed(kind: str, roles: dict[str, list[Any]]) -> dict[str, Any]:
    """Return a resource with these references at the first path of each role."""
    resource: dict[str, Any] = {"resourceType": kind}
    for path, references in roles.items():
        *steps, leaf = path.split(".")
        node = resource
        for step in steps:
            node = node.setdefault(step, [{}])[0]
        if references:
            node[leaf] = references
    return resource


@pytest.mark.parametrize("kind", sorted(name for name, one in r4.memberships().items() if one.cls == "compartment"))
def test_each_type_is_read_as_its_roles_and_the_switch_say(kind: str) -> None:
    facts = r4.memberships()[kind]
    overridden = MembershipRules(any_of=frozenset({kind}))
    for about, others in product(WHO.values() if facts.primary else [[]], WHO.values() if facts.secondary else [[]]):
        roles = {facts.primary[0]: about} if facts.primary else {}
        roles |= {facts.secondary[0]: others} if facts.secondary else {}
        resource = unchecked(placed(kind, roles))
        only_other = not about and ANA in others
        for rules, expected in (
            (STRICT, about == [ANA] or only_other),
            (FORMAL, ANA in about or ANA in others),
            (overridden, (ANA in about and FOREIGN not in about) or only_other),
        ):
            assert is_member(resource, frozenset({"ana"}), bases(), rules=rules) is expected, (roles, rules)


def test_what_hangs_on_others_and_documents_are_read_by_the_same_rules() -> None:
    performed = {"resourceType": "Observation", "id": "o", "subject": BEN, "performer": [ANA]}
    provenance = unchecked({"resourceType": "Provenance", "target": [{"reference": "Observation/o"}]})
    document = unchecked({"resourceType": "Bundle", "entry": [{"resource": performed}]})
    for resource in (provenance, document):
        known = {("Observation", "o"): performed}
        assert not is_member(resource, frozenset({"ana"}), bases(), known)
        assert is_member(resource, frozenset({"ana"}), bases(), known, FORMAL)


@pytest.mark.parametrize(("letters", "visible"), [("r", True), ("s", True), ("rs", True), ("c", False), ("u", False)])
def test_loosened_rules_are_for_reading(letters: str, visible: bool) -> None:
    about_ben = unchecked({"resourceType": "Observation", "subject": BEN, "performer": [ANA]})
    grant = Grant("patient", "Observation", "cruds", frozenset({"ana"}), rules=FORMAL)
    assert (check(about_ben, (grant,), letters, bases()) is not None) is visible


def plan_of(line: str, scope: str = "patient/*.rs", rules: MembershipRules = STRICT) -> ReadPlan | SearchPlan | Deny:
    return decide(parsed(line), authority_for(scope, "ana", rules=rules), Limits())


SEARCHES = [
    # request, sent when read strictly, sent when read formally
    ("GET /Observation?code=x", "patient=Patient%2Fana&code=x", "patient=Patient%2Fana&code=x"),
    (
        "GET /Observation?performer=Patient/ana",
        "patient=Patient%2Fana&performer=Patient%2Fana",
        "performer=Patient%2Fana",
    ),
    (
        "GET /Observation?performer=Patient/ana,Practitioner/p",
        "patient=Patient%2Fana&performer=Patient%2Fana%2CPractitioner%2Fp",
        "patient=Patient%2Fana&performer=Patient%2Fana%2CPractitioner%2Fp",
    ),
    (
        "GET /Observation?focus=Patient/ana",
        "patient=Patient%2Fana&focus=Patient%2Fana",
        "patient=Patient%2Fana&focus=Patient%2Fana",
    ),
]


@pytest.mark.parametrize(("line", "strictly", "formally"), SEARCHES)
def test_a_formal_search_may_be_confined_by_any_role_that_counts(line: str, strictly: str, formally: str) -> None:
    for rules, sent in ((STRICT, strictly), (FORMAL, formally)):
        plan = plan_of(line, rules=rules)
        assert isinstance(plan, SearchPlan)
        assert plan.request is not None
        assert plan.request.target == f"Observation?{sent}&_count=50"
    denied = plan_of("GET /Observation?performer=Patient/ben", rules=FORMAL)
    assert (isinstance(denied, Deny), denied.rule) == (True, "compartment")


def test_every_parameter_that_may_confine_a_formal_search_reads_a_role_that_counts() -> None:
    for kind, facts in r4.memberships().items():
        roles = {*facts.primary, *facts.secondary}
        if facts.cls == "compartment":
            assert {path for paths in facts.params.values() for path in paths} <= roles, kind


def test_without_shared_reading_single_patients_open_no_directory() -> None:
    for line in ("GET /Medication/m", "GET /Medication"):
        assert plan_of(line).rule == "allow"
        assert plan_of(line, rules=CLOSED).rule == "authority.empty"
    assert plan_of("GET /Medication", "system/*.rs", CLOSED).rule == "allow"
    included = plan_of("GET /MedicationRequest?_include=MedicationRequest:medication", rules=CLOSED)
    assert isinstance(included, SearchPlan)
    assert included.includes == ()


def test_who_is_signed_in_reads_their_own_record_without_shared_reading_too() -> None:
    authority = authority_for("openid fhirUser", fhir_user="Practitioner/p", rules=CLOSED)
    assert decide(parsed("GET /Practitioner/p"), authority, Limits()).rule == "allow"
