"""The assertion clinic as a value: what it shows of an assertion, what it keeps to itself, and whose it explains."""

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import transaction

from clients.clinic import LADDER, NotYourAssertion, diagnose
from clients.diagnosis import Diagnosis
from clients.key_pairs import KeyPair
from clients.models import AssertionId, Client, KeySet
from clients.registered import RegisteredClient, find_client
from clients.visible import KEY, SECRET, TOKEN, visible
from tests.clients.jwks_host import JwksHost
from tests.clients.test_assertions import unsigned
from tests.factories import AUDIENCES, NOW, claims_at, make_client, make_tenant, service, signed

SECONDS = int(NOW.timestamp())
HEADER = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}


@pytest.fixture
def client(db: None, ec: KeyPair) -> RegisteredClient:
    """A client with one key registered by value."""
    make_client(service(jwks=ec.jwks), activate_at=(make_tenant(),))
    found = find_client("bulk-loader")
    assert found is not None
    return found


def examine(assertion: str, client: RegisteredClient) -> Diagnosis:
    return diagnose(assertion, client, audiences=AUDIENCES, now=NOW)


def outcomes(diagnosis: Diagnosis) -> dict[str, str]:
    return {one.name: one.outcome for one in diagnosis.checks}


def test_a_good_assertion_passes_every_check_and_shows_what_was_seen(client: RegisteredClient, ec: KeyPair) -> None:
    diagnosis = examine(signed(ec, claims_at()), client)
    assert set(outcomes(diagnosis).values()) == {"passed"}
    assert (diagnosis.first, diagnosis.others) == (None, ())
    seen = {one.name: one.seen for one in diagnosis.checks}
    assert seen["assertion.alg"] == "ES384"
    assert seen["assertion.times"] == "exp in 300 s, iat 0 s ago"
    assert seen["jwks.set"] == "registered: ec-1"
    assert seen["client.not_activated"] == "sandbox"
    assert diagnosis.clock is not None
    assert (diagnosis.clock.ahead, diagnosis.clock.words) == (0, "Your clock agrees with ours.")


def test_everything_that_is_wrong_is_told_at_once(client: RegisteredClient, ec: KeyPair) -> None:
    wrong = claims_at(aud="https://elsewhere.example.org", exp=SECONDS + 3_600, jti=...)
    diagnosis = examine(signed(ec, wrong, typ="at+jwt"), client)
    failed = [one.rule for one in diagnosis.checks if one.outcome == "failed"]
    assert failed == ["assertion.typ", "assertion.aud", "assertion.exp_too_far", "assertion.jti_missing"]
    assert diagnosis.first is not None
    assert (diagnosis.first.rule, [one.rule for one in diagnosis.others]) == (failed[0], failed[1:])
    found = outcomes(diagnosis)
    assert found["assertion.signature"] == "passed"
    assert found["assertion.jti_replayed"] == "not reached"


@pytest.mark.parametrize(
    ("assertion", "reached"),
    [
        (lambda ec: signed(ec, claims_at(), kid=...), {"assertion.alg", "assertion.aud", "assertion.jti_replayed"}),
        (lambda ec: unsigned({**HEADER, "alg": "none"}, claims_at()), {"assertion.kid", "jwks.set"}),
        (lambda ec: signed(ec, claims_at(exp="soon")), {"assertion.iat_future", "assertion.signature"}),
        (lambda ec: signed(ec, claims_at(), kid="ec-9"), {"jwks.set", "assertion.jti_replayed"}),
    ],
)
def test_what_does_not_depend_on_the_fault_is_checked_all_the_same(
    assertion: Any, reached: set[str], client: RegisteredClient, ec: KeyPair
) -> None:
    diagnosis = examine(assertion(ec), client)
    found = outcomes(diagnosis)
    assert diagnosis.first is not None
    assert all(found[name] == "passed" for name in reached)
    unreached = [one for one in diagnosis.checks if one.outcome == "not reached"]
    assert unreached
    assert all(one.reason.startswith("it depends on: ") and not one.rule for one in unreached)


def test_of_what_cannot_be_read_only_the_client_is_checked(client: RegisteredClient) -> None:
    diagnosis = examine("nonsense", client)
    assert (diagnosis.header, diagnosis.claims, diagnosis.clock) == (None, None, None)
    reached = {one.name: one.outcome for one in diagnosis.checks if one.outcome != "not reached"}
    assert reached == {
        "assertion.form": "failed",
        "client.status": "passed",
        "client.auth_method": "passed",
        "client.not_activated": "passed",
    }
    assert len(diagnosis.checks) == len(LADDER) + 1
    assert diagnosis.keys is not None
    assert diagnosis.keys.kids == ("ec-1",)


NOT_YOURS = [
    # claims of the assertion                          is it from bulk-loader's maker?
    ({"iss": "mallory", "sub": "mallory"},             False),
    ({"iss": "nobody", "sub": "nobody"},               False),
    ({"iss": "mallory", "sub": "nobody"},              False),
    ({"iss": ..., "sub": "mallory"},                   False),
    ({"iss": "BULK-LOADER", "sub": "BULK-LOADER"},     False),
    ({"iss": ["bulk-loader"], "sub": 7},               False),
    ({"sub": "mallory"},                               True),
    ({"iss": "https://partner.example.org"},           True),
    ({"iss": ..., "sub": ...},                         True),
]  # fmt: skip


@pytest.mark.parametrize(("claims", "is_yours"), NOT_YOURS)
def test_another_client_s_assertion_is_not_explained(
    claims: dict[str, Any], is_yours: bool, client: RegisteredClient, ec: KeyPair, rsa: KeyPair
) -> None:
    make_client(service(client_id="mallory", jwks=rsa.jwks))
    assertion = signed(ec, claims_at(**claims))
    if is_yours:
        assert examine(assertion, client).first is not None
        return
    with pytest.raises(NotYourAssertion) as refused:
        examine(assertion, client)
    refusal = refused.value.refusal
    assert (refusal.rule, refusal.reason) == ("clinic.not_yours", "this assertion is not from your client")
    assert refusal.expected == "bulk-loader in iss and sub"


def test_whether_the_other_client_exists_makes_no_difference(
    client: RegisteredClient, ec: KeyPair, django_assert_num_queries: Any
) -> None:
    make_client(service(client_id="mallory", jwks=ec.jwks))
    told = []
    for name in ("mallory", "nobody"):
        with django_assert_num_queries(0), pytest.raises(NotYourAssertion) as refused:
            examine(signed(ec, claims_at(iss=name, sub=name)), client)
        told.append(repr(refused.value.refusal).replace(name, "X"))
    assert told[0] == told[1]


SHOWN = [
    # a value of header or claims                     as it is shown
    ("plain",                                         "plain"),
    ("x" * 500,                                       "x" * 200 + "…"),
    (1e999,                                           "inf"),
    (10**400,                                         "1" + "0" * 199),
    (True,                                            True),
    (None,                                            None),
    ({"jwk": {"kty": "EC", "d": "AAAA"}},             {"jwk": KEY}),
    ({"x5c": ["MIIB"]},                               {"x5c": KEY}),
    ({"a": {"b": {"kty": "oct", "k": "AAAA"}}},       {"a": {"b": KEY}}),
    ({"client_secret": "AAAA"},                       {"client_secret": SECRET}),
    ({"note": "-----BEGIN PRIVATE KEY-----"},         {"note": KEY}),
    ({"token": "Bearer eyJhbGciOiJub25lIn0.e30.AA"},  {"token": TOKEN}),
    ([[[[[["deep"]]]]]],                              [[[["…"]]]]),
    (list(range(50)),                                 [*range(40), "… and 10 more"]),
    ({str(n): n for n in range(42)},                  {str(n): n for n in range(40)} | {"…": "and 2 more"}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), SHOWN)
def test_what_is_shown_is_bounded_and_holds_no_key(value: Any, shown: Any) -> None:
    assert visible(value) == shown


def test_the_json_of_a_diagnosis_is_plain_and_has_no_signature(client: RegisteredClient, ec: KeyPair) -> None:
    claims = claims_at(iat=SECONDS + 412, huge=1e300, odd="\u202e<script>")
    assertion = signed(ec, claims, jwk={"kty": "EC", "d": "secret-part"})
    diagnosis = examine(assertion, client)
    text = json.dumps(diagnosis.as_json(), allow_nan=False)
    assert assertion.rpartition(".")[2] not in text
    assert "secret-part" not in text
    told = json.loads(text)
    assert list(told) == [*("client_id", "at", "accepted", "refused_by", "header", "claims", "clock", "keys", "checks")]
    assert (told["accepted"], told["refused_by"]["rule"]) == (False, "assertion.iat_future")
    assert told["clock"]["ahead"] == 412
    assert told["clock"]["words"] == "Your clock is 412 s ahead of ours."
    assert told["header"]["jwk"] == KEY
    assert told["checks"][-1] == {
        "name": "note.brought_key",
        "title": "A key comes with the assertion and is not used",
        "outcome": "note",
        "rule": "",
        "reason": "only registered and published keys count",
        "expected": "",
        "seen": "jwk",
        "fix": "Leave it out.",
    }


@pytest.mark.parametrize("name", ["kid", "typ", "jku", "crit", "alg", "iss", "aud", "jti", "exp", "note"])
def test_a_key_or_a_token_in_the_wrong_place_is_not_shown(name: str, client: RegisteredClient, ec: KeyPair) -> None:
    token = signed(ec, claims_at())
    for text, piece in ((token, token.rpartition(".")[2]), (ec.private_pem.decode(), "PRIVATE")):
        wrong = unsigned(HEADER | {name: text}, claims_at(**{name: text}))
        assert piece[:40] not in json.dumps(examine(wrong, client).as_json())


def test_a_diagnosis_does_not_change(client: RegisteredClient, ec: KeyPair) -> None:
    with pytest.raises(FrozenInstanceError):
        examine(signed(ec, claims_at()), client).client_id = "other"  # type: ignore[misc]


OLD_OR_BEHIND = "it is that old, or the clock is that much behind ours."
ZONE = "looks like local time: exp and iat count from 1970 in UTC."
CLOCKS = [
    # iat, exp from now  ahead    words
    (0, 300,             0,       "Your clock agrees with ours."),
    (30, 330,            30,      "Your clock is 30 s ahead of ours, which is tolerated."),
    (412, 712,           412,     "Your clock is 412 s ahead of ours."),
    (3600, 3900,         3600,    f"Your clock is 3600 s ahead of ours. +1 h to the minute {ZONE}"),
    (-100, 200,          -100,    f"By your clock it was signed 100 s ago: {OLD_OR_BEHIND}"),
    (-7204, -6904,       -7204,   f"By your clock it was signed 7204 s ago: {OLD_OR_BEHIND} -2 h to the minute {ZONE}"),
    (None, 300,          None,    "There is no iat to compare the clocks by."),
    (None, 712,          None,    "There is no iat. If signed for five minutes, your clock is 412 s ahead of ours."),
]  # fmt: skip


@pytest.mark.parametrize(("iat", "exp", "ahead", "words"), CLOCKS)
def test_the_clock_line_says_who_is_ahead(
    iat: int | None, exp: int, ahead: int | None, words: str, client: RegisteredClient, ec: KeyPair
) -> None:
    issued = ... if iat is None else SECONDS + iat
    clock = examine(signed(ec, claims_at(iat=issued, exp=SECONDS + exp)), client).clock
    assert clock is not None
    assert (clock.now, clock.ahead, clock.words) == (NOW, ahead, words)
    assert clock.exp == NOW.astimezone(UTC) + timedelta(seconds=exp)


class TestKeysByUrl:
    """Which keys are shown, and how old they are."""

    @pytest.fixture
    def by_url(self, db: None, jwks_host: JwksHost, ec: KeyPair) -> RegisteredClient:
        make_client(service(jwks_uri=jwks_host.url), activate_at=(make_tenant(),))
        jwks_host.publish(ec.public_jwk)
        found = find_client("bulk-loader")
        assert found is not None
        return found

    def test_the_copy_has_an_age(self, by_url: RegisteredClient, ec: KeyPair) -> None:
        examine(signed(ec, claims_at()), by_url)
        later = NOW + timedelta(seconds=100)
        keys = diagnose(signed(ec, claims_at()), by_url, audiences=AUDIENCES, now=later).keys
        assert keys is not None
        assert (keys.kids, keys.count, keys.age, keys.is_current) == (("ec-1",), 1, 100, True)

    def test_a_copy_that_ran_out_is_shown_as_such_where_nothing_newer_was_needed(
        self, by_url: RegisteredClient, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        examine(signed(ec, claims_at()), by_url)
        later = NOW + timedelta(hours=2)
        keys = diagnose(signed(ec, claims_at(later), kid=...), by_url, audiences=AUDIENCES, now=later).keys
        assert keys is not None
        assert (keys.age, keys.is_current, jwks_host.visits) == (7_200, False, 1)

    def test_a_client_without_key_sets_has_none_fetched(self, by_url: RegisteredClient, ec: KeyPair) -> None:
        public = replace(by_url, token_endpoint_auth_method="none", jwks_uri="")
        diagnosis = examine(signed(ec, claims_at()), public)
        assert diagnosis.first is not None
        assert diagnosis.first.rule == "client.auth_method"
        assert (outcomes(diagnosis)["jwks.set"], diagnosis.keys) == ("not reached", None)
        assert not KeySet.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_host_is_asked_inside_a_transaction(jwks_host: JwksHost, ec: KeyPair) -> None:
    make_client(service(jwks_uri=jwks_host.url))
    client = find_client("bulk-loader")
    assert client is not None
    with pytest.raises(RuntimeError), transaction.atomic():
        examine(signed(ec, claims_at()), client)


def test_a_client_that_is_active_nowhere_is_told_so_last(client: RegisteredClient, ec: KeyPair) -> None:
    Client.objects.get().activations.all().delete()
    nowhere = replace(client, activations={})
    diagnosis = examine(signed(ec, claims_at()), nowhere)
    assert diagnosis.first is not None
    assert (diagnosis.first.rule, diagnosis.checks[-1]) == ("client.not_activated", diagnosis.first)
    assert not AssertionId.objects.exists()
