"""The part of a page that shows a diagnosis: what a person reads on it, and that nothing in it is ever markup.

Source: WCAG 2.2, 1.4.1 (colour is not the only sign).
"""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from django.template.loader import render_to_string

from clients.clinic import diagnose
from clients.diagnosis import Clock, Diagnosis, Finding, Keys
from clients.key_pairs import KeyPair
from clients.registered import RegisteredClient, find_client
from tests.clients.test_assertions import unsigned
from tests.factories import AUDIENCES, NOW, claims_at, make_client, make_tenant, service, signed

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</pre></section><h1>Everything is fine</h1>",
    "{{ settings.SECRET_KEY }}{% include 'x' %}",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "&lt;b&gt;",
]


class Tags(HTMLParser):
    """Counts elements, and collects attributes by name and text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(diagnosis: Diagnosis) -> Tags:
    tags = Tags()
    tags.feed(render_to_string("developers/diagnosis.html", {"diagnosis": diagnosis}))
    return tags


@pytest.fixture
def client(db: None, ec: KeyPair) -> RegisteredClient:
    make_client(service(jwks=ec.jwks), activate_at=(make_tenant(),))
    found = find_client("bulk-loader")
    assert found is not None
    return found


def words(diagnosis: Diagnosis) -> str:
    return re.sub(r"\s+", " ", read(diagnosis).text)


def examine(assertion: str, client: RegisteredClient) -> Diagnosis:
    return diagnose(assertion, client, audiences=AUDIENCES, now=NOW)


def test_the_fix_comes_first_and_each_outcome_has_words(client: RegisteredClient, ec: KeyPair) -> None:
    ahead = int(NOW.timestamp()) + 412
    assertion = signed(ec, claims_at(iat=ahead, exp=ahead + 300, aud="https://elsewhere.example.org"), kid=...)
    text = words(examine(assertion, client))
    assert text.index("What to do: Name the key that signed") < text.index("Every check")
    assert "2 more things are wrong with it" in text
    assert "Your clock is 412 s ahead of ours." in text
    assert "2026-03-01 12:06:52 UTC" in text
    for outcome in ("✓ Passed", "✗ Failed", "– Not reached"):
        assert outcome in text
    assert "It depends on: The header names a key" in text
    assert '"aud": "https://elsewhere.example.org"' in text
    assert assertion.rpartition(".")[2] not in text


def test_a_good_assertion_is_said_to_be_good(client: RegisteredClient, ec: KeyPair) -> None:
    text = words(examine(signed(ec, claims_at()), client))
    assert "The token endpoint accepts it" in text
    assert "Failed" not in text
    assert "Registered by value. ec-1" in text


def test_what_cannot_be_read_has_a_page_too(client: RegisteredClient) -> None:
    text = words(examine("nonsense", client))
    assert "three non-empty base64url segments" in text
    assert "What the assertion says" not in text
    assert "Clock" not in text


def hostile(text: str) -> Diagnosis:
    """Return a diagnosis with a text in every place that has one."""
    failed = Finding(text, text, "failed", text, text, text, text, text)
    noted = replace(failed, outcome="note")
    others = [replace(noted, outcome=outcome) for outcome in ("not reached", "passed")]
    return Diagnosis(
        text,
        NOW,
        (failed, replace(failed, name="other"), noted, *others),
        header={text: text},
        claims={text: [text]},
        clock=Clock(NOW, NOW, None, 0, text),
        keys=Keys(text, (text,), 3, 7, False),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_an_assertion_holds_stays_text(text: str) -> None:
    plain, tried = read(hostile("plain")), read(hostile(text))
    assert tried.elements == plain.elements
    assert tried.attributes == plain.attributes
    assert "on" not in {name[:2] for name in tried.attributes}
    assert "style" not in tried.attributes


@pytest.mark.parametrize("text", HOSTILE)
def test_a_real_assertion_with_hostile_claims_stays_text(text: str, client: RegisteredClient) -> None:
    def of(text: str) -> Tags:
        claims = claims_at(aud=text, jti=text, note={text: text}, exp=text)
        return read(examine(unsigned({"alg": "ES384", "kid": text, "jku": text, "typ": text}, claims), client))

    assert of(text).elements == of("plain").elements
    assert "\u202e" not in of(text).text
