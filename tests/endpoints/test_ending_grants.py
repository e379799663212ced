"""What ends everything a user has granted: a new password, an ended relation.  RFC 9700 §4.14; RFC 7662 §2.2."""

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from smartauth.audit.models import AuditRecord
from smartauth.models import AccessToken, Authorization
from smartauth.people.models import ProxyRelation, User
from smartauth.tokens import introspect
from tests.endpoints.app_launch import Behind, launch
from tests.endpoints.conftest import Post


def exchange(post: Post, launched: Any) -> dict[str, Any]:
    answer = post(
        "/auth/sandbox/token",
        {
            "grant_type": "authorization_code",
            "code": launched.code,
            "client_id": launched.client_id,
            "redirect_uri": launched.redirect_uri,
            "code_verifier": launched.verifier,
        },
    )
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_password_changed_by_an_administrator_ends_what_the_user_had_granted(
    small: Behind, post: Post, growth_chart: Any, ana: User
) -> None:
    token = exchange(post, launch(Browser(), growth_chart, ana))
    admin = Browser()
    root = User.objects.create_superuser("root", password="correct horse battery staple")
    admin.force_login(root)
    url = reverse("admin:auth_user_password_change", args=[ana.pk])
    form = {"usable_password": "true", "password1": "short", "password2": "short"}
    assert admin.post(url, form).status_code == 200
    assert Authorization.objects.get().revoked_at is None
    form |= {"password1": "another horse battery", "password2": "another horse battery"}
    assert admin.post(url, form).status_code == 302
    assert Authorization.objects.get().revoked_by == "password"
    record = AuditRecord.objects.get(action="revoke")
    assert (record.rule, record.details) == ("authorization.password", {"administrator": root.pk})
    again = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], "client_id": "growth-chart"}
    assert post("/auth/sandbox/token", again).json()["error"] == "invalid_grant"


@pytest.mark.requirement("REVOKE-11")
def test_a_token_for_a_patient_whose_relation_ended_is_dead_for_everybody(
    small: Behind, post: Post, growth_chart: Any, parent: User
) -> None:
    token = exchange(post, launch(Browser(), growth_chart, parent, patient="ben"))["access_token"]
    row = AccessToken.objects.get()
    assert introspect(token, tenants={"sandbox"}, now=row.created)["patient"] == "ben"
    assert row.is_valid()
    ProxyRelation.objects.filter(user=parent, patient="ben").delete()
    assert not row.is_valid()
    answer = Browser().get("/fhir/sandbox/r4/Patient/ben", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_no_page_of_the_administration_shows_the_key_of_a_session(
    small: Behind, post: Post, growth_chart: Any, ana: User
) -> None:
    browser = Browser()
    exchange(post, launch(browser, growth_chart, ana, scope="openid online_access"))
    admin = Browser()
    admin.force_login(User.objects.create_superuser("root", password="correct horse battery staple"))
    authorization = Authorization.objects.get()
    assert len(authorization.session) == 64
    page = admin.get(reverse("admin:smartauth_authorization_change", args=[authorization.pk])).content.decode()
    assert browser.session.session_key not in page
