"""The policy switches of a tenant: strict by default, every one explained, none taken that cannot be meant."""

from typing import Any

import msgspec
import pytest

from clients.switch_fields import GROUPS
from clients.switches import MEANINGS, meaning, stored
from clients.tenants import WEAKENING, TenantPolicy

WEAKENED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ()),
    ({"compartment_mode": "formal"}, ("compartment_mode",)),
    ({"type_overrides": {"Appointment": "any"}}, ("type_overrides",)),
    ({"type_overrides": {}}, ()),
    ({"writes": "off"}, ()),
    ({"writes": "system"}, ("writes",)),
    ({"writes": "all", "trust_totals": True}, ("trust_totals", "writes")),
    ({"extra_parameters": ["Patient.favourite"]}, ("extra_parameters",)),
    ({"extra_parameters": ["Patient.favourite:date", "Observation.remark:string"]}, ("extra_parameters",)),
    ({"extra_operations": ["Goal/$x=Bundle"], "valueset_hosts": ["a.example"]}, ("extra_operations", "valueset_hosts")),
    ({"update_as_create": True, "allow_unversioned_writes": True}, ("update_as_create", "allow_unversioned_writes")),
    ({"binary": "deny", "shared_read": False, "practitioner_access": "none", "proxy_relations": False}, ()),
    ({"practitioner_access": "panel", "panel_by": [], "panels": {"Practitioner/a": ["ana"]}}, ()),
    ({"sensitive_categories": ["Observation.sdoh", "FamilyMemberHistory"], "max_consent_days": 30}, ()),
    ({"max_count": 5_000, "compensate": True, "max_requests_per_minute": 0}, ()),
]


@pytest.mark.parametrize(("switches", "weakened"), WEAKENED, ids=str)
def test_weakened_names_the_switches_that_loosen_a_rule(switches: dict[str, Any], weakened: tuple[str, ...]) -> None:
    policy = msgspec.convert(switches, TenantPolicy)
    assert policy.weakened == weakened
    assert msgspec.convert(stored(policy), TenantPolicy) == policy


REFUSED: list[dict[str, Any]] = [
    {"compartment_mod": "formal"},
    {"compartment_mode": "loose"},
    {"type_overrides": {"Appointment": "all"}},
    {"type_overrides": {"Medication": "any"}},
    {"type_overrides": {"Nothing": "any"}},
    {"panel_by": ["hearsay"]},
    {"panels": {"Patient/ana": ["ben"]}},
    {"panels": {"Practitioner/a": ["Patient/ana"]}},
    {"panels": {"Practitioner/a": "ana"}},
    {"shared_read": "yes"},
    {"extra_operations": ["$x"]},
    {"extra_operations": ["Goal/$x"]},
    {"extra_operations": ["$x=Bundle"]},
    {"extra_operations": ["Goal/$x=Anything"]},
    {"extra_operations": ["Nothing/$x=Bundle"]},
    {"extra_operations": ["Patient/$match=Bundle"]},
    {"extra_operations": ["Patient/id/$everything=Bundle"]},
    {"extra_parameters": ["favourite"]},
    {"extra_parameters": ["Nothing.favourite"]},
    {"extra_parameters": ["Patient.favourite:reference"]},
    {"extra_parameters": ["Patient._filter"]},
    {"extra_parameters": ["Patient.name"]},
    {"max_count": -1},
    {"max_consent_days": -1},
    {"remember_days": -1},
    {"age_of_majority": 11},
    {"age_of_majority": 31},
    {"age_of_majority": 0},
    {"sensitive_categories": "Goal"},
    {"sensitive_categories": ["Nothing"]},
    {"sensitive_categories": ["Observation.laboratory-results"]},
    {"sensitive_categories": ["Goal.sdoh"]},
    {"max_concurrent": 1.5},
]


@pytest.mark.parametrize("switches", REFUSED, ids=str)
def test_what_cannot_be_meant_is_no_policy(switches: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(switches, TenantPolicy)


def test_every_switch_is_explained_and_has_its_place() -> None:
    names = set(TenantPolicy.__struct_fields__)
    assert set(MEANINGS) == names
    assert {name for _, group in GROUPS for name in group} == names
    assert {name for name in names if "Weakens" in meaning(name)} == set(WEAKENING)
