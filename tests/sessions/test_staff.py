"""The administration: a second factor outside the sandbox, roles that are apart, and a trace of every change."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.urls import reverse

from clients.tenants import TenantInfo
from smartauth.administration.roles import ROLES
from smartauth.audit.models import AuditRecord
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import new_context
from smartauth.people.models import ProxyRelation, User
from tests.conftest import Configure
from tests.endpoints.app_launch import PASSWORD

pytestmark = pytest.mark.django_db

LOGIN = "/account/login/"
NEW = "another horse battery staple"


class Secure(Browser):
    """A browser that talks https."""

    def generic(self, *args: Any, **kwargs: Any) -> HttpResponse:
        kwargs["secure"] = True
        return super().generic(*args, **kwargs)


def sign_in(browser: Browser, name: str, *, then: str = "/admin/") -> HttpResponse:
    cache.clear()  # Sign-ins are counted per address, and all tests have the same one.
    return browser.post(LOGIN, {"login": name, "password": PASSWORD, "next": then})


def code_for(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def set_up(browser: Browser) -> str:
    """Set up a second factor as its page asks for it; return the secret."""
    path = reverse("mfa_activate_totp")
    again = browser.get(path).headers["Location"]  # Such a change asks for the password once more.
    assert again.startswith("/account/reauthenticate/")
    cache.clear()
    assert browser.post(again, {"password": PASSWORD, "next": path}).headers["Location"] == path
    page = browser.get(path)
    assert page.status_code == 200, page.headers
    secret: str = page.context["form"].secret
    assert secret in page.content.decode()
    assert browser.post(path, {"code": code_for(secret)}).status_code == 302
    return secret


class TestSecondFactor:
    """A password alone opens no administration of a hospital."""

    @pytest.mark.requirement("SEC-13", "SEC-07")
    def test_outside_the_sandbox_staff_set_one_up_before_they_see_anything(
        self, root: User, configure: Configure, django_capture_on_commit_callbacks: Any
    ) -> None:
        configure(mode="production")
        browser = Secure()
        sign_in(browser, "root")
        path = reverse("admin:clients_client_changelist")
        for _ in range(2):
            answer = browser.get(path)
            assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/login/?next={path}")
            answer = browser.get(answer.headers["Location"])
            assert answer.headers["Location"].startswith(reverse("mfa_activate_totp"))

        with django_capture_on_commit_callbacks(execute=True):
            secret = set_up(browser)

        answer = browser.get(browser.get(path).headers["Location"])
        assert answer.headers["Location"].startswith(reverse("mfa_reauthenticate"))
        Authenticator.objects.filter(type="totp").update(last_used_at=None)
        cache.clear()
        proven = browser.post(reverse("mfa_reauthenticate"), {"code": code_for(secret), "next": path})
        assert (proven.status_code, proven.headers["Location"]) == (302, path)
        assert browser.get(path).status_code == 200
        assert AuditRecord.objects.filter(action="second-factor-added", user_id=root.pk).exists()

    @pytest.mark.requirement("SEC-13", "SEC-07")
    def test_from_then_on_a_password_alone_signs_nobody_in(self, root: User, configure: Configure) -> None:
        first = Browser()
        sign_in(first, "root")
        secret = set_up(first)
        cache.clear()
        browser = Browser()
        answer = sign_in(browser, "root")
        assert answer.headers["Location"].startswith(reverse("mfa_authenticate"))
        assert "_auth_user_id" not in browser.session
        assert browser.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
        assert "_auth_user_id" not in browser.session
        cache.clear()
        answer = browser.post(reverse("mfa_authenticate"), {"code": code_for(secret)})
        assert answer.headers["Location"] == "/admin/"
        configure(mode="production")
        secure = Secure()
        secure.cookies = browser.cookies
        assert secure.get("/admin/").status_code == 200

    @pytest.mark.requirement("SEC-07")
    def test_its_secret_is_kept_sealed(self, root: User) -> None:
        browser = Browser()
        sign_in(browser, "root")
        secret = set_up(browser)
        assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))

    @pytest.mark.requirement("SEC-07")
    def test_anybody_may_have_one(self, db: None) -> None:
        User.objects.create_user("ana", password=PASSWORD)
        browser = Browser()
        sign_in(browser, "ana", then="/")
        set_up(browser)
        cache.clear()
        assert sign_in(Browser(), "ana").headers["Location"].startswith(reverse("mfa_authenticate"))

    @pytest.mark.requirement("SEC-13")
    def test_whoever_is_not_staff_is_not_asked_for_one(self, configure: Configure) -> None:
        User.objects.create_user("ana", password=PASSWORD)
        configure(mode="production")
        browser = Secure()
        sign_in(browser, "ana")
        assert browser.get("/admin/login/").status_code == 403


ENDS = {
    "Partner": set(),
    "Registrar": {
        "clients_client",
        "clients_keyfinding",
        "clients_tenant",
        "clients_activation",
        "clients_keyset",
        "clients_assertionid",
        "clients_initialaccesstoken",
        "clients_apitoken",
        "clients_brand",
        "clients_skin",
    }
    | {"fhirproxy_upstream", "fhirproxy_appstatetrust"},
    "Keys": {"smartauth_signingkey"},
    "People": {"auth_user", "people_user", "mfa_authenticator"},
    "Security officer": {"smartauth_authorization", "smartauth_accesstoken", "smartauth_refreshtoken"}
    | {"smartauth_signingkey", "smartauth_authorizationcode", "audit_auditrecord", "receipts_receipt"}
    | {"receipts_refusalcount", "clients_client", "clients_tenant", "clients_activation", "clients_brand"}
    | {"clients_keyset", "clients_keyfinding", "clients_assertionid", "clients_initialaccesstoken", "clients_apitoken"}
    | {"fhirproxy_upstream", "fhirproxy_bulkjob", "fhirproxy_appstatetrust", "people_user", "clients_skin"},
}


def staff(*roles: str) -> Browser:
    user = User.objects.create_user("staff", password=PASSWORD, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    browser = Browser()
    browser.force_login(user)
    return browser


class TestRoles:
    """Who looks after apps does not look after keys."""

    @pytest.mark.requirement("SEC-13")
    @pytest.mark.parametrize("role", sorted(ROLES))
    def test_a_role_opens_its_own_part_and_no_other(self, role: str) -> None:
        browser = staff(role)
        opened = set()
        for model in admin.site._registry:
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            if browser.get(reverse(f"admin:{name}_changelist")).status_code == 200:
                opened.add(name)
        assert opened <= ENDS[role]
        assert opened >= ENDS[role] - {"auth_user"}

    @pytest.mark.requirement("SEC-13")
    def test_without_a_role_staff_see_nothing(self) -> None:
        browser = staff()
        assert browser.get(reverse("admin:clients_client_changelist")).status_code == 403

    @pytest.mark.requirement("SEC-13")
    @pytest.mark.parametrize("role", ["Registrar", "People", "Security officer"])
    def test_only_the_role_for_keys_moves_keys(self, role: str) -> None:
        page = staff(role).get(reverse("admin:smartauth_signingkey_changelist"))
        assert page.status_code == 403 or "withdraw" not in page.content.decode()

    @pytest.mark.requirement("SEC-13")
    def test_who_looks_after_people_makes_nobody_staff_and_touches_no_staff(self, root: User) -> None:
        ana = User.objects.create_user("ana", password=PASSWORD)
        browser = staff("People")
        page = browser.get(reverse("admin:people_user_change", args=[ana.pk])).content.decode()
        assert 'name="first_name"' in page
        for field in ("is_staff", "is_superuser", "groups", "user_permissions"):
            assert f'name="{field}"' not in page
        form = {"usable_password": "true", "password1": NEW, "password2": NEW}
        assert browser.post(reverse("admin:auth_user_password_change", args=[root.pk]), form).status_code == 403
        assert browser.post(reverse("admin:auth_user_password_change", args=[ana.pk]), form).status_code == 302
        root.refresh_from_db()
        assert root.check_password(PASSWORD)

    @pytest.mark.requirement("SEC-13")
    @pytest.mark.parametrize("has_both", [False, True])
    def test_a_role_that_is_called_otherwise_now_keeps_its_people(self, has_both: bool) -> None:
        ana, ben = (User.objects.create_user(name, password=PASSWORD, is_staff=True) for name in ("ana", "ben"))
        if has_both:
            old = Group.objects.create(name="Registry")
            ben.groups.add(Group.objects.get(name="Registrar"))
        else:
            Group.objects.filter(name="Registrar").update(name="Registry")
            old = Group.objects.get(name="Registry")
        ana.groups.add(old)
        for _ in range(2):
            emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
        assert not Group.objects.filter(name__in=["Registry", "Security"]).exists()
        names = {user.username for user in Group.objects.get(name="Registrar").user_set.all()}
        assert names == ({"ana", "ben"} if has_both else {"ana"})
        assert User.objects.get(username="ana").has_perm("clients.change_client")

    @pytest.mark.requirement("SEC-13")
    def test_a_security_officer_changes_nothing_but_what_was_granted(self) -> None:
        may = Group.objects.get(name="Security officer").permissions.exclude(codename__startswith="view_")
        assert [one.codename for one in may] == ["change_authorization"]

    @pytest.mark.requirement("SEC-13")
    def test_the_command_gives_roles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin.readline", lambda: f"{NEW}\n", raising=False)
        call_command("create_user", "--username", "kim", "--role", "Keys")
        kim = User.objects.get(username="kim")
        assert (kim.is_staff, kim.is_superuser) == (True, False)
        assert kim.has_perm("smartauth.change_signingkey")
        assert not kim.has_perm("clients.change_client")
        with pytest.raises(CommandError):
            call_command("create_user", "--username", "lee", "--role", "Nobody")


@pytest.mark.requirement("SEC-09", "SEC-13")
def test_what_is_changed_about_people_leaves_a_trace(root: User, tenant: TenantInfo) -> None:
    ana = User.objects.create_user("ana", password=PASSWORD)
    browser = Browser()
    browser.force_login(root)
    inlines: dict[str, Any] = {}
    for prefix in ("fhir_users", "relations", "upstream_identities"):
        inlines |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    inlines |= {"relations-TOTAL_FORMS": "1", "relations-0-tenant": str(tenant.pk), "relations-0-patient": "ben"}
    inlines |= {"relations-0-kind": "caregiver"}
    inlines |= {"relations-0-starts_at_0": "2026-01-01", "relations-0-starts_at_1": "12:00:00"}
    named = {"issuer": "https://idp.example.org", "subject": "s-ana"}
    inlines |= {f"upstream_identities-0-{name}": value for name, value in named.items()}
    inlines |= {"upstream_identities-TOTAL_FORMS": "1"}
    form = {"username": "ana", "is_active": "on", "is_staff": "on", "date_joined_0": "2026-01-01"}
    form |= {"date_joined_1": "12:00:00", **inlines}
    answer = browser.post(reverse("admin:people_user_change", args=[ana.pk]), form)
    assert answer.status_code == 302, answer.context["errors"]
    assert ProxyRelation.objects.get().user == ana
    password = {"usable_password": "true", "password1": NEW, "password2": NEW}
    browser.post(reverse("admin:auth_user_password_change", args=[ana.pk]), password)
    rows = AuditRecord.objects.filter(action="administer").order_by("pk")
    assert [row.rule for row in rows] == [
        *("user.changed", "relation.added", "upstream_identity.added", "user.password_changed")
    ]
    assert {row.user_id for row in rows} == {root.pk}
    assert rows[0].details["of"] == ana.pk
    assert "is_staff" in rows[0].details["fields"]
    assert rows[1].details == {"of": ana.pk, "patient": "ben"}
    assert rows[2].details == {"of": ana.pk, "issuer": "https://idp.example.org"}


class TestSignIn:
    """Guesses are slowed down, and a session ends."""

    @pytest.mark.requirement("SEC-07")
    def test_after_a_few_guesses_even_the_right_password_has_to_wait(self, db: None) -> None:
        User.objects.create_user("ana", password=PASSWORD)
        cache.clear()
        for _ in range(5):
            Browser().post(LOGIN, {"login": "ana", "password": "wrong"})
        browser = Browser()
        answer = browser.post(LOGIN, {"login": "ana", "password": PASSWORD})
        assert "Too many failed login attempts" in answer.content.decode()
        assert "_auth_user_id" not in browser.session

    @pytest.mark.requirement("SEC-07")
    def test_guesses_are_counted_for_all_workers_together(self, db: None) -> None:
        cache.clear()
        Browser().post(LOGIN, {"login": "ana", "password": "wrong"})
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM smartauth_cache")
            assert cursor.fetchone()[0] > 0

    @pytest.mark.requirement("SEC-07")
    def test_a_session_ends_after_a_working_day_however_busy_it_was(self, root: User) -> None:
        browser = Browser()
        sign_in(browser, "root")
        ends_at = Session.objects.get().expire_date
        assert 0 < ends_at.timestamp() - time.time() <= 8 * 3600
        browser.get("/admin/")
        assert Session.objects.get().expire_date == ends_at

    @pytest.mark.requirement("SEC-07")
    @pytest.mark.parametrize("name", ["sessionid", "csrftoken"])
    def test_cookies_of_https_are_for_us_alone(self, root: User, settings: Any, name: str) -> None:
        settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
        browser = Secure()
        browser.get(LOGIN)
        sign_in(browser, "root")
        cookie = browser.cookies[name]
        assert (cookie["samesite"], cookie["secure"]) == ("Lax", True)
        assert cookie["httponly"] or name == "csrftoken"


@pytest.mark.requirement("SEC-09")
@pytest.mark.parametrize(
    "tamper",
    [
        lambda: AuditRecord.objects.all().delete(),
        lambda: AuditRecord.objects.update(rule="nothing"),
        lambda: AuditRecord.objects.get().delete(),
    ],
)
def test_the_audit_trail_is_neither_changed_nor_shortened(tamper: Callable[[], None]) -> None:
    record_now(new_context(), AuditEvent("sign-in"))
    with pytest.raises(DatabaseError, match="never changed or deleted"), transaction.atomic():
        tamper()
    assert AuditRecord.objects.get().rule == ""
