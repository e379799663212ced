"""Observation/$lastn and DocumentReference/$docref through the proxy.

FHIR R4 observation-operation-lastn; US Core docref; SMART 2.2 scopes-and-launch-context.
"""

from collections import defaultdict
from typing import Any

import pytest

from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids, link
from tests.proxy.oracle import Token, allowed
from tests.proxy.test_no_leak import POPULATION

ANA = {"patient": "ana"}
OF = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category"


def latest(token: Token, most: int) -> set[str]:
    """Return what the operation should find, computed from the population: by first coding, by date."""
    groups = defaultdict(list)
    for one in POPULATION.values():
        if one["resourceType"] == "Observation" and allowed(token, one, "s"):
            coding = one["code"]["coding"][0]
            groups[(coding["system"], coding["code"])].append(one)
    return {
        f"Observation/{one['id']}"
        for group in groups.values()
        for one in sorted(group, key=lambda each: each["effectiveDateTime"], reverse=True)[:most]
    }


@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(
    "scopes",
    [
        ("patient/Observation.rs",),
        (f"{OF}|laboratory",),
        (
            f"{OF}|laboratory",
            f"{OF}|survey",
        ),
    ],
    ids=["whole", "one filter", "two filters"],
)
def test_the_latest_of_each_kind_among_what_is_visible(
    sandbox: Behind, minted: Mint, call: Caller, scopes: tuple[str, ...], leak: bool
) -> None:
    token = minted(" ".join(scopes), **ANA)
    honest = call("/Observation/$lastn?patient=ana", token)
    wanted = latest(Token(scopes, patient="ana"), 1)
    assert set(ids(honest)) == wanted
    assert honest.json()["total"] == len(wanted) > 1
    assert link(honest, "self") is not None
    if leak:
        sandbox.leak()
        assert set(ids(call("/Observation/$lastn?patient=ana", token))) <= {
            name for name, one in POPULATION.items() if allowed(Token(scopes, patient="ana"), one, "s")
        }


def test_max_and_filters_are_kept(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    one = call("/Observation/$lastn?category=laboratory", token)
    three = call("/Observation/$lastn?patient=ana&category=laboratory&max=3", token)
    assert set(ids(one)) < set(ids(three))
    assert link(three, "self") == "/Observation/$lastn?patient=Patient%2Fana&category=laboratory&max=3"
    target = sandbox.targets()[0]
    assert target == "Observation?patient=Patient%2Fana&category=laboratory&_sort=-date&_count=500"
    assert set(ids(call("/Observation/$lastn?patient=ben", minted("system/*.rs"))))


def test_docref_finds_the_documents_of_the_patient(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/DocumentReference.s", **ANA)
    found = ids(call("/DocumentReference/$docref?patient=ana", token))
    wanted = {
        name
        for name, one in POPULATION.items()
        if one["resourceType"] == "DocumentReference" and allowed(Token(("patient/*.rs",), patient="ana"), one, "s")
    }
    assert set(found) == wanted
    assert found
    assert sandbox.targets() == ["DocumentReference/$docref?patient=ana&_count=50"]
    sandbox.leak()
    assert set(ids(call("/DocumentReference/$docref?patient=ana", token))) == wanted
    none = call("/DocumentReference/$docref?patient=ana&start=1990-01-01&end=1991-01-01", token)
    assert sandbox.targets()[-1] == "DocumentReference/$docref?patient=ana&start=1990-01-01&end=1991-01-01&_count=50"
    assert none.status_code == 200


REFUSED = [
    # scope                       claims  path                                               status  rule
    ("patient/Condition.rs",      ANA,    "Observation/$lastn?patient=ana",                  403, "scope"),
    ("patient/Observation.r",     ANA,    "Observation/$lastn?patient=ana",                  403, "scope"),
    ("patient/*.rs",              ANA,    "Observation/$lastn?patient=ben",                  403, "compartment"),
    ("patient/*.rs",              ANA,    "Observation/$lastn?patient=ana,ben",              403, "compartment"),
    ("patient/*.rs",              ANA,    "Observation/$lastn?max=0",                        400, "lastn.max"),
    ("patient/*.rs",              ANA,    "Observation/$lastn?max=2&max=3",                  400, "lastn.max"),
    ("patient/*.rs",              ANA,    "Observation/$lastn?_sort=date",                   400, "lastn.parameter"),
    ("patient/*.rs",              ANA,    "Observation/$lastn?_include=Observation:subject", 400, "lastn.parameter"),
    ("system/*.rs",               {},     "Observation/$lastn?category=laboratory",          400, "lastn.subject"),
    ("patient/*.rs", ANA, "Condition/$lastn", 403, "interaction.operation"),
    ("patient/*.rs",              ANA,    "DocumentReference/$docref?patient=ben",           403, "compartment"),
    ("patient/*.rs",              ANA,    "DocumentReference/$docref?patient=nobody",        403, "compartment"),
    ("patient/*.rs",              ANA,    "DocumentReference/$docref",                       400, "docref.value"),
    ("patient/*.rs",              ANA,    "DocumentReference/$docref?patient=ana,ben",       400, "docref.value"),
    ("patient/*.rs",              ANA,    "DocumentReference/$docref?patient=ana&patient=ben", 400, "query.repeated"),
    ("patient/*.rs", ANA, "DocumentReference/$docref?patient=ana&on-demand=true", 403, "docref.on_demand"),
    ("patient/*.rs",              ANA,    "DocumentReference/$docref?patient=ana&start=soon", 400, "operation.date"),
    ("patient/*.rs", ANA, "DocumentReference/$docref?patient=ana&code=x", 400, "operation.parameter"),
    ("patient/DocumentReference.r", ANA,  "DocumentReference/$docref?patient=ana",           403, "scope"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-31")
@pytest.mark.parametrize(("scope", "claims", "path", "status", "rule"), REFUSED)
def test_refused_operations_are_not_forwarded(
    small: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], path: str, status: int, rule: str
) -> None:
    response = call(f"/{path}", minted(scope, **claims))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.received() == []
