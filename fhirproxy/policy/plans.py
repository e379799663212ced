"""What a decision returns: a plan of upstream requests, or a denial."""

from dataclasses import dataclass, field

from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.outcomes import FhirRefusal, Issue
from fhirproxy.policy.references import Local
from fhirproxy.policy.results import Include, Shape
from fhirproxy.policy.targets import Pairs, render
from smartauth.errors import Refusal
from smartauth.policy import r4

_SEAL = object()


@dataclass(frozen=True, slots=True)
class CanonicalRequest:
    """A GET we may send: `target` is relative to the upstream's base. Written by us from typed values."""

    target: str
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only a decision makes a request")


def canonical_request(segments: tuple[str, ...], pairs: Pairs = ()) -> CanonicalRequest:
    """Return the request for typed values. Called by decisions only; a test keeps it so."""
    return CanonicalRequest(render(segments, pairs), _SEAL)


def upstream_link_request(target: str) -> CanonicalRequest:
    """Return the request for a page link of the upstream's own making. Called by decisions only."""
    return CanonicalRequest(target, _SEAL)


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Fetch one resource and check it against `via`. `request` None: it is outside, whatever is there."""

    request: CanonicalRequest | None
    type: str
    id: str
    via: tuple[Grant, ...]
    shape: Shape
    is_full: bool
    rule: str = "allow"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Fetch matches page by page and check each. `request` None: the answer is empty without asking.

    `resolve` names resources that must be members first, or the answer is empty. `pairs` is the canonical query.
    """

    request: CanonicalRequest | None
    type: str
    via: tuple[Grant, ...]
    count: int
    pairs: Pairs
    includes: tuple[Include, ...]
    shape: Shape
    is_full: bool
    only_count: bool = False
    total: str = ""  # as asked: "none", "estimate", "accurate" or empty
    counting: CanonicalRequest | None = None  # the same search in the largest pages, when matches are to be counted
    resolve: tuple[Local, ...] = ()
    trusts_total: bool = False  # the upstream's total is ours too, unless the check removes something
    skip: int = 0  # matches of the first upstream page that an earlier page has given already
    rule: str = "allow"


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused. `rule` is a stable id; `reason` is one sentence for a person; `scope` the smallest that would help."""

    rule: str
    reason: str
    status: int = 403
    issue: Issue = "forbidden"
    scope: str = ""
    fix: str = ""
    allow: str = ""

    def as_refusal(self) -> FhirRefusal:
        """Return the denial as what the pipeline raises."""
        refusal = Refusal(self.rule, self.reason, expected=self.scope, fix=self.fix)
        return FhirRefusal(self.status, self.issue, refusal, scope=self.scope, allow=self.allow)


@dataclass(frozen=True, slots=True)
class Limits:
    """A tenant's numbers for searches."""

    default_count: int = 50
    max_count: int = 500
    trust_totals: bool = False  # the upstream is proven to honour the narrowing parameter


def deny_letter(authority: Authority, letter: str, resource_type: str, doing: str) -> Deny:
    """Return why no grant has `letter` for a type, and the smallest scope that would do if one would."""
    if r4.memberships()[resource_type].cls == "operator":
        return Deny("scope.operator_type", f"{resource_type} is reserved to clients permitted to see it by name")
    if any(scope.permits(letter, resource_type) for scope in authority.scopes):
        return Deny(
            "authority.empty",
            f"a scope would permit {doing} of {resource_type}, but it reaches no patient here",
            fix="The token needs a patient or user this scope can apply to, and a filter that can be judged.",
        )
    scope = f"{authority.level}/{resource_type}.{letter}"
    return Deny("scope", f"no granted scope permits {doing} of {resource_type}", scope=scope, fix=f"Ask for {scope}.")
