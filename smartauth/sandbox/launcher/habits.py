"""Habits that EHRs have, for apps that only ever met this server. Pure: what each does to scopes and lifetimes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from smartauth.errors import InvalidScope
from smartauth.policy.scopes import ResourceScope, parse_resource_scope
from smartauth.sandbox.launcher.kinds import BACKEND

REFRESH = frozenset({"offline_access", "online_access"})
V1_SUFFIXES = frozenset({"read", "write", "*"})
KEPT_TYPES = ("Patient", "Observation")  # what is left of a wildcard when scopes are narrowed


def _all(scopes: Iterable[str]) -> list[str]:
    return list(scopes)


def _without_refresh(scopes: Iterable[str]) -> list[str]:
    return [scope for scope in scopes if scope not in REFRESH]


def _exact(scopes: Iterable[str]) -> list[str]:
    return [scope for scope in scopes if (parsed := _resource(scope)) is None or parsed.resource != "*"]


def _v1(scopes: Iterable[str]) -> list[str]:
    return [scope for scope in scopes if _resource(scope) is None or scope.rpartition(".")[2] in V1_SUFFIXES]


def _narrowed(scopes: Iterable[str]) -> list[str]:
    found: list[str] = []
    for scope in scopes:
        parsed = _resource(scope)
        if parsed is None or parsed.resource in KEPT_TYPES:
            found.append(scope)
        elif parsed.resource == "*":
            level, _, rest = scope.partition("/*")
            found += [f"{level}/{kept}{rest}" for kept in KEPT_TYPES]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Habit:
    """How some EHR behaves. `scopes` turns what an app asks for into what counts; `token_lifetime` is in seconds.

    `no_service`: why no backend service can meet it, "" where one can.
    """

    id: str
    title: str
    says: str
    scopes: Callable[[Iterable[str]], list[str]] = _all
    token_lifetime: int | None = None
    no_service: str = ""


HABITS = {
    habit.id: habit
    for habit in (
        Habit("short-tokens", "Short tokens", "Access tokens live for one minute.", token_lifetime=60),
        Habit(
            "no-refresh",
            "No refresh",
            "Nobody gets a refresh token, whatever was asked.",
            _without_refresh,
            no_service="it never gets a refresh token",
        ),
        Habit("exact-scopes", "Exact scopes only", "Wildcards are not known: patient/*.rs gives nothing.", _exact),
        Habit("v1-scopes", "SMART v1 scopes only", "Scopes like patient/Observation.rs are not known.", _v1),
        Habit(
            "narrowed-scopes",
            "Narrowed scopes",
            "Of all resource types only Patient and Observation are granted.",
            _narrowed,
        ),
    )
}


def why_not(habit: str, kind: str) -> str:
    """Say why a launch of that kind cannot meet the habit, or return ""."""
    found = HABITS[habit]
    return f"a backend service cannot meet it: {found.no_service}" if kind == BACKEND and found.no_service else ""


def scopes_under(habit: str, scope: str) -> str:
    """Return what counts of the scope parameter `scope` where `habit` ("" for none) rules."""
    if habit not in HABITS:
        return scope
    return " ".join(HABITS[habit].scopes(scope.split()))


def _resource(scope: str) -> ResourceScope | None:
    try:
        return parse_resource_scope(scope)
    except InvalidScope:
        return None
