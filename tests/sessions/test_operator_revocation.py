"""What an operator ends: by client, by user, by patient, by signing key."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from clients.tenants import TenantInfo
from smartauth import compromise, keys
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.models import AccessToken, Authorization, SigningKey
from smartauth.people.models import User
from tests.endpoints.app_launch import App, launch
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_token_refresh_token import Refresh, Start, reads
from tests.endpoints.token_requests import Ask, body_of, redemption
from tests.factories import make_tenant
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def granted(
    start: Start, ask: Ask, growth_chart: App, cardio: App, parent: User, dr_grey: User, ana: User
) -> dict[str, Authorization]:
    """Four grants that share a client, a user or a patient with one another."""
    start(user=ana)
    start(cardio, user=ana)
    body_of(ask(growth_chart, redemption(launch(Browser(), growth_chart, parent, patient="ben"))))
    body_of(ask(growth_chart, redemption(launch(Browser(), growth_chart, dr_grey, patient="ben"))))
    return {
        f"{row.client.client_id} {row.user.username} {row.context['patient']}": row
        for row in Authorization.objects.select_related("client", "user")
    }


EVERY = {"growth-chart ana ana", "cardio ana ana", "growth-chart parent ben", "growth-chart dr-grey ben"}
WHOSE: list[tuple[tuple[str, ...], set[str]]] = [
    (("--client", "cardio"), {"cardio ana ana"}),
    (("--client", "growth-chart"), EVERY - {"cardio ana ana"}),
    (("--user", "dr-grey"), {"growth-chart dr-grey ben"}),
    (("--patient", "ben", "--tenant", "sandbox"), {"growth-chart parent ben", "growth-chart dr-grey ben"}),
    # parent is ana in the records, too: whatever such a user granted goes with the patient.
    (("--patient", "ana", "--tenant", "sandbox"), EVERY - {"growth-chart dr-grey ben"}),
    (("--client", "growth-chart", "--user", "parent"), {"growth-chart parent ben"}),
    (("--client", "growth-chart", "--tenant", "north"), set()),
    (("--patient", "ben", "--tenant", "north"), set()),
]  # fmt: skip


@pytest.mark.requirement("REVOKE-10")
@pytest.mark.parametrize(("words", "whose"), WHOSE)
def test_the_command_ends_what_fits_all_that_is_named_and_nothing_else(
    granted: dict[str, Authorization], words: tuple[str, ...], whose: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert granted.keys() == EVERY
    make_tenant("north")
    call_command("revoke", *words)
    assert capsys.readouterr().out == f"{len(whose)} authorizations revoked\n"
    ended = {name for name, row in granted.items() if Authorization.objects.get(pk=row.pk).revoked_at}
    assert ended == whose
    records = AuditRecord.objects.filter(action="revoke")
    assert {record.authorization for record in records} == {granted[name].pk for name in whose}
    assert all(record.rule == "authorization.administrator" for record in records)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "name a client"),
        (("--tenant", "sandbox"), "name a client"),
        (("--patient", "ben"), "name a client"),
        (("--client", "nobody"), "no client 'nobody'"),
        (("--user", "nobody"), "no user 'nobody'"),
        (("--client", "cardio", "--tenant", "nowhere"), "no tenant 'nowhere'"),
        (("--key", "x"), "no signing key x"),
        (("--key", "x", "--client", "cardio"), "stands alone"),
    ],
)
def test_what_cannot_be_meant_is_said_and_ends_nothing(
    granted: dict[str, Authorization], words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        call_command("revoke", *words)
    assert not Authorization.objects.filter(revoked_at__isnull=False).exists()


@pytest.mark.requirement("REVOKE-10")
def test_a_service_loses_its_tokens_too(
    get_token: Any, bulk_loader: Service, auditor: Service, post: Post, tenant: TenantInfo
) -> None:
    token = get_token(bulk_loader)
    call_command("revoke", "--client", "bulk-loader")
    told = post(INTROSPECT, {"token": token, **auditor.credentials()})
    assert told.json() == {"active": False}


@pytest.mark.requirement("REVOKE-10")
@pytest.mark.parametrize(
    ("search", "whose"),
    [
        ("cardio", {"cardio ana ana"}),
        ("dr-grey", {"growth-chart dr-grey ben"}),
        ("ben", {"growth-chart parent ben", "growth-chart dr-grey ben"}),
    ],
)
def test_the_list_in_the_administration_is_searched_by_client_user_and_patient_and_ended(
    granted: dict[str, Authorization], root: User, search: str, whose: set[str]
) -> None:
    admin = Browser()
    admin.force_login(root)
    url = f"{reverse('admin:smartauth_authorization_changelist')}?q={search}"
    page = admin.get(url).content.decode()
    assert {name for name, row in granted.items() if str(row.pk) in page} == whose
    first = str(granted[min(whose)].pk)
    chosen = {"action": "revoke", "_selected_action": [first], "select_across": "1", "confirmed": "yes"}
    assert admin.post(url, chosen).status_code == 302
    assert {name for name, row in granted.items() if Authorization.objects.get(pk=row.pk).revoked_at} == whose
    record = AuditRecord.objects.filter(action="revoke").first()
    assert record is not None
    assert record.details == {"administrator": root.pk}


class TestAKeyThatLeaked:
    """It signs no more, nobody finds it any more, and what it signed is over."""

    @pytest.mark.requirement("REVOKE-10")
    def test_it_is_gone_and_its_access_tokens_with_it_and_the_apps_go_on(
        self, start: Start, refresh: Refresh, call: Caller, post: Post, auditor: Service
    ) -> None:
        first = start()
        kid = keys.access_token_signer(timezone.now()).kid
        waited: list[float] = []
        count = compromise.withdraw_key(kid, context=new_context(), pause=waited.append)
        assert (count, waited) == (1, [2.0])
        assert not reads(call, first)
        assert post(INTROSPECT, {"token": first["access_token"], **auditor.credentials()}).json() == {"active": False}
        published = Browser().get("/.well-known/jwks.json").json()["keys"]
        assert kid not in {key["kid"] for key in published}
        second = body_of(refresh(first["refresh_token"]))
        assert reads(call, second)
        assert keys.access_token_signer(timezone.now()).kid in {key["kid"] for key in published}
        assert not SigningKey.objects.filter(kid=kid).exists()
        rules = AuditRecord.objects.filter(rule="key.withdrawn").order_by("at")
        assert [(one.action, one.details.get("access_tokens")) for one in rules] == [
            ("administer", None),
            ("revoke", 1),
        ]

    @pytest.mark.requirement("REVOKE-10")
    def test_tokens_of_the_key_before_stay(self, start: Start, call: Caller) -> None:
        first = start()
        signed_at = timezone.now()
        keys.rotate("access_token", "ES256", context=new_context(), now=signed_at)
        SigningKey.objects.filter(state="next").update(created_at=signed_at - keys.PUBLISHED_BEFORE_USE)
        keys.rotate("access_token", "ES256", context=new_context(), now=timezone.now())
        second = start()
        kid = keys.access_token_signer(timezone.now()).kid
        assert compromise.withdraw_key(kid, context=new_context(), pause=lambda _: None) == 1
        assert (reads(call, first), reads(call, second)) == (True, False)

    @pytest.mark.requirement("REVOKE-10")
    def test_a_key_of_id_tokens_proves_nothing_any_more(self, browser: Browser, start: Start, root: User) -> None:
        hint = start()["id_token"]
        kid = keys.id_token_signer("RS256", timezone.now()).kid
        key = SigningKey.objects.get(kid=kid)
        keys.rotate("id_token", "RS256", context=new_context(), now=timezone.now())
        admin = Browser()
        admin.force_login(root)
        answer = admin.post(
            reverse("admin:smartauth_signingkey_changelist"),
            {"action": "withdraw", "_selected_action": [str(key.pk)], "confirmed": "yes"},
        )
        assert answer.status_code == 302
        assert AccessToken.objects.filter(revoked_at__isnull=True).count() == 1
        assert SigningKey.objects.get(purpose="id_token", alg="RS256").state == "active"
        refused: HttpResponse = browser.get(f"/auth/sandbox/logout?id_token_hint={hint}")
        assert refused.status_code == 400
