"""An administrator decides that clinicians are let into an app without the consent page: for whom, how it is said."""

import re
from html import unescape

import pytest
from django.test import Client as Browser
from django.urls import reverse

from clients.acting import NotPossible, operator
from clients.activations import activate
from clients.models import Activation
from clients.registered import find_client
from smartauth.context import new_context
from smartauth.people.models import User
from tests.factories import make_client, make_tenant, phone_app, web_app

pytestmark = pytest.mark.django_db

SCOPE = "launch user/Patient.rs"
UNFIT = [
    (
        web_app(scope=SCOPE),
        "",
        "only scopes that are written down at the tenant go without consent: choose them under Only these",
    ),
    (phone_app(scope=SCOPE), SCOPE, "a client that cannot prove who it is never goes without consent"),
]


@pytest.mark.requirement("LAUNCH-08")
@pytest.mark.parametrize(("metadata", "scope", "why"), UNFIT)
def test_only_what_proves_itself_goes_without_consent_for_scopes_that_are_written_down(
    metadata: dict[str, object], scope: str, why: str
) -> None:
    tenant, client = make_tenant(), make_client(metadata).client
    boss = operator(User.objects.create_superuser("boss").pk)
    with pytest.raises(NotPossible) as refused:
        activate(client, tenant, allowed_scope=scope, by=boss, context=new_context(), skips_consent=True)
    assert (refused.value.refusal.rule, refused.value.refusal.reason) == ("activation.skips_consent", why)
    assert not Activation.objects.filter(skips_consent=True).exists()


@pytest.mark.requirement("LAUNCH-08")
def test_it_is_decided_on_the_page_of_the_client_at_the_tenant_and_taken_back_there() -> None:
    make_tenant()
    client = make_client(web_app(scope=SCOPE)).client
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    url = reverse("admin:clients_client_at", args=[client.pk, "sandbox"])

    def send(**said: str | list[str]) -> str:
        page = browser.get(url).content.decode()
        seen = re.search(r'name="seen" value="([^"]*)"', page)
        assert seen
        answer = browser.post(url, {"seen": unescape(seen[1]), "act": "on"} | said)
        return unescape(answer.content.decode())

    assert "Weakens a rule" in browser.get(url).content.decode()
    whole = send(most="whole", skips_consent="on", confirmed="yes")
    assert "Only scopes that are written down at the tenant go without consent: choose them under Only these." in whole
    chosen: dict[str, str | list[str]] = {"most": "chosen", "keep": SCOPE.split()}
    assert "Clinicians whom an EHR launches into it are not asked. This weakens a rule." in send(
        **chosen, skips_consent="on"
    )
    assert not Activation.objects.filter(skips_consent=True).exists()
    send(**chosen, skips_consent="on", confirmed="yes")
    found = find_client(client.client_id)
    assert found is not None
    assert found.skips_consent == {"sandbox"}
    send(**chosen, confirmed="yes")
    assert not Activation.objects.get().skips_consent
