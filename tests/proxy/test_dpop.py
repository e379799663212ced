"""Tokens bound to a key, where they are used: the proxy, userinfo, and introspection's own bearer.

RFC 9449 §4.3, §7 and §9; RFC 6750 §3.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from clients.models import Client
from smartauth.models import ProofId
from smartauth.receipts.models import Receipt
from smartauth.tokens import finding
from tests.conftest import Configure
from tests.endpoints.test_token_client_credentials import statements
from tests.proofs import Holder
from tests.proxy.conftest import BASE, PUBLIC, Behind, Mint

ALGS = 'algs="ES256 ES384 PS256 PS384 RS256 RS384"'
METADATA = f'resource_metadata="{PUBLIC.replace("/fhir/", "/.well-known/oauth-protected-resource/fhir/")}"'
ANA = f"{PUBLIC}/Patient/ana"
Send = Callable[..., Any]


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def bound(small: Behind, minted: Mint, holder: Holder) -> str:
    """A token for ana's record, bound to the holder's key."""
    return minted("patient/*.rs", patient="ana", cnf={"jkt": holder.jkt})


@pytest.fixture
def plain(small: Behind, minted: Mint) -> str:
    """The same without a binding."""
    return minted("patient/*.rs", patient="ana")


def send(
    token: str, proof: str | None, path: str = "/Patient/ana", *, scheme: str = "DPoP", method: str = "GET"
) -> Any:
    headers = {"Authorization": f"{scheme} {token}"} | ({} if proof is None else {"DPoP": proof})
    return Browser().generic(method, BASE + path, headers=headers)


def assert_refused(answer: Any, rule: str, error: str = "invalid_dpop_proof") -> None:
    assert answer.status_code == 401, answer.content
    assert answer.headers["WWW-Authenticate"] == f'DPoP realm="fhir", error="{error}", {ALGS}, {METADATA}'
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert ("DPoP-Nonce" in answer.headers) == (error == "use_dpop_nonce")
    receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
    assert (receipt.rule, receipt.error, receipt.status) == (rule, error, 401)


@pytest.mark.requirement("EXT-06")
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_a_bound_token_reads_with_a_proof(bound: str, holder: Holder, scheme: str) -> None:
    answer = send(bound, holder.proof("GET", ANA, bound), scheme=scheme)
    assert (answer.status_code, answer.json()["id"]) == (200, "ana")
    again = send(bound, holder.proof("GET", f"{PUBLIC}/Observation", bound), "/Observation?patient=ana&_count=3")
    assert again.status_code == 200


@pytest.mark.requirement("EXT-06", "EXT-07")
@pytest.mark.parametrize("with_proof", [False, True])
def test_a_bound_token_is_no_bearer_token(bound: str, holder: Holder, small: Behind, with_proof: bool) -> None:
    answer = send(bound, holder.proof("GET", ANA, bound) if with_proof else None, scheme="Bearer")
    assert answer.status_code == 401
    challenge = f'Bearer realm="fhir", error="invalid_token", DPoP realm="fhir", {ALGS}, {METADATA}'
    assert answer.headers["WWW-Authenticate"] == challenge
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "token.bound"
    assert not ProofId.objects.exists()
    assert small.received() == []


@pytest.mark.requirement("EXT-06")
@pytest.mark.parametrize("with_proof", [False, True])
def test_a_token_that_is_bound_to_nothing_is_a_bearer_token(plain: str, holder: Holder, with_proof: bool) -> None:
    proof = holder.proof("GET", ANA, plain) if with_proof else None
    assert_refused(send(plain, proof), "token.not_bound", "invalid_token")
    assert send(plain, proof, scheme="Bearer").status_code == 200
    assert not ProofId.objects.exists()


def public(holder: Holder) -> dict[str, Any]:
    return dict(holder.key.as_dict(private=False))


FLAWS = [
    ("dpop.missing", lambda holder, token: None),
    ("dpop.not_jwt", lambda holder, token: "x"),
    ("dpop.repeated", lambda holder, token: ", ".join(holder.proof("GET", ANA, token) for _ in range(2))),
    ("dpop.key", lambda holder, token: Holder().proof("GET", ANA, token)),
    ("dpop.htm", lambda holder, token: holder.proof("POST", ANA, token)),
    ("dpop.htm", lambda holder, token: holder.proof("HEAD", ANA, token)),
    ("dpop.htu", lambda holder, token: holder.proof("GET", f"{PUBLIC}/Patient/ben", token)),
    ("dpop.htu", lambda holder, token: holder.proof("GET", PUBLIC, token)),
    ("dpop.htu", lambda holder, token: holder.proof("GET", ANA.replace("sandbox", "north"), token)),
    ("dpop.htu", lambda holder, token: holder.proof("GET", ANA.replace("127.0.0.1:8000", "testserver"), token)),
    ("dpop.ath_missing", lambda holder, token: holder.proof("GET", ANA)),
    ("dpop.ath_missing", lambda holder, token: holder.proof("GET", ANA, ath=None)),
    ("dpop.ath", lambda holder, token: holder.proof("GET", ANA, f"{token}x")),
    ("dpop.ath", lambda holder, token: holder.proof("GET", ANA, token, ath="")),
    ("dpop.iat_old", lambda holder, token: holder.proof("GET", ANA, token, iat=1_700_000_000)),
    ("dpop.typ", lambda holder, token: holder.proof("GET", ANA, token, header={"typ": "JWT"})),
    ("dpop.signature", lambda holder, token: holder.proof("GET", ANA, token)[:-4] + "AAAA"),
    ("dpop.signature", lambda holder, token: Holder().proof("GET", ANA, token, header={"jwk": public(holder)})),
]


@pytest.mark.requirement("EXT-05", "EXT-06", "EXT-07")
@pytest.mark.parametrize(("rule", "make"), FLAWS, ids=[f"{number}-{rule}" for number, (rule, _) in enumerate(FLAWS)])
def test_a_proof_with_one_flaw_reads_nothing(
    bound: str, holder: Holder, small: Behind, rule: str, make: Callable[[Holder, str], str | None]
) -> None:
    assert_refused(send(bound, make(holder, bound)), rule)
    assert small.received() == []
    assert not ProofId.objects.exists()


@pytest.mark.requirement("EXT-05")
def test_a_proof_reads_once_also_when_the_token_is_remembered(bound: str, holder: Holder, serving: None) -> None:
    proof = holder.proof("GET", ANA, bound)
    assert send(bound, proof).status_code == 200
    for _ in range(3):
        assert_refused(send(bound, proof), "dpop.replayed")
    assert_refused(send(bound, None), "dpop.missing")


@pytest.mark.requirement("EXT-05")
def test_a_proof_made_for_one_token_does_not_read_with_another(
    bound: str, minted: Mint, holder: Holder, small: Behind
) -> None:
    other = minted("patient/*.cruds", patient="ana", cnf={"jkt": holder.jkt})
    assert_refused(send(other, holder.proof("GET", ANA, bound)), "dpop.ath")


@pytest.mark.requirement("EXT-06")
@pytest.mark.parametrize("cnf", [{}, {"jkt": ""}, {"jkt": None}, {"jkt": 5}, {"x5t#S256": "abc"}, "x", [], 5])
def test_a_binding_that_cannot_be_read_binds_to_nobody(small: Behind, minted: Mint, holder: Holder, cnf: Any) -> None:
    token = minted("patient/*.rs", patient="ana", cnf=cnf)
    assert send(token, None, scheme="Bearer").status_code == 401
    assert_refused(send(token, holder.proof("GET", ANA, token)), "dpop.key")


@pytest.mark.requirement("EXT-06", "EXT-07")
def test_a_dead_token_is_told_in_its_scheme(bound: str, holder: Holder, minted: Mint) -> None:
    assert_refused(send("unknown", holder.proof("GET", ANA, "unknown")), "token.unknown", "invalid_token")
    expired = minted("patient/*.rs", patient="ana", exp=5, cnf={"jkt": holder.jkt})
    assert_refused(send(expired, holder.proof("GET", ANA, expired)), "token.expired", "invalid_token")
    assert not ProofId.objects.exists()


@pytest.mark.requirement("EXT-07")
def test_what_a_bound_token_does_not_reach_is_told_in_its_scheme(small: Behind, minted: Mint, holder: Holder) -> None:
    token = minted("patient/Patient.rs", patient="ana", cnf={"jkt": holder.jkt})
    answer = send(token, holder.proof("GET", f"{PUBLIC}/Observation", token), "/Observation?patient=ana")
    assert answer.status_code == 403
    assert answer.headers["WWW-Authenticate"].startswith('DPoP realm="fhir", error="insufficient_scope", scope="')


@pytest.mark.requirement("EXT-05", "EXT-07")
@pytest.mark.parametrize("by", ["setting", "registration"])
def test_a_nonce_is_demanded_and_given(bound: str, holder: Holder, configure: Configure, by: str) -> None:
    if by == "setting":
        configure(dpop_nonces="required")
    else:
        Client.objects.update(require_dpop_nonce=True)
        finding._live.clear()
    first = send(bound, holder.proof("GET", ANA, bound))
    assert_refused(first, "dpop.nonce_missing", "use_dpop_nonce")
    assert_refused(send(bound, holder.proof("GET", ANA, bound, nonce="x")), "dpop.nonce", "use_dpop_nonce")
    again = send(bound, holder.proof("GET", ANA, bound, nonce=first.headers["DPoP-Nonce"]))
    assert again.status_code == 200


PATHS = [
    ("/Observation?patient=ana&_count=1", f"{PUBLIC}/Observation"),
    ("/Observation?patient=ana&_count=1", f"{PUBLIC}/Observation?patient=ana&_count=1"),
    ("/Observation?patient=ana&_count=1", f"{PUBLIC}/Observation?anything"),
    ("/Patient/%61na", f"{PUBLIC}/Patient/ana"),
    ("/Patient/ana", f"{PUBLIC}/Patient/%61na"),
    ("/Patient/ana/_history", f"{PUBLIC}/Patient/ana/_history#x"),
]


@pytest.mark.requirement("EXT-05")
@pytest.mark.parametrize(("path", "htu"), PATHS)
def test_the_url_of_a_proof_is_compared_as_urls_are(bound: str, holder: Holder, path: str, htu: str) -> None:
    assert send(bound, holder.proof("GET", htu, bound), path).status_code == 200


@pytest.mark.requirement("EXT-05")
def test_a_proof_for_get_does_not_post(bound: str, holder: Holder) -> None:
    url = f"{PUBLIC}/Observation/_search"
    assert_refused(send(bound, holder.proof("GET", url, bound), "/Observation/_search", method="POST"), "dpop.htm")


@pytest.mark.requirement("EXT-05", "EXT-06")
def test_a_proof_costs_one_statement_and_bearer_tokens_what_they_always_cost(
    bound: str, plain: str, holder: Holder, serving: None
) -> None:
    def cost(act: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert act().status_code == 200
        return statements(captured)

    def with_proof() -> Any:
        return send(bound, holder.proof("GET", ANA, bound))

    def as_bearer() -> Any:
        return send(plain, None, scheme="Bearer")

    with_proof()
    as_bearer()
    # One is the audit record, which is written before the answer here.
    assert (cost(as_bearer), cost(with_proof)) == (1, 2)
    finding._live.clear()
    assert cost(as_bearer) == 2
    finding._live.clear()
    assert cost(with_proof) == 3


def test_public_documents_need_no_proof(small: Behind) -> None:
    assert Browser().get(f"{BASE}/metadata").status_code == 200
