"""A provider that says little or odd things and is good enough, and how often one is asked.

OIDC Discovery §3 and §4; OIDC Core §10.1.1.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from smartauth.people.models import User
from smartauth.people.upstream import fetching, metadata
from smartauth.people.upstream.fetching import ProviderUnavailable, patience
from tests.clients.at_once import at_once
from tests.conftest import Configure
from tests.endpoints.app_launch import page_refusal
from tests.sign_in.odd_provider import (
    KEY,
    METADATA,
    NEW_KEY,
    PUBLIC,
    START,
    Handler,
    Odd,
    answered,
    begin,
    come_back,
    hang,
    nobody_in,
    promise,
    reset,
    say,
    unavailable,
)


def test_a_provider_that_says_little_is_enough(odd: Odd, user: User) -> None:
    browser = Browser()
    answer = come_back(browser, odd, begin(browser))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/")
    path, authorization, body = odd.seen[-1]
    assert path == "/token"
    assert authorization.startswith("Basic ")  # Its default (OIDC Discovery §3).
    assert b"client_secret" not in body
    assert b"code_verifier=" in body


def test_a_public_client_names_itself_in_the_body(odd: Odd, user: User, configure: Configure) -> None:
    configure(upstream_idp=odd.as_configured(client_secret=""))
    browser = Browser()
    come_back(browser, odd, begin(browser))
    _, authorization, body = odd.seen[-1]
    assert authorization == ""
    assert b"client_id=smartauth" in body


@pytest.mark.parametrize(
    "changes",
    [
        {"token_endpoint_auth_methods_supported": "client_secret_basic"},
        {"token_endpoint_auth_methods_supported": [None, 7, {}]},
        {"token_endpoint_auth_methods_supported": None},
        {"authorization_response_iss_parameter_supported": "true"},
        {"id_token_signing_alg_values_supported": None},
        {"id_token_signing_alg_values_supported": [7, "RS256", "none"]},
        {"scopes_supported": 7, "claims_supported": {}},
    ],
)
def test_members_that_matter_little_may_be_of_any_type(odd: Odd, user: User, changes: dict[str, Any]) -> None:
    odd.publish(**changes)
    browser = Browser()
    assert come_back(browser, odd, begin(browser)).status_code == 302
    assert not nobody_in(browser)


# How often


def test_a_provider_that_hangs_is_asked_once_and_not_by_everybody(odd: Odd, lose_patience: Callable[[], None]) -> None:
    lose_patience()
    odd.answers[METADATA] = hang
    for _ in range(3):
        unavailable(Browser().get(START), "upstream.timeout")
    assert odd.asked(METADATA) == 1
    odd.publish()
    now, idp = timezone.now(), odd.as_configured()
    with pytest.raises(ProviderUnavailable):
        metadata.find_provider(idp, now=now, until=time.monotonic() + 5)
    assert metadata.find_provider(idp, now=now + timedelta(seconds=16), until=time.monotonic() + 5)


def test_many_at_once_ask_once(odd: Odd) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.1)
        odd.publish()
        say(handler, *odd.answers[METADATA])  # type: ignore[misc]

    odd.answers[METADATA] = slow
    now, idp = timezone.now(), odd.as_configured()
    found = at_once(*[lambda: metadata.find_provider(idp, now=now, until=patience())] * 6)
    assert len(set(found)) == 1
    assert odd.asked(METADATA) == odd.asked("/keys") == 1


def test_a_token_endpoint_that_hangs_holds_some_threads_and_not_all(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TOTAL_TIMEOUT", 800)
    monkeypatch.setattr(fetching, "QUEUE", 0.2)
    odd.answers["/token"] = hang
    idp = odd.as_configured()
    outcomes = at_once(
        *[lambda: fetching.post_form(idp, f"{idp.issuer}/token", {"a": "b"}, basic=None, until=patience())] * 7
    )
    rules = Counter(one.refusal.rule for one in outcomes if isinstance(one, ProviderUnavailable))
    assert rules == {"upstream.timeout": fetching.MOST_AT_ONCE, "upstream.busy": 4}


def test_what_is_known_of_a_provider_that_went_away_ends_after_an_hour(odd: Odd, user: User) -> None:
    idp, now = odd.as_configured(), timezone.now()
    metadata.find_provider(idp, now=now, until=patience())
    odd.answers[METADATA] = reset
    assert metadata.find_provider(idp, now=now + timedelta(minutes=59), until=patience())
    with pytest.raises(ProviderUnavailable):
        metadata.find_provider(idp, now=now + timedelta(minutes=61), until=patience())


def test_a_new_key_is_looked_for_at_once_and_then_not_at_every_unknown_name(odd: Odd, user: User) -> None:
    browser = Browser()
    come_back(browser, odd, begin(browser))
    odd.answers["/keys"] = (200, {"keys": [NEW_KEY.as_dict(private=False)]})
    browser = Browser()
    assert come_back(browser, odd, begin(browser), key=NEW_KEY).status_code == 302
    assert odd.asked("/keys") == 2
    for _ in range(3):
        browser = Browser()
        assert page_refusal(come_back(browser, odd, begin(browser)), 502).rule == "upstream.id_token_key"
    assert odd.asked("/keys") == 2


def test_a_look_for_a_new_key_that_fails_counts_as_well(odd: Odd) -> None:
    idp, now = odd.as_configured(), timezone.now()
    metadata.find_provider(idp, now=now, until=patience())
    odd.answers["/keys"] = (500, {})
    with pytest.raises(ProviderUnavailable):
        metadata.find_keys(idp, kid="k2", now=now, until=patience())
    for _ in range(3):
        assert [key["kid"] for key in metadata.find_keys(idp, kid="k2", now=now, until=patience())] == ["k1"]
    assert odd.asked("/keys") == 2


def test_a_single_key_needs_no_name_and_its_successor_is_looked_for(odd: Odd, user: User) -> None:
    old, new = (
        {name: value for name, value in key.as_dict(private=False).items() if name != "kid"} for key in (KEY, NEW_KEY)
    )
    odd.answers["/keys"] = (200, {"keys": [old]})
    browser = Browser()
    asked = begin(browser)
    promise(odd, asked, header={"kid": ...})
    answered(browser, asked)
    assert not nobody_in(browser)
    odd.answers["/keys"] = (200, {"keys": [new]})
    idp, now = odd.as_configured(), timezone.now()
    for later, keys in ((0, [old]), (31, [new])):
        found = metadata.find_keys(idp, kid=None, now=now + timedelta(seconds=later), until=patience())
        assert [key["n"] for key in found] == [key["n"] for key in keys]


def test_two_keys_of_one_name_are_no_key(odd: Odd, user: User) -> None:
    odd.answers["/keys"] = (200, {"keys": [PUBLIC, NEW_KEY.as_dict(private=False) | {"kid": "k1"}]})
    browser = Browser()
    assert page_refusal(come_back(browser, odd, begin(browser)), 502).rule == "upstream.id_token_key"
    assert nobody_in(browser)


def test_an_algorithm_the_provider_does_not_name_is_not_its_own(odd: Odd, user: User) -> None:
    odd.publish(id_token_signing_alg_values_supported=["RS256", "ES256"])
    for alg, is_good in (("RS512", False), ("RS256", True)):
        browser = Browser()
        asked = begin(browser)
        promise(odd, asked, header={"alg": alg})
        answer = answered(browser, asked)
        if not is_good:
            assert page_refusal(answer, 502).rule == "upstream.id_token_alg"
        assert nobody_in(browser) is not is_good
