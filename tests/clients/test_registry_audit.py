"""Every administrative act on the registry leaves a record of who did it, and no record without the act."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from clients import lifecycle
from clients.key_pairs import KeyPair
from clients.models import Client, KeySet, Tenant
from smartauth.audit.models import AuditRecord
from smartauth.marks.models import Mark
from tests.audit_trail import rewritable
from tests.clients.registry_site import change_url, client_form, secrets_on
from tests.factories import make_client, make_tenant, web_app


def records() -> list[tuple[str, str, str]]:
    """Return rule, client and tenant of what was recorded since the last call, each by the operator and traced."""
    operator = get_user_model().objects.get(username="admin")
    rows = list(AuditRecord.objects.order_by("pk"))
    assert {(row.action, row.user_id, row.remote_address) for row in rows} <= {("administer", operator.pk, "127.0.0.1")}
    assert all(row.trace_id for row in rows)
    with rewritable():
        AuditRecord.objects.all().delete()
    return [(row.rule, row.client_id, row.tenant) for row in rows]


def details() -> list[dict]:
    return list(AuditRecord.objects.order_by("pk").values_list("details", flat=True))


@pytest.mark.requirement("SEC-09", "SEC-13")
def test_a_secret_is_recorded(browser):
    client = make_client(web_app()).client
    browser.post(f"/admin/clients/client/{client.pk}/secret/", {"act": "issue"})
    assert records() == [("client.secret_issued", "cardio", "")]


@pytest.mark.requirement("REG-08")
def test_forms_are_recorded_with_the_names_of_what_changed(browser, ec: KeyPair):
    browser.post("/admin/clients/client/add/", client_form())
    assert records() == [("client.added", "growth-chart", ""), ("client.approved", "growth-chart", "")]
    client = Client.objects.get()
    form = client_form(is_operator_verified="on", name="Growth", token_endpoint_auth_method="private_key_jwt")
    browser.post(change_url(client), form | {"client_jwks": json.dumps(ec.jwks)})
    assert details() == [
        {
            "fields": "client_jwks, is_operator_verified, name, token_endpoint_auth_method",
            "is_operator_verified": "True",
        },
    ]
    assert records() == [("client.changed", "growth-chart", "")]
    answer = browser.post(change_url(client), client_form(token_endpoint_auth_method="client_secret_basic"))
    [secret] = secrets_on(answer)
    assert secret not in json.dumps(details())
    assert records() == [("client.changed", "growth-chart", ""), ("client.secret_issued", "growth-chart", "")]


def test_tenants_are_recorded(browser):
    browser.post("/admin/clients/tenant/add/", {"slug": "north", "name": "N", "is_active": "on"})
    assert records() == [("tenant.added", "", "north")]
    browser.post(change_url(Tenant.objects.get()), {"name": "N"})
    assert details() == [{"fields": "is_active", "is_active": "False"}]
    assert records() == [("tenant.changed", "", "north")]


def test_deletions_are_recorded(browser):
    tenant = make_tenant()
    row = KeySet.objects.create(jwks_uri="https://a.example.org/jwks")
    browser.post(
        "/admin/clients/tenant/", {"action": "delete_selected", "_selected_action": [tenant.pk], "post": "yes"}
    )
    assert records() == [("tenant.deleted", "", "sandbox")]
    browser.post(f"/admin/clients/keyset/{row.pk}/delete/", {"post": "yes"})
    assert details() == [{"jwks_uri": "https://a.example.org/jwks"}]
    assert records() == [("key_set.deleted", "", "")]


def test_a_secret_that_cannot_be_recorded_is_not_issued(browser, monkeypatch):
    client = make_client(web_app()).client
    before = Client.objects.values().get()
    Mark.objects.all().delete()

    def away(*args: object) -> None:
        raise DatabaseError("the audit table is away")

    monkeypatch.setattr(lifecycle, "record_now", away)
    with pytest.raises(DatabaseError):
        browser.post(f"/admin/clients/client/{client.pk}/secret/", {"act": "issue"})
    assert Client.objects.values().get() == before
    assert not Mark.objects.exists()


@pytest.mark.parametrize("name", ["suspended", "retired"])
def test_a_step_that_cannot_be_recorded_is_not_taken(browser, monkeypatch, name):
    client = make_client(web_app()).client
    before = Client.objects.values().get()

    def away(*args: object) -> None:
        raise DatabaseError("the audit table is away")

    monkeypatch.setattr(lifecycle, "record_now", away)
    with pytest.raises(DatabaseError):
        browser.post(f"/admin/clients/client/{client.pk}/step/{name}/", {"reason": "Leaked."})
    assert Client.objects.values().get() == before
