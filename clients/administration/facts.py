"""What an app says of itself, as the hospital's pages show it: in the order of questions, with scopes in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clients.differences import LABELS
from clients.models import Client, ClientEvent
from clients.portal.wordings import ACTS
from smartauth.errors import InvalidScope
from smartauth.policy.scopes import ResourceScope, parse_scope
from smartauth.policy.wording import words_for

WHO = ("publisher", "contacts", "client_uri", "policy_uri", "tos_uri", "logo_uri")
WHAT_FOR = ("purpose", "intended_users", "funding", "data_sharing", "data_deletion")
HOW = (
    *("token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "jwks_uri", "jwks", "grant_types"),
    *("application_type", "redirect_uris", "post_logout_redirect_uris", "launch_urls", "allowed_origins"),
    *("smart_version", "software_id", "software_version", "dpop_bound_access_tokens"),
)
SECTIONS = (("Who", WHO), ("What for", WHAT_FOR), ("How it connects", HOW))
# What nobody answered is shown as such where people would miss it.
EXPECTED = ("publisher", "contacts", "client_uri", "policy_uri", "purpose", "data_sharing", "data_deletion")
MORE_LABELS = {
    "smart_version": "Written for SMART",
    "software_id": "Software id",
    "software_version": "Software version",
    "dpop_bound_access_tokens": "Tokens bound to a key",
}
NAMED_SCOPES = {
    "openid": "Learn who is signed in",
    "fhirUser": "Learn who is signed in, as a FHIR resource",
    "profile": "Learn who is signed in, as a FHIR resource",
    "launch": "Be told which patient is open in the EHR",
    "launch/patient": "Have a patient chosen",
    "launch/encounter": "Have an encounter chosen",
    "offline_access": "Go on when the person is away, until somebody stops it",
    "online_access": "Go on as long as the person stays signed in",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope with what it means."""

    text: str
    words: str
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer of the app's publisher; `values` is empty where they gave none."""

    label: str
    values: tuple[str, ...]


def facts_of(metadata: Mapping[str, Any]) -> list[tuple[str, list[Fact]]]:
    """Return client metadata by section, without what is neither answered nor expected."""
    found = []
    for title, names in SECTIONS:
        facts = [Fact((LABELS | MORE_LABELS)[one], _values(metadata.get(one))) for one in names]
        expected = [one in EXPECTED for one in names]
        found.append((title, [fact for fact, wanted in zip(facts, expected, strict=True) if fact.values or wanted]))
    return found


def scopes_in_words(scopes: Iterable[str]) -> list[Scope]:
    """Return each scope with words for it; one that cannot be read says so."""
    return [_in_words(one) for one in scopes]


def _in_words(text: str) -> Scope:
    try:
        scope = parse_scope(text)
    except InvalidScope as error:
        return Scope(text, f"cannot be read: {error.refusal.reason}", is_wide=True)
    if isinstance(scope, ResourceScope):
        words = words_for(scope)
        whose = {"patient": "of the patient in context", "user": "of whom the user may see", "system": "of everybody"}
        is_wide = scope.resource == "*" or bool(set("cud") & set(scope.permissions))
        return Scope(text, f"{words.title}: {words.verbs}, {whose[scope.level]}", is_wide)
    return Scope(text, NAMED_SCOPES.get(text, "A right on this server"), text.startswith("__"))


def _values(value: Any) -> tuple[str, ...]:
    match value:
        case None | "" | False:
            return ()
        case True:
            return ("yes",)
        case Mapping():
            keys = value.get("keys")
            return tuple(_key(one) for one in keys if isinstance(one, Mapping)) if isinstance(keys, list) else ()
        case list() | tuple():
            return tuple(map(str, value))
    return (str(value),)


def _key(key: Mapping[str, Any]) -> str:
    return " ".join(str(key.get(name, "")) for name in ("kid", "kty", "alg")).strip()


def history_of(client: Client, most: int) -> list[tuple[ClientEvent, str]]:
    """Return what happened to a client, the newest first, each with its name in words."""
    events = client.events.select_related("user")[:most]
    return [(one, ACTS.get(one.act, one.act.replace("_", " ").capitalize())) for one in events]
