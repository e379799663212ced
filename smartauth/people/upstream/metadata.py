"""What the identity provider publishes about itself: its endpoints and its keys, kept for a while in this process."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from clients.jwks_rules import UnusableJwks, read_jwks
from smartauth.conf import UpstreamIdp
from smartauth.errors import Refusal
from smartauth.people.upstream.fetching import (
    ProviderUnavailable,
    get_json,
    in_turn,
    is_reachable_by_rule,
    unavailable,
)
from smartauth.people.upstream.identity_tokens import ALGORITHMS

WELL_KNOWN = "/.well-known/openid-configuration"
GOOD_FOR = timedelta(hours=1)
# A provider that did not do its part is left alone for as long: each try may hold a thread until it times out.
BETWEEN_TRIES = timedelta(seconds=15)
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
    algorithms: frozenset[str]  # of ours, those it may sign ID tokens with


@dataclass(frozen=True, slots=True)
class _Kept:
    provider: Provider
    keys: Keys
    at: datetime
    looked_at: datetime | None = None  # when new keys were last looked for, found or not


@dataclass(frozen=True, slots=True)
class _Failed:
    refusal: Refusal
    at: datetime


_kept: dict[str, _Kept] = {}
_failed: dict[str, _Failed] = {}
_asking = threading.BoundedSemaphore(1)


def find_provider(idp: UpstreamIdp, *, now: datetime, until: float) -> Provider:
    """Return the endpoints of the provider. Raises ProviderUnavailable.  Source: OIDC Discovery §4.3.

    until: how long it may take, by `time.monotonic`.
    """
    return _current(idp, now, until).provider


def find_keys(idp: UpstreamIdp, *, kid: str | None, now: datetime, until: float) -> Keys:
    """Return the provider's signing keys, looking again for one called `kid` that we do not have.

    kid: None for a token that names no key, which may always be a new one. Raises ProviderUnavailable.
    """
    kept = _current(idp, now, until)
    if _knows(kept, kid):
        return kept.keys
    with in_turn(_asking, until):
        kept = _kept.get(idp.issuer, kept)
        if not _knows(kept, kid) and (kept.looked_at is None or now - kept.looked_at > BETWEEN_LOOKS):
            kept = _keep(idp, replace(kept, looked_at=now))  # Before looking: a look that fails is one as well.
            kept = _keep(idp, replace(kept, keys=_fetch_keys(idp, kept.provider, until)))
    return kept.keys


def forget() -> None:
    """Forget what was read, so that the next sign-in reads it again."""
    _kept.clear()
    _failed.clear()


def _knows(kept: _Kept, kid: str | None) -> bool:
    return kid is not None and any(key.get("kid") == kid for key in kept.keys)


def _current(idp: UpstreamIdp, now: datetime, until: float) -> _Kept:
    kept = _remembered(idp, now)
    if kept is not None:
        return kept
    with in_turn(_asking, until):
        kept = _remembered(idp, now)
        return kept if kept is not None else _ask(idp, now, until)


def _remembered(idp: UpstreamIdp, now: datetime) -> _Kept | None:
    """Return what is known and not too old. Raises ProviderUnavailable again where the last try was a moment ago."""
    kept, failed = _kept.get(idp.issuer), _failed.get(idp.issuer)
    if kept is not None and now - kept.at <= GOOD_FOR:
        return kept
    if failed is not None and now - failed.at < BETWEEN_TRIES:
        raise ProviderUnavailable(failed.refusal)
    return None


def _ask(idp: UpstreamIdp, now: datetime, until: float) -> _Kept:
    try:
        provider = _fetch_provider(idp, until)
        return _keep(idp, _Kept(provider, _fetch_keys(idp, provider, until), now))
    except ProviderUnavailable as error:
        if error.refusal.rule != "upstream.busy":  # That says nothing about the provider.
            _failed[idp.issuer] = _Failed(error.refusal, now)
        raise


def _keep(idp: UpstreamIdp, kept: _Kept) -> _Kept:
    _kept[idp.issuer] = kept
    return kept


def _fetch_provider(idp: UpstreamIdp, until: float) -> Provider:
    document = get_json(idp, f"{idp.issuer.removesuffix('/')}{WELL_KNOWN}", until=until)
    if document.get("issuer") != idp.issuer:
        raise unavailable(
            "upstream.issuer",
            "the identity provider gives itself another issuer than the one configured",
            expected=idp.issuer,
            seen=document.get("issuer"),
        )
    found = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for name, url in found.items():
        if not is_reachable_by_rule(url):
            raise unavailable("upstream.url", f"its {name} is not an https URL", seen=url)
    # What a provider means that says nothing of this (OIDC Discovery §3).
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Provider(
        **{name: str(url) for name, url in found.items()},
        takes_basic="client_secret_basic" in methods if isinstance(methods, list) else True,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        algorithms=_algorithms(document),
    )


def _algorithms(document: Mapping[str, Any]) -> frozenset[str]:
    """Return which of our algorithms the provider may use: all where it does not say, though it has to."""
    named = document.get("id_token_signing_alg_values_supported")
    if not isinstance(named, list):
        return frozenset(ALGORITHMS)
    found = frozenset(one for one in named if isinstance(one, str) and one in ALGORITHMS)
    if not found:
        reason = "the identity provider signs ID tokens in no way that is accepted"
        raise unavailable("upstream.algorithms", reason, expected=", ".join(ALGORITHMS), seen=named)
    return found


def _fetch_keys(idp: UpstreamIdp, provider: Provider, until: float) -> Keys:
    document = get_json(idp, provider.jwks_uri, until=until)
    try:
        keys = tuple(dict(key) for key in read_jwks(document, unnamed=True))
        if not keys:
            raise UnusableJwks("jwks.no_usable_key", "the key set has no RSA or EC key", fix="Add an RSA or EC key.")
    except UnusableJwks as error:
        reason = f"the identity provider's keys cannot be used: {error.reason}"
        raise ProviderUnavailable(
            Refusal("upstream.keys", reason, error.expected, error.seen, error.fix or "Mend its key set.")
        ) from None
    return keys
