"""The registry's admin pages: usable, without secrets, by the rules of registration, and leaving marks."""

import html
import json
import re
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session

from clients.key_pairs import KeyPair
from clients.models import Activation, AssertionId, Client, KeySet, Tenant
from clients.registered import find_client
from clients.switches import MEANINGS
from clients.tenants import WEAKENING, TenantPolicy, find_tenant
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.marks.models import Mark
from tests.clients.registry_site import act, change_url, client_form, errors_of, secrets_on
from tests.factories import make_client, make_tenant, phone_app, service, web_app


def marks() -> set[str]:
    found = set(Mark.objects.values_list("tag", flat=True))
    Mark.objects.all().delete()
    return found


def test_every_list_and_form_opens_and_shows_no_secret(browser, ec: KeyPair):
    tenant = make_tenant()
    cardio = make_client(web_app(), activate_at=[tenant]).client
    row = make_client(service(jwks=ec.jwks)).client
    AssertionId.objects.create(client=row, jti_digest="d" * 64, expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    KeySet.objects.create(jwks_uri="https://a.example.org/jwks", last_problem="jwks.dns: no address")
    rows = [
        cardio,
        row,
        *Tenant.objects.all(),
        *Activation.objects.all(),
        *KeySet.objects.all(),
        AssertionId.objects.get(),
    ]
    for one in rows:
        for url in (f"/admin/clients/{type(one).__name__.lower()}/?q=a", change_url(one)):
            answer = browser.get(url, follow=True)
            assert answer.status_code == 200
            assert cardio.client_secret not in answer.content.decode()
    assert "cardio" in browser.get("/admin/clients/client/?q=cardio").content.decode()


def test_a_client_is_added_with_one_word_a_line(browser):
    answer = browser.post("/admin/clients/client/add/", client_form())
    assert answer.status_code == 302, errors_of(answer)
    client = Client.objects.get()
    assert (client.scope, client.client_type, client.response_types) == ("patient/*.rs openid", "public", ["code"])
    assert client.redirect_uris == "https://a.example.org/cb https://a.example.org/cb2"


def test_a_client_is_told_to_push_and_to_bind(browser):
    switches = ("require_pushed_authorization_requests", "dpop_bound_access_tokens", "require_dpop_nonce")
    browser.post("/admin/clients/client/add/", client_form(**dict.fromkeys(switches, "on")))
    client = find_client(Client.objects.get().client_id)
    assert client is not None
    assert [getattr(client, name) for name in switches] == [True, True, True]


def is_nowhere_else(browser, answer, secret: str) -> bool:
    """Return True when only the body of `answer` has the secret: no cookie, no session, no other page, no record."""
    kept = [str(browser.cookies), *(str(row.get_decoded()) for row in Session.objects.all())]
    kept += [str(row.details) for row in AuditRecord.objects.all()]
    kept += [row.change_message for row in LogEntry.objects.all()]
    kept += [browser.get(url).content.decode() for url in ("/admin/clients/client/", "/admin/")]
    kept += [browser.get(change_url(client)).content.decode() for client in Client.objects.all()]
    return "no-store" in answer["Cache-Control"] and not any(secret in text for text in kept)


SECRET_METHODS = pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])


@SECRET_METHODS
def test_a_new_client_with_a_secret_shows_it_once(browser, method):
    form = client_form(client_id="", token_endpoint_auth_method=method)
    answer = browser.post("/admin/clients/client/add/", form)
    client = Client.objects.get()
    [secret] = secrets_on(answer)
    assert client.client_secret == digest(secret)
    assert client.client_id.startswith("c-")
    assert client.client_id in answer.content.decode()
    assert is_nowhere_else(browser, answer, secret)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"grant_types": ["client_credentials"]}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "client_jwks_uri"),
        ({"token_endpoint_auth_method": "private_key_jwt", "client_jwks": '{"keys": []}'}, "client_jwks"),
        ({"client_jwks": "[1]"}, "client_jwks"),
        ({"client_jwks_uri": "https://10.0.0.1/jwks"}, "client_jwks_uri"),
        ({"redirect_uris": "https://a.example.org/#"}, "redirect_uris"),
        ({"redirect_uris": ""}, "redirect_uris"),
        ({"scope": "patient/Nothing.rs"}, "scope"),
        ({"restrictions": '{"patient": []}'}, "restrictions"),
        ({"restrictions": "[]x"}, "restrictions"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_id": "cardio"}, "client_id"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"allowed_origins": "https://a.example.org/"}, "allowed_origins"),
        ({"smart_version": "3.0"}, "smart_version"),
        ({"require_dpop_nonce": "on"}, "require_dpop_nonce"),
    ],
)
def test_a_bad_edit_is_a_form_error_beside_its_field(browser, change, field):
    make_client(web_app())
    errors = errors_of(browser.post("/admin/clients/client/add/", client_form(**change)))
    assert field in errors or (change == {"client_id": "cardio"} and "__all__" in errors)
    assert Client.objects.count() == 1


@pytest.mark.requirement("CTX-18")
def test_an_operator_says_which_smart_version_a_client_was_written_for(browser):
    client = make_client(phone_app()).client
    assert client.smart_version == "2.2"
    for version in ("2.0", "1.0", "2.2"):
        assert browser.post(change_url(client), client_form(smart_version=version)).status_code == 302
        client.refresh_from_db()
        assert client.smart_version == version


def test_moving_a_client_to_keys_drops_its_secret_and_back_makes_a_new_one(browser, ec: KeyPair):
    client = make_client(phone_app(token_endpoint_auth_method="client_secret_basic")).client
    form = client_form(token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(ec.jwks))
    assert browser.post(change_url(client), form).status_code == 302
    client.refresh_from_db()
    assert (client.client_secret, client.client_jwks) == ("", ec.jwks)
    answer = browser.post(change_url(client), client_form(token_endpoint_auth_method="client_secret_basic"))
    [secret] = secrets_on(answer)
    client.refresh_from_db()
    assert client.client_secret == digest(secret)
    assert is_nowhere_else(browser, answer, secret)


def test_showing_the_secret_in_another_place_keeps_it(browser):
    client = make_client(phone_app(token_endpoint_auth_method="client_secret_basic")).client
    form = client_form(token_endpoint_auth_method="client_secret_post")
    assert browser.post(change_url(client), form).status_code == 302
    stored = Client.objects.get()
    assert (stored.token_endpoint_auth_method, stored.client_secret) == ("client_secret_post", client.client_secret)


@SECRET_METHODS
def test_a_new_secret_keeps_the_old_one_beside_it(browser, method):
    registered = make_client(web_app(token_endpoint_auth_method=method))
    url = f"/admin/clients/client/{registered.client.pk}/secret/"
    assert secrets_on(browser.get(url)) == []
    answer = browser.post(url, {"act": "issue", "days": "", "overlap": "30"})
    [secret] = secrets_on(answer)
    client = Client.objects.get()
    assert (client.client_secret, client.previous_client_secret) == (digest(secret), digest(registered.secret))
    assert "client:cardio" in marks()
    assert is_nowhere_else(browser, answer, secret)
    assert browser.post(url, {"act": "withdraw"}).status_code == 302
    client.refresh_from_db()
    assert (client.client_secret, client.previous_client_secret) == (digest(secret), "")
    assert browser.post(url, {"act": "withdraw"}).status_code == 409


@pytest.mark.parametrize("wrong", [{"days": "0"}, {"days": "x"}, {"overlap": "31"}, {"overlap": "-1"}, {"act": "show"}])
def test_a_secret_for_too_long_or_too_short_is_told_and_none_is_made(browser, wrong):
    client = make_client(web_app()).client
    answer = browser.post(f"/admin/clients/client/{client.pk}/secret/", {"act": "issue", **wrong})
    assert (answer.status_code, secrets_on(answer)) == (200, [])
    assert Client.objects.get().client_secret == client.client_secret


def test_who_has_no_secret_has_no_page_for_it(browser):
    client = make_client(phone_app()).client
    assert browser.get(f"/admin/clients/client/{client.pk}/secret/").status_code == 404


def test_of_two_who_edit_at_once_the_second_is_told_and_loses_nothing_typed(browser):
    client = make_client(phone_app()).client
    page = browser.get(change_url(client)).content.decode()
    found = re.search(r'name="seen" value="([^"]+)"', page)
    assert found is not None
    mine = client_form(seen=html.unescape(found[1]), name="Mine", purpose="Typed for long.")
    assert browser.post(change_url(client), client_form(seen=html.unescape(found[1]), name="Theirs")).status_code == 302
    answer = browser.post(change_url(client), mine)
    assert "Somebody changed this client" in str(errors_of(answer))
    assert "Typed for long." in answer.content.decode()
    client.refresh_from_db()
    assert client.name == "Theirs"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, None),
        ({"slug": "token"}, "slug"),
        ({"slug": "Big"}, "slug"),
        ({"policy_max_count": "x"}, "policy_max_count"),
        ({"policy_compartment_mode": "loose"}, "policy_compartment_mode"),
        ({"policy_panel_by": "hearsay"}, "policy_panel_by"),
        ({"policy_panels": "nobody"}, "policy_panels"),
        ({"policy_panels": '{"Patient/ana": ["ben"]}'}, "policy_panels"),
        ({"policy_type_overrides": '{"Medication": "any"}'}, "policy_type_overrides"),
    ],
)
def test_a_tenant_has_a_good_slug_and_known_switches(browser, change, field):
    answer = browser.post("/admin/clients/tenant/add/", {"slug": "north", "name": "N"} | change)
    if field is None:
        assert (answer.status_code, Tenant.objects.get().slug) == (302, "north")
        assert "tenant:north" in marks()
    else:
        assert field in errors_of(answer)
        assert not Tenant.objects.exists()


def test_every_switch_of_a_tenant_has_a_field_that_tells_what_it_means_and_whether_it_weakens(browser):
    tenant = Tenant.objects.create(slug="north", policy={"compartment_mode": "formal", "unheard": 1})
    page = browser.get(change_url(tenant)).content.decode()
    for name in TenantPolicy.__struct_fields__:
        assert f'name="policy_{name}"' in page
        assert MEANINGS[name] in page
        assert (f"{name} (can weaken a rule)" in page) is (name in WEAKENING)
    assert '<option value="formal" selected>' in page
    assert "not a policy" in browser.get("/admin/clients/tenant/").content.decode()
    Tenant.objects.update(policy={"compartment_mode": "formal"})
    assert ">compartment_mode<" in browser.get("/admin/clients/tenant/").content.decode()
    page = browser.get(change_url(tenant)).content.decode()
    assert "compartment_mode: WEAKENS A RULE NOW" in page
    assert page.count("WEAKENS A RULE NOW") == 1


def test_switches_are_stored_where_they_differ_from_the_default(browser):
    tenant = Tenant.objects.create(slug="north", policy={"compartment_mode": "formal"})
    filled = {
        "name": "N",
        "is_active": "on",
        "policy_shared_read": "off",
        "policy_trust_totals": "off",
        "policy_practitioner_access": "panel",
        "policy_panel_by": "care-team",
        "policy_panels": '{"Practitioner/dr-grey": ["ana"]}',
        "policy_max_count": "500",
        "policy_default_count": "20",
        "policy_valueset_hosts": "vs.example.org other.example.org",
    }
    answer = browser.post(change_url(tenant), filled)
    assert answer.status_code == 302, errors_of(answer)
    assert Tenant.objects.get().policy == {
        "shared_read": False,
        "practitioner_access": "panel",
        "panel_by": ["care-team"],
        "panels": {"Practitioner/dr-grey": ["ana"]},
        "valueset_hosts": ["vs.example.org", "other.example.org"],
        "default_count": 20,
    }
    found = find_tenant("north")
    assert found is not None
    assert found.policy.weakened == ("valueset_hosts",)
    changed = AuditRecord.objects.get(rule="tenant.changed").details["fields"]
    assert {"policy_compartment_mode", "policy_shared_read"} <= set(changed.split(", "))
    again = browser.get(change_url(tenant)).content.decode()
    assert html.escape('{"Practitioner/dr-grey": ["ana"]}') in again


@pytest.mark.requirement("REG-01")
def test_a_client_is_retired_and_never_deleted(browser):
    client = make_client(phone_app()).client
    assert browser.post(f"/admin/clients/client/{client.pk}/delete/", {"post": "yes"}).status_code == 403
    act(browser, "client", "delete_selected", client)
    assert Client.objects.exists()


def test_deleting_a_tenant_takes_its_activations_along_and_leaves_marks(browser):
    tenant = make_tenant()
    make_client(phone_app(), activate_at=[tenant])
    marks()
    body = {"action": "delete_selected", "_selected_action": [tenant.pk], "post": "yes"}
    assert browser.post("/admin/clients/tenant/", body).status_code == 302
    assert not Tenant.objects.exists()
    assert not Activation.objects.exists()
    assert "tenant:sandbox" in marks()


def test_the_state_of_a_client_is_no_field(browser):
    client = make_client(phone_app()).client
    assert browser.post(change_url(client), client_form(status="suspended")).status_code == 302
    client.refresh_from_db()
    assert client.status == "approved"
    assert 'name="status"' not in browser.get(change_url(client)).content.decode()


def test_whoever_adds_a_client_approves_it_and_its_history_says_so(browser):
    browser.post("/admin/clients/client/add/", client_form())
    client = Client.objects.get()
    [event] = client.events.all()
    assert (client.status, event.act, event.user.username) == ("approved", "approved", "admin")


def test_a_key_set_is_looked_at_and_may_be_deleted_for_every_worker(browser):
    first, second = (KeySet.objects.create(jwks_uri=f"https://{name}.example.org/jwks") for name in ("a", "b"))
    assert browser.get("/admin/clients/keyset/add/").status_code == 403
    assert browser.post(change_url(first), {"jwks_uri": "https://c.example.org/jwks"}).status_code == 403
    marks()
    assert browser.post(f"/admin/clients/keyset/{first.pk}/delete/", {"post": "yes"}).status_code == 302
    assert marks() == {"jwks:https://a.example.org/jwks"}
    body = {"action": "delete_selected", "_selected_action": [second.pk], "post": "yes"}
    assert browser.post("/admin/clients/keyset/", body).status_code == 302
    assert marks() == {"jwks:https://b.example.org/jwks"}
    assert not KeySet.objects.exists()


def test_spent_ids_are_only_looked_at(browser):
    client = make_client(phone_app()).client
    row = AssertionId.objects.create(client=client, jti_digest="d" * 64, expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert browser.get("/admin/clients/assertionid/add/").status_code == 403
    assert browser.post(change_url(row), {"jti_digest": "e" * 64}).status_code == 403
    assert browser.post(f"/admin/clients/assertionid/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    act(browser, "assertionid", "delete_selected", row)
    assert AssertionId.objects.get().jti_digest == "d" * 64
