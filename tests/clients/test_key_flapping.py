"""A key host that comes and goes: nobody is locked out while the copy may be used, and operators hear of the rest.

Through the token endpoint, with the clock on the wall; time passes by moving what is stored into the past.
Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 9111 §4.2.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.db.models import F
from django.test import Client as Browser

from clients import key_sets
from clients.key_pairs import KeyPair
from clients.key_watching import Round, watch
from clients.models import KeyFinding, KeySet, KeyUse
from smartauth.receipts.models import Receipt
from tests.clients.jwks_host import JwksHost, Page
from tests.factories import ASSERTION_TYPE, claims_at, make_client, make_tenant, service, signed

TIMES = ("fetched_at", "expires_at", "attempted_at", "forced_at", "watched_at")


@pytest.fixture(autouse=True)
def partner(db, jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair) -> Iterator[None]:
    make_client(service(jwks_uri=jwks_host.url), activate_at=(make_tenant(),))
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=600")
    yield
    key_sets._copies.clear()


def ask(pair: KeyPair, kid: str = "") -> str:
    """Ask for a token; return "" where there is one, else the rule of the refusal."""
    header = {"kid": kid} if kid else {}
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed(pair, claims_at(datetime.now(UTC)), **header),
    }
    content_type = "application/x-www-form-urlencoded"
    answer = Browser(HTTP_HOST="127.0.0.1:8000").post("/auth/token", urlencode(form), content_type)
    assert answer.status_code == (200 if "access_token" in answer.json() else 401), answer.content
    return "" if answer.status_code == 200 else str(Receipt.objects.latest("at").rule)


def look() -> Round:
    return watch(lambda: datetime.now(UTC), pause=0)


def wait(seconds: float) -> None:
    past = timedelta(seconds=seconds)
    KeySet.objects.update(**{name: F(name) - past for name in TIMES})
    KeyUse.objects.update(used_at=F("used_at") - past)


def open_kinds() -> list[str]:
    return list(KeyFinding.objects.filter(resolved_at=None).values_list("kind", flat=True))


FLAPS = [
    Page({"keys": []}),
    Page(status=503),
    Page(status=302, headers=(("Location", "/elsewhere"),)),
    Page(b"<html>"),
    Page({"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}),
]


@pytest.mark.requirement("KEYS-03")
@pytest.mark.parametrize("page", FLAPS)
def test_a_host_that_fails_for_a_moment_locks_nobody_out(jwks_host: JwksHost, ec: KeyPair, page: Page):
    good = jwks_host.page
    assert ask(ec) == ""
    for _ in range(3):
        jwks_host.page = page
        wait(180)
        assert ask(ec) == ""
        assert look() == Round(key_sets=1, fetched=0, new_findings=0)
        jwks_host.page = good
        assert ask(ec) == ""
    assert jwks_host.visits == 1
    assert not KeyFinding.objects.exists()


@pytest.mark.requirement("KEYS-07", "KEYS-08")
@pytest.mark.parametrize(
    ("page", "kind", "rule", "pause"),
    [
        (Page(status=503), "unreachable", "jwks.status", 5),
        (Page(b"<html>"), "unreadable", "jwks.not_json", 5),
        (Page({"keys": []}, headers=(("Cache-Control", "max-age=60"),)), "empty", "jwks.no_usable_key", 30),
        ("only the other key", "key-in-use-vanished", "jwks.kid_unknown", 30),
    ],
)
def test_after_the_copy_has_run_out_it_is_a_finding_that_ends_with_the_fault(
    jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair, page, kind, rule, pause
):
    good = jwks_host.page
    assert ask(ec) == ""
    if isinstance(page, Page):
        jwks_host.page = page
    else:
        jwks_host.publish(rsa.public_jwk, cache_control="max-age=60")
    wait(599)
    assert (ask(ec), look().new_findings) == ("", 0)
    wait(2)
    assert (look().new_findings, open_kinds()) == (1, [kind])
    assert ask(ec) == rule
    jwks_host.page = good
    wait(pause)
    assert ask(ec) == ""  # Nobody waits for the watch.
    wait(60)
    assert look().new_findings == 0
    assert open_kinds() == []
    assert KeyFinding.objects.count() == 1


@pytest.mark.requirement("KEYS-04")
def test_a_stranger_who_makes_us_look_while_a_key_is_gone_costs_half_a_minute_at_most(
    jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair, ec256: KeyPair
):
    good = jwks_host.page
    assert ask(ec) == ""
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=600")
    assert ask(ec256, kid="guess") == "jwks.kid_unknown"  # What is published now replaces the copy (RFC 9111 §4).
    assert ask(ec) == "jwks.kid_unknown"
    jwks_host.page = good
    wait(30)
    assert ask(ec) == ""


def test_a_stranger_costs_nothing_while_the_host_is_down(jwks_host: JwksHost, ec: KeyPair, ec256: KeyPair):
    assert ask(ec) == ""
    jwks_host.page = Page(status=503)
    assert ask(ec256, kid="guess") == "jwks.status"
    assert ask(ec) == ""
