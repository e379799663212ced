"""Looking at a partner's key set by command: every fault of the answer and of each key, in one go.

Source: RFC 7517 §4 and §5; RFC 9111 §4.2; SMART 2.2 client-confidential-asymmetric.
"""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from clients import jwks_fetch
from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair
from tests.certificates import self_signed
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.conftest import Configure
from tests.factories import weak_rsa

JSON = ("Content-Type", "application/json")


def serve(host: JwksHost, *keys: object, headers: tuple[tuple[str, str], ...] = (JSON,)) -> None:
    host.page = Page({"keys": list(keys)}, headers=headers)


def look(url: str, *options: str) -> tuple[int, str]:
    """Return the exit status of the command and what it printed."""
    printed = io.StringIO()
    try:
        call_command("check_jwks", url, *options, stdout=printed)
    except SystemExit as ended:
        return int(str(ended.code)), printed.getvalue()
    return 0, printed.getvalue()


def report(url: str) -> dict[str, Any]:
    status, printed = look(url, "--json")
    found: dict[str, Any] = json.loads(printed)
    assert status == (0 if found["healthy"] else 1)
    return found


def rules(found: dict[str, Any]) -> list[str]:
    return [one["rule"] for one in found["findings"]]


def key_rules(found: dict[str, Any]) -> list[list[str]]:
    return [[one["rule"] for one in key["problems"]] for key in found["keys"]]


def test_a_good_key_set_has_nothing_to_mend(jwks_host, rsa: KeyPair, ec: KeyPair):
    serve(jwks_host, rsa.public_jwk, ec.public_jwk, headers=(JSON, ("Cache-Control", "max-age=600")))
    found = report(jwks_host.url)
    assert found["healthy"]
    assert (rules(found), key_rules(found)) == ([], [[], []])
    assert [(key["kid"], key["kty"], key["size"]) for key in found["keys"]] == [
        ("rsa-1", "RSA", f"{len_of(rsa)} bits"),
        ("ec-1", "EC", "P-384"),
    ]
    assert (found["cache_control"], found["kept_for"]) == ("max-age=600", 600)
    assert "may go unseen for 30 s" in found["rotation"]
    assert "accepted for 600 s" in found["rotation"]


def len_of(pair: KeyPair) -> int:
    return {342: 2048, 512: 3072, 683: 4096}[len(pair.public_jwk["n"])]


def test_people_read_sentences(jwks_host, ec: KeyPair):
    serve(jwks_host, ec.public_jwk)
    status, printed = look(jwks_host.url)
    assert status == 0
    assert "key ec-1: EC, P-384" in printed
    assert "Cache-Control: none. A copy is kept for 300 s." in printed
    assert printed.endswith("Nothing to mend.\n")
    serve(jwks_host, {**ec.public_jwk, "use": "enc"})
    status, printed = look(jwks_host.url)
    assert status == 1
    assert "  jwks.key_use: the key is not for signatures (use enc)." in printed


ANSWERS = [
    # what the host answers                                                            findings
    (Page(status=302, headers=(("Location", "https://a.example.org/"),)), ["jwks.redirect"]),
    (Page(status=404), ["jwks.status"]),
    (Page(status=500), ["jwks.status"]),
    (Page(b" " * (MAX_BYTES + 1)), ["jwks.too_large"]),
    (Page(delay=0.5), ["jwks.timeout"]),
    (Page(b"<html>", headers=(("Content-Type", "text/html"),)), ["jwks.content_type", "jwks.not_json"]),
    (Page(b"{", headers=(JSON,)), ["jwks.not_json"]),
    (Page([], headers=(JSON,)), ["jwks.no_keys"]),
    (Page({"keys": {}}, headers=(JSON,)), ["jwks.no_keys"]),
    (Page({"keys": ["key"]}, headers=(JSON,)), ["jwks.key_malformed"]),
    (Page({"keys": []}, headers=(JSON,)), ["jwks.no_usable_key"]),
    (Page({"keys": [{"kty": "OKP", "kid": "ed"}] * 101}, headers=(JSON,)), ["jwks.too_many_keys"]),
]


@pytest.mark.parametrize(("page", "expected"), ANSWERS)
def test_each_fault_of_an_answer_is_named(jwks_host, page: Page, expected, monkeypatch):
    if page.delay:
        monkeypatch.setattr(jwks_fetch, "TOTAL_TIMEOUT", 200)
    jwks_host.page = page
    found = report(jwks_host.url)
    assert rules(found) == expected
    assert len(found["keys"]) <= 100


@pytest.mark.parametrize(
    ("content_type", "healthy"),
    [
        ("application/json; charset=utf-8", True),
        ("application/jwk-set+json", True),
        ("text/plain", False),
        ("image/svg+json", False),
        (None, False),
    ],
)
def test_a_key_set_calls_itself_json(jwks_host, ec: KeyPair, content_type, healthy):
    serve(jwks_host, ec.public_jwk, headers=(("Content-Type", content_type),) if content_type else ())
    assert rules(report(jwks_host.url)) == ([] if healthy else ["jwks.content_type"])


def test_a_name_of_a_private_address_is_refused_as_the_server_would(configure: Configure):
    configure(mode="production")
    assert rules(report("https://localhost/jwks.json")) == ["jwks.address"]
    assert rules(report("http://a.example.org/jwks.json")) == ["jwks.url"]


def test_tls_is_judged_and_its_certificate_dated(tmp_path, ec: KeyPair, configure: Configure, monkeypatch):
    context, certificate = self_signed(tmp_path)
    with run_jwks_host(context) as host:
        serve(host, ec.public_jwk)
        configure(mode="production", jwks_allowed_hosts=frozenset({f"127.0.0.1:{host.port}"}))
        assert rules(report(host.url)) == ["jwks.tls"]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        found = report(host.url)
    assert rules(found) == ["jwks.certificate_ends"]
    assert found["findings"][0]["seen"] == "0 days left"


KEYS = [
    # what is changed in a good EC key          problems of the key
    ({"use": "enc"}, ["jwks.key_use"]),
    ({"key_ops": ["sign"]}, ["jwks.key_ops"]),
    ({"key_ops": "verify"}, ["jwks.key_ops"]),
    ({"alg": "ES256"}, ["jwks.key_alg"]),
    ({"alg": ["ES384"]}, ["jwks.key_alg"]),
    ({"kid": None}, ["jwks.kid_missing"]),
    ({"kid": "good"}, ["jwks.kid_ambiguous"]),
    ({"crv": "P-256"}, ["jwks.key_malformed", "jwks.key_alg"]),
    ({"x": "!"}, ["jwks.key_malformed"]),
    ({"kty": "OKP"}, ["jwks.key_type"]),
    ({"kty": ["EC"]}, ["jwks.key_type"]),
]


@pytest.mark.parametrize(("changes", "expected"), KEYS)
def test_each_fault_of_a_key_is_named_and_a_good_key_stays_good(
    jwks_host, ec: KeyPair, ec256: KeyPair, changes, expected
):
    good = {**ec256.public_jwk, "kid": "good"}
    serve(jwks_host, {**ec.public_jwk, "alg": "ES384", **changes}, good)
    found = report(jwks_host.url)
    faulty, other = key_rules(found)
    assert faulty == expected
    assert other == (["jwks.kid_ambiguous"] if "jwks.kid_ambiguous" in expected else [])
    assert rules(found) == []


def test_a_weak_key_is_named_with_its_size(jwks_host):
    serve(jwks_host, weak_rsa())
    found = report(jwks_host.url)
    assert key_rules(found) == [["jwks.weak_key"]]
    assert found["keys"][0]["problems"][0]["seen"].startswith("1024 bits")


def test_published_secrets_are_named_and_never_repeated(jwks_host, ec: KeyPair):
    serve(
        jwks_host, {**ec.public_jwk, "d": "c2VjcmV0LW51bWJlcg"}, {"kty": "oct", "kid": "s", "k": "c2hhcmVkLXNlY3JldA"}
    )
    found = report(jwks_host.url)
    assert rules(found) == ["jwks.private_key"]
    assert key_rules(found) == [["jwks.private_key"], ["jwks.private_key", "jwks.symmetric_key"]]
    for options in ((), ("--json",)):
        printed = look(jwks_host.url, *options)[1]
        assert "c2VjcmV0" not in printed
        assert "c2hhcmVk" not in printed


def test_what_may_not_be_kept_is_explained(jwks_host, ec: KeyPair):
    serve(jwks_host, ec.public_jwk, headers=(JSON, ("Cache-Control", "no-store")))
    found = report(jwks_host.url)
    assert found["kept_for"] == 0
    assert "fetched for every assertion" in found["rotation"]
