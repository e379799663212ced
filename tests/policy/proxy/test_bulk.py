"""Bulk data, decided: what a kick-off may start, who may look at a job, where an upstream's URLs may lead.

Bulk Data Access IG; SMART 2.2 backend-services.
"""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirproxy.inflating import Inflater, MalformedStream
from fhirproxy.policy.authority import Loaded
from fhirproxy.policy.bulk_decisions import ExportPlan, JobScope, decide_export, decide_job
from fhirproxy.policy.bulk_requests import BulkExport, BulkFile, elements_of
from fhirproxy.policy.bulk_results import Lines, MalformedManifest, parse_manifest, read_line
from fhirproxy.policy.bulk_urls import Places, UpstreamUrl, find_file_url, find_job_url, parse_file_hosts
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.references import parse_base
from fhirproxy.policy.shaping import Shaped
from smartauth.policy import r4
from smartauth.policy.access import UNRESTRICTED, Restrictions
from tests.policy.proxy.building import ALIAS, PUBLIC, UPSTREAM, authority_for, bases, parsed

JOB = "0f8fad5b-d9cb-469f-a165-70867728950e"
GROUP_ONLY = Restrictions(groups=frozenset({"g"}))
MEMBERS = Loaded(group_members=frozenset({"ana"}))


def export(line: str) -> BulkExport:
    found = parsed(line, prefer="respond-async")
    assert isinstance(found, BulkExport)
    return found


def decided(scope: str, line: str, restrictions: Restrictions = UNRESTRICTED) -> Any:
    authority = authority_for(scope, restrictions=restrictions, loaded=MEMBERS)
    return decide_export(export(line), authority, restrictions)


DECISIONS = [
    # granted                                line                                       rule or what is sent
    ("system/*.rs", "GET /$export", "$export"),
    ("system/*.cruds", "POST /$export", "$export"),
    ("system/*.read", "GET /Patient/$export", "Patient/$export"),
    ("system/*.rs", "GET /Group/g/$export", "Group/g/$export"),
    ("system/*.r system/*.s", "GET /$export", "$export"),
    ("system/*.r", "GET /$export", "scope"),
    ("system/Goal.rs", "GET /$export", "$export?_type=Goal"),
    ("system/Goal.rs system/Flag.rs", "GET /$export?_type=Goal", "$export?_type=Goal"),
    ("system/Goal.rs system/Flag.rs", "GET /$export?_type=Goal,Flag,Goal", "$export?_type=Flag%2CGoal"),
    ("system/Goal.rs", "GET /$export?_type=Flag", "scope"),
    ("system/Goal.rs?patient=ana", "GET /$export", "scope"),
    ("system/Goal.rs system/Goal.rs?patient=ana", "GET /$export", "$export?_type=Goal"),
    ("system/Goal.rs", "GET /Patient/$export", "scope"),
    ("system/Goal.rs system/Patient.rs", "GET /Patient/$export?_type=Goal", "Patient/$export?_type=Goal"),
    ("system/Goal.rs system/Patient.rs", "GET /Group/g/$export?_type=Goal", "scope"),
    (
        "system/Goal.rs system/Patient.rs system/Group.rs",
        "GET /Group/g/$export?_type=Goal",
        "Group/g/$export?_type=Goal",
    ),
    ("system/*.rs", "GET /$export?_type=AuditEvent", "scope.operator_type"),
    (
        "system/*.rs",
        "GET /$export?_typeFilter=Goal%3Fpatient%3Dana%26start-date%3Dge2020,Flag%3Fsubject%3DPatient/ana",
        "$export?_typeFilter=Goal%3Fpatient%3DPatient%252Fana%26start-date%3Dge2020%2CFlag%3Fsubject%3DPatient%252Fana",
    ),
    (
        "system/*.rs",
        "GET /$export?_typeFilter=Observation%3Fcode%3Da%2Cb",
        "$export?_typeFilter=Observation%3Fcode%3Da%252Cb",
    ),
    (
        "system/*.rs",
        "GET /$export?_since=2020-01-01T00:00:00Z&_until=2021-01-01T00:00:00.5%2B02:00",
        "$export?_since=2020-01-01T00%3A00%3A00Z&_until=2021-01-01T00%3A00%3A00.5%2B02%3A00",
    ),
    ("system/*.rs", "GET /$export?_elements=id&_outputFormat=ndjson", "$export"),
    ("system/*.rs", "GET /Patient/$export?patient=Patient/a,Patient/b", "Patient/$export"),
]


@pytest.mark.parametrize(("scope", "line", "expected"), DECISIONS)
def test_what_is_started(scope: str, line: str, expected: str) -> None:
    plan = decided(scope, line)
    assert (plan.request.target if isinstance(plan, ExportPlan) else plan.rule) == expected


@pytest.mark.parametrize("scope", ["patient/*.rs", "user/*.rs", "patient/*.rs openid fhirUser"])
def test_people_export_nothing(scope: str) -> None:
    authority = authority_for(scope, "ana", "Practitioner/p")
    plan = decide_export(export("GET /$export"), authority, UNRESTRICTED)
    assert (plan.rule, getattr(plan, "status", 0)) == ("bulk.level", 403)


RESTRICTED = [
    ("GET /Group/g/$export", "Group/g/$export"),
    ("GET /Group/g/$export?patient=Patient/ana", "Group/g/$export"),
    ("GET /Group/g/$export?patient=Patient/ben", "compartment"),
    ("GET /Group/h/$export", "bulk.restricted"),
    ("GET /Patient/$export", "bulk.restricted"),
    ("GET /$export", "bulk.restricted"),
]


@pytest.mark.requirement("BULK-05")
@pytest.mark.parametrize(("line", "expected"), RESTRICTED)
def test_a_client_restricted_to_groups(line: str, expected: str) -> None:
    plan = decided("system/*.rs", line, GROUP_ONLY)
    assert (plan.request.target if isinstance(plan, ExportPlan) else plan.rule) == expected


@pytest.mark.requirement("BULK-05")
@pytest.mark.parametrize("line", ["GET /Group/g/$export", "GET /Patient/$export", "GET /$export"])
def test_a_client_restricted_to_patients_starts_nothing(line: str) -> None:
    assert decided("system/*.rs", line, Restrictions(patients=frozenset({"ana"}))).rule == "bulk.restricted"


def test_everything_but_operator_types_is_frozen() -> None:
    plan = decided("system/*.rs", "GET /$export")
    operator = {name for name, facts in r4.memberships().items() if facts.cls == "operator"}
    assert set(plan.types) == set(r4.memberships()) - operator
    named = Restrictions(operator_types=frozenset({"AuditEvent"}))
    assert "AuditEvent" in decided("system/*.rs", "GET /$export", named).types


def test_patients_are_sent_in_a_body_of_our_own() -> None:
    plan = decided("system/*.rs", f"GET /Patient/$export?_type=Goal&patient={PUBLIC}/Patient/b,Patient/a")
    assert json.loads(plan.body) == {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Goal"},
            {"name": "patient", "valueReference": {"reference": "Patient/a"}},
            {"name": "patient", "valueReference": {"reference": "Patient/b"}},
        ],
    }
    assert plan.shown == "Patient/$export?_type=Goal&patient=Patient%2Fa&patient=Patient%2Fb"


def test_an_export_needs_an_asynchronous_answer() -> None:
    found = parsed("GET /$export")
    assert isinstance(found, BulkExport)
    refused = decide_export(found, authority_for("system/*.rs"), UNRESTRICTED)
    assert (refused.rule, getattr(refused, "status", 0)) == ("bulk.prefer", 400)


JOBS = [
    # granted                                     restrictions    level     types            may be looked at
    ("system/*.rs", UNRESTRICTED, "system", ("Goal", "Flag"), True),
    ("system/Goal.rs system/Flag.rs", UNRESTRICTED, "system", ("Goal", "Flag"), True),
    ("system/Goal.rs", UNRESTRICTED, "system", ("Goal", "Flag"), False),
    ("system/Goal.rs system/Flag.r", UNRESTRICTED, "system", ("Goal", "Flag"), False),
    ("system/*.rs?_tag=a", UNRESTRICTED, "system", ("Goal",), False),
    ("system/Goal.rs", UNRESTRICTED, "patient", ("Goal",), False),
    ("system/Goal.rs system/Patient.rs", UNRESTRICTED, "patient", ("Goal",), True),
    ("system/Goal.rs system/Patient.rs", UNRESTRICTED, "group", ("Goal",), False),
    ("system/*.rs", GROUP_ONLY, "group", ("Goal",), True),
    ("system/*.rs", GROUP_ONLY, "system", ("Goal",), False),
    ("system/*.rs", UNRESTRICTED, "system", ("AuditEvent",), False),
    ("user/*.rs", UNRESTRICTED, "system", ("Goal",), False),
]


@pytest.mark.parametrize(("scope", "restrictions", "level", "types", "is_open"), JOBS)
def test_who_may_look_at_a_job(
    scope: str, restrictions: Restrictions, level: Any, types: tuple[str, ...], is_open: bool
) -> None:
    authority = authority_for(scope, None, "Practitioner/p", restrictions=restrictions, loaded=MEMBERS)
    plan = decide_job(JobScope(level, "g" if level == "group" else "", types), authority, restrictions)
    assert (plan is not None) == is_open
    if plan is not None:
        assert plan.grants_for(types[0])
        assert plan.grants_for("Condition") == ()  # It was not frozen, whatever the token may do by now.
        assert plan.is_full(types[0]) == (restrictions is UNRESTRICTED)


def test_a_deleted_bundle_is_not_told_of_since_it_may_have_been_hidden() -> None:
    authority = authority_for("system/*.rs", restrictions=UNRESTRICTED)
    plan = decide_job(JobScope("system", "", ("Bundle", "Goal")), authority, UNRESTRICTED)
    assert plan is not None
    assert (plan.is_full("Bundle"), plan.is_full("Goal")) == (False, True)


def test_elements_by_type() -> None:
    names = ("Observation.value", "status")
    assert elements_of("Goal", ("Observation.value",)) == frozenset()
    assert elements_of("Goal", names) == {"id"}  # Goal has no status: of it only what is mandatory stays.
    assert elements_of("Observation", names) >= {"id", "status", "valueQuantity", "valueString"}


HOST = "https://files.example.org:9443"
BASE = "https://ehr.example.org:8443"
FILES = [
    # URL                                       credentials, if asked for; None: not to be asked
    (f"{UPSTREAM}/files/1", True),
    (f"{BASE}/other/path?x=1", True),
    ("HTTPS://EHR.example.org:8443/x", True),
    (f"{ALIAS}/files/1", True),
    ("http://ehr.internal/elsewhere", None),
    (f"{HOST}/bucket/1?sig=a%2Fb", False),
    ("https://files.example.org/bucket/1", None),
    ("http://files.example.org:9443/bucket/1", None),
    ("https://files.example.org:9443@evil.example/1", None),
    ("https://files.example.org:94439/1", None),
    ("https://files.example.org:9443.evil.example/1", None),
    (f"{HOST}/a b", None),
    (f"{HOST}/a\\b", None),
    (f"{HOST}/a\nHost: evil", None),
    (f"{HOST}/a#b", None),
    (f"{HOST}/{'a' * 20_000}", None),
    ("files/1", None),
    ("//files.example.org:9443/1", None),
    ("ftp://ehr.example.org/1", None),
]


@pytest.mark.parametrize(("url", "expected"), FILES)
def test_where_files_may_be(url: str, expected: bool | None) -> None:
    places = Places(UPSTREAM, parse_base(UPSTREAM), bases(), parse_file_hosts((HOST,)))
    found = find_file_url(url, places, needs_token=True)
    assert (found.takes_credentials if found else None) == expected
    without = find_file_url(url, places, needs_token=False)
    assert without is None or not without.takes_credentials
    if expected is False:
        assert find_job_url(url, places) is None
    if found is not None and url.startswith(ALIAS):
        assert found.url == f"{UPSTREAM}/files/1"


def test_nobody_else_makes_such_a_url() -> None:
    with pytest.raises(TypeError, match="held against"):
        UpstreamUrl("https://evil.example/", True, object())


def test_a_file_host_has_no_path() -> None:
    with pytest.raises(ValueError, match="no path"):
        parse_file_hosts(("https://files.example.org/bucket",))


def test_our_own_urls() -> None:
    found = parsed(f"GET /_bulk/{JOB}/12", accept="application/fhir+ndjson")
    assert isinstance(found, BulkFile)
    assert (str(found.job), found.number) == (JOB, 12)
    for path in (f"/_bulk/{JOB.upper()}", f"/_bulk/{JOB}/-1", f"/_bulk/{JOB}/1/2", "/_bulk"):
        with pytest.raises(FhirRefusal) as refused:
            parsed(f"GET {path}")
        assert refused.value.status == 404


ACCEPTED = [
    ("", True),
    ("*/*", True),
    ("application/fhir+ndjson", True),
    ("application/ndjson;q=0.5, text/html", True),
    ("application/fhir+json", False),
    ("application/fhir+ndjson;q=0", False),
    ("application/fhir+ndjson;q=0.0", False),
]


@pytest.mark.parametrize(("accept", "is_accepted"), ACCEPTED)
def test_a_file_is_ndjson(accept: str, is_accepted: bool) -> None:
    if is_accepted:
        assert parsed(f"GET /_bulk/{JOB}/1", accept=accept)
        return
    with pytest.raises(FhirRefusal) as refused:
        parsed(f"GET /_bulk/{JOB}/1", accept=accept)
    assert refused.value.status == 406


def test_a_manifest_holds_no_more_than_was_frozen() -> None:
    plan = decide_job(JobScope("system", "", ("Goal",)), authority_for("system/*.rs"), UNRESTRICTED)
    assert plan is not None
    document: Any = {
        "transactionTime": "2026-01-01T00:00:00Z",
        "requiresAccessToken": False,
        "output": [{"type": "Goal", "url": "a"}, {"type": "Patient", "url": "b"}],
    }
    manifest = parse_manifest(document, plan)
    assert ([one.url for one in manifest.files], manifest.removed, manifest.needs_token) == (["a"], 1, False)
    with pytest.raises(MalformedManifest):
        parse_manifest([], plan)


@given(st.lists(st.binary(max_size=40).filter(lambda one: b"\n" not in one), max_size=12), st.data())
def test_lines_are_the_same_however_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(lines)
    cutter, found, start = Lines(longest=20), [], 0
    while start < len(whole):
        end = start + data.draw(st.integers(1, 15))
        found += cutter.feed(whole[start:end])
        start = end
    last = cutter.finish()
    found += [last] if last else []
    assert found == [one for one in lines if one.strip() and len(one) <= 20]
    assert cutter.too_long == sum(len(one) > 20 for one in lines)


def test_a_line_is_one_resource_of_its_type() -> None:
    assert read_line(b'{"resourceType":"Goal","id":"g"}\r', "Goal") is not None
    assert read_line(b'{"resourceType":"Goal","id":"g"}', "Flag") is None
    assert read_line(b'{"resourceType":"Goal","id":"g"}{}', "Goal") is None
    assert read_line(b'{"resourceType":"Goal","id":1}', "Goal") is None
    assert not isinstance(read_line(b'{"resourceType":"Goal","id":"g"}', "Goal"), Shaped)


@given(st.lists(st.binary(max_size=2_000), max_size=5), st.integers(1, 700))
def test_what_was_packed_comes_out_the_same(members: list[bytes], step: int) -> None:
    packed = b"".join(map(gzip.compress, members))
    inflater = Inflater()
    found = b"".join(
        piece for start in range(0, len(packed), step) for piece in inflater.feed(packed[start : start + step])
    )
    inflater.finish()
    assert found == b"".join(members)


def test_a_bomb_is_seen_while_it_unfolds() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    sizes: list[int] = []
    with pytest.raises(MalformedStream, match="ratio"):
        sizes.extend(map(len, Inflater().feed(bomb)))
    assert sum(sizes) < 48 * 1024 * 1024
