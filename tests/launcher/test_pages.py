"""The launcher's pages: forms that lose nothing, links that do nothing, frames around apps and around nothing else.

SMART 2.2 app-launch, "Launch App: EHR Launch"; RFC 9700 §4.16.
"""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client
from smartauth.sandbox.launcher import clinic, framing
from smartauth.sandbox.launcher.browsers import COOKIE
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habits import HABITS
from smartauth.sandbox.launcher.kinds import BACKEND, STANDALONE
from smartauth.sandbox.models import Run
from tests.endpoints.app_launch import AUTHORIZE, App, authorize_params, decide, open_consent
from tests.launcher.conftest import MINE, Flow, MakeFlow, Watch
from tests.proxy.conftest import Behind

pytestmark = pytest.mark.usefixtures("small")

MISFITS = r'value="([^"]+)" data-misfits="([^"]+)"'
IN_FRAME = {"Sec-Fetch-Dest": "iframe"}
IN_WINDOW = {"Sec-Fetch-Dest": "document"}
EVIL = '"><script>alert(1)</script>'


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def value_of(page: str, field: str) -> str:
    found = re.search(rf'<input id="{field}"[^>]* value="([^"]*)"', page)
    assert found, field
    return unescape(found[1])


@pytest.mark.parametrize("path", ["/launcher", "/launcher/"])
def test_the_form_offers_apps_and_people_of_the_hospital(chart: App, dr_grey: object, path: str) -> None:
    markup = Browser().get(path).content.decode()
    page = unescape(markup)
    assert "Chart (chart)" in page
    assert "dr-grey (Practitioner/dr-grey)" in page
    # What does not go with a kind of launch says so in the list, and why.
    misfits = {value: json.loads(unescape(found)) for value, found in re.findall(MISFITS, markup)}
    assert misfits["dr-grey"].keys() == {"patient-portal"}
    assert misfits["chart"] == {"backend": "it is no backend service"}
    assert {name for name, found in misfits.items() if "backend" in found and name in {*FAULTS, *HABITS}} == {
        *("altered-state", "expired-code", "missing-context", "no-refresh"),
    }


def test_a_link_fills_the_form_and_begins_nothing(chart: App, dr_grey: object) -> None:
    query = urlencode({"client": "chart", "user": "dr-grey", "intent": "a & <b>", "fault": "fhir-fails"})
    page = Browser().get(f"/launcher/?{query}").content.decode()
    assert value_of(page, "intent") == "a & <b>"
    assert 'value="fhir-fails" selected>' in page
    assert '<details class="more" open>' in page  # Nothing that was chosen is folded away.
    assert not Run.objects.exists()


BAD_NAMES = ["kind", "client", "user", "patient", "intent", "fhir_context", "scope", "what", "x\x00"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_bad_in_a_link_is_said_and_left_out(chart: App, name: str) -> None:
    bad = f"{EVIL}\n" if name != "intent" else f"{EVIL}\x07x"
    answer = Browser().get("/launcher/", {name: bad, "minutes": "7"})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()
    assert "Not everything in the link could be used" in text_of(answer)
    assert value_of(answer.content.decode(), "minutes") == "7"


def test_a_form_that_is_wrong_says_so_beside_the_field_and_loses_nothing(chart: App, dr_grey: object) -> None:
    typed = {"kind": "provider-ehr", "client": "chart", "user": "dr-grey", "patient": "Patient/ana", "intent": EVIL}
    answer = Browser().post("/launcher/", {**typed, "fhir_context": "[", "do": "launch"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "<script>alert" not in page
    assert (value_of(page, "patient"), value_of(page, "intent")) == ("Patient/ana", EVIL)
    assert 'aria-describedby="patient-help patient-problem" aria-invalid="true"' in page
    assert "It is not the logical id of a patient; write ana, not Patient/ana." in text_of(answer)
    assert "It is not JSON, line 1, column 2." in text_of(answer)
    assert not Run.objects.exists()


def test_a_form_becomes_a_link(chart: App, dr_grey: object) -> None:
    typed = {"kind": "provider-ehr", "client": "chart", "user": "dr-grey", "minutes": "10", "fault": "wrong-aud"}
    answer = Browser().post("/launcher/", {**typed, "do": "link"})
    target = urlsplit(answer.headers["Location"])
    assert (answer.status_code, target.path) == (302, "/launcher/")
    assert dict(parse_qsl(target.query)) == {"client": "chart", "user": "dr-grey", "fault": "wrong-aud"}


def test_a_form_from_elsewhere_begins_nothing(chart: App) -> None:
    answer = Browser(enforce_csrf_checks=True).post("/launcher/", {"kind": STANDALONE, "client": "chart"})
    assert answer.status_code == 403
    assert not Run.objects.exists()


def test_an_app_that_begins_itself_is_watched_from_the_form_on(chart: App) -> None:
    browser = Browser()
    form = {"kind": STANDALONE, "client": "chart", "minutes": "5", "fault": "wrong-aud", "do": "launch"}
    answer = browser.post("/launcher/", form)
    run = Run.objects.get()
    assert answer.headers["Location"] == f"/launcher/run/{run.pk}"
    assert (run.watched_until - run.begun_at).total_seconds() == 300
    cookie = answer.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    page = browser.get(answer.headers["Location"])
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "http://127.0.0.1:8000/fhir/sandbox/r4" in text_of(page)


def test_a_service_is_shown_its_assertion_and_lines_to_paste(begin_run: Watch, bulk_loader: object) -> None:
    browser = Browser()
    browser.cookies[COOKIE] = MINE
    run = begin_run(BACKEND, "bulk-loader", scope="system/Patient.rs?name='x'")
    page = text_of(browser.get(f"/launcher/run/{run.pk}"))
    assert '"aud": "http://127.0.0.1:8000/auth/sandbox/token"' in page
    assert "sign_assertion --client bulk-loader" in page
    assert """--data-urlencode 'scope=system/Patient.rs?name='"'"'x'"'"''""" in page
    assert "Run it from here" not in page  # This hospital has no key of it.


def test_a_browser_finds_its_launches_again(begin_run: Watch, chart: App) -> None:
    run = begin_run(STANDALONE, "chart", fault="fhir-fails")
    mine, other = Browser(), Browser()
    mine.cookies[COOKIE] = MINE
    assert f"/launcher/run/{run.pk}" in text_of(mine.get("/launcher/"))
    assert "/launcher/run/" not in text_of(other.get("/launcher/"))


# ---- the banner


def test_the_ehr_shows_the_patient_as_its_user_sees_them(make_flow: MakeFlow) -> None:
    flow = make_flow(patient="ana", user="dr-grey", encounter="visit-1")
    page = text_of(flow.browser.get(f"/launcher/run/{flow.run.pk}"))
    born = 'Born <time datetime="1984-05-12">12 May 1984</time>'
    for shown in ("Ana Lindqvist", born, "Female", "No. MRN-1001", "Encounter visit-1", "User dr-grey"):
        assert shown in page


@pytest.mark.parametrize(("user", "patient"), [("ana", "ben"), ("dr-grey", "nobody")])
def test_whom_the_user_may_not_see_is_shown_to_nobody(make_flow: MakeFlow, user: str, patient: str) -> None:
    flow = make_flow(patient=patient, user=user)
    page = text_of(flow.browser.get(f"/launcher/run/{flow.run.pk}"))
    assert f"Patient {patient}" in page
    assert "Okafor" not in page


def test_records_that_do_not_answer_are_said_in_the_banner(make_flow: MakeFlow, small: Behind) -> None:
    flow = make_flow(patient="ana", user="dr-grey")
    small.fail(kind="status", status=500)
    assert "The records do not answer" in text_of(flow.browser.get(f"/launcher/run/{flow.run.pk}"))


# ---- in and out of the frame


def authorize(flow: Flow, **headers: str) -> Any:
    return flow.browser.get(AUTHORIZE, authorize_params(flow.app, **flow.asked), headers=headers)


def consent(flow: Flow, path: str) -> Any:
    page = open_consent(flow.browser, path, flow.user)
    return decide(flow.browser, path, page)


@pytest.mark.requirement("LAUNCH-09")
def test_the_way_out_of_the_frame_leads_to_our_page_in_the_whole_window(make_flow: MakeFlow) -> None:
    flow = make_flow(place="frame")
    page = authorize(flow, **IN_FRAME)
    assert (page.status_code, page.headers["X-Frame-Options"]) == (200, "SAMEORIGIN")
    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]
    link = re.search(r'target="_top" href="(/auth/consent/[^"]+)" data-go', page.content.decode())
    assert link
    # What it leads to is framed by nobody, and answers back into the frame.
    shown = open_consent(flow.browser, link[1], flow.user)
    assert shown.headers["X-Frame-Options"] == "DENY"
    answer = decide(flow.browser, link[1], shown)
    back = answer.headers["Location"]
    assert back.startswith(f"/launcher/run/{flow.run.pk}?back=")
    assert "code" not in urlsplit(back).query  # sealed
    framed = re.search(r'<iframe [^>]*src="([^"]+)"', flow.browser.get(back).content.decode())
    assert framed
    told = dict(parse_qsl(urlsplit(unescape(framed[1])).query))
    assert told.keys() == {"code", "state"}
    assert unescape(framed[1]).startswith(flow.app.redirect_uri)


def test_the_page_around_the_app_frames_this_app_alone(make_flow: MakeFlow) -> None:
    flow = make_flow(place="frame")
    answer = flow.browser.get(f"/launcher/run/{flow.run.pk}")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["frame-src"] == "'self' https://cardio.example.org"
    assert (policy["frame-ancestors"], policy["default-src"]) == ("'none'", "'none'")


def test_an_app_opened_in_a_window_of_its_own_stays_there(make_flow: MakeFlow) -> None:
    flow = make_flow(place="frame")
    answer = authorize(flow, **IN_WINDOW)
    path = urlsplit(answer.headers["Location"]).path
    flow.run.refresh_from_db()
    assert flow.run.choices["place"] == "window"
    assert consent(flow, path).headers["Location"].startswith(flow.app.redirect_uri)


def test_a_refusal_with_a_page_of_ours_leads_out_of_the_frame_too(make_flow: MakeFlow) -> None:
    flow = make_flow(place="frame")
    asked = authorize_params(flow.app, **flow.asked, redirect_uri="https://evil.example/callback")
    page = flow.browser.get(AUTHORIZE, asked, headers=IN_FRAME)
    assert page.status_code == 200
    assert "The request was refused" in page.content.decode()
    assert "data-go" not in page.content.decode()


def test_nobody_else_is_led_anywhere(make_flow: MakeFlow) -> None:
    flow = make_flow(place="window")
    assert authorize(flow, **IN_FRAME).status_code == 303


@pytest.mark.parametrize(("shows_who", "asks"), [(True, False), (False, True)])
def test_a_sign_out_from_the_frame_leads_through_the_whole_window_and_back(
    make_flow: MakeFlow, shows_who: bool, asks: bool
) -> None:
    flow = make_flow(place="frame")
    after = "https://cardio.example.org/goodbye"
    Client.objects.filter(client_id="chart").update(post_logout_redirect_uris=after)
    tokens = flow.tokens()
    Run.objects.update(choices=flow.run.choices)  # The walk of these tests knows no frames.
    asked = {"client_id": "chart", "post_logout_redirect_uri": after, "state": "s1"}
    asked |= {"id_token_hint": tokens["id_token"]} if shows_who else {}
    page = flow.browser.get("/auth/sandbox/logout", asked, headers=IN_FRAME)
    assert (page.status_code, page.headers["X-Frame-Options"]) == (200, "SAMEORIGIN")
    link = re.search(r'target="_top" href="(/auth/logout/confirm[^"]+)" data-go', page.content.decode())
    assert link
    answer = flow.browser.get(unescape(link[1]), headers=IN_WINDOW)
    if asks:
        assert (answer.status_code, answer.headers["X-Frame-Options"]) == (200, "DENY")
        answer = flow.browser.post(unescape(link[1]), headers=IN_WINDOW)
    back = answer.headers["Location"]
    assert back.startswith(f"/launcher/run/{flow.run.pk}?back=")
    framed = re.search(r'<iframe [^>]*src="([^"]+)"', flow.browser.get(back).content.decode())
    assert framed
    assert unescape(framed[1]) == f"{after}?state=s1"
    assert [step["what"] for step in flow.seen() if step["part"] == "Sign-out"][:2] == ["GET logout", "GET logout"]


def test_any_other_page_of_ours_shows_a_way_out_of_the_frame_instead_of_nothing(make_flow: MakeFlow) -> None:
    flow = make_flow(place="frame")
    page = flow.browser.get("/account/login/", headers=IN_FRAME)
    assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert 'target="_top" href="/account/login/"' in page.content.decode()
    assert "csrfmiddlewaretoken" not in page.content.decode()
    # A redirect goes on in the frame, as the one by which Cardio Clinic begins.
    start = "/launcher/start?iss=http://127.0.0.1:8000/fhir/sandbox/r4"
    assert flow.browser.get(start, headers=IN_FRAME).status_code == 302
    # For nobody else the page is another.
    assert Browser().get("/account/login/", headers=IN_FRAME).headers["X-Frame-Options"] == "DENY"
    assert flow.browser.get("/account/login/", headers=IN_WINDOW).headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("sealed", ["", "x", "https://evil.example/?code=1", "é"])
def test_only_what_was_sealed_here_is_framed(make_flow: MakeFlow, sealed: str) -> None:
    flow = make_flow(place="frame")
    assert framing.answer_url(flow.run, sealed) == ""
    page = flow.browser.get(f"/launcher/run/{flow.run.pk}", {"back": sealed}).content.decode()
    assert "evil.example" not in page


def test_a_sealed_answer_is_good_for_a_moment_and_for_its_app(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(place="frame")
    good = f"{flow.app.redirect_uri}?code=1"
    assert framing.answer_url(flow.run, framing._seal(good)) == good
    assert framing.answer_url(flow.run, framing._seal("https://evil.example/?code=1")) == ""
    sealed = framing._seal(good)
    monkeypatch.setattr(framing, "GOOD_FOR", -1)
    assert framing.answer_url(flow.run, sealed) == ""


def test_the_sample_app_is_framed_by_the_launcher_and_by_nobody_else(db: None) -> None:
    for headers, expected in ((IN_FRAME, "'self'"), (IN_WINDOW, "'none'"), ({}, "'none'")):
        answer = Browser().get("/launcher/app/", headers=headers)
        assert f"frame-ancestors {expected}" in answer.headers["Content-Security-Policy"]
        assert ("data-framed" in answer.content.decode()) == (headers == IN_FRAME)


# ---- the app with a server behind it


def test_the_clinic_follows_one_hospital_only(db: None) -> None:
    answer = Browser().get("/launcher/start", {"iss": "https://evil.example/fhir", "launch": "x"})
    assert answer.status_code == 200
    assert "does not know that hospital" in text_of(answer)


def test_the_clinic_asks_for_what_was_chosen(begin_run: Watch) -> None:
    browser = Browser()
    browser.cookies[COOKIE] = MINE
    begin_run(STANDALONE, "cardio", scope="openid launch/patient")
    answer = browser.get("/launcher/start", {"iss": "http://127.0.0.1:8000/fhir/sandbox/r4/"})
    asked = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    assert (asked["scope"], asked["aud"]) == ("openid launch/patient", "http://127.0.0.1:8000/fhir/sandbox/r4")
    assert "launch" not in asked
    now = timezone.now()
    assert clinic.remembered(asked["state"], browser=MINE, now=now)
    assert clinic.remembered(asked["state"], browser="of somebody else", now=now) is None


@pytest.mark.parametrize("query", [{}, {"state": "x", "code": "y"}, {"state": "é", "error": EVIL}, {"code": "\x00"}])
def test_the_clinic_does_nothing_with_an_answer_nobody_asked_for(db: None, query: dict[str, str]) -> None:
    answer = Browser().get("/launcher/callback", query)
    assert answer.status_code == 200
    assert "Nobody asked for this" in text_of(answer)
    assert EVIL not in answer.content.decode()
