"""Testing a key set from the portal: the host that is named cannot hurt us, and what it does is reported as that.

Source: RFC 7591 §5; RFC 7517 §4 and §5; SMART 2.2 client-confidential-asymmetric.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair, load_private_key, sign_assertion
from clients.models import AssertionId, Client, KeySet
from clients.portal import fetch_room
from smartauth import endpoints
from tests.clients.jwks_host import JwksHost, Page
from tests.clients.portal_pages import HOST, IDENTITY, Texts, begin, partner, step_url
from tests.factories import make_tenant

# A fetch never happens inside a transaction, so these tests have none of their own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_fetched() -> None:
    fetch_room.forget()


@pytest.fixture
def kim() -> Browser:
    make_tenant()
    return partner()[1]


def look(browser: Browser, **form: str) -> dict[str, Any]:
    answer = browser.post("/developers/keys/test", form, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def rules(report: dict[str, Any]) -> set[str]:
    return {one["rule"] for one in report["findings"]} | {
        one["rule"] for key in report["keys"] for one in key["problems"]
    }


def test_a_healthy_set_is_reported_key_by_key_with_what_its_headers_mean(
    kim: Browser, jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair
) -> None:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "max-age=600"))
    jwks_host.page = Page({"keys": [rsa.public_jwk, ec.public_jwk]}, headers=headers)
    report = look(kim, jwks_uri=jwks_host.url)
    assert report["is_healthy"]
    assert [(one["kid"], one["kty"], one["size"], one["use"]) for one in report["keys"]] == [
        ("rsa-1", "RSA", "3072 bits", "sig"),
        ("ec-1", "EC", "P-384", "sig"),
    ]
    assert report["kept_for"] == 600
    assert "600 s" in report["rotation"]
    assert not KeySet.objects.exists()
    page = kim.post("/developers/keys/test", {"jwks_uri": jwks_host.url}).content.decode()
    assert "Nothing to mend" in page
    assert "max-age=600" in page


def hostile(page: Page) -> Callable[[JwksHost], str]:
    def prepare(host: JwksHost) -> str:
        host.page = page
        return host.url

    return prepare


HOSTILE = {
    "jwks.too_large": hostile(Page(b" " * (MAX_BYTES + 1))),
    "jwks.redirect": hostile(Page(b"", 302, (("Location", "http://169.254.169.254/latest/meta-data/"),))),
    "jwks.status": hostile(Page(b"no", 404)),
    "jwks.not_json": hostile(Page(b"<html><script>alert(1)</script>", 200, (("Content-Type", "text/html"),))),
    "jwks.no_keys": hostile(Page({"hello": 1})),
    "jwks.unreachable": lambda host: "http://127.0.0.1:1/jwks.json",
    "jwks.url": lambda host: "http://169.254.169.254/latest/meta-data/",
}


@pytest.mark.parametrize("rule", HOSTILE)
def test_what_a_host_does_is_reported_as_that(kim: Browser, jwks_host: JwksHost, rule: str) -> None:
    report = look(kim, jwks_uri=HOSTILE[rule](jwks_host))
    assert rule in rules(report)
    assert not report["is_healthy"]


@pytest.mark.parametrize(
    "url",
    [
        *("https://10.0.0.1/jwks.json", "https://169.254.169.254/", "file:///etc/passwd"),
        *("https://kim:secret@example.org/", "https://example.org:22/", "gopher://example.org/", "javascript:alert(1)"),
    ],
)
def test_an_address_that_is_not_public_is_not_asked(kim: Browser, url: str) -> None:
    assert rules(look(kim, jwks_uri=url)) == {"jwks.url"}


def test_a_host_that_hangs_is_let_go(kim: Browser, jwks_host: JwksHost) -> None:
    jwks_host.page = Page(delay=30)
    began = time.monotonic()
    assert "jwks.timeout" in rules(look(kim, jwks_uri=jwks_host.url))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ([{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "short"}], "jwks.key_malformed"),
        ([{"kty": "oct", "kid": "shared"}], "jwks.symmetric_key"),
        ([{"kty": "EC", "kid": "no-curve"}], "jwks.key_malformed"),
    ],
)
def test_pasted_keys_are_looked_at_the_same_way(kim: Browser, keys: list[dict[str, str]], rule: str) -> None:
    assert rule in rules(look(kim, jwks=json.dumps({"keys": keys})))


def test_two_keys_of_one_name_are_found(kim: Browser, ec: KeyPair) -> None:
    assert "jwks.kid_ambiguous" in rules(look(kim, jwks=json.dumps({"keys": [ec.public_jwk, ec.public_jwk]})))


def test_a_pasted_private_key_is_not_repeated(kim: Browser, ec: KeyPair) -> None:
    answer = kim.post("/developers/keys/test", {"jwks": ec.private_pem.decode()})
    page = Texts(answer)
    assert "never use this key again" in page.text.lower()
    assert ec.private_pem.decode().splitlines()[1] not in answer.content.decode()


def test_nothing_a_host_answers_becomes_markup(kim: Browser, jwks_host: JwksHost) -> None:
    script = "<script>alert(1)</script>"
    jwks_host.page = Page(
        {"keys": [{"kty": script, "kid": script, "alg": script, "use": script}]},
        headers=(("Cache-Control", f"max-age=1, {script}"),),
    )
    assert script not in kim.post("/developers/keys/test", {"jwks_uri": jwks_host.url}).content.decode()


def test_from_a_draft_without_scripts(kim: Browser, ec: KeyPair) -> None:
    draft = begin(kim)
    form = {"jwks": json.dumps(ec.jwks), "keys_from": "paste", "go": "test-keys"}
    answer = kim.post(step_url(draft, "connection"), form)
    assert answer["Location"] == f"/developers/keys/test?draft={draft.pk}"
    assert b"Nothing to mend" in kim.get(answer["Location"]).content
    _, mallory = partner("mallory")
    assert ec.public_jwk["x"] not in mallory.get(answer["Location"]).content.decode()


def test_one_person_asks_a_few_times_a_minute(kim: Browser, jwks_host: JwksHost, ec: KeyPair) -> None:
    jwks_host.publish(ec.public_jwk)
    for _ in range(fetch_room.PER_MINUTE):
        look(kim, jwks_uri=jwks_host.url)
    refused = kim.post("/developers/keys/test", {"jwks_uri": jwks_host.url}, headers={"Accept": "application/json"})
    assert refused.status_code == 429
    assert "a minute" in refused.json()["reason"]
    assert jwks_host.visits == fetch_room.PER_MINUTE
    assert kim.post("/developers/keys/test", {"jwks_uri": jwks_host.url}).status_code == 429
    # Pasted keys cost no fetch, and others have room of their own.
    assert look(kim, jwks=json.dumps(ec.jwks))["is_healthy"]
    assert look(partner("lee")[1], jwks_uri=jwks_host.url)["keys"]


def test_one_person_has_two_fetches_at_a_time(kim: Browser, jwks_host: JwksHost) -> None:
    jwks_host.page = Page(delay=4)
    statuses: list[int] = []

    def ask() -> None:
        browser = Browser(HTTP_HOST=HOST)
        browser.cookies = kim.cookies
        statuses.append(browser.post("/developers/keys/test", {"jwks_uri": jwks_host.url}).status_code)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(statuses) == [200, 200, 429, 429]


class TestClinic:
    """An assertion looked at for its owner."""

    def test_a_good_one_is_accepted_and_not_spent(self, kim: Browser, ec: KeyPair) -> None:
        client = service_of(kim, ec)
        assertion = signed(client, ec)
        for _ in range(2):
            text = Texts(kim.post(f"/developers/apps/{client.client_id}/clinic", {"assertion": assertion})).text
            assert "The token endpoint accepts it" in text
        assert not AssertionId.objects.exists()

    def test_a_bad_one_is_explained(self, kim: Browser, ec: KeyPair) -> None:
        client = service_of(kim, ec)
        assertion = signed(client, ec, audience="https://elsewhere.example.org/token")
        pasted = f" {assertion[:40]}\r\n{assertion[40:]} "
        answer = kim.post(f"/developers/apps/{client.client_id}/clinic", {"assertion": pasted})
        text = Texts(answer).text
        assert "The token endpoint refuses it" in text
        assert "https://elsewhere.example.org/token" in text

    @pytest.mark.parametrize(
        ("assertion", "said"),
        [("", "Paste an assertion"), ("x" * 30_000, "too long"), ("<script>alert(1)</script>", "refuses it")],
    )
    def test_what_is_none_is_said_to_be_none(self, kim: Browser, ec: KeyPair, assertion: str, said: str) -> None:
        client = service_of(kim, ec)
        answer = kim.post(f"/developers/apps/{client.client_id}/clinic", {"assertion": assertion})
        assert said in Texts(answer).text
        assert "<script>alert" not in answer.content.decode()

    def test_one_of_another_client_is_not_looked_at(self, kim: Browser, ec: KeyPair) -> None:
        client = service_of(kim, ec)
        _, lee = partner("lee")
        other = service_of(lee, ec)
        answer = kim.post(f"/developers/apps/{client.client_id}/clinic", {"assertion": signed(other, ec)})
        assert "not from your client" in Texts(answer).text
        assert kim.get(f"/developers/apps/{other.client_id}/clinic").status_code == 404
        assert kim.post(f"/developers/apps/{other.client_id}/clinic", {"assertion": "x"}).status_code == 404


def service_of(browser: Browser, pair: KeyPair) -> Client:
    """Register a backend service through the pages and return it."""
    draft = begin(browser)
    browser.post(step_url(draft, "identity"), IDENTITY)
    browser.post(step_url(draft, "connection"), {"jwks": json.dumps(pair.jwks), "keys_from": "paste"})
    browser.post(step_url(draft, "data"), {"data": ["Patient.r"], "tenants": ["sandbox"]})
    assert browser.post(step_url(draft, "submit")).status_code == 302
    return Client.objects.latest("created")


def signed(client: Client, pair: KeyPair, audience: str = "") -> str:
    key, kid = load_private_key(pair.private_pem), pair.public_jwk["kid"]
    audience = audience or endpoints.oauth("sandbox", "token")
    return sign_assertion(key, client.client_id, audience, now=timezone.now(), kid=kid)


@pytest.mark.requirement("REG-09")
def test_registering_with_a_url_looks_at_it_once_and_tells(kim: Browser, jwks_host: JwksHost) -> None:
    jwks_host.page = Page(b"no", 503)
    draft = begin(kim)
    kim.post(step_url(draft, "identity"), IDENTITY)
    kim.post(step_url(draft, "connection"), {"jwks_uri": jwks_host.url, "keys_from": "url"})
    kim.post(step_url(draft, "data"), {"data": ["Patient.r"], "tenants": ["sandbox"]})
    page = kim.post(step_url(draft, "submit"), follow=True).content.decode()
    assert "Its key set has something to mend" in page
    assert "Your app is registered" in page
    assert jwks_host.visits == 1


def submitted(browser: Browser, jwks_uri: str, *, how: str) -> tuple[int, str]:
    """Submit a service with its key set at that URL; return the status and the answer."""
    draft = begin(browser)
    browser.post(step_url(draft, "identity"), IDENTITY)
    browser.post(step_url(draft, "connection"), {"jwks_uri": jwks_uri, "keys_from": "url"})
    browser.post(step_url(draft, "data"), {"data": ["Patient.r"], "tenants": ["sandbox"]})
    path = step_url(draft, "submit") if how == "page" else f"/developers/api/drafts/{draft.pk}/submit"
    answer = browser.post(path, **({} if how == "page" else {"data": {}, "content_type": "application/json"}))
    return answer.status_code, answer.content.decode()


@pytest.mark.requirement("REG-09", "KEYS-06")
@pytest.mark.parametrize("how", ["page", "api"])
def test_a_key_set_that_publishes_a_private_key_is_not_registered(
    kim: Browser, jwks_host: JwksHost, ec: KeyPair, how: str
) -> None:
    private = load_private_key(ec.private_pem).as_dict(private=True)
    jwks_host.page = Page({"keys": [{**ec.public_jwk, "d": private["d"]}]})
    status, said = submitted(kim, jwks_host.url, how=how)
    assert status == (200 if how == "page" else 409)
    assert "the key set publishes a private or symmetric key" in said
    assert private["d"] not in said
    assert not Client.objects.exists()
    assert jwks_host.visits == 1


@pytest.mark.requirement("REG-09")
def test_the_api_tells_what_is_to_be_mended_in_the_key_set_as_the_pages_do(kim: Browser, jwks_host: JwksHost) -> None:
    jwks_host.page = Page(b"no", 503)
    status, said = submitted(kim, jwks_host.url, how="api")
    assert (status, [one["rule"] for one in json.loads(said)["jwks_uri_problems"]]) == (201, ["jwks.status"])
    assert jwks_host.visits == 1
