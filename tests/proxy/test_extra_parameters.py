"""Search parameters of a tenant's own: refused until it names them, and then one more filter of a confined search."""

from collections.abc import Iterator
from typing import Any

import pytest

from clients import tenants
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, holding, ids, link
from tests.proxy.test_batch import bundle, entry, statuses
from tests.proxy.test_metadata import resource
from tests.proxy.test_writes import observation, switch

ANA = {"patient": "ana"}
NOTED = [observation(f"Patient/{one}", id=f"noted-{one}", note=[{"text": "cheerful"}]) for one in ("ana", "ben")]


@pytest.fixture
def noted(small: Behind) -> Iterator[Behind]:
    with holding(small.running, *NOTED) as behind:
        behind.ask("DELETE", "/_received")
        yield behind


def offer(*names: str) -> None:
    switch(extra_parameters=list(names))
    tenants._tenants.clear()


SEARCHES = ["Observation?remark=cheerful", "Patient/ana/Observation?remark=cheerful"]


@pytest.mark.parametrize("path", SEARCHES)
@pytest.mark.parametrize("kind", ["", ":string"])
def test_a_parameter_that_is_named_filters_within_the_authority(
    noted: Behind, minted: Mint, call: Caller, path: str, kind: str
) -> None:
    offer(f"Observation.remark{kind}")
    found = call(f"/{path}", minted("patient/*.rs", **ANA))
    assert ids(found) == ["Observation/noted-ana"]
    assert link(found, "self") == "/Observation?patient=Patient%2Fana&remark=cheerful&_count=50"
    assert noted.targets() == ["Observation?patient=Patient%2Fana&remark=cheerful&_count=50"]
    recording._buffer.flush()
    assert AuditRecord.objects.get().details["switches"] == "extra_parameters"


@pytest.mark.parametrize("path", SEARCHES)
def test_without_the_switch_it_is_unknown(noted: Behind, minted: Mint, call: Caller, path: str) -> None:
    response = call(f"/{path}", minted("patient/*.rs", **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (400, "search.parameter")
    assert noted.received() == []


def test_it_is_taken_in_forms_and_batches_too(noted: Behind, minted: Mint, call: Caller) -> None:
    offer("Observation.remark:string")
    token = minted("patient/*.rs", **ANA)
    assert ids(call.form("/Observation/_search", token, "remark=cheerful")) == ["Observation/noted-ana"]
    batch = bundle("batch", entry("GET", "Observation?remark=cheerful"))
    assert statuses(call.write("POST", "", token, batch)) == ["200"]


REFUSED: list[tuple[str, str, int, str]] = [
    # named                       asked                                    status  rule
    ("Observation.remark:date",   "Observation?remark=cheerful",           400,    "search.value"),
    ("Observation.remark",        "Condition?remark=cheerful",             400,    "search.parameter"),
    ("Observation.remark",        "Observation?remark:below=cheerful",     400,    "upstream.refused_search"),
    ("Observation.remark",        "Observation?remark=a&patient=ben",      403,    "compartment"),
    ("Observation.remark",        "Observation?_sort=remark",              400,    "search.sort"),
    ("Observation.remark",        "Patient?_has:Observation:patient:remark=a", 400, "search.parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("named", "asked", "status", "rule"), REFUSED)
def test_it_goes_no_further_than_that(
    noted: Behind, minted: Mint, call: Caller, named: str, asked: str, status: int, rule: str
) -> None:
    offer(named)
    response = call(f"/{asked}", minted("patient/*.rs", **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)


def test_it_is_claimed_because_the_tenant_knows_its_server(noted: Behind, call: Caller) -> None:
    def named() -> dict[str, str]:
        listed: Any = resource(call("/metadata").json(), "Observation")["searchParam"]
        return {one["name"]: one["type"] for one in listed}

    assert "remark" not in named()
    offer("Observation.remark:string", "Observation.unlisted")
    assert named()["remark"] == "string"
    assert named()["unlisted"] == "token"
