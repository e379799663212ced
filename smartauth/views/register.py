"""Dynamic registration: a client registers itself, looks at its registration, replaces it, and ends it."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from clients import registration_trials, self_registration
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import InvalidToken, NotFound, Refusal
from smartauth.json_bodies import json_object
from smartauth.policy.showing import split_authorization
from smartauth.responses import oauth_json


@oauth_json("POST", endpoint="register", status=201)
def register(request: HttpRequest) -> dict[str, Any]:
    """Register a client for the holder of an initial access token.  Source: RFC 7591 §3."""
    _require_registration()
    token = _require_bearer(request)
    return self_registration.register(
        json_object(request), initial_token=token, context=context_of(request), now=timezone.now()
    )


@oauth_json("GET", "PUT", "DELETE", endpoint="registration", empty=204)
def manage_registration(request: HttpRequest, client_id: str) -> dict[str, Any] | None:
    """Read, replace or end the registration of a client that shows its token.  Source: RFC 7592 §2."""
    _require_registration()
    token, context = _require_bearer(request), context_of(request)
    # Read before anything is locked: a body may come slowly.
    metadata = json_object(request) if request.method == "PUT" else {}
    problems = registration_trials.try_new_keys(client_id, token, metadata, context=context, now=timezone.now())
    with transaction.atomic():
        client = self_registration.require_client(client_id, token, context=context)
        if request.method == "GET":
            return self_registration.read(client, token)
        if request.method == "PUT":
            return self_registration.replace(client, metadata, context=context, problems=problems)
        self_registration.retire(client, context=context)
    return None


def _require_registration() -> None:
    if not config().registration:
        raise NotFound(
            Refusal(
                "registration.off",
                "clients do not register themselves at this server",
                fix="Ask the operator to register the client.",
            )
        )


def _require_bearer(request: HttpRequest) -> str:
    """Return the token of the request. Raises InvalidToken when it shows none."""
    match split_authorization(request.headers.get("Authorization", "")):
        case ("bearer", token) if token:
            return token
    raise InvalidToken(Refusal("registration.no_token", "the request shows no bearer token"), presented=False)
