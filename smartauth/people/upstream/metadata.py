"""What the identity provider publishes about itself: its endpoints and its keys, kept for a while in this process."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clients.jwks_rules import UnusableJwks, read_jwks
from smartauth.conf import UpstreamIdp
from smartauth.errors import Refusal
from smartauth.people.upstream.fetching import ProviderUnavailable, get_json, is_reachable_by_rule, unavailable

WELL_KNOWN = "/.well-known/openid-configuration"
GOOD_FOR = timedelta(hours=1)
# An ID token with an unknown `kid` makes us look for new keys, but not each time: anybody can send one.
BETWEEN_LOOKS = timedelta(seconds=30)

Keys = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider as it describes itself. `takes_basic`: the secret goes into the header, else into the body."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    takes_basic: bool
    names_itself: bool  # with `iss` on every answer to a browser (RFC 9207)


@dataclass(frozen=True, slots=True)
class _Kept:
    provider: Provider
    keys: Keys
    at: datetime
    keys_at: datetime


_kept: dict[str, _Kept] = {}
_lock = threading.Lock()


def find_provider(idp: UpstreamIdp, *, now: datetime) -> Provider:
    """Return the endpoints of the provider. Raises ProviderUnavailable.  Source: OIDC Discovery §4.3."""
    return _current(idp, now).provider


def find_keys(idp: UpstreamIdp, *, kid: str, now: datetime) -> Keys:
    """Return the provider's signing keys, looking again for one called `kid` that we do not have.

    Raises ProviderUnavailable.
    """
    kept = _current(idp, now)
    if kid and kid not in {key["kid"] for key in kept.keys} and now - kept.keys_at > BETWEEN_LOOKS:
        kept = _keep(idp, _Kept(kept.provider, _fetch_keys(kept.provider), kept.at, now))
    return kept.keys


def forget() -> None:
    """Forget what was read, so that the next sign-in reads it again."""
    _kept.clear()


def _current(idp: UpstreamIdp, now: datetime) -> _Kept:
    kept = _kept.get(idp.issuer)
    if kept is None or now - kept.at > GOOD_FOR:
        provider = _fetch_provider(idp)
        kept = _keep(idp, _Kept(provider, _fetch_keys(provider), now, now))
    return kept


def _keep(idp: UpstreamIdp, kept: _Kept) -> _Kept:
    with _lock:
        _kept[idp.issuer] = kept
    return kept


def _fetch_provider(idp: UpstreamIdp) -> Provider:
    document = get_json(f"{idp.issuer.removesuffix('/')}{WELL_KNOWN}")
    if document.get("issuer") != idp.issuer:
        raise unavailable(
            "upstream.issuer",
            "the identity provider gives itself another issuer than the one configured",
            expected=idp.issuer,
            seen=str(document.get("issuer")),
        )
    found = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for name, url in found.items():
        if not is_reachable_by_rule(url):
            raise unavailable("upstream.url", f"its {name} is not an https URL", seen=str(url))
    # What a provider means that says nothing of this (OIDC Discovery §3).
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Provider(
        **{name: str(url) for name, url in found.items()},
        takes_basic="client_secret_basic" in methods if isinstance(methods, list) else True,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _fetch_keys(provider: Provider) -> Keys:
    try:
        return tuple(dict(key) for key in read_jwks(get_json(provider.jwks_uri)))
    except UnusableJwks as error:
        refusal = Refusal("upstream.keys", "the identity provider's keys cannot be read", officer=str(error)[:500])
        raise ProviderUnavailable(refusal) from None
