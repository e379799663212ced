"""The patient picker: who is asked whose record it shall be, who may be chosen, and what is stored of the choice.

SMART 2.2 scopes-and-launch-context, "Requesting context with launch/patient"; RFC 9700 §4.16.
"""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client, Tenant
from clients.tenants import TenantInfo
from fhirproxy.breakers import FAILURES
from fhirproxy.models import Upstream
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization, PendingAuthorization
from smartauth.people.models import ProxyRelation, User
from smartauth.receipts.models import Receipt
from tests.audit_trail import rewritable
from tests.endpoints.app_launch import (
    App,
    Behind,
    Load,
    answer_form,
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
    sign_in,
    told_in,
)
from tests.endpoints.pickers import choose, offered, open_picker, said
from tests.factories import phone_app
from tests.proxy.conftest import put_behind
from tests.proxy.scripted import Said, scripted
from tests.proxy.test_leafing import searchset
from tests.servers import free_port

pytestmark = pytest.mark.usefixtures("small")

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')
SEARCH = 'role="search"'
CHOOSE_AGAIN = "Choose somebody else"
NOBODY = "There is nobody whose record you could choose."
NO_MATCH = "Nobody you may choose matches."


def find(browser: Browser, path: str, **search: str) -> HttpResponse:
    """Send the search form."""
    answer = browser.post(f"{path}/patient", {"name": "", "birthdate": "", "identifier": ""} | search)
    assert isinstance(answer, HttpResponse)
    return answer


def assert_chosen(answer: HttpResponse, path: str, patient: str) -> None:
    assert (answer.status_code, answer.headers.get("Location")) == (302, path), answer.content.decode()
    assert pending().patient == patient


# Who is asked


@pytest.mark.requirement("CTX-04", "CONSENT-13")
def test_a_clinician_is_asked_whenever_a_patient_is_in_question(
    browser: Browser, growth_chart: App, dr_grey: User
) -> None:
    sign_in(browser, dr_grey)
    for scope in ("launch/patient", "patient/Observation.rs", "openid launch/patient user/*.rs"):
        path = begin(browser, growth_chart, scope=scope)
        assert browser.get(path).headers["Location"] == f"{path}/patient"
    assert_no_grant()


def test_a_clinician_is_asked_even_when_there_is_one_patient_only(
    browser: Browser, growth_chart: App, tenant: TenantInfo, dr_grey: User
) -> None:
    Tenant.objects.update(policy={"practitioner_access": "none"})
    since = timezone.now() - timedelta(days=1)
    ProxyRelation.objects.create(user=dr_grey, tenant_id=tenant.pk, patient="ana", starts_at=since)
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert offered(page) == ["ana"]
    assert pending().patient == ""
    assert_chosen(choose(browser, path, "ana"), path, "ana")


def restrict(**restrictions: Any) -> None:
    Client.objects.update(restrictions=restrictions)


@pytest.mark.requirement("CTX-22")
def test_a_clinician_is_offered_whom_the_app_may_reach(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    restrict(patients=["ben"])
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert offered(page) == ["ben"]
    assert said(find(browser, path, name="lindqvist")).startswith(NO_MATCH)
    assert page_refusal(choose(browser, path, "ana"), 403).rule == "picker.not_yours"
    assert pending().patient == ""
    assert_chosen(choose(browser, path, "ben"), path, "ben")


@pytest.mark.requirement("CTX-22")
def test_a_choice_that_the_app_may_reach_no_more_is_not_allowed(
    browser: Browser, growth_chart: App, dr_grey: User
) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    assert_chosen(choose(browser, path, "ana"), path, "ana")
    page = browser.get(path)
    restrict(patients=["ben"])
    assert decide(browser, path, page).status_code == 409
    assert_no_grant()


def test_an_app_that_may_not_reach_the_user_s_own_record_is_offered_none(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    restrict(patients=["ben"])
    _, page = open_picker(browser, growth_chart, ana)
    assert offered(page) == []
    assert said(page) == NOBODY


@pytest.mark.parametrize("how", ["client", "tenant"])
def test_where_relations_do_not_count_a_patient_means_themself(
    browser: Browser, growth_chart: App, parent: User, how: str
) -> None:
    if how == "client":
        restrict(proxy_relations=False)
    else:
        Tenant.objects.update(policy={"proxy_relations": False})
    page = open_consent(browser, begin(browser, growth_chart), parent)
    assert pending().patient == "ana"
    assert CHOOSE_AGAIN not in page.content.decode()


def test_a_clinician_in_a_role_is_asked(browser: Browser, growth_chart: App, tenant: TenantInfo) -> None:
    role = make_person(tenant, "role", "PractitionerRole/dr-grey-role")
    path, _ = open_picker(browser, growth_chart, role)
    assert_chosen(choose(browser, path, "ben"), path, "ben")


def test_without_a_patient_in_question_nobody_is_asked(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    page = open_consent(browser, begin(browser, growth_chart, scope="openid fhirUser user/*.rs"), dr_grey)
    assert CHOOSE_AGAIN not in page.content.decode()
    assert pending().patient == ""


@pytest.mark.requirement("CONSENT-13")
def test_a_patient_who_acts_for_others_is_asked(browser: Browser, growth_chart: App, parent: User) -> None:
    path, page = open_picker(browser, growth_chart, parent)
    text = page.content.decode()
    assert offered(page) == ["ana", "ben"]
    assert said(page) == "2 people."
    assert "<em><bdi>Growth Chart</bdi></em>" in text
    for fact in ("Ana Lindqvist", ">12 May 1984<", "Female", "No. MRN-1001", "Ben Okafor", ">3 November 1979<"):
        assert fact in text
    assert SEARCH not in text  # Two people are seen at a glance.
    assert_chosen(choose(browser, path, "ben"), path, "ben")
    assert CHOOSE_AGAIN in browser.get(path).content.decode()


ALONE: list[tuple[str | None, list[str], str]] = [
    # what the user is, for whom they act, whose record it is
    ("Patient/ana", [], "ana"),
    ("Patient/ana", ["ana"], "ana"),
    ("Patient/ana", ["ghost"], "ana"),
    (None, ["ben"], "ben"),
    ("RelatedPerson/ana-as-wife-of-ben", [], "ben"),
]


@pytest.mark.requirement("CTX-04")
@pytest.mark.parametrize(("fhir_user", "acts_for", "patient"), ALONE)
def test_who_can_mean_one_record_only_is_not_asked(
    browser: Browser,
    growth_chart: App,
    tenant: TenantInfo,
    fhir_user: str | None,
    acts_for: list[str],
    patient: str,
) -> None:
    user = make_person(tenant, "somebody", fhir_user, acts_for=acts_for)
    path = begin(browser, growth_chart)
    page = open_consent(browser, path, user)
    assert pending().patient == patient
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    assert Authorization.objects.get().context["patient"] == patient


def test_a_patient_alone_is_offered_nobody_else(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    assert CHOOSE_AGAIN not in open_consent(browser, path, ana).content.decode()
    assert offered(browser.get(f"{path}/patient")) == ["ana"]


def test_somebody_without_a_record_of_their_own_who_acts_for_two_is_asked(
    browser: Browser, growth_chart: App, tenant: TenantInfo
) -> None:
    _, page = open_picker(browser, growth_chart, make_person(tenant, "guardian", acts_for=["ana", "ben"]))
    assert offered(page) == ["ana", "ben"]


# Searching


def test_a_clinician_sees_few_patients_at_once_and_can_search(
    browser: Browser, growth_chart: App, dr_grey: User
) -> None:
    _, page = open_picker(browser, growth_chart, dr_grey)
    text = page.content.decode()
    assert set(offered(page)) == {"ana", "ANA", "ben"}
    assert said(page) == "3 people."
    assert SEARCH in text
    for field, label in (("name", "Name"), ("birthdate", "Birth date"), ("identifier", "Record number")):
        assert f'<label for="{field}">{label}</label><input id="{field}" name="{field}"' in text


SEARCHES: list[tuple[dict[str, str], list[str]]] = [
    ({"name": "okafor"}, ["ben"]),
    ({"name": " Okafor,  Ben "}, ["ben"]),
    ({"birthdate": "1984-05-12"}, ["ana"]),
    ({"birthdate": "1984-05"}, ["ana", "ANA"]),
    ({"identifier": "MRN-1001"}, ["ana"]),
    ({"name": "ana", "birthdate": "1984-05-13"}, ["ANA"]),
    ({"name": "ana", "birthdate": "1984-05-12", "identifier": "MRN-1001"}, ["ana"]),
    ({"name": "okafor", "birthdate": "", "identifier": "  "}, ["ben"]),
    ({"name": "okafor", "unknown": "x", "_id": "ana", "page": "2"}, ["ben"]),
    ({"name": "nobody"}, []),
    ({"name": "okafor", "identifier": "MRN-1001"}, []),
    ({"birthdate": "1984/5/12"}, ["ana"]),
    ({"birthdate": "1984 05"}, ["ana", "ANA"]),
    ({"birthdate": "19840512"}, ["ana"]),
    ({"birthdate": "12 de mayo de 1984"}, ["ana"]),
    ({"birthdate": "05/12/1984"}, ["ana"]),
    ({"identifier": "MRN-1001,MRN-1002"}, []),
    ({"name": "okafor&_id=ana"}, []),
    ({"name": "\x00"}, []),
    ({"name": "x" * 5_000}, []),
]


def test_a_search_finds_by_what_was_typed(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    for search, found in SEARCHES:
        page = find(browser, path, **search)
        assert offered(page) == found, search
        if found:
            assert said(page) == ("1 person." if len(found) == 1 else f"{len(found)} people."), search
        else:
            assert said(page).startswith(NO_MATCH), search
    assert pending().patient == ""


@pytest.mark.parametrize("typed", ["yesterday", "ge1900", "12/05/84", "12 May", "1984-13", "1984-02-30", "'x'"])
def test_a_birth_date_that_cannot_be_read_is_said_at_its_field_and_nobody_is_asked(
    browser: Browser, growth_chart: App, dr_grey: User, small: Behind, typed: str
) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    small.fail(kind="status", status=500)  # It would be seen if anybody was.
    page = find(browser, path, name="okafor", birthdate=typed)
    text = page.content.decode()
    assert (offered(page), said(page)) == (
        [],
        "Nobody was searched for yet: correct the birth date, or leave it out.",
    )
    assert 'aria-describedby="birthdate-form" aria-invalid="true"' in text
    assert 'class="problem" id="birthdate-form"' in text
    assert "<title>The birth date cannot be read – Whose record?</title>" in text
    assert 'value="okafor"' in text


UNDERSTOOD = {
    "1984-05-12": 'Searched for: <time datetime="1984-05-12">12 May 1984</time>.',
    "mayo de 1984": 'Searched for: <time datetime="1984-05">May 1984</time>.',
    "05/12/1984": '<bdi>05/12/1984</bdi> can be <time datetime="1984-12-05">5 December 1984</time>'
    ' or <time datetime="1984-05-12">12 May 1984</time>: both were searched for.',
}


def test_how_a_birth_date_is_understood_is_said(
    browser: Browser, growth_chart: App, dr_grey: User, small: Behind
) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    for typed, said_of_it in UNDERSTOOD.items():
        text = find(browser, path, birthdate=typed).content.decode()
        assert f'<p class="note" id="birthdate-read">{said_of_it}</p>' in text
        assert 'aria-describedby="birthdate-form birthdate-read"' in text
    assert "birthdate=1984-12-05%2C1984-05-12" in small.targets()[-1]


def test_a_page_says_first_how_many_were_found(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert "<title>Whose record?</title>" in page.content.decode()
    assert "autofocus" in page.content.decode()
    text = find(browser, path, name="okafor").content.decode()
    assert "<title>1 person found – Whose record?</title>" in text
    assert "<h2>Who was found</h2>" in text
    assert '<ul class="people" aria-label="People you can choose">' in text
    assert "autofocus" not in text  # It would lead past what was found.


@pytest.mark.requirement("SEC-10")
def test_a_search_says_what_was_searched_and_how_to_leave_it(
    browser: Browser, growth_chart: App, dr_grey: User
) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    typed = {"name": '"><script>alert(1)</script>', "birthdate": "'x'", "identifier": "<b>&amp;"}
    text = find(browser, path, **typed).content.decode()
    assert "<script>" not in text
    assert "<b>" not in text
    values = {name: unescape(value) for name, value in re.findall(r'<input id="(\w+)"[^>]* value="([^"]*)"', text)}
    assert values == typed
    assert f'<a href="{path}/patient">Clear</a>' in text
    long = find(browser, path, name="y" * 500).content.decode()
    assert "y" * 100 in long
    assert "y" * 101 not in long


def test_a_search_reaches_nobody_the_user_may_not_act_for(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    open_consent(browser, path, ana)
    for search in ({"name": "okafor"}, {"identifier": "MRN-1002"}, {"birthdate": "1979"}):
        page = find(browser, path, **search)
        assert (offered(page), said(page).startswith(NO_MATCH)) == ([], True)
    assert offered(find(browser, path, name="lindqvist")) == ["ana"]


def test_who_was_shown_is_recorded(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    with rewritable():
        AuditRecord.objects.all().delete()
    trace_id = find(browser, path, name="okafor").headers["X-Trace-Id"]
    choose(browser, path, "ben")
    search, read = AuditRecord.objects.order_by("pk")
    assert str(search.trace_id) == trace_id
    assert (search.action, read.action, read.resource_id) == ("search", "read", "ben")
    for record in (search, read):
        assert (record.rule, record.user_id, record.client_id) == ("picker", dr_grey.pk, "growth-chart")


# More than fit on one page


def crowd(load: Load, number: int) -> list[str]:
    ids = [f"crowd-{at:02}" for at in range(number)]
    for at, patient in enumerate(ids):
        load("Patient", patient, name=[{"family": f"Crowd{at:02}"}])
    return ids


def test_of_many_nobody_is_listed_unasked(browser: Browser, growth_chart: App, dr_grey: User, load: Load) -> None:
    ids = crowd(load, 51)
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert offered(page) == []
    assert said(page) == "Search for the person by name, birth date or record number."
    page = find(browser, path, name="crowd")
    assert offered(page) == ids[:50]
    assert said(page) == "50 people, and there are more: add to the search, or show more."
    assert offered(find(browser, path, name="crowd50")) == ids[50:]
    assert_chosen(choose(browser, path, ids[50]), path, ids[50])


def test_of_many_more_are_shown_until_there_are_no_more(
    browser: Browser, growth_chart: App, dr_grey: User, load: Load, small: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartauth.views.picker.SHOWN", 5)
    ids = crowd(load, 12)
    path, _ = open_picker(browser, growth_chart, dr_grey)
    first = find(browser, path, name="crowd", birthdate="")
    second = browser.post(f"{path}/patient", more_form(first))
    assert (offered(second), said(second)) == (ids[5:10], "6 to 10, and there are more.")
    text = second.content.decode()
    assert "<title>6 to 10 – Whose record?</title>" in text
    assert '<ul class="people" aria-label="People you can choose, 6 to 10">' in text
    assert re.findall(r"<[^>]* autofocus[^>]*>", text) == ['<button name="patient" value="crowd-05" autofocus>']
    assert 'name="name" type="search" value="crowd"' in text
    fail(small)
    again = sent_again(browser.post(f"{path}/patient", more_form(second)))
    small.fail(kind="none")
    assert dict(again) == more_form(second)
    third = browser.post(f"{path}/patient", dict(again))
    assert (offered(third), said(third)) == (ids[10:], "11 to 12, and there are no more.")
    assert more_form(third) == {}
    assert "Back to the beginning" in third.content.decode()
    monkeypatch.setattr("fhirproxy.leafing.MOST_GIVEN", 10)
    last = browser.post(f"{path}/patient", more_form(first))
    assert (more_form(last), said(last)) == ({}, "6 to 10, and there are more: narrow the search.")
    assert_chosen(choose(browser, path, ids[11]), path, ids[11])


def test_among_many_whom_they_may_not_see_somebody_looks_further(
    browser: Browser, growth_chart: App, parent: User, small: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhirproxy.searching.MAX_PAGES", 1)
    Tenant.objects.update(policy={"max_count": 1})
    path, _ = open_picker(browser, growth_chart, parent)
    small.leak()
    page, seen = find(browser, path, name="okafor"), []
    while sent := more_form(page):
        if not offered(page):
            assert said(page).startswith("Nobody was found so far, and there is more to look through")
        seen += offered(page)
        page = browser.post(f"{path}/patient", sent)
    assert sorted(seen + offered(page)) == ["ana", "ben"]


def test_one_of_whom_it_is_not_known_whether_they_are_the_only_one_is_not_chosen_unasked(
    browser: Browser, growth_chart: App, tenant: TenantInfo, parent: User
) -> None:
    path = begin(browser, growth_chart)
    sign_in(browser, parent, then=path)
    with scripted() as script:
        put_behind(tenant, script.base_url, bearer="")
        asked = "GET /r4/Patient?_id=ana%2Cben&_sort=family%2Cgiven&_count=3"
        script.answers = {asked: searchset(["ana"], f"{script.base_url}/page?n=2"), "GET /r4/page?n=2": Said(500)}
        assert browser.get(path).headers["Location"] == f"{path}/patient"
    assert pending().patient == ""


def test_a_place_that_is_not_of_the_list_begins_it_again(
    browser: Browser, growth_chart: App, dr_grey: User, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartauth.views.picker.SHOWN", 5)
    ids = crowd(load, 6)
    path, _ = open_picker(browser, growth_chart, dr_grey)
    sent = more_form(find(browser, path, name="crowd"))
    other_path = begin(browser, growth_chart)
    tries = [
        (path, sent | {"following": sent["following"][:-9]}),
        (path, sent | {"following": "http://127.0.0.1:1/r4/Patient"}),
        (path, sent | {"name": "crow"}),
        (other_path, sent),
    ]
    for where, fields in tries:
        page = browser.post(f"{where}/patient", fields)
        assert offered(page) == ids[:5]
        assert said(page).startswith("The list could not be continued, and starts again. 5 people")
    assert offered(browser.post(f"{path}/patient", sent)) == ids[5:]


def test_fifty_fit(browser: Browser, growth_chart: App, dr_grey: User, load: Load) -> None:
    ids = crowd(load, 47)  # And three others.
    _, page = open_picker(browser, growth_chart, dr_grey)
    assert set(offered(page)) == {*ids, "ana", "ANA", "ben"}
    assert said(page) == "50 people."


def test_somebody_who_acts_for_many_can_search(
    browser: Browser, growth_chart: App, tenant: TenantInfo, load: Load
) -> None:
    guardian = make_person(tenant, "guardian", acts_for=crowd(load, 51))
    path, page = open_picker(browser, growth_chart, guardian)
    assert offered(page) == []
    assert SEARCH in page.content.decode()
    page = find(browser, path, name="crowd07")
    assert offered(page) == ["crowd-07"]
    assert SEARCH in page.content.decode()


# Choosing


@pytest.mark.requirement("CONSENT-13")
def test_a_choice_is_stored_and_a_form_for_another_patient_is_out_of_date(
    browser: Browser, growth_chart: App, parent: User
) -> None:
    path = begin(browser, growth_chart)
    page_of_ana = open_consent(browser, path, parent, patient="ana")
    assert_chosen(choose(browser, path, "ben"), path, "ben")
    for decision in ("allow", "deny"):
        refused = browser.post(path, answer_form(page_of_ana, decision))
        assert page_refusal(refused, 409).rule == "consent.outdated"
    assert_no_grant()
    page_of_ben = browser.get(path)
    assert page_number(page_of_ben) != page_number(page_of_ana)
    callback(decide(browser, path, page_of_ben), growth_chart.redirect_uri)
    assert Authorization.objects.get().context["patient"] == "ben"


def test_choosing_the_same_again_leaves_the_form_good(browser: Browser, growth_chart: App, parent: User) -> None:
    path = begin(browser, growth_chart)
    page = open_consent(browser, path, parent, patient="ben")
    choose(browser, path, "ben")
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]


NOT_OFFERED = [
    *("ben", "ANA", "ghost", "", "x" * 65, "Patient/ana", "ana/", "ana ", "../Patient/ana", "ana?_id=ben", "ana,ben"),
    *("%61na", "\x00", "<script>", "http://127.0.0.1:8000/fhir/sandbox/r4/Patient/ana"),
]


@pytest.mark.requirement("CTX-22")
def test_nobody_else_can_be_chosen(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    page = open_consent(browser, path, ana)
    before = PendingAuthorization.objects.values().get()
    for patient in NOT_OFFERED:
        answer = choose(browser, path, patient)
        receipt = page_refusal(answer, 403)
        assert (receipt.rule, receipt.endpoint, receipt.client_id) == ("picker.not_yours", "picker", "growth-chart")
        assert receipt.seen == ""  # Whether there is such a patient is nobody's business.
    page_refusal(browser.post(f"{path}/patient", {"patient": ["ana", "ben"]}), 403)
    assert offered(browser.post(f"{path}/patient")) == ["ana"]  # No choice at all: choose now.
    assert PendingAuthorization.objects.values().get() == before
    assert_no_grant()
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    assert Authorization.objects.get().context["patient"] == "ana"


def test_a_choice_in_the_url_is_none(browser: Browser, growth_chart: App, parent: User) -> None:
    path, _ = open_picker(browser, growth_chart, parent)
    for answer in (browser.get(f"{path}/patient?patient=ben"), browser.post(f"{path}/patient?patient=ben")):
        assert offered(answer) == ["ana", "ben"]
    assert pending().patient == ""


def test_what_is_searched_for_is_in_no_address(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert '<form class="card search" method="post"' in page.content.decode()
    assert len(offered(browser.get(f"{path}/patient?name=okafor"))) == 3


def test_absent_and_forbidden_look_alike(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    open_consent(browser, path, ana)
    forbidden, absent = (choose(browser, path, patient) for patient in ("ben", "ghost"))
    pages = (one.content.decode().replace(one.headers["X-Trace-Id"], "") for one in (forbidden, absent))
    assert len({TOKEN.sub("", page) for page in pages}) == 1
    receipts = (page_refusal(one, 403) for one in (forbidden, absent))
    assert len({(one.reason, one.expected, one.seen, one.fix) for one in receipts}) == 1


def test_a_clinician_without_the_right_can_choose_nobody(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    Tenant.objects.update(policy={"practitioner_access": "none"})
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert (offered(page), said(page)) == ([], NOBODY)
    page_refusal(choose(browser, path, "ana"), 403)
    assert pending().patient == ""


def end_relation() -> None:
    ProxyRelation.objects.update(ends_at=timezone.now())


def delete_relation() -> None:
    ProxyRelation.objects.all().delete()


def postpone_relation() -> None:
    ProxyRelation.objects.update(starts_at=timezone.now() + timedelta(hours=1))


ENDINGS = [end_relation, delete_relation, postpone_relation]


@pytest.mark.parametrize("end", ENDINGS)
def test_a_relation_that_ended_before_the_choice_is_none(
    browser: Browser, growth_chart: App, parent: User, end: Callable[[], None]
) -> None:
    path, page = open_picker(browser, growth_chart, parent)
    assert offered(page) == ["ana", "ben"]
    end()
    assert page_refusal(choose(browser, path, "ben"), 403).rule == "picker.not_yours"
    assert offered(browser.get(f"{path}/patient")) == ["ana"]
    assert pending().patient == ""


@pytest.mark.parametrize("end", ENDINGS)
def test_a_relation_that_ended_after_the_choice_grants_nothing(
    browser: Browser, growth_chart: App, parent: User, end: Callable[[], None]
) -> None:
    path = begin(browser, growth_chart)
    page = open_consent(browser, path, parent, patient="ben")
    end()
    assert page_refusal(decide(browser, path, page), 409).rule == "consent.outdated"
    assert pending().answered_at is None
    assert_no_grant()
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{path}/patient")
    assert "Okafor" not in browser.get(f"{path}/patient").content.decode()


def test_a_relation_at_another_tenant_does_not_count(
    browser: Browser, growth_chart: App, ana: User, tenant: TenantInfo
) -> None:
    north = Tenant.objects.create(slug="north")
    since = timezone.now() - timedelta(days=1)
    ProxyRelation.objects.create(user=ana, tenant=north, patient="ben", starts_at=since)
    path = begin(browser, growth_chart)
    open_consent(browser, path, ana)
    assert page_refusal(choose(browser, path, "ben"), 403).rule == "picker.not_yours"


# Nobody to choose


@pytest.mark.parametrize("fhir_user", ["Patient/ghost", "RelatedPerson/ghost", "Person/ghost"])
def test_with_nobody_to_choose_there_is_a_way_back(
    browser: Browser, growth_chart: App, tenant: TenantInfo, fhir_user: str
) -> None:
    path, page = open_picker(browser, growth_chart, make_person(tenant, "ghost", fhir_user))
    assert (offered(page), said(page)) == ([], NOBODY)
    assert page_number(page) == str(pending().page)
    answer = browser.post(path, {"page": page_number(page), "decision": "deny"})
    receipt = told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied")
    assert receipt.rule == "consent.denied"
    assert pending().answered_at is not None
    assert_no_grant()


def test_somebody_without_a_record_can_choose_nobody(browser: Browser, growth_chart: App, mallory: User) -> None:
    path = begin(browser, growth_chart)
    browser.get(path)
    sign_in(browser, mallory, then=path)
    page = browser.get(f"{path}/patient")
    assert (offered(page), said(page)) == ([], NOBODY)
    for patient in ("ana", "ben", ""):
        assert page_refusal(choose(browser, path, patient), 403).rule == "picker.not_yours"
    assert pending().patient == ""


def test_cancelling_tells_the_app(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert "Cancel, and go back to the app" in page.content.decode()
    answer = browser.post(path, {"page": page_number(page), "decision": "deny"})
    assert told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied").rule == "consent.denied"
    audited = AuditRecord.objects.get(action="consent")
    assert (audited.rule, audited.user_id, audited.patient) == ("consent.denied", dr_grey.pk, "")
    assert_no_grant()


# A FHIR server that does not answer


def fail(behind: Behind) -> None:
    behind.fail(kind="status", status=503)


def leave(behind: Behind) -> None:
    Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")


def garble(behind: Behind) -> None:
    behind.fail(kind="html")


@pytest.mark.parametrize("break_it", [fail, leave, garble])
def test_without_the_records_nobody_is_chosen(
    browser: Browser, growth_chart: App, parent: User, small: Behind, break_it: Callable[[Behind], None]
) -> None:
    path, _ = open_picker(browser, growth_chart, parent)
    break_it(small)
    before = PendingAuthorization.objects.values().get()
    answers = [browser.get(f"{path}/patient"), find(browser, path, name="a"), choose(browser, path, "ben")]
    for answer in answers:
        receipt = records_away(answer)
        assert (receipt.rule, receipt.endpoint, receipt.tenant) == ("records.unavailable", "picker", "sandbox")
        assert receipt.officer
        assert "127.0.0.1" not in answer.content.decode()
    assert PendingAuthorization.objects.values().get() == before
    assert_no_grant()


HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


def sent_again(page: HttpResponse) -> list[tuple[str, str]]:
    """Return what the button "Try again" sends."""
    form = re.search(r'<form id="again" method="post">(.*?)</form>', page.content.decode(), re.DOTALL)
    assert form, page.content.decode()
    found = [(unescape(name), unescape(value)) for name, value in HIDDEN.findall(form[1])]
    return [one for one in found if one[0] != "csrfmiddlewaretoken"]


def test_what_was_typed_is_tried_again_as_it_was(
    browser: Browser, growth_chart: App, dr_grey: User, small: Behind
) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    fail(small)
    page = find(browser, path, name='okafor <b>"', birthdate="1979-11")
    assert "<b>" not in page.content.decode()
    assert sent_again(page) == [("name", 'okafor <b>"'), ("birthdate", "1979-11"), ("identifier", "")]
    again = sent_again(find(browser, path, name="okafor"))
    assert sent_again(choose(browser, path, "ben")) == [("patient", "ben")]
    text = browser.get(f"{path}/patient").content.decode()
    assert f'<a class="button" href="{path}/patient">Try again</a>' in text
    small.fail(kind="none")
    assert offered(find(browser, path, **dict(again))) == ["ben"]


def test_slow_records_are_waited_for_no_longer_than_people_wait(
    browser: Browser, growth_chart: App, dr_grey: User, small: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = open_picker(browser, growth_chart, dr_grey)
    small.fail(kind="delay", seconds=3)
    began = time.monotonic()
    with monkeypatch.context() as hurried:
        hurried.setattr("fhirproxy.records.PATIENCE", 0.2)
        assert sent_again(find(browser, path, name="okafor"))[0] == ("name", "okafor")
        for _turn in range(FAILURES):
            records_away(choose(browser, path, "ben"))
    assert time.monotonic() - began < (FAILURES + 1) * 3
    small.fail(kind="none")
    # That people would not wait is no reason to leave the server alone.
    assert_chosen(choose(browser, path, "ben"), path, "ben")


def test_from_records_that_do_not_answer_one_goes_back_to_the_app(
    browser: Browser, growth_chart: App, parent: User, small: Behind
) -> None:
    path, _ = open_picker(browser, growth_chart, parent)
    fail(small)
    page = find(browser, path, name="a")
    answer = browser.post(path, {"page": page_number(page), "decision": "deny"})
    assert told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied").rule == "consent.denied"


def test_when_the_records_are_back_the_choice_goes_on(
    browser: Browser, growth_chart: App, parent: User, small: Behind
) -> None:
    path, _ = open_picker(browser, growth_chart, parent)
    fail(small)
    records_away(choose(browser, path, "ben"))
    small.fail(kind="none")
    assert_chosen(choose(browser, path, "ben"), path, "ben")
    assert browser.get(path).status_code == 200


# The page itself


EVIL = "<script>alert('x')</script> &amp; \"y\""


def test_what_a_record_says_is_text(browser: Browser, tenant: TenantInfo, dr_grey: User, load: Load) -> None:
    load("Patient", "odd", name=[{"text": EVIL}], identifier=[{"value": "<img src=x>"}], birthDate="<b>", gender="<i>")
    app = make_app(phone_app(client_name="<u>Growth</u> & Chart"), tenant)
    path, _ = open_picker(browser, app, dr_grey)
    page = find(browser, path, identifier="<img src=x>")
    assert offered(page) == ["odd"]
    choose(browser, path, "odd")
    for text in (page.content.decode(), browser.get(path).content.decode()):
        for markup in ("<script>", "<img src=x", "<b>", "<i>", "<u>"):
            assert markup not in text
        assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp;amp; &quot;y&quot;" in text
        assert "No. &lt;img src=x&gt;" in text
        assert "&lt;u&gt;Growth&lt;/u&gt; &amp; Chart" in text


def test_a_patient_without_a_name_can_be_chosen(browser: Browser, growth_chart: App, dr_grey: User, load: Load) -> None:
    load("Patient", "nameless")
    path, page = open_picker(browser, growth_chart, dr_grey)
    assert "nameless" in offered(page)
    assert "Name not recorded" in page.content.decode()
    assert_chosen(choose(browser, path, "nameless"), path, "nameless")
    assert browser.get(path).status_code == 200


def test_a_card_says_by_what_else_somebody_may_be_found_and_what_to_beware_of(
    browser: Browser, growth_chart: App, dr_grey: User, load: Load
) -> None:
    names = [{"use": "official", "family": "Zeta"}, {"use": "maiden", "family": "Younger <i>"}]
    load("Patient", "zeta", name=names, deceasedDateTime="2024-03-01T10:00:00Z")
    load("Patient", "zeta-old", name=[{"family": "Zeta"}], active=False, link=[{"type": "replaced-by"}])
    load("Patient", "zeta-mistake", name=[{"family": "Zeta"}], active=False, deceasedBoolean=True)
    path, _ = open_picker(browser, growth_chart, dr_grey)
    page = find(browser, path, name="zeta")
    assert offered(page) == ["zeta", "zeta-mistake", "zeta-old"]  # What is in use comes first.
    cards = re.split(r"<li>", page.content.decode())[1:]
    assert "Also: <bdi>Younger &lt;i&gt;</bdi>" in cards[0]
    assert 'Died <time datetime="2024-03-01">1 March 2024</time>' in cards[0]
    assert "Birth date not recorded" in cards[0]
    assert "Has died" in cards[1]
    assert "Record not in use" in cards[1]
    assert "Replaced by another record" in cards[2]
    assert "Has died" not in cards[2]
    assert offered(find(browser, path, name="younger")) == ["zeta"]


def test_the_page_is_neither_kept_nor_framed_and_ends_at_the_app(
    browser: Browser, growth_chart: App, pocket: App, parent: User
) -> None:
    targets: list[tuple[App, str]] = [(growth_chart, "https://cardio.example.org"), (pocket, "com.example.app:")]
    sign_in(browser, parent)
    for app, target in targets:
        path = begin(browser, app)
        browser.get(path)
        headers: Any = browser.get(f"{path}/patient", headers={"Origin": "https://cardio.example.org"}).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        policy = headers["Content-Security-Policy"].split("; ")
        # Browsers hold the redirect after Cancel against it, too.
        assert f"form-action 'self' {target}" in policy
        assert "frame-ancestors 'none'" in policy
        assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert not Receipt.objects.exists()
