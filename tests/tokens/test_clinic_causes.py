"""An assertion broken in every way we know: the endpoint says nothing, its receipt says what, and so does the clinic.

Each cause is shown to the real endpoint and to the clinic in both orders: neither may change what the other sees.
Source: RFC 7523 §3; RFC 6749 §5.2; SMART 2.2 client-confidential-asymmetric.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from clients import jwks_fetch
from clients.clinic import diagnose
from clients.diagnosis import Diagnosis
from clients.key_pairs import KeyPair
from clients.models import AssertionId, KeySet
from clients.registered import find_client
from clients.tenants import TenantInfo
from smartauth import endpoints
from smartauth.models import AccessToken
from smartauth.receipts.models import Receipt
from smartauth.receipts.views import describe, find_receipt
from tests.certificates import self_signed
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.clients.test_assertions import encoded
from tests.endpoints.conftest import Post
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.endpoints.test_token_refresh_token import Start
from tests.factories import ASSERTION_TYPE, TOKEN_URL, make_client, service
from tests.proxy.conftest import Behind
from tests.tokens.broken_assertions import CAUSES, UNKNOWN, Partner, other_key_of_the_set


@pytest.fixture
def partner(tenant: TenantInfo, jwks_host: JwksHost, ec: KeyPair, rsa: KeyPair) -> Partner:
    make_client(service(jwks_uri=jwks_host.url), activate_at=(tenant,))
    jwks_host.publish(ec.public_jwk)
    return Partner(jwks_host, ec, rsa)


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
    ("aud is the FHIR base",      "It is a FHIR base"),
    ("iss is not sub",            "iss https://partner.example.org, sub bulk-loader"),
    ("a kid that is not published", "kid ec-9; published: ec-1; copy is 0 s old"),
    ("jku of another URL",        "https://elsewhere.example.org/jwks.json"),
    ("a line break at the end",   "Remove blanks, line breaks and quotes"),
    ("base64 padding",            "leave the padding out"),
    ("a PEM key",                 "treat it as lost"),
    ("one key without a set",     "a single key without keys around it"),
    ("HTML",                      "a page of HTML"),
    ("behind a login",            "401 from "),
    ("a signature in DER",        "not as DER"),
    ("no keys in the set",        "published: none"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "words"), WORDS)
def test_the_receipt_has_the_words_that_help(cause: str, words: str, post: Post, partner: Partner) -> None:
    told = partner_view(send(post, CAUSES[cause][1](partner)))
    assert words in " | ".join((told["expected"], told["seen"], told["fix"]))


def test_the_receipt_belongs_to_the_client_that_the_assertion_names(post: Post, partner: Partner) -> None:
    send(post, partner.sign({"aud": "https://elsewhere.example.org"}))
    assert Receipt.objects.get().client_id == "bulk-loader"


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
def test_a_token_of_this_server_is_no_assertion(
    kind: str, post: Post, partner: Partner, start: Start, small: Behind
) -> None:
    token = start()[kind] if kind == "id_token" else send(post, partner.sign()).json()[kind]
    told = partner_view(send(post, token))
    assert told["rule"] == "assertion.other_token"
    diagnosis = examine(token)
    assert diagnosis.first is not None
    assert (diagnosis.first.rule, diagnosis.others, diagnosis.claims) == ("assertion.other_token", (), None)
    assert token.rpartition(".")[2] not in json.dumps([told, diagnosis.as_json()])


def test_encoding_helps_nobody(post: Post, partner: Partner) -> None:
    """What is read as base64url and is no JSON is no JWT."""
    text = f"{encoded(b'no json')}.{encoded(partner.claims())}.AAAA"
    assert partner_view(send(post, text))["rule"] == "assertion.not_jwt"
