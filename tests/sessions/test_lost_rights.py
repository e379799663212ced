"""What ends grants for good: a new password, a locked account, a lost relation.  RFC 9700 §4.14."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.retention import purge
from tests.endpoints.app_launch import App
from tests.endpoints.test_token_refresh_token import Refresh, Start, reads
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

NEW = "another horse battery staple"


def by_a_script(user: User) -> None:
    user.set_password(NEW)
    user.save()


def by_the_command(user: User) -> None:
    with patch("getpass.getpass", return_value=NEW):  # The keyboard.
        call_command("changepassword", user.username, stdout=StringIO())


def by_an_administrator(user: User) -> None:
    _admin(user, {"usable_password": "true", "password1": NEW, "password2": NEW})


def by_taking_it_away(user: User) -> None:
    _admin(user, {"usable_password": "false", "password1": "", "password2": ""})


def _admin(user: User, form: dict[str, str]) -> None:
    admin = Browser()
    admin.force_login(User.objects.create_superuser("root", password=NEW))
    url = reverse("admin:auth_user_password_change", args=[user.pk])
    assert admin.post(url, form).status_code == 302


@pytest.mark.requirement("REVOKE-11")
@pytest.mark.parametrize("change", [by_a_script, by_the_command, by_an_administrator, by_taking_it_away])
def test_a_new_password_ends_what_was_granted_under_the_old_one(
    start: Start, refresh: Refresh, call: Caller, ana: User, change: Callable[[User], None]
) -> None:
    tokens = start()
    change(ana)
    assert not reads(call, tokens)
    assert refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert Authorization.objects.get().revoked_by == "password"
    assert AuditRecord.objects.filter(action="revoke", rule="authorization.password").count() == 1


def test_the_same_password_stored_in_a_newer_way_ends_nothing(start: Start, ana: User, settings: object) -> None:
    start()
    settings.PASSWORD_HASHERS = [  # type: ignore[attr-defined]
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    ana.refresh_from_db()
    before = ana.password
    assert ana.check_password("correct horse battery staple")
    assert ana.password != before
    assert Authorization.objects.get().revoked_at is None


@pytest.mark.requirement("REVOKE-11")
def test_a_locked_account_ends_what_it_had_granted_also_after_it_is_opened_again(
    start: Start, refresh: Refresh, call: Caller, ana: User
) -> None:
    tokens = start()
    User.objects.filter(pk=ana.pk).update(is_active=False)
    assert not reads(call, tokens)
    User.objects.filter(pk=ana.pk).update(is_active=True)
    assert not reads(call, tokens)
    assert refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert Authorization.objects.get().revoked_by == "lock"
    record = AuditRecord.objects.get(action="revoke")
    assert (record.rule, record.client_id, record.tenant, record.user_id) == (
        "authorization.lock",
        "growth-chart",
        "sandbox",
        ana.pk,
    )


def end_it(user: User) -> None:
    ProxyRelation.objects.filter(user=user).update(ends_at=timezone.now() - timedelta(seconds=1))


def delete_it(user: User) -> None:
    ProxyRelation.objects.filter(user=user).delete()


def give_it_to_another_patient(user: User) -> None:
    ProxyRelation.objects.filter(user=user).update(patient="ivo")


def begin_it_later(user: User) -> None:
    ProxyRelation.objects.filter(user=user).update(starts_at=timezone.now() + timedelta(days=1))


@pytest.mark.requirement("REVOKE-11")
@pytest.mark.parametrize("change", [end_it, delete_it, give_it_to_another_patient, begin_it_later])
def test_a_lost_relation_ends_what_was_granted_about_the_patient_also_after_it_begins_anew(
    start: Start, refresh: Refresh, call: Caller, parent: User, change: Callable[[User], None]
) -> None:
    about_ben, own = start(user=parent, patient="ben"), start(user=parent, patient="ana")
    kept = ProxyRelation.objects.values().get()
    change(parent)
    ProxyRelation.objects.all().delete()
    ProxyRelation.objects.create(**kept)
    assert call("/Patient/ben", about_ben["access_token"]).status_code == 401
    assert refresh(about_ben["refresh_token"]).json()["error"] == "invalid_grant"
    assert reads(call, own)
    assert refresh(own["refresh_token"]).status_code == 200
    assert set(Authorization.objects.values_list("revoked_by", flat=True)) == {"relation", ""}


@pytest.mark.requirement("REVOKE-11")
def test_a_relation_that_time_has_ended_ends_it_for_good_at_the_next_purge(start: Start, parent: User) -> None:
    start(user=parent, patient="ben")
    soon = timezone.now() + timedelta(seconds=0.2)
    ProxyRelation.objects.update(ends_at=soon)
    assert Authorization.objects.get().revoked_at is None
    while timezone.now() <= soon:
        pass
    purge(timezone.now())
    assert Authorization.objects.get().revoked_by == "relation"


def test_a_relation_that_is_prolonged_ends_nothing(start: Start, call: Caller, parent: User) -> None:
    tokens = start(user=parent, patient="ben")
    ProxyRelation.objects.update(ends_at=timezone.now() + timedelta(days=1), relation="guardian")
    assert call("/Patient/ben", tokens["access_token"]).status_code == 200
    assert Authorization.objects.get().revoked_at is None


@pytest.mark.requirement("REVOKE-11")
def test_who_is_another_patient_in_the_records_has_lost_the_first_ones(start: Start, ana: User) -> None:
    start()
    FhirUser.objects.filter(user=ana).update(reference="Patient/ben")
    assert Authorization.objects.get().revoked_by == "relation"


def test_somebody_can_be_deleted_and_what_they_did_stays_told(start: Start, parent: User) -> None:
    start(user=parent, patient="ben")
    pk = parent.pk
    parent.delete()
    assert not Authorization.objects.exists()
    assert AuditRecord.objects.filter(user_id=pk, action="consent").exists()


def test_a_clinicians_patients_hang_on_no_relation(start: Start, growth_chart: App, dr_grey: User) -> None:
    start(user=dr_grey, patient="ben", scope="launch/patient patient/*.rs offline_access")
    FhirUser.objects.filter(user=dr_grey).update(reference="Practitioner/dr-grey")
    assert Authorization.objects.get().revoked_at is None
