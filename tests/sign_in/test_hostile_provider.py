"""A provider, or somebody between it and us, that is broken, slow or hostile: every answer ends on a page of ours.

Nobody is signed in, nothing it sent is on the page, no thread waits longer than the limit, and no address is asked that
the operator did not mean.  OIDC Discovery §4.3; OIDC Core §3.1.3.3; RFC 7517 §5; RFC 9700 §4.11.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from joserfc.jwk import OctKey

from smartauth.people.models import User
from tests.conftest import Configure
from tests.endpoints.app_launch import page_refusal
from tests.sign_in.odd_provider import (
    KEY,
    MARKUP,
    METADATA,
    PATIENCE,
    PUBLIC,
    START,
    Answer,
    Handler,
    Odd,
    answered,
    begin,
    bomb,
    come_back,
    drip,
    elsewhere,
    endless,
    hang,
    headers,
    hints,
    nobody_in,
    not_tls,
    reset,
    say,
    unavailable,
)


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


BROKEN: list[tuple[str, Answer, str]] = [
    ("a page", (200, f"<html>{MARKUP}".encode()), "not_json"),
    ("nothing", (200, b""), "not_json"),
    ("a list", (200, b"[1]"), "not_json"),
    ("a number", (200, b"1" * 5_000), "not_json"),
    ("null", (200, b"null"), "not_json"),
    ("depth", (200, deep(50_000 // 6)), "not_json"),
    ("a byte order", (200, b"\xff\xfe{\x00}\x00\xd8"), "not_json"),
    ("a bomb", bomb, "not_json"),
    ("much", (200, b"x" * 300_000), "too_large"),
    ("no end", endless, "too_large"),
    ("500", (500, {}), "status"),
    ("204", (204, b""), "status"),
    ("elsewhere", elsewhere, "status"),
    ("a reset", reset, "unreachable"),
    ("no http", not_tls, "unreachable"),
    ("headers", headers, "unreachable"),
    ("hints", hints, "unreachable"),
]


@pytest.mark.parametrize("path", [METADATA, "/keys"])
@pytest.mark.parametrize(("answer", "rule"), [pytest.param(said, rule, id=name) for name, said, rule in BROKEN])
def test_what_cannot_be_read_ends_on_a_page(odd: Odd, path: str, answer: Answer, rule: str) -> None:
    odd.answers[path] = answer
    unavailable(Browser().get(START), f"upstream.{rule}")
    assert odd.asked("/elsewhere") == 0


@pytest.mark.parametrize("slowly", [hang, drip])
@pytest.mark.parametrize("path", [METADATA, "/keys", "/token"])
def test_nobody_waits_longer_than_the_limit(
    odd: Odd, user: User, path: str, slowly: Answer, lose_patience: Callable[[], None]
) -> None:
    browser = Browser()
    asked = begin(browser) if path == "/token" else {}
    odd.answers[path] = slowly
    lose_patience()
    began = time.monotonic()
    unavailable(answered(browser, asked) if asked else browser.get(START), "upstream.timeout")
    assert time.monotonic() - began < PATIENCE / 1000 + 1.5
    assert nobody_in(browser)


def test_the_limit_is_for_all_that_one_page_asks_together(odd: Odd, lose_patience: Callable[[], None]) -> None:
    def after_a_while(path: str, said: Answer) -> None:
        def answer(handler: Handler) -> None:
            time.sleep(PATIENCE / 1000 * 0.7)
            say(handler, *said)  # type: ignore[misc]

        odd.answers[path] = answer

    for path in (METADATA, "/keys"):
        after_a_while(path, odd.answers[path])
    lose_patience()
    unavailable(Browser().get(START), "upstream.timeout")


METADATA_CASES: list[tuple[dict[str, Any], str]] = [
    ({"issuer": ...}, "issuer"),
    ({"issuer": None}, "issuer"),
    ({"issuer": ["https://a.example"]}, "issuer"),
    ({"issuer": f"{MARKUP}\x00\ud800"}, "issuer"),
    ({"issuer": "https://evil.example"}, "issuer"),
    *(
        ({name: value}, "url")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        for value in (..., "", 7, ["https://a.example"], "http://evil.example/", "/relative", "https://")
    ),
    ({"authorization_endpoint": f"javascript:alert(1)//{MARKUP}"}, "url"),
    ({"authorization_endpoint": f"https://a.example/{'x' * 20_000}"}, "url"),
    ({"token_endpoint": "https://a.example\\@b.example/"}, "url"),
    ({"token_endpoint": "https://a.example:99999/"}, "url"),
    ({"token_endpoint": "https://a.example/\r\nX: y"}, "url"),
    ({"jwks_uri": "https://a.example/#x"}, "url"),
    ({"jwks_uri": "https://ü.example/"}, "url"),
    ({"jwks_uri": "file:///etc/passwd"}, "url"),
    ({"jwks_uri": "https://user@a.example/"}, "url"),
    ({"jwks_uri": "https://10.0.0.1/keys"}, "address"),
    ({"jwks_uri": "https://169.254.169.254/latest"}, "address"),
    ({"jwks_uri": "https://[::ffff:169.254.169.254]/latest"}, "address"),
    ({"jwks_uri": "https://[fd00:ec2::254]:8443/"}, "address"),
    ({"jwks_uri": "https://0.0.0.0/keys"}, "address"),
    ({"jwks_uri": "https://2130706433/keys"}, "address"),  # 127.0.0.1 as one number
    ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "algorithms"),
]


@pytest.mark.parametrize(("changes", "rule"), METADATA_CASES)
def test_metadata_that_are_wrong_or_point_elsewhere_are_not_followed(
    odd: Odd, changes: dict[str, Any], rule: str
) -> None:
    odd.publish(**changes)
    unavailable(Browser().get(START), f"upstream.{rule}")
    assert [path for path, _, _ in odd.seen] in ([METADATA], [METADATA, "/keys"])


KEY_SETS: list[tuple[str, Any]] = [
    ("no members", {}),
    ("no list", {"keys": PUBLIC}),
    ("no object", {"keys": ["k"]}),
    ("no keys", {"keys": []}),
    ("no key of ours", {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "o"}]}),
    ("a shared secret", {"keys": [PUBLIC, OctKey.generate_key(256, {"kid": "o"}).as_dict(private=True)]}),
    ("a private key", {"keys": [KEY.as_dict(private=True)]}),
    ("too many", {"keys": [{"kty": "x"}] * 101}),
    ("a surrogate", {"keys": [PUBLIC | {"kid": "k1", "use": "\ud800"}]}),
    ("a private key called by markup", {"keys": [KEY.as_dict(private=True) | {"kid": MARKUP}]}),
]


@pytest.mark.parametrize("document", [pytest.param(document, id=name) for name, document in KEY_SETS])
def test_a_key_set_that_is_lost_or_empty_verifies_nothing(odd: Odd, document: Any) -> None:
    odd.answers["/keys"] = (200, document)
    unavailable(Browser().get(START), "upstream.keys")


TOKEN_ANSWERS: list[tuple[str, Answer, int, str]] = [
    ("a page", (200, f"<html>{MARKUP}".encode()), 503, "not_json"),
    ("a list", (200, b"[]"), 503, "not_json"),
    ("depth", (200, deep(8_000)), 503, "not_json"),
    ("no end", endless, 503, "too_large"),
    ("a reset", reset, 503, "unreachable"),
    ("a redirect", elsewhere, 503, "status"),
    ("500", (500, {"error": MARKUP}), 503, "status"),
    ("a page and 502", (502, b"<html>"), 503, "status"),
    ("too many", (429, {"error": "slow_down"}), 503, "status"),
    ("a page and 403", (403, b"<html>"), 502, "token"),
    ("an error", (400, {"error": "invalid_grant"}), 502, "token"),
    ("markup", (400, {"error": MARKUP, "error_description": MARKUP * 1_000}), 502, "token"),
    ("no text", (400, {"error": [1]}), 502, "token"),
    ("an error that succeeds", (200, {"error": "invalid_grant"}), 502, "id_token_missing"),
    ("nothing", (200, {}), 502, "id_token_missing"),
    ("null", (200, {"id_token": None}), 502, "id_token_missing"),
    ("a list of tokens", (200, {"id_token": ["a.b.c"]}), 502, "id_token_missing"),
    ("an object", (200, {"id_token": {"iss": "x"}}), 502, "id_token_missing"),
    ("a surrogate", (200, {"id_token": "\ud800.a.b"}), 502, "id_token_not_jwt"),
    ("markup for a token", (200, {"id_token": MARKUP}), 502, "id_token_not_jwt"),
    ("an encrypted token", (200, {"id_token": "eyJh.b.c.d.e"}), 502, "id_token_not_jws"),
    ("a long token", (200, {"id_token": "a" * 20_000}), 502, "id_token_too_large"),
]


@pytest.mark.parametrize(
    ("answer", "status", "rule"),
    [pytest.param(said, status, rule, id=name) for name, said, status, rule in TOKEN_ANSWERS],
)
def test_a_token_endpoint_that_gives_no_id_token_signs_nobody_in(
    odd: Odd, user: User, answer: Answer, status: int, rule: str
) -> None:
    browser = Browser()
    asked = begin(browser)
    odd.answers["/token"] = answer
    page = answered(browser, asked)
    receipt = page_refusal(page, status)
    assert receipt.rule == f"upstream.{rule}"
    assert receipt.fix
    assert ("Start again where you came from" in page.content.decode()) is (status == 503)
    assert "alert(" not in page.content.decode() + receipt.reason + receipt.seen
    assert nobody_in(browser)
    assert odd.asked("/elsewhere") == 0
    # And the answer counted: it cannot be sent again.
    assert page_refusal(answered(browser, asked), 400).rule == "upstream.state"
    assert odd.asked("/token") == 1


def test_an_error_that_repeats_our_secret_or_code_is_not_kept(odd: Odd, user: User) -> None:
    browser = Browser()
    asked = begin(browser)

    def repeat(handler: Handler) -> None:
        say(handler, 400, {"error": odd.seen[-1][1] + odd.seen[-1][2].decode()})

    odd.answers["/token"] = repeat
    receipt = page_refusal(answered(browser, asked), 502)
    assert receipt.rule == "upstream.token"
    assert receipt.seen == "400 no error code of OAuth or OpenID Connect"


CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "of another attempt"}, "id_token_nonce"),
    ({"iss": "https://evil.example"}, "id_token_iss"),
    ({"iss": [MARKUP]}, "id_token_iss"),
    ({"aud": "another-client"}, "id_token_aud"),
    ({"exp": 1}, "id_token_exp"),
    ({"nbf": 4_000_000_000}, "id_token_nbf"),
    ({"auth_time": ...}, "id_token_auth_time"),
    ({"sub": ...}, "subject"),
    ({"sub": None}, "subject"),
    ({"sub": 7}, "subject"),
    ({"sub": ["s-kim"]}, "subject"),
    ({"sub": ""}, "subject"),
    ({"sub": "s" * 256}, "subject"),
    ({"sub": "s-kim\n"}, "subject"),
    ({"sub": "s\u0000"}, "subject"),
    ({"sub": "ѕ-kim"}, "subject"),  # A letter that looks like ours.
    ({"sub": "\ud800"}, "id_token_not_jwt"),
    ({"email": "\udfff"}, "id_token_not_jwt"),
]


@pytest.mark.parametrize(("claims", "rule"), CLAIMS)
def test_a_bad_id_token_signs_nobody_in(odd: Odd, user: User, claims: dict[str, Any], rule: str) -> None:
    browser = Browser()
    page = come_back(browser, odd, begin(browser), **claims)
    receipt = page_refusal(page, 502)
    assert receipt.rule == f"upstream.{rule}"
    assert receipt.fix
    assert "alert(" not in page.content.decode()
    assert nobody_in(browser)


def test_an_id_token_that_was_used_is_no_answer_to_another_request(odd: Odd, user: User) -> None:
    first, second = Browser(), Browser()
    come_back(first, odd, begin(first))
    assert not nobody_in(first)
    assert page_refusal(answered(second, begin(second)), 502).rule == "upstream.id_token_nonce"
    assert nobody_in(second)


def test_an_access_token_that_was_exchanged_on_the_way_is_noticed(odd: Odd, user: User) -> None:
    for at_hash, beside, is_good in (
        ("ypeBEsobvcr6wjGzmiPcTQ", {}, True),  # of "a", with SHA-256
        ("ypeBEsobvcr6wjGzmiPcTQ", {"access_token": "b"}, False),
        (7, {}, False),
        ("ypeBEsobvcr6wjGzmiPcTQ", {"access_token": None}, True),  # There is none to compare with.
    ):
        browser = Browser()
        answer = come_back(browser, odd, begin(browser), at_hash=at_hash, beside=beside)
        if not is_good:
            assert page_refusal(answer, 502).rule == "upstream.id_token_at_hash"
        assert nobody_in(browser) is not is_good


@pytest.mark.parametrize(
    ("name", "language", "told"),
    [
        ("eHospital", "en", "eHospital does not answer"),
        ("", "en", "Your organisation does not answer"),
        ("", "es", "Su organización no responde"),
    ],
)
def test_the_page_begins_its_sentence_with_the_providers_name(
    odd: Odd, configure: Configure, name: str, language: str, told: str
) -> None:
    configure(upstream_idp=odd.as_configured(name=name))
    odd.answers[METADATA] = (500, {})
    assert told in Browser(headers={"Accept-Language": language}).get(START).content.decode()
