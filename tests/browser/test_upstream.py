"""Signing in at an identity provider with a real browser, which minds cookies between sites and content policies."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests import settings as test_settings
from tests.browser.accessibility import fits, problems
from tests.servers import Server, database, free_port, running_server
from tests.sign_in.hospital import CLIENT, Hospital, running_hospital


@dataclass(frozen=True, slots=True)
class Both:
    """Our server and the hospital's."""

    server: Server
    hospital: Hospital


@pytest.fixture(scope="module")
def both(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    # At a name, and the provider at an address: another site to the browser.
    port = free_port()
    base = f"http://localhost:{port}"
    with running_hospital(f"{base}/account/upstream/callback") as hospital:
        said = {
            "PORT": str(port),
            "SMARTAUTH_BASE_URL": base,
            "SMARTAUTH_UPSTREAM_IDP_ISSUER": hospital.issuer,
            "SMARTAUTH_UPSTREAM_IDP_CLIENT_ID": CLIENT["client_id"],
            "SMARTAUTH_UPSTREAM_IDP_CLIENT_SECRET": CLIENT["client_secret"],
            "SMARTAUTH_UPSTREAM_IDP_NAME": "City Hospital",
        }
        with (
            database(str(test_settings.DATABASE_URL)) as url,
            running_server(
                database_url=url, var=tmp_path_factory.mktemp("both"), environment=said, port=port, workers=2
            ) as server,
        ):
            made = server.command("create_user", "--username", "grey", "--upstream-subject", "s-grey")
            assert made.returncode == 0, made.stderr
            yield Both(server, hospital)


def test_a_person_signs_in_there_and_proves_it_again(page: Page, both: Both) -> None:
    base = both.server.environment["SMARTAUTH_BASE_URL"]
    page.goto(f"{base}/account/")
    page.get_by_role("link", name="Sign in with City Hospital").click()
    expect(page.get_by_role("heading", name="Hospital")).to_be_visible()
    page.get_by_label("Name").fill("s-grey")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{base}/account/")
    expect(page.get_by_text("You sign in with City Hospital")).to_be_visible()
    page.goto(f"{base}/account/reauthenticate/?next=/account/apps")
    again = page.get_by_role("link", name="Sign in again with City Hospital")
    expect(again).to_be_visible()
    assert problems(page) == []
    assert fits(page)
    again.click()
    expect(page.locator("#asked")).to_contain_text("login_prompt")  # Although it remembers the person.
    page.get_by_label("Name").fill("s-grey")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{base}/account/apps")


def test_somebody_unknown_here_gets_a_page_with_a_number(page: Page, both: Both) -> None:
    base = both.server.environment["SMARTAUTH_BASE_URL"]
    page.goto(f"{base}/account/login/")
    page.get_by_role("link", name="Sign in with City Hospital").click()
    page.get_by_label("Name").fill("s-nobody")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="You have no account here yet")).to_be_visible()
