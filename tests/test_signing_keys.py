"""Our signing keys: sealed, published before they sign, kept until nothing they signed is alive.  OIDC Core §10.1.1."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from smartauth import keys
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.models import SigningKey
from smartauth.sealing import Unsealable, decrypt, encrypt
from tests.conftest import Configure

PURPOSE = SigningKey.Purpose.ACCESS_TOKEN
pytestmark = pytest.mark.django_db


def published(now: datetime) -> set[str]:
    """Return the published keys of access tokens."""
    mine = set(SigningKey.objects.filter(purpose=PURPOSE).values_list("kid", flat=True))
    return {key["kid"] for key in keys.published_keys(now)} & mine


@pytest.mark.requirement("KEYS-09", "KEYS-12")
def test_the_first_key_is_made_at_first_use_and_its_private_part_is_sealed() -> None:
    signer = keys.access_token_signer(timezone.now())
    row = SigningKey.objects.get()
    assert (row.kid, row.alg, row.state) == (signer.kid, "ES256", "active")
    assert row.kid == signer.key.thumbprint()
    assert "PRIVATE" not in row.sealed_private_key
    assert set(row.public_jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


@pytest.mark.requirement("KEYS-11")
def test_a_key_is_published_before_it_signs_and_after_it_retired(client: Any) -> None:
    now = timezone.now()
    first = keys.access_token_signer(now)
    following = keys.rotate(PURPOSE, "ES256", context=new_context(), now=now)
    assert keys.access_token_signer(now).kid == first.kid
    assert published(now) == {first.kid, following.kid}

    with pytest.raises(ValueError, match="may sign from"):
        keys.rotate(PURPOSE, "ES256", context=new_context(), now=now + timedelta(minutes=5))
    later = now + timedelta(minutes=11)
    keys.rotate(PURPOSE, "ES256", context=new_context(), now=later)
    assert keys.access_token_signer(later).kid == following.kid
    assert published(later) == {first.kid, following.kid}

    long_after = later + keys.longest_use() + timedelta(seconds=1)
    assert published(long_after) == {following.kid}


@pytest.mark.requirement("KEYS-10", "KEYS-11")
def test_every_key_that_may_sign_is_published_before_it_does() -> None:
    now = timezone.now()
    listed = {(key["kty"], key["alg"], key["kid"]) for key in keys.published_keys(now)}
    assert {("RSA", "RS256", keys.id_token_signer("RS256", now).kid)} < listed
    assert {("EC", "ES256", keys.id_token_signer("ES256", now).kid)} < listed
    assert len({kid for _, _, kid in listed}) == len(listed) == 3
    assert SigningKey.objects.count() == 3


def test_the_database_holds_one_active_key_per_use() -> None:
    keys.access_token_signer(timezone.now())
    second = keys.make_key(PURPOSE, "ES256")
    second.state, second.activated_at = "active", timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        second.save()


def test_the_command_moves_keys_on_by_one_step(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rotate_keys")
    assert "is now next" in capsys.readouterr().out
    records = AuditRecord.objects.filter(rule="key.rotated")
    following = SigningKey.objects.filter(state="next").order_by("pk")
    assert [record.details for record in records.order_by("pk")] == [{"kid": k.kid, "state": "next"} for k in following]
    assert {(key.purpose, key.alg) for key in following} == {
        ("access_token", "ES256"),
        ("id_token", "RS256"),
        ("id_token", "ES256"),
    }
    with pytest.raises(CommandError, match="may sign from"):
        call_command("rotate_keys")


@pytest.mark.requirement("KEYS-12")
def test_what_is_sealed_opens_with_any_configured_key_and_for_its_purpose_only(configure: Configure) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    configure(encryption_keys=(old,))
    sealed = encrypt(b"secret", purpose="test")
    configure(encryption_keys=(new, old))
    assert decrypt(sealed, purpose="test") == b"secret"
    for purpose, text in (("other", sealed), ("test", f"{sealed[:-4]}AAAA"), ("test", "ü")):
        with pytest.raises(Unsealable):
            decrypt(text, purpose=purpose)
    configure(encryption_keys=(new,))
    with pytest.raises(Unsealable):
        decrypt(sealed, purpose="test")
