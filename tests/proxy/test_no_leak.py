"""Whatever is asked with whatever token, nothing outside the authority appears: judged by an oracle of its own.

The FHIR server behind is in leaky mode: it ignores filters and slips foreign entries into every page.
"""

from collections import Counter
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirproxy.r4server.population import generate
from tests.proxy.conftest import Behind, Caller, Mint
from tests.proxy.oracle import Token, allowed

POPULATION = {f"{one['resourceType']}/{one['id']}": one for one in generate("sandbox")}
IDS = sorted(POPULATION)
KINDS = ("Patient", "Observation", "Condition", "Encounter", "MedicationRequest", "Practitioner", "Group", "Account")
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"

USERS = (None, "Patient/ana", "Practitioner/dr-grey", "Patient/ana", "Patient/ben", "", "Device/x", "ana")

types = st.sampled_from(("*", "*", "*", "*", *KINDS))
suffixes = st.sampled_from(("rs", "rs", "read", "cruds", "*", "r", "s", "cud", "write"))
filters = st.sampled_from(("", f"?category={CATEGORY}|laboratory", f"?category={CATEGORY}|vital-signs"))


@st.composite
def scopes(draw: st.DrawFn, level: str) -> str:
    kind = draw(types)
    return f"{level}/{kind}.{draw(suffixes)}{draw(filters) if kind == 'Observation' else ''}"


def tokens(*levels: str) -> st.SearchStrategy[Token]:
    return st.builds(
        Token,
        st.lists(st.one_of(*map(scopes, levels)), min_size=1, max_size=4).map(tuple),
        patient=st.sampled_from(("ana", "ana", "ana", "ben", None, "", "nobody", "ANA", "ana,ben", "*")),
        fhir_user=st.sampled_from((*USERS, None)),
    )


PARAMETERS = [
    *(("patient", value) for value in ("ana", "ben", "Patient/ana", "Patient/ben", "ana,ben", "Patient/nobody")),
    *(("subject", value) for value in ("Patient/ana", "Patient/ben", "Group/ana-and-ben")),
    *(("_id", value) for value in ("ana", "ben", "ana,ben", "ana-weight-2021-03")),
    *(("_count", value) for value in ("1", "5", "50", "0")),
    *(("_include", value) for value in ("Observation:subject", "Observation:performer", "Encounter:patient")),
    *(("_revinclude", value) for value in ("Observation:subject", "Provenance:target", "Condition:patient")),
    *(("_sort", value) for value in ("_lastUpdated", "-_lastUpdated", "date")),
    *(("category", value) for value in ("laboratory", "vital-signs", "problem-list-item")),
    ("_summary", "count"), ("_summary", "true"), ("_elements", "id"), ("_total", "accurate"),
    ("code", "29463-7"), ("date", "ge2023-01-01"), ("status", "final"), ("performer", "Patient/ana"),
    ("_lastUpdated", "gt2022"), ("_has:Observation:patient:code", "29463-7"), ("patient.name", "a"), ("_list", "x"),
    ("subject:Patient.gender", "female"), ("performer:Practitioner.name", "grey"), ("encounter.status", "finished"),
    ("_include:iterate", "Encounter:location"), ("_revinclude:iterate", "Observation:encounter"), ("_text", "x"),
]  # fmt: skip
searches = st.tuples(st.sampled_from(KINDS), st.lists(st.sampled_from(PARAMETERS), max_size=4))
reads = st.sampled_from([one for one in IDS if one.partition("/")[0] in KINDS and ("ana" in one or "ben" in one)])

SETTINGS = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


class Watch:
    """Asks and judges; counts what came through, so that an empty proof is noticed."""

    def __init__(self, call: Caller, minted: Mint) -> None:
        self.call, self.minted = call, minted
        self.seen: Counter[str] = Counter()

    def bearer(self, token: Token) -> str:
        scope = " ".join(token.scopes)
        return self.minted(scope, patient=token.patient, fhirUser=token.fhir_user)

    def search(self, token: Token, kind: str, parameters: list[tuple[str, str]], *, post: bool) -> None:
        bearer, query = self.bearer(token), urlencode(parameters)
        answer = (
            self.call.form(f"/{kind}/_search", bearer, query)
            if post and query
            else self.call(f"/{kind}?{query}", bearer)
        )
        self.judge(token, answer)
        for _ in range(3):
            following = [one["url"] for one in answer.json().get("link", []) if one["relation"] == "next"]
            if not following:
                break
            answer = self.call(following[0].partition("/r4")[2], bearer)
            self.judge(token, answer)

    def judge(self, token: Token, answer: Any) -> None:
        assert answer.status_code in (200, 400, 403), answer.content
        for entry in answer.json().get("entry", []):
            resource = entry["resource"]
            name = f"{resource['resourceType']}/{resource['id']}"
            letters = "s" if entry["search"]["mode"] == "match" else "rs"
            assert allowed(token, POPULATION[name], letters), (token, name)
            self.seen[entry["search"]["mode"]] += 1
        self.seen[str(answer.status_code)] += 1


@pytest.fixture
def watch(call: Caller, minted: Mint, sandbox: Behind) -> Watch:
    sandbox.leak()
    return Watch(call, minted)


@pytest.mark.requirement("PROXY-17", "PROXY-27")
@pytest.mark.parametrize("levels", [("system",), ("patient",), ("patient", "user")], ids="+".join)
def test_no_search_shows_anything_outside(watch: Watch, levels: tuple[str, ...]) -> None:
    @SETTINGS
    @given(tokens(*levels), searches, st.booleans())
    def property_(token: Token, search: tuple[str, list[tuple[str, str]]], post: bool) -> None:
        watch.search(token, *search, post=post)

    property_()
    assert watch.seen["match"] > 50
    assert watch.seen["403"] > 5


@pytest.mark.parametrize("levels", [("system",), ("patient", "user")], ids="+".join)
def test_no_read_shows_anything_outside(watch: Watch, levels: tuple[str, ...]) -> None:
    @SETTINGS
    @given(tokens(*levels), reads)
    def property_(token: Token, name: str) -> None:
        answer = watch.call(f"/{name}", watch.bearer(token))
        if answer.status_code == 200:
            assert allowed(token, POPULATION[name], "r"), (token, name)
        else:
            assert answer.status_code in (403, 404)
            assert name.partition("/")[2].encode() not in answer.content
        watch.seen[str(answer.status_code)] += 1

    property_()
    assert watch.seen["200"] > 5
    assert watch.seen["403"] > 5


PLACES = st.one_of(
    st.tuples(st.sampled_from(("ana", "ben", "ANA")), st.sampled_from(KINDS)).map("/Patient/{0[0]}/{0[1]}".format),
    st.sampled_from(("ana", "ben")).map("/Patient/{}/$everything?_count=20".format),
    st.sampled_from(("ana", "ben")).map("/Observation/$lastn?category=laboratory&patient={}".format),
    st.sampled_from(("ana", "ben")).map("/DocumentReference/$docref?patient={}".format),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True).map(lambda some: f"/?_type={','.join(some)}"),
    reads.map("/{}/_history".format),
    st.sampled_from(KINDS).map("/{}/_history?_count=20".format),
    st.just("/_history?_count=20"),
)


@pytest.mark.requirement("T-58")
@pytest.mark.parametrize("levels", [("system",), ("patient", "user")], ids="+".join)
def test_nothing_else_that_reads_shows_anything_outside(watch: Watch, levels: tuple[str, ...]) -> None:
    @settings(SETTINGS, max_examples=120)
    @given(tokens(*levels), PLACES)
    def property_(token: Token, path: str) -> None:
        answer = watch.call(path, watch.bearer(token))
        assert answer.status_code in (200, 400, 403, 404), answer.content
        letters = "r" if path.count("/") == 3 and "/_history" in path else "rs" if "$everything" in path else "s"
        for entry in answer.json().get("entry", []):
            resource = entry.get("resource")
            if resource is not None and resource["resourceType"] not in ("Provenance", "Binary"):
                name = f"{resource['resourceType']}/{resource['id']}"
                assert allowed(token, POPULATION[name], letters), (token, path, name)
                watch.seen["shown"] += 1
        watch.seen[str(answer.status_code)] += 1

    property_()
    assert watch.seen["shown"] > 50
    assert watch.seen["403"] > 5


def test_what_is_inside_is_not_withheld(call: Caller, minted: Mint, sandbox: Behind) -> None:
    """The proof above would hold for a server that shows nothing: this is its other half, on an honest upstream."""
    for scopes_, kind, query in [
        (("patient/*.rs",), "Observation", ""),
        (("patient/Observation.rs",), "Observation", "patient=ana"),
        (("patient/Observation.rs",), "Observation", "subject=Patient/ana&category=vital-signs"),
        ((f"patient/Observation.rs?category={CATEGORY}|laboratory",), "Observation", ""),
        (("patient/Condition.rs",), "Condition", "_count=3"),
        (("patient/Practitioner.rs",), "Practitioner", ""),
        (("patient/Patient.rs",), "Patient", ""),
    ]:
        token = Token(scopes_, patient="ana")
        bearer, shown, path = minted(" ".join(scopes_), patient="ana"), set(), f"/{kind}?{query}".rstrip("?")
        while path:
            answer = call(path, bearer)
            assert answer.status_code == 200, answer.content
            shown |= {one["resource"]["id"] for one in answer.json().get("entry", [])}
            following = [one["url"] for one in answer.json()["link"] if one["relation"] == "next"]
            path = following[0].partition("/r4")[2] if following else ""
        inside = {one["id"] for one in POPULATION.values() if one["resourceType"] == kind and allowed(token, one, "s")}
        if "category=vital" in query:
            inside = {
                one
                for one in inside
                if any(
                    coding["code"] == "vital-signs"
                    for concept in POPULATION[f"{kind}/{one}"].get("category", [])
                    for coding in concept["coding"]
                )
            }
        assert shown == inside, (scopes_, kind, query)
        assert shown
