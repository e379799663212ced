"""$validate: what a type does not have, and what it misses."""

from typing import Any

from tests.r4server.caller import Caller

GOAL: dict[str, Any] = {
    "resourceType": "Goal",
    "lifecycleStatus": "active",
    "description": {"text": "walk"},
    "subject": {"reference": "Patient/ana"},
}


def found(caller: Caller, target: str, body: object) -> list[tuple[str, str]]:
    answer = caller.send("POST", target, body)
    assert answer.status == 200, answer.body
    return [(one["code"], one.get("expression", [""])[0]) for one in answer.json["issue"]]


def test_a_whole_resource_has_no_issues_and_is_not_stored(scratch: Caller) -> None:
    assert found(scratch, "Goal/$validate", GOAL) == [("informational", "")]
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": GOAL}]}
    assert found(scratch, "Goal/$validate", wrapped) == [("informational", "")]
    assert scratch.search("Goal").matches == []


def test_missing_and_unknown_elements_are_told(scratch: Caller) -> None:
    body = {name: value for name, value in GOAL.items() if name != "subject"} | {"colour": "red"}
    assert found(scratch, "Goal/$validate", body) == [("structure", "Goal.colour"), ("required", "Goal.subject")]
    update = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": GOAL}, {"name": "mode", "valueCode": "update"}],
    }
    assert found(scratch, "Goal/$validate", update) == [("required", "Goal.id")]


def test_a_delete_is_of_something_that_is_there(sandbox: Caller) -> None:
    delete = {"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "delete"}]}
    assert found(sandbox, "Patient/ana/$validate", delete) == [("informational", "")]
    assert sandbox.send("GET", "Patient/ana").status == 200
    assert sandbox.send("POST", "Patient/nobody/$validate", delete).status == 404
    assert sandbox.send("POST", "Patient/$validate", GOAL).status == 400
