"""Proof Key for Code Exchange.  PKCE-01 to PKCE-05, AUTHZ-13, AUTHZ-14; RFC 7636; RFC 9700 §2.1.1."""

import base64
import hashlib
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartauth.errors import InvalidGrant, InvalidRequest
from smartauth.policy import pkce

# RFC 7636, Appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


@pytest.mark.requirement("PKCE-01")
def test_the_vector_of_the_rfc_verifies() -> None:
    assert pkce.require_challenge(CHALLENGE, "S256") == CHALLENGE
    pkce.verify(VERIFIER, CHALLENGE)


@given(st.text(UNRESERVED, min_size=43, max_size=128))
def test_a_verifier_of_the_right_form_proves_its_own_challenge(verifier: str) -> None:
    pkce.verify(verifier, pkce.require_challenge(challenge_of(verifier), "S256"))


@given(st.text(UNRESERVED, min_size=43, max_size=128), st.text(UNRESERVED, min_size=43, max_size=128))
def test_no_verifier_proves_the_challenge_of_another(verifier: str, other: str) -> None:
    if verifier != other:
        with pytest.raises(InvalidGrant):
            pkce.verify(other, challenge_of(verifier))


BAD_CHALLENGES = [
    # challenge                          method      rule
    ("",                                 "S256",     "pkce.missing"),
    ("",                                 "plain",    "pkce.missing"),
    ("",                                 "",         "pkce.missing"),
    (CHALLENGE,                          "",         "pkce.method"),
    (CHALLENGE,                          "plain",    "pkce.method"),
    (CHALLENGE,                          "s256",     "pkce.method"),
    (CHALLENGE,                          "S256 ",    "pkce.method"),
    (CHALLENGE,                          "S512",     "pkce.method"),
    (CHALLENGE[:-1],                     "S256",     "pkce.challenge"),
    (CHALLENGE + "A",                    "S256",     "pkce.challenge"),
    (CHALLENGE + "=",                    "S256",     "pkce.challenge"),
    (CHALLENGE + "\n",                   "S256",     "pkce.challenge"),
    (CHALLENGE.replace("-", "+"),        "S256",     "pkce.challenge"),
    (CHALLENGE.replace("-", "/"),        "S256",     "pkce.challenge"),
    (CHALLENGE.replace("-", "~"),        "S256",     "pkce.challenge"),
    (CHALLENGE.replace("-", "é"),        "S256",     "pkce.challenge"),
    ("٣" * 43,                           "S256",     "pkce.challenge"),
]  # fmt: skip


@pytest.mark.requirement("AUTHZ-13", "AUTHZ-14", "PKCE-05")
@pytest.mark.parametrize(("challenge", "method", "rule"), BAD_CHALLENGES)
def test_a_challenge_is_s256_and_well_formed_or_there_is_no_code(challenge: str, method: str, rule: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        pkce.require_challenge(challenge, method)
    assert (refused.value.code, refused.value.refusal.rule) == ("invalid_request", rule)


BAD_VERIFIERS = [
    # verifier                           rule
    # None or an empty one (the same, once empty parameters count as absent), another one, the challenge itself.
    ("",                                 "pkce.verifier_missing"),
    ("x" * 43,                           "pkce.verifier"),
    (CHALLENGE,                          "pkce.verifier"),
    # Almost the right one, and none at all by its form.
    (VERIFIER.lower(),                   "pkce.verifier"),
    (VERIFIER + "A",                     "pkce.verifier"),
    (VERIFIER[:-1],                      "pkce.verifier_malformed"),
    ("x" * 129,                          "pkce.verifier_malformed"),
    (VERIFIER + "=",                     "pkce.verifier_malformed"),
    (VERIFIER + "\n",                    "pkce.verifier_malformed"),
    (VERIFIER + " ",                     "pkce.verifier_malformed"),
    (VERIFIER.replace("-", "+"),         "pkce.verifier_malformed"),
    (VERIFIER.replace("-", "é"),         "pkce.verifier_malformed"),
    ("\x00" * 43,                        "pkce.verifier_malformed"),
]  # fmt: skip


@pytest.mark.requirement("PKCE-02", "PKCE-04")
@pytest.mark.parametrize(("verifier", "rule"), BAD_VERIFIERS)
def test_a_verifier_that_proves_nothing_is_refused(verifier: str, rule: str) -> None:
    with pytest.raises(InvalidGrant) as refused:
        pkce.verify(verifier, CHALLENGE)
    assert (refused.value.code, refused.value.refusal.rule) == ("invalid_grant", rule)


@pytest.mark.requirement("PKCE-03")
@pytest.mark.parametrize("verifier", [VERIFIER, "x" * 128])
def test_a_code_issued_without_a_challenge_is_refused_whatever_the_verifier(verifier: str) -> None:
    with pytest.raises(InvalidGrant) as refused:
        pkce.verify(verifier, "")
    assert refused.value.refusal.rule == "pkce.verifier"


@pytest.mark.parametrize("verifier", ["x" * 43, "x" * 42, "x" * 129, "x" * 50 + "="])
def test_a_refusal_never_repeats_the_verifier(verifier: str) -> None:
    with pytest.raises(InvalidGrant) as refused:
        pkce.verify(verifier, CHALLENGE)
    told = " ".join((*astuple(refused.value.refusal), refused.value.description))
    assert verifier not in told


@pytest.mark.requirement("PKCE-04")
def test_syntax_is_judged_before_anything_is_hashed() -> None:
    # The hash of this one matches; its form alone refuses it.
    short = "x" * 42
    with pytest.raises(InvalidGrant) as refused:
        pkce.verify(short, challenge_of(short))
    assert refused.value.refusal.rule == "pkce.verifier_malformed"
