"""A FHIR server that says odd things about patients and visits: nobody meets a fault, and a page shows text or nothing.

FHIR R4 patient, encounter, datatypes; Unicode Standard Annex #9.
"""

from typing import Any

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.people.models import User
from tests.endpoints.app_launch import App, Load, begin, decide, records_away, sign_in
from tests.endpoints.test_consent import text_of

pytestmark = pytest.mark.usefixtures("small")

JUNK: list[Any] = [
    *(None, True, 0, -1.5, "", " ", "x" * 5_000, [], {}, [None, 1, [], {}, "x"], {"x": {"x": 1}}, [[["x"]]]),
    *("\u202eevil", "\u200d\u200b", "\x1b[31m\x85", "{{ 7|add:7 }} %(x)s", [{"text": ["x"], "given": "x"}]),
    *([{"text": {"x": 1}, "given": [1, None, "Kim"], "family": ["x"], "use": []}], [{"value": 7, "type": "x"}]),
    [{"coding": [1, {"display": []}, None], "text": 1}],
    [{"location": [{"display": 1}]}],
]
PATIENT = ("name", "identifier", "birthDate", "gender")
ENCOUNTER = ("type", "reasonCode", "class", "period", "location", "serviceProvider")


def test_whatever_a_record_holds_can_be_chosen_and_allowed(
    browser: Browser, growth_chart: App, dr_grey: User, load: Load
) -> None:
    path = begin(browser, growth_chart, scope="launch/patient launch/encounter patient/*.rs")
    sign_in(browser, dr_grey, then=path)
    for at, junk in enumerate(JUNK):
        load("Patient", f"odd-{at}", **dict.fromkeys(PATIENT, junk))
        load("Encounter", f"odd-{at}", subject={"reference": f"Patient/odd-{at}"}, **dict.fromkeys(ENCOUNTER, junk))
    found = []
    for at in range(len(JUNK)):
        for suffix, form in (("patient", {"patient": f"odd-{at}"}), ("visit", {"visit": f"odd-{at}"})):
            assert browser.get(f"{path}/{suffix}").status_code == 200, (at, suffix)
            answer = browser.post(f"{path}/{suffix}", form)
            assert answer.status_code in (302, 403), (at, suffix, answer.status_code)
        page = browser.get(path, follow=True)
        assert page.status_code == 200, at
        found.append(page)
        for sign in "\u202e\u200b\x85\x1b":
            assert sign.encode() not in page.content, (at, sign)
    assert "xxxxx" in text_of(found[6])
    assert "x" * 201 not in text_of(found[6])
    assert decide(browser, path, found[-1]).status_code == 303


def test_an_answer_that_is_no_text_ends_on_a_page(
    browser: Browser, growth_chart: App, dr_grey: User, load: Load
) -> None:
    load("Patient", "odd", name=[{"text": "Kim\x00"}])
    path = begin(browser, growth_chart, scope="launch/patient patient/*.rs")
    sign_in(browser, dr_grey, then=path)
    assert records_away(browser.get(f"{path}/patient")).rule == "records.unavailable"


@pytest.mark.parametrize("shown", ["\u200d", "\u2066\u2069", "\u202e ", "\ufeff"])
def test_a_name_that_shows_nothing_is_none(
    browser: Browser, growth_chart: App, dr_grey: User, load: Load, shown: str
) -> None:
    load("Patient", "blank", name=[{"text": shown, "family": "Blank"}])
    path = begin(browser, growth_chart, scope="launch/patient patient/*.rs")
    sign_in(browser, dr_grey, then=path)
    browser.post(f"{path}/patient", {"patient": "blank"})
    assert "to use the health record of Blank?" in text_of(browser.get(path))


def test_a_name_turns_nothing_around_that_stands_beside_it(
    browser: Browser, growth_chart: App, dr_grey: User, tenant: TenantInfo, load: Load
) -> None:
    load("Patient", "turned", name=[{"text": "Kim\u202e\u2067 \u0639\u0644\u06cc\u200c\u0631\u0636\u0627"}])
    path = begin(browser, growth_chart, scope="launch/patient patient/*.rs")
    sign_in(browser, dr_grey, then=path)
    browser.post(f"{path}/patient", {"patient": "turned"})
    # The joiner inside the word is part of how it is written.
    assert "health record of Kim \u0639\u0644\u06cc\u200c\u0631\u0636\u0627?" in text_of(browser.get(path))
