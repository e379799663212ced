"""Registering an app on this machine from the launcher: one step, and nothing that could carry a code away.

RFC 7591 §2; RFC 8252 §7.3; SMART 2.2 app-launch, "Register App with EHR".
"""

from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client as Browser

from clients.models import Activation, Client
from clients.tenants import TenantInfo
from smartauth.sandbox.launcher import registering
from tests.endpoints.app_launch import User

pytestmark = pytest.mark.usefixtures("tenant")

GOOD = {
    "name": "My app",
    "launch_url": "http://localhost:3000/launch",
    "redirect_uris": "http://localhost:3000/callback\nhttp://127.0.0.1:3000/callback",
    "proof": "none",
    "scope": "launch openid patient/*.rs",
}
PATH = "/launcher/register?user=dr-grey&patient=ana&fault=wrong-aud"


def send(browser: Browser | None = None, **changes: str) -> Any:
    return (browser or Browser()).post(PATH, GOOD | changes)


def test_an_app_on_this_machine_is_registered_and_can_be_launched_at_once(tenant: TenantInfo) -> None:
    answer = send()
    client = Client.objects.get(name="My app")
    assert answer.status_code == 200
    assert client.client_id in answer.content.decode()
    assert "client_secret" not in answer.content.decode()
    assert (client.status, client.is_operator_verified, client.token_endpoint_auth_method) == (
        "approved",
        False,
        "none",
    )
    assert Activation.objects.get(client=client).is_active
    # What was chosen for the launch before is still chosen.
    link = unescape(answer.content.decode().split('class="button" href="')[1].split('"')[0])
    chosen = {"fault": "wrong-aud", "patient": "ana", "client": client.client_id}
    assert dict(parse_qsl(urlsplit(link).query)) == chosen
    page = Browser().get(link).content.decode()
    assert f'<option value="{client.client_id}" data-misfits' in page
    assert "Not everything in the link could be used" not in page


def test_the_same_app_is_not_registered_twice_and_one_that_differs_is() -> None:
    send()
    again = send()
    assert again.status_code == 302
    assert Client.objects.get(name="My app").client_id in again.headers["Location"]
    send(scope="launch openid patient/Patient.rs")
    assert Client.objects.filter(name="My app").count() == 2


def test_an_app_without_a_launch_url_begins_by_itself() -> None:
    answer = send(launch_url="")
    assert "kind=standalone" in unescape(answer.content.decode())


def test_an_app_with_a_server_gets_a_secret_that_is_shown_once_each_time(dr_grey: User) -> None:
    browser = Browser()
    browser.force_login(dr_grey)
    for number in (1, 2):
        answer = send(browser, proof="client_secret_basic")
        assert "client_secret" in answer.content.decode()
        assert Client.objects.filter(user=dr_grey).count() == number  # The portal shows them.


BAD = [
    # field            typed                                          part of what is said
    ("name",           "",                                            "give it a name"),
    ("name",           "a\x00b",                                      "cannot be printed"),
    ("launch_url",     "javascript:alert(1)",                         "not an https URL"),
    ("launch_url",     "data:text/html,x",                            "character"),
    ("launch_url",     "https://evil.example/launch",                 "not on this machine"),
    ("launch_url",     "http://localhost.evil.example/",              "https is required"),
    ("launch_url",     "http://localhost:3000@evil.example/",         "user information"),
    ("launch_url",     "http://localhost:3000/#x",                    "fragment"),
    ("launch_url",     "http://127.0.0.1:8000/launcher/",             "of this server itself"),
    ("launch_url",     "http://localhost:8000/launcher/",             "of this server itself"),
    ("redirect_uris",  "",                                            "name where the app gets its answer"),
    ("redirect_uris",  "http://localhost:3000/a https://evil.example/b", "https://evil.example/b: it is not on this"),
    ("redirect_uris",  "myapp://callback",                            "not an https URL"),
    ("redirect_uris",  "x" * 3_000,                                   "longer than 2000"),
    ("proof",          "private_key_jwt",                             "choose one of"),
    ("scope",          "",                                            "name at least one"),
    ("scope",          "launch patient/*.sr",                         "patient/*.sr"),
    ("scope",          "launch system/*.rs",                          "backend services"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "typed", "says"), BAD)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost_or_registered(
    field: str, typed: str, says: str
) -> None:
    answer = send(**{field: typed})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert f'id="{field}-problem"' in page
    assert says in unescape(page)
    assert f'href="{typed}"' not in page
    assert (field == "launch_url") or "http://localhost:3000/launch" in page
    assert not Client.objects.filter(software_id=registering.SOFTWARE_ID).exists()


def test_a_link_fills_in_nothing_and_registers_nothing() -> None:
    page = Browser().get("/launcher/register", GOOD | {"client": '"><script>alert(1)</script>'}).content.decode()
    assert "localhost:3000/callback\n" not in page
    assert "<script>alert" not in page
    assert not Client.objects.exists()
    assert Browser(enforce_csrf_checks=True).post("/launcher/register", GOOD).status_code == 403


def test_only_so_many_apps_are_registered_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registering, "MOST_APPS", 1)
    send()
    answer = send(name="Another")
    assert answer.status_code == 400
    assert "developer portal" in answer.content.decode()
