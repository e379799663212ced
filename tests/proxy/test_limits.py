"""Running it: the circuit breaker of an upstream, limits of a client, the mass reading alarm, bad credentials.

RFC 6585 §4 (429); RFC 9110 §10.2.3 (Retry-After).
"""

import logging
import threading
from typing import Any

import pytest

from clients.models import Tenant
from clients.tenants import TenantPolicy
from fhirproxy import breakers, exchange, limits
from fhirproxy.breakers import FAILURES, REST, WITHIN, Breaker
from fhirproxy.limits import HOUR, Results, Slots, admitted
from fhirproxy.models import Upstream
from fhirproxy.policy.outcomes import FhirRefusal
from smartauth.rates import Buckets
from smartauth.receipts.models import Receipt
from tests.policy.proxy.building import access_for
from tests.proxy.conftest import Behind, Caller, Mint
from tests.servers import free_port


def policy(**switches: Any) -> None:
    Tenant.objects.update(policy=switches)


def failing(breaker: Breaker, times: int, *, since: float = 0.0, every: float = 1.0) -> list[bool]:
    return [breaker.failed(since + number * every) for number in range(times)]


class TestBreaker:
    def test_ten_failures_within_thirty_seconds_open_it(self) -> None:
        breaker = Breaker()
        assert failing(breaker, FAILURES - 1) == [False] * (FAILURES - 1)
        assert breaker.seconds_to_wait(8.0) == 0
        assert breaker.failed(9.0)
        assert breaker.seconds_to_wait(10.0) == pytest.approx(REST - 1)

    def test_the_same_number_over_a_longer_time_does_not(self) -> None:
        breaker = Breaker()
        assert not any(failing(breaker, 50, every=WITHIN / (FAILURES - 1) + 0.1))
        assert breaker.seconds_to_wait(1_000.0) == 0

    def test_after_a_rest_one_request_is_tried_and_the_others_wait(self) -> None:
        breaker = Breaker()
        failing(breaker, FAILURES, every=0)
        assert breaker.seconds_to_wait(REST - 0.1) > 0
        assert breaker.seconds_to_wait(REST) == 0
        assert breaker.seconds_to_wait(REST + 0.1) > 0

    def test_a_trial_that_succeeds_closes_it(self) -> None:
        breaker = Breaker()
        failing(breaker, FAILURES, every=0)
        assert breaker.seconds_to_wait(REST) == 0
        breaker.succeeded()
        assert breaker.seconds_to_wait(REST) == 0
        assert not breaker.failed(REST)

    def test_a_trial_that_fails_or_is_never_heard_of_lets_it_rest_again(self) -> None:
        breaker = Breaker()
        failing(breaker, FAILURES, every=0)
        assert breaker.seconds_to_wait(REST) == 0
        assert not breaker.failed(REST + 2)
        assert breaker.seconds_to_wait(REST + 2) == pytest.approx(REST)
        assert breaker.seconds_to_wait(2 * REST + 2) == 0
        assert breaker.seconds_to_wait(3 * REST + 2) == 0

    def test_each_upstream_has_its_own(self) -> None:
        breakers.forget()
        failing(breakers.breaker_of("http://a"), FAILURES, every=0)
        assert breakers.breaker_of("http://a").seconds_to_wait(1) > 0
        assert breakers.breaker_of("http://b").seconds_to_wait(1) == 0


def test_an_upstream_that_keeps_failing_is_left_alone(
    small: Behind, minted: Mint, call: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")
    token = minted("system/*.rs")
    assert [call("/Patient/ana", token).status_code for _ in range(FAILURES)] == [502] * FAILURES
    answer = call("/Patient/ana", token)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "transient")
    assert 1 <= int(answer["Retry-After"]) <= REST
    assert Receipt.objects.latest("at").rule == "upstream.resting"
    assert [one.message.split()[:2] for one in caplog.records] == [["alarm", "upstream-down"]]


@pytest.mark.parametrize(("status", "opens"), [(500, False), (404, False), (502, True), (503, True), (504, True)])
def test_what_counts_as_a_failure(small: Behind, minted: Mint, call: Caller, status: int, opens: bool) -> None:
    token = minted("system/*.rs")
    small.fail(kind="status", status=status)
    for _ in range(FAILURES):
        call("/Patient/ana", token)
    small.fail(kind="none")
    assert call("/Patient/ana", token).status_code == (503 if opens else 200)


@pytest.mark.requirement("PROXY-46")
def test_many_calls_for_one_request_end_together(
    small: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = minted("patient/*.rs", patient="ana")
    monkeypatch.setattr(exchange, "TOTAL", -1.0)
    assert call("/Patient/ana", token).status_code == 504
    assert small.targets() == []


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_our_problem_and_somebody_is_told(
    small: Behind, minted: Mint, call: Caller, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    small.fail(kind="status", status=status)
    token = minted("system/*.rs")
    assert [call("/Patient/ana", token).status_code for _ in range(3)] == [502] * 3
    (record,) = caplog.records  # The same alarm is raised once a minute.
    assert record.message.startswith("alarm upstream-credentials tenant=sandbox")
    assert small.running.bearer not in record.message
    assert Receipt.objects.first().officer.startswith(f"UpstreamRefused: status {status}")


def test_a_client_that_sends_too_much_waits(small: Behind, minted: Mint, call: Caller) -> None:
    policy(max_requests_per_minute=3)
    ana, system = minted("patient/*.rs", patient="ana"), minted("system/*.rs")
    assert [call("/Patient/ana", ana).status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = call("/Patient/ana", ana)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled")
    assert 1 <= int(answer["Retry-After"]) <= 20
    assert len(small.targets()) == 3
    assert Receipt.objects.filter(rule="limit.rate").count() == 2
    other = minted("patient/*.rs", patient="ana", sub="somebody-else")
    assert (call("/Patient/ana", system).status_code, call("/Patient/ana", other).status_code) == (200, 200)
    assert call("/metadata").status_code == 200


def test_refused_requests_count_too(small: Behind, minted: Mint, call: Caller) -> None:
    policy(max_requests_per_minute=2)
    token = minted("patient/Patient.rs", patient="ana")
    paths = ("/Observation", "/Nothing", "/Patient/ana")
    assert [call(path, token).status_code for path in paths] == [403, 404, 429]
    assert not limits._slots._taken  # Whatever became of a request, its place is free again.


def test_rates_refill_evenly_and_are_each_source_s_own() -> None:
    rates, one, other = Buckets(), ("t", "c", "s"), ("t", "c", "other")
    assert [rates.seconds_to_wait(one, 2, 0.0) for _ in range(3)] == [0, 0, 30]
    assert rates.seconds_to_wait(other, 2, 0.0) == 0
    assert rates.seconds_to_wait(one, 2, 15.0) == pytest.approx(15)
    assert rates.seconds_to_wait(one, 2, 30.0) == 0
    assert rates.seconds_to_wait(one, 2, 30.0) > 0


def test_a_client_has_so_many_requests_at_a_time() -> None:
    limits.forget()
    few, access = TenantPolicy(max_concurrent=2), access_for("patient/*.rs", "ana")
    with admitted(access, few), admitted(access, few):
        with pytest.raises(FhirRefusal) as refused, admitted(access, few):
            raise AssertionError("a third one was let in")
        assert (refused.value.status, refused.value.refusal.rule) == (429, "limit.concurrent")
        with admitted(access_for("system/*.rs"), TenantPolicy(max_concurrent=0)):
            pass
    with admitted(access, few):
        pass


def test_places_are_given_back_whatever_happens() -> None:
    slots = Slots()

    def work() -> None:
        for _ in range(200):
            assert slots.take(("t", "c"), 0)
            slots.give_back(("t", "c"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slots.take(("t", "c"), 1)


def test_mass_reading_is_told_once(small: Behind, minted: Mint, call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    policy(max_results_per_hour=3)
    token = minted("patient/*.rs", patient="ana")
    for _ in range(3):
        assert call("/Patient/ana", token).status_code == 200
    assert call("/Patient/ben", token).status_code == 404  # What was not given does not count.
    assert caplog.records == []
    for _ in range(3):
        assert call("/Patient/ana", token).status_code == 200
    (record,) = caplog.records
    assert record.message == "alarm mass-reading tenant=sandbox client=growth-chart user= results=4"


def test_results_are_counted_by_the_hour() -> None:
    results, source = Results(), ("t", "c", "s")
    assert [results.add(source, given, 10, now) for given, now in [(6, 0.0), (6, 1.0), (6, 2.0)]] == [0, 12, 0]
    assert [results.add(source, given, 10, HOUR + now) for given, now in [(10, 0.0), (1, 1.0)]] == [0, 11]
