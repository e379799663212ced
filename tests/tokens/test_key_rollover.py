"""A change of our own keys, as those see it who verify what we signed.  OIDC Core §10.1.1; RFC 7517 §4 and §5."""

import io
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import Client as Browser
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import KeySet

from clients.compact_jws import parse_compact_jws
from smartauth import keys
from smartauth.marks.poller import poller
from smartauth.models import SigningKey
from smartauth.retention import purge
from tests.conftest import Configure
from tests.endpoints.conftest import Service
from tests.endpoints.test_token_refresh_token import Start
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

JWKS = "/.well-known/jwks.json"
PUBLIC = {"RSA": {"kty", "n", "e", "kid", "use", "alg"}, "EC": {"kty", "crv", "x", "y", "kid", "use", "alg"}}


def published() -> dict[str, dict[str, Any]]:
    """Return our keys by name, as anybody reads them."""
    return {key["kid"]: key for key in Browser().get(JWKS).json()["keys"]}


def verifies(token: str, alg: str) -> bool:
    """Say whether somebody who reads our keys now can verify a token of ours, and by which it says it was signed."""
    kid = jwt_header(token)["kid"]
    if kid not in published():
        return False
    return jwt.decode(token, KeySet.import_key_set({"keys": [published()[kid]]}), algorithms=[alg]).header["kid"] == kid


def jwt_header(token: str) -> dict[str, Any]:
    return parse_compact_jws(token).header


def rotate() -> None:
    call_command("rotate_keys", stdout=io.StringIO())
    poller.poll()


def let_pass(duration: timedelta) -> None:
    """Move the lives of all keys into the past, as if we had waited."""
    times = ("created_at", "activated_at", "retired_at")
    SigningKey.objects.update(**{name: F(name) - duration for name in times})
    poller.poll()


@pytest.mark.requirement("KEYS-11")
@pytest.mark.parametrize(("kind", "alg"), [("access_token", "ES256"), ("id_token", "RS256")])
def test_whoever_reads_our_keys_can_verify_at_every_moment_of_a_change(
    serving: None, start: Start, call: Caller, kind: str, alg: str
) -> None:
    before = start()
    old = jwt_header(before[kind])["kid"]
    assert set(published()) == set(SigningKey.objects.values_list("kid", flat=True))

    rotate()  # The next key is shown and does not sign.
    between = start()
    assert jwt_header(between[kind])["kid"] == old
    following = SigningKey.objects.get(purpose=kind, alg=alg, state="next").kid
    assert {old, following} <= set(published())

    with pytest.raises(CommandError, match="may sign from"):
        rotate()
    let_pass(timedelta(minutes=11))
    rotate()  # It signs; the old one is still shown.
    after = start()
    assert jwt_header(after[kind])["kid"] == following
    for tokens in (before, between, after):
        assert verifies(tokens[kind], alg)
        assert call("/Patient/ana", tokens["access_token"]).status_code == 200

    let_pass(timedelta(hours=1))
    assert verifies(before[kind], alg)
    let_pass(timedelta(minutes=6))  # Nothing that the old key signed is alive.
    assert not verifies(before[kind], alg)
    assert verifies(after[kind], alg)
    purge(timezone.now())
    assert verifies(after[kind], alg)


@pytest.mark.requirement("KEYS-11")
def test_a_key_is_shown_for_as_long_as_the_longest_thing_it_may_have_signed(configure: Configure) -> None:
    assert keys.longest_use() >= timedelta(hours=1)
    for name in ("access_token_lifetime", "id_token_lifetime", "public_token_lifetime", "service_token_lifetime"):
        configure(**{name: timedelta(hours=5)})
        assert keys.longest_use() >= timedelta(hours=5)
        configure(**{name: timedelta(minutes=5)})


@pytest.mark.requirement("KEYS-11")
def test_a_process_that_remembers_its_keys_lets_go_of_a_retired_one_by_itself(serving: None) -> None:
    now = timezone.now()
    keys.access_token_signer(now)
    retired = keys.make_key("access_token", "ES256")
    retired.state = "retired"
    retired.retired_at = now - keys.longest_use() + timedelta(seconds=1)
    retired.save()
    poller.poll()
    assert retired.kid in published()
    assert keys._published._entries[None][2] == now + timedelta(seconds=1)


@pytest.mark.requirement("KEYS-09", "KEYS-10", "KEYS-13", "T-41")
def test_our_key_set_is_public_bare_and_complete(
    start: Start, get_token: Callable[..., str], bulk_loader: Service
) -> None:
    answer = Browser().get(JWKS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert set(answer.json()) == {"keys"}
    for key in answer.json()["keys"]:
        assert set(key) == PUBLIC[key["kty"]]
        assert key["use"] == "sig"
        assert key["alg"] == {"RSA": "RS256", "EC": "ES256"}[key["kty"]]
    assert len({key["kid"] for key in answer.json()["keys"]}) == len(answer.json()["keys"])
    tokens = start()
    for token, alg, kty in ((tokens["id_token"], "RS256", "RSA"), (tokens["access_token"], "ES256", "EC")):
        assert published()[jwt_header(token)["kid"]]["kty"] == kty
        assert verifies(token, alg)
    assert verifies(get_token(bulk_loader), "ES256")


@pytest.mark.requirement("KEYS-12")
def test_private_keys_are_sealed_apart_and_show_nowhere(
    start: Start, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens, now = start(), timezone.now()
    signers = [keys.access_token_signer(now), keys.id_token_signer("RS256", now), keys.id_token_signer("ES256", now)]
    call_command("rotate_keys")
    told = f"{caplog.text} {capsys.readouterr()} {signers} {tokens} {Browser().get(JWKS).content.decode()}"
    for signer in signers:
        private = signer.key.as_dict(private=True)
        stored = str(SigningKey.objects.filter(kid=signer.kid).values())
        assert private["d"] not in stored + told
        assert "PRIVATE KEY" not in stored + told
    assert len({signer.kid for signer in signers}) == 3
    assert jwt_header(tokens["id_token"])["kid"] != jwt_header(tokens["access_token"])["kid"]
