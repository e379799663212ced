"""Key sets at their edges: how many keys, a clock that was set back, and a partner that changes its keys all the time.

What is asserted here is written down in docs/how-to/when-a-client-is-refused.md.
Source: SMART 2.2 client-confidential-asymmetric; RFC 9111 §4.2; RFC 7517 §5.
"""

from datetime import datetime, timedelta

import pytest

from clients import key_sets
from clients.assertions import parse_assertion, verify_assertion
from clients.key_pairs import KeyPair, generate_key_pair
from clients.models import KeySet
from clients.registered import RegisteredClient, find_client
from smartauth.errors import InvalidClient
from tests.clients.jwks_host import JwksHost, Page
from tests.factories import AUDIENCES, NOW, claims_at, make_client, service, signed


@pytest.fixture
def client(db: None, jwks_host: JwksHost) -> RegisteredClient:
    make_client(service(jwks_uri=jwks_host.url))
    found = find_client("bulk-loader")
    assert found is not None
    return found


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def outcome(client: RegisteredClient, pair: KeyPair, *, now: datetime = NOW, **header: object) -> str:
    """Return the rule by which a fresh assertion is refused at `now`, "" where it is accepted."""
    parsed, _ = parse_assertion(signed(pair, claims_at(now), **header))
    try:
        verify_assertion(parsed, client, audiences=AUDIENCES, now=now)
    except InvalidClient as error:
        return error.refusal.rule
    return ""


class TestHowManyKeys:
    """None, one, two, as many as there may be, and one more."""

    def test_without_keys_nobody_gets_in_and_it_is_said_so(self, client: RegisteredClient, ec: KeyPair) -> None:
        assert outcome(client, ec) == "jwks.no_usable_key"

    def test_keys_without_a_name_or_of_a_type_we_do_not_know_are_none(
        self, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        nameless = {name: value for name, value in ec.public_jwk.items() if name != "kid"}
        jwks_host.publish(nameless, {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "ec-1"})
        assert outcome(client, ec) == "jwks.no_usable_key"

    def test_one_key_must_be_named_too(self, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair) -> None:
        jwks_host.publish(ec.public_jwk)
        assert outcome(client, ec) == ""
        assert outcome(client, ec, kid="ec-2") == "jwks.kid_unknown"
        assert outcome(client, ec, kid=...) == "assertion.kid_missing"

    def test_two_keys_sign_side_by_side(
        self, client: RegisteredClient, jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair
    ) -> None:
        jwks_host.publish(rsa.public_jwk, ec.public_jwk)
        assert (outcome(client, rsa), outcome(client, ec)) == ("", "")
        assert outcome(client, ec, kid="rsa-1") == "jwks.key_type"
        assert jwks_host.visits == 1

    @pytest.mark.parametrize(("count", "rule"), [(100, ""), (101, "jwks.too_many_keys")])
    def test_a_hundred_keys_are_the_most(
        self, count: int, rule: str, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        others = [{**ec.public_jwk, "kid": f"old-{number}"} for number in range(count - 1)]
        jwks_host.publish(*others, ec.public_jwk)
        assert outcome(client, ec) == rule

    def test_entries_that_are_skipped_count_among_the_hundred(
        self, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        jwks_host.publish(*[{"kty": "OKP"}] * 100, ec.public_jwk)
        assert outcome(client, ec) == "jwks.too_many_keys"


class TestClockSetBack:
    """Our own clock was wrong for a while, and is right again."""

    @pytest.fixture(autouse=True)
    def from_a_day_ahead(self, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair) -> None:
        jwks_host.publish(ec.public_jwk)
        assert outcome(client, ec, now=after(86_400)) == ""
        assert jwks_host.visits == 1

    @pytest.mark.parametrize("other_worker", [False, True])
    def test_a_copy_from_the_future_is_not_used_and_a_new_one_takes_its_place(
        self, client: RegisteredClient, jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair, other_worker: bool
    ) -> None:
        jwks_host.publish(rsa.public_jwk)
        if other_worker:
            key_sets._copies.clear()
        assert outcome(client, ec) == "jwks.kid_unknown"
        assert outcome(client, rsa, now=after(1)) == ""
        assert jwks_host.visits == 2
        assert KeySet.objects.get().fetched_at == NOW

    def test_a_minute_between_the_clocks_of_two_machines_makes_no_copy_unusable(
        self, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        assert outcome(client, ec, now=after(86_400 - 60)) == ""
        assert jwks_host.visits == 1
        assert outcome(client, ec, now=after(86_400 - 61)) == ""
        assert jwks_host.visits == 2

    def test_a_forced_fetch_is_not_put_off_until_the_clock_has_caught_up(
        self, client: RegisteredClient, jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair
    ) -> None:
        assert outcome(client, ec, now=after(86_401), kid="ec-9") == "jwks.kid_unknown"
        assert outcome(client, ec) == ""
        jwks_host.publish(ec.public_jwk, rsa.public_jwk)
        assert outcome(client, rsa, now=after(1)) == ""

    def test_a_failing_host_is_tried_again_all_the_same(
        self, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        jwks_host.page = Page(status=503)
        assert outcome(client, ec, now=after(90_001)) == "jwks.status"
        jwks_host.publish(ec.public_jwk)
        assert outcome(client, ec) == ""

    def test_a_slower_worker_still_does_not_put_an_older_copy_over_a_newer_one(
        self, client: RegisteredClient, jwks_host: JwksHost, rsa: KeyPair
    ) -> None:
        jwks_host.publish(rsa.public_jwk)
        key_sets.fetch(jwks_host.url, now=after(86_400 - 10))
        assert [entry["kid"] for entry in KeySet.objects.get().document["keys"]] == ["ec-1"]


@pytest.mark.requirement("ASYM-14", "ASYM-15")
@pytest.mark.parametrize(
    ("ahead", "rule"),
    [(0, ""), (60, ""), (61, "assertion.iat_future"), (-300, ""), (-359, ""), (-360, "assertion.expired")],
)
def test_the_clock_of_a_partner_may_be_off_by_a_minute(
    ahead: int, rule: str, client: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
) -> None:
    """Behind, five minutes more go unseen: an assertion that is old and one of a slow clock look the same."""
    jwks_host.publish(ec.public_jwk)
    parsed, _ = parse_assertion(signed(ec, claims_at(after(ahead))))
    if not rule:
        verify_assertion(parsed, client, audiences=AUDIENCES, now=NOW)
        return
    with pytest.raises(InvalidClient) as refused:
        verify_assertion(parsed, client, audiences=AUDIENCES, now=NOW)
    assert refused.value.refusal.rule == rule


@pytest.fixture(scope="module")
def pairs() -> list[KeyPair]:
    return [generate_key_pair("ES384", kid=f"minute-{number}") for number in range(6)]


class TestKeysThatChangeEveryMinute:
    """A partner that makes a new pair each minute, and publishes only that, or that and the one before."""

    @pytest.mark.parametrize("cache_control", [None, "max-age=60", "max-age=3600", "no-store"])
    def test_each_new_key_works_from_its_first_assertion_on(
        self, client: RegisteredClient, jwks_host: JwksHost, pairs: list[KeyPair], cache_control: str | None
    ) -> None:
        for minute, pair in enumerate(pairs):
            jwks_host.publish(pair.public_jwk, cache_control=cache_control)
            for second in (0, 1, 30, 59):
                assert outcome(client, pair, now=after(60 * minute + second)) == ""
        most = 4 * len(pairs) if cache_control == "no-store" else len(pairs)
        assert jwks_host.visits == most

    def test_a_withdrawn_key_is_accepted_until_its_successor_was_seen(
        self, client: RegisteredClient, jwks_host: JwksHost, pairs: list[KeyPair]
    ) -> None:
        jwks_host.publish(pairs[0].public_jwk, cache_control="max-age=3600")
        assert outcome(client, pairs[0]) == ""
        jwks_host.publish(pairs[1].public_jwk, cache_control="max-age=3600")
        assert outcome(client, pairs[0], now=after(60)) == ""
        assert outcome(client, pairs[1], now=after(61)) == ""
        assert outcome(client, pairs[0], now=after(62)) == "jwks.kid_unknown"

    def test_with_an_overlap_no_assertion_is_lost(
        self, client: RegisteredClient, jwks_host: JwksHost, pairs: list[KeyPair]
    ) -> None:
        for minute in range(1, len(pairs)):
            before, pair = pairs[minute - 1 : minute + 1]
            jwks_host.publish(before.public_jwk, pair.public_jwk, cache_control="max-age=60")
            assert outcome(client, pair, now=after(60 * minute)) == ""
            assert outcome(client, before, now=after(60 * minute + 1)) == ""

    def test_more_often_than_twice_a_minute_is_too_often(
        self, client: RegisteredClient, jwks_host: JwksHost, pairs: list[KeyPair]
    ) -> None:
        rules = []
        for number, pair in enumerate(pairs):
            jwks_host.publish(pair.public_jwk, cache_control="max-age=3600")
            rules.append(outcome(client, pair, now=after(10 * number)))
        assert rules == ["", "", "jwks.kid_unknown", "jwks.kid_unknown", "", "jwks.kid_unknown"]

    def test_guesses_at_a_kid_delay_a_new_key_by_half_a_minute_at_most(
        self, client: RegisteredClient, jwks_host: JwksHost, pairs: list[KeyPair]
    ) -> None:
        jwks_host.publish(pairs[0].public_jwk, cache_control="max-age=3600")
        assert outcome(client, pairs[0]) == ""
        assert outcome(client, pairs[0], now=after(9), kid="guessed") == "jwks.kid_unknown"
        jwks_host.publish(pairs[1].public_jwk, cache_control="max-age=3600")
        assert outcome(client, pairs[1], now=after(10)) == "jwks.kid_unknown"
        assert outcome(client, pairs[1], now=after(39)) == ""
