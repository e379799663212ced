"""One step of a draft in two windows: nothing typed is lost, and whoever comes second is told."""

from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.models import Draft
from tests.clients.portal_pages import IDENTITY, Texts, answers_of, begin, partner, step_url
from tests.factories import make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def kim() -> Browser:
    make_tenant()
    return partner()[1]


@pytest.fixture
def draft(kim: Browser) -> Draft:
    draft = begin(kim)
    kim.post(step_url(draft, "identity"), IDENTITY)
    return draft


def opened(browser: Browser, draft: Draft, name: str = "identity") -> str:
    """Open a step and return what its form says of its fields."""
    return state_on(browser.get(step_url(draft, name)))


def state_on(page: HttpResponse) -> str:
    [found] = Texts(page).values("state")
    return found


def send(browser: Browser, draft: Draft, state: str, name: str = "identity", **typed: Any) -> HttpResponse:
    form = (IDENTITY if name == "identity" else {}) | typed | {"state": state}
    answer = browser.post(step_url(draft, name), form)
    assert isinstance(answer, HttpResponse)
    return answer


def test_the_same_field_is_shown_twice_and_nothing_is_lost(kim: Browser, draft: Draft) -> None:
    first, second = opened(kim, draft), opened(kim, draft)
    assert send(kim, draft, first, publisher="First Inc").status_code == 302
    page = send(kim, draft, second, publisher="Second Inc", purpose="Counts more.")
    assert page.status_code == 409
    shown = Texts(page)
    assert "Another window changed this step meanwhile" in shown.text
    assert "First Inc" in shown.by_id["two-windows"]
    assert "Counts" not in shown.by_id["two-windows"]  # Nobody else changed that.
    assert shown.values("publisher") == ["Second Inc"]
    assert (answers_of(draft)["publisher"], answers_of(draft)["purpose"]) == ("First Inc", "Counts vaccinations.")
    again = send(kim, draft, state_on(page), publisher="Second Inc", purpose="Counts more.")
    assert again.status_code == 302
    assert (answers_of(draft)["publisher"], answers_of(draft)["purpose"]) == ("Second Inc", "Counts more.")


def test_two_fields_are_both_kept_and_the_second_is_told(kim: Browser, draft: Draft) -> None:
    first, second = opened(kim, draft), opened(kim, draft)
    send(kim, draft, first, publisher="First Inc")
    answer = send(kim, draft, second, purpose="Counts more.")
    assert answer.status_code == 302
    assert (answers_of(draft)["publisher"], answers_of(draft)["purpose"]) == ("First Inc", "Counts more.")
    said = unescape(kim.get(answer.headers["Location"]).content.decode())
    assert "Another window had changed “Publisher” meanwhile; that is kept, too." in said


def test_the_same_change_twice_is_no_difference(kim: Browser, draft: Draft) -> None:
    first, second = opened(kim, draft), opened(kim, draft)
    for state in (first, second):
        assert send(kim, draft, state, publisher="New Inc").status_code == 302


def test_the_table_of_data_is_one_field(kim: Browser, draft: Draft) -> None:
    first, second = opened(kim, draft, "data"), opened(kim, draft, "data")
    send(kim, draft, first, "data", data=["Patient.r"], tenants=["sandbox"])
    page = send(kim, draft, second, "data", data=["Goal.r"], tenants=["sandbox"])
    assert page.status_code == 409
    assert "system/Patient.r" in Texts(page).by_id["two-windows"]
    assert Texts(page).values("data") == ["Goal.r"]


def test_the_script_saves_one_after_the_other_and_undoes_nothing(kim: Browser, draft: Draft) -> None:
    state = opened(kim, draft)
    other = opened(kim, draft)

    def check(**typed: str) -> Any:
        return kim.post(f"{step_url(draft, 'identity')}/check", IDENTITY | typed | {"state": state})

    for publisher in ("A", "AB"):  # Of itself it hears nothing.
        answer = check(publisher=publisher)
        state = answer.json()["state"]
    send(kim, draft, other, purpose="Counts more.")
    state = check(publisher="ABC").json()["state"]  # Its form still shows the purpose as it was.
    assert check(publisher="ABCD").status_code == 200
    assert (answers_of(draft)["publisher"], answers_of(draft)["purpose"]) == ("ABCD", "Counts more.")
    refused = check(publisher="ABCD", purpose="Mine.")
    assert (refused.status_code, refused.json()["error"]) == (409, "not_possible")
    assert "Press Next" in refused.json()["fix"]


@pytest.mark.parametrize("state", ["", "x", "[]", '{"publisher": 1}', "{", "\ud800".encode(errors="replace").decode()])
def test_a_form_that_does_not_say_how_it_was_counts(kim: Browser, draft: Draft, state: str) -> None:
    assert send(kim, draft, state, publisher="New Inc").status_code == 302
    assert answers_of(draft)["publisher"] == "New Inc"


def test_what_another_window_saved_is_text(kim: Browser, draft: Draft) -> None:
    first, second = opened(kim, draft), opened(kim, draft)
    send(kim, draft, first, publisher="<script>alert(1)</script>")
    page = send(kim, draft, second, publisher="Second Inc").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
