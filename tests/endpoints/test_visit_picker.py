"""The visit picker: when a visit is asked for, which can be chosen, what the app is told, and how to go on without one.

SMART 2.2 scopes-and-launch-context, "Requesting context with launch/encounter".
"""

import re
from functools import partial
from typing import Any

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization
from smartauth.people.models import ProxyRelation, User
from tests.endpoints import pickers
from tests.endpoints.app_launch import (
    App,
    Behind,
    Load,
    assert_no_grant,
    begin,
    callback,
    decide,
    make_app,
    make_person,
    more_form,
    open_consent,
    page_number,
    page_refusal,
    pending,
    records_away,
    told_in,
)
from tests.endpoints.ehr import visits
from tests.endpoints.pickers import offered, said
from tests.factories import phone_app

__all__ = ["visits"]

pytestmark = pytest.mark.usefixtures("small", "visits")

ASKED = "launch/patient launch/encounter openid patient/Encounter.rs patient/Patient.rs"
EVIL = "<script>alert('x')</script>"

open_picker = partial(pickers.open_picker, picker="visit", scope=ASKED)
choose = partial(pickers.choose, picker="visit")


@pytest.mark.requirement("CTX-04")
def test_a_visit_of_the_patient_is_chosen_and_told(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = open_picker(browser, growth_chart, ana)
    assert "visit-of-ana" in offered(page)
    assert "visit-of-ben" not in offered(page)
    answer = choose(browser, path, "visit-of-ana")
    assert (answer.status_code, answer.headers["Location"]) == (302, path)
    page = browser.get(path)
    assert "Choose another visit" in page.content.decode()
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    granted = Authorization.objects.get()
    assert (granted.context["patient"], granted.context["encounter"]) == ("ana", "visit-of-ana")
    assert "launch/encounter" in granted.scope.split()


@pytest.mark.requirement("CTX-04", "T-17")
def test_who_goes_on_without_a_visit_shares_none(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = open_picker(browser, growth_chart, ana)
    assert "Go on without a visit" in page.content.decode()
    choose(browser, path, "")
    page = browser.get(path)
    assert page.status_code == 200
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    granted = Authorization.objects.get()
    assert "encounter" not in granted.context
    assert granted.scope == "launch/patient openid patient/Encounter.rs patient/Patient.rs"


def test_an_encounter_alone_asks_whose_it_is_first(browser: Browser, growth_chart: App, parent: User) -> None:
    path = begin(browser, growth_chart, scope="openid launch/encounter")
    page = open_consent(browser, path, parent, patient="ben", visit="visit-of-ben")
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    granted = Authorization.objects.get()
    assert (granted.context["patient"], granted.context["encounter"]) == ("ben", "visit-of-ben")
    assert granted.scope == "openid launch/encounter"


def test_somebody_without_a_record_is_asked_for_no_visit(browser: Browser, growth_chart: App, mallory: User) -> None:
    path = begin(browser, growth_chart, scope="openid launch/encounter")
    page = open_consent(browser, path, mallory)
    assert browser.get(f"{path}/visit").headers["Location"] == path
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    assert Authorization.objects.get().scope == "openid"


def test_who_is_not_asked_for_a_visit_cannot_pick_one(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    open_consent(browser, path, ana)
    assert browser.get(f"{path}/visit").headers["Location"] == path
    assert choose(browser, path, "visit-of-ana").headers["Location"] == path
    assert pending().encounter is None


NOT_OFFERED = ["visit-of-ben", "ghost", "Encounter/visit-of-ana", "visit-of-ana/", "../Patient/ana", "\x00", EVIL]


@pytest.mark.requirement("CTX-22")
@pytest.mark.parametrize("visit", NOT_OFFERED)
def test_no_other_visit_can_be_chosen(browser: Browser, growth_chart: App, ana: User, visit: str) -> None:
    path, _ = open_picker(browser, growth_chart, ana)
    receipt = page_refusal(choose(browser, path, visit), 403)
    assert (receipt.rule, receipt.endpoint, receipt.seen) == ("visit-picker.not_there", "visit-picker", "")
    assert pending().encounter is None
    assert_no_grant()


def test_another_patient_is_asked_for_another_visit(browser: Browser, growth_chart: App, parent: User) -> None:
    path = begin(browser, growth_chart, scope=ASKED)
    page = open_consent(browser, path, parent, patient="ana", visit="visit-of-ana")
    browser.post(f"{path}/patient", {"patient": "ben"})
    assert page_refusal(decide(browser, path, page), 409).rule == "consent.outdated"
    assert browser.get(path).headers["Location"] == f"{path}/visit"
    assert page_refusal(choose(browser, path, "visit-of-ana"), 403).rule == "visit-picker.not_there"
    assert_no_grant()


def test_a_form_for_another_visit_is_out_of_date(browser: Browser, growth_chart: App, ana: User, load: Load) -> None:
    load("Encounter", "later", status="finished", subject={"reference": "Patient/ana"})
    path = begin(browser, growth_chart, scope=ASKED)
    page = open_consent(browser, path, ana, visit="visit-of-ana")
    choose(browser, path, "later")
    assert page_refusal(decide(browser, path, page), 409).rule == "consent.outdated"
    assert_no_grant()


def test_a_visit_that_is_gone_is_chosen_again(
    browser: Browser, growth_chart: App, ana: User, load: Load, small: Behind
) -> None:
    load("Encounter", "brief", status="finished", subject={"reference": "Patient/ana"})
    path = begin(browser, growth_chart, scope=ASKED)
    page = open_consent(browser, path, ana, visit="brief")
    small.load({"resourceType": "Encounter", "id": "brief", "subject": {"reference": "Patient/ben"}})
    assert page_refusal(decide(browser, path, page), 409).rule == "consent.outdated"
    assert browser.get(path).headers["Location"] == f"{path}/visit"
    assert_no_grant()


def test_a_relation_that_ended_shows_no_visits(browser: Browser, growth_chart: App, parent: User) -> None:
    path = begin(browser, growth_chart, scope=ASKED)
    open_consent(browser, path, parent, patient="ben", visit="visit-of-ben")
    ProxyRelation.objects.all().delete()
    assert browser.get(f"{path}/visit").headers["Location"] == path
    assert pending().patient == "ben"
    assert_no_grant()


def test_a_record_without_visits_says_so(browser: Browser, growth_chart: App, tenant: TenantInfo, load: Load) -> None:
    load("Patient", "newcomer", name=[{"text": "New Comer"}])
    _, page = open_picker(browser, growth_chart, make_person(tenant, "newcomer", "Patient/newcomer"))
    assert offered(page) == []
    assert said(page) == "There is no visit in this record. You can go on without one."


def test_of_many_the_newest_are_listed_and_a_date_finds_the_others(
    browser: Browser, growth_chart: App, ana: User, load: Load
) -> None:
    for at in range(25):
        period = {"start": f"{2000 + at}-05-12T09:00:00Z", "end": f"{2000 + at}-05-12T10:00:00Z"}
        load("Encounter", f"v{at:02}", status="finished", subject={"reference": "Patient/ana"}, period=period)
    path, page = open_picker(browser, growth_chart, ana)
    newest = [f"v{at:02}" for at in range(24, 14, -1)]
    assert [one for one in offered(page) if one in newest] == newest
    assert len(offered(page)) == 20
    assert said(page) == "These are the newest visits. For older ones, search by date or show more."
    older = browser.post(f"{path}/visit", more_form(page))
    assert offered(older)[:-1] == [f"v{at:02}" for at in range(5, -1, -1)][-len(offered(older)) + 1 :]
    assert said(older) == f"21 to {20 + len(offered(older))}, and there are no more."
    assert f'<button name="visit" value="{offered(older)[0]}" autofocus>' in older.content.decode()
    lost = browser.post(f"{path}/visit", {"day": "2001", "following": more_form(page)["following"]})
    assert said(lost) == "The list could not be continued, and starts again. 1 visit, the newest first."
    page = browser.post(f"{path}/visit", {"day": "2001-05"})
    assert offered(page) == ["v01"]
    assert said(page) == "1 visit, the newest first."
    for typed in ("2001/5", "mayo de 2001", "12.05.2001"):
        assert offered(browser.post(f"{path}/visit", {"day": typed})) == ["v01"]
    page = browser.post(f"{path}/visit", {"day": "05/12/2001"})
    text = page.content.decode()
    assert (offered(page), said(page)) == ([], "Nothing was searched for yet.")
    assert "<title>Which day do you mean? – Which visit?</title>" in text
    assert re.findall(r'<button name="day" value="([^"]*)"', text) == ["2001-12-05", "2001-05-12"]
    page = browser.post(f"{path}/visit", {"day": "2001-06"})
    assert said(page) == "There is no visit on that date."
    page = browser.post(f"{path}/visit", {"day": "12 May"})
    text = page.content.decode()
    assert (offered(page), said(page)) == ([], "Nothing was searched for yet.")
    assert 'value="12 May"' in text
    assert 'aria-describedby="day-form" aria-invalid="true"' in text
    assert "<title>The date cannot be read – Which visit?</title>" in text


def test_what_goes_on_comes_first_and_what_never_was_is_left_out(
    browser: Browser, growth_chart: App, ana: User, load: Load
) -> None:
    def visit(name: str, status: str, day: str, **members: Any) -> None:
        period = {"start": day} | ({} if status == "in-progress" else {"end": day})
        load("Encounter", name, status=status, subject={"reference": "Patient/ana"}, period=period, **members)

    for at in range(21):
        visit(f"v{at:02}", "finished", f"{2000 + at}-05-12")
    visit("stay", "in-progress", "1999-05-12", **{"class": {"code": "IMP", "display": "inpatient encounter"}})
    visit("next", "planned", "2030-05-12", type=[{"text": "Check-up"}], **{"class": {"code": "AMB"}})
    visit("off", "cancelled", "2031-05-12")
    visit("mistake", "entered-in-error", "2031-05-12")
    path, page = open_picker(browser, growth_chart, ana)
    assert offered(page)[:3] == ["stay", "next", "v20"]
    assert not {"off", "mistake"} & set(offered(page))
    cards = page.content.decode().split("<li>")[1:]
    for fact in ("Hospital stay", "Going on now", 'since <time datetime="1999-05-12">12 May 1999</time>'):
        assert fact in cards[0]
    for fact in ("Check-up", "Planned", "2030-05-12", "Outpatient visit"):
        assert fact in cards[1]
    rest = offered(browser.post(f"{path}/visit", more_form(page)))
    assert len({*offered(page), *rest}) == len([*offered(page), *rest])
    assert {"stay", "next", *(f"v{at:02}" for at in range(21))} <= {*offered(page), *rest}


def test_a_card_says_what_the_record_says_and_as_text(
    browser: Browser, growth_chart: App, ana: User, load: Load
) -> None:
    load(
        *("Encounter", "odd"),
        status="finished",
        subject={"reference": "Patient/ana"},
        type=[{"text": EVIL}],
        reasonCode=[{"text": "<b>Cough</b>"}],
        period={"start": "2025-05-12", "end": "2025-05-14"},
        location=[{"location": {"display": "Ward <7>"}}],
    )
    path, page = open_picker(browser, growth_chart, ana)
    choose(browser, path, "odd")
    for text in (page.content.decode(), browser.get(path).content.decode()):
        assert '>12 May 2025</time> to <time datetime="2025-05-14">14 May 2025<' in text
        assert "Ward &lt;7&gt;" in text
        for markup in ("<script>", "<b>", "<7>"):
            assert markup not in text


def test_what_was_listed_is_recorded(browser: Browser, growth_chart: App, ana: User) -> None:
    open_picker(browser, growth_chart, ana)
    record = AuditRecord.objects.get(action="search", resource_type="Encounter")
    assert (record.rule, record.user_id, record.client_id, record.patient) == ("picker", ana.pk, "growth-chart", "ana")


def test_without_the_records_nothing_is_chosen(browser: Browser, growth_chart: App, ana: User, small: Behind) -> None:
    path, _ = open_picker(browser, growth_chart, ana)
    small.fail(kind="status", status=503)
    for answer in (browser.get(f"{path}/visit"), choose(browser, path, "visit-of-ana")):
        assert records_away(answer).rule == "records.unavailable"
    small.fail(kind="none")
    assert pending().encounter is None
    assert_no_grant()


def test_cancelling_tells_the_app(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = open_picker(browser, growth_chart, ana)
    answer = browser.post(path, {"page": page_number(page), "decision": "deny"})
    assert told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied").rule == "consent.denied"


def test_the_page_is_neither_kept_nor_framed_and_ends_at_the_app(
    browser: Browser, tenant: TenantInfo, ana: User
) -> None:
    app = make_app(phone_app(client_name="<u>Growth</u>"), tenant)
    _, page = open_picker(browser, app, ana)
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert "form-action 'self' https://cardio.example.org" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert "<u>" not in page.content.decode()
