"""Sign-ins and sign-outs are in the audit trail, under the trace id of the request."""

import pytest
from django.test import Client as Browser

from smartauth.audit.models import AuditRecord
from smartauth.people.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.requirement("SEC-09")
def test_who_signs_in_and_out_is_recorded() -> None:
    ana = User.objects.create_user("ana", password="correct horse battery staple")
    browser = Browser()
    answer = browser.post("/account/login/", {"login": "ana", "password": "correct horse battery staple"})
    assert answer.status_code == 302
    signed_in = AuditRecord.objects.get(action="sign-in")
    assert (signed_in.user_id, str(signed_in.trace_id)) == (ana.pk, answer.headers["X-Trace-Id"])
    browser.post("/account/logout/")
    assert AuditRecord.objects.get(action="sign-out").user_id == ana.pk


def test_a_wrong_password_is_no_sign_in() -> None:
    User.objects.create_user("ana", password="correct horse battery staple")
    Browser().post("/account/login/", {"login": "ana", "password": "wrong"})
    assert not AuditRecord.objects.filter(action="sign-in").exists()


@pytest.mark.requirement("SEC-09")
def test_a_guess_at_somebodys_password_is_recorded_and_no_other_name_is() -> None:
    ana = User.objects.create_user("ana", password="correct horse battery staple")
    Browser().post("/account/login/", {"login": "ana", "password": "wrong"})
    Browser().post("/account/login/", {"login": "my-secret-typed-here", "password": "wrong"})
    records = AuditRecord.objects.filter(action="sign-in-failed").order_by("pk")
    assert [record.user_id for record in records] == [ana.pk, None]
    assert "my-secret" not in str(list(AuditRecord.objects.values()))


def test_to_a_deactivated_user_the_right_password_looks_like_a_wrong_one() -> None:
    User.objects.create_user("ana", password="correct horse battery staple", is_active=False)
    right = Browser().post("/account/login/", {"login": "ana", "password": "correct horse battery staple"})
    wrong = Browser().post("/account/login/", {"login": "ana", "password": "wrong"})
    assert right.status_code == wrong.status_code == 200
    assert b"problem" in right.content
    assert not AuditRecord.objects.filter(action="sign-in").exists()
