"""The admin: behind the one sign-in, usable from the start, and without a single secret on its pages."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from clients.tenants import TenantInfo
from smartauth import keys
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.errors import Refusal
from smartauth.models import AccessToken, Authorization, SigningKey
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.receipts.recording import record
from tests.endpoints.conftest import Service

RELATED = ("fhir_users", "relations", "upstream_identities")
PASSWORD = "correct horse battery staple"


@pytest.fixture
def browser(client: Any, db: None) -> Any:
    """An administrator, signed in."""
    client.force_login(User.objects.create_superuser("admin", password=PASSWORD))
    return client


def pages() -> list[str]:
    return sorted(
        f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry
    )


@pytest.mark.parametrize("name", pages())
def test_every_list_opens(browser: Any, bulk_loader: Service, get_token: Callable[..., str], name: str) -> None:
    get_token(bulk_loader)
    assert browser.get(reverse(name)).status_code == 200


def test_the_admin_is_behind_the_normal_sign_in(client: Any, db: None) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/account/login/?next=")
    signed_in = client.post(answer.redirect_chain[-1][0], {"login": "admin", "password": PASSWORD}, follow=True)
    assert signed_in.redirect_chain[-1][0] == "/admin/"
    assert signed_in.status_code == 200


def test_a_wrong_password_shows_the_form_again(client: Any, db: None) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    answer = client.post("/account/login/", {"login": "admin", "password": "wrong"})
    assert answer.status_code == 200
    assert b'role="alert"' in answer.content


@pytest.mark.requirement("SEC-13")
def test_someone_without_rights_stays_outside(client: Any, db: None) -> None:
    client.force_login(User.objects.create_user("ana", password=PASSWORD))
    answer = client.get("/admin/", follow=True)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/admin", "/admin/"])
def test_the_address_works_with_and_without_its_slash(browser: Any, path: str) -> None:
    assert browser.get(path, follow=True).status_code == 200


def test_a_token_is_shown_without_its_value_or_digest(
    browser: Any, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader)
    row = AccessToken.objects.get()
    page = browser.get(reverse("admin:smartauth_accesstoken_change", args=[row.pk])).content.decode()
    assert token not in page
    assert row.token_checksum not in page
    assert "system/*.rs" in page


@pytest.mark.requirement("REVOKE-10")
def test_a_token_and_an_authorization_are_revoked_from_their_lists(
    browser: Any, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    get_token(bulk_loader)
    row = AccessToken.objects.get()
    chosen: dict[str, Any] = {"action": "revoke", "_selected_action": [row.pk]}
    asked = browser.post(reverse("admin:smartauth_accesstoken_changelist"), chosen)
    row.refresh_from_db()
    assert (b"They stop working within a second." in asked.content, row.revoked_at) == (True, None)
    back = browser.post(reverse("admin:smartauth_accesstoken_changelist"), chosen | {"back": "yes"})
    row.refresh_from_db()
    assert (back.status_code, row.revoked_at) == (302, None)
    browser.post(reverse("admin:smartauth_accesstoken_changelist"), chosen | {"confirmed": "yes"})
    row.refresh_from_db()
    assert row.revoked_at is not None
    browser.post(
        reverse("admin:smartauth_authorization_changelist"),
        {"action": "revoke", "_selected_action": [str(row.authorization_id)], "confirmed": "yes"},
    )
    assert Authorization.objects.get().revoked_by == "administrator"


def test_tokens_are_never_made_changed_or_deleted_by_hand(
    browser: Any, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    get_token(bulk_loader)
    row = AccessToken.objects.get()
    assert browser.get(reverse("admin:smartauth_accesstoken_add")).status_code == 403
    assert (
        browser.post(reverse("admin:smartauth_accesstoken_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    )
    assert AccessToken.objects.exists()


def test_a_signing_key_is_shown_without_its_private_part(browser: Any, db: None) -> None:
    keys.access_token_signer(timezone.now())
    row = SigningKey.objects.get()
    page = browser.get(reverse("admin:smartauth_signingkey_change", args=[row.pk])).content.decode()
    assert row.kid in page
    assert row.sealed_private_key not in page


def test_keys_are_rotated_from_the_list(browser: Any, db: None) -> None:
    keys.access_token_signer(timezone.now())
    row = SigningKey.objects.get()
    chosen = {"action": "rotate", "_selected_action": [row.pk], "confirmed": "yes"}
    browser.post(reverse("admin:smartauth_signingkey_changelist"), chosen)
    assert SigningKey.objects.filter(state="next").count() == 1
    assert AuditRecord.objects.get(rule="key.rotated").user_id == User.objects.get().pk


@pytest.mark.requirement("SEC-09")
def test_reading_a_receipt_is_audited(browser: Any, tenant: TenantInfo) -> None:
    context = new_context(endpoint="token", method="POST")
    record(context, status=400, error="invalid_request", refusal=Refusal("r", "because", officer="only for officers"))
    page = browser.get(reverse("admin:receipts_receipt_change", args=[context.trace_id])).content.decode()
    assert "only for officers" in page
    assert AuditRecord.objects.get(action="receipt.read").details == {"receipt": str(context.trace_id)}
    assert Receipt.objects.count() == 1


def test_pages_are_framed_by_nobody_and_load_nothing_foreign(browser: Any) -> None:
    for path in ("/", "/account/login/", "/admin/", "/nothing-here"):
        answer = browser.get(path)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert b"https://" not in answer.content.replace(b"https://docs.djangoproject.com", b"")


def test_tables_that_stay_empty_are_not_offered(browser: Any) -> None:
    page = browser.get("/admin/").content.decode()
    assert "Users" in page
    for table in ("Email addresses", "Id tokens", "ID tokens"):
        assert table not in page
    for path in ("account/emailaddress/", "account/emailaddress/add/", "smartauth/idtoken/"):
        assert browser.get(f"/admin/{path}").status_code == 404


def test_staff_change_their_own_password_where_everybody_does(browser: Any) -> None:
    assert browser.get("/admin/password_change/").headers["Location"] == "/account/password/"


def test_roles_are_ticked_and_single_rights_only_taken_back(browser: Any) -> None:
    ana = User.objects.create_user("ana", password=PASSWORD)
    url = reverse("admin:people_user_change", args=[ana.pk])
    page = browser.get(url).content.decode()
    assert "Security officer" in page
    assert 'type="checkbox" name="groups"' in page
    assert "user_permissions" not in page
    look, rotate = (Permission.objects.get(codename=f"{verb}_signingkey") for verb in ("view", "change"))
    ana.user_permissions.add(look)
    assert browser.get(url).content.decode().count('name="user_permissions"') == 1
    inlines = {f"{one}-{what}_FORMS": "0" for one in RELATED for what in ("TOTAL", "INITIAL")}
    form = {"username": "ana", "is_active": "on", "user_permissions": [rotate.pk], **inlines}
    assert browser.post(url, form).status_code == 200
    assert [*ana.user_permissions.all()] == [look]
    assert browser.post(url, form | {"user_permissions": []}).status_code == 302
    assert not ana.user_permissions.exists()
