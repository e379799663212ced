"""Bodies of writes: what is cleaned, what is refused, and narrative that does nothing. FHIR R4 json and narrative."""

import json
from typing import Any

import pytest

from fhirproxy.policy.bodies import write_json
from fhirproxy.policy.mentions import take_mentions
from fhirproxy.policy.narrative import UnsafeNarrative, require_safe
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.references import Local
from fhirproxy.policy.write_outcomes import issues_of, refusal_of
from fhirproxy.policy.written import REPEATING, parse_clean, rebuilt_meta
from smartauth.policy import r4
from tests.policy.proxy.building import ALIAS, PUBLIC, UPSTREAM, bases


def test_meta_keeps_what_a_client_may_say() -> None:
    meta = {
        "versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z", "source": "urn:x", "extension": [{"url": "x"}],
        "profile": ["http://x"], "tag": [{"code": "t"}], "security": [],
    }  # fmt: skip
    assert rebuilt_meta(meta) == {"profile": ["http://x"], "tag": [{"code": "t"}]}  # type: ignore[arg-type]
    cleaned = parse_clean(json.dumps({"meta": meta, "resourceType": "Basic", "_meta": {}}).encode(), "Basic")
    assert write_json(cleaned) == b'{"resourceType":"Basic","meta":{"profile":["http://x"],"tag":[{"code":"t"}]}}'


SHAPES = [
    ("Observation", {"subject": {}}, True),
    ("Observation", {"subject": []}, False),
    ("Observation", {"performer": []}, False),
    ("Observation", {"performer": [{}]}, True),
    ("Account", {"subject": {}}, False),
    ("Appointment", {"participant": [{"actor": {}}]}, True),
    ("Appointment", {"participant": [{"actor": [{}]}]}, False),
    ("Appointment", {"participant": {"actor": {}}}, False),
    ("Appointment", {"participant": [[{"actor": {}}]]}, False),
    ("CarePlan", {"activity": [{"detail": {"performer": [{}]}}]}, True),
    ("CarePlan", {"activity": [{"detail": {"performer": {}}}]}, False),
    ("Observation", {"contained": [{"resourceType": "Account", "subject": {}}]}, False),
    ("Observation", {"contained": [{"resourceType": "Account", "subjekt": []}]}, False),
    ("Observation", {"_status": {"extension": []}}, True),
    ("ExampleScenario", {"instance": [{"resourceId": "a", "resourceType": "Patient"}]}, True),
    ("Bundle", {"entry": [{"resource": {"resourceType": "Nothing"}}]}, False),
]


@pytest.mark.parametrize(("kind", "elements", "is_taken"), SHAPES)
def test_what_says_whom_it_is_about_has_one_shape(kind: str, elements: dict[str, Any], is_taken: bool) -> None:
    data = json.dumps({"resourceType": kind, **elements}).encode()
    if is_taken:
        assert parse_clean(data, kind)
        return
    with pytest.raises(FhirRefusal) as refused:
        parse_clean(data, kind)
    assert refused.value.status == 422


def test_every_repeating_element_lies_on_a_membership_path() -> None:
    for path in REPEATING:
        kind, _, rest = path.partition(".")
        facts = r4.memberships()[kind]
        assert any(one == rest or one.startswith(f"{rest}.") for one in (*facts.primary, *facts.secondary)), path


NARRATIVES = [
    ('<div xmlns="http://www.w3.org/1999/xhtml">plain &nbsp;&amp; <b class="x">bold</b><br/></div>', True),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="https://x.example">x</a><a href="#y">y</a></div>', True),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><img src="data:image/png;base64,AA=="/></div>', True),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><p style="color: red">x</p></div>', True),
    ('<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>', True),
    ("<div>x</div>", False),
    ("text", False),
    ('<p xmlns="http://www.w3.org/1999/xhtml">x</p>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><SCRIPT>x</SCRIPT></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><iframe/></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><form/></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><svg xmlns="http://www.w3.org/2000/svg"/></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml" onclick="x"/>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="javascript:x">x</a></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="java&#9;script:x">x</a></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><a href=" JAVASCRIPT:x">x</a></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="data:text/html,x">x</a></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><img src="data:image/svg+xml,x"/></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><p style="background: url(x)">x</p></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><p style="width: e\\78pression(x)">x</p></div>', False),
    ('<!DOCTYPE d [<!ENTITY e "x">]><div xmlns="http://www.w3.org/1999/xhtml">&e;</div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml">&unknown;</div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"><![CDATA[x]]></div>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml"/><div/>', False),
    ('<div xmlns="http://www.w3.org/1999/xhtml">' + "<b>" * 200 + "</b>" * 200 + "</div>", False),
]


@pytest.mark.parametrize(("div", "is_taken"), NARRATIVES)
def test_narrative_is_formatting_and_nothing_else(div: str, is_taken: bool) -> None:
    if is_taken:
        require_safe(div)
        return
    with pytest.raises(UnsafeNarrative):
        require_safe(div)


MENTIONED = [
    # what stands in an extension, what it becomes, what it mentions
    ({"reference": "Observation/a"}, {"reference": "Observation/a"}, "Observation/a"),
    ({"reference": f"{PUBLIC}/Observation/a"}, {"reference": "Observation/a"}, "Observation/a"),
    ({"reference": f"{UPSTREAM}/Observation/a"}, {"reference": "Observation/a"}, "Observation/a"),
    ({"reference": f"{ALIAS}/Observation/a/_history/2"}, {"reference": "Observation/a/_history/2"}, "Observation/a"),
    ({"reference": "#a"}, {"reference": "#a"}, ""),
    ({"reference": "https://x.example/Observation/a"}, {"reference": "https://x.example/Observation/a"}, ""),
    ({"url": f"{PUBLIC}/Binary/a"}, {"url": f"{UPSTREAM}/Binary/a"}, "Binary/a"),
    ({"url": f"{UPSTREAM}/Binary/a"}, {"url": f"{UPSTREAM}/Binary/a"}, "Binary/a"),
    ({"url": "Binary/a"}, {"url": "Binary/a"}, "Binary/a"),
    ({"url": "ombCategory"}, {"url": "ombCategory"}, ""),
    ({"valueCanonical": f"{PUBLIC}/ValueSet/a|1"}, {"valueCanonical": f"{UPSTREAM}/ValueSet/a|1"}, "ValueSet/a"),
    ({"instantiatesUri": ["Library/a"]}, {"instantiatesUri": ["Library/a"]}, "Library/a"),
    ({"valueString": "Binary/a"}, {"valueString": "Binary/a"}, ""),
    ({"valueString": f"see {PUBLIC}/Binary/a there"}, {"valueString": f"see {PUBLIC}/Binary/a there"}, ""),
    ({"div": f"{PUBLIC}/Binary/a"}, {"div": f"{PUBLIC}/Binary/a"}, ""),
    ({"system": f"{PUBLIC}/sid"}, {"system": f"{PUBLIC}/sid"}, ""),
    ({"url": f"{PUBLIC}/Binary/a/$x"}, {"url": f"{PUBLIC}/Binary/a/$x"}, "unclear"),
    ({"url": " Binary/a "}, {"url": "Binary/a"}, "Binary/a"),
    ({"url": "Binary/a b"}, {"url": "Binary/a b"}, "unclear"),
    ({"url": f" {PUBLIC}/Binary/a"}, {"url": f"{UPSTREAM}/Binary/a"}, "Binary/a"),
    ({"url": "/Binary/a"}, {"url": "/Binary/a"}, "unclear"),
    ({"url": "//ehr.example.org:8443/api/v4/Binary/a"}, {"url": "//ehr.example.org:8443/api/v4/Binary/a"}, "unclear"),
    ({"valueUri": f"{PUBLIC}/Binary%2Fa"}, {"valueUri": f"{PUBLIC}/Binary%2Fa"}, "unclear"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "becomes", "mentioned"), MENTIONED)
def test_what_a_body_refers_to(value: Any, becomes: Any, mentioned: str) -> None:
    resource = {"extension": [value]}
    mentions = take_mentions(resource, bases())
    assert resource == {"extension": [becomes]}
    kind, _, resource_id = mentioned.partition("/")
    assert mentions.is_unclear is (mentioned == "unclear")
    assert mentions.locals == ({Local(kind, resource_id)} if resource_id else set())


def test_the_upstream_s_words_do_not_get_through() -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": "required", "expression": ["Observation.code", "Patient/ben is hidden"],
             "diagnostics": "HAPI-0123: Patient/ben", "details": {"text": "ben"}},
            {"severity": "odd", "code": "duplicate", "location": ["/f:x"]},
            "odd",
        ],
    }  # fmt: skip
    assert issues_of(outcome) == (  # type: ignore[arg-type]
        {"severity": "error", "code": "required", "expression": ["Observation.code"]},
        {"severity": "error", "code": "processing"},
    )
    assert issues_of(None) == issues_of({"resourceType": "Basic"}) == ()
    assert [refusal_of(status, None).status for status in (400, 422, 409, 412, 401, 403, 404, 500, 302)] == [
        422, 422, 409, 412, 502, 502, 502, 502, 502,
    ]  # fmt: skip
