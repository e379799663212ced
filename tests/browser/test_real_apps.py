"""Apps of another origin, with the npm fhirclient unmodified, through every launch and with what people do meanwhile.

Each is registered as its developer would and opened by an EHR's own client. The browser minds origins: what an app
reads here it may read.

SMART 2.2 app-launch, scopes-and-launch-context, client-confidential-asymmetric; Fetch standard, "CORS protocol".
"""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.app_host import AppHost, Registrar, running_apps
from tests.browser.app_registration import initial_token
from tests.browser.ehr_client import Ehr, register_ehr
from tests.browser.signing_in import allow, sign_in
from tests.hospital import hospital
from tests.world import World, new_key

__all__ = ["hospital"]

READ = "patient/*.rs user/Practitioner.rs"
VISIT = "ana-encounter-2021-03"
# What is in ana's record, as the app counts it.
RECORD = {"pages": 3, "count": 87}
VISITS = {"count": 20, "references": ["Organization/hillside-clinic", "Practitioner/dr-grey"]}


@pytest.fixture(scope="module")
def host() -> Iterator[AppHost]:
    with running_apps() as running:
        yield running


@pytest.fixture(scope="module")
def apps(_world: World, host: AppHost) -> Registrar:
    return Registrar(_world, host, initial_token(_world, uses=20))


@pytest.fixture
def ehr(hospital: World) -> Ehr:
    return register_ehr(hospital)


@pytest.mark.requirement("LAUNCH-01", "CTX-01", "CTX-05", "CTX-08", "CTX-11", "CTX-12", "CORS-01", "CORS-03", "CORS-04")
def test_an_ehr_opens_an_app_about_a_visit(page: Page, apps: Registrar, ehr: Ehr) -> None:
    app = apps.register("in-visit", f"launch openid fhirUser {READ}")
    said = {
        "patient": "ana",
        "encounter": VISIT,
        "intent": "reconcile-medications",
        "need_patient_banner": False,
        "smart_style_url": f"{apps.host.ehr}/style.json",
        "fhirContext": [
            {"reference": "Condition/ana-problem-1", "role": "https://ehr.example.org/roles/in-focus"},
            {"canonical": "https://ehr.example.org/questionnaires/intake|2", "type": "Questionnaire"},
        ],
    }
    page.goto(ehr.launch(app.client_id, user="dr-grey", **said))
    sign_in(page, "dr-grey")
    allow(page)
    seen = app.seen(page)
    assert seen["told"] == said | {"scope": app.metadata["scope"], "token_type": "Bearer", "expires_in": 1800}
    assert (seen["patient"], seen["encounter"], seen["user"]) == ("ana", VISIT, "Practitioner/dr-grey")
    assert (seen["observations"], seen["visits"], seen["style"]) == (RECORD, VISITS, ["color_text"])


@pytest.mark.requirement("CTX-09", "ASYM-02", "CORS-03")
def test_an_app_proves_who_it_is_with_a_key_in_the_browser(page: Page, apps: Registrar, ehr: Ehr) -> None:
    app = apps.register("keyed", f"launch openid fhirUser {READ}", key=new_key("ES384"))
    page.goto(ehr.launch(app.client_id, user="dr-grey", patient="ana", encounter=VISIT))
    sign_in(page, "dr-grey")
    allow(page)
    seen = app.seen(page)
    assert (seen["patient"], seen["encounter"], seen["observations"]) == ("ana", VISIT, RECORD)
    # The EHR opens it about somebody else: nobody signs in again, and nothing is left of the launch before.
    page.goto(ehr.launch(app.client_id, user="Practitioner/dr-grey", patient="ben"))
    allow(page)
    seen = app.seen(page)
    assert (seen["patient"], seen["encounter"], seen["user"]) == ("ben", None, "Practitioner/dr-grey")
    assert not {"intent", "fhirContext", "encounter"} & seen["told"].keys()
    assert seen["told"]["need_patient_banner"] is True
    assert "color_background" in seen["style"]  # Ours, for an EHR that has none.


def test_a_patient_opens_an_app_and_it_stays_connected(page: Page, hospital: World, apps: Registrar) -> None:
    app = apps.register("at-home", "launch/patient openid fhirUser offline_access patient/*.rs")
    app.open(page, hospital.fhir_base)
    sign_in(page, "ana")
    allow(page)
    seen = app.seen(page)
    assert (seen["patient"], seen["encounter"], seen["user"]) == ("ana", None, "Patient/ana")
    assert (seen["observations"], seen["visits"]) == (RECORD, VISITS)
    assert seen["told"]["scope"] == app.metadata["scope"]
    for _ in range(2):
        page.get_by_role("button", name="Refresh").click()
        assert app.seen(page) == seen
    page.reload()
    assert app.seen(page) == seen


@pytest.mark.requirement("CTX-04", "CTX-22")
def test_a_clinician_opens_an_app_and_chooses_patient_and_visit(page: Page, hospital: World, apps: Registrar) -> None:
    app = apps.register("on-the-ward", f"launch/patient launch/encounter openid fhirUser {READ}")
    app.open(page, hospital.fhir_base)
    sign_in(page, "dr-grey")
    page.get_by_label("Record number").fill("MRN-1001")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Ana Lindqvist").click()
    expect(page.get_by_role("status")).to_have_text("20 visits, the newest first.")
    page.get_by_role("button", name="19 March 2021").click()
    allow(page)
    seen = app.seen(page)
    assert (seen["patient"], seen["encounter"], seen["user"]) == ("ana", VISIT, "Practitioner/dr-grey")
    assert (seen["observations"], seen["visits"]) == (RECORD, VISITS)


@pytest.mark.requirement("V1-02", "V1-05", "V1-06")
def test_an_app_written_for_smart_1_is_answered_in_its_words(page: Page, hospital: World, apps: Registrar) -> None:
    app = apps.register("of-old", "launch/patient openid profile online_access patient/*.read")
    app.open(page, hospital.fhir_base)
    sign_in(page, "ana")
    allow(page)
    seen = app.seen(page)
    assert seen["told"]["scope"] == app.metadata["scope"]
    assert (seen["patient"], seen["user"], seen["observations"]) == ("ana", "Patient/ana", RECORD)
    page.get_by_role("button", name="Refresh").click()
    assert app.seen(page) == seen


@pytest.mark.requirement("LAUNCH-09")
def test_an_app_in_an_ehrs_frame_has_people_sign_in_in_a_window_beside_it(
    page: Page, apps: Registrar, ehr: Ehr
) -> None:
    config = {"target": "popup", "completeInTarget": False}
    app = apps.register("framed", f"launch openid fhirUser {READ}", at_ehr=True, **config)
    url = ehr.launch(app.client_id, user="dr-grey", patient="ana")
    # This browser, like many, keeps nothing for a frame of another site, as our server's would be.
    page.goto(f"{apps.host.ehr}/ehr.html?{urlencode({'app': apps.host.url('framed', 'launch.html')})}")
    assert page.frames[1].evaluate("document.cookie = 'a=1; SameSite=None; Secure'; document.cookie") == ""
    page.goto(f"{apps.host.ehr}/ehr.html?{urlencode({'app': url})}")
    frame = page.frames[1]
    with page.expect_popup() as opened:
        frame.get_by_role("button", name="Connect").click()
    window = opened.value
    sign_in(window, "dr-grey")
    allow(window)
    seen = app.seen(frame)
    assert (seen["patient"], seen["user"]) == ("ana", "Practitioner/dr-grey")
    assert window.is_closed()


def test_the_launchers_frame_lets_an_app_do_so_too(page: Page, hospital: World, apps: Registrar) -> None:
    app = apps.register("framed-here", f"launch openid fhirUser {READ}", target="popup", completeInTarget=False)
    page.goto(f"{hospital.base_url}/launcher/?client={app.client_id}&user=dr-grey&patient=ana")
    page.get_by_role("button", name="Launch").click()
    with page.expect_popup() as opened:
        page.frame_locator("iframe.app-frame").get_by_role("button", name="Connect").click()
    sign_in(opened.value, "dr-grey")
    allow(opened.value)
    seen = app.seen(page.frames[1])
    assert (seen["patient"], seen["user"]) == ("ana", "Practitioner/dr-grey")
    expect(page.locator("#steps")).to_contain_text("POST token authorization_code")
