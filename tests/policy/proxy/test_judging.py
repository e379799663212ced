"""Judging writes: before and after, version by version. SMART 2.2 scopes; FHIR R4 http and resource."""

from dataclasses import replace
from typing import Any

import pytest

from fhirproxy.policy.authority import Loaded
from fhirproxy.policy.bodies import parse_json
from fhirproxy.policy.compartments import NOTHING_KNOWN, Known, find_unchecked
from fhirproxy.policy.decisions import decide, write_request
from fhirproxy.policy.judging import Before, draft, judge_after, judge_before, version_of
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import Deny, Limits
from fhirproxy.policy.requests import Patch
from fhirproxy.policy.sent import Sent
from fhirproxy.policy.switches import WRITE_LEVELS, WriteSwitches
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.policy.writes import permitted
from smartauth.policy import r4
from smartauth.policy.access import Restrictions
from tests.policy.proxy.building import authority_for, bases

OPEN = Limits(writes=WriteSwitches(levels=WRITE_LEVELS["all"]))
ANA = {"reference": "Patient/ana"}


def plan_for(scope: str, patch: str, *, limits: Limits = OPEN, patient: str | None = "ana", **more: Any) -> WritePlan:
    sent = Sent("application/json-patch+json", patch.encode())
    plan = decide(Patch("Observation", "o", sent), authority_for(scope, patient, **more), limits)
    assert isinstance(plan, WritePlan)
    return plan


def stored(**elements: Any) -> Any:
    return {"resourceType": "Observation", "id": "o", "status": "final", "subject": ANA, **elements}


def before(plan: WritePlan, resource: Any, version: str = "3") -> Before:
    return judge_before(plan, find_unchecked(resource), version, bases(), NOTHING_KNOWN, is_deleted=False)


def outcome(plan: WritePlan, resource: Any, known: Known = NOTHING_KNOWN) -> str:
    """Return the rule of the refusal, or what is sent."""
    try:
        was = before(plan, resource)
        checked = judge_after(plan, was, draft(plan, was, bases(), known), bases(), known)
    except FhirRefusal as refused:
        return refused.refusal.rule
    request = write_request(plan.verb, checked, was.version)
    assert (request.method, request.target, request.version) == ("PUT", "Observation/o", "3")
    return request.body.decode()


STATUS = '[{"op":"replace","path":"/status","value":"amended"}]'
SUBJECT = '[{"op":"replace","path":"/subject","value":{"reference":"Patient/ben"}}]'
UNTRUE_META = (
    '[{"op":"add","path":"/meta","value":{"versionId":"9","tag":[{"code":"t"}]}},{"op":"remove","path":"/status"}]'
)
PATCHES = [
    # scope, patch, what is stored, rule or body
    ("patient/*.cruds", STATUS, stored(),
     '{"resourceType":"Observation","id":"o","status":"amended","subject":{"reference":"Patient/ana"}}'),
    ("patient/*.cruds", STATUS, stored(subject={"reference": "Patient/ben"}), "read.absent_or_outside"),
    ("patient/*.cruds", SUBJECT, stored(), "write.outside"),
    ("system/*.cruds", SUBJECT, stored(),
     '{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/ben"}}'),
    ("patient/*.cruds", '[{"op":"remove","path":"/nothing"}]', stored(), "patch.failed"),
    ("patient/*.cruds", '[{"op":"add","path":"/Status","value":"x"}]', stored(), "body.json"),
    ("patient/*.cruds", '[{"op":"add","path":"/patient","value":{}}]', stored(), "body.element"),
    ("patient/*.cruds", '[{"op":"test","path":"/status","value":"final"},{"op":"add","path":"/status","value":"x"}]',
     stored(), '{"resourceType":"Observation","id":"o","status":"x","subject":{"reference":"Patient/ana"}}'),
    ("patient/*.u", '[{"op":"test","path":"/status","value":"final"}]', stored(), "patch.test"),
    ("patient/*.u patient/Observation.r?status=gone", '[{"op":"test","path":"/status","value":"final"}]', stored(),
     "patch.test"),
    ("patient/Observation.ru?status=final", STATUS, stored(), "write.outside"),
    ("patient/Observation.ru?status=amended", STATUS, stored(), "read.absent_or_outside"),
    ("patient/*.cruds", '[{"op":"remove","path":"/meta"}]', stored(meta={"security": [{"code": "R"}]}),
     "write.security_labels"),
    ("system/*.cruds", '[{"op":"remove","path":"/meta"}]', stored(meta={"security": [{"code": "R"}]}),
     '{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/ana"}}'),
    ("system/*.cruds?_tag=a", '[{"op":"remove","path":"/meta/tag/1"}]', stored(meta={"tag": [{"code": "a"}, {}]}),
     "write.labels"),
    ("patient/*.cruds", UNTRUE_META, stored(),
     '{"resourceType":"Observation","id":"o","meta":{"tag":[{"code":"t"}]},"subject":{"reference":"Patient/ana"}}'),
]  # fmt: skip


@pytest.mark.requirement("PROXY-34")
@pytest.mark.parametrize(("scope", "patch", "resource", "expected"), PATCHES)
def test_patches_are_judged_by_what_they_make(scope: str, patch: str, resource: Any, expected: str) -> None:
    patient = None if scope.startswith("system/") else "ana"
    assert outcome(plan_for(scope, patch, patient=patient), resource) == expected


def test_numbers_keep_their_digits_through_a_patch() -> None:
    resource = parse_json(
        b'{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/ana"},"valueQuantity":{"value":70.10}}'
    )
    assert '"value":70.10' in outcome(plan_for("patient/*.cruds", STATUS.replace("replace", "add")), resource)


def test_a_write_is_tied_to_a_version_or_not_made() -> None:
    plan = plan_for("patient/*.cruds", STATUS)
    with pytest.raises(FhirRefusal) as refused:
        before(plan, stored(), "")
    assert (refused.value.status, refused.value.refusal.rule) == (501, "write.unversioned")
    lax = replace(plan, switches=WriteSwitches(allow_unversioned=True))
    assert before(lax, stored(), "").version == ""
    full = plan_for("system/*.cruds", STATUS, patient=None)
    assert before(full, stored(), "").version == ""
    with pytest.raises(FhirRefusal) as refused:
        before(replace(plan, version="2"), stored(), "3")
    assert refused.value.status == 412
    with pytest.raises(FhirRefusal) as refused:
        before(replace(lax, version="2"), stored(), "")
    assert refused.value.status == 412


VERSIONS = [
    ({"meta": {"versionId": "3"}}, 'W/"4"', "3"),
    ({"meta": {}}, 'W/"4"', "4"),
    ({}, '"4"', "4"),
    ({"meta": {"versionId": 'x"\r\nX-Other: y'}}, "", ""),
    ({"meta": {"versionId": 3}}, "", ""),
    ({"meta": []}, 'W/"a b"', ""),
]


@pytest.mark.parametrize(("resource", "etag", "version"), VERSIONS)
def test_a_version_is_an_id_or_none(resource: Any, etag: str, version: str) -> None:
    assert version_of(resource, etag) == version


@pytest.mark.parametrize("kind", sorted(r4.memberships()))
def test_what_each_type_may_be_written_by(kind: str) -> None:
    """One patient, everyone, and a service with its own patients; for every type of R4."""
    cls = r4.memberships()[kind].cls
    restricted = Restrictions(patients=frozenset({"ana"}))
    confined = (
        authority_for("patient/*.cruds", "ana"),
        authority_for("user/*.cruds", fhir_user="Patient/ana"),
        authority_for("system/*.cruds", restrictions=restricted, loaded=Loaded()),
    )
    for authority in confined:
        for verb in ("create", "update", "delete"):
            allowed = cls not in ("operator", "shared") and not (cls == "patient-self" and verb != "update")
            assert isinstance(permitted(verb, kind, authority, OPEN), Deny) is not allowed, verb  # type: ignore[arg-type]
    for authority in (authority_for("system/*.cruds"), authority_for("user/*.cruds", fhir_user="Practitioner/p")):
        assert isinstance(permitted("delete", kind, authority, OPEN), Deny) is (cls == "operator")
    named = authority_for("system/*.cruds", restrictions=Restrictions(operator_types=frozenset({kind})))
    assert isinstance(permitted("create", kind, named, OPEN), Deny) is (cls == "operator")
