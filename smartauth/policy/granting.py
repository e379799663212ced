"""Which of the requested scopes a client gets, and why the others were dropped. Pure.

Source: SMART 2.2 scopes-and-launch-context; SMART 2.2 backend-services, "Scopes"; RFC 6749 §3.3.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from smartauth.errors import InvalidScope, Refusal
from smartauth.policy.scopes import (
    NamedScope,
    ResourceScope,
    Scope,
    each_once,
    find_scope,
    parse_scope,
    shortest,
    split_scope,
)

# More than every scope US Core names at one level; nobody could decide about more on one page.
MOST_ASKED = 200
BEGINS_LAUNCHES = "__launch"  # the extension scope that lets a backend service begin launches of others
PICKED = ("launch/patient", "launch/encounter")  # what people choose where no EHR has said it


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
    return tuple(scope for part in split_scope(text) if (scope := find_scope(part)) is not None)


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
    return Granting(each_once(granted), tuple(dropped))


def screen_app_scopes(
    requested: str,
    permitted: tuple[Scope, ...],
    *,
    may_refresh: bool,
    is_public: bool = False,
    from_ehr: bool = False,
) -> Granting:
    """Return what an app may put before the user: `requested` within `permitted`, the most it may have at the tenant.

    may_refresh: the client is registered for refresh tokens.    is_public: it has nothing to prove itself with.
    from_ehr: the request goes on with a launch that an EHR began.
    What is unreadable, unknown or of no use in an app launch is dropped; a wildcard is narrowed to what is registered.
    Raises InvalidScope for a readable scope that the client may not have, and when nothing remains.
    Source: SMART 2.2 scopes-and-launch-context; RFC 6749 §3.3.
    """
    found: list[Scope] = []
    dropped: list[Dropped] = []
    asked = split_scope(requested)
    meant = frozenset(map(str, parse_registered(requested)))
    if len(asked) > MOST_ASKED:
        refusal = Refusal("scope.too_many", "too many scopes are asked for", f"at most {MOST_ASKED}", str(len(asked)))
        raise InvalidScope(refusal, "Too many scopes are requested")
    for text in asked:
        try:
            scope = parse_scope(text)
        except InvalidScope as error:
            dropped.append(Dropped(text, error.refusal.rule, error.refusal.reason))
            continue
        overlap = within((scope,), permitted)
        if not overlap:
            raise InvalidScope(
                Refusal(
                    "scope.not_registered",
                    "the client is not registered for a requested scope, or the tenant does not allow it",
                    expected=" ".join(str(one) for one in permitted),
                    seen=text[:200],
                    fix="Ask only for registered scopes, or have the registration changed.",
                )
            )
        reason = _useless(scope, meant, may_refresh=may_refresh, is_public=is_public, from_ehr=from_ehr)
        if reason:
            dropped.append(Dropped(text, "scope.no_use_here", reason))
        else:
            found += overlap
    if not found:
        raise InvalidScope(
            Refusal(
                "scope.nothing_granted",
                "none of the requested scopes can be granted",
                seen="; ".join(f"{one.scope}: {one.reason}" for one in dropped)[:1_000],
                fix="Ask for patient/ or user/ scopes, or openid.",
            )
        )
    return Granting(each_once(found), tuple(dropped))


def screen_again(
    screened: str, permitted: tuple[Scope, ...], *, may_refresh: bool, is_public: bool, from_ehr: bool
) -> tuple[Scope, ...]:
    """Return what is left of `screened`, an outcome of `screen_app_scopes`, within what is permitted by now.

    Nothing raises here: what was asked for was right when it was.
    """
    kept = within(parse_registered(screened), permitted)
    meant = frozenset(map(str, kept))
    conditions = {"may_refresh": may_refresh, "is_public": is_public, "from_ehr": from_ehr}
    return tuple(one for one in kept if not _useless(one, meant, **conditions))


def _useless(scope: Scope, asked: frozenset[str], *, may_refresh: bool, is_public: bool, from_ehr: bool) -> str:
    """Say why a permitted scope does nothing in this app launch, or return ""."""
    match scope:
        case ResourceScope(level="system"):
            return "system/ scopes are for client_credentials"
        case NamedScope(name="fhirUser" | "profile") if "openid" not in asked:
            return "it says who the user is only together with openid"
        case NamedScope(name="offline_access" | "online_access") if not may_refresh:
            return "the client is not registered for the refresh_token grant"
        case NamedScope(name=name) if name == BEGINS_LAUNCHES:
            return "launches are begun by backend services, which no user allows anything"
        case NamedScope(kind="extension") if is_public:
            return "a right given by the operator needs a client that can prove who it is"
        case NamedScope(kind="context") if from_ehr:
            return ""  # What the EHR did not say shows when it is known who asks.
        case NamedScope(name="launch"):
            return "the request comes without a launch parameter"
        case NamedScope(kind="context", name=name) if name not in PICKED:
            return "only a patient and an encounter can be chosen in a standalone launch"
    return ""


def within_rights(
    scopes: Iterable[Scope],
    *,
    has_patient: bool,
    has_rights: bool,
    is_known: bool,
    in_context: Collection[str] = frozenset(),
) -> tuple[Scope, ...]:
    """Return the scopes that can mean anything for this user: a scope never adds to what a person may do.

    has_patient: a patient was chosen.    has_rights: there are records the user may see.    is_known: the user is
    somebody in the records.    in_context: what else the EHR told, as scopes name it: "encounter", "imagingstudy", …
    A role that was asked for beside a type is no condition: what there is of the type is told with its own role.
    Source: SMART 2.2 scopes-and-launch-context, "Scopes for requesting identity data".
    """
    kept = []
    for scope in scopes:
        match scope:
            case ResourceScope(level="patient") | NamedScope(name="launch/patient"):
                possible = has_patient
            case ResourceScope(level="user"):
                possible = has_rights
            case NamedScope(name="fhirUser" | "profile"):
                possible = is_known
            case NamedScope(kind="context", name=name) if name != "launch":
                possible = name.removeprefix("launch/").partition("?")[0] in in_context
            case _:
                possible = True
        if possible:
            kept.append(scope)
    return tuple(kept)


def needs_patient(scopes: Iterable[Scope]) -> bool:
    """Return True when one patient must be in context: asked for, or implied by a patient/ scope.

    An encounter that people choose is one of some patient's.
    """
    found = tuple(scopes)
    return picks_encounter(found) or any(
        scope.level == "patient" if isinstance(scope, ResourceScope) else scope.name == "launch/patient"
        for scope in found
    )


def picks_encounter(scopes: Iterable[Scope]) -> bool:
    """Return True when the user is asked for an encounter: in a launch of an EHR it is the EHR that says it."""
    names = {scope.name for scope in scopes if isinstance(scope, NamedScope)}
    return "launch/encounter" in names and "launch" not in names


def tells_context(scopes: Iterable[Scope]) -> bool:
    """Return True when the app is told what is in context: it asked for that, or one patient's data come with it."""
    found = tuple(scopes)
    return needs_patient(found) or any(isinstance(scope, NamedScope) and scope.name == "launch" for scope in found)


def reads_records(scopes: Iterable[Scope]) -> bool:
    """Return True when any scope is about FHIR resources, or about which patient is meant."""
    return any(isinstance(scope, ResourceScope) or scope.name == "launch/patient" for scope in scopes)


def narrow_for_refresh(requested: str, granted: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """Return the scopes of a refreshed access token: all of `granted`, or the part that was asked for.

    Compared in meaning, so order, repetition, dialect and factoring do not matter.
    Raises InvalidScope for anything outside.  Source: RFC 6749 §6; SMART 2.2 app-launch, "Refresh access token".
    """
    asked = split_scope(requested)
    if not asked:
        return granted
    reach = (*granted, *shortest(scope for scope in granted if isinstance(scope, ResourceScope)))
    narrowed = []
    for text in asked:
        try:
            scope = parse_scope(text)
        except InvalidScope as error:
            raise InvalidScope(error.refusal, "The requested scope exceeds what was granted") from None
        if within((scope,), reach) != (scope,):
            raise InvalidScope(
                Refusal(
                    "scope.exceeds_grant",
                    "a refresh asks for more than the user granted",
                    expected=" ".join(str(one) for one in granted),
                    seen=text[:200],
                    fix="Leave scope out, or ask for a part of what was granted.",
                ),
                "The requested scope exceeds what was granted",
            )
        narrowed.append(scope)
    return each_once(narrowed)
