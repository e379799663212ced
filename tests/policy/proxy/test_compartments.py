"""Strict membership, class by class, and visibility grant by grant.  FHIR R4 compartmentdefinition-patient."""

from typing import Any

import pytest

from fhirproxy.policy.authority import EVERYONE, Grant
from fhirproxy.policy.compartments import Checked, check, is_member, needed
from fhirproxy.policy.references import Local
from smartauth.policy import r4
from tests.policy.proxy.building import bases, unchecked

ANA, BEN, CYD = ({"reference": f"Patient/{name}"} for name in ("ana", "ben", "cyd"))
GROUP, DOCTOR = {"reference": "Group/g"}, {"reference": "Practitioner/p"}
FOREIGN, CONTAINED, BY_ID = {"reference": "https://x.example/Patient/ana"}, {"reference": "#p"}, {"identifier": {}}

MEMBERS: list[tuple[str, dict[str, Any], bool]] = [
    # type, elements, a member for ana
    ("Observation", {"subject": ANA}, True),
    ("Observation", {"subject": {"reference": "Patient/ANA"}}, False),
    ("Observation", {"subject": {"reference": "Patient/an"}}, False),
    ("Observation", {"subject": {"reference": "Patient/anas"}}, False),
    ("Observation", {"subject": BEN}, False),
    ("Observation", {"subject": BEN, "performer": [ANA]}, False),
    ("Observation", {"subject": BEN, "focus": [ANA]}, False),
    ("Observation", {"subject": ANA, "performer": [BEN]}, True),
    ("Observation", {"performer": [ANA]}, True),
    ("Observation", {"performer": [BEN]}, False),
    ("Observation", {"performer": [BEN, ANA]}, True),
    ("Observation", {"subject": GROUP, "performer": [ANA]}, False),
    ("Observation", {"subject": {"type": "Group"}, "performer": [ANA]}, False),
    ("Observation", {"subject": FOREIGN, "performer": [ANA]}, False),
    ("Observation", {"subject": CONTAINED, "performer": [ANA]}, False),
    ("Observation", {"subject": BY_ID, "performer": [ANA]}, False),
    ("Observation", {"subject": {}, "performer": [ANA]}, False),
    ("Observation", {"subject": None, "performer": [ANA]}, False),
    ("Observation", {"subject": "Patient/ana"}, False),
    ("Observation", {"subject": [ANA]}, True),
    ("Observation", {"subject": [ANA, BEN]}, False),
    ("Observation", {"subject": []}, False),
    ("Observation", {}, False),
    ("Account", {"subject": [ANA, BEN]}, False),
    ("Account", {"subject": [ANA, DOCTOR]}, True),
    ("Account", {"subject": [ANA, FOREIGN]}, False),
    ("Appointment", {"participant": [{"actor": ANA}, {"actor": DOCTOR}]}, True),
    ("Appointment", {"participant": [{"actor": ANA}, {"actor": BEN}]}, False),
    ("Appointment", {"participant": [{"actor": ANA}, "x"]}, False),
    ("Appointment", {"participant": [{"actor": DOCTOR}]}, False),
    ("Group", {"member": [{"entity": ANA}]}, True),
    ("Group", {"member": [{"entity": ANA}, {"entity": BEN}]}, False),
    ("Group", {}, False),
    ("Person", {"link": [{"target": ANA}, {"target": DOCTOR}]}, True),
    ("Person", {"link": [{"target": ANA}, {"target": BEN}]}, False),
    ("Coverage", {"beneficiary": BEN, "payor": [ANA], "subscriber": ANA}, False),
    ("Coverage", {"beneficiary": ANA, "payor": [BEN]}, True),
    ("Patient", {"id": "ana"}, True),
    ("Patient", {"id": "ANA"}, False),
    ("Patient", {"id": "ben", "link": [{"other": ANA}]}, False),
    ("Device", {"patient": ANA}, True),
    ("Device", {"patient": BEN}, False),
    ("Device", {"patient": FOREIGN}, False),
    ("Device", {}, True),
    ("Schedule", {"actor": [DOCTOR]}, True),
    ("Schedule", {"actor": [ANA, DOCTOR]}, True),
    ("Schedule", {"actor": [DOCTOR, BEN]}, False),
    ("Practitioner", {}, True),
    ("Medication", {"subject": BEN}, True),
    ("AuditEvent", {"agent": [{"who": ANA}]}, False),
    ("Endpoint", {}, False),
    ("Subscription", {}, False),
    ("Binary", {}, False),
    ("Binary", {"securityContext": ANA}, True),
    ("Binary", {"securityContext": BEN}, False),
    ("Binary", {"securityContext": {"reference": "Observation/of-ana"}}, True),
    ("Binary", {"securityContext": {"reference": "Observation/of-ben"}}, False),
    ("Binary", {"securityContext": {"reference": "Observation/unknown"}}, False),
    ("Binary", {"securityContext": {"type": "Observation"}}, False),
    ("Binary", {"securityContext": {"reference": "Provenance/of-ana"}}, False),
    ("Provenance", {"target": [ANA]}, True),
    ("Provenance", {"target": [ANA, BEN]}, False),
    ("Provenance", {"target": [{"reference": "Observation/of-ana"}]}, True),
    ("Provenance", {"target": [{"reference": "Observation/of-ana"}, {"reference": "Observation/of-ben"}]}, False),
    ("Provenance", {"target": [{"reference": "Observation/mislabelled"}]}, False),
    ("Provenance", {"target": [{"reference": "Provenance/of-ana"}]}, False),
    ("Provenance", {"target": []}, False),
    ("Provenance", {"target": [ANA] * 11}, False),
    ("Bundle", {"entry": [{"resource": {"resourceType": "Observation", "id": "o", "subject": ANA}}]}, True),
    ("Bundle", {"entry": [{"resource": {"resourceType": "Observation", "id": "o", "subject": BEN}}]}, False),
    ("Bundle", {"entry": [{"resource": {"resourceType": "Bundle", "id": "b", "entry": []}}]}, False),
    ("Bundle", {"entry": [{"resource": {"resourceType": "Observation", "subject": ANA}}]}, False),
    ("Bundle", {"entry": [{"fullUrl": "urn:uuid:x"}]}, False),
    ("Bundle", {"entry": []}, False),
    ("Bundle", {}, False),
]
KNOWN: dict[tuple[str, str], Any] = {
    ("Observation", "of-ana"): {"resourceType": "Observation", "id": "of-ana", "subject": ANA},
    ("Observation", "of-ben"): {"resourceType": "Observation", "id": "of-ben", "subject": BEN},
    ("Observation", "mislabelled"): {"resourceType": "Observation", "id": "of-ana", "subject": ANA},
    ("Observation", "unknown"): None,
    ("Provenance", "of-ana"): {"resourceType": "Provenance", "id": "of-ana", "target": [ANA]},
}


@pytest.mark.requirement("PROXY-16")
@pytest.mark.parametrize(("kind", "elements", "member"), MEMBERS, ids=str)
def test_membership(kind: str, elements: dict[str, Any], member: bool) -> None:
    resource = unchecked({"resourceType": kind, **elements})
    assert is_member(resource, frozenset({"ana"}), bases(), KNOWN) is member


@pytest.mark.requirement("PROXY-36")
def test_a_joint_resource_belongs_to_whoever_may_see_all_of_it() -> None:
    joint = unchecked({"resourceType": "Account", "subject": [ANA, BEN]})
    assert is_member(joint, frozenset({"ana", "ben", "cyd"}), bases())
    assert not is_member(joint, frozenset({"ana", "cyd"}), bases())


@pytest.mark.parametrize("kind", sorted(r4.memberships()))
def test_nobody_s_patients_see_nothing_but_shared_things(kind: str) -> None:
    nobody = is_member(unchecked({"resourceType": kind}), frozenset(), bases())
    assert nobody == (r4.memberships()[kind].cls in ("shared", "conditional"))


def test_what_a_decision_hangs_on_is_named() -> None:
    provenance = unchecked({"resourceType": "Provenance", "target": [ANA, {"reference": "Observation/o"}, FOREIGN]})
    assert needed(provenance, bases()) == (Local("Observation", "o"),)
    assert needed(unchecked({"resourceType": "Observation", "subject": GROUP}), bases()) == ()
    many = unchecked({"resourceType": "Provenance", "target": [{"reference": f"List/{i}"} for i in range(11)]})
    assert needed(many, bases()) == ()


OF_ANA = {"resourceType": "Observation", "status": "final", "subject": ANA}
VISIBLE = [
    # grants, letters, visible
    ([Grant("patient", "Observation", "rs", frozenset({"ana"}))], "r", True),
    ([Grant("patient", "*", "rs", frozenset({"ana"}))], "s", True),
    ([Grant("patient", "Observation", "s", frozenset({"ana"}))], "r", False),
    ([Grant("patient", "Observation", "s", frozenset({"ana"}))], "rs", True),
    ([Grant("patient", "Condition", "rs", frozenset({"ana"}))], "r", False),
    ([Grant("patient", "Observation", "rs", frozenset({"ben"}))], "r", False),
    ([Grant("system", "Observation", "rs", EVERYONE)], "r", True),
    ([Grant("system", "Observation", "rs", EVERYONE, (("status", "final"),))], "r", True),
    ([Grant("system", "Observation", "rs", EVERYONE, (("status", "amended"),))], "r", False),
    ([Grant("user", "Observation", "r", EVERYONE, (), "x")], "r", True),
    ([Grant("user", "Observation", "r", EVERYONE, (), "y")], "r", False),
    # Two grants that each fail do not make one that passes.
    (
        [
            Grant("patient", "Observation", "rs", frozenset({"ana"}), (("status", "amended"),)),
            Grant("user", "Observation", "rs", frozenset({"ben"}), (("status", "final"),)),
        ],
        "r",
        False,
    ),
    ([], "r", False),
]


@pytest.mark.parametrize(("grants", "letters", "visible"), VISIBLE)
def test_each_grant_is_judged_alone(grants: list[Grant], letters: str, visible: bool) -> None:
    assert (check(unchecked(dict(OF_ANA)), tuple(grants), letters, bases()) is not None) is visible


def test_all_patients_admit_every_class_but_operator() -> None:
    everything = Grant("system", "*", "rs", EVERYONE)
    for kind, facts in r4.memberships().items():
        seen = check(unchecked({"resourceType": kind}), (everything,), "r", bases())
        assert (seen is not None) == (facts.cls != "operator"), kind


def test_nobody_else_makes_a_checked_resource() -> None:
    grant = Grant("system", "*", "rs", EVERYONE)
    with pytest.raises(TypeError, match="only the check"):
        Checked({}, "Patient", "ana", grant, object())


def _document(*inside: dict[str, Any]) -> Any:
    return unchecked({"resourceType": "Bundle", "entry": [{"resource": one} for one in inside]})


NOTE = {"resourceType": "Observation", "id": "o", "subject": ANA}
ALL_OF_IT = Grant("system", "*", "rs", EVERYONE)
IN_DOCUMENTS: list[tuple[tuple[Grant, ...], tuple[dict[str, Any], ...], bool]] = [
    ((ALL_OF_IT,), (NOTE,), True),
    ((ALL_OF_IT,), ({"resourceType": "Observation", "subject": ANA},), True),  # Documents often have no ids inside.
    ((ALL_OF_IT,), (NOTE, {"resourceType": "AuditEvent", "id": "a"}), False),
    ((Grant("system", "*", "rs", EVERYONE, operator_types=frozenset({"AuditEvent"})),),
     (NOTE, {"resourceType": "AuditEvent", "id": "a"}), True),
    ((ALL_OF_IT,), ({"resourceType": "Bundle", "id": "b", "entry": []},), False),
    ((ALL_OF_IT,), ({"resourceType": "Nothing", "id": "b"},), False),
    ((Grant("patient", "Bundle", "r", frozenset({"ana"})),), (NOTE,), False),
    ((Grant("patient", "Bundle", "r", frozenset({"ana"})), Grant("patient", "Observation", "r", frozenset({"ana"}))),
     (NOTE,), True),
    ((Grant("patient", "Bundle", "r", frozenset({"ana"})), Grant("patient", "Observation", "c", frozenset({"ana"}))),
     (NOTE,), False),
]  # fmt: skip


@pytest.mark.parametrize(("grants", "inside", "shown"), IN_DOCUMENTS)
def test_what_stands_in_a_document_must_be_visible_by_itself(
    grants: tuple[Grant, ...], inside: tuple[dict[str, Any], ...], shown: bool
) -> None:
    assert (check(_document(*inside), grants, "r", bases()) is not None) is shown
