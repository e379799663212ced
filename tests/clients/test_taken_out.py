"""A hospital that its owner takes out of a registered app: the app is switched off there, and nowhere else."""

import pytest
from django.test import Client as Browser

from clients import drafts
from clients.acting import operator
from clients.activations import activate, deactivate, request_activation
from clients.lifecycle import take_step
from clients.models import Activation, Client, Draft
from clients.registered import find_client
from clients.tenants import TenantInfo, find_tenant
from smartauth.context import new_context
from smartauth.people.models import User
from tests.clients.portal_pages import HOST, Texts, step_url
from tests.conftest import Configure
from tests.factories import make_client, make_tenant, web_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def places() -> tuple[TenantInfo, TenantInfo]:
    return make_tenant("sandbox"), make_tenant("north")


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim", password="not used here")


@pytest.fixture(params=["sandbox", "production"])
def client(kim: User, places: tuple[TenantInfo, TenantInfo], request: pytest.FixtureRequest) -> Client:
    about = {"publisher": "Kim Inc", "purpose": "Counts.", "contacts": ["kim@example.org"], "client_name": "Counter"}
    asked = web_app(scope="launch/patient openid patient/Patient.rs", **about)
    client = make_client(asked, activate_at=places, owner=kim.pk).client
    configure: Configure = request.getfixturevalue("configure")
    configure(mode=request.param)
    return client


def submit(draft: Draft, kim: User, *tenants: str) -> Client:
    assert drafts.save_answers(draft, {"tenants": list(tenants)}) == ()
    return drafts.submit(draft, user=kim.pk, context=new_context()).client


def switched_on(client: Client) -> set[str]:
    found = find_client(client.client_id)
    assert found is not None
    return set(found.activations)


def test_it_works_there_no_more_and_the_trail_says_who_did_it(client: Client, kim: User) -> None:
    assert switched_on(client) == {"sandbox", "north"}
    submit(drafts.revise(client, kim.pk), kim, "sandbox")
    assert switched_on(client) == {"sandbox"}
    event = client.events.get(act="deactivated")
    assert (event.actor, event.user_id, event.tenant, event.reason) == (
        *("owner", kim.pk),
        *("north", "Its owner took it out here."),
    )


def test_who_asks_for_it_again_waits_like_everybody(client: Client, kim: User, configure: Configure) -> None:
    configure(mode="production")
    submit(drafts.revise(client, kim.pk), kim, "sandbox")
    submit(drafts.revise(client, kim.pk), kim, "sandbox", "north")
    assert switched_on(client) == {"sandbox"}
    assert Activation.objects.get(client=client, tenant__slug="north").decided_at is None


def test_where_it_waits_the_request_is_taken_back(client: Client, kim: User, configure: Configure) -> None:
    configure(mode="production")
    west = make_tenant("west")
    request_activation(client, west, by=operator(None), context=new_context())
    submit(drafts.revise(client, kim.pk), kim, "sandbox", "north")
    assert Activation.objects.get(client=client, tenant__slug="west").decided_at is not None


def test_what_the_hospital_did_meanwhile_stays_done(client: Client, kim: User) -> None:
    west, draft = make_tenant("west"), drafts.revise(client, kim.pk)
    activate(client, west, allowed_scope="", by=operator(None), context=new_context())
    north = next(one for one in client.activations.all() if one.tenant.slug == "north")
    info = find_tenant("north")
    assert info is not None
    deactivate(client, info, by=operator(None), context=new_context(), note="A breach.")
    submit(draft, kim, "sandbox")
    assert switched_on(client) == {"sandbox", "west"}
    north.refresh_from_db()
    assert north.note == "A breach."


def test_the_review_says_so_before_anything_is_sent(client: Client, kim: User, configure: Configure) -> None:
    configure(mode="sandbox")
    browser = Browser(HTTP_HOST=HOST)
    browser.force_login(kim)
    draft = drafts.revise(client, kim.pk)
    review = step_url(draft, "review")
    assert "Taken out:" not in Texts(browser.get(review)).text
    drafts.save_answers(draft, {"tenants": ["sandbox"]})
    assert "Taken out: at north the app is switched off as soon as you submit." in Texts(browser.get(review)).text
    assert switched_on(client) == {"sandbox", "north"}


def test_a_client_that_waits_for_its_first_approval_may_go_elsewhere(
    client: Client, kim: User, configure: Configure
) -> None:
    configure(mode="production")
    Client.objects.filter(pk=client.pk).update(status=Client.Status.DRAFT)
    client.refresh_from_db()
    submit(drafts.revise(client, kim.pk), kim, "sandbox")
    take_step(client.client_id, "approved", by=operator(None), context=new_context())
    assert switched_on(client) == {"sandbox"}
