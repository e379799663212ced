"""SMART scopes: text to value and back, what one covers of another, and what two have in common.

Source: SMART 2.2 scopes-and-launch-context, "Scopes for requesting FHIR Resources"; RFC 6749 §3.3.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from urllib.parse import unquote

from smartauth.errors import InvalidScope, Refusal
from smartauth.policy import r4
from smartauth.policy.scope_filters import implies, simplest

Level = Literal["patient", "user", "system"]
LETTERS = "cruds"
V1_LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
V1_SUFFIXES = {letters: suffix for suffix, letters in V1_LETTERS.items()}

# The lookahead keeps the suffix from being empty; the order c-r-u-d-s is part of the grammar.
RESOURCE_SCOPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<resource>\*|[A-Z][A-Za-z]+)"
    r"\.(?P<suffix>read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>.+))?"
)
# Something in this shape was meant as a FHIR resource scope; if the grammar refuses it, it never becomes anything else.
RESOURCE_SHAPE = re.compile(r"(?:patient|user|system)/", re.IGNORECASE)
CONTEXT_SCOPE = re.compile(r"launch(?:/[a-z]+(?:\?role=[^\s?&]+)?)?")
EXTENSION_SCOPE = re.compile(r"__[\x21\x23-\x5B\x5D-\x7E]+|[a-z][a-z0-9+.-]*://[\x21\x23-\x5B\x5D-\x7E]+")
IDENTITY_SCOPES = frozenset({"openid", "fhirUser", "profile"})
REFRESH_SCOPES = frozenset({"offline_access", "online_access"})
# What comes before the short spelling where a scope has to be a URI (SMART 2.2 scopes-and-launch-context, appendix
# "URI representation of scopes").
SMART_URI = "http://smarthealthit.org/fhir/scopes/"
OPENID_URI = "http://openid.net/specs/openid-connect-core-1_0#"
OPENID_SCOPES = frozenset({"openid", "profile", "offline_access"})

# Constraints are judged by us on whole resources, so only parameters whose meaning needs no terminology server and no
# second resource are readable. A scope with any other constraint grants nothing.
CONSTRAINT_TYPES = frozenset({"token", "reference", "date"})
COMMON_CONSTRAINTS = frozenset({"_id", "_tag", "_security", "_profile"})
CONSTRAINT_NAME = re.compile(r"_?[a-z][A-Za-z0-9-]*")
# HL7's code systems are below CodeSystem/. This misspelling was published, and nothing would ever match it.
MISSPELT_SYSTEM = re.compile(r"https?://terminology\.hl7\.org/+CodeSystem-")
CONTROL = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """One parsed FHIR resource scope, e.g. ``patient/Observation.rs?code=718-7``.

    `dialect` is how it was written and plays no part in comparison.
    """

    level: Level
    resource: str  # a FHIR resource type, or "*"
    permissions: str  # letters out of "cruds", in that order
    filters: tuple[tuple[str, str], ...] = ()  # (search parameter, decoded value), sorted; all must hold
    dialect: Literal["v1", "v2"] = field(default="v2", compare=False)

    def covers(self, other: Self) -> bool:
        """Return True when whatever `other` permits, this scope permits too."""
        return (
            self.level == other.level
            and self.resource in ("*", other.resource)
            and set(self.permissions) >= set(other.permissions)
            and all(any(implies(other.resource, held, wanted) for held in other.filters) for wanted in self.filters)
        )

    def permits(self, letter: str, resource: str) -> bool:
        """Return True when this scope has `letter` for `resource`, filters aside."""
        return letter in self.permissions and self.resource in ("*", resource)

    def intersect(self, other: Self) -> Self | None:
        """Return what both scopes permit, or None. Filters of both must hold in the result."""
        if self.level != other.level:
            return None
        if self.resource != other.resource and "*" not in (self.resource, other.resource):
            return None
        letters = "".join(letter for letter in self.permissions if letter in other.permissions)
        if not letters:
            return None
        resource = other.resource if self.resource == "*" else self.resource
        filters = simplest(resource, (*self.filters, *other.filters))
        return replace(self, resource=resource, permissions=letters, filters=filters)

    def __str__(self) -> str:
        """Write the scope in its dialect, where that dialect can say it; filters and odd letters need v2."""
        suffix = self.permissions
        if self.dialect == "v1" and not self.filters:
            suffix = V1_SUFFIXES.get(self.permissions, self.permissions)
        query = "&".join(f"{name}={_escape(value)}" for name, value in self.filters)
        return f"{self.level}/{self.resource}.{suffix}" + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class NamedScope:
    """A scope that is not about FHIR resources: ``openid``, ``launch/patient``, ``offline_access``, ``__launch``."""

    name: str
    kind: Literal["identity", "context", "refresh", "extension"]

    def __str__(self) -> str:
        return self.name


Scope = ResourceScope | NamedScope


def parse_resource_scope(text: str) -> ResourceScope:
    """Read one FHIR resource scope in v1 or v2 letters.

    Raises InvalidScope; a scope we cannot read in full is never half read.
    Source: SMART 2.2 scopes-and-launch-context, "Scopes for requesting FHIR Resources" and "Finer-grained resource
    constraints using search parameters".
    """
    match = RESOURCE_SCOPE.fullmatch(text)
    if match is None:
        raise _unreadable(text, "it does not follow level/Type.letters with letters in the order c, r, u, d, s")
    level, resource, suffix, query = match.group("level", "resource", "suffix", "query")
    if resource != "*" and not r4.is_resource_type(resource):
        raise _unreadable(text, f"{resource} is not a resource type of FHIR R4")
    dialect: Literal["v1", "v2"] = "v1" if suffix in V1_LETTERS else "v2"
    filters = () if query is None else _parse_filters(text, resource, query)
    return ResourceScope(_level(level), resource, V1_LETTERS.get(suffix, suffix), filters, dialect)


def parse_scope(text: str) -> Scope:
    """Read one scope of any kind, short or as a URI. Raises InvalidScope when it is unreadable or unknown."""
    for prefix in (SMART_URI, OPENID_URI):
        if text.startswith(prefix):
            scope = _parse_short(text.removeprefix(prefix))
            # Each scope has one URI: behind the other prefix, or a second one, it is nothing.
            if str(scope) != as_uri(scope) and as_uri(scope).startswith(prefix):
                return scope
            raise _unreadable(text, "it is not a scope this server knows")
    return _parse_short(text)


def find_scope(text: str) -> Scope | None:
    """Return one scope of any kind, or None when it is unreadable or unknown."""
    try:
        return parse_scope(text)
    except InvalidScope:
        return None


def as_uri(scope: Scope) -> str:
    """Return `scope` as a URI, for whoever cannot take its short spelling. What is one already stays."""
    text = str(scope)
    if text in OPENID_SCOPES:
        return OPENID_URI + text
    return text if "://" in text and isinstance(scope, NamedScope) else SMART_URI + text


def _parse_short(text: str) -> Scope:
    if RESOURCE_SHAPE.match(text):
        return parse_resource_scope(text)
    if text in IDENTITY_SCOPES:
        return NamedScope(text, "identity")
    if text in REFRESH_SCOPES:
        return NamedScope(text, "refresh")
    if CONTEXT_SCOPE.fullmatch(text):
        return NamedScope(text, "context")
    if EXTENSION_SCOPE.fullmatch(text):
        return NamedScope(text, "extension")
    raise _unreadable(text, "it is not a scope this server knows")


def split_scope(text: str) -> tuple[str, ...]:
    """Split a `scope` parameter into its members, once each, in order. Source: RFC 6749 §3.3."""
    return tuple(dict.fromkeys(part for part in text.split(" ") if part))


def each_once(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return `scopes` without repetition, in their first order; what came in both dialects stands in v2.

    A scope asked for in v2 must be answered in v2 (SMART 2.2 scopes-and-launch-context, "Scopes for requesting FHIR
    Resources").
    """
    kept: dict[Scope, Scope] = {}
    for scope in scopes:
        if scope not in kept or (isinstance(scope, ResourceScope) and scope.dialect == "v2"):
            kept[scope] = scope
    return tuple(kept.values())


def shortest(scopes: Iterable[ResourceScope]) -> tuple[ResourceScope, ...]:
    """Return the same permissions with fewer scopes: letters joined, covered scopes left out, first order kept."""
    joined: dict[tuple[str, str, tuple[tuple[str, str], ...]], ResourceScope] = {}
    for scope in scopes:
        key = (scope.level, scope.resource, scope.filters)
        known = joined.get(key)
        letters = scope.permissions if known is None else known.permissions + scope.permissions
        ordered = "".join(letter for letter in LETTERS if letter in letters)
        joined[key] = replace(known or scope, permissions=ordered)
    kept = list(joined.values())
    return tuple(one for one in kept if not any(other is not one and other.covers(one) for other in kept))


def _parse_filters(text: str, resource: str, query: str) -> tuple[tuple[str, str], ...]:
    filters = set()
    for pair in query.split("&"):
        name, separator, raw = pair.partition("=")
        if not separator or not raw:
            raise _unreadable(text, "a constraint is empty")
        value = _decode(text, raw)
        if not _is_supported(resource, name):
            raise _unreadable(text, "only token, reference and date parameters of the type may constrain a scope")
        if MISSPELT_SYSTEM.search(value):
            raise _unreadable(
                text, "the URL of a code system is misspelt: it goes on with CodeSystem/, not CodeSystem-"
            )
        filters.add((name, value))
    return tuple(sorted(filters))


def _is_supported(resource: str, name: str) -> bool:
    if CONSTRAINT_NAME.fullmatch(name) is None:  # Modifiers and chains fall out here.
        return False
    if name in COMMON_CONSTRAINTS:
        return True
    if resource == "*" or name.startswith("_"):
        return False
    parameter = r4.search_parameters(resource).get(name)
    return parameter is not None and parameter.type in CONSTRAINT_TYPES


def _decode(text: str, raw: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", raw):
        raise _unreadable(text, "a percent sign in a constraint is not followed by two hex digits")
    try:
        value = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise _unreadable(text, "a constraint is not UTF-8") from None
    if CONTROL.search(value):
        raise _unreadable(text, "a constraint holds a blank or a control character")
    return value


def _escape(value: str) -> str:
    # Only what would be read as structure is escaped, so that a scope comes back as partners wrote it.
    return re.sub(r"[%&#+\x00-\x20\x7f-\U0010ffff\"\\]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), value)


def _level(text: str) -> Level:
    match text:
        case "patient" | "user" | "system":
            return text
    raise AssertionError(text)


def _unreadable(text: str, why: str) -> InvalidScope:
    return InvalidScope(
        Refusal("scope.grammar", f"a scope cannot be read: {why}", seen=text[:200], fix="Write it as SMART 2.2 says.")
    )
