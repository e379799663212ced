"""A FHIR server that is down, slow, broken or lying: 502 or 504, nothing passed on, the cause for the officer alone.

FHIR R4 http; the size limit counts what comes out of a compressed answer.
"""

from typing import Any

import pytest

from fhirproxy import upstream
from fhirproxy.models import Upstream
from fhirproxy.upstream import is_allowed
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint
from tests.servers import free_port

FAULTS = [
    # fault                                                       status  in the officer's view
    ({"kind": "truncate"},                                        502, "cut off"),
    ({"kind": "close"},                                           502, "connection failed"),
    ({"kind": "html"},                                            502, "not JSON"),
    ({"kind": "notfhir"},                                         502, "not a FHIR resource"),
    ({"kind": "duplicate-keys"},                                  502, "same name twice"),
    ({"kind": "redirect", "location": "http://127.0.0.1:1/"},     502, "status 302"),
    ({"kind": "status", "status": 500},                           502, "status 500"),
    ({"kind": "status", "status": 401},                           502, "status 401"),
    ({"kind": "status", "status": 403},                           502, "status 403"),
    ({"kind": "delay", "seconds": 2},                             504, "in time"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-40", "PROXY-46")
@pytest.mark.parametrize("path", ["/Patient/ana", "/Patient"])
@pytest.mark.parametrize(("fault", "status", "officer"), FAULTS)
def test_faults(
    small: Behind, minted: Mint, call: Caller, path: str, fault: dict[str, Any], status: int, officer: str
) -> None:
    Upstream.objects.update(timeout_seconds=1)
    token = minted("patient/*.rs", patient="ana")
    assert call(path, token).status_code == 200
    small.fail(**fault)
    response = call(path, token)
    assert response.status_code == status
    receipt = Receipt.objects.get()
    assert receipt.rule == ("upstream.timeout" if status == 504 else "upstream.failed")
    assert officer in receipt.officer
    outcome = response.json()
    assert (outcome["resourceType"], outcome["issue"][0]["diagnostics"]) == (
        "OperationOutcome",
        str(receipt.trace_id),
    )
    assert small.running.base_url not in response.content.decode() + receipt.reason + receipt.seen


def test_a_broken_connection_is_tried_once_more(small: Behind, minted: Mint, call: Caller) -> None:
    small.fail(kind="close")
    assert call("/Patient/ana", minted("patient/*.rs", patient="ana")).status_code == 502
    assert small.targets() == ["Patient/ana", "Patient/ana"]


@pytest.mark.requirement("PROXY-46")
@pytest.mark.parametrize("length", [True, False])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    small: Behind, minted: Mint, call: Caller, length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "LARGEST_ANSWER", 100_000)
    small.fail(kind="large", bytes=1_000_000, length=length)
    assert call("/Basic/large", minted("system/*.rs")).status_code == 502
    assert "larger than" in Receipt.objects.get().officer


def test_an_upstream_that_is_down(small: Behind, minted: Mint, call: Caller) -> None:
    Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")
    assert call("/Patient/ana", minted("system/*.rs")).status_code == 502
    assert Receipt.objects.get().officer.startswith("UpstreamDown")


def test_a_tenant_without_upstream(small: Behind, minted: Mint, call: Caller) -> None:
    Upstream.objects.all().delete()
    assert call("/Patient/ana", minted("system/*.rs")).status_code == 502
    assert call("/metadata").status_code == 200


@pytest.mark.requirement("PROXY-40")
def test_another_resource_than_the_one_asked_for_is_no_answer(small: Behind, minted: Mint, call: Caller) -> None:
    small.fail(kind="large", bytes=100)  # Always Basic/large.
    assert call("/Basic/large", minted("system/*.rs")).status_code == 200
    assert call("/Basic/other", minted("system/*.rs")).status_code == 502
    assert call("/Patient/large", minted("system/*.rs")).status_code == 502


ADDRESSES = [
    ("93.184.216.34", True),
    ("10.1.2.3", True),
    ("127.0.0.1", True),  # The tests run in sandbox mode.
    ("169.254.169.254", False),
    ("::ffff:169.254.169.254", False),
    ("fe80::1", False),
    ("fe80::1%eth0", False),
    ("fd00:ec2::254", False),
    ("0.0.0.0", False),  # noqa: S104
    ("224.0.0.1", False),
    ("not an address", False),
]


@pytest.mark.parametrize(("address", "allowed"), ADDRESSES)
def test_addresses_we_never_speak_to(address: str, allowed: bool) -> None:
    assert is_allowed(address) is allowed


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_for_the_sandbox(configure: Any, address: str) -> None:
    assert is_allowed(address)
    configure(mode="production")
    assert not is_allowed(address)


def test_the_address_is_judged_when_connecting(
    small: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = minted("system/*.rs")
    judged: list[str] = []
    monkeypatch.setattr(upstream, "_handles", upstream._Handles())
    monkeypatch.setattr(upstream, "is_allowed", lambda address: bool(judged.append(address)))
    assert call("/Patient/ana", token).status_code == 502
    assert judged[0] == "127.0.0.1"
    assert small.received() == []
