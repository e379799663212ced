"""An assertion broken in every way we know: the endpoint says nothing, its receipt says what, and so does the clinic.

Each cause is shown to the real endpoint and to the clinic in both orders: neither may change what the other sees.
Source: RFC 7523 §3; RFC 6749 §5.2; SMART 2.2 client-confidential-asymmetric.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone
from joserfc import jwe
from joserfc.jwk import OctKey

from clients import jwks_fetch
from clients.clinic import diagnose
from clients.diagnosis import Diagnosis
from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair, generate_key_pair, load_private_key
from clients.models import AssertionId, Client, KeySet
from clients.registered import find_client
from clients.tenants import TenantInfo
from smartauth import endpoints
from smartauth.models import AccessToken
from smartauth.receipts.models import Receipt
from smartauth.receipts.views import describe, find_receipt
from tests.certificates import self_signed
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.clients.test_assertions import encoded, unsigned
from tests.endpoints.conftest import Post
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.factories import ASSERTION_TYPE, TOKEN_URL, claims_at, make_client, service, signed, weak_rsa, web_app

HEADER = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}


@dataclass
class Partner:
    """A backend service whose keys are at a URL under our control."""

    host: JwksHost
    ec: KeyPair
    rsa: KeyPair

    def sign(self, claims: dict[str, Any] | None = None, *, pair: KeyPair | None = None, **header: Any) -> str:
        return signed(pair or self.ec, self.claims(**(claims or {})), **header)

    def claims(self, **changes: Any) -> dict[str, Any]:
        return claims_at(datetime.now(UTC), **changes)

    def publish(self, *keys: Any, **page: Any) -> str:
        """Serve these keys, and return a good assertion."""
        self.host.page = Page({"keys": list(keys)}, **page)
        return self.sign()

    def serve(self, page: Page) -> str:
        self.host.page = page
        return self.sign()

    def move_to(self, url: str) -> str:
        Client.objects.filter(client_id="bulk-loader").update(client_jwks_uri=url)
        return self.sign()

    def registered(self, **columns: Any) -> str:
        """Change the registration, and return a good assertion."""
        Client.objects.filter(client_id="bulk-loader").update(**columns)
        return self.sign()


@pytest.fixture
def partner(tenant: TenantInfo, jwks_host: JwksHost, ec: KeyPair, rsa: KeyPair) -> Partner:
    make_client(service(jwks_uri=jwks_host.url), activate_at=(tenant,))
    jwks_host.publish(ec.public_jwk)
    return Partner(jwks_host, ec, rsa)


Break = Callable[[Partner], str]


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def claim(**changes: Any) -> Break:
    """Sign with these claims; a function stands for what it returns at the time."""
    return lambda partner: partner.sign({name: one() if callable(one) else one for name, one in changes.items()})


def header(**changes: Any) -> Break:
    return lambda partner: partner.sign(**changes)


def bare(change: dict[str, Any]) -> Break:
    """Make a header no library would write."""
    return lambda partner: unsigned({**HEADER, **change}, partner.claims())


def wrapped(before: str = "", after: str = "") -> Break:
    return lambda partner: f"{before}{partner.sign()}{after}"


def served(page: Page) -> Break:
    return lambda partner: partner.serve(page)


def published(change: dict[str, Any]) -> Break:
    return lambda partner: partner.publish({**partner.ec.public_jwk, **change})


def encrypted(partner: Partner) -> str:
    text = json.dumps(partner.claims()).encode()
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, text, OctKey.generate_key(256))


def private_jwk(pair: KeyPair) -> dict[str, Any]:
    return dict(load_private_key(pair.private_pem).as_dict(private=True)) | {"kid": "ec-1"}


def access_token(partner: Partner) -> str:
    claims = partner.claims(iss="http://127.0.0.1:8000", client_id="bulk-loader", scope="system/*.rs")
    return unsigned({**HEADER, "typ": "at+jwt"}, claims)


def as_json(partner: Partner) -> str:
    protected, payload, signature = partner.sign().split(".")
    return json.dumps({"payload": payload, "protected": protected, "signature": signature})


def padded(partner: Partner) -> str:
    protected, payload, signature = partner.sign({"pad": "a"}).split(".")
    return f"{protected}=.{payload}.{signature}"


def another_key(partner: Partner) -> str:
    return partner.sign(pair=generate_key_pair("ES384", kid="ec-1"))


def other_key_of_the_set(partner: Partner) -> str:
    other = generate_key_pair("ES384", kid="ec-7")
    partner.publish(partner.ec.public_jwk, other.public_jwk)
    return partner.sign(pair=other, kid="ec-1")


def same_kid_twice(partner: Partner) -> str:
    return partner.publish(partner.ec.public_jwk, generate_key_pair("ES384", kid="ec-1").public_jwk)


def key_of_another_type(partner: Partner) -> str:
    partner.publish({**partner.rsa.public_jwk, "kid": "ec-1"})
    return partner.sign()


def weak(partner: Partner) -> str:
    partner.publish({**weak_rsa(), "kid": "weak"})
    return partner.sign(pair=partner.rsa, kid="weak")


def closed_port(partner: Partner) -> str:
    with run_jwks_host() as gone:
        url = gone.url
    return partner.move_to(url)


def registered_for_a_secret(partner: Partner) -> str:
    make_client(web_app())
    return partner.sign({"iss": "cardio", "sub": "cardio"})


def not_active_anywhere(partner: Partner) -> str:
    Client.objects.get(client_id="bulk-loader").activations.update(is_active=False)
    return partner.sign()


CAUSES: dict[str, tuple[str, Break]] = {
    # what came is no assertion
    "nonsense": ("assertion.not_jwt", lambda _: "nonsense"),
    "two segments": ("assertion.not_jwt", lambda partner: partner.sign().rpartition(".")[0]),
    "encrypted": ("assertion.not_jws", encrypted),
    "JSON serialization": ("assertion.json", as_json),
    "unsigned claims": ("assertion.json", lambda partner: json.dumps(partner.claims())),
    "a PEM key": ("assertion.key", lambda partner: str(partner.ec.private_pem, "ascii")),
    "a private JWK": ("assertion.key", lambda partner: json.dumps(private_jwk(partner.ec))),
    "a Bearer prefix": ("assertion.prefix", wrapped("Bearer ")),
    "a line break at the end": ("assertion.characters", wrapped(after="\n")),
    "quotes around it": ("assertion.characters", wrapped('"', '"')),
    "base64 padding": ("assertion.base64url", padded),
    "too long": ("assertion.too_large", claim(more="m" * 17_000)),
    "a claim twice": ("assertion.duplicate_member", lambda _: unsigned(HEADER, b'{"iss": "a", "iss": "bulk-loader"}')),
    "an access token": ("assertion.other_token", access_token),
    "an ID token": ("assertion.other_token", claim(iss="http://127.0.0.1:8000", sub="3f1c", nonce="n", auth_time=now)),
    # header
    "alg none": ("assertion.alg", bare({"alg": "none"})),
    "a shared secret": ("assertion.alg", bare({"alg": "HS256"})),
    "an algorithm not accepted": ("assertion.alg", lambda p: p.sign(pair=p.rsa, alg="RS512", kid="ec-1")),
    "crit": ("assertion.crit", bare({"crit": ["exp"]})),
    "another kind of JWT": ("assertion.typ", header(typ="dpop+jwt")),
    "no kid": ("assertion.kid_missing", header(kid=...)),
    "kid is a number": ("assertion.kid", bare({"kid": 1})),
    "jku of another URL": ("assertion.jku", header(jku="https://elsewhere.example.org/jwks.json")),
    "another algorithm than registered": (
        "assertion.alg_registered",
        lambda partner: partner.registered(token_endpoint_auth_signing_alg="RS384"),
    ),
    # claims
    "no sub": ("assertion.iss_sub_missing", claim(sub=...)),
    "iss is not sub": ("assertion.iss_sub", claim(iss="https://partner.example.org")),
    "no aud": ("assertion.aud_missing", claim(aud=...)),
    "aud of another server": ("assertion.aud", claim(aud="https://elsewhere.example.org/token")),
    "aud with a slash more": ("assertion.aud", claim(aud=f"{TOKEN_URL}/")),
    "several aud": ("assertion.aud_several", claim(aud=[TOKEN_URL, "https://elsewhere.example.org"])),
    "no exp": ("assertion.exp_missing", claim(exp=...)),
    "exp is text": ("assertion.exp_type", claim(exp=lambda: str(now() + 300))),
    "exp in milliseconds": ("assertion.exp_milliseconds", claim(exp=lambda: (now() + 300) * 1_000)),
    "exp is a duration": ("assertion.expired", claim(exp=300)),
    "expired": ("assertion.expired", claim(iat=lambda: now() - 712, exp=lambda: now() - 412)),
    "good for an hour": ("assertion.exp_too_far", claim(exp=lambda: now() + 3_600)),
    "the clock is ahead": ("assertion.iat_future", claim(iat=lambda: now() + 412, exp=lambda: now() + 712)),
    "not valid yet": ("assertion.nbf", claim(nbf=lambda: now() + 300)),
    "issued long ago": ("assertion.iat_old", claim(iat=lambda: now() - 900)),
    "no jti": ("assertion.jti_missing", claim(jti=...)),
    "jti is a number": ("assertion.jti", claim(jti=7)),
    # keys
    "a kid that is not published": ("jwks.kid_unknown", header(kid="ec-9")),
    "two keys of one kid": ("jwks.kid_ambiguous", same_kid_twice),
    "a key of another type": ("jwks.key_type", key_of_another_type),
    "a key for encryption": ("jwks.key_use", published({"use": "enc"})),
    "a key that only signs": ("jwks.key_ops", published({"key_ops": ["sign"]})),
    "a key of another algorithm": ("jwks.key_alg", published({"alg": "ES256"})),
    "a weak key": ("jwks.weak_key", weak),
    "a key that is none": ("jwks.key_malformed", published({"x": "AQAB"})),
    "signed with another key": ("assertion.signature", another_key),
    "signed with another key of the set": ("assertion.signature", other_key_of_the_set),
    "no keys in the set": ("jwks.no_usable_key", lambda partner: partner.publish()),
    "101 keys": ("jwks.too_many_keys", lambda partner: partner.publish(*[partner.ec.public_jwk] * 101)),
    "a private key published": ("jwks.private_key", lambda partner: partner.publish(private_jwk(partner.ec))),
    # the JWKS URL
    "closed port": ("jwks.unreachable", closed_port),
    "no such host": ("jwks.dns", lambda partner: partner.move_to("https://nobody.invalid/jwks.json")),
    "private address": ("jwks.address", lambda partner: partner.move_to("https://127.1/jwks.json")),
    "http in the open": ("jwks.url", lambda partner: partner.move_to("http://partner.example.org/jwks.json")),
    "slow": ("jwks.timeout", lambda partner: partner.publish(delay=0.6)),
    "500": ("jwks.status", served(Page(status=500))),
    "behind a login": ("jwks.status", served(Page(status=401))),
    "redirect": ("jwks.redirect", served(Page(status=302, headers=(("Location", "/elsewhere"),)))),
    "HTML": ("jwks.not_json", served(Page(b"<!doctype html><title>Hello</title>"))),
    "one key without a set": ("jwks.no_keys", lambda partner: partner.serve(Page(partner.ec.public_jwk))),
    "too large": ("jwks.too_large", served(Page(b" " * (MAX_BYTES + 1)))),
    # the client
    "suspended": ("client.suspended", lambda partner: partner.registered(status="suspended")),
    "not approved": ("client.not_approved", lambda partner: partner.registered(status="submitted")),
    "registered for a secret": ("client.auth_method", registered_for_a_secret),
    "not active at the tenant": ("client.not_activated", not_active_anywhere),
}  # fmt: skip
# Not causes of the clinic: another client is not looked at there.
UNKNOWN = claim(iss="nobody", sub="nobody")


def send(post: Post, assertion: str) -> HttpResponse:
    return post(TOKEN, {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion})


def examine(assertion: str, client_id: str = "bulk-loader") -> Diagnosis:
    client = find_client(client_id)
    assert client is not None
    return diagnose(assertion, client, audiences=endpoints.assertion_audiences("sandbox"), now=timezone.now())


def public(answer: HttpResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return all that a caller gets, with the trace id taken out."""
    trace_id = answer.headers["X-Trace-Id"]
    headers = sorted((name, value.replace(trace_id, "TRACE")) for name, value in answer.headers.items())
    return answer.status_code, headers, answer.content.replace(trace_id.encode(), b"TRACE")


def partner_view(answer: HttpResponse) -> dict[str, Any]:
    receipt = find_receipt(answer.headers["X-Trace-Id"])
    assert receipt is not None
    return describe(receipt, "partner")


@pytest.fixture
def refusal_of_a_stranger(post: Post, partner: Partner) -> tuple[int, list[tuple[str, str]], bytes]:
    """What somebody is told whom nobody knows: the answer every other one must be equal to."""
    return public(send(post, UNKNOWN(partner)))


@pytest.mark.requirement(
    "ASYM-18", "ASYM-20", "TOK-18", "KEYS-05", "KEYS-06", "KEYS-07", "T-01", "T-02", "T-03", "T-07"
)
@pytest.mark.parametrize("clinic_first", [True, False], ids=["clinic first", "endpoint first"])
@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_is_told_to_the_owner_and_to_nobody_else(
    cause: str,
    clinic_first: bool,
    post: Post,
    partner: Partner,
    refusal_of_a_stranger: tuple[int, list[tuple[str, str]], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jwks_fetch, "TOTAL_TIMEOUT", 300)
    rule, break_it = CAUSES[cause]
    assertion = break_it(partner)
    who = "cardio" if rule == "client.auth_method" else "bulk-loader"

    diagnosis = examine(assertion, who) if clinic_first else None
    answer = send(post, assertion)
    assert public(answer) == refusal_of_a_stranger
    told = partner_view(answer)
    assert told["rule"] == rule
    assert told["reason"]
    assert told["fix"]
    assert told["expected"] or told["seen"]
    if diagnosis is None:
        # The endpoint got as far as spending the jti before it came to the tenant.
        rule = "assertion.jti_replayed" if rule == "client.not_activated" else rule
        diagnosis = examine(assertion, who)
    assert diagnosis.first is not None
    assert (diagnosis.first.rule, bool(diagnosis.first.fix)) == (rule, True)
    if not rule.startswith("jwks."):  # A failed fetch is told again in other words.
        assert told["reason"] == diagnosis.first.reason or rule != told["rule"]
    json.dumps(diagnosis.as_json(), allow_nan=False)
    assert not AccessToken.objects.exists()
    assert AssertionId.objects.count() == (cause == "not active at the tenant")
    assert_keeps_no_secret(assertion, json.dumps(diagnosis.as_json()), json.dumps(told))


def assert_keeps_no_secret(assertion: str, *texts: str) -> None:
    """Fail where a signature, or a part of a private key, is in one of the texts."""
    pieces = [assertion.strip('"\n').rpartition(".")[2]]
    if assertion.startswith("{"):
        document = json.loads(assertion)
        pieces = [document[name] for name in ("signature", "d") if name in document]
    if "BEGIN" in assertion:
        pieces = assertion.splitlines()[1:-1]
    for piece in pieces:
        for text in texts:
            assert len(piece) < 20 or piece not in text


@pytest.mark.requirement("ASYM-16", "ASYM-17")
def test_a_diagnosis_spends_nothing_and_sees_what_was_spent(post: Post, partner: Partner) -> None:
    assertion = partner.sign()
    for _ in range(2):
        assert examine(assertion).first is None
    assert not AssertionId.objects.exists()
    assert send(post, assertion).status_code == 200
    diagnosis = examine(assertion)
    assert diagnosis.first is not None
    assert diagnosis.first.rule == "assertion.jti_replayed"
    assert partner_view(send(post, assertion))["rule"] == "assertion.jti_replayed"


@pytest.mark.requirement("KEYS-03", "KEYS-04")
def test_a_diagnosis_fetches_no_more_than_an_assertion_does(post: Post, partner: Partner) -> None:
    for _ in range(3):
        examine(partner.sign())
    assert partner.host.visits == 1
    for kid in ("a", "b", "c"):
        examine(partner.sign(kid=kid))
    assert partner.host.visits == 2
    assert partner_view(send(post, partner.sign(kid="d")))["rule"] == "jwks.kid_unknown"
    assert partner.host.visits == 2
    KeySet.objects.all().delete()
    partner.host.page = Page(status=503)
    for _ in range(3):
        examine(partner.sign(kid="e"))
    assert partner.host.visits == 3


def test_a_certificate_nobody_trusts_is_told_with_what_is_wrong_with_it(
    post: Post,
    partner: Partner,
    refusal_of_a_stranger: tuple[int, list[tuple[str, str]], bytes],
    tmp_path: Path,
) -> None:
    context, _ = self_signed(tmp_path)
    with run_jwks_host(context) as host:
        assertion = partner.move_to(host.url)
        answer = send(post, assertion)
        assert public(answer) == refusal_of_a_stranger
        told = partner_view(answer)
        assert (told["rule"], "self" in told["seen"]) == ("jwks.tls", True)
        assert examine(assertion).first.rule == "jwks.tls"


def test_the_clinic_names_the_key_that_did_sign(partner: Partner) -> None:
    first = examine(other_key_of_the_set(partner)).first
    assert first is not None
    assert "ec-7" in first.seen
    assert first.fix.startswith("Write kid ec-7 into the header")
    assertion = partner.sign(kid="ec-9")
    assert "the signature verifies with the key of kid ec-1" in examine(assertion).first.seen


WORDS = [
    # cause                       words the partner needs, in expected, seen or fix
    ("the clock is ahead",        "Set the clock of the machine that signs: it is 41"),
    ("expired",                   "the clock that signs is 71"),
    ("exp is a duration",         "exp looks like a duration"),
    ("exp in milliseconds",       "Divide exp by 1000"),
    ("good for an hour",          "3600 s after iat"),
    ("aud with a slash more",     "It differs by the slash at its end."),
    ("aud of another server",     "https://elsewhere.example.org/token"),
    ("aud of another server",     TOKEN_URL),
    ("iss is not sub",            "iss https://partner.example.org, sub bulk-loader"),
    ("a kid that is not published", "kid ec-9; published: ec-1; copy is 0 s old"),
    ("jku of another URL",        "https://elsewhere.example.org/jwks.json"),
    ("a line break at the end",   "Remove blanks, line breaks and quotes"),
    ("base64 padding",            "leave the padding out"),
    ("a PEM key",                 "treat it as lost"),
    ("one key without a set",     "a single key without keys around it"),
    ("HTML",                      "a page of HTML"),
    ("behind a login",            "401 from "),
    ("no keys in the set",        "published: none"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "words"), WORDS)
def test_the_receipt_has_the_words_that_help(cause: str, words: str, post: Post, partner: Partner) -> None:
    told = partner_view(send(post, CAUSES[cause][1](partner)))
    assert words in " | ".join((told["expected"], told["seen"], told["fix"]))


def test_the_receipt_belongs_to_the_client_that_the_assertion_names(post: Post, partner: Partner) -> None:
    send(post, partner.sign({"aud": "https://elsewhere.example.org"}))
    assert Receipt.objects.get().client_id == "bulk-loader"


def test_encoding_helps_nobody(post: Post, partner: Partner) -> None:
    """What is read as base64url and is no JSON is no JWT."""
    text = f"{encoded(b'no json')}.{encoded(partner.claims())}.AAAA"
    assert partner_view(send(post, text))["rule"] == "assertion.not_jwt"
