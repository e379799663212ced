"""Clocks that were wrong: what they dated ahead keeps nothing fresh and nobody waiting.

Source: RFC 9111 §4.2.3: the age of a response is never negative.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from clients import key_sets
from clients.assertions import parse_assertion, verify_assertion
from clients.key_pairs import KeyPair
from clients.key_watching import watch
from clients.models import Client, KeyFinding, KeySet, KeyUse
from clients.registered import find_client
from smartauth.errors import InvalidClient
from tests.clients.jwks_host import JwksHost, Page
from tests.factories import AUDIENCES, NOW, claims_at, make_client, service, signed


@pytest.fixture(autouse=True)
def partner(db, jwks_host: JwksHost) -> Iterator[None]:
    make_client(service(jwks_uri=jwks_host.url))
    yield
    key_sets._copies.clear()


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def verify(pair: KeyPair, now: datetime = NOW) -> str:
    """Have an assertion verified, as the token endpoint does; return "" where it is good, else the rule."""
    assertion, client_id = parse_assertion(signed(pair, claims_at(now)))
    client = find_client(client_id)
    assert client is not None
    try:
        verify_assertion(assertion, client, audiences=AUDIENCES, now=now)
    except InvalidClient as refused:
        return refused.refusal.rule
    return ""


AHEAD = [
    # seconds the clock was ahead, whether the copy is still used
    (0, True),
    (1, True),
    (60, True),
    (61, False),
    (3_600, False),
    (10 * 365 * 86_400, False),
]


@pytest.mark.requirement("KEYS-02", "KEYS-08")
@pytest.mark.parametrize(("seconds", "used"), AHEAD)
def test_a_copy_from_the_future_is_not_fresh_until_then(jwks_host, rsa: KeyPair, ec: KeyPair, seconds, used):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=after(seconds))
    jwks_host.publish(ec.public_jwk, rsa.public_jwk, cache_control="max-age=600")
    assert verify(ec) == ""
    assert jwks_host.visits == (1 if used else 2)
    row = KeySet.objects.get()
    assert (row.fetched_at, row.expires_at) == ((after(seconds), after(seconds + 600)) if used else (NOW, after(600)))
    assert verify(ec, after(1)) == ""
    assert jwks_host.visits == (1 if used else 2)  # What was fetched anew is kept.


@pytest.mark.requirement("KEYS-08")
def test_a_withdrawn_key_does_not_live_on_in_a_copy_from_the_future(jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=after(86_400))
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=600")
    assert verify(ec) == "jwks.kid_unknown"


def test_an_attempt_from_the_future_makes_nobody_wait(jwks_host, ec: KeyPair):
    jwks_host.page = Page(status=503)
    assert verify(ec, after(3_600)) == "jwks.status"
    jwks_host.publish(ec.public_jwk)
    assert verify(ec) == ""


def test_a_host_that_fails_rests_after_the_clock_was_set_right_too(jwks_host, ec: KeyPair):
    jwks_host.page = Page(status=503)
    for now, visits in ((after(3_600), 1), (NOW, 2), (after(1), 2), (after(6), 3)):
        assert verify(ec, now) == "jwks.status"
        assert jwks_host.visits == visits


def test_a_forced_fetch_from_the_future_does_not_stand_in_the_way_of_a_new_key(jwks_host, rsa, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=NOW)
    KeySet.objects.update(forced_at=after(3_600))
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=600")
    assert verify(ec, after(1)) == ""
    assert jwks_host.visits == 2


def test_the_watch_fetches_what_a_wrong_clock_kept(jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=after(7_200))
    assert watch(lambda: NOW, pause=0).fetched == 1
    assert KeySet.objects.get().fetched_at == NOW
    assert watch(lambda: after(90), pause=0).fetched == 0


def test_a_use_from_the_future_is_no_key_in_use(jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=60")
    KeyUse.objects.create(client=Client.objects.get(), kid="ec-1", used_at=after(7_200))
    watch(lambda: NOW, pause=0)
    assert not KeyFinding.objects.exists()
