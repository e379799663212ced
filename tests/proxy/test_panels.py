"""A clinician's panel: whom it is made of, that it bounds what the clinician reaches, and that it fails closed.

FHIR R4 patient (generalPractitioner), careteam.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from clients.models import Tenant
from fhirproxy import panels
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids

GREY = "Practitioner/dr-grey"


def policy(**switches: Any) -> None:
    Tenant.objects.update(policy={"practitioner_access": "panel", **switches})


@pytest.fixture
def ward(small: Behind) -> Iterator[Behind]:
    """Patients of several doctors, and teams of several kinds."""
    grey, stone = {"reference": GREY}, {"reference": "Practitioner/dr-stone"}

    def patient(name: str, **members: Any) -> dict[str, Any]:
        return {"resourceType": "Patient", "id": name, **members}

    def team(name: str, about: str, **members: Any) -> dict[str, Any]:
        good = {"status": "active", "subject": {"reference": f"Patient/{about}"}, "participant": [{"member": grey}]}
        return {"resourceType": "CareTeam", "id": name, **good, **members}

    loaded = [
        patient("hers", generalPractitioner=[stone, grey]),
        patient("theirs", generalPractitioner=[stone]),
        *(patient(name) for name in ("cared-for", "long-ago", "planned", "left", "other-team", "named", "nobodys")),
        team("t1", "cared-for"),
        team("t2", "long-ago", period={"end": "2001-01-01"}),
        team("t3", "planned", status="proposed"),
        team("t4", "left", participant=[{"member": grey, "period": {"end": "2001-01-01"}}]),
        team("t5", "other-team", participant=[{"member": stone}]),
    ]
    small.load(*loaded)
    yield small
    for one in loaded:
        small.ask("DELETE", f"/r4/{one['resourceType']}/{one['id']}")


OURS = ("hers", "theirs", "cared-for", "long-ago", "planned", "left", "other-team", "named", "nobodys")
PANELS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"hers", "cared-for"}),
    ({"panel_by": ["general-practitioner"]}, {"hers"}),
    ({"panel_by": ["care-team"]}, {"cared-for"}),
    ({"panel_by": [], "panels": {GREY: ["named"]}}, {"named"}),
    ({"panels": {GREY: ["named"]}}, {"hers", "cared-for", "named"}),
    ({"panels": {"Practitioner/dr-stone": ["named"]}}, {"hers", "cared-for"}),
    ({"panel_by": []}, set()),
]


@pytest.mark.requirement("PROXY-41")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("switches", "reached"), PANELS, ids=str)
def test_a_clinician_reaches_their_panel_and_nobody_else(
    ward: Behind, minted: Mint, call: Caller, switches: dict[str, Any], reached: set[str], leak: bool
) -> None:
    policy(**switches)
    if leak:
        ward.leak()
    token = minted("user/*.rs", fhirUser=GREY)
    for patient in OURS:
        status = call(f"/Patient/{patient}", token).status_code
        assert (patient, status) == (patient, 200 if patient in reached else 404 if reached else 403)
    if reached:
        found = set(ids(call("/Patient", token)))
        assert found & {f"Patient/{one}" for one in OURS} == {f"Patient/{one}" for one in reached}


def test_a_client_may_be_bound_to_panels_where_the_tenant_is_not(ward: Behind, minted: Mint, call: Caller) -> None:
    from clients.models import Client

    policy(practitioner_access="all")
    token = minted("user/*.rs", fhirUser=GREY)
    assert call("/Patient/nobodys", token).status_code == 200
    Client.objects.filter(client_id="growth-chart").update(restrictions={"panel": True})
    assert call("/Patient/nobodys", token).status_code == 404
    assert call("/Patient/hers", token).status_code == 200


def test_a_panel_is_kept_and_asked_for_only_when_it_matters(ward: Behind, minted: Mint, call: Caller) -> None:
    policy()
    token = minted("user/*.rs", fhirUser=GREY)
    for _ in range(3):
        assert call("/Patient/hers", token).status_code == 200
    assert ward.targets() == [
        "Patient?general-practitioner=Practitioner%2Fdr-grey&_count=500",
        "CareTeam?participant=Practitioner%2Fdr-grey&status=active&_count=500",
        *["Patient/hers"] * 3,
    ]
    call("/Patient/ana", minted("user/*.rs", fhirUser="Patient/ana"))
    call("/Patient/ana", minted("system/*.rs"))
    assert ward.targets()[5:] == ["Patient/ana"] * 2


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "status", "status": 400}])
def test_a_panel_that_cannot_be_read_has_nobody_but_the_named(
    ward: Behind, minted: Mint, call: Caller, fault: dict[str, Any]
) -> None:
    policy(panels={GREY: ["named"]})
    token = minted("user/*.rs", fhirUser=GREY)
    ward.fail(**fault)
    call("/Patient/hers", token)
    ward.fail(kind="none")
    assert call("/Patient/hers", token).status_code == 404
    assert call("/Patient/named", token).status_code == 200
    panels._panels.clear()
    assert call("/Patient/hers", token).status_code == 200
    assert {one.rule for one in Receipt.objects.filter(status=404)} == {"read.absent_or_outside"}


def test_all_pages_of_a_panel_count(ward: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "PAGE", ("_count", "1"))
    policy(panel_by=["general-practitioner"])
    many = [
        {"resourceType": "Patient", "id": f"p{number}", "generalPractitioner": [{"reference": GREY}]}
        for number in range(5)
    ]
    ward.load(*many)
    token = minted("user/*.rs", fhirUser=GREY)
    try:
        assert {call(f"/Patient/p{number}", token).status_code for number in range(5)} == {200}
    finally:
        for one in many:
            ward.ask("DELETE", f"/r4/Patient/{one['id']}")
