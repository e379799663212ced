"""Whatever is sent with whatever token, only resources inside the authority change, and they stay inside it.

The state of the FHIR server is compared before and after by an oracle that shares no code with the proxy.
"""

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.models import Tenant
from fhirproxy.r4server.encoding import encode
from fhirproxy.r4server.population import generate
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint
from tests.proxy.oracle import Token, allowed
from tests.proxy.test_batch import bundle, entry, patch

ANA, BEN = "Patient/ana", "Patient/ben"
URN = "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11"
KINDS = ("Observation", "Condition", "Patient", "Account", "Group", "Practitioner", "Device", "List")
SUBJECTS = (
    *(ANA, ANA, ANA, BEN, "Patient/ANA", f"{PUBLIC}/Patient/ana", f"{PUBLIC}/Patient/ben", "Group/ana-and-ben"),
    *("#p", URN, "https://other.example.org/fhir/Patient/ana", "Patient/ana/_history/1", "Patient?_id=ana", "ana"),
)
TARGETS = (
    "Observation/versioned-ana", "Observation/ben-weight-focus-ana", BEN, ANA, "Practitioner/dr-grey", URN,
    "Observation/absent", f"{PUBLIC}/Observation/ben-weight-focus-ana",
)  # fmt: skip
STATE = {f"{one['resourceType']}/{one['id']}": one for one in generate("small")}
NAMES = sorted(name for name in STATE if name.partition("/")[0] in KINDS)
# Mostly what can succeed: a proof over refusals alone would prove little.
OWN = ("Observation/versioned-ana", "Observation/ana-compared-with-ben", "Patient/ana", "Observation/ana-contains-ben")
names = st.one_of(st.sampled_from(OWN), st.sampled_from(OWN), st.sampled_from(NAMES))

scopes = st.builds(
    "{}/{}.{}".format,
    st.sampled_from(("patient", "patient", "patient", "user")),
    st.sampled_from(("*", "*", "*", "Observation", "Patient", "Account")),
    st.sampled_from(("cruds", "cruds", "cruds", "cud", "write", "*", "u", "cu", "ds", "rs")),
)
tokens = st.builds(
    Token,
    st.lists(scopes, min_size=1, max_size=2).map(tuple),
    patient=st.sampled_from(("ana", "ana", "ana", "ben", None)),
    fhir_user=st.sampled_from((None, None, "Patient/ana", "Practitioner/dr-grey")),
)
references = st.one_of(
    st.builds(lambda text: {"reference": text}, st.sampled_from(SUBJECTS)),
    st.builds(lambda text: {"reference": text, "type": "Patient", "display": "x"}, st.sampled_from(SUBJECTS)),
    st.just({"identifier": {"value": "MRN-1001"}}),
    st.just({"reference": ANA}),
    st.just({"reference": ANA}),
    st.sampled_from(([], "Patient/ana", {})),
)


@st.composite
def bodies(draw: st.DrawFn, kind: str, resource_id: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"resourceType": kind}
    if resource_id:
        body["id"] = draw(st.sampled_from((*[resource_id] * 8, "ana", None)))
    about = draw(references)
    match kind:
        case "Account":
            body["subject"] = [about, {"reference": ANA}][: draw(st.integers(1, 2))]
        case "Group":
            body["member"] = [{"entity": about}]
        case "Device":
            body["patient"] = about
        case "Patient":
            body |= draw(st.sampled_from(({}, {"link": [{"other": {"reference": BEN}, "type": "refer"}]})))
        case "Observation" | "Condition" | "List":
            body["subject"] = about
    if kind == "Observation":
        targets = draw(st.one_of(st.just([]), st.just([]), st.lists(st.sampled_from(TARGETS), max_size=2)))
        body |= {"hasMember": [{"reference": text} for text in targets]} if targets else {}
        body |= draw(
            st.sampled_from(({}, {}, {"performer": [{"reference": ANA}]}, {"meta": {"security": [{"code": "R"}]}}))
        )
    return body


changes = st.sampled_from(
    [
        [{"op": "replace", "path": "/subject/reference", "value": BEN}],
        [{"op": "replace", "path": "/subject", "value": {"reference": ANA}}],
        [{"op": "remove", "path": "/subject"}],
        [{"op": "replace", "path": "/id", "value": "other"}],
        [{"op": "add", "path": "/note", "value": [{"text": "x"}]}],
        [{"op": "add", "path": "/active", "value": True}],
        [{"op": "copy", "from": "/subject", "path": "/focus"}],
        [{"op": "test", "path": "/status", "value": "final"}],
    ]
)


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, str, Any, dict[str, str]]:
    """Return (method, path without leading slash, body, conditions)."""
    name = draw(names)
    kind, _, resource_id = name.partition("/")
    conditions = draw(st.sampled_from(({}, {}, {"ifMatch": 'W/"1"'}, {"ifMatch": 'W/"1"'}, {"ifMatch": 'W/"2"'})))
    method = draw(st.sampled_from(("POST", "PUT", "PUT", "PATCH", "DELETE", "DELETE")))
    criteria = draw(st.sampled_from((*[""] * 6, f"_id={resource_id}", "status=final")))
    path = f"{kind}?{criteria}" if criteria else name
    match method:
        case "POST":
            found = {"ifNoneExist": criteria} if criteria else {}
            return method, kind, draw(bodies(kind, None)), found
        case "PUT":
            return method, path, draw(bodies(kind, None if criteria else resource_id)), {} if criteria else conditions
        case "PATCH":
            return method, path, draw(changes), conditions
    return method, path, None, conditions


def as_entry(draw_name: bool, write: tuple[str, str, Any, dict[str, str]]) -> dict[str, Any]:
    method, path, body, conditions = write
    named = URN if draw_name and method in ("POST", "PUT") else ""
    return entry(method, path, patch(*body) if method == "PATCH" else body, full_url=named, **conditions)


def reaches_all(token: Token) -> bool:
    return token.fhir_user == "Practitioner/dr-grey" and any(scope.startswith("user/") for scope in token.scopes)


def state(small: Behind) -> dict[str, dict[str, Any]]:
    """Return every live resource of the kinds that can be written here, read past the proxy."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        page = small.ask("GET", f"/r4/{kind}?_count=1000")
        found |= {f"{kind}/{one['resource']['id']}": one["resource"] for one in page.get("entry", [])}
    return found


def test_only_what_is_inside_changes_and_stays_inside(restored: Behind, minted: Mint, call: Caller) -> None:
    seen: Counter[str] = Counter()
    Tenant.objects.update(policy={"update_as_create": True})

    @settings(
        max_examples=250,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(tokens, st.lists(st.tuples(st.booleans(), writes()), min_size=1, max_size=3), st.sampled_from("1123"))
    def property_(token: Token, asked: list[tuple[bool, Any]], kind: str) -> None:
        restored.ask("DELETE", "/_store")
        restored.load(*STATE.values())
        before = state(restored)
        bearer = minted(" ".join(token.scopes), patient=token.patient, fhirUser=token.fhir_user)
        if kind == "1":
            method, path, body, conditions = asked[0][1]
            extra = {"HTTP_IF_MATCH": conditions["ifMatch"]} if "ifMatch" in conditions else {}
            extra |= {"HTTP_IF_NONE_EXIST": conditions["ifNoneExist"]} if "ifNoneExist" in conditions else {}
            answer = call.write(method, f"/{path}", bearer, "" if body is None else body, **extra)
        else:
            entries = [as_entry(name, write) for name, write in asked]
            body = bundle("batch" if kind == "2" else "transaction", *entries)
            answer = call.write("POST", "", bearer, body)
        assert answer.status_code < 500, answer.content
        judge(token, before, state(restored), answer.content)

    def judge(token: Token, before: dict[str, Any], after: dict[str, Any], content: bytes) -> None:
        for name in before.keys() | after.keys():
            was, now = before.get(name), after.get(name)
            if was == now:
                continue
            letter = "c" if was is None else "d" if now is None else "u"
            for one in (was, now):
                if one is None:
                    continue
                assert allowed(token, one, "cu" if letter == "c" else letter), (token, name, one)
                is_shared = name.partition("/")[0] in ("Practitioner", "Device") and "patient" not in one
                assert not is_shared or reaches_all(token), (token, name, one)
            seen[letter] += 1
        if not any("r" in scope.partition(".")[2] or "*" in scope.partition(".")[2] for scope in token.scopes):
            assert b'"subject"' not in content
        seen["examples"] += 1

    property_()
    assert min(seen[letter] for letter in "cud") >= 5, seen


def test_the_oracle_sees_a_change(restored: Behind) -> None:
    """The proof above would hold for a comparison that sees nothing: this is its other half."""
    before = state(restored)
    restored.load({**json.loads(encode(STATE["Observation/versioned-ana"])), "status": "amended"})
    assert state(restored) != before
