"""Whom an ID token signs in: the user linked to its issuer and subject, and nobody because of anything else it says.

OIDC Core §5.7; decision 0063.
"""

import re
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.people.models import UpstreamIdentity, User
from smartauth.people.upstream.identities import require_user
from smartauth.people.upstream.identity_tokens import Identity
from tests.clients.at_once import at_once
from tests.conftest import Configure
from tests.endpoints.app_launch import PASSWORD, page_refusal
from tests.sign_in.odd_provider import MARKUP, Odd, begin, come_back, nobody_in

# What a provider may say of somebody to be taken for the local user lee.
LIKE_LEE: list[dict[str, Any]] = [
    {"email": "lee@example.org", "email_verified": True},
    {"preferred_username": "lee", "name": "lee", "nickname": "lee"},
    {"sub": "lee"},
    {"sub": "lee@example.org"},
    {"upn": "lee@example.org", "unique_name": "lee", "oid": "lee"},
]


@pytest.fixture
def lee(odd: Odd) -> User:
    """Somebody with a password and a mail address here, whom the provider does not know."""
    return User.objects.create_user("lee", email="lee@example.org", password=PASSWORD)


@pytest.mark.parametrize("claims", LIKE_LEE)
def test_nobody_becomes_a_user_here_by_name_or_mail_address(
    odd: Odd, lee: User, configure: Configure, claims: dict[str, Any]
) -> None:
    browser = Browser()
    answer = come_back(browser, odd, begin(browser), **({"sub": "s-1"} | claims))
    assert page_refusal(answer, 403).rule == "upstream.unknown_person"
    assert nobody_in(browser)
    configure(upstream_idp=odd.as_configured(creates_users=True))
    come_back(browser, odd, begin(browser), **({"sub": "s-1"} | claims))
    made = User.objects.exclude(pk=lee.pk).get()
    assert browser.session["_auth_user_id"] == str(made.pk)
    assert made.username != "lee"
    assert not made.email
    assert not lee.upstream_identities.exists()


def test_the_same_subject_at_two_providers_is_two_people(odd: Odd, user: User, lee: User, configure: Configure) -> None:
    UpstreamIdentity.objects.create(user=lee, issuer="https://another.example", subject="s-kim")
    for idp in (odd.as_configured(), odd.as_configured(creates_users=True)):
        configure(upstream_idp=idp)
        browser = Browser()
        come_back(browser, odd, begin(browser))
        assert browser.session["_auth_user_id"] == str(user.pk)
    UpstreamIdentity.objects.filter(user=user).delete()
    browser = Browser()
    come_back(browser, odd, begin(browser))
    assert browser.session["_auth_user_id"] not in (str(user.pk), str(lee.pk))


def test_subjects_that_differ_in_case_alone_are_two_people(odd: Odd, user: User) -> None:
    browser = Browser()
    answer = come_back(browser, odd, begin(browser), sub="S-KIM")
    assert page_refusal(answer, 403).rule == "upstream.unknown_person"


def test_a_person_whose_subject_changed_is_nobody_until_the_operator_links_them(odd: Odd, user: User) -> None:
    known = {"preferred_username": "kim", "email": "kim@example.org"}
    browser = Browser()
    come_back(browser, odd, begin(browser), **known)
    assert not nobody_in(browser)
    browser = Browser()
    receipt = page_refusal(come_back(browser, odd, begin(browser), sub="s-kim-2", **known), 403)
    assert (receipt.rule, receipt.officer) == ("upstream.unknown_person", "subject s-kim-2")
    assert receipt.fix
    UpstreamIdentity.objects.create(user=user, issuer=odd.issuer, subject="s-kim-2")
    come_back(browser, odd, begin(browser), sub="s-kim-2")
    assert browser.session["_auth_user_id"] == str(user.pk)


def test_a_user_who_was_deactivated_stays_out_and_gets_no_second_account(
    odd: Odd, user: User, configure: Configure
) -> None:
    configure(upstream_idp=odd.as_configured(creates_users=True, fhir_user_claims=(("sandbox", "fhirUser"),)))
    User.objects.filter(pk=user.pk).update(is_active=False)
    browser = Browser()
    receipt = page_refusal(come_back(browser, odd, begin(browser)), 403)
    assert (receipt.rule, bool(receipt.fix)) == ("upstream.deactivated", True)
    assert nobody_in(browser)
    assert User.objects.get() == user
    assert UpstreamIdentity.objects.get().last_used_at is None
    assert AuditRecord.objects.get(action="sign-in-failed").rule == "upstream.deactivated"


def test_a_user_deactivated_while_away_or_signed_in_is_out(odd: Odd, user: User) -> None:
    signed_in, away = Browser(), Browser()
    come_back(signed_in, odd, begin(signed_in))
    asked = begin(away)
    again = begin(signed_in, "/account/upstream/?prompt=login")
    User.objects.update(is_active=False)
    for browser, answer in ((away, asked), (signed_in, again)):
        assert page_refusal(come_back(browser, odd, answer), 403).rule == "upstream.deactivated"
    assert signed_in.get("/account/apps").status_code == 302


NAMES: list[Any] = [
    *(None, 7, ["admin"], {}, "", "admin", "ADMIN", "../admin", "admin\n", "\u202eadmin", "\u0000", "a" * 1_000),
    *(MARKUP, "'; drop table", "🙂"),
]


def test_the_provider_chooses_no_name_that_somebody_has_or_that_cannot_be_shown(
    odd: Odd, configure: Configure, browser: Browser
) -> None:
    configure(upstream_idp=odd.as_configured(creates_users=True))
    User.objects.create_superuser("admin", password=PASSWORD)
    for number, name in enumerate(NAMES):
        browser = Browser()
        come_back(browser, odd, begin(browser), sub=f"s-{number}", preferred_username=name)
        user = User.objects.get(upstream_identities__subject=f"s-{number}")
        assert re.fullmatch(r"[A-Za-z0-9_.+-]{8,70}", user.username), user.username
        assert not user.is_superuser
        assert browser.session["_auth_user_id"] == str(user.pk)


@pytest.mark.django_db(transaction=True)
def test_somebody_new_who_comes_twice_at_once_is_one_user(odd: Odd) -> None:
    idp, now = odd.as_configured(creates_users=True), timezone.now()
    identity = Identity(odd.issuer, now, {"sub": "s-new", "preferred_username": "new"})
    found = at_once(*[lambda: require_user(idp, identity, context=new_context(), now=now)] * 4)
    assert found == [User.objects.get()] * 4
    assert AuditRecord.objects.filter(action="user-created").count() == 1
