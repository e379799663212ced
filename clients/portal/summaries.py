"""What a draft says, in the words its owner answered in: the list on the review page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from clients.app_kinds import KINDS
from clients.differences import LABELS
from clients.findings import STEPS, TENANTS
from clients.models import Draft
from clients.portal.fields import METHODS, STEP_TITLES

MORE_LABELS = {
    TENANTS: "Works at",
    "grant_types": "Grant types",
    "id_token_signed_response_alg": "ID tokens are signed with",
    "require_pushed_authorization_requests": "Pushes its requests (PAR)",
    "dpop_bound_access_tokens": "Tokens bound to a key (DPoP)",
    "require_dpop_nonce": "DPoP nonces of ours",
    "smart_version": "Written for SMART",
    "software_id": "Software id",
    "software_version": "Software version",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One answer. `items` are several values of it."""

    member: str
    label: str
    items: tuple[str, ...]
    is_code: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The answers of one step, and where they are changed."""

    title: str
    url: str
    lines: tuple[Line, ...]


def summary_of(draft: Draft) -> tuple[Part, ...]:
    """Return what was answered, step by step; what was left open is not in it."""
    hidden = KINDS[draft.kind].hidden
    return tuple(
        Part(
            STEP_TITLES[step],
            reverse("step", args=[draft.pk, step]),
            tuple(
                line for line in lines_of((name for name in members if name not in hidden), draft.answers) if line.items
            ),
        )
        for step, members in STEPS.items()
    )


def lines_of(members: Iterable[str], answers: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return what was answered to each of `members`; no items for what was left open."""
    return tuple(Line(name, _label(name), _items(name, answers), name in CODE) for name in members)


def named(members: Iterable[str]) -> str:
    """Return the fields in a sentence, by the names the pages give them."""
    return ", ".join(f"“{_label(name)}”" for name in members)


def _label(member: str) -> str:
    return LABELS.get(member, MORE_LABELS.get(member, member))


CODE = frozenset(
    {
        *("redirect_uris", "launch_urls", "post_logout_redirect_uris", "allowed_origins", "jwks_uri", "jwks", "scope"),
        *("client_uri", "logo_uri", "policy_uri", "tos_uri", "grant_types", "token_endpoint_auth_signing_alg"),
    }
)


def _items(name: str, answers: Mapping[str, Any]) -> tuple[str, ...]:
    value = answers.get(name)
    if name == "token_endpoint_auth_method":
        return next(((one.title,) for one in METHODS if one.value == value), (str(value or ""),) if value else ())
    if name == "jwks":
        return _kids(value)
    if name == "scope":
        return tuple(value.split()) if isinstance(value, str) else ()
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    if isinstance(value, bool):
        return ("yes",) if value else ()
    return (str(value),) if value else ()


def _kids(value: Any) -> tuple[str, ...]:
    """Name the keys that were given; a text that could not be read is named as that."""
    keys = value.get("keys") if isinstance(value, dict) else None
    if isinstance(keys, list):
        return tuple(str(key.get("kid", "a key without kid")) for key in keys if isinstance(key, dict))
    return ("pasted text that could not be read",) if value else ()
