"""Two partners, what one of them has, and programs of theirs."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients import api_tokens, drafts
from clients.key_pairs import KeyPair
from clients.models import Client, Draft
from smartauth.conf import config
from smartauth.context import new_context
from smartauth.people.models import User
from smartauth.receipts import recording
from tests.factories import make_tenant

BASE = "/developers/api"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """A program of a partner, with the token it sends; "" for none."""

    token: str = ""

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> HttpResponse:
        """Send a request with a JSON body, or with none."""
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}"} | headers
        answer: HttpResponse = Browser(HTTP_HOST="127.0.0.1:8000").generic(
            method,
            path if path.startswith("/") else f"{BASE}/{path}",
            "" if body is None else json.dumps(body),
            content_type="" if body is None else "application/json",
            headers=headers,
            secure=not config().is_sandbox,
        )
        return answer


def make_user(name: str) -> User:
    return User.objects.create_user(name, password="not used here")


def program_of(user: User) -> Program:
    issued = api_tokens.issue_token(
        user.pk, "tests", lifetime=timedelta(days=1), context=new_context(), now=timezone.now()
    )
    return Program(issued.token)


def service_answers(pair: KeyPair, **members: Any) -> Json:
    return {
        "client_name": "Night Export",
        "publisher": "Kim Inc",
        "purpose": "Counts vaccinations.",
        "contacts": ["kim@example.org"],
        "scope": "system/Immunization.rs",
        "jwks": {"keys": [pair.public_jwk]},
        "tenants": ["sandbox"],
    } | members


def make_draft(user: User, pair: KeyPair, **members: Any) -> Draft:
    draft = drafts.begin(user.pk, "service")
    drafts.save_answers(draft, service_answers(pair, **members))
    return draft


def make_own_client(user: User, pair: KeyPair, **members: Any) -> Client:
    return drafts.submit(make_draft(user, pair, **members), user=user.pk, context=new_context()).client


@pytest.fixture
def kim(db: None) -> User:
    make_tenant(name="Sandbox Hospital")
    return make_user("kim")


@pytest.fixture
def kims(kim: User) -> Program:
    """Return a program of kim's."""
    return program_of(kim)


@pytest.fixture
def mallorys(db: None) -> Program:
    """Return a program of somebody who has nothing to do with kim."""
    return program_of(make_user("mallory"))


@pytest.fixture(autouse=True)
def everything_leaves_a_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin to count refusals anew: after a flood they would leave none."""
    monkeypatch.setattr(recording, "_flood", recording._Flood())
