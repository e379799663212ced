"""Reads that a gateway could not pass on are tried once more, within the time for one; writes never are.

RFC 9110 §9.2.2: idempotent methods may be repeated.
"""

import json
from collections.abc import Iterator

import pytest

from clients.tenants import TenantInfo
from fhirproxy import breakers
from fhirproxy.models import Upstream
from tests.proxy.conftest import Caller, Mint, put_behind
from tests.proxy.scripted import Said, Scripted, scripted
from tests.proxy.test_writes import observation

ANA = {"patient": "ana"}
LINE = "GET /r4/Patient/ana"
PATIENT = Said(200, json.dumps({"resourceType": "Patient", "id": "ana"}).encode())


@pytest.fixture
def script(tenant: TenantInfo) -> Iterator[Scripted]:
    with scripted() as found:
        put_behind(tenant, found.base_url, bearer="x")
        found.answers[LINE] = PATIENT
        breakers.forget()
        yield found


TRIES = [
    # said at first                  status  tries
    ([], 200, 1),
    ([Said(502)], 200, 2),
    ([Said(503)], 200, 2),
    ([Said(504)], 200, 2),
    ([Said(503), Said(503)], 502, 2),
    ([Said(500)], 502, 1),
    ([Said(429)], 502, 1),
]


@pytest.mark.parametrize(("said", "status", "tries"), TRIES)
def test_a_read_is_tried_once_more(
    script: Scripted, minted: Mint, call: Caller, said: list[Said], status: int, tries: int
) -> None:
    script.at_first[LINE] = list(said)
    assert call("/Patient/ana", minted("patient/*.rs", **ANA)).status_code == status
    assert script.lines() == [LINE] * tries


def test_both_tries_together_have_the_time_of_one(script: Scripted, minted: Mint, call: Caller) -> None:
    Upstream.objects.update(timeout_seconds=1)
    script.at_first[LINE] = [Said(503, delay=0.7), Said(503, delay=0.7)]
    response = call("/Patient/ana", minted("patient/*.rs", **ANA))
    assert response.status_code == 504
    assert script.lines() == [LINE] * 2


@pytest.mark.requirement("PROXY-46")
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_write_is_never_sent_twice(script: Scripted, minted: Mint, call: Caller, status: int) -> None:
    line = "POST /r4/Observation"
    script.at_first[line] = [Said(status)]
    response = call.write("POST", "/Observation", minted("patient/*.cruds", **ANA), observation())
    assert response.status_code == 502
    assert script.lines() == [line]
