"""A provider that does not do its part: what it publishes, and what its token endpoint answers."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from joserfc.jwk import RSAKey

from smartauth.conf import UpstreamIdp
from smartauth.people.models import UpstreamIdentity, User
from smartauth.people.upstream import metadata
from tests.conftest import Configure
from tests.endpoints.app_launch import page_refusal
from tests.sign_in.hospital import query_of
from tests.sign_in.test_id_tokens import signed

KEY = RSAKey.generate_key(2048, {"kid": "k1"})
NEW_KEY = RSAKey.generate_key(2048, {"kid": "k2"})


@dataclass(slots=True)
class Odd:
    """A provider that says whatever the test wants: `answers` by path, as (status, JSON or bytes)."""

    issuer: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)

    def publish(self, **changes: Any) -> None:
        good = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?realm=a",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.answers["/.well-known/openid-configuration"] = (200, good | changes)
        self.answers["/keys"] = (200, {"keys": [KEY.as_dict(private=False)]})


@pytest.fixture
def odd(configure: Configure, db: None) -> Iterator[Odd]:
    provider = Odd()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            provider.seen.append((self.path, self.headers.get("Authorization", ""), body))
            status, value = provider.answers.get(self.path, (404, {}))
            said = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{provider.issuer}/elsewhere")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = answer  # noqa: N815 - As http.server calls them.

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    provider.publish()
    configure(upstream_idp=UpstreamIdp(provider.issuer, "smartauth", "secret", name="Odd Hospital"))
    metadata.forget()
    yield provider
    metadata.forget()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def user(odd: Odd) -> User:
    user = User.objects.create_user("kim")
    UpstreamIdentity.objects.create(user=user, issuer=odd.issuer, subject="s-kim")
    return user


def begin(browser: Browser) -> dict[str, str]:
    return query_of(browser.get("/account/upstream/").headers["Location"])


def come_back(browser: Browser, odd: Odd, asked: dict[str, str], *, key: RSAKey = KEY, **claims: Any) -> Any:
    now = int(timezone.now().timestamp())
    good = {
        "iss": odd.issuer,
        "sub": "s-kim",
        "aud": "smartauth",
        "nonce": asked["nonce"],
        "iat": now,
        "exp": now + 60,
        "auth_time": now,
    }
    odd.answers["/token"] = (
        200,
        {"access_token": "a", "token_type": "Bearer", "id_token": signed(good | claims, key=key)},
    )
    return browser.get(f"/account/upstream/callback?state={asked['state']}&code=c")


def test_a_provider_that_says_little_is_enough(odd: Odd, user: User) -> None:
    browser = Browser()
    answer = come_back(browser, odd, begin(browser))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/")
    path, authorization, body = odd.seen[-1]
    assert path == "/token"
    assert authorization.startswith("Basic ")  # Its default (OIDC Discovery §3).
    assert b"client_secret" not in body
    assert b"code_verifier=" in body


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"issuer": "https://evil.example"}, "upstream.issuer"),
        ({"token_endpoint": "http://evil.example/token"}, "upstream.url"),
        ({"token_endpoint": None}, "upstream.url"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "upstream.url"),
        ({"jwks_uri": "file:///etc/passwd"}, "upstream.url"),
        ({"jwks_uri": "https://user@evil.example"}, "upstream.url"),
    ],
)
def test_metadata_that_point_elsewhere_are_not_followed(odd: Odd, changes: dict[str, Any], rule: str) -> None:
    odd.publish(**changes)
    answer = Browser().get("/account/upstream/")
    assert page_refusal(answer, 503).rule == rule
    assert "Odd Hospital does not answer as it should" in answer.content.decode()


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ((500, {}), "upstream.status"),
        ((302, {}), "upstream.status"),
        ((200, b"<html>"), "upstream.not_json"),
        ((200, b"[1]"), "upstream.not_json"),
        ((200, b"x" * 300_000), "upstream.unreachable"),
    ],
)
def test_metadata_that_cannot_be_read_end_on_a_page(odd: Odd, said: tuple[int, Any], rule: str) -> None:
    odd.answers["/.well-known/openid-configuration"] = said
    assert page_refusal(Browser().get("/account/upstream/"), 503).rule == rule
    assert "/elsewhere" not in [path for path, _, _ in odd.seen]


def test_a_key_set_with_a_private_key_is_lost(odd: Odd) -> None:
    odd.answers["/keys"] = (200, {"keys": [KEY.as_dict(private=True)]})
    assert page_refusal(Browser().get("/account/upstream/"), 503).rule == "upstream.keys"


@pytest.mark.parametrize(
    ("claims", "rule"),
    [
        ({"nonce": "of another attempt"}, "upstream.id_token_nonce"),
        ({"iss": "https://evil.example"}, "upstream.id_token_iss"),
        ({"aud": "another-client"}, "upstream.id_token_aud"),
        ({"exp": 1}, "upstream.id_token_exp"),
        ({"auth_time": ...}, "upstream.id_token_auth_time"),
        ({"sub": ...}, "upstream.subject"),
        ({"sub": 7}, "upstream.subject"),
        ({"sub": "s\u0000"}, "upstream.subject"),
    ],
)
def test_a_bad_id_token_signs_nobody_in(odd: Odd, user: User, claims: dict[str, Any], rule: str) -> None:
    browser = Browser()
    assert page_refusal(come_back(browser, odd, begin(browser), **claims), 502).rule == rule
    assert "_auth_user_id" not in browser.session


@pytest.mark.parametrize(
    ("said", "status", "rule"),
    [
        ((400, {"error": "invalid_grant"}), 502, "upstream.token"),
        ((200, {}), 502, "upstream.id_token_missing"),
        ((200, b"nothing"), 503, "upstream.not_json"),
    ],
)
def test_a_token_endpoint_that_gives_nothing_signs_nobody_in(
    odd: Odd, user: User, said: tuple[int, Any], status: int, rule: str
) -> None:
    browser = Browser()
    asked = begin(browser)
    odd.answers["/token"] = said
    answer = browser.get(f"/account/upstream/callback?state={asked['state']}&code=c")
    assert page_refusal(answer, status).rule == rule
    assert "_auth_user_id" not in browser.session


def test_an_answer_that_says_a_thing_twice_is_not_read(odd: Odd, user: User) -> None:
    browser = Browser()
    asked = begin(browser)
    answer = browser.get(f"/account/upstream/callback?state={asked['state']}&code=a&code=b")
    assert page_refusal(answer, 400).rule == "http.parameter_repeated"
    answer = browser.get(f"/account/upstream/callback?state={asked['state']}")
    assert page_refusal(answer, 502).rule == "upstream.code"


def test_an_answer_after_a_quarter_of_an_hour_is_too_late(odd: Odd, user: User) -> None:
    browser = Browser()
    asked = begin(browser)
    session = browser.session
    session["upstream_attempts"][asked["state"]]["at"] -= timedelta(minutes=15).total_seconds()
    session.save()
    assert page_refusal(come_back(browser, odd, asked), 400).rule == "upstream.state"


def test_a_new_key_is_looked_for_and_not_at_every_unknown_name(odd: Odd, user: User) -> None:
    browser = Browser()
    come_back(browser, odd, begin(browser))
    odd.answers["/keys"] = (200, {"keys": [NEW_KEY.as_dict(private=False)]})
    looked = [path for path, _, _ in odd.seen].count("/keys")
    browser = Browser()
    assert page_refusal(come_back(browser, odd, begin(browser), key=NEW_KEY), 502).rule == "upstream.id_token_key"
    assert [path for path, _, _ in odd.seen].count("/keys") == looked
    idp = UpstreamIdp(odd.issuer, "smartauth")
    later = timezone.now() + timedelta(seconds=31)
    assert [key["kid"] for key in metadata.find_keys(idp, kid="k2", now=later)] == ["k2"]


def test_a_public_client_names_itself_in_the_body(odd: Odd, user: User, configure: Configure) -> None:
    configure(upstream_idp=UpstreamIdp(odd.issuer, "smartauth"))
    browser = Browser()
    come_back(browser, odd, begin(browser))
    _, authorization, body = odd.seen[-1]
    assert authorization == ""
    assert b"client_id=smartauth" in body
