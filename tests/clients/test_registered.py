"""The registry as others see it: one statement, nothing stale, activations that are really active."""

import pytest

from clients.models import Activation, Client, Tenant
from clients.registered import find_client, require_active_at
from smartauth.errors import InvalidClient
from smartauth.marks import client_mark, tenant_mark
from smartauth.marks.poller import poller
from smartauth.policy.access import UNRESTRICTED, Restrictions
from tests.factories import make_client, make_tenant, mark, phone_app, service, web_app


def found(client_id: str = "growth-chart"):
    client = find_client(client_id)
    assert client is not None
    return client


def test_a_client_is_found_with_everything_in_one_statement(db, django_assert_num_queries):
    tenants = [make_tenant("sandbox"), make_tenant("north")]
    make_client(phone_app(allowed_origins=["https://a.example.org"]), activate_at=tenants)
    Activation.objects.filter(tenant__slug="north").update(allowed_scope="patient/*.rs")
    with django_assert_num_queries(1):
        client = found()
    assert client.redirect_uris == ("https://cardio.example.org/callback",)
    assert client.allowed_origins == {"https://a.example.org"}
    assert client.activations == {"sandbox": "", "north": "patient/*.rs"}
    assert client.restrictions == UNRESTRICTED
    assert require_active_at(client, "north") == "patient/*.rs"
    assert require_active_at(client, "sandbox") == ""


def test_only_active_activations_at_active_tenants_count(db):
    tenants = [make_tenant(slug) for slug in ("sandbox", "north", "south")]
    make_client(phone_app(), activate_at=tenants[:2], propose_at=tenants)
    Tenant.objects.filter(slug="north").update(is_active=False)
    client = found()
    assert set(client.activations) == {"sandbox"}
    for slug in ("north", "south", "nowhere"):
        with pytest.raises(InvalidClient) as refused:
            require_active_at(client, slug, basic=True)
        assert refused.value.refusal.rule == "client.not_activated"
        assert refused.value.basic


def test_restrictions_tell_absent_from_empty(db):
    make_client(phone_app(restrictions={"patients": [], "operator_types": ["AuditEvent"]}))
    assert found().restrictions == Restrictions(frozenset(), None, frozenset({"AuditEvent"}))
    make_client(web_app(restrictions={"panel": True, "proxy_relations": False}))
    assert found("cardio").restrictions == Restrictions(panel=True, proxy_relations=False)


def test_secrets_and_keys_do_not_show_in_a_repr(db, ec):
    secret = make_client(web_app()).client.client_secret
    make_client(service(jwks=ec.jwks))
    assert secret not in repr(found("cardio"))
    assert ec.public_jwk["x"] not in repr(found("bulk-loader"))


def test_a_found_client_is_remembered_until_its_mark(serving, django_assert_num_queries):
    make_client(phone_app())
    poller.poll()
    found()
    with django_assert_num_queries(0):
        assert found().status == "approved"
    Client.objects.update(status="suspended")
    mark(client_mark("growth-chart"))
    poller.poll()
    assert found().status == "suspended"


def test_a_tenant_that_opens_again_ends_what_is_remembered(serving):
    make_client(phone_app(), activate_at=[make_tenant()])
    Tenant.objects.update(is_active=False)
    poller.poll()
    assert "sandbox" not in found().activations
    Tenant.objects.update(is_active=True)
    mark(tenant_mark("sandbox"))
    poller.poll()
    assert "sandbox" in found().activations


def test_that_nobody_is_called_so_is_not_remembered(serving, django_assert_num_queries):
    for _ in range(2):
        with django_assert_num_queries(1):
            assert find_client("growth-chart") is None
    make_client(phone_app())
    assert find_client("growth-chart")


@pytest.mark.parametrize("client_id", ["", "a b", "a\x00", "ü", "x" * 256])
def test_what_cannot_be_an_id_asks_nobody(db, django_assert_num_queries, client_id):
    with django_assert_num_queries(0):
        assert find_client(client_id) is None
