"""One look at a key set before it is registered: what it reports, and that it leaves nothing behind."""

import json

import pytest
from django.db import transaction

from clients import jwks_fetch, key_sets
from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair
from clients.models import KeyFinding, KeySet
from clients.trial_fetch import problems, trial
from tests.clients.jwks_host import JwksHost, Page
from tests.conftest import Configure
from tests.factories import NOW

JSON = (("Content-Type", "application/json"),)

REPORTED = [
    # what the host answers, the rules of the report
    (Page(status=503), ["jwks.status"]),
    (Page(status=302, headers=(("Location", "https://a.example.org/"),)), ["jwks.redirect"]),
    (Page(delay=0.5), ["jwks.timeout"]),
    (Page(b" " * (MAX_BYTES + 1)), ["jwks.too_large"]),
    (Page(b"<html>", headers=JSON), ["jwks.not_json"]),
    (Page({"keys": []}, headers=JSON), ["jwks.no_usable_key"]),
    (Page({"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}, headers=JSON), ["jwks.private_key"]),
]


@pytest.mark.requirement("REG-09")
@pytest.mark.django_db
@pytest.mark.parametrize(("page", "rules"), REPORTED)
def test_a_trial_reports_problems_and_stores_nothing(jwks_host: JwksHost, page: Page, rules, monkeypatch):
    if page.delay:
        monkeypatch.setattr(jwks_fetch, "TOTAL_TIMEOUT", 200)
    jwks_host.page = page
    report = trial(jwks_host.url, NOW)
    assert [finding.rule for finding in report.findings] == rules
    assert "c2VjcmV0" not in json.dumps(list(problems(report)))
    assert jwks_host.visits == 1
    assert not KeySet.objects.exists()
    assert not KeyFinding.objects.exists()
    assert key_sets._fetches == {}


@pytest.mark.requirement("REG-09")
@pytest.mark.django_db
def test_a_good_key_set_is_healthy_and_described(jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair):
    jwks_host.page = Page({"keys": [rsa.public_jwk, ec.public_jwk]}, headers=JSON)
    report = trial(jwks_host.url, NOW)
    assert report.is_healthy
    assert [key.kid for key in report.keys] == ["rsa-1", "ec-1"]
    assert list(problems(report)) == []


@pytest.mark.django_db
def test_the_problem_of_a_key_names_the_key(jwks_host: JwksHost, ec: KeyPair):
    jwks_host.page = Page({"keys": [ec.public_jwk | {"use": "enc"}]}, headers=JSON)
    [problem] = problems(trial(jwks_host.url, NOW))
    assert problem == {
        "rule": "jwks.key_use",
        "reason": "the key is not for signatures",
        "seen": "use enc",
        "fix": 'Publish "use": "sig".',
        "kid": "ec-1",
    }


@pytest.mark.requirement("REG-09", "KEYS-05")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("jwks_uri", "rule"),
    [
        ("https://localhost/jwks.json", "jwks.address"),
        ("https://10.0.0.1/jwks.json", "jwks.url"),
        ("http://a.example.org/jwks.json", "jwks.url"),
    ],
)
def test_a_trial_goes_to_public_addresses_only(configure: Configure, jwks_uri, rule):
    configure(mode="production")
    assert [finding.rule for finding in trial(jwks_uri, NOW).findings] == [rule]


@pytest.mark.django_db
def test_a_trial_is_never_inside_a_transaction(jwks_host: JwksHost):
    with transaction.atomic(), pytest.raises(RuntimeError):
        trial(jwks_host.url, NOW)
    assert jwks_host.visits == 0
