"""Which of the requested scopes a client gets, and why the others were dropped. Pure.

Source: SMART 2.2 scopes-and-launch-context; SMART 2.2 backend-services, "Scopes"; RFC 6749 §3.3.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from smartauth.errors import InvalidScope
from smartauth.policy.scopes import NamedScope, ResourceScope, Scope, parse_scope, shortest, split_scope


@dataclass(frozen=True, slots=True)
class Dropped:
    """A requested scope that was not granted, and the rule that says so."""

    scope: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Granting:
    """The outcome: what is granted, as it will be told, and what was dropped."""

    granted: tuple[Scope, ...]
    dropped: tuple[Dropped, ...]

    @property
    def scope(self) -> str:
        """Return the granted scopes as one `scope` value."""
        return " ".join(str(scope) for scope in self.granted)


def parse_registered(text: str) -> tuple[Scope, ...]:
    """Return the readable scopes of a stored registration or activation; what is unreadable there permits nothing."""
    found = []
    for part in split_scope(text):
        try:
            found.append(parse_scope(part))
        except InvalidScope:
            continue
    return tuple(found)


def allowed(registered: str, activated: str) -> tuple[Scope, ...]:
    """Return the most a client may have at a tenant: its registration, within what the tenant allowed.

    An empty `activated` means the tenant allows everything the client is registered for.
    """
    base = parse_registered(registered)
    return within(base, parse_registered(activated)) if activated.strip() else base


def within(scopes: Iterable[Scope], limit: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return what `scopes` and `limit` both permit, in the order and the dialect of `scopes`."""
    limits = tuple(limit)
    named = {scope.name for scope in limits if isinstance(scope, NamedScope)}
    resource_limits = tuple(scope for scope in limits if isinstance(scope, ResourceScope))
    kept: list[Scope] = []
    for scope in scopes:
        if isinstance(scope, NamedScope):
            kept += [scope] if scope.name in named else []
        elif any(one.covers(scope) for one in resource_limits):
            kept.append(scope)
        else:
            kept += shortest(filter(None, (scope.intersect(one) for one in resource_limits)))
    return tuple(dict.fromkeys(kept))


def grant_service_scopes(requested: str, permitted: tuple[Scope, ...]) -> Granting:
    """Return what a backend service gets of `requested`: the overlap with `permitted`, system level only.

    Everything about a user or a launch is dropped: there is neither.
    """
    granted: list[Scope] = []
    dropped: list[Dropped] = []
    for text in split_scope(requested):
        try:
            scope = parse_scope(text)
        except InvalidScope as error:
            dropped.append(Dropped(text, error.refusal.rule, error.refusal.reason))
            continue
        if isinstance(scope, ResourceScope) and scope.level != "system":
            dropped.append(Dropped(text, "scope.level", "client_credentials reaches system/ scopes only"))
        elif isinstance(scope, NamedScope) and scope.kind != "extension":
            dropped.append(Dropped(text, "scope.user_only", "there is no user and no launch in client_credentials"))
        elif overlap := within((scope,), permitted):
            granted += overlap
        else:
            dropped.append(Dropped(text, "scope.not_registered", "the client is not registered for this at the tenant"))
    return Granting(tuple(dict.fromkeys(granted)), tuple(dropped))
