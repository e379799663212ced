"""Nobody at the hospital decides about an app of their own: who asks and who gives are two people.

Source: RFC 7591 §5; SMART 2.2 app-launch, "Register App with EHR".
"""

import time
from collections.abc import Callable

import pytest
from allauth.account.internal.flows import login
from django.contrib.auth.models import Group
from django.test import Client as Browser
from django.urls import reverse

from clients import reviews
from clients.acting import NotPossible, operator, owner
from clients.activations import activate, deactivate
from clients.changes import decide_change, request_change
from clients.lifecycle import take_step
from clients.models import Client, ClientEvent, Review
from clients.registration import describe_metadata, register_client
from clients.tenants import TenantInfo, find_tenant
from smartauth.context import new_context
from smartauth.people.models import User
from tests.clients.registry_site import change_url, client_form
from tests.conftest import Configure
from tests.factories import make_tenant, phone_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def rita(configure: Configure) -> User:
    """A registrar who has apps of her own."""
    configure(mode="production")
    make_tenant()
    user = User.objects.create_user("rita", password="not used here", is_staff=True)
    user.groups.add(*Group.objects.filter(name__in=("Registrar", "Partner")))
    return user


@pytest.fixture
def own(rita: User) -> Client:
    metadata = phone_app(client_name="Chart", scope="patient/Observation.rs", purpose="Shows growth.")
    return register_client(metadata, operator=False, approved=False, owner=rita.pk).client


def in_admin(user: User) -> Browser:
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(user)
    session = browser.session  # As after a second factor, which the administration asks for.
    session[login.AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "mfa", "at": time.time()}]
    session[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
    session.save()
    return browser


def tenant() -> TenantInfo:
    found = find_tenant("sandbox")
    assert found
    return found


def approve(client: Client, by: int) -> None:
    matter = reviews.find_matter(client)
    assert matter
    verdict = reviews.Verdict(Review.Outcome.APPROVED, keep=matter.scopes, checked=frozenset(matter.checks))
    reviews.decide(client.client_id, verdict, seen=matter.version, by=operator(by), context=new_context())


def approve_step(client: Client, by: int) -> None:
    take_step(client.client_id, "approved", by=operator(by), context=new_context())


def switch_on(client: Client, by: int) -> None:
    activate(client, tenant(), allowed_scope="", by=operator(by), context=new_context())


def approve_change(client: Client, by: int) -> None:
    Client.objects.filter(pk=client.pk).update(status="approved")
    wanted = describe_metadata(client) | {"scope": "patient/*.rs"}
    _, change, _ = request_change(client.client_id, wanted, by=owner(client.user_id), context=new_context())
    assert change
    decide_change(change.pk, approve=True, by=operator(by), context=new_context())


def resume(client: Client, by: int) -> None:
    Client.objects.filter(pk=client.pk).update(status="suspended")
    take_step(client.client_id, "resumed", by=operator(by), context=new_context())


@pytest.mark.parametrize(
    ("decide", "rule"),
    [
        (approve, "lifecycle.own"),
        (approve_step, "lifecycle.own"),
        (resume, "lifecycle.own"),
        (switch_on, "activation.own"),
        (approve_change, "change.own"),
    ],
)
def test_nobody_gives_anything_to_an_app_of_their_own(
    own: Client, decide: Callable[[Client, int], None], rule: str
) -> None:
    before = ClientEvent.objects.filter(actor="operator").count()
    with pytest.raises(NotPossible) as refused:
        decide(own, own.user_id)
    assert (refused.value.refusal.rule, bool(refused.value.refusal.fix)) == (rule, True)
    assert not own.activations.filter(is_active=True).exists()
    assert ClientEvent.objects.filter(actor="operator").count() == before
    other = User.objects.create_user("sam", password="not used here")
    decide(Client.objects.get(pk=own.pk), other.pk)


def test_stopping_an_app_of_ones_own_is_always_possible(own: Client) -> None:
    other = User.objects.create_user("sam", password="not used here")
    approve(own, other.pk)
    switch_on(own, other.pk)
    deactivate(own, tenant(), by=operator(own.user_id), context=new_context(), note="It misbehaves.")
    take_step(own.client_id, "suspended", by=operator(own.user_id), context=new_context(), reason="It misbehaves.")
    assert Client.objects.get(pk=own.pk).status == "suspended"


def test_the_pages_of_an_own_app_say_that_somebody_else_decides(rita: User, own: Client) -> None:
    browser = in_admin(rita)
    answer = browser.get(reverse("admin:clients_client_review", args=[own.pk]), secure=True)
    assert answer.status_code == 200, answer.headers
    page = answer.content.decode()
    assert "It is an app of yours, so somebody else decides about it." in page
    assert 'name="outcome"' not in page
    form = client_form(client_id=own.client_id, scope="patient/*.cruds", user=rita.pk)
    assert browser.post(change_url(own), form, secure=True).status_code == 403
    assert Client.objects.get(pk=own.pk).scope == "patient/Observation.rs"


def test_the_sandbox_lets_everybody(own: Client, configure: Configure) -> None:
    configure(mode="sandbox")
    approve(own, own.user_id)
    assert Client.objects.get(pk=own.pk).status == "approved"
