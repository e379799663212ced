"""Names that people would take for another app's.  RFC 7591 §5."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.urls import reverse

from clients.lookalikes import warning
from clients.models import Client
from tests.factories import make_client, phone_app, web_app

OTHERS = ["Growth Chart", "MyHealth Portal", ""]
MISLEADING = [
    ("growth chart", "Growth Chart"),
    ("Growth-Chart", "Growth Chart"),
    ("GrоwthChаrt", "Growth Chart"),  # With Cyrillic letters in it.
    ("Gr0wth Chart", "Growth Chart"),
    ("Grówth Chárt", "Growth Chart"),
    ("Ｇｒｏｗｔｈ Chart", "Growth Chart"),
    ("MyHea1th Porta!", "MyHealth Portal"),
    ("MyHeaIth Portal", "MyHealth Portal"),
]


@pytest.mark.requirement("SEC-11")
@pytest.mark.parametrize(("name", "other"), MISLEADING)
def test_a_name_that_looks_like_anothers_is_told(name: str, other: str) -> None:
    assert warning(name, OTHERS) == f"looks like {other}"


@pytest.mark.requirement("SEC-11")
def test_a_name_in_several_alphabets_is_told() -> None:
    assert warning("Kаrdio", OTHERS) == "is written in several alphabets: CYRILLIC, LATIN"


@pytest.mark.parametrize("name", ["Growth Charts", "Cardio Clinic", "Кардио", "Μέτρηση", "心電図", "Chart 2"])
def test_other_names_are_fine(name: str) -> None:
    assert warning(name, OTHERS) == ""


@pytest.mark.requirement("SEC-11")
def test_an_operator_sees_it_before_and_when_approving(db: None) -> None:
    make_client(phone_app(client_name="Growth Chart"))
    make_client(web_app(client_id="mallory", client_name="Gr0wth Chart"), status=Client.Status.SUBMITTED)
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("root"))
    url = reverse("admin:clients_client_changelist")
    assert "looks like Growth Chart" in browser.get(url).content.decode()
    mallory = Client.objects.get(client_id="mallory")
    page = browser.get(reverse("admin:clients_client_change", args=[mallory.pk])).content.decode()
    assert "looks like Growth Chart" in page
    review = browser.get(reverse("admin:clients_client_review", args=[mallory.pk])).content.decode()
    assert "It looks like Growth Chart." in review
