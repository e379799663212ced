"""The hospital's side with a real browser: a registrar reviews an app with the keyboard, and everybody can use it."""

from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from clients.models import Client, KeyFinding, Review
from clients.registration import register_client
from smartauth.people.models import User
from tests.browser.accessibility import fits
from tests.browser.test_app_launch import PASSWORD
from tests.world import World, tenant_of

SCOPES = "launch/patient offline_access patient/*.rs patient/Observation.cruds"


@pytest.fixture
def app(world: World) -> Client:
    """An app that waits, with everything there is to look at twice."""
    metadata = {
        "client_name": "Gr0wth Chart",
        "publisher": "Kim & Daughters Ltd",
        "purpose": "Shows how children grow.",
        "client_uri": "https://www.example.com/",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": ["https://growth.example.org/callback"],
        "scope": SCOPES,
    }
    client = register_client(metadata, operator=False, approved=False, propose_at=[tenant_of(world)]).client
    now = timezone.now()
    KeyFinding.objects.create(client=client, kind="empty", first_seen_at=now, last_seen_at=now)
    return client


@pytest.fixture
def staff(world: World, app: Client) -> Callable[[Page, str], None]:
    """Sign somebody in who has a role."""

    def come(page: Page, role: str) -> None:
        name = role.lower().replace(" ", "-")
        password = make_password(PASSWORD, hasher=Argon2PasswordHasher())
        user, _ = User.objects.get_or_create(username=name, defaults={"password": password, "is_staff": True})
        user.groups.set([Group.objects.get(name=role)])
        page.goto(f"{world.base_url}/admin/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{world.base_url}/admin/")

    return come


def tick(page: Page, name: str) -> None:
    """Tick a box as somebody does who has no mouse."""
    page.get_by_label(name).focus()
    page.keyboard.press("Space")


@pytest.mark.parametrize("with_scripts", [True, False])
def test_a_registrar_reviews_an_app_with_the_keyboard_and_without_scripts(
    browser: Browser, world: World, app: Client, staff: Callable[[Page, str], None], with_scripts: bool
) -> None:
    context = browser.new_context(java_script_enabled=with_scripts)
    page = context.new_page()
    staff(page, "Registrar")
    page.get_by_role("link", name="New clients to review").click()
    page.get_by_role("row", name=app.client_id).get_by_role("link").click()
    expect(page.get_by_text("Its name may mislead").or_(page.get_by_text("Not under the publisher"))).not_to_have_count(
        0
    )
    tick(page, "patient/Observation.cruds")
    for text in ("I know who", "The purpose is", "The scopes are", "The redirect hosts"):
        tick(page, text)
    page.get_by_label("Approve with fewer scopes").focus()
    page.keyboard.press("Space")
    page.get_by_label("To the owner").fill("Writing is not needed.")
    page.get_by_role("button", name="Continue").press("Enter")
    expect(page.get_by_text("approved without patient/Observation.cruds")).to_be_visible()
    page.get_by_role("button", name="Go back").press("Enter")
    expect(page.get_by_label("To the owner")).to_have_value("Writing is not needed.")
    expect(page.get_by_label("I know who")).to_be_checked()
    page.get_by_role("button", name="Continue").press("Enter")
    page.get_by_role("button", name="Approve with fewer scopes").press("Enter")
    expect(page.get_by_text("approved with fewer scopes")).to_be_visible()
    app.refresh_from_db()
    assert (app.status, "cruds" in app.scope) == ("approved", False)
    assert Review.objects.filter(client=app).count() == 1
    context.close()


def test_a_name_that_goes_on_and_on_leaves_the_words_beside_it_whole(
    page: Page, world: World, app: Client, staff: Callable[[Page, str], None]
) -> None:
    Client.objects.filter(pk=app.pk).update(name="Growth chart of " * 15, publisher="K" * 120)
    page.set_viewport_size({"width": 1280, "height": 800})
    staff(page, "Registrar")
    page.goto(f"{world.base_url}/admin/clients/client/review/")
    lines = "one => { const r = document.createRange(); r.selectNodeContents(one); return r.getClientRects().length; }"
    for word in ("What", "Publisher", "Waits"):
        assert page.get_by_role("columnheader", name=word).evaluate(lines) == 1, word
    assert fits(page)
