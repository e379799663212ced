"""Decisions: what is sent for what was asked, and the rule of every refusal.

SMART 2.2 scopes-and-launch-context; FHIR R4 http and search.
"""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirproxy.policy import plans
from fhirproxy.policy.authority import Loaded
from fhirproxy.policy.decisions import decide, follow_link
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.parameters import parse_search
from fhirproxy.policy.plans import CanonicalRequest, Deny, Limits, ReadPlan, SearchPlan
from fhirproxy.policy.requests import SearchType
from fhirproxy.policy.targets import parse_query, render
from fhirproxy.policy.write_plans import WritePlan
from smartauth.policy import r4
from smartauth.policy.access import Restrictions
from tests.policy.proxy.building import ALIAS, UPSTREAM, authority_for, bases, parsed

LIMITS = Limits(default_count=50, max_count=500)
DECISIONS = [
    # granted, in context, request, rule or what is sent (apart from _count)
    ("patient/Observation.rs", "ana", "GET /Observation?patient=ana", "Observation?patient=Patient%2Fana"),
    ("patient/Observation.rs", "ana", "GET /Observation", "Observation?patient=Patient%2Fana"),
    ("patient/Observation.rs", "ana", "GET /Observation?patient=ana,ben", "compartment"),
    ("patient/Observation.rs", None, "GET /Observation", "authority.empty"),
    ("patient/Observation.r", "ana", "GET /Observation?patient=ana", "scope"),
    ("patient/Observation.read", "ana", "GET /Observation?patient=ana", "Observation?patient=Patient%2Fana"),
    ("patient/Observation.write", "ana", "GET /Observation?patient=ana", "scope"),
    ("patient/Observation.rs", "ana", "GET /Observation/o1", "Observation/o1"),
    ("patient/Observation.s", "ana", "GET /Observation/o1", "scope"),
    ("patient/Patient.rs", "ana", "GET /Patient/ana", "Patient/ana"),
    ("patient/Patient.rs", "ana", "GET /Patient/ben", "nothing"),
    ("patient/Patient.rs", "ana", "GET /Patient?_id=ben", "nothing"),
    ("patient/Patient.rs", "ana", "GET /Patient?_id=ben,ana&_id=ana", "Patient?_id=ana"),
    ("patient/*.rs", "ana", "GET /AdverseEvent?subject=Group/g", "nothing"),
    ("patient/*.rs", "ana", "GET /AdverseEvent", "AdverseEvent?subject=Patient%2Fana"),
    ("patient/*.rs", "ana", "GET /AuditEvent", "scope.operator_type"),
    ("patient/*.rs", "ana", "GET /Binary/b", "Binary/b"),
    ("patient/*.rs", "ana", "GET /Binary", "search.cannot_narrow"),
    ("patient/*.rs", "ana", "GET /Provenance?target=Observation/o", "Provenance?target=Observation%2Fo"),
    ("patient/*.rs", "ana", "GET /Provenance?patient=ana", "Provenance?patient=Patient%2Fana"),
    ("patient/*.rs", "ana", "GET /Provenance?target=Patient/ben", "compartment"),
    ("patient/*.rs", "ana", "GET /Provenance?agent=Practitioner/p", "search.provenance"),
    ("system/*.rs", None, "GET /Provenance", "Provenance"),
    ("system/*.rs", None, "GET /Binary", "Binary"),
    (
        "system/*.rs",
        None,
        "GET /Observation?_source=http://x&_text=a%20b",
        "Observation?_source=http%3A%2F%2Fx&_text=a%20b",
    ),
    ("system/*.rs", None, "GET /Patient?_id=ben", "Patient?_id=ben"),
    ("patient/Observation.rs?code=a", "ana", "GET /Observation", "Observation?patient=Patient%2Fana&code=a"),
    ("patient/Observation.rs?code=a", "ana", "GET /Observation?code=b", "Observation?patient=Patient%2Fana&code=b"),
    (
        "system/Observation.rs?code=a",
        None,
        "GET /Observation?subject=Patient/x",
        "Observation?subject=Patient%2Fx&code=a",
    ),
    (
        "patient/Observation.rs?code=a patient/Observation.rs?code=b",
        "ana",
        "GET /Observation",
        "Observation?patient=Patient%2Fana",
    ),
    (
        "patient/Observation.rs patient/Encounter.r",
        "ana",
        "GET /Observation?_include=Observation:encounter",
        "Observation?patient=Patient%2Fana&_include=Observation%3Aencounter",
    ),
    (
        "patient/Observation.rs",
        "ana",
        "GET /Observation?_include=Observation:encounter",
        "Observation?patient=Patient%2Fana",
    ),
    (
        "patient/Observation.rs patient/Provenance.r",
        "ana",
        "GET /Observation?_revinclude=Provenance:target",
        "Observation?patient=Patient%2Fana",
    ),
    ("user/*.cruds", None, "PUT /Observation/o1", "authority.empty"),
    ("system/*.cruds", None, "PUT /Observation/o1", "interaction.write"),
    ("patient/*.cruds", "ana", "PUT /Observation/o1", "header.content_type"),
    ("patient/*.rs", "ana", "PUT /Observation/o1", "scope"),
    ("patient/*.cruds", "ana", "POST /Observation", "header.content_type"),
    ("patient/*.ruds", "ana", "POST /Observation", "scope"),
    ("patient/*.r", "ana", "GET /Observation/o1/_history/1", "Observation/o1/_history/1"),
    ("patient/*.cruds", "ana", "DELETE /Observation/o1", "allow"),
    ("patient/*.cruds", "ana", "DELETE /Observation", "write.criteria"),
    ("patient/*.cruds", "ana", "DELETE /Observation?subject=Patient/ben", "compartment"),
    ("patient/*.d", "ana", "DELETE /Observation?code=a", "scope"),
    ("patient/*.cruds", "ana", "DELETE /Patient/ana", "write.patient"),
    ("patient/*.cruds", "ana", "DELETE /Practitioner/p", "write.shared_type"),
    ("patient/*.cruds", "ana", "PATCH /Observation/o1", "header.content_type"),
    ("patient/*.cruds", "ana", "POST /Patient", "write.patient"),
    ("patient/*.cruds", "ana", "POST /AuditEvent", "scope.operator_type"),
    ("patient/*.s", "ana", "GET /Observation/o1/_history/1", "scope"),
    ("patient/*.r", "ana", "GET /Observation/_history", "scope"),
    ("patient/*.r", "ana", "GET /Patient/ben/_history/1", "nothing"),
    ("patient/*.r", "ana", "GET /Observation/o1/_history", "Observation/o1/_history"),
    ("patient/*.s", "ana", "GET /Observation/o1/_history", "scope"),
    ("patient/*.rs", "ana", "GET /Observation/_history", "history.full_only"),
    ("system/*.rs", None, "GET /Observation/_history?_since=2020", "Observation/_history?_since=2020"),
    ("system/*.rs", None, "GET /_history", "_history"),
    ("system/Patient.rs", None, "GET /_history", "history.full_only"),
    ("system/*.rs", None, "GET /?_type=Patient", "?_type=Patient"),
    ("patient/*.rs", "ana", "GET /?_type=Patient", "search.full_only"),
    ("system/*.rs", None, "GET /?_id=ana", "search.types"),
    ("system/*.rs", None, "GET /Patient/ana/Observation", "Observation?patient=Patient%2Fana"),
    ("patient/*.rs", "ana", "GET /Patient/ben/Observation", "compartment"),
    ("patient/*.rs", "ana", "GET /Patient/ana/*", "compartment.all_types"),
    ("system/Patient.rs", None, "GET /Patient/ana/Observation", "scope"),
    ("system/*.cruds", None, "POST /", "interaction.bundle"),
    ("system/*.rs", None, "GET /Patient/ana/$everything", "Patient/ana/$everything"),
    ("patient/*.rs", "ana", "GET /Patient/ana/$everything", "Patient/ana/$everything"),
    ("patient/*.rs", "ana", "GET /Patient/ben/$everything", "nothing"),
    ("patient/*.s", "ana", "GET /Patient/ana/$everything", "scope"),
    ("patient/Patient.r", "ana", "GET /Patient/ana/$everything", "Patient/ana/$everything?_type=Patient"),
    ("patient/Observation.r", "ana", "GET /Observation/o/$meta", "Observation/o"),
    ("patient/*.rs", "ana", "GET /DocumentReference/$docref?patient=ana", "DocumentReference/$docref?patient=ana"),
    ("patient/*.rs", "ana", "GET /DocumentReference/$docref?patient=ben", "compartment"),
    ("system/*.rs", None, "GET /Observation/$lastn?code=x", "lastn.subject"),
    ("system/*.rs", None, "GET /Encounter/e/$everything", "interaction.operation"),
    ("system/*.rs", None, "GET /$nonsense", "interaction.unknown_operation"),
]


def outcome(scope: str, patient: str | None, line: str) -> str:
    try:
        decision = decide(parsed(line), authority_for(scope, patient), LIMITS)
    except FhirRefusal as refused:
        return refused.refusal.rule
    if isinstance(decision, Deny | WritePlan):
        return decision.rule
    return re.sub(r"[?&]_count=50$", "", decision.request.target) if decision.request else "nothing"


@pytest.mark.parametrize(("scope", "patient", "line", "expected"), DECISIONS)
def test_decisions(scope: str, patient: str | None, line: str, expected: str) -> None:
    assert outcome(scope, patient, line) == expected


SMALLEST = [
    ("patient/Observation.r", "ana", "GET /Condition/c", "patient/Condition.r"),
    ("patient/Observation.r", "ana", "GET /Observation", "patient/Observation.s"),
    ("user/Observation.r", None, "GET /Condition", "user/Condition.s"),
    ("system/Observation.r", None, "GET /Condition", "system/Condition.s"),
    ("system/Observation.r", None, "POST /Condition", "system/Condition.c"),
    ("patient/Observation.r", None, "GET /Observation/o", ""),
    ("system/*.rs", None, "GET /AuditEvent", ""),
    ("system/*.rs", None, "POST /", ""),
]


@pytest.mark.parametrize(("scope", "patient", "line", "smallest"), SMALLEST)
def test_the_smallest_scope_that_would_help(scope: str, patient: str | None, line: str, smallest: str) -> None:
    decision = decide(parsed(line), authority_for(scope, patient, fhir_user=None), LIMITS)
    assert isinstance(decision, Deny)
    assert decision.scope == smallest


def test_several_patients_are_named_once_in_one_list() -> None:
    restricted = authority_for("system/*.rs", restrictions=Restrictions(patients=frozenset({"ben", "ana"})))
    plan = decide(parsed("GET /Observation?patient=ana,ben&patient=ben"), restricted, LIMITS)
    assert isinstance(plan, SearchPlan)
    assert plan.request is not None
    assert plan.request.target == "Observation?patient=Patient%2Fben&_count=50"
    plan = decide(parsed("GET /Observation"), restricted, LIMITS)
    assert isinstance(plan, SearchPlan)
    assert plan.request is not None
    assert plan.request.target == "Observation?patient=Patient%2Fana%2CPatient%2Fben&_count=50"


def test_full_authority_is_told_apart() -> None:
    for scope, patient, full in (
        ("system/*.rs", None, True),
        ("system/*.rs?_tag=a", None, False),
        ("patient/*.rs", "ana", False),
        ("system/*.rs?_tag=a system/Observation.rs", None, True),
    ):
        plan = decide(parsed("GET /Observation"), authority_for(scope, patient), LIMITS)
        assert isinstance(plan, SearchPlan)
        assert plan.is_full is full
        read = decide(parsed("GET /Observation/o"), authority_for(scope, patient), LIMITS)
        assert isinstance(read, ReadPlan)
        assert read.is_full is full


def test_counts_are_capped_and_counting_uses_the_largest_page() -> None:
    authority = authority_for("patient/*.rs", "ana")
    plan = decide(parsed("GET /Observation?_count=0"), authority, LIMITS)
    assert isinstance(plan, SearchPlan)
    assert plan.only_count
    assert plan.counting is not None
    assert plan.counting.target == "Observation?patient=Patient%2Fana&_count=500"
    plan = decide(parsed("GET /Observation?_count=501"), authority, LIMITS)
    assert isinstance(plan, SearchPlan)
    assert plan.count == 500


@pytest.mark.parametrize("kind", sorted(r4.memberships()))
def test_a_restricted_search_is_narrowed_shared_or_refused(kind: str) -> None:
    plan = decide(
        SearchType(kind, parse_search(kind, (), bases(), lenient=False)), authority_for("patient/*.rs", "ana"), LIMITS
    )
    facts = r4.memberships()[kind]
    if isinstance(plan, Deny):
        assert facts.cls in ("operator", "document", "derived-binary", "derived-targets") or facts.narrow is None
        return
    assert isinstance(plan, SearchPlan)
    assert plan.request is not None
    if facts.cls in ("compartment", "patient-self"):
        assert plan.request.target.startswith(f"{kind}?{facts.narrow}=")
        assert plan.request.target.count("%2Fana") + plan.request.target.count("=ana") == 1
    else:
        assert facts.cls in ("shared", "conditional")


LINKS = [
    (f"{UPSTREAM}?_getpages=a-b&_offset=50", "?_getpages=a-b&_offset=50"),
    (f"{UPSTREAM}/Observation?page=2", "Observation?page=2"),
    (f"{ALIAS}/Observation?page=2", "Observation?page=2"),
    ("https://evil.example/api/v4/Observation?page=2", None),
    (f"{UPSTREAM}evil/Observation?page=2", None),
    (f"{UPSTREAM}/../admin", None),
    (f"{UPSTREAM}//evil.example/", None),
    (f"{UPSTREAM}/Observation?a=b c", None),
    (f"{UPSTREAM}/Observation?a=b\r\nX: y", None),
    (f"{UPSTREAM}/Observation#x", None),
    (f"{UPSTREAM}/%2e%2e/admin", None),
    (f"{UPSTREAM}?{'a' * 20_000}", None),
    ("Observation?page=2", None),
]


@pytest.mark.requirement("PROXY-29")
@pytest.mark.parametrize(("url", "target"), LINKS)
def test_page_links_stay_on_the_upstream(url: str, target: str | None) -> None:
    request = follow_link(url, bases())
    assert (request.target if request else None) == target


def test_nobody_else_makes_a_request() -> None:
    with pytest.raises(TypeError, match="only a decision"):
        CanonicalRequest("Patient/ana", object())
    makers = {"canonical_request", "canonical_write", "upstream_link_request"}
    deciding = {
        "attachments.py",
        "bulk_decisions.py",
        "decisions.py",
        "history.py",
        "narrowing.py",
        "operating.py",
        "own_operations.py",
        "plans.py",
        "terminology.py",
        "wider_searches.py",
    }
    for path in Path(plans.__file__).parents[1].rglob("*.py"):
        if (path.parent.name == "policy" and path.name in deciding) or "r4server" in path.parts:
            continue
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert not names & makers, path


NAMES = st.sampled_from(
    ["patient", "code", "date", "subject", "_id", "status", "value-quantity", "_lastUpdated", "category:not"]
)
VALUES = st.sampled_from(
    [
        *("ana", "Patient/ana", "a|b", "|b", "a\\,b", "a\\|b|c", "ge2020", "2020-01-01"),
        *("lt5.0", "5.4|http://u|kg", "a,b", "x\\\\y"),
    ]
)


@given(st.lists(st.tuples(NAMES, VALUES | st.text(max_size=12)), max_size=4))
def test_a_search_read_written_and_read_again_is_the_same(pairs: list[tuple[str, str]]) -> None:
    try:
        query = parse_search("Observation", tuple(pairs), bases(), lenient=False)
    except FhirRefusal:
        return
    written = tuple(criterion.as_pair() for criterion in query.criteria)
    assert parse_search("Observation", written, bases(), lenient=False).criteria == query.criteria
    assert all(render((), (pair,)).isascii() for pair in written)


@given(
    st.text(max_size=60), st.sampled_from(["ana", None]), st.sampled_from(["patient/*.rs", "system/*.rs", "user/*.r"])
)
def test_no_restricted_request_leaves_the_authority(query: str, patient: str | None, scope: str) -> None:
    try:
        pairs = parse_query(query)
        search = SearchType("Observation", parse_search("Observation", pairs, bases(), lenient=True))
    except FhirRefusal:
        return
    plan = decide(search, authority_for(scope, patient, loaded=Loaded()), LIMITS)
    if isinstance(plan, SearchPlan) and plan.request is not None and not plan.is_full:
        assert plan.request.target.startswith("Observation?patient=Patient%2Fana&")
