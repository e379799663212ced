"""How tests use the registry's pages in the admin site."""

import re
from typing import Any

from django.http import HttpResponse
from django.test import Client as Browser


def client_form(**changes: object) -> dict[str, object]:
    return {
        "client_id": "growth-chart",
        "name": "Growth Chart",
        "status": "approved",
        "application_type": "web",
        "token_endpoint_auth_method": "none",
        "token_endpoint_auth_signing_alg": "",
        "client_jwks_uri": "",
        "client_jwks": "",
        "grant_types": ["authorization_code"],
        "scope": "patient/*.rs\nopenid",
        "restrictions": "",
        "id_token_signed_response_alg": "RS256",
        "smart_version": "2.2",
        "redirect_uris": "https://a.example.org/cb\nhttps://a.example.org/cb2",
        "activations-TOTAL_FORMS": "0",
        "activations-INITIAL_FORMS": "0",
        **changes,
    }


def errors_of(answer: HttpResponse) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


def change_url(row: Any) -> str:
    return f"/admin/clients/{type(row).__name__.lower()}/{row.pk}/change/"


def act(browser: Browser, model: str, action: str, *rows: Any) -> HttpResponse:
    body = {"action": action, "_selected_action": [row.pk for row in rows]}
    return browser.post(f"/admin/clients/{model}/", body, follow=True)


def secrets_on(answer: HttpResponse) -> list[str]:
    """Return the client secrets a page shows, in order."""
    return re.findall(r"<code>([A-Za-z0-9_~.-]{43,})</code>", answer.content.decode())
