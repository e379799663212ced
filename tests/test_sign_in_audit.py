"""Sign-ins and sign-outs are in the audit trail, under the trace id of the request."""

import pytest
from django.test import Client as Browser

from smartauth.audit.models import AuditRecord
from smartauth.people.models import User

pytestmark = pytest.mark.django_db


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
