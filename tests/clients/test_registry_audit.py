"""Every administrative act on the registry leaves a record of who did it, and no record without the act."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from clients import lifecycle, traced_admin
from clients.key_pairs import KeyPair
from clients.models import Activation, Client, KeySet, Tenant
from smartauth.audit.models import AuditRecord
from smartauth.marks.models import Mark
from tests.audit_trail import rewritable
from tests.clients.registry_site import act, change_url, client_form, secrets_on
from tests.factories import make_client, make_tenant, phone_app, web_app


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
def test_actions_are_recorded_for_each_row_they_changed_and_no_other(browser):
    tenant = make_tenant()
    waiting = make_client(phone_app(), status="submitted", propose_at=[tenant]).client
    approved = make_client(web_app()).client
    act(browser, "client", "approve", waiting, approved)
    assert records() == [("client.approved", "growth-chart", "")]
    act(browser, "client", "activate_everywhere", waiting, approved)
    assert records() == [("activation.activated", "growth-chart", "sandbox")]
    act(browser, "activation", "activate", Activation.objects.get())
    assert records() == []
    act(browser, "activation", "deactivate", Activation.objects.get())
    assert records() == [("activation.deactivated", "growth-chart", "sandbox")]
    act(browser, "activation", "activate", Activation.objects.get())
    assert records() == [("activation.activated", "growth-chart", "sandbox")]
    act(browser, "client", "issue_new_secret", waiting, approved)
    assert records() == [("client.secret_issued", "cardio", "")]
    act(browser, "client", "suspend", waiting)
    assert records() == [("client.suspended", "growth-chart", "")]


def test_forms_are_recorded_with_the_names_of_what_changed(browser, ec: KeyPair):
    browser.post("/admin/clients/client/add/", client_form())
    assert records() == [("client.added", "growth-chart", "")]
    client = Client.objects.get()
    form = client_form(status="suspended", name="Growth", token_endpoint_auth_method="private_key_jwt")
    browser.post(change_url(client), form | {"client_jwks": json.dumps(ec.jwks)})
    assert details() == [
        {"fields": "client_jwks, name, status, token_endpoint_auth_method", "status": "suspended"},
    ]
    assert records() == [("client.changed", "growth-chart", "")]
    answer = browser.post(change_url(client), client_form(token_endpoint_auth_method="client_secret_basic"))
    [secret] = secrets_on(answer)
    assert secret not in json.dumps(details())
    assert records() == [("client.changed", "growth-chart", ""), ("client.secret_issued", "growth-chart", "")]


def test_tenants_and_activations_are_recorded_from_first_to_last(browser):
    browser.post("/admin/clients/tenant/add/", {"slug": "north", "name": "N", "is_active": "on"})
    tenant = Tenant.objects.get()
    client = make_client(phone_app()).client
    assert records() == [("tenant.added", "", "north")]
    browser.post(change_url(tenant), {"name": "N"})
    assert details() == [{"fields": "is_active", "is_active": "False"}]
    assert records() == [("tenant.changed", "", "north")]
    inline = {"activations-TOTAL_FORMS": "1", "activations-0-tenant": str(tenant.pk), "activations-0-is_active": "on"}
    browser.post(change_url(client), client_form(**inline))
    assert records()[-1] == ("activation.added", "growth-chart", "north")
    activation = Activation.objects.get()
    browser.post(change_url(activation), {"is_active": "on", "allowed_scope": "patient/*.rs"})
    assert details() == [{"fields": "allowed_scope"}]
    assert records() == [("activation.changed", "growth-chart", "north")]
    again = inline | {"activations-INITIAL_FORMS": "1", "activations-0-id": str(activation.pk)}
    browser.post(change_url(client), client_form(**again, **{"activations-0-DELETE": "on"}))
    assert not Activation.objects.exists()
    assert records()[-1] == ("activation.deleted", "growth-chart", "north")


def test_deletions_are_recorded(browser):
    client, tenant = make_client(phone_app()).client, make_tenant()
    row = KeySet.objects.create(jwks_uri="https://a.example.org/jwks")
    browser.post(f"/admin/clients/client/{client.pk}/delete/", {"post": "yes"})
    assert records() == [("client.deleted", "growth-chart", "")]
    browser.post(
        "/admin/clients/tenant/", {"action": "delete_selected", "_selected_action": [tenant.pk], "post": "yes"}
    )
    assert records() == [("tenant.deleted", "", "sandbox")]
    browser.post(f"/admin/clients/keyset/{row.pk}/delete/", {"post": "yes"})
    assert details() == [{"jwks_uri": "https://a.example.org/jwks"}]
    assert records() == [("key_set.deleted", "", "")]


@pytest.mark.parametrize(("action", "recorder"), [("suspend", traced_admin), ("issue_new_secret", lifecycle)])
def test_what_cannot_be_recorded_does_not_happen(browser, monkeypatch, action, recorder):
    client = make_client(web_app()).client
    before = Client.objects.values().get()
    Mark.objects.all().delete()

    def away(*args: object) -> None:
        raise DatabaseError("the audit table is away")

    monkeypatch.setattr(recorder, "record_now", away)
    with pytest.raises(DatabaseError):
        act(browser, "client", action, client)
    assert Client.objects.values().get() == before
    assert not Mark.objects.exists()
