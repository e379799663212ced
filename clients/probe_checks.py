"""What must hold for a client to work at a tenant, condition by condition, each with what was found and what to do.

Pure: facts go in, checks come out.  Source: SMART 2.2 app-launch and backend-services; RFC 7591 §2.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from clients.jwks_rules import Jwk, UnusableJwks, import_public_key, read_jwks, shown
from clients.models import WITH_SECRET, Activation, AuthMethod, Client, KeySet
from clients.registered import RegisteredClient
from smartauth.policy import granting
from smartauth.policy.scopes import REFRESH_SCOPES, NamedScope, ResourceScope, Scope

# The promise of the marks (see `smartauth.marks`): what one worker changed all of them know after this time.
KNOWN_WITHIN = timedelta(seconds=1)
MOST_SHOWN = 30  # scopes or keys, in one line
WHAT_TO_DO = {
    Client.Status.DRAFT: "Submit it.",
    Client.Status.SUBMITTED: "Wait for the operator's decision.",
    Client.Status.DECLINED: "Mend what the reason says and submit it again.",
    Client.Status.SUSPENDED: "Ask the operator what has to happen first.",
    Client.Status.RETIRED: "Register another client: this id is never used again.",
}


@dataclass(frozen=True, slots=True)
class ProbeCheck:
    """One condition. `name` is stable, `title` says it, `detail` what was found; `fix` is "" where it holds."""

    name: str
    title: str
    passed: bool
    detail: str
    fix: str = ""

    def as_json(self) -> dict[str, str | bool]:
        return {
            "name": self.name,
            "title": self.title,
            "passed": self.passed,
            "detail": self.detail,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of a client and a tenant. `stored` is what the database has, `believed` what this worker goes by.

    `reason`: why the client is in its state, in an operator's words.    `changed_at`: when the client, its activations
    or the tenant last changed, as far as remembered.
    """

    client_id: str
    tenant: str
    stored: RegisteredClient | None
    believed: RegisteredClient | None
    tenant_is_active: bool
    now: datetime
    activation: Activation | None = None
    key_set: KeySet | None = None
    reason: str = ""
    changed_at: datetime | None = None


def checks_of(facts: Facts) -> tuple[ProbeCheck, ...]:
    """Return every condition that applies to such a client, in the order in which a request meets them."""
    client = facts.stored
    if client is None:
        fix = "Check the client_id."
        return (ProbeCheck("registered", "Registered", False, f"no client is called {shown(facts.client_id)}", fix),)
    return (
        ProbeCheck("registered", "Registered", True, f"as {client.name}, {client.token_endpoint_auth_method}"),
        _approved(client, facts.reason),
        _tenant(facts),
        _activated(client, facts),
        *_what_it_may_ask(client, facts),
        *_where_it_comes_back(client),
        _proof(client, facts),
        _known(facts),
    )


def _approved(client: RegisteredClient, reason: str) -> ProbeCheck:
    why = f": {reason}" if reason and not client.is_approved else ""
    fix = "" if client.is_approved else WHAT_TO_DO[Client.Status(client.status)]
    return ProbeCheck("approved", "Approved by the operator", client.is_approved, f"{client.status}{why}", fix)


def _tenant(facts: Facts) -> ProbeCheck:
    title = f"The hospital {facts.tenant} is open"
    if facts.tenant_is_active:
        return ProbeCheck("tenant", title, True, "it is")
    return ProbeCheck("tenant", title, False, "it is closed", "Ask the operator of this server.")


def _activated(client: RegisteredClient, facts: Facts) -> ProbeCheck:
    title, row = f"Switched on at {facts.tenant}", facts.activation
    if row is not None and row.is_active:
        since = row.decided_at or row.activated_at
        return ProbeCheck("activated", title, True, f"since {_moment(since)}")
    if row is None:
        return ProbeCheck("activated", title, False, "nobody has asked the hospital", "Ask for it in the portal.")
    if row.decided_at is None:
        return ProbeCheck("activated", title, False, "the hospital has not decided yet", "Wait for its decision.")
    note = f": {row.note}" if row.note else ""
    return ProbeCheck(
        "activated", title, False, f"switched off at {_moment(row.decided_at)}{note}", "Ask the hospital, then again."
    )


def _what_it_may_ask(client: RegisteredClient, facts: Facts) -> Iterator[ProbeCheck]:
    """Compare the registration with what the tenant allows, and both with the grant types."""
    limit = facts.activation.allowed_scope if facts.activation else ""
    registered = granting.parse_registered(client.scope)
    allowed = granting.allowed(client.scope, limit)
    left_out = [scope for scope in registered if scope not in allowed]
    told = _listed([str(scope) for scope in allowed])
    if left_out:
        told += f"; the hospital allows less than is registered, narrowed or left out: {_listed(map(str, left_out))}"
    fix = "" if allowed else "Ask the hospital to allow some of what is registered."
    if not registered:
        told, fix = "none is registered", "Register the scopes the app needs."
    yield ProbeCheck("scopes", "Scopes it may have there", bool(allowed), told, fix)
    fitting = [name for name in sorted(client.grant_types) if _scopes_for(name, allowed)]
    detail = f"registered for {', '.join(sorted(client.grant_types)) or 'none'}"
    if not fitting:
        fix = "Backend services ask for system/ scopes with client_credentials, apps for the others by launching."
        yield ProbeCheck("grant_type", "Grant type fits the scopes", False, detail, fix)
        return
    if "refresh_token" not in client.grant_types and any(str(scope) in REFRESH_SCOPES for scope in allowed):
        detail += "; without refresh_token there is no refresh token, whatever the scopes say"
    yield ProbeCheck("grant_type", "Grant type fits the scopes", True, detail)


def _scopes_for(grant_type: str, allowed: tuple[Scope, ...]) -> list[Scope]:
    """Return those of the scopes that a first token by this grant type can carry."""
    match grant_type:
        case "client_credentials":
            return [one for one in allowed if _is_for_services(one)]
        case "authorization_code":
            return [one for one in allowed if not _is_for_services(one)]
    return []


def _is_for_services(scope: Scope) -> bool:
    match scope:
        case ResourceScope(level=level):
            return level == "system"
        case NamedScope(kind=kind):
            return kind == "extension"
    return False


def _where_it_comes_back(client: RegisteredClient) -> Iterator[ProbeCheck]:
    if "authorization_code" in client.grant_types:
        found = _listed(client.redirect_uris)
        fix = "" if client.redirect_uris else "Register a redirect URI."
        yield ProbeCheck("redirect_uri", "Has a redirect URI", bool(client.redirect_uris), found, fix)


def _proof(client: RegisteredClient, facts: Facts) -> ProbeCheck:
    if client.token_endpoint_auth_method in WITH_SECRET:
        return _secret(client, facts.now)
    if client.token_endpoint_auth_method == AuthMethod.PRIVATE_KEY_JWT:
        return _inline_keys(client) if client.jwks else _keys_by_url(client, facts)
    return ProbeCheck("public", "Needs no proof of its own", True, "a public client; PKCE protects its codes")


def _secret(client: RegisteredClient, now: datetime) -> ProbeCheck:
    title = "Its secret is good"
    good = [one for one in client.secrets if one.ended_at(now) is None]
    told = "; ".join(
        f"the {one.name} one {'ended' if one.ended_at(now) else 'is good until'} {_moment(one.expires_at)}"
        if one.expires_at
        else f"the {one.name} one does not end"
        for one in client.secrets
    )
    fix = "" if good else "Make a new secret and give it to the app."
    return ProbeCheck("secret", title, bool(good), told, fix)


def _inline_keys(client: RegisteredClient) -> ProbeCheck:
    title = "Has a key to verify its assertions with"
    try:
        return _keys(title, read_jwks(json.loads(client.jwks)), "registered")
    except UnusableJwks as problem:
        return ProbeCheck("keys", title, False, problem.reason, problem.fix)


def _keys_by_url(client: RegisteredClient, facts: Facts) -> ProbeCheck:
    title, row = "Its key set can be read", facts.key_set
    if row is None or (row.document is None and not row.last_problem):
        fix = "Look at it once on the page of its keys; the first token request does so, too."
        return ProbeCheck("keys", title, False, f"{client.jwks_uri} has not been fetched yet", fix)
    is_usable = row.document is not None and row.expires_at is not None and row.expires_at > facts.now
    if row.last_problem and not is_usable:
        rule, _, reason = row.last_problem.partition(": ")
        tried = "" if row.attempted_at is None else f", tried at {_moment(row.attempted_at)}"
        return ProbeCheck("keys", title, False, f"{reason} ({rule}{tried})", "Mend it at the host of the key set.")
    entries = tuple((row.document or {"keys": []})["keys"])
    until = "is good until" if is_usable else "is fetched anew with the next request, as it was good until"
    told = f"fetched at {_moment(row.fetched_at)}; the copy {until} {_moment(row.expires_at)}"
    return _keys(title, entries, told)


def _keys(title: str, entries: tuple[Jwk, ...], told: str) -> ProbeCheck:
    """Say which entries can verify a signature at all; that one fits an assertion is the key clinic's to say."""
    good, bad = [], []
    for entry in entries:
        try:
            import_public_key(entry)
        except UnusableJwks as problem:
            bad.append(f"{shown(entry['kid'])} ({problem.reason})")
        else:
            good.append(shown(entry["kid"]))
    faults = f"; of no use: {_listed(bad)}" if bad else ""
    fix = "" if good else "Publish an RSA or EC key with a kid, RSA with 2048 bits at least."
    return ProbeCheck("keys", title, bool(good), f"{_listed(good)}; {told}{faults}", fix)


def _known(facts: Facts) -> ProbeCheck:
    title = "Known to every worker"
    known_at = None if facts.changed_at is None else facts.changed_at + KNOWN_WITHIN
    agrees = facts.believed == facts.stored
    if agrees and (known_at is None or known_at <= facts.now):
        return ProbeCheck("known", title, True, f"since {_clock(known_at)}" if known_at else "for long")
    by = f"by {_clock(max(known_at or facts.now, facts.now))}" if agrees else "in a moment"
    return ProbeCheck("known", title, False, f"it changed just now; every worker knows {by}", "Look again in a second.")


def _listed(texts: Iterable[str]) -> str:
    """Return texts in one line, "none" for no text, and how many more there are than fit."""
    found = list(texts)
    more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return ", ".join(found[:MOST_SHOWN]) + more or "none"


def _moment(at: datetime | None) -> str:
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
