"""Whatever is exported with whatever token and fetched with whatever other: no line outside of either appears.

The FHIR server behind is in leaky mode: it ignores every limit of an export and slips foreign lines into every file.
The oracle judges stored resources and shares no code with the proxy.
"""

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirproxy.models import BulkJob
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint
from tests.proxy.oracle import Token, _about, allowed
from tests.proxy.test_bulk import ASYNC, content
from tests.proxy.test_no_leak import POPULATION, scopes

PATHS = st.sampled_from(("/$export", "/Patient/$export", "/Group/ana-and-ben/$export", "/Group/other/$export"))
QUERIES = st.sampled_from(
    (
        "",
        "_type=Patient",
        "_type=Observation,Patient",
        "_type=Condition,Practitioner&_since=2000-01-01T00:00:00Z",
        "_typeFilter=Observation%3Fpatient%3Dana",
        "_elements=id&_type=Observation",
        "patient=Patient/ana",
        "_type=Nothing",
    )
)
RESTRICTIONS = st.sampled_from(({}, {}, {}, {"groups": ["ana-and-ben"]}, {"patients": ["ana"]}, {"groups": []}))
MEMBERS = {"ana", "ben"}
TOKENS = st.lists(scopes("system"), min_size=1, max_size=4).map(lambda found: Token(tuple(found)))
WIDE = st.just(Token(("system/*.rs",)))
SETTINGS = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


def is_inside(token: Token, resource: dict[str, Any], restrictions: dict[str, Any]) -> bool:
    return allowed(token, resource, "s") and (not restrictions or _about(resource, MEMBERS))


def test_no_line_outside_appears(call: Caller, minted: Mint, sandbox: Behind) -> None:
    sandbox.leak()
    seen: Counter[str] = Counter()

    @SETTINGS
    @given(TOKENS | WIDE, TOKENS | WIDE, PATHS, QUERIES, RESTRICTIONS, RESTRICTIONS)
    def property_(
        first: Token, second: Token, path: str, query: str, then: dict[str, Any], now: dict[str, Any]
    ) -> None:
        BulkJob.objects.all().delete()
        started = call(f"{path}?{query}".rstrip("?"), minted(" ".join(first.scopes), restrictions=then), **ASYNC)
        seen[f"kick-off {started.status_code}"] += 1
        if started.status_code != 202:
            assert started.status_code in (400, 403, 404), started.content
            return
        job = started["Content-Location"].removeprefix(PUBLIC)
        bearer = minted(" ".join(second.scopes), restrictions=now)
        status = call(job, bearer)
        if status.status_code == 202:
            status = call(job, bearer)
        seen[f"status {status.status_code}"] += 1
        if status.status_code != 200:
            assert status.status_code == 404
            return
        for output in status.json()["output"]:
            for line in map(json.loads, content(call(output["url"].removeprefix(PUBLIC), bearer)).splitlines()):
                stored = POPULATION.get(
                    f"{line['resourceType']}/{line['id']}", line
                )  # Other tests may have added some.
                assert is_inside(first, stored, then), (first, stored["id"])
                assert is_inside(second, stored, now), (second, stored["id"])
                seen["line"] += 1

    property_()
    assert seen["line"] > 1_000
    assert min(seen["kick-off 202"], seen["kick-off 403"], seen["status 200"], seen["status 404"]) >= 5, seen
