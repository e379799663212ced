"""Keys by URL: how long a copy is used, when it is fetched again, and what is told when it cannot be had.

Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 9111 §4.2.
"""

import time
from datetime import datetime, timedelta

import pytest
from django.db import transaction

from clients import key_sets
from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair, load_private_key
from clients.models import KeySet
from clients.registered import RegisteredClient, find_client
from smartauth.errors import InvalidClient, Refusal
from smartauth.marks.poller import poller
from tests.clients.at_once import each_at_once
from tests.clients.jwks_host import JwksHost, Page
from tests.clients.verification import find_verification_key
from tests.factories import NOW, make_client, mark, service, weak_rsa


@pytest.fixture
def client(db, jwks_host: JwksHost) -> RegisteredClient:
    make_client(service(jwks_uri=jwks_host.url))
    found = find_client("bulk-loader")
    assert found is not None
    return found


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def refusal(client: RegisteredClient, kid: str = "ec-1", *, alg: str = "ES384", now: datetime = NOW) -> Refusal:
    with pytest.raises(InvalidClient) as refused:
        find_verification_key(client, kid, alg, now=now)
    return refused.value.refusal


def forget_in_process() -> None:
    """Stand in for another worker, which shares nothing but the database."""
    key_sets._copies.clear()


@pytest.mark.requirement("KEYS-02", "KEYS-03", "T-10")
@pytest.mark.parametrize(("cache_control", "seconds"), [("max-age=120", 120), (None, 300), ("max-age=99999", 3600)])
def test_a_copy_is_used_until_it_expires_and_never_after(client, jwks_host, ec: KeyPair, cache_control, seconds):
    jwks_host.publish(ec.public_jwk, cache_control=cache_control)
    for moment in (0, 1, seconds - 1):
        assert find_verification_key(client, "ec-1", "ES384", now=after(moment)).key_type == "EC"
        assert jwks_host.visits == 1
    find_verification_key(client, "ec-1", "ES384", now=after(seconds))
    assert jwks_host.visits == 2


@pytest.mark.requirement("KEYS-02")
@pytest.mark.parametrize("cache_control", ["no-store", "no-cache", "max-age=0"])
def test_an_answer_that_may_not_be_kept_serves_one_verification(client, jwks_host, ec: KeyPair, cache_control):
    jwks_host.publish(ec.public_jwk, cache_control=cache_control)
    for visits in (1, 2):
        find_verification_key(client, "ec-1", "ES384", now=NOW)
        assert jwks_host.visits == visits


def test_a_key_is_parsed_once_per_version_of_the_set(serving, client, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=100")
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    first = find_verification_key(client, "ec-1", "ES384", now=NOW)
    assert find_verification_key(client, "ec-1", "ES384", now=after(1)) is first
    assert find_verification_key(client, "ec-1", "ES384", now=after(101)) is not first


def test_a_server_asks_the_database_once_for_a_copy_it_keeps(serving, client, jwks_host, ec, django_assert_num_queries):
    jwks_host.publish(ec.public_jwk)
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    with django_assert_num_queries(1):
        find_verification_key(client, "ec-1", "ES384", now=NOW)
    with django_assert_num_queries(0):
        find_verification_key(client, "ec-1", "ES384", now=NOW)


def test_a_mark_ends_the_copy_a_process_keeps(serving, client, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk)
    for _ in range(2):
        find_verification_key(client, "ec-1", "ES384", now=NOW)
    KeySet.objects.all().delete()
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    assert jwks_host.visits == 1  # Without a mark nothing says that the copy is gone.
    mark(key_sets.key_set_mark(jwks_host.url))
    poller.poll()
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    assert jwks_host.visits == 2


@pytest.mark.requirement("KEYS-03")
def test_workers_share_one_copy(client, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk)
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    forget_in_process()
    find_verification_key(client, "ec-1", "ES384", now=after(1))
    assert jwks_host.visits == 1


@pytest.mark.requirement("KEYS-08")
def test_a_withdrawn_key_stops_when_the_copy_expires(client, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=60")
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=60")
    find_verification_key(client, "ec-1", "ES384", now=after(59))
    assert refusal(client, now=after(60)).rule == "jwks.kid_unknown"


@pytest.mark.requirement("KEYS-04", "T-10")
def test_an_unknown_kid_fetches_at_once_and_then_once_in_thirty_seconds(client, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk)
    find_verification_key(client, "rsa-1", "RS384", now=NOW)
    jwks_host.publish(rsa.public_jwk, ec.public_jwk)
    find_verification_key(client, "ec-1", "ES384", now=after(1))  # rotated in: found at once
    assert jwks_host.visits == 2
    told = refusal(client, "ec-9", now=after(2))
    assert (told.rule, jwks_host.visits) == ("jwks.kid_unknown", 2)
    assert "ec-9" in told.seen
    assert "rsa-1, ec-1" in told.seen
    assert "1 s old" in told.seen
    forget_in_process()  # The limit is shared by all workers.
    refusal(client, "ec-9", now=after(30))
    assert jwks_host.visits == 2
    refusal(client, "ec-9", now=after(31))
    assert jwks_host.visits == 3


def test_a_set_fetched_for_this_very_request_is_not_fetched_twice(client, jwks_host, rsa: KeyPair):
    jwks_host.publish(rsa.public_jwk)
    assert refusal(client, "ec-9").rule == "jwks.kid_unknown"
    assert jwks_host.visits == 1


def test_a_forced_fetch_that_fails_leaves_the_good_copy_alone(client, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk)
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    jwks_host.page = Page(status=503)
    assert refusal(client, "ec-9", now=after(1)).rule == "jwks.status"
    assert find_verification_key(client, "ec-1", "ES384", now=after(2))
    assert KeySet.objects.get().last_problem.startswith("jwks.status")


def private(pair: KeyPair) -> dict:
    return dict(load_private_key(pair.private_pem).as_dict(private=True)) | {"kid": "ec-1"}


@pytest.mark.requirement("KEYS-06", "KEYS-07", "ASYM-08", "T-02")
def test_each_failure_of_the_host_has_its_rule_and_lets_nobody_in(client, jwks_host, ec: KeyPair):
    for page, rule in (
        (Page(status=500), "jwks.status"),
        (Page(status=301, headers=(("Location", "/other"),)), "jwks.redirect"),
        (Page(b"<html>"), "jwks.not_json"),
        (Page(b"\xff\xfe"), "jwks.not_json"),
        (Page(b"[" * 100_000), "jwks.not_json"),
        (Page([]), "jwks.no_keys"),
        (Page({"keys": [{}] * 101}), "jwks.too_many_keys"),
        (Page({"keys": [private(ec)]}), "jwks.private_key"),
        (Page({"keys": [ec.public_jwk, ec.public_jwk]}), "jwks.kid_ambiguous"),
        (
            Page({"keys": [ec.public_jwk | {"x": "AQAB"}]}, headers=(("Cache-Control", "no-store"),)),
            "jwks.key_malformed",
        ),
        (Page(b" " * (MAX_BYTES + 1)), "jwks.too_large"),
    ):
        KeySet.objects.all().delete()
        forget_in_process()
        jwks_host.page = page
        assert refusal(client).rule == rule


@pytest.mark.requirement("KEYS-07")
def test_an_expired_copy_is_not_used_when_the_host_is_down(client, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=60")
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    jwks_host.page = Page(status=503)
    find_verification_key(client, "ec-1", "ES384", now=after(59))
    assert refusal(client, now=after(61)).rule == "jwks.status"


@pytest.mark.requirement("ASYM-08")
def test_a_duplicate_kid_of_another_type_does_not_confuse(client, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk | {"kid": "ec-1"}, ec.public_jwk)
    assert find_verification_key(client, "ec-1", "ES384", now=NOW).key_type == "EC"


def test_an_older_answer_does_not_replace_a_newer_one(client, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(ec.public_jwk)
    key_sets.fetch(jwks_host.url, now=after(10))
    jwks_host.publish(rsa.public_jwk)
    key_sets.fetch(jwks_host.url, now=NOW)
    assert [key["kid"] for key in KeySet.objects.get().document["keys"]] == ["ec-1"]


@pytest.mark.django_db(transaction=True)
def test_no_host_is_waited_for_inside_a_transaction(jwks_host, ec: KeyPair):
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    jwks_host.publish(ec.public_jwk)
    with pytest.raises(RuntimeError), transaction.atomic():
        find_verification_key(client, "ec-1", "ES384", now=NOW)
    assert jwks_host.visits == 0


@pytest.mark.requirement("KEYS-04")
@pytest.mark.django_db(transaction=True)
def test_of_many_unknown_kids_at_once_one_forces_a_fetch(jwks_host, ec: KeyPair):
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    jwks_host.publish(ec.public_jwk)
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    told: list[str] = []
    each_at_once(6, lambda number: told.append(refusal(client, f"guess-{number}", now=after(1)).rule))
    assert told == ["jwks.kid_unknown"] * 6
    assert jwks_host.visits == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cache_control", [None, "no-store"])
def test_who_comes_while_a_set_is_fetched_shares_that_fetch(jwks_host, ec: KeyPair, cache_control):
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    jwks_host.publish(ec.public_jwk, cache_control=cache_control)
    jwks_host.page.delay = 0.5
    found: list[str] = []
    each_at_once(6, lambda _: found.append(find_verification_key(client, "ec-1", "ES384", now=NOW).key_type))
    assert (found, jwks_host.visits) == (["EC"] * 6, 1)
    assert key_sets._fetches == {}
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    assert jwks_host.visits == (2 if cache_control else 1)


@pytest.mark.django_db(transaction=True)
def test_who_comes_while_a_fetch_fails_shares_the_failure(jwks_host):
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    jwks_host.page = Page(status=503, delay=0.5)
    told: list[str] = []
    each_at_once(6, lambda _: told.append(refusal(client).rule))
    assert (told, jwks_host.visits) == (["jwks.status"] * 6, 1)
    assert key_sets._fetches == {}


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_longer_than_a_fetch_may_take(jwks_host, monkeypatch):
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    monkeypatch.setattr(key_sets, "TOTAL_TIMEOUT", 200)
    jwks_host.page = Page(status=503, delay=1.0)
    told: list[str] = []
    each_at_once(3, lambda _: told.append(refusal(client).rule))
    assert (sorted(told), jwks_host.visits) == (["jwks.status", "jwks.timeout", "jwks.timeout"], 1)


def test_a_failing_host_is_tried_once_in_five_seconds_whoever_asks(client, jwks_host, ec: KeyPair):
    jwks_host.page = Page(status=503)
    first = refusal(client)
    for seconds in (0, 1, 4.9):
        forget_in_process()  # The pause is shared by all workers.
        told = refusal(client, now=after(seconds))
        assert (told.rule, told.reason, jwks_host.visits) == ("jwks.status", first.reason, 1)
        assert told.fix == f"{first.fix} The URL is tried again at most every 5 s."
        assert jwks_host.url in told.seen
    assert refusal(client, now=after(5)).rule == "jwks.status"
    assert refusal(client, now=after(5)).rule == "jwks.status"
    assert jwks_host.visits == 2
    jwks_host.publish(ec.public_jwk)  # A host that was mended is heard again after the same pause.
    assert refusal(client, now=after(9)).rule == "jwks.status"
    assert find_verification_key(client, "ec-1", "ES384", now=after(10)).key_type == "EC"
    assert KeySet.objects.get().last_problem == ""


@pytest.mark.parametrize("cache_control", ["max-age=60", "no-store"])
def test_a_set_that_is_no_longer_good_rests_after_a_failure_too(client, jwks_host, ec: KeyPair, cache_control):
    jwks_host.publish(ec.public_jwk, cache_control=cache_control)
    find_verification_key(client, "ec-1", "ES384", now=NOW)
    jwks_host.page = Page(b"<html>")
    for seconds in (61, 62, 65):
        assert refusal(client, now=after(seconds)).rule == "jwks.not_json"
        assert jwks_host.visits == 2
    jwks_host.publish(ec.public_jwk, cache_control=cache_control)
    find_verification_key(client, "ec-1", "ES384", now=after(66))
    assert jwks_host.visits == 3


@pytest.mark.django_db(transaction=True)
def test_of_many_who_would_try_a_failing_host_again_one_does_and_nobody_waits_for_it(jwks_host):
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    jwks_host.page = Page(status=503)
    refusal(client)
    jwks_host.page = Page(status=503, delay=1.5)
    waits: list[float] = []

    def ask(_: int) -> None:
        began = time.monotonic()
        assert refusal(client, now=after(6)).rule == "jwks.status"
        waits.append(time.monotonic() - began)

    each_at_once(6, ask)
    assert jwks_host.visits == 2
    assert len([one for one in waits if one >= 1.5]) == 1
    assert len(waits) == 6


@pytest.mark.requirement("ASYM-09")
def test_a_weak_published_key_is_named_as_weak(client, jwks_host):
    jwks_host.publish(weak_rsa())
    assert refusal(client, "weak", alg="RS384").rule == "jwks.weak_key"
