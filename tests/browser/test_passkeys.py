"""Passkeys with a real browser and an authenticator of its own: made, used beside a password, and used alone.

The server is at a name here: browsers make no passkeys for an IP address.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connections
from playwright.sync_api import Page, expect
from psycopg.conninfo import conninfo_to_dict

from smartauth.audit.models import AuditRecord
from smartauth.people.models import User
from tests import settings as test_settings
from tests.servers import Server, database, free_port, running_server
from tests.spanish import english_in

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def _named(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    named = {"PORT": str(port), "SMARTAUTH_BASE_URL": f"http://localhost:{port}"}
    with (
        database(str(test_settings.DATABASE_URL)) as url,
        running_server(database_url=url, var=tmp_path_factory.mktemp("named"), environment=named, port=port) as server,
    ):
        yield server


@pytest.fixture
def server(_named: Server, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    """Give the base URL of the running server, with this process's ORM pointed at its database."""
    connection = connections["default"]
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = conninfo_to_dict(_named.environment["DATABASE_URL"])["dbname"]
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        User.objects.filter(username="kim").delete()
        # As the server checks it; the tests' own hasher is faster.
        stored = make_password(PASSWORD, hasher=Argon2PasswordHasher())
        User.objects.create(username="kim", password=stored, is_staff=True, is_superuser=True)
        yield _named.environment["SMARTAUTH_BASE_URL"]
        connection.close()
    connection.settings_dict["NAME"] = name


@pytest.fixture
def device(new_page: Callable[[], Page]) -> Page:
    """A page in a browser with a built-in authenticator whose owner always agrees."""
    page = new_page()
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return page


def sign_in(page: Page, base: str, *, then: str = "/account/") -> None:
    page.goto(f"{base}/account/login/?next={then}")
    page.get_by_label("User name").fill("kim")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def add_passkey(page: Page, base: str, *, alone: bool = True, name: str = "Blue phone") -> None:
    sign_in(page, base)
    page.get_by_role("link", name="Manage second factors").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)  # Such a change asks for a proof first.
    page.get_by_role("button", name="Go on", exact=True).click()
    page.get_by_label("Name, so that you know it again").fill(name)
    page.get_by_label("Sign in with it alone").set_checked(alone)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()


def sign_out(page: Page, base: str) -> None:
    page.goto(f"{base}/account/")
    page.locator("main").get_by_role("button", name="Sign out").click()


def test_a_passkey_signs_somebody_in_without_a_name_or_a_password(device: Page, server: str) -> None:
    add_passkey(device, server)
    sign_out(device, server)
    device.goto(f"{server}/account/login/?next=/account/apps")
    device.get_by_role("button", name="Sign in with a passkey").click()
    device.wait_for_url(f"{server}/account/apps")
    expect(device.get_by_role("link", name="Your account, kim")).to_be_visible()
    kim = User.objects.get(username="kim")
    assert AuditRecord.objects.filter(action="second-factor-added", user_id=kim.pk).count() == 2  # Recovery codes, too.
    assert AuditRecord.objects.filter(action="sign-in", user_id=kim.pk).count() == 2
    assert Authenticator.objects.get(user=kim, type="webauthn").wrap().name == "Blue phone"


def test_a_passkey_is_the_second_proof_after_a_password(device: Page, server: str) -> None:
    add_passkey(device, server, alone=False)
    sign_out(device, server)
    sign_in(device, server)
    expect(device.get_by_role("heading", name="One more proof")).to_be_visible()
    expect(device.get_by_label("Code")).to_be_visible()  # A recovery code goes as well.
    device.get_by_role("button", name="Use a passkey").click()
    device.wait_for_url(f"{server}/account/")


def test_somebody_elses_device_has_no_passkey_that_opens_the_account(
    device: Page, new_page: Callable[[], Page], server: str
) -> None:
    add_passkey(device, server)
    sign_out(device, server)
    User.objects.filter(username="kim").delete()
    device.goto(f"{server}/account/login/")
    device.get_by_role("button", name="Sign in with a passkey").click()
    expect(device.get_by_role("alert").filter(visible=True)).to_contain_text("does not open an account here")


def test_a_deactivated_user_is_not_let_in_by_a_passkey(device: Page, server: str) -> None:
    add_passkey(device, server)
    sign_out(device, server)
    User.objects.filter(username="kim").update(is_active=False)
    device.goto(f"{server}/account/login/")
    device.get_by_role("button", name="Sign in with a passkey").click()
    expect(device.get_by_role("heading", name="Your account is closed")).to_be_visible()
    device.goto(f"{server}/account/")
    expect(device.get_by_label("User name")).to_be_visible()


def test_recovery_codes_are_shown_once_and_can_be_kept(device: Page, server: str) -> None:
    add_passkey(device, server)
    codes = device.locator(".codes code").all_inner_texts()
    assert len(set(codes)) == 10
    with device.expect_download() as download:
        device.get_by_role("link", name="Download them").click()
    assert Path(download.value.path()).read_text().split() == codes
    device.reload()
    expect(device.get_by_text("are not shown again")).to_be_visible()
    assert not any(code in device.content() for code in codes)
    sign_out(device, server)
    sign_in(device, server)
    device.get_by_label("Code").fill(codes[0])
    device.get_by_role("button", name="Sign in", exact=True).click()
    device.wait_for_url(f"{server}/account/")


def test_a_passkey_is_renamed_and_removed(device: Page, server: str) -> None:
    add_passkey(device, server)
    device.goto(f"{server}/account/second-factor/")
    device.get_by_role("link", name="Rename Blue phone").click()
    device.get_by_label("Name").fill("Red phone")
    device.get_by_role("button", name="Save").click()
    device.get_by_role("link", name="Remove Red phone").click()
    device.get_by_role("button", name="Remove it").click()
    expect(device.get_by_text("You have none here.")).to_be_visible()
    assert not Authenticator.objects.filter(user__username="kim").exists()  # Recovery codes alone prove nothing.


def test_the_pages_speak_spanish(device: Page, server: str) -> None:
    add_passkey(device, server)
    device.goto(f"{server}/account/language?to=es&next=/account/second-factor/")
    assert device.locator("html").get_attribute("lang") == "es"
    paths = ["", "add/", *(link.get_attribute("href") or "" for link in device.locator(".rows .acts a").all())]
    assert len(paths) == 4
    for path in paths:
        device.goto(f"{server}{path}" if path.startswith("/") else f"{server}/account/second-factor/webauthn/{path}")
        assert english_in(device.content().replace("Blue phone", "")) == [], path
    device.goto(f"{server}/account/second-factor/webauthn/reauthenticate/")
    assert english_in(device.content()) == []
    device.locator("header").get_by_role("button", name="Cerrar sesión").click()
    device.goto(f"{server}/account/login/")
    expect(device.get_by_role("button", name="Iniciar sesión con una llave de acceso")).to_be_visible()
    assert english_in(device.content()) == []
