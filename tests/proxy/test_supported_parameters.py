"""Search parameters that the FHIR server behind does not list: refused here, by one rule, before a search is sent.

FHIR R4 capabilitystatement and search. The server behind is scripted: its statement lists a few parameters only.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clients import tenants
from clients.tenants import TenantInfo
from fhirproxy import breakers
from fhirproxy import statement as statement_cache
from fhirproxy.models import BulkJob, Upstream
from fhirproxy.statement import find_supported_parameters
from fhirproxy.tenancy import find_upstream
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Caller, Mint, forget_statement, put_behind
from tests.proxy.scripted import Said, Scripted, scripted
from tests.proxy.test_batch import bundle, entry, statuses
from tests.proxy.test_writes import observation, switch

ANA = {"patient": "ana"}
METADATA = "GET /r4/metadata"
FOUND = Said(body=json.dumps({"resourceType": "Bundle", "type": "searchset"}).encode())
CODE = "/Observation?patient=ana&code=x"
SENT = "GET /r4/Observation?patient=Patient%2Fana&code=x&_count=50"


def statement(*, everywhere: tuple[str, ...] = (), **types: tuple[str, ...]) -> Said:
    """Return a CapabilityStatement that lists these parameters by type."""

    def listed(names: tuple[str, ...]) -> Any:
        return [{"name": name, "type": "token"} for name in names]

    interactions = [{"code": code} for code in ("read", "search-type", "create", "update")]
    resources = [
        {"type": kind, "interaction": interactions, "searchParam": listed(names)} for kind, names in types.items()
    ]
    rest = [{"mode": "server", "resource": resources, "searchParam": listed(everywhere)}]
    return Said(body=json.dumps({"resourceType": "CapabilityStatement", "rest": rest}).encode())


FEW = statement(
    everywhere=("_text",),
    Observation=("patient", "code", "has-member"),
    Patient=("name",),
    Condition=(),
)


@pytest.fixture
def behind(tenant: TenantInfo) -> Iterator[Scripted]:
    with scripted() as script:
        put_behind(tenant, script.base_url, bearer="")
        tenants._tenants.clear()
        forget_statement()
        breakers.forget()
        script.answers[METADATA] = FEW
        yield script
    forget_statement()


REFUSED = [
    # scope          path
    ("patient/*.rs", "Observation?date=2026-01-01"),
    ("patient/*.rs", "Observation?date:missing=true"),
    ("patient/*.rs", "Observation?code=x&status=final"),
    ("patient/*.rs", "Observation?_sort=-date"),
    ("patient/*.rs", "Patient/ana/Observation?date=2026-01-01"),
    ("patient/*.rs", "Observation/$lastn?code=x"),
    ("system/*.rs",  "?_type=Observation,Patient&_text=x&_source=x"),
    ("system/*.rs",  "Observation?encounter.status=finished"),
    ("system/*.rs",  "Observation?has-member:Observation.date=2026"),
    ("system/*.rs",  "Patient?_has:Observation:subject:code=x"),
    ("system/*.rs",  "Patient?_has:Observation:patient:date=2026"),
    ("system/*.rs",  "Patient?_source=x"),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "path"), REFUSED)
def test_a_parameter_that_is_not_listed_is_refused_before_the_search(
    behind: Scripted, minted: Mint, call: Caller, scope: str, path: str
) -> None:
    response = call(f"/{path}", minted(scope, **ANA))
    assert response.status_code == 400
    (issue,) = response.json()["issue"]
    assert issue["code"] == "not-supported"
    assert "not supported here" in issue["details"]["text"]
    assert Receipt.objects.get().rule == "search.unsupported"
    assert behind.lines() == [METADATA]


def test_the_reason_names_each_and_no_value(behind: Scripted, minted: Mint, call: Caller) -> None:
    response = call("/Observation?date=2026-01-01&code=x&status=secret", minted("patient/*.rs", **ANA))
    (issue,) = response.json()["issue"]
    assert issue["details"]["text"] == (
        "search parameters that are not supported here: Observation.date, Observation.status"
    )
    assert "2026" not in response.content.decode()


SEARCHED = [
    # scope          path                                             sent
    ("patient/*.rs", "Observation?patient=ana&code=x",                "Observation?patient=Patient%2Fana&code=x"),
    ("patient/*.rs", "Observation?code:not=x&_sort=-code",
     "Observation?patient=Patient%2Fana&code%3Anot=x&_sort=-code"),
    ("patient/*.rs", "Condition?code=x&_sort=recorded-date",
     "Condition?patient=Patient%2Fana&code=x&_sort=recorded-date"),
    ("patient/*.rs", "Goal?target-date=2026",                         "Goal?patient=Patient%2Fana&target-date=2026"),
    ("system/*.rs",  "Observation?has-member:Observation.code=x",     "Observation?has-member%3AObservation.code=x"),
    ("system/*.rs",  "Patient?_has:Observation:patient:code=x",       "Patient?_has%3AObservation%3Apatient%3Acode=x"),
    ("system/*.rs",  "Patient?_text=x",                               "Patient?_text=x"),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "path", "sent"), SEARCHED)
def test_what_is_listed_is_sent_and_so_is_everything_of_a_type_that_lists_nothing(
    behind: Scripted, minted: Mint, call: Caller, scope: str, path: str, sent: str
) -> None:
    behind.answers[f"GET /r4/{sent}&_count=50"] = FOUND
    assert call(f"/{path}", minted(scope, **ANA)).status_code == 200
    assert behind.lines() == [METADATA, f"GET /r4/{sent}&_count=50"]


TAKEN_FOR_GRANTED = [
    "Observation",
    "Observation?_id=x&_lastUpdated=gt2026&_tag=a&_profile=http://x&_security=N",
    "Observation?_sort=-_lastUpdated&_count=5&_total=none&_summary=true&_include=Observation:encounter",
    "Patient/ana/Observation",
]


@pytest.mark.parametrize("path", TAKEN_FOR_GRANTED)
def test_what_every_type_has_needs_no_statement(behind: Scripted, minted: Mint, call: Caller, path: str) -> None:
    call(f"/{path}", minted("patient/*.rs", **ANA))
    (line,) = behind.lines()
    assert line.startswith("GET /r4/Observation?patient=Patient%2Fana")


def test_reads_and_what_is_refused_anyway_need_none(behind: Scripted, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.rs", **ANA)
    assert call("/Observation/o1", token).status_code == 404
    assert call("/Condition?date=2026", token).status_code == 400
    assert call("/Condition?code=x", token).status_code == 403
    assert call("/Observation?patient=ben&date=2026", token).status_code == 403
    assert behind.lines() == ["GET /r4/Observation/o1"]


def test_forms_batches_and_criteria_obey_the_same_rule(behind: Scripted, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    assert call.form("/Observation/_search", token, "date=2026").status_code == 400
    criteria = {"HTTP_IF_NONE_EXIST": "date=2026"}
    assert call.write("POST", "/Observation", token, observation(), **criteria).status_code == 400
    assert call.write("PUT", "/Observation?date=2026", token, observation()).status_code == 400
    assert call.write("DELETE", "/Observation?date=2026", token).status_code == 400
    batch = bundle("batch", entry("GET", "Observation?date=2026"), entry("DELETE", "Observation?date=2026"))
    assert statuses(call.write("POST", "", token, batch)) == ["400", "400"]
    together = bundle("transaction", entry("POST", "Observation", observation(), ifNoneExist="date=2026"))
    response = call.write("POST", "", token, together)
    assert response.status_code == 400
    assert "Entry 0" in response.json()["issue"][0]["details"]["text"]
    assert behind.lines() == [METADATA]
    assert set(Receipt.objects.values_list("rule", flat=True)) == {"search.unsupported"}


def test_filters_of_an_export_obey_it_too(behind: Scripted, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    path = "/$export?_type=Observation&_typeFilter=Observation%3F{}"
    refused = call(path.format("date%3D2026"), token, HTTP_PREFER="respond-async")
    assert (refused.status_code, Receipt.objects.get().rule) == (400, "search.unsupported")
    assert (behind.lines(), BulkJob.objects.count()) == ([METADATA], 0)
    kick_off = "GET /r4/$export?_type=Observation&_typeFilter=Observation%3Fcode%3Dx"
    behind.answers[kick_off] = Said(202, headers={"Content-Location": f"{behind.base_url}/jobs/1"})
    assert call(path.format("code%3Dx"), token, HTTP_PREFER="respond-async").status_code == 202
    assert behind.lines() == [METADATA, kick_off]


def test_a_cold_search_costs_one_more_call_and_a_warm_one_none_and_no_statement_of_the_database(
    behind: Scripted, minted: Mint, call: Caller, serving: None
) -> None:
    behind.answers[SENT] = FOUND
    token = minted("patient/*.rs", **ANA)
    assert call("/Observation", token).status_code == 502  # The script has no such answer; the token is known now.
    behind.asked.clear()
    for lines in ([METADATA, SENT], [SENT], [SENT]):
        with CaptureQueriesContext(connection) as captured:
            assert call(CODE, token).status_code == 200
        assert [one["sql"][:31] for one in captured] == ['INSERT INTO "audit_auditrecord"']
        assert behind.lines() == lines
        behind.asked.clear()
    recording._buffer.flush()
    calls = AuditRecord.objects.filter(action="search").order_by("id").values_list("details__upstream_calls", flat=True)
    assert list(calls)[-3:] == [2, 1, 1]
    assert call("/metadata").status_code == 200
    assert behind.lines() == []


@pytest.mark.parametrize(
    "said",
    [
        Said(404),
        Said(500),
        Said(body=b"<html>"),
        Said(body=b'{"resourceType":"Patient"}'),
        statement(Patient=("name",)),
    ],
    ids=str,
)
def test_a_server_that_does_not_say_is_not_held_to_it(behind: Scripted, minted: Mint, call: Caller, said: Said) -> None:
    behind.answers |= {METADATA: said, SENT: FOUND}
    token = minted("patient/*.rs", **ANA)
    assert call(CODE, token).status_code == 200
    behind.asked.clear()
    assert call(CODE, token).status_code == 200
    assert behind.lines() == [SENT]


def test_a_statement_that_does_not_come_is_not_waited_for_again(behind: Scripted, minted: Mint, call: Caller) -> None:
    Upstream.objects.update(timeout_seconds=1)
    tenants._tenants.clear()
    behind.answers |= {METADATA: Said(delay=1.5), SENT: FOUND}
    token = minted("patient/*.rs", **ANA)
    for _ in range(2):
        assert call(CODE, token).status_code == 200
    assert behind.lines() == [METADATA, SENT, SENT]


def test_what_did_not_come_is_not_taken_for_known(behind: Scripted, call: Caller) -> None:
    info = find_upstream("sandbox")
    assert info is not None
    behind.answers[METADATA] = Said(500)
    assert call("/metadata").status_code == 200
    assert find_supported_parameters(info) is None
    forget_statement()
    behind.answers[METADATA] = FEW
    assert call("/metadata").status_code == 200
    assert find_supported_parameters(info) is not None


def test_the_last_good_statement_counts_while_none_comes(behind: Scripted, minted: Mint, call: Caller) -> None:
    behind.answers[SENT] = FOUND
    token = minted("patient/*.rs", **ANA)
    assert call(CODE, token).status_code == 200
    statement_cache._copies.clear()
    behind.answers[METADATA] = Said(500)
    assert call("/Observation?date=2026", token).status_code == 400
    assert call(CODE, token).status_code == 200


def test_what_a_tenant_adds_need_not_be_listed(behind: Scripted, minted: Mint, call: Caller) -> None:
    switch(extra_parameters=["Observation.remark"])
    tenants._tenants.clear()
    sent = "GET /r4/Observation?patient=Patient%2Fana&remark=cheerful&_count=50"
    behind.answers[sent] = FOUND
    assert call("/Observation?remark=cheerful", minted("patient/*.rs", **ANA)).status_code == 200
    assert behind.lines() == [METADATA, sent]


def test_the_public_statement_says_the_same(behind: Scripted, minted: Mint, call: Caller) -> None:
    def of(kind: str) -> tuple[set[str], set[str]]:
        listed = next(one for one in call("/metadata").json()["rest"][0]["resource"] if one["type"] == kind)
        return {one["name"] for one in listed.get("searchParam", [])}, {one["name"] for one in listed["operation"]}

    assert of("Observation") == ({"patient", "code", "has-member"}, {"meta"})  # Nothing to sort by for $lastn.
    forget_statement()
    behind.answers[METADATA] = statement(Observation=("patient", "date"))
    assert of("Observation") == ({"patient", "date"}, {"meta", "lastn"})


def test_the_statement_is_looked_at_again_after_ten_minutes_only(behind: Scripted, minted: Mint, call: Caller) -> None:
    behind.answers[SENT] = FOUND
    token = minted("patient/*.rs", **ANA)
    assert call(CODE, token).status_code == 200
    behind.answers[METADATA] = statement(Observation=("patient",))
    assert call(CODE, token).status_code == 200
    forget_statement()
    assert call(CODE, token).status_code == 400
