"""The portal when something else happened meanwhile: a session ended, an answer is loaded anew, an id is none."""

import re

import pytest
from django.test import Client as Browser

from clients.models import Client, Draft
from tests.clients.portal_pages import HOST, begin, partner, step_url
from tests.factories import make_client, make_tenant, web_app

pytestmark = pytest.mark.django_db

FORMS = ("revise", "steps/retired", "withdraw-change", "secret", "secret/end")


@pytest.fixture
def kim() -> Browser:
    make_tenant()
    return partner()[1]


def next_page(answer: object) -> str:
    [found] = re.findall(r"next=([^&]+)", answer.headers["Location"])  # type: ignore[attr-defined]
    return str(found).replace("%2F", "/")


@pytest.mark.parametrize("path", ["", "/clinic", *(f"/{one}" for one in FORMS)])
def test_an_id_with_nul_is_as_absent_as_any_other(kim: Browser, path: str) -> None:
    ask = kim.post if path[1:] in FORMS else kim.get
    assert ask(f"/developers/apps/a%00b{path}").status_code == 404


@pytest.mark.parametrize("form", ["submit", "discard"])
def test_whoever_was_signed_out_before_pressing_comes_back_to_the_draft(kim: Browser, form: str) -> None:
    draft = begin(kim)
    kim.logout()
    answer = kim.post(step_url(draft, form))
    assert (answer.status_code, next_page(answer)) == (302, step_url(draft, "review"))
    assert Draft.objects.filter(pk=draft.pk).exists()


@pytest.mark.parametrize("form", FORMS)
def test_whoever_was_signed_out_before_pressing_comes_back_to_the_app(kim: Browser, form: str) -> None:
    client = make_client(web_app(), owner=partner("lee")[0].pk).client
    kim.logout()
    answer = kim.post(f"/developers/apps/{client.client_id}/{form}")
    assert next_page(answer) == f"/developers/apps/{client.client_id}"
    assert Client.objects.get(pk=client.pk).status == client.status


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_loaded_anew_shows_the_app_and_repeats_nothing(form: str) -> None:
    user, browser = partner("lee")
    client = make_client(web_app(), owner=user.pk).client
    answer = browser.get(f"/developers/apps/{client.client_id}/{form}")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/developers/apps/{client.client_id}")
    assert not client.events.exists()
    assert Client.objects.get(pk=client.pk).client_secret == client.client_secret


def test_the_script_of_a_page_is_told_that_its_reader_is_signed_out(kim: Browser) -> None:
    draft = begin(kim)
    answer = Browser(HTTP_HOST=HOST).post(
        f"{step_url(draft, 'identity')}/check", {"client_name": "Mine"}, headers={"Accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "signed_out")
    assert answer.json()["fix"]
