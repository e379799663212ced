"""The launcher in a real browser: an app in the frame of an EHR, out of it to sign in and back, faults, the recorder.

SMART 2.2 app-launch, "Launch App: EHR Launch"; RFC 9700 §4.16.
"""

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from smartauth.sandbox.models import Run
from tests.hospital import PASSWORD, hospital
from tests.world import World, register

__all__ = ["hospital"]


@pytest.fixture(autouse=True)
def nothing_watched(hospital: World) -> Iterator[None]:
    """Leave no launch behind that would spoil another test's."""
    yield
    Run.objects.all().delete()


def open_form(page: Page, world: World, **choices: str) -> None:
    """Open the launcher from the front page and choose."""
    page.goto(world.base_url)
    page.get_by_role("link", name="Open the launcher").click()
    page.wait_for_load_state()  # With its script, by which people and visits are found.
    for label, value in choices.items():
        page.get_by_label(label.replace("_", " "), exact=True).select_option(label=value)


def press_launch(page: Page) -> None:
    page.get_by_role("button", name="Launch").click()


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Allow").click()


def app_in(page: Page) -> FrameLocator:
    return page.frame_locator("iframe.app-frame")


def test_an_ehr_shows_its_patient_around_the_app(page: Page, hospital: World) -> None:
    open_form(page, hospital)
    page.get_by_role("button", name="Show the visits").press("Enter")
    visits = page.locator("#encounter-found").get_by_role("button")
    expect(visits.first).to_be_focused()  # By the keyboard alone, and without a new page.
    page.keyboard.press("Enter")
    expect(page.get_by_label("Encounter")).to_have_value(re.compile("^ana-encounter-"))
    expect(page.locator("#encounter-found .chosen")).to_contain_text("Hillside Clinic")
    page.get_by_label("Name, birth date or number").fill("okafor")
    page.keyboard.press("Enter")
    expect(page.locator("#patient-found").get_by_role("button", name="Ben Okafor")).to_be_focused()
    press_launch(page)
    sign_in(page, "dr-grey")  # In the whole window: the frame was left.
    banner = page.get_by_role("group", name="Patient")
    for shown in ("Ana Lindqvist", "Born 12 May 1984", "Female", "No. MRN-1001", "User dr-grey"):
        expect(banner).to_contain_text(shown)
    app = app_in(page)
    expect(app.get_by_role("heading", name="Ana Lindqvist, born May 12, 1984")).to_be_visible()
    expect(app.get_by_text("Your hospital's system shows the rest.")).to_be_visible()
    expect(app.locator("#vitals svg")).to_be_visible()
    assert re.fullmatch(rf"{hospital.base_url}/launcher/run/[0-9a-f-]{{36}}", page.url)  # No code in the address.
    steps = page.locator("#steps")
    for line in ("POST launch", "GET authorize", "POST sign-in", "POST token authorization_code", "GET Patient/…"):
        expect(steps).to_contain_text(line)
    expect(page.locator("#report .good")).to_have_count(8)
    expect(page.locator("#report .look").first).to_contain_text("state")
    assert "ana-" not in steps.inner_text()


@pytest.mark.parametrize(
    ("fault", "at_the_app", "rule"),
    [
        ("Wrong aud", "aud is not a FHIR server of this system", "aud.unknown"),
        ("Missing context", "No patient came with the launch", ""),
        ("FHIR server fails", "The hospital's server is not answering well", "fault.fhir_fails"),
    ],
)
def test_a_fault_shows_at_the_app_and_its_reason_beside_it(
    page: Page, hospital: World, fault: str, at_the_app: str, rule: str
) -> None:
    open_form(page, hospital, A_fault=fault)
    press_launch(page)
    if fault != "Wrong aud":
        sign_in(page, "dr-grey")
    expect(app_in(page).get_by_text(at_the_app)).to_be_visible()
    expect(page.locator("#steps .mark").first).to_have_text(fault)
    if rule:
        expect(page.locator("#steps .why").first).to_contain_text(rule)


def test_an_app_in_a_window_of_its_own_is_watched_from_the_ehr(page: Page, hospital: World) -> None:
    open_form(page, hospital, Where_it_opens="In a window of its own")
    app_list = page.get_by_label("App", exact=True)
    page.get_by_label("Backend service").check()
    expect(app_list).to_have_value("bulk-loader")  # What does not go with a kind gives way, and comes back.
    page.get_by_label("Provider EHR").check()
    expect(app_list).to_have_value("growth-chart")
    press_launch(page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the app in a window of its own").click()
    app = opened.value
    sign_in(app, "dr-grey")
    expect(app.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()
    assert app.url == f"{hospital.base_url}/launcher/app/"
    page.bring_to_front()
    expect(page.locator("#steps")).to_contain_text("GET Observation")


def test_an_app_with_a_server_meets_an_expired_token_and_refreshes(page: Page, hospital: World) -> None:
    open_form(page, hospital, App="Cardio Clinic (cardio)", A_fault="Expired token", User="ana (Patient/ana)")
    page.get_by_label("Patient portal").check()
    page.get_by_label("Patient", exact=True).fill("")
    page.get_by_label("Scopes").fill("launch openid offline_access patient/Patient.rs")
    press_launch(page)
    sign_in(page, "ana")
    app = app_in(page)
    expect(app.get_by_role("heading", name="Connected", exact=True)).to_be_visible()
    expect(app.get_by_text("401: The access token is not valid.")).to_be_visible()
    expect(app.get_by_text("200: one resource")).to_be_visible()
    expect(page.locator("#report li", has_text="The refresh token is used")).to_have_class("good")


# An app of somebody else, with the npm fhirclient as it comes, that was never written for a frame.
LAUNCH_PAGE = """<script src="{base}/static/launcher/fhir-client.pure.min.js"></script><body><script>
FHIR.oauth2.authorize({{clientId: "elsewhere", scope: "launch openid patient/Patient.rs", redirectUri: "done"}});
</script>"""
DONE_PAGE = """<h1 id="out">…</h1>
<a href="{base}/auth/sandbox/logout?client_id=elsewhere&post_logout_redirect_uri={own}/goodbye">Sign out of it</a>
<script src="{base}/static/launcher/fhir-client.pure.min.js"></script><script>
FHIR.oauth2.ready().then((client) => client.patient.read()).then((patient) => {{
  document.getElementById("out").textContent = "Hello " + patient.name[0].family;
}});
</script>"""


@pytest.fixture
def elsewhere(hospital: World) -> Iterator[str]:
    """The app on a server of its own, registered at the hospital; gives its base URL."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            markup = {"/launch": LAUNCH_PAGE, "/done": DONE_PAGE}.get(self.path.partition("?")[0], "<h1>Goodbye</h1>")
            own = f"http://{self.headers['Host']}"
            body = markup.format(base=hospital.base_url, own=own).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        metadata = {
            "client_id": "elsewhere",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"],
            "redirect_uris": [f"{base}/done"],
            "post_logout_redirect_uris": [f"{base}/goodbye"],
            "launch_urls": [f"{base}/launch"],
            "scope": "launch openid patient/*.rs",
        }
        register(hospital, metadata)
        yield base
        server.shutdown()


def test_an_app_of_another_origin_runs_in_the_frame_as_it_is(page: Page, hospital: World, elsewhere: str) -> None:
    page.goto(f"{hospital.base_url}/launcher/?client=elsewhere&user=dr-grey&patient=ben")
    press_launch(page)
    sign_in(page, "dr-grey")
    expect(app_in(page).get_by_role("heading", name="Hello Okafor")).to_be_visible()
    expect(page.get_by_role("group", name="Patient")).to_contain_text("Ben Okafor")
    assert page.frames[1].url.startswith(elsewhere)
    # It signs its user out: that is confirmed in the whole window, where it can be seen, and ends in the frame.
    app_in(page).get_by_role("link", name="Sign out of it").click()
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    expect(app_in(page).get_by_role("heading", name="Goodbye")).to_be_visible()
    expect(page.locator("#steps")).to_contain_text("signed out, and back to the app")


def test_it_works_from_the_keyboard_on_a_narrow_screen(new_page: Callable[[], Page], hospital: World) -> None:
    page = new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{hospital.base_url}/launcher/?kind=backend&client=bulk-loader&nonsense=1")
    expect(page.get_by_text("there is no such choice: nonsense")).to_be_visible()
    expect(page.get_by_label("User", exact=True)).to_be_hidden()
    width = "() => document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    page.get_by_label("Backend service").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Launch":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bulk Loader")
    page.get_by_role("button", name="Run it from here").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".results")).to_contain_text("200: 2 entries")
    expect(page.locator("#steps")).to_contain_text("GET Patient?_count")
    assert page.evaluate(width) == 360
