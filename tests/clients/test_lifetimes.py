"""Token lifetimes of single clients: set by operators only, within bounds.

RFC 9700 §2.2; SMART 2.2 backend-services.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from clients.acting import BY_PROTOCOL
from clients.admin_forms import ClientForm
from clients.changes import request_change
from clients.key_pairs import KeyPair
from clients.lifetimes import AS_FOR_EVERYBODY, Lifetimes
from clients.metadata import InvalidClientMetadata
from clients.models import Client, SpentClientId
from clients.registered import find_client
from clients.registration import describe_client, describe_metadata, register_client
from smartauth.context import new_context
from tests.clients.registry_site import change_url, client_form, errors_of
from tests.conftest import Configure
from tests.factories import make_client, phone_app, service

pytestmark = pytest.mark.django_db

BOUNDS = [
    # metadata                                of a service  member refused
    ({"access_token_lifetime": 60}, False, None),
    ({"access_token_lifetime": 3_600}, False, None),
    ({"access_token_lifetime": 59}, False, "access_token_lifetime"),
    ({"access_token_lifetime": 3_601}, False, "access_token_lifetime"),
    ({"access_token_lifetime": 300}, True, None),
    ({"access_token_lifetime": 301}, True, "access_token_lifetime"),
    ({"access_token_lifetime": -1}, False, "access_token_lifetime"),
    ({"access_token_lifetime": True}, False, "access_token_lifetime"),
    ({"access_token_lifetime": "60"}, False, "access_token_lifetime"),
    ({"access_token_lifetime": 60.5}, False, "access_token_lifetime"),
    ({"refresh_token_days": 1}, False, None),
    ({"refresh_token_days": 365}, False, None),
    ({"refresh_token_days": 0}, False, "refresh_token_days"),
    ({"refresh_token_days": 366}, False, "refresh_token_days"),
]


@pytest.mark.requirement("REG-11")
@pytest.mark.parametrize(("members", "is_service", "member"), BOUNDS)
def test_lifetimes_have_bounds(ec: KeyPair, members: dict[str, Any], is_service: bool, member: str | None) -> None:
    metadata = (service(jwks=ec.jwks) if is_service else phone_app()) | members
    if member:
        with pytest.raises(InvalidClientMetadata) as refused:
            register_client(metadata, operator=True)
        assert refused.value.member == member
        return
    client = register_client(metadata, operator=True).client
    assert {name: describe_client(client)[name] for name in members} == members


def test_the_database_knows_the_bounds(ec: KeyPair) -> None:
    register_client(phone_app(), operator=True)
    for values in ({"access_token_lifetime": 3_601}, {"refresh_token_days": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Client.objects.update(**values)


@pytest.mark.requirement("REG-11")
def test_nobody_but_an_operator_sets_them_and_no_change_of_a_client_loses_them(configure: Configure) -> None:
    asked = {"access_token_lifetime": 3_600, "refresh_token_days": 365}
    own = register_client(phone_app(**asked), operator=False).client
    assert (own.access_token_lifetime, own.refresh_token_days) == (None, None)
    client = make_client(phone_app(access_token_lifetime=120, refresh_token_days=7)).client
    metadata = describe_metadata(client)
    assert not set(asked) & set(metadata)
    request_change(
        client.client_id,
        metadata | asked | {"contacts": ["dev@example.org"]},
        by=BY_PROTOCOL,
        context=new_context(),
    )
    client.refresh_from_db()
    assert (client.access_token_lifetime, client.refresh_token_days) == (120, 7)
    assert client.contacts == ["dev@example.org"]


def test_they_are_told_to_the_rest_of_the_server(ec: KeyPair) -> None:
    make_client(phone_app(access_token_lifetime=120, refresh_token_days=7))
    found = find_client("growth-chart")
    assert found is not None
    assert found.lifetimes == Lifetimes(timedelta(minutes=2), timedelta(days=7))
    make_client(phone_app(client_id="other"))
    other = find_client("other")
    assert other is not None
    assert other.lifetimes == AS_FOR_EVERYBODY


def test_of_a_long_lifetime_a_service_token_gets_five_minutes() -> None:
    assert Lifetimes.of(3_600, None).of_service_token == timedelta(minutes=5)
    assert Lifetimes.of(60, None).of_service_token == timedelta(minutes=1)
    assert AS_FOR_EVERYBODY.of_service_token is None


def test_an_operator_sets_them_in_the_admin(browser: Any) -> None:
    client = make_client(phone_app()).client
    answer = browser.post(change_url(client), client_form(access_token_lifetime="90", refresh_token_days="30"))
    assert answer.status_code == 302
    client.refresh_from_db()
    assert (client.access_token_lifetime, client.refresh_token_days) == (90, 30)
    answer = browser.post(change_url(client), client_form(access_token_lifetime="5", refresh_token_days="30"))
    assert errors_of(answer) == {"access_token_lifetime": ["it must be from 60 to 3600 seconds (found: 5)"]}
    browser.post(change_url(client), client_form())
    client.refresh_from_db()
    assert (client.access_token_lifetime, client.refresh_token_days) == (None, None)


@pytest.mark.requirement("REG-01")
def test_the_id_of_a_deleted_client_is_never_given_again(configure: Configure) -> None:
    make_client(phone_app())
    Client.objects.get().delete()
    assert list(SpentClientId.objects.values_list("client_id", flat=True)) == ["growth-chart"]
    configure(mode="production")
    with pytest.raises(InvalidClientMetadata, match="never used again"):
        register_client(phone_app(), operator=True)
    assert "ids are never used again" in str(ClientForm(client_form()).errors["client_id"])
    assert not Client.objects.exists()
