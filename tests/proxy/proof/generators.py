"""Tokens and requests, drawn at random: what apps send, what nobody should, and raw bytes.

INTERACTIONS is where a new interaction joins the proof: a name and a strategy of requests. Everything else follows.
"""

import json
from collections.abc import Callable
from functools import cache
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from smartauth.policy import r4
from tests.proxy.oracle import Token
from tests.proxy.proof.operations import own_operations, validations
from tests.proxy.proof.population import JOINT
from tests.proxy.proof.situations import mostly_situated
from tests.proxy.proof.vocabulary import (
    CHAINED,
    CONSTRAINTS,
    GOOD_SUFFIXES,
    IDS,
    INCLUDES,
    KINDS,
    MUTATIONS,
    ORDINARY,
    OTHER_IDS,
    PATIENT_CLAIMS,
    POISON,
    REFUSED,
    RESULTS,
    SUFFIXES,
    USERS,
    WHOM,
)
from tests.proxy.proof.world import Request

FORM = "application/x-www-form-urlencoded"


@st.composite
def scopes(draw: st.DrawFn, level: str, *, odd: bool = True) -> str:
    """One FHIR scope, now and then with a constraint."""
    kind = draw(st.sampled_from(("*", "*", "*", "Observation", "Observation", "Observation", "Condition", *KINDS)))
    scope = f"{level}/{kind}.{draw(st.sampled_from(SUFFIXES if odd else GOOD_SUFFIXES))}"
    if kind in CONSTRAINTS and draw(st.integers(0, 3)) == 3:
        scope += "?" + draw(st.sampled_from(CONSTRAINTS[kind]))
    return scope


@st.composite
def app_tokens(draw: st.DrawFn) -> Token:
    """What an app of a patient or a clinician holds as a rule."""
    level = draw(st.sampled_from(("patient", "patient", "patient", "user")))
    found = tuple(draw(st.lists(scopes(level, odd=False), min_size=1, max_size=3)))
    if level == "user":
        users = ("Patient/ana", "Patient/ben", "RelatedPerson/ana-mother", "Practitioner/practitioner")
        return Token(found, fhir_user=draw(st.sampled_from(users)), client="app")
    patient = draw(st.sampled_from(("ana", "ana", "ben")))
    user = draw(st.sampled_from((None, None, f"Patient/{patient}", "Practitioner/practitioner")))
    return Token((*found, *(("openid", "fhirUser") if user else ())), patient=patient, fhir_user=user, client="app")


@st.composite
def odd_tokens(draw: st.DrawFn) -> Token:
    """What no app should hold, and some might."""
    level = st.sampled_from(("patient", "patient", "patient", "user"))
    found = [draw(scopes(draw(level))) for _ in range(draw(st.integers(1, 3)))]
    named = draw(st.sampled_from(((), (), ("openid", "fhirUser"))))
    return Token(
        (*found, *named),
        patient=draw(st.sampled_from(PATIENT_CLAIMS)),
        fhir_user=draw(st.sampled_from(USERS)),
        client="app",
    )


@st.composite
def service_tokens(draw: st.DrawFn) -> Token:
    """What a backend service holds, confined by its registration more often than in life."""
    patients, groups, operators = draw(
        st.sampled_from((
            (None, None, ()), (None, None, ("AuditEvent",)), ({"ana"}, None, ()), ({"ana", "cho"}, None, ()),
            (None, {"cohort"}, ()), (None, {"cohort"}, ()),
            (None, {"none"}, ()), (set(), None, ()), ({"ben"}, {"cohort"}, ("AuditEvent",)),
        ))
    )  # fmt: skip
    return Token(
        tuple(draw(st.lists(scopes("system", odd=draw(st.integers(0, 3)) == 3), min_size=1, max_size=3))),
        client="service",
        only_patients=None if patients is None else frozenset(patients),
        only_groups=None if groups is None else frozenset(groups),
        operator_types=frozenset(operators),
    )


@st.composite
def granular_tokens(draw: st.DrawFn) -> Token:
    """Nothing but filtered scopes of one type, for one patient, for all, or for a service."""
    kind = draw(st.sampled_from(("Observation", "Observation", "Condition", "*")))
    level = draw(st.sampled_from(("patient", "patient", "user", "system")))
    filters = draw(st.lists(st.sampled_from(CONSTRAINTS[kind]), min_size=1, max_size=2))
    found = tuple(f"{level}/{kind}.rs?{one}" for one in filters)
    match level:
        case "patient":
            return Token(found, patient="ana", client="app")
        case "user":
            return Token(found, fhir_user="Practitioner/practitioner", client="app")
    return Token(found, client="service")


USUAL = (app_tokens(),) * 5 + (service_tokens(),) * 2 + (granular_tokens(),) * 2 + (odd_tokens(),) * 2
tokens = st.sampled_from(USUAL).flatmap(lambda one: one)


def kinds_of(token: Token) -> tuple[str, ...]:
    """Return the types to ask for with a token: mostly such as it names."""
    named = tuple(
        kind for scope in token.scopes if (kind := scope.partition("/")[2].partition(".")[0]) not in ("*", "")
    )
    is_any = any("/*." in scope for scope in token.scopes)
    return KINDS if is_any or not named else (*named * (4 * len(KINDS) // len(named)), *KINDS)


def is_include_of(kind: str, pair: tuple[str, str]) -> bool:
    """Return True for an include that a search of `kind` can take."""
    source, _, rest = pair[1].partition(":")
    if pair[0] == "_include":
        return source == kind
    parameter = r4.search_parameters(source).get(rest) if r4.is_resource_type(source) else None
    return parameter is not None and bool({kind, "*"} & set(parameter.target))


@st.composite
def parameters(draw: st.DrawFn, kind: str, *, odd: bool = True) -> list[tuple[str, str]]:
    """Parameters of a search, mostly such as the type knows."""
    known = r4.search_parameters(kind)
    found = []
    for name in [one for one in ("patient", "subject") if one in known]:
        if draw(st.integers(0, 3)) == 3:
            found.append((name, draw(st.sampled_from(WHOM if odd else WHOM[2:4]))))
    if draw(st.integers(0, 5)) == 5:
        found.append(("_id", draw(st.sampled_from(IDS))))
    usable = [
        pair for pair in ORDINARY if pair[0].partition(":")[0] in known or pair[0] in ("_lastUpdated", "_security")
    ]
    includes = [pair for pair in INCLUDES if is_include_of(kind, pair)]
    found += draw(st.lists(st.sampled_from(usable), max_size=1)) if usable else []
    found += draw(st.lists(st.sampled_from(includes), max_size=2)) if includes else []
    found += draw(st.lists(st.sampled_from(RESULTS), max_size=2, unique_by=lambda pair: pair[0]))
    if odd and draw(st.integers(0, 9)) == 9:
        found.append(draw(st.sampled_from((*REFUSED, *CHAINED, *INCLUDES))))
    return found


@st.composite
def searches(draw: st.DrawFn, kinds: tuple[str, ...], *, odd: bool = True) -> Request:
    """A search of one type, by GET or by POST."""
    kind = draw(st.sampled_from(kinds))
    query = urlencode(draw(parameters(kind, odd=odd)))
    headers = (("Prefer", "handling=lenient"),) if odd and draw(st.integers(0, 7)) == 7 else ()
    if query and draw(st.integers(0, 3)) == 3:
        return Request("search", f"/{kind}/_search", "POST", (*headers, ("Content-Type", FORM)), query.encode())
    return Request("search", f"/{kind}?{query}".rstrip("?"), headers=headers)


@st.composite
def instances(draw: st.DrawFn, kinds: tuple[str, ...]) -> str:
    """Type/id of something there, or not."""
    kind = draw(st.sampled_from(kinds))
    low = kind.lower()
    patterns = [f"ana-{low}", f"ben-{low}", f"ana-{low}-2", f"ben-{low}-2"]
    match kind:
        case "Patient":
            return f"Patient/{draw(st.sampled_from(OTHER_IDS[:9]))}"
        case "Provenance":
            patterns = [f"about-{number}" for number in range(14)]
        case "Bundle":
            patterns = [f"document-{number}" for number in range(4)]
        case "Observation":
            patterns += [f"role-{number}" for number in range(12)] + [f"ana-odd-observation-{n}" for n in range(55)]
        case "Condition" | "Task" | "Device" | "Encounter":
            patterns += [f"ana-odd-{low}-{number}" for number in range(55)] + [f"nobody-{n}" for n in range(2)]
    if kind in JOINT:
        patterns += [f"joint-{number}" for number in range(6)]
    return f"{kind}/{draw(st.sampled_from((*patterns, *patterns, *OTHER_IDS)))}"


@st.composite
def reads(draw: st.DrawFn, kinds: tuple[str, ...]) -> Request:
    """A read, sometimes by HEAD, conditional or of a part."""
    tail = draw(
        st.sampled_from(("", "", "", "", "?_summary=true", "?_elements=id", "?_pretty=true", "?_summary=text", "?x=1"))
    )
    headers = draw(
        st.sampled_from(((), (), (), (("If-None-Match", 'W/"1"'),), (("If-None-Match", "*"),),
                         (("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT"),)))
    )  # fmt: skip
    method = draw(st.sampled_from(("GET", "GET", "GET", "HEAD")))
    return Request("read", f"/{draw(instances(kinds))}{tail}", method, headers)


@st.composite
def other_reads(draw: st.DrawFn, kinds: tuple[str, ...]) -> Request:
    """Versions, history, compartments, operations, searches across types: what may be offered or refused."""
    where = draw(instances(kinds))
    kind = draw(st.sampled_from(kinds))
    whose = draw(st.sampled_from(("ana", "ben", "nobody")))
    interaction, path = draw(
        st.sampled_from((
            ("vread", f"/{where}/_history/{draw(st.sampled_from('1239'))}"), ("history", f"/{where}/_history"),
            ("history", f"/{kind}/_history?_count=20"), ("history", "/_history"),
            ("compartment", f"/Patient/{whose}/{kind}"), ("compartment", f"/Patient/{whose}/*"),
            ("compartment", f"/Encounter/{whose}-encounter/{kind}"), ("everything", f"/Patient/{whose}/$everything"),
            ("everything", f"/Patient/{whose}/$everything?_type={kind}"), ("lastn",
            f"/Observation/$lastn?patient={whose}"),
            ("docref", f"/DocumentReference/$docref?patient={whose}"), ("operation", f"/{where}/$meta"),
            ("operation", f"/{kind}/$export"), ("operation", "/$graphql?query=x"), ("operation", f"/{where}/$graph"),
            ("system-search", f"/?_type={kind}"), ("system-search", f"/_search?_type={kind},Patient"), ("metadata",
            "/metadata"),
        ))
    )  # fmt: skip
    return Request(interaction, path)


@st.composite
def bundles(draw: st.DrawFn, kinds: tuple[str, ...]) -> Request:
    """A batch or transaction of reads and searches."""
    inner = draw(
        st.lists(
            st.one_of(instances(kinds), instances(kinds), searches(kinds).map(lambda one: one.path[1:])),
            min_size=1,
            max_size=4,
        )
    )
    entry = [{"request": {"method": "GET", "url": url}} for url in inner]
    kind = draw(st.sampled_from(("batch", "batch", "transaction")))
    body = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entry}).encode()
    return Request("batch", "", "POST", (("Content-Type", "application/fhir+json"),), body)


@st.composite
def mutants(draw: st.DrawFn, kinds: tuple[str, ...]) -> Request:
    """A request with its bytes changed."""
    request = draw(st.one_of(reads(kinds), searches(kinds), other_reads(kinds)))
    path = request.path
    for change in draw(st.lists(st.sampled_from(MUTATIONS), max_size=2)):
        path = change(path)
    if draw(st.integers(0, 3)) == 0:
        where = draw(st.integers(0, len(path)))
        path = (
            path[:where]
            + draw(st.sampled_from(("%", "\\", "'", '"', "\x00", " ", "..", "%2e", quote("ä"), "|", "$")))
            + path[where:]
        )
    headers = (*request.headers, *draw(st.lists(st.sampled_from(POISON), max_size=3)))
    method = draw(st.sampled_from((request.method,) * 4 + ("get", "TRACE", "OPTIONS", "PROPFIND", "CONNECT")))
    return Request("mutant", path, method, headers, request.body)


# Where new interactions join: how often each is drawn, and its strategy of requests for types worth asking for.
INTERACTIONS: dict[str, tuple[int, Callable[[tuple[str, ...]], st.SearchStrategy[Request]]]] = {
    "search": (6, searches),
    "read": (4, reads),
    "other reads": (1, other_reads),
    "batch": (1, bundles),
    "mutant": (1, mutants),
    "validate": (1, validations),
    "own operations": (1, own_operations),
}


@cache
def requests_for(kinds: tuple[str, ...]) -> st.SearchStrategy[Request]:
    """Return requests of every interaction."""
    return st.sampled_from(
        [strategy for weight, make in INTERACTIONS.values() for strategy in [make(kinds)] * weight]
    ).flatmap(lambda one: one)


at_random = tokens.flatmap(lambda token: st.tuples(st.just(token), requests_for(kinds_of(token))))
asked = mostly_situated(at_random)
searched = tokens.flatmap(lambda token: st.tuples(st.just(token), searches(kinds_of(token))))
