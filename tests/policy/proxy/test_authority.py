"""From tokens to grants: nobody is never everybody.  SMART 2.2 scopes-and-launch-context."""

from dataclasses import replace
from typing import Any

import pytest

from fhirproxy.policy.authority import EVERYONE, Loaded, Patients, make_authority, patients_digest, union, within
from smartauth.policy.access import Restrictions
from tests.policy.proxy.building import APP, PUBLIC, SERVICE, access_for, authority_for, bases

ANA, BEN = frozenset({"ana"}), frozenset({"ben"})
GRANTS: list[tuple[str, dict[str, Any], list[Patients]]] = [
    # scope, the rest of the token, patients of each grant
    ("patient/*.rs", {"patient": "ana"}, [ANA]),
    ("patient/*.rs", {}, []),
    ("patient/*.rs", {"patient": ""}, []),
    ("patient/*.rs", {"patient": "Patient/ana"}, []),
    ("patient/*.rs", {"patient": "a b"}, []),
    ("patient/*.rs", {"patient": ".."}, []),
    ("patient/*.rs", {"patient": "a" * 65}, []),
    ("patient/*.rs", {"patient": "ana", "grant_types": SERVICE}, []),
    ("patient/*.rs", {"patient": "ana", "fhir_user": "Patient/ana"}, [ANA]),
    ("patient/*.rs", {"patient": "ben", "fhir_user": "Patient/ana"}, []),
    ("patient/*.rs", {"patient": "ben", "fhir_user": "Patient/ana", "related": BEN}, [BEN]),
    ("patient/*.rs", {"patient": "ana", "fhir_user": "Practitioner/p"}, [ANA]),
    ("patient/*.rs", {"patient": "ana", "fhir_user": "Practitioner/p", "practitioner_access": "none"}, []),
    ("patient/*.rs", {"patient": "ana", "fhir_user": ""}, []),
    ("patient/*.rs", {"patient": "ana", "fhir_user": "https://x.example/Practitioner/p"}, []),
    ("user/*.rs", {}, []),
    ("user/*.rs", {"patient": "ana"}, []),
    ("user/*.rs", {"fhir_user": "Patient/ana"}, [ANA]),
    ("user/*.rs", {"fhir_user": f"{PUBLIC}/Patient/ana"}, [ANA]),
    ("user/*.rs", {"fhir_user": "Patient/ana/_history/1"}, []),
    ("user/*.rs", {"fhir_user": "Patient/ana", "related": BEN}, [ANA | BEN]),
    ("user/*.rs", {"fhir_user": "Practitioner/p"}, [EVERYONE]),
    ("user/*.rs", {"fhir_user": "PractitionerRole/p"}, [EVERYONE]),
    ("user/*.rs", {"fhir_user": "Practitioner/p", "practitioner_access": "none"}, []),
    ("user/*.rs", {"fhir_user": "Practitioner/p", "practitioner_access": "unknown"}, []),
    ("user/*.rs", {"fhir_user": "Person/p"}, []),
    ("user/*.rs", {"fhir_user": "Device/d"}, []),
    ("user/*.rs", {"fhir_user": "RelatedPerson/r"}, []),
    ("user/*.rs", {"fhir_user": "RelatedPerson/r", "loaded": Loaded(related_patients=ANA)}, [ANA]),
    ("user/*.rs", {"fhir_user": "Patient/ben", "loaded": Loaded(related_patients=ANA)}, [BEN]),
    ("system/*.rs", {}, [EVERYONE]),
    ("system/*.rs", {"grant_types": APP}, []),
    ("system/*.rs", {"restrictions": Restrictions(patients=ANA)}, [ANA]),
    ("system/*.rs", {"restrictions": Restrictions(patients=frozenset())}, []),
    ("system/*.rs", {"restrictions": Restrictions(groups=frozenset({"g"}))}, []),
    ("system/*.rs", {"restrictions": Restrictions(groups=frozenset()), "loaded": Loaded(BEN)}, []),
    ("system/*.rs", {"restrictions": Restrictions(groups=frozenset({"g"})), "loaded": Loaded(BEN)}, [BEN]),
    ("patient/*.rs", {"patient": "ana", "restrictions": Restrictions(patients=BEN)}, []),
    ("user/*.rs", {"fhir_user": "Practitioner/p", "restrictions": Restrictions(patients=BEN)}, [BEN]),
    ("patient/Observation.rs?category=x", {"patient": "ana"}, [ANA]),
    ("patient/Observation.rs?date=ap2020", {"patient": "ana"}, []),
    ("patient/Observation.rs?nothing=x", {"patient": "ana"}, []),
    ("patient/Observation.rrs", {"patient": "ana"}, []),
    ("patient/Observation.rs user/Condition.rs", {"patient": "ana", "fhir_user": "Patient/ana"}, [ANA, ANA]),
    ("openid fhirUser", {"fhir_user": "Practitioner/p"}, [EVERYONE]),
    ("openid fhirUser", {"fhir_user": "Patient/ana", "restrictions": Restrictions(patients=BEN)}, [BEN]),
    ("openid fhirUser", {"fhir_user": "Organization/o"}, []),
    ("openid fhirUser", {"fhir_user": "Practitioner/p", "grant_types": SERVICE}, []),
    ("openid fhirUser", {}, []),
    ("openid", {"fhir_user": "Practitioner/p"}, []),
    ("fhirUser", {"fhir_user": "Practitioner/p"}, []),
    ("", {"patient": "ana"}, []),
]


@pytest.mark.requirement("SCOPE-09", "SCOPE-10")
@pytest.mark.parametrize(("scope", "token", "patients"), GRANTS, ids=str)
def test_grants(scope: str, token: dict[str, Any], patients: list[Patients]) -> None:
    assert [grant.patients for grant in authority_for(scope, **token).grants] == patients


SIGNED_IN: list[tuple[str, str | None, dict[str, Any], str, list[Patients]]] = [
    # scope, fhirUser, the rest of the token, practitioner_access, patients of each grant
    ("patient/*.rs", None, {"patient": "ana"}, "all", []),
    ("patient/*.rs", None, {"patient": "ana", "related": BEN}, "all", []),
    ("patient/*.rs", None, {"patient": "ben", "related": BEN}, "all", [BEN]),
    ("patient/*.rs", None, {"patient": "ben", "related": ANA | BEN}, "all", [BEN]),
    ("patient/*.rs", None, {"related": BEN}, "all", []),
    ("patient/*.rs", "Patient/ana", {"patient": "ana"}, "all", [ANA]),
    ("patient/*.rs", "Patient/ana", {"patient": "ben"}, "all", []),
    ("patient/*.rs", "Patient/ana", {"patient": "ben", "related": BEN}, "all", [BEN]),
    ("patient/*.rs", "Person/p", {"patient": "ana", "related": BEN}, "all", []),
    ("patient/*.rs", "Person/p", {"patient": "ben", "related": BEN}, "all", [BEN]),
    ("patient/*.rs", "https://x.example/Practitioner/p", {"patient": "ana"}, "all", []),
    ("patient/*.rs", "Practitioner/p", {"patient": "ana"}, "all", [ANA]),
    ("patient/*.rs", "Practitioner/p", {"patient": "ana"}, "none", []),
    ("patient/*.rs", "Practitioner/p", {"patient": "ben", "related": BEN}, "none", [BEN]),
    ("user/*.rs", None, {}, "all", []),
    ("user/*.rs", None, {"patient": "ana"}, "all", []),
    ("user/*.rs", None, {"related": BEN}, "all", [BEN]),
    ("user/*.rs", "", {"related": BEN}, "all", [BEN]),
    ("user/*.rs", "Person/p", {}, "all", []),
    ("user/*.rs", "Person/p", {"related": BEN}, "all", [BEN]),
    ("user/*.rs", "Device/d", {"related": BEN}, "all", [BEN]),
    ("user/*.rs", "Patient/ana", {"related": BEN}, "all", [ANA | BEN]),
    ("user/*.rs", "RelatedPerson/r", {"related": BEN}, "all", [BEN]),
    ("user/*.rs", "Practitioner/p", {"related": BEN}, "all", [EVERYONE]),
    ("user/*.rs", "Practitioner/p", {"related": BEN}, "none", [BEN]),
    ("user/*.rs", None, {"related": BEN, "restrictions": Restrictions(patients=ANA)}, "all", []),
    ("user/*.rs", None, {"related": BEN, "grant_types": SERVICE}, "all", []),
    ("system/*.rs", None, {"related": BEN, "grant_types": APP}, "all", []),
    ("openid fhirUser", None, {"related": BEN}, "all", []),
]


@pytest.mark.requirement("SCOPE-10", "PROXY-41")
@pytest.mark.parametrize(("scope", "fhir_user", "token", "practitioner_access", "patients"), SIGNED_IN, ids=str)
def test_a_signed_in_user_reaches_what_they_are_and_whom_they_are_related_to(
    scope: str, fhir_user: str | None, token: dict[str, Any], practitioner_access: str, patients: list[Patients]
) -> None:
    access = replace(access_for(scope, fhir_user=fhir_user, **token), user=7)
    authority = make_authority(access, bases(), Loaded(), practitioner_access=practitioner_access)
    assert [grant.patients for grant in authority.grants] == patients


PANEL = Loaded(panel=ANA | BEN)
BOUND = Restrictions(panel=True)
ALONE = Restrictions(proxy_relations=False)
BOUNDED: list[tuple[str, str, dict[str, Any], list[Patients]]] = [
    # scope, fhirUser, switches and the rest of the token, patients of each grant
    ("user/*.rs", "Practitioner/p", {"practitioner_access": "panel", "loaded": PANEL}, [ANA | BEN]),
    ("user/*.rs", "PractitionerRole/p", {"practitioner_access": "panel", "loaded": PANEL}, [ANA | BEN]),
    ("user/*.rs", "Practitioner/p", {"practitioner_access": "panel"}, []),
    ("user/*.rs", "Practitioner/p", {"practitioner_access": "panel", "related": BEN}, [BEN]),
    ("user/*.rs", "Practitioner/p", {"practitioner_access": "all", "loaded": PANEL}, [EVERYONE]),
    ("user/*.rs", "Practitioner/p", {"practitioner_access": "none", "loaded": PANEL}, []),
    ("user/*.rs", "Patient/ana", {"practitioner_access": "panel", "loaded": PANEL}, [ANA]),
    ("user/*.rs", "Practitioner/p", {"restrictions": BOUND, "loaded": PANEL}, [ANA | BEN]),
    ("user/*.rs", "Practitioner/p", {"restrictions": BOUND}, []),
    ("user/*.rs", "Practitioner/p", {"restrictions": BOUND, "loaded": PANEL, "practitioner_access": "none"}, []),
    ("user/*.rs", "Patient/ana", {"restrictions": BOUND, "loaded": PANEL}, [ANA]),
    (
        "user/*.rs",
        "Practitioner/p",
        {"practitioner_access": "panel", "loaded": PANEL, "restrictions": Restrictions(patients=ANA)},
        [ANA],
    ),
    ("user/*.rs", "Patient/ana", {"related": BEN, "proxy_relations": False}, [ANA]),
    ("user/*.rs", "Patient/ana", {"related": BEN, "restrictions": ALONE}, [ANA]),
    ("user/*.rs", "Person/p", {"related": BEN, "restrictions": ALONE}, []),
    ("user/*.rs", "RelatedPerson/r", {"loaded": Loaded(related_patients=BEN), "proxy_relations": False}, [BEN]),
    ("system/*.rs", "", {"restrictions": Restrictions(panel=True, proxy_relations=False)}, [EVERYONE]),
]


@pytest.mark.parametrize(("scope", "fhir_user", "more", "patients"), BOUNDED, ids=str)
def test_panels_and_relations_are_bounded_by_the_tenant_and_by_the_client(
    scope: str, fhir_user: str, more: dict[str, Any], patients: list[Patients]
) -> None:
    assert [grant.patients for grant in authority_for(scope, fhir_user=fhir_user, **more).grants] == patients


@pytest.mark.parametrize(("patient", "patients"), [("ana", [ANA]), ("cyd", [])])
def test_the_patient_in_context_must_be_on_the_panel(patient: str, patients: list[Patients]) -> None:
    authority = authority_for("patient/*.rs", patient, "Practitioner/p", practitioner_access="panel", loaded=PANEL)
    assert [grant.patients for grant in authority.grants] == patients


def test_who_is_signed_in_is_one_instance_and_letter_r() -> None:
    (grant,) = authority_for("openid fhirUser", fhir_user="Practitioner/p").grants
    assert (grant.resource, grant.letters, grant.instance, grant.is_full) == ("Practitioner", "r", "p", False)


@pytest.mark.requirement("PROXY-42")
def test_operator_types_are_for_system_scopes_and_by_name() -> None:
    restrictions = Restrictions(operator_types=frozenset({"AuditEvent"}))
    service = authority_for("system/*.rs", restrictions=restrictions)
    assert service.having("r", "AuditEvent")
    assert not service.having("r", "Subscription")
    app = authority_for("user/*.rs", fhir_user="Practitioner/p", restrictions=restrictions)
    assert not app.having("r", "AuditEvent")


def test_sets_of_patients() -> None:
    assert union([]) == frozenset()
    assert union([ANA, EVERYONE]) == EVERYONE
    assert union([ANA, BEN]) == ANA | BEN
    assert within(EVERYONE, ANA) == within(ANA, EVERYONE) == ANA
    assert within(ANA, BEN) == frozenset()


def test_digests_tell_patient_sets_apart() -> None:
    tokens = [("patient/*.rs", {"patient": "ana"}), ("patient/*.rs", {"patient": "ben"}), ("system/*.rs", {}), ("", {})]
    assert len({patients_digest(authority_for(scope, **token).grants) for scope, token in tokens}) == 4
    one, other = authority_for("patient/*.rs", "ana"), authority_for("patient/Observation.rs", "ana")
    assert patients_digest(one.grants) == patients_digest(other.grants)
