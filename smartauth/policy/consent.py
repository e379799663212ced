"""What the consent page lets a person choose, and what their ticks grant: exactly that, never more. Pure.

A resource scope is broken down into the parts somebody may want to tell apart. With every part ticked the scope is
granted as it was asked for; otherwise the ticked parts are granted in its place.
Source: SMART 2.2 scopes-and-launch-context; US Core SMART scopes.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from smartauth.policy.advertising import CATEGORIES, US_CORE_TYPES
from smartauth.policy.scopes import NamedScope, ResourceScope, Scope

# Types so wide that people must be able to choose among the kinds of thing in them.
DIVIDED = ("Condition", "Observation")
OFFLINE = NamedScope("offline_access", "refresh")
ONLINE = NamedScope("online_access", "refresh")


@dataclass(frozen=True, slots=True)
class Permission:
    """One tick on the page. `scope` is what it grants when its siblings are refused; `value` is how a form says it."""

    scope: ResourceScope
    is_all_types: bool  # it stands for one type of a wildcard that was asked for

    @property
    def value(self) -> str:
        return str(self.scope)


def permissions(asked: Iterable[Scope], sensitive: Collection[str] = ()) -> tuple[Permission, ...]:
    """Return what can be ticked for the resource scopes asked for, each once, in the order asked.

    sensitive: what the tenant counts as that, as in `is_sensitive`.
    """
    wanted = [scope for scope in asked if isinstance(scope, ResourceScope)]
    offered = _offered(wanted, sensitive)
    wide = {_widest(part, offered) for scope in wanted if scope.resource == "*" for part in parts(scope, sensitive)}
    return tuple(Permission(one, one in wide) for one in offered if _widest(one, offered) is one)


def is_sensitive(scope: ResourceScope, sensitive: Collection[str]) -> bool:
    """Return True when a scope reaches what a tenant counts as sensitive: "Type", or "Type.code" of a category.

    A filter by anything but categories with words of ours may reach any of them, so it counts as all.
    """
    kinds = {one.partition(".")[0] for one in sensitive}
    if scope.resource in sensitive or (scope.resource == "*" and kinds):
        return True
    if scope.resource not in kinds:
        return False
    known = {value.rpartition("|")[2] for value in CATEGORIES.get(scope.resource, ())}
    alternatives = (one for name, value in scope.filters if name == "category" for one in value.split(","))
    named = {one.rpartition("|")[2] for one in alternatives}
    return not named or any(code not in known or f"{scope.resource}.{code}" in sensitive for code in named)


def choose(asked: Iterable[Scope], ticked: Collection[str], sensitive: Collection[str] = ()) -> tuple[Scope, ...]:
    """Return what is granted of `asked` when the values in `ticked` were ticked, of those in `permissions`.

    Values that were not offered grant nothing. Scopes that are not about FHIR resources are granted as asked, except
    staying connected, which has a tick of its own.
    """
    wanted = tuple(asked)
    offered = _offered((scope for scope in wanted if isinstance(scope, ResourceScope)), sensitive)
    ticks = dict.fromkeys(_widest(part, offered) for part in offered)
    allowed = [one for one in ticks if str(one) in ticked]
    declined = [one for one in ticks if str(one) not in ticked]
    granted: dict[Scope, None] = {}
    for scope in wanted:
        if isinstance(scope, NamedScope):
            if scope != OFFLINE or scope.name in ticked:
                granted[scope] = None
            continue
        own = [_widest(part, offered) for part in parts(scope, sensitive)]
        if all(one in allowed for one in own) and not _reaches(scope, declined, allowed):
            granted[scope] = None
        else:
            granted.update(dict.fromkeys(one for one in own if one in allowed))
    if offered and not any(isinstance(one, ResourceScope) for one in granted):
        # Whose record it is says something about them, too.
        granted = {scope: None for scope in granted if not (isinstance(scope, NamedScope) and scope.kind == "context")}
    if OFFLINE in granted:  # It includes the other, which is what is left when somebody declines it.
        granted.pop(ONLINE, None)
    return tuple(granted)


def declined(asked: Iterable[Scope], granted: Collection[Scope], sensitive: Collection[str] = ()) -> tuple[Scope, ...]:
    """Return what of `asked` was not granted: whole scopes, or the parts of them that are missing."""
    given = [one for one in granted if isinstance(one, ResourceScope)]
    found: dict[Scope, None] = {}
    for scope in asked:
        if isinstance(scope, NamedScope):
            if scope not in granted and not (scope == ONLINE and OFFLINE in granted):  # The one includes the other.
                found[scope] = None
            continue
        own = parts(scope, sensitive)
        missing = [part for part in own if not any(one.covers(part) for one in given)]
        found.update(dict.fromkeys(missing if len(missing) < len(own) else (scope,)))
    return tuple(found)


def _reaches(scope: ResourceScope, declined: Iterable[ResourceScope], allowed: Collection[ResourceScope]) -> bool:
    """Return True when `scope` as a whole would give something that was declined, and that no tick gives anyway."""
    shared = (scope.intersect(one) for one in declined)
    return any(one is not None and not any(tick.covers(one) for tick in allowed) for one in shared)


def _offered(scopes: Iterable[ResourceScope], sensitive: Collection[str]) -> dict[ResourceScope, None]:
    return dict.fromkeys(part for scope in scopes for part in parts(scope, sensitive))


def parts(scope: ResourceScope, sensitive: Collection[str] = ()) -> tuple[ResourceScope, ...]:
    """Return the parts of one scope that can be refused alone; itself where there is nothing to tell apart.

    A wildcard has the types of US Core, and those that are sensitive besides: it would bring what nobody could leave
    unticked.
    """
    if scope.filters:
        return (scope,)
    if scope.resource == "*":
        besides = sorted({one.partition(".")[0] for one in sensitive}.difference(US_CORE_TYPES))
        return tuple(part for kind in (*US_CORE_TYPES, *besides) for part in parts(replace(scope, resource=kind)))
    if scope.resource in DIVIDED:
        return tuple(
            replace(scope, filters=(("category", value),), dialect="v2") for value in CATEGORIES[scope.resource]
        )
    return (scope,)


def _widest(part: ResourceScope, offered: Iterable[ResourceScope]) -> ResourceScope:
    """Return the offered part that says the same and more: two ticks of which one is part of the other confuse."""
    return max(
        (one for one in offered if one.covers(part)),
        key=lambda one: (len(one.permissions), -len(one.filters), one.resource == "*"),
    )
