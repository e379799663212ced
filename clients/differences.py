"""What a change of client metadata changes, so that somebody can decide about it at a glance. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clients.serializers import ClientMetadataSerializer

# In the order people ask about them; whatever is not named here comes after, under its own name.
LABELS = {
    "client_name": "Name",
    "publisher": "Publisher",
    "purpose": "Purpose",
    "intended_users": "Made for",
    "scope": "Scopes",
    "grant_types": "Grant types",
    "redirect_uris": "Redirect URIs",
    "post_logout_redirect_uris": "Redirect URIs after signing out",
    "launch_urls": "Launch URLs",
    "allowed_origins": "Origins of its pages",
    "application_type": "Application type",
    "token_endpoint_auth_method": "How it authenticates",
    "token_endpoint_auth_signing_alg": "Signature algorithm",
    "jwks_uri": "Key set at",
    "jwks": "Keys",
    "contacts": "Contacts",
    "client_uri": "Website",
    "logo_uri": "Logo",
    "policy_uri": "Privacy policy",
    "tos_uri": "Terms",
    "funding": "Who pays",
    "data_sharing": "Passes data on to",
    "data_deletion": "How data is deleted",
}
# Text that is a set of words.
WORDS = ("scope",)


def merged(now: Mapping[str, Any], before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client is now with the difference between `before` and `wanted` applied, and nothing else.

    What somebody else changed meanwhile stays: a key that was replaced must not come back with a change of the name,
    nor a scope that an operator took away. Of lists only what was added is added, and what was removed is removed.
    """
    result = dict(now)
    for name in {*before, *wanted}:
        old, new = before.get(name), wanted.get(name)
        if (old or None) == (new or None):
            continue
        if name in WORDS or isinstance(old or new, list | tuple):
            kept = _edited(_words(now.get(name)), _words(old), _words(new))
            result[name] = " ".join(kept) if name in WORDS else list(kept)
        else:
            result[name] = new
    return {name: value for name, value in result.items() if value is not None}


def _edited(now: tuple[str, ...], before: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    if now == before:
        return wanted  # In its order.
    kept = tuple(one for one in now if one in wanted or one not in before)
    return tuple(dict.fromkeys((*kept, *(one for one in wanted if one not in before))))


@dataclass(frozen=True, slots=True)
class Difference:
    """One member that changes. For lists `added` and `removed` say how; for the rest `before` and `after` do.

    `widens`: it gives the client more than was approved, or shows people something else.
    """

    member: str
    label: str
    before: str
    after: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    widens: bool = False

    @property
    def is_list(self) -> bool:
        return bool(self.added or self.removed)


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], *, widening: Iterable[str] = ()
) -> tuple[Difference, ...]:
    """Return the members in which two whole metadata differ.  widening: members that go beyond what was approved."""
    wide = frozenset(widening)
    known = (*LABELS, *(name for name in ClientMetadataSerializer().fields if name not in LABELS))
    found = (_difference(name, before.get(name), after.get(name), name in wide) for name in known)
    return tuple(one for one in found if one is not None)


def _difference(name: str, before: Any, after: Any, widens: bool) -> Difference | None:
    if (before or None) == (after or None):
        return None
    label = LABELS.get(name, name)
    if name in WORDS or isinstance(before or after, list | tuple):
        old, new = _words(before), _words(after)
        added = tuple(one for one in new if one not in old)
        removed = tuple(one for one in old if one not in new)
        if not added and not removed:
            return None  # The order says nothing.
        return Difference(name, label, " ".join(old), " ".join(new), added, removed, widens)
    return Difference(name, label, _shown(before), _shown(after), widens=widens)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(value.split()) if isinstance(value, str) else tuple(map(str, value or ()))


def _shown(value: Any) -> str:
    """Say a value in a line. Of a key set only which keys there are: nobody compares moduli by eye."""
    if isinstance(value, Mapping):
        keys = value.get("keys")
        if isinstance(keys, list):
            return ", ".join(str(key.get("kid", "")) for key in keys if isinstance(key, Mapping)) or "no keys"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
