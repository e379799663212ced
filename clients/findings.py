"""Everything that is wrong with a registration being filled in, field by field, each with its fix.

The rules are those of `metadata.py`, which stop at the first mistake; here they go on with the member left out.
What a draft must have beyond them is here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clients.app_kinds import KINDS, Kind
from clients.jwks_rules import shown
from clients.metadata import ClientMetadata, InvalidClientMetadata
from clients.models import WITH_SECRET
from clients.private_keys import holds_private_key
from smartauth.errors import InvalidScope
from smartauth.policy.scopes import NamedScope, ResourceScope, parse_scope, split_scope

# Members of drafts that are not client metadata.
TENANTS = "tenants"
STEPS: Mapping[str, tuple[str, ...]] = {
    "identity": (
        *("client_name", "publisher", "purpose", "intended_users", "contacts", "client_uri", "logo_uri"),
        *("policy_uri", "tos_uri", "funding", "data_sharing", "data_deletion"),
    ),
    "connection": (
        *("application_type", "redirect_uris", "launch_urls", "post_logout_redirect_uris", "allowed_origins"),
        *("token_endpoint_auth_method", "jwks_uri", "jwks", "token_endpoint_auth_signing_alg"),
        *("id_token_signed_response_alg", "require_pushed_authorization_requests", "dpop_bound_access_tokens"),
        *("require_dpop_nonce", "smart_version", "software_id", "software_version"),
    ),
    "data": ("scope", "grant_types", "response_types", TENANTS),
}
REQUIRED = {
    "client_name": "Say what the app is called.",
    "publisher": "Say which organisation or person answers for it.",
    "purpose": "Say in a sentence or two what it is for.",
    "contacts": "Give an address where somebody reads.",
    "scope": "Choose at least one kind of data.",
}
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
MOST_ROUNDS = 40
# What takes the place of a member that cannot be left out, while the others are looked at.
STAND_INS: Mapping[str, Any] = {
    "redirect_uris": ["https://app.example.org/callback"],
    "jwks_uri": "https://app.example.org/jwks.json",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend. `member` is the field it stands at, `rule` its stable id, `fix` what to do."""

    member: str
    rule: str
    message: str
    fix: str = ""
    seen: str = ""

    @property
    def step(self) -> str:
        """Return the step of the wizard where the field is."""
        return next((step for step, members in STEPS.items() if self.member in members), "identity")

    def as_json(self) -> dict[str, str]:
        return {
            "member": self.member,
            "rule": self.rule,
            "message": self.message,
            "fix": self.fix,
            "seen": self.seen,
            "step": self.step,
        }


PRIVATE_KEY_SENT = Finding(
    "jwks",
    "jwks.private_key",
    "the private part of a key was in it; it was not kept",
    "Never use this key again: make a new pair, and paste its public part only.",
)


def find_problems(kind_name: str, answers: Mapping[str, Any], *, present: str = "") -> tuple[Finding, ...]:
    """Return what keeps `answers` from being registered as an app of that kind, in the order of the fields.

    present: scopes the client has already, as its operator gave them; nobody has to give them up.
    """
    kind = KINDS[kind_name]
    answers = {name: value for name, value in answers.items() if value not in ("", [], {}, None)}
    found = [*_missing(answers), *_contacts(answers), *_scopes(kind, answers, present), *_authentication(kind, answers)]
    found += _keys(answers)
    found += _metadata(kind, answers, {one.member for one in found})
    order = [member for members in STEPS.values() for member in members]
    return tuple(sorted(found, key=lambda one: order.index(one.member) if one.member in order else -1))


def as_metadata(kind_name: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the client metadata of a draft: what was answered, without what means nothing for its kind."""
    kind = KINDS[kind_name]
    return {
        name: value
        for name, value in answers.items()
        if name != TENANTS and name not in kind.hidden and value not in ("", [], {}, None)
    }


def private_key_sent(member: str) -> Finding:
    """Return the finding for an answer that held the private part of a key."""
    if member == "jwks":
        return PRIVATE_KEY_SENT
    fix = "Never use this key again: make a new pair. Nothing but its public part is for others, and that not here."
    return Finding(member, "draft.private_key", PRIVATE_KEY_SENT.message, fix)


def without_private_keys(answers: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return answers that may be stored, and the members a private key was in: one that was sent is not kept."""
    private = tuple(name for name, value in answers.items() if holds_private_key(value))
    return {name: None if name in private else value for name, value in answers.items()}, private


def _missing(answers: Mapping[str, Any]) -> list[Finding]:
    return [
        Finding(member, f"draft.{member}_missing", "it is needed", fix)
        for member, fix in REQUIRED.items()
        if member not in answers
    ]


def _contacts(answers: Mapping[str, Any]) -> list[Finding]:
    contacts = answers.get("contacts", ())
    bad = [one for one in contacts if EMAIL.fullmatch(str(one)) is None] if isinstance(contacts, list | tuple) else []
    return [
        Finding("contacts", "draft.contact", "it is not an e-mail address", "Write it as name@example.org.", shown(one))
        for one in bad
    ]


def _scopes(kind: Kind, answers: Mapping[str, Any], present: str) -> list[Finding]:
    text, had = answers.get("scope", ""), split_scope(present)
    asked = [scope for scope in split_scope(text) if scope not in had] if isinstance(text, str) else []
    return [one for scope in asked for one in _scope(kind, scope)]


def _scope(kind: Kind, text: str) -> Iterable[Finding]:
    try:
        scope = parse_scope(text)
    except InvalidScope as error:
        yield Finding("scope", "draft.scope", error.refusal.reason, error.refusal.fix or "Correct it.", shown(text))
        return
    match scope:
        case ResourceScope(level=level) if level not in _levels(kind):
            yield Finding(
                "scope",
                "draft.scope_level",
                f"{level}/ scopes are not for this kind of app",
                f"Ask for {' or '.join(f'{one}/' for one in _levels(kind))} scopes.",
                shown(text),
            )
        case NamedScope(kind="extension"):
            yield Finding(
                "scope", "draft.scope_right", "it is a right only an operator gives", "Leave it out.", shown(text)
            )
        case NamedScope() if text not in (*kind.launch_scopes, "profile"):
            yield Finding("scope", "draft.scope_kind", "it is not for this kind of app", "Leave it out.", shown(text))


def _levels(kind: Kind) -> tuple[str, ...]:
    return ("user", "patient") if kind.level == "user" else (kind.level,)


def _authentication(kind: Kind, answers: Mapping[str, Any]) -> list[Finding]:
    method = answers.get("token_endpoint_auth_method")
    if kind.level == "system" and (method in WITH_SECRET or method == "none"):
        return [
            Finding(
                "token_endpoint_auth_method",
                "draft.service_without_key",
                "a backend service proves who it is with a key; a shared secret is not enough",
                "Choose a key pair.",
                str(method),
            )
        ]
    return []


def _keys(answers: Mapping[str, Any]) -> list[Finding]:
    if not isinstance(answers.get("jwks"), str):
        return []
    message = "it cannot be read as a JWK Set, as one JWK, or as a public key in PEM"
    return [Finding("jwks", "draft.jwks_unreadable", message, "Paste the public part just as your tool wrote it.")]


def _metadata(kind: Kind, answers: Mapping[str, Any], known: set[str]) -> list[Finding]:
    """Apply the rules of all metadata again and again, each time without the member that was refused."""
    # Scopes were looked at one by one already.
    left = {n: value for n, value in as_metadata(kind.name, answers).items() if n not in known | {"scope"}}
    found: list[Finding] = []
    for _ in range(MOST_ROUNDS):
        if "jwks" in known:  # They were given, though not well: that they are missing would be one complaint too many.
            left.setdefault("jwks_uri", STAND_INS["jwks_uri"])
        try:
            ClientMetadata.from_json(left, operator=False)
        except InvalidClientMetadata as error:
            member = error.member
            if member not in known:
                found.append(Finding(member, error.refusal.rule, error.why, error.refusal.fix, error.refusal.seen))
            if member in known and left.get(member) == STAND_INS.get(member):
                break  # It follows from what was left out before.
            known = known | {member}
            left.pop(member, None)
            if member in STAND_INS:
                left[member] = STAND_INS[member]
        else:
            break
    return found
