"""What a decision returns: a plan of upstream requests, or a denial."""

import re
from dataclasses import dataclass, field

from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.outcomes import FhirRefusal, Issue
from fhirproxy.policy.references import Local
from fhirproxy.policy.results import Include, Shape
from fhirproxy.policy.switches import WriteSwitches
from fhirproxy.policy.targets import Pairs, render
from smartauth.errors import Refusal
from smartauth.policy import r4

HOST = re.compile(r"https?://(?P<host>[A-Za-z0-9.-]+)(?=/|\Z|\|)")
Asked = frozenset[tuple[str, str]]  # search parameters: the type each is of, and its name
LONGEST_URL = 4 * 1024  # of a target; many servers and gateways take 8 KiB of request line and headers
_SEAL = object()


@dataclass(frozen=True, slots=True)
class CanonicalRequest:
    """What we may send: `target` is relative to the upstream's base. Written by us from typed values.

    `version`: the version the resource must still have, or the empty text. `form`: the query of a search too long for
    a URL, which is POSTed to `form_target`; it is the same search, and `target` names it as ever.
    """

    target: str
    seal: object = field(repr=False, compare=False)
    method: str = "GET"
    body: bytes = field(repr=False, default=b"")
    version: str = ""
    form: bytes = field(repr=False, default=b"")

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only a decision makes a request")

    @property
    def form_target(self) -> str:
        """Return where a form goes."""
        return f"{self.target.partition('?')[0]}/_search"


def canonical_request(segments: tuple[str, ...], pairs: Pairs = ()) -> CanonicalRequest:
    """Return the request for typed values. Called by decisions only; a test keeps it so."""
    target = render(segments, pairs)
    return CanonicalRequest(target, _SEAL, form=_form_of(target))


def _form_of(target: str) -> bytes:
    """Return the query of a search of a type when no URL holds it, or nothing. Source: FHIR R4 http, "search"."""
    path, _, query = target.partition("?")
    return query.encode("ascii") if len(target) > LONGEST_URL and r4.is_resource_type(path) else b""


def upstream_link_request(target: str) -> CanonicalRequest:
    """Return the request for a page link of the upstream's own making. Called by decisions only."""
    return CanonicalRequest(target, _SEAL, form=_form_of(target))


def canonical_write(method: str, segments: tuple[str, ...], body: bytes = b"", *, version: str) -> CanonicalRequest:
    """Return a write of what was checked. Called by decisions only; a test keeps it so."""
    return CanonicalRequest(render(segments, ()), _SEAL, method, body, version)


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Fetch one resource and check it against `via`. `request` None: it is outside, whatever is there."""

    request: CanonicalRequest | None
    type: str
    id: str
    via: tuple[Grant, ...]
    shape: Shape
    is_full: bool
    version: str = ""  # this one, and not the current
    only_meta: bool = False  # for the $meta operation
    rule: str = "allow"

    @property
    def interaction(self) -> str:
        """Return FHIR's name for it."""
        return "$meta" if self.only_meta else "vread" if self.version else "read"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Fetch matches page by page and check each. `request` None: the answer is empty without asking.

    `resolve` names resources that must be members first, or the answer is empty. `pairs` is the canonical query.
    `type` is empty when matches are of several `types` or of any. `path` is what the self link shows.
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
    types: frozenset[str] = frozenset()
    id: str = ""  # of the instance, when it is about one
    path: tuple[str, ...] | None = None  # None: the type
    interaction: str = "search-type"  # FHIR's name for it, or an operation's
    within: ReadPlan | None = None  # a resource that must be readable first
    most: int = 0  # of each kind, for $lastn
    asked: Asked = frozenset()  # what the client itself filters or sorts by, and the upstream must have
    rule: str = "allow"


OTHER_PATIENT = "Name the patient of the launch context, or none: what is not named is confined to it anyway."


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
        fix = self.fix or (OTHER_PATIENT if self.rule == "compartment" else "")
        refusal = Refusal(self.rule, self.reason, expected=self.scope, fix=fix)
        return FhirRefusal(self.status, self.issue, refusal, scope=self.scope, allow=self.allow)


@dataclass(frozen=True, slots=True)
class Limits:
    """A tenant's numbers for searches, and its switches for writes."""

    default_count: int = 50
    max_count: int = 500
    valueset_hosts: frozenset[str] = frozenset()  # hosts, or beginnings of URNs such as urn:oid
    trust_totals: bool = False  # the upstream is proven to honour the narrowing parameter
    writes: WriteSwitches = field(default_factory=WriteSwitches)

    def knows_value_set(self, url: str) -> bool:
        """Return True when a value set or code system is named on one of the hosts, or in one of the namespaces."""
        if url.startswith("urn:"):
            return ":".join(url.split(":")[:2]) in self.valueset_hosts
        found = HOST.match(url)
        return found is not None and found["host"].lower() in self.valueset_hosts


def having_write_level(grants: tuple[Grant, ...], limits: Limits) -> tuple[Grant, ...] | Deny:
    """Return the grants whose level may write at this tenant, or that there is none."""
    found = tuple(grant for grant in grants if grant.level in limits.writes.levels)
    reason = "writing with scopes of this level is not offered here"
    return found or Deny("interaction.write", reason, status=405, issue="not-supported", allow="GET, HEAD")


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
