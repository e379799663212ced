"""The key card of a client: what it says in each state, as JSON and on a page, whatever partners publish."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.template.loader import render_to_string

from clients import key_sets
from clients.key_card import KeyCard, key_card
from clients.key_finding_words import WORDS, details_in_words, in_words
from clients.key_pairs import KeyPair
from clients.key_watch import Kind
from clients.key_watching import watch
from clients.models import Client, KeyFinding, KeySet, KeyUse
from tests.clients.jwks_host import JwksHost, Page
from tests.factories import NOW, make_client, phone_app, service, weak_rsa


@pytest.fixture(autouse=True)
def no_copies(db) -> Iterator[None]:
    yield
    key_sets._copies.clear()


@pytest.fixture
def partner(jwks_host: JwksHost) -> Client:
    return make_client(service(jwks_uri=jwks_host.url)).client


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def look(minutes: float = 0) -> None:
    watch(lambda: after(minutes), pause=0)


def page(card: KeyCard) -> str:
    return render_to_string("developers/key_card.html", {"card": card})


def text(card: KeyCard) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page(card))).split())


def test_a_healthy_card_tells_keys_copy_and_what_comes_next(partner, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=600")
    look()
    KeyUse.objects.create(client=partner, kid="ec-1", used_at=NOW)
    card = key_card(partner, after(3))
    assert [(key.kid, key.kty, key.alg, key.use) for key in card.keys] == [
        ("rsa-1", "RSA", "RS384", "sig"),
        ("ec-1", "EC", "ES384", "sig"),
    ]
    assert [(key.size, key.last_used_at, key.last_used) for key in card.keys] == [
        ("3072 bits", None, "not in the last seven days"),
        ("P-384", NOW, "3 minutes ago"),
    ]
    assert {key.first_seen_at for key in card.keys} == {NOW}
    assert card.copy == "The copy is 3 minutes old."
    assert "A copy is kept for 600 s." in card.lifetime
    assert card.next == "It is read again when it is needed in 7 minutes or later. The watch looked 3 minutes ago."
    assert (card.fetched_at, card.expires_at, card.looked_at) == (NOW, after(10), NOW)
    assert (card.findings, card.resolved) == ((), ())
    assert "The watch has found nothing to mend." in text(card)


def test_the_card_costs_few_statements(partner, jwks_host, ec: KeyPair, django_assert_num_queries):
    jwks_host.publish(ec.public_jwk)
    look()
    with django_assert_num_queries(5):
        key_card(partner, NOW)


STATES = [
    # minutes after the fetch, what the card says of the copy, and of what comes next
    (0, "The copy is 0 seconds old.", "It is read again when it is needed in 5 minutes or later."),
    (4.9, "The copy is 4 minutes old.", "It is read again when it is needed in 6 seconds or later."),
    (60, "The copy is 1 hour old and may not be used any more.", "It is read again with the next assertion"),
    (-0.5, "The copy is 0 seconds old.", "It is read again when it is needed in 5 minutes or later."),
    (-60, "The copy seems to be from the future and is not used.", "It is read again with the next assertion"),
]


@pytest.mark.parametrize(("minutes", "copy", "coming"), STATES)
def test_the_age_of_the_copy_decides_what_comes_next(partner, jwks_host, ec: KeyPair, minutes, copy, coming):
    jwks_host.publish(ec.public_jwk)
    look()
    card = key_card(partner, after(minutes))
    assert card.copy == copy
    assert card.next.startswith(coming)


def test_before_anybody_looked_it_says_so(partner):
    card = key_card(partner, NOW)
    assert card.copy == "The key set has not been read yet."
    assert card.next.endswith("No watch has looked yet.")
    assert card.keys == ()
    assert "nothing to mend" not in text(card)


@pytest.mark.requirement("REG-08")
def test_keys_by_value_come_with_the_advice_to_send_new_ones(ec: KeyPair):
    card = key_card(make_client(service(jwks=ec.jwks)).client, NOW)
    assert (card.source, [key.kid for key in card.keys]) == ("value", ["ec-1"])
    assert "send the new set" in text(card)


def test_a_client_that_signs_nothing_has_a_card_that_says_so():
    card = key_card(make_client(phone_app()).client, NOW)
    assert (card.source, card.keys) == ("none", ())
    assert text(card) == "Keys The client does not sign with keys."


def test_findings_are_told_in_words_and_mended_ones_stay_for_a_while(partner, jwks_host, ec: KeyPair):
    jwks_host.page = Page(status=503)
    look()
    [finding] = key_card(partner, after(1)).findings
    assert finding.kind == "unreachable"
    assert finding.details == "the JWKS URL answers 503 (jwks.status)"
    assert (finding.first_seen_at, finding.resolved_at) == (NOW, None)
    shown = text(key_card(partner, after(1)))
    assert "The key set cannot be read. The server could not fetch the key set." in shown
    assert "What to do: Mend what the rule says" in shown
    jwks_host.publish(ec.public_jwk)
    look(5)
    card = key_card(partner, after(6))
    assert card.findings == ()
    assert [(one.kind, one.resolved_at) for one in card.resolved] == [("unreachable", after(5))]
    assert "Mended lately (1) The key set cannot be read, from" in text(card)


def test_only_the_last_ten_mended_findings_are_shown(partner):
    for minute in range(12):
        at = after(minute)
        KeyFinding.objects.create(client=partner, kind="empty", first_seen_at=at, last_seen_at=at, resolved_at=at)
    resolved = key_card(partner, after(60)).resolved
    assert [one.resolved_at for one in resolved] == [after(minute) for minute in range(11, 1, -1)]


def test_a_key_that_cannot_be_used_says_why(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, weak_rsa())
    look()
    card = key_card(partner, NOW)
    assert [[problem.rule for problem in key.problems] for key in card.keys] == [[], ["jwks.weak_key"]]
    assert "Cannot be used" in text(card)
    assert card.findings[0].details == "weak: jwks.weak_key"


def test_the_keys_of_another_client_are_not_on_the_card(partner, jwks_host, ec: KeyPair):
    other = make_client(service(client_id="other", jwks_uri=jwks_host.url)).client
    jwks_host.publish(ec.public_jwk)
    KeyUse.objects.create(client=other, kid="ec-1", used_at=NOW)
    KeyFinding.objects.create(client=other, kind="empty", first_seen_at=NOW, last_seen_at=NOW)
    KeySet.objects.create(jwks_uri=jwks_host.url, document=ec.jwks, fetched_at=NOW, expires_at=after(5))
    card = key_card(partner, NOW)
    assert [key.last_used_at for key in card.keys] == [None]
    assert card.findings == ()


def test_the_card_as_json_is_plain(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, {**ec.public_jwk, "use": "enc"})
    look()
    told: dict[str, Any] = json.loads(json.dumps(key_card(partner, NOW).as_json()))
    assert told["client_id"] == "bulk-loader"
    assert told["fetched_at"] == "2026-03-01T12:00:00Z"
    assert told["keys"][1]["problems"][-1]["rule"] == "jwks.key_use"
    assert {finding["kind"] for finding in told["findings"]} == {"kid-clash", "unfit-key"}


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ card }}",
    "\u202egnihsif",
    "a'b&c",
    "é" * 255,
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_a_partner_publishes_is_shown_as_text(partner, jwks_host, ec: KeyPair, hostile):
    jwks_host.publish({**ec.public_jwk, "kid": hostile, "use": hostile, "alg": hostile}, cache_control="max-age=60")
    KeyUse.objects.create(client=partner, kid=f"{hostile}"[:250] + "gone", used_at=NOW)
    look()
    card = key_card(partner, NOW)
    assert card.findings
    shown = page(card)
    assert shown.replace("…", "").isascii()  # Nothing that could turn the text around, or look like another.
    assert not re.search(r"<(script|img)", shown)
    assert shown.count("<code>") == shown.count("</code>")
    assert shown.count("<bdi>") == shown.count("</bdi>")


def test_the_fragment_has_no_script_no_style_and_no_address_of_others(partner, jwks_host):
    jwks_host.page = Page({"keys": []})
    look()
    shown = page(key_card(partner, NOW))
    assert not re.search(r"<script|<style|style=| on\w+=|src=|href=", shown)
    assert shown.count('id="keys-of-bulk-loader"') == 1


def test_every_kind_of_finding_has_words():
    assert set(WORDS) == set(Kind)
    for words in WORDS.values():
        assert not words.title.endswith(".")
        assert words.explanation.endswith(".")
        assert words.fix.endswith(".")


DETAILS = [
    ({}, ""),
    ({"rule": "jwks.dns", "reason": "no address"}, "no address (jwks.dns)"),
    ({"kids": ["a", "b"], "count": 2}, "keys: a, b"),
    ({"gone": ["a"], "came": ["b"]}, "gone: a; new: b"),
    ({"rules": {"weak": "jwks.weak_key"}}, "weak: jwks.weak_key"),
    ({"days_left": 1}, "1 day left"),
    ({"days_left": 0}, "less than a day left"),
]


@pytest.mark.parametrize(("details", "words"), DETAILS)
def test_details_are_told_in_words(details, words):
    assert details_in_words(details) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (7_199, "1 hour"),
        (172_800, "2 days"),
    ],
)
def test_times_are_told_in_one_unit(seconds, words):
    assert in_words(timedelta(seconds=seconds)) == words
