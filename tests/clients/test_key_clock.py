"""Clocks that were wrong: what they dated ahead keeps nothing fresh and nobody waiting.

Source: RFC 9111 §4.2.3: the age of a response is never negative.
"""

from datetime import datetime, timedelta

import pytest

from clients import key_sets
from clients.key_pairs import KeyPair
from clients.key_watching import watch
from clients.models import Client, KeyFinding, KeySet, KeyUse
from clients.registered import RegisteredClient, find_client
from smartauth.errors import InvalidClient
from tests.clients.jwks_host import JwksHost, Page
from tests.clients.verification import find_verification_key
from tests.factories import NOW, make_client, service


@pytest.fixture
def client(db, jwks_host: JwksHost) -> RegisteredClient:
    make_client(service(jwks_uri=jwks_host.url))
    found = find_client("bulk-loader")
    assert found is not None
    return found


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def verify(client: RegisteredClient, kid: str = "ec-1", now: datetime = NOW) -> str:
    """Return "" where a key is found, else the rule of the refusal."""
    try:
        find_verification_key(client, kid, "ES384", now=now)
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
def test_a_copy_from_the_future_is_not_fresh_until_then(client, jwks_host, rsa: KeyPair, ec: KeyPair, seconds, used):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=after(seconds))
    jwks_host.publish(ec.public_jwk, rsa.public_jwk, cache_control="max-age=600")
    assert verify(client) == ""
    assert jwks_host.visits == (1 if used else 2)
    row = KeySet.objects.get()
    assert (row.fetched_at, row.expires_at) == ((after(seconds), after(seconds + 600)) if used else (NOW, after(600)))
    assert verify(client, now=after(1)) == ""
    assert jwks_host.visits == (1 if used else 2)  # What was fetched anew is kept.


@pytest.mark.requirement("KEYS-08")
def test_a_withdrawn_key_does_not_live_on_in_a_copy_from_the_future(client, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=after(86_400))
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=600")
    assert verify(client) == "jwks.kid_unknown"


def test_an_attempt_from_the_future_makes_nobody_wait(client, jwks_host, ec: KeyPair):
    jwks_host.page = Page(status=503)
    assert verify(client, now=after(3_600)) == "jwks.status"
    jwks_host.publish(ec.public_jwk)
    assert verify(client) == ""


def test_a_host_that_fails_rests_after_the_clock_was_set_right_too(client, jwks_host):
    jwks_host.page = Page(status=503)
    for now, visits in ((after(3_600), 1), (NOW, 2), (after(1), 2), (after(6), 3)):
        assert verify(client, now=now) == "jwks.status"
        assert jwks_host.visits == visits


def test_a_forced_fetch_from_the_future_does_not_stand_in_the_way_of_a_new_key(client, jwks_host, rsa, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=NOW)
    KeySet.objects.update(forced_at=after(3_600))
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=600")
    assert verify(client, now=after(1)) == ""
    assert jwks_host.visits == 2


def test_the_watch_fetches_what_a_wrong_clock_kept(client, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    key_sets.fetch(jwks_host.url, now=after(7_200))
    assert watch(lambda: NOW, pause=0).fetched == 1
    assert KeySet.objects.get().fetched_at == NOW
    assert watch(lambda: after(90), pause=0).fetched == 0


def test_a_use_from_the_future_is_no_key_in_use(client, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=60")
    KeyUse.objects.create(client=Client.objects.get(), kid="ec-1", used_at=after(7_200))
    watch(lambda: NOW, pause=0)
    assert not KeyFinding.objects.exists()
