"""An access token of OAuth opens nothing of the portal: an app must not manage how its user's apps are registered."""

import json
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from clients.key_pairs import KeyPair
from smartauth.context import new_context
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.sandbox.minting import mint
from smartauth.tokens import require_access
from tests.api.conftest import BASE, make_own_client


@pytest.mark.parametrize("scope", ["user/*.cruds openid fhirUser", "system/*.cruds __launch __introspect"])
def test_an_access_token_of_the_owner_is_refused_everywhere(kim: User, ec: KeyPair, scope: str) -> None:
    client_id = make_own_client(kim, ec).client_id
    claims: dict[str, Any] = {"client_id": client_id, "tenant": "sandbox", "scope": scope, "sub": "kim"}
    token = mint(claims, user="kim", now=timezone.now())
    alive = require_access(token, tenant=None, context=new_context(), now=timezone.now())
    assert alive.client_id == client_id
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    signed_in = Browser(HTTP_HOST="127.0.0.1:8000")
    signed_in.force_login(kim)
    for method, path in (("GET", "clients"), ("GET", "kinds"), ("POST", f"clients/{client_id}/retire")):
        for one in (browser, signed_in):  # A session does not make up for it.
            answer = one.generic(method, f"{BASE}/{path}", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401
            trace = json.loads(answer.content)["trace_id"]
            assert Receipt.objects.get(trace_id=trace).rule == "api.token_unknown"
    assert token not in str(list(Receipt.objects.values_list()))
