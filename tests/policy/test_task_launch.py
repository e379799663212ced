"""What a Task says about a launch.  SMART 2.2 task-launch."""

from typing import Any

import pytest

from smartauth.policy.task_launch import (
    APP_CONTEXT,
    APPLICATION,
    EHR_LAUNCH,
    STANDALONE,
    SYSTEM,
    InvalidTask,
    LaunchTask,
    read_task,
)

BASE = "https://auth.example.org/fhir/north/r4"
URL = "https://app.example.org/launch"


def coded(code: str, system: str = SYSTEM) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def application(url: object = URL) -> dict[str, Any]:
    return {"type": coded(APPLICATION), "valueUrl": url}


def app_context(text: object = "x") -> dict[str, Any]:
    return {"type": coded(APP_CONTEXT), "valueString": text}


def task(*inputs: dict[str, Any], code: str = EHR_LAUNCH, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "proposal",
        "code": coded(code),
        "input": list(inputs or (application(),)),
        **more,
    }


GOOD = [
    (task(), LaunchTask(URL, False)),
    (task(application(), app_context('{"a": 1}')), LaunchTask(URL, False, '{"a": 1}')),
    (task(**{"for": {"reference": "Patient/ana"}}), LaunchTask(URL, False, "", "ana")),
    (
        task(**{"for": {"reference": f"{BASE}/Patient/ana"}, "encounter": {"reference": f"{BASE}/Encounter/e1"}}),
        LaunchTask(URL, False, "", "ana", "e1"),
    ),
    (task(owner={"reference": "Practitioner/dr-grey"}, focus={"reference": "Patient/ben"}), LaunchTask(URL, False)),
    (task(code=STANDALONE), LaunchTask(URL, True)),
    # Nobody tells such an app whom it is about.
    (task(code=STANDALONE, **{"for": {"reference": "Patient/ana"}}), LaunchTask(URL, True)),
]


@pytest.mark.requirement("TASK-01", "TASK-02", "TASK-03", "TASK-04")
@pytest.mark.parametrize(("given", "said"), GOOD)
def test_a_task_says_url_patient_encounter_and_context(given: dict[str, Any], said: LaunchTask) -> None:
    assert read_task(given, BASE) == said
    assert read_task(given, f"{BASE}/") == said


BAD: list[tuple[object, str]] = [
    (None, "not a Task"),
    ([task()], "not a Task"),
    (task() | {"resourceType": "Communication"}, "not a Task"),
    (task(status="completed"), "ended"),
    (task(status="entered-in-error"), "ended"),
    (task(code="launch-app"), "neither"),
    (task() | {"code": coded(EHR_LAUNCH, "http://elsewhere.example")}, "neither"),
    (task() | {"code": {"coding": coded(EHR_LAUNCH)["coding"] + coded(STANDALONE)["coding"]}}, "neither"),
    (task() | {"code": EHR_LAUNCH}, "neither"),
    (task() | {"input": []}, "no input"),
    (task() | {"input": application()}, "no input"),
    (task(app_context()), "no input"),
    (task(application(), application()), "twice"),
    (task(application(), app_context(), app_context()), "twice"),
    (task(application(), {"type": coded("else"), "valueString": "x"}), "do not know"),
    (task(application(), {"type": {"text": APP_CONTEXT}, "valueString": "x"}), "do not know"),
    (task({"type": coded(APPLICATION), "valueString": URL}), "no valueUrl"),
    (task(application("")), "no valueUrl"),
    (task(application([URL])), "no valueUrl"),
    (task(application(), app_context({"a": 1})), "no valueString"),
    (task(application(), app_context("x" * 2_001)), "2000 characters"),
    (task(application(), app_context(), code=STANDALONE), "told no context"),
    (task(**{"for": {"reference": "Group/ana"}}), "Patient"),
    (task(**{"for": {"reference": "https://elsewhere.example/Patient/ana"}}), "Patient"),
    (task(**{"for": {"reference": "Patient/ana/_history/1"}}), "Patient"),
    (task(**{"for": {"identifier": {"value": "1"}}}), "Patient"),
    (task(**{"for": "Patient/ana"}), "Patient"),
    (task(encounter={"reference": "Patient/ana"}), "Encounter"),
]


@pytest.mark.requirement("TASK-01")
@pytest.mark.parametrize(("given", "because"), BAD)
def test_a_task_that_is_not_of_the_profile_says_nothing(given: object, because: str) -> None:
    with pytest.raises(InvalidTask, match=because):
        read_task(given, BASE)
