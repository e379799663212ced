"""The oracle of writes by examples, and a few rules about writing taken away in every run."""

from typing import Any

import pytest

from tests.proxy.oracle import PUBLIC, State, Token
from tests.proxy.proof.mutation import row_of
from tests.proxy.proof.rule import Rule
from tests.proxy.proof.world import running_world
from tests.proxy.proof.write_rules import WRITE_RULES
from tests.proxy.write_oracle import Change, objection

APP = Token(("patient/*.cruds",), patient="ana", client="app")
READER = Token(("patient/*.rs",), patient="ana", client="app")
MARKED = Token(("patient/*.cruds", "patient/Observation.rs?_tag=x"), patient="ana", client="app")
CLINIC = Token(("system/*.cruds",), client="service")
CONFINED = Token(("system/*.cruds",), client="service", only_patients=frozenset({"ana"}))


def about(patient: str, kind: str = "Observation", **elements: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "subject": {"reference": f"Patient/{patient}"}, **elements}


def pointing(reference: str) -> dict[str, Any]:
    return about("ana", extension=[{"url": "urn:x", "valueReference": {"reference": reference}}])


def attaching(url: str) -> dict[str, Any]:
    return about("ana", "DocumentReference", content=[{"attachment": {"url": url}}])


STATE = State({
    "Observation/of-ana": about("ana"), "Observation/of-ben": about("ben"),
    "Practitioner/grey": {"resourceType": "Practitioner", "id": "grey"},
})  # fmt: skip
ANA = {"resourceType": "Patient", "id": "ana", "link": [{"other": {"reference": "Patient/cho"}, "type": "seealso"}]}
AGAIN = {**ANA, "link": [{"other": {"reference": f"{PUBLIC}/Patient/cho"}, "type": "seealso"}]}
ALIKE = {**about("ana"), "subject": {"reference": "Patient/ana", "identifier": {"value": "ben"}}}
LABELLED = about("ana", meta={"security": [{"code": "R"}]})
TAGGED = about("ana", meta={"tag": [{"code": "x"}]})
NOBODYS = {"resourceType": "Device", "id": "x"}
GREY = {"resourceType": "Practitioner", "id": "x"}
PASS = ""

CASES = [
    # token   old            new                                                    what is wrong
    (APP, None, about("ana"), PASS),
    (READER, None, about("ana"), "letter c"),
    (APP, None, about("ben"), "outside after"),
    (APP, about("ana"), about("ana"), PASS),
    (APP, about("ben"), about("ana"), "outside before"),
    (APP, about("ana"), None, PASS),
    (READER, about("ana"), None, "letter d"),
    (APP, about("ana"), ALIKE, "more than a reference"),
    (CLINIC, about("ana"), ALIKE, PASS),
    (APP, ANA, {**ANA, "active": True}, PASS),
    (APP, ANA, AGAIN, PASS),
    (APP, ANA, {**ANA, "link": []}, "links"),
    (APP, ANA, None, "for everybody"),
    (CLINIC, ANA, None, PASS),
    (CONFINED, ANA, None, "for everybody"),
    (APP, None, GREY, "for everybody"),
    (CLINIC, None, GREY, PASS),
    (APP, NOBODYS, NOBODYS, "for everybody"),
    (APP, None, LABELLED, "meta.security"),
    (APP, LABELLED, LABELLED, PASS),
    (APP, LABELLED, about("ana"), "meta.security"),
    (CLINIC, None, LABELLED, PASS),
    (APP, about("ana"), TAGGED, PASS),
    (MARKED, about("ana"), TAGGED, "meta.tag"),
    (APP, None, pointing("Observation/of-ana"), PASS),
    (APP, None, pointing("Observation/of-ana/_history/1"), PASS),
    (APP, None, pointing("Practitioner/grey"), PASS),
    (APP, None, pointing("https://elsewhere.example/Observation/of-ben"), PASS),
    (APP, None, pointing("Observation/of-ben"), "points outside"),
    (APP, None, pointing(f"{PUBLIC}/Observation/of-ben/_history/1"), "points outside"),
    (APP, None, pointing("Observation/absent"), "points outside"),
    (APP, None, pointing("Observation?code=x"), "points outside"),
    (CLINIC, None, pointing("Observation/of-ben"), PASS),
    (CONFINED, None, pointing("Observation/of-ben"), "points outside"),
    (APP, None, attaching("https://elsewhere.example/a.pdf"), PASS),
    (APP, None, attaching("Observation/of-ben"), "points outside"),
    (APP, None, attaching(f"{PUBLIC}/Observation/of-ben#x"), "points outside"),
]


@pytest.mark.parametrize(("token", "old", "new", "wrong"), CASES)
def test_the_oracle_says_what_a_write_may_change(token: Token, old: Any, new: Any, wrong: str) -> None:
    kind = (old or new)["resourceType"]
    told = objection(token, Change(f"{kind}/x", old, new), STATE, STATE)
    assert wrong in told if wrong else told == ""


QUICK = ("directories are not for the confined to write", "links between patients stay", "a validation writes nothing")


@pytest.mark.parametrize("rule", [rule for rule in WRITE_RULES if rule.name in QUICK], ids=lambda rule: rule.name)
def test_a_rule_about_writing_is_missed_when_it_is_taken_away(db: None, rule: Rule) -> None:
    with running_world(1) as world:
        assert row_of(rule, world, 1, 250).noticed_by.startswith("T3")
