"""Whose app state a request may touch: a scope must reach the subject, and the client be trusted with the code.

Source: SMART 2.2 app-state, "Security and Access controls"; scopes-and-launch-context, "Scopes for requesting FHIR
Resources".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fhirproxy.policy.app_state import Kind, StateKey, StateRequest
from fhirproxy.policy.authority import Authority, Everyone, Grant
from fhirproxy.policy.constraints import is_supported, matches
from fhirproxy.policy.plans import Deny, Limits, deny_letter, having_write_level
from fhirproxy.policy.references import Bases, Local
from smartauth.policy.access import Access

KINDS: tuple[Kind, ...] = ("patient", "user", "global")
DOING = {"c": "writing", "u": "writing", "d": "deleting", "s": "searching"}


@dataclass(frozen=True, slots=True)
class Trust:
    """A client may use codes of one system. code: empty for all of them.

    is_shared: also what other clients keep under them; without it the client's own alone.
    """

    system: str
    code: str = ""
    queries: frozenset[Kind] = frozenset(KINDS)
    modifies: frozenset[Kind] = frozenset({"patient", "user"})
    is_shared: bool = False

    def permits(self, key: StateKey, letter: str) -> bool:
        """Return True when the client may do this with state under `key`."""
        kinds = self.queries if letter == "s" else self.modifies
        return self.system == key.system and self.code in ("", key.code) and key.kind in kinds


@dataclass(frozen=True, slots=True)
class Permitted:
    """State under a key may be touched. is_shared: whichever client keeps it. via: the grants that reach it."""

    via: tuple[Grant, ...]
    is_shared: bool


def default_trust(origins: Iterable[str]) -> tuple[Trust, ...]:
    """Return what a client is trusted with that nobody said anything about: codes whose system is an origin it is
    verified to have. What is about nobody it only reads: writing that is for administrative apps."""
    return tuple(Trust(origin) for origin in sorted(origins))


NOBODY = frozenset({""})  # no patient has this id


def having_letter(access: Access, authority: Authority, letter: str, limits: Limits) -> tuple[Grant, ...] | Deny:
    """Return the grants with which app state may be tried at all, or why there is none."""
    grants = authority.having(letter, "Basic") + _for_oneself(access, authority.bases, letter)
    if not grants:
        return deny_letter(authority, letter, "Basic", DOING[letter])
    return grants if letter == "s" else having_write_level(grants, limits)


def _for_oneself(access: Access, bases: Bases, letter: str) -> tuple[Grant, ...]:
    """Return grants of user/ scopes over what is the user's own: it takes no patient to have preferences."""
    limits = access.restrictions
    is_shut_out = (limits.patients, limits.groups) != (None, None) and not (limits.patients or limits.groups)
    if is_shut_out or "authorization_code" not in access.grant_types:
        return ()
    return tuple(
        Grant(scope.level, scope.resource, scope.permissions, NOBODY, scope.filters)
        for scope in access.scopes
        if scope.level == "user" and scope.permits(letter, "Basic")
        if is_supported(scope.resource, scope.filters, bases)
    )


def decide_state(
    wanted: StateRequest,
    key: StateKey,
    grants: tuple[Grant, ...],
    trusts: tuple[Trust, ...],
    *,
    user: Local | None,
    bases: Bases,
) -> Permitted | Deny:
    """Say whether state under `key` may be touched. grants: those with the letter.  user: who is signed in."""
    via = tuple(grant for grant in grants if _reaches(grant, key, user))
    if not via:
        reason = "the subject is neither a patient this token reaches nor the person who is signed in"
        return Deny("app_state.subject_outside", reason, fix="Name the patient in context, or the user's fhirUser.")
    via = tuple(grant for grant in via if matches(key.as_resource(), grant.filters, bases))
    if not via:
        reason = "no granted scope lets this code through"
        return Deny("app_state.scope_filter", reason, fix="Ask for the scope with ?code= of this code, or without.")
    fitting = [one for one in trusts if one.permits(key, wanted.letter)]
    if not fitting:
        doing = "query" if wanted.letter == "s" else "modify"
        return Deny(
            "app_state.trust",
            f"the client is not trusted to {doing} {key.kind} state of this code",
            fix="Use the https origin of the app as the code's system, or have the operator trust it with this code.",
        )
    return Permitted(via, is_shared=any(one.is_shared for one in fitting))


def _reaches(grant: Grant, key: StateKey, user: Local | None) -> bool:
    match key.kind:
        case "global":
            return True
        case "patient":
            return isinstance(grant.patients, Everyone) or key.subject.removeprefix("Patient/") in grant.patients
    return grant.level == "user" and user is not None and key.subject == f"{user.type}/{user.id}"
