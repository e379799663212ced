"""The hostile mode must really lie, and lie again in the same way: what is proven against it can then be repeated."""

import http.client
import json

import pytest

from fhirproxy.r4server.distortions import DISTORTIONS
from tests.r4server.caller import Answer, Caller

TARGETS = ("Observation?patient=ana&_count=5", "Patient/ana", "Patient/absent", "Condition?patient=ana")


def ask(caller: Caller, target: str) -> Answer | str:
    """Return the answer, or the name of what went wrong on the wire."""
    try:
        answer = caller.send("GET", target)
        answer.headers.pop("date", None)
        return answer
    except (http.client.HTTPException, ConnectionError) as error:
        caller._connection.close()
        return type(error).__name__


def become(caller: Caller, **mode: object) -> None:
    assert caller.send("PUT", "/_mode", {"mode": "hostile", **mode}).json == {"mode": "hostile"}


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_a_distortion_is_repeatable(sandbox: Caller, name: str) -> None:
    # Page links are random also of an honest server, so only searches without one can be compared.
    targets = [target for target in TARGETS if "_count" not in target]
    runs = []
    for _ in range(2):
        become(sandbox, seed=7, only=[name])
        runs.append([ask(sandbox, target) for target in targets])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", sorted(set(DISTORTIONS) - {"honest"}))
def test_a_distortion_makes_a_difference(sandbox: Caller, name: str) -> None:
    honest = [sandbox.send("GET", target) for target in TARGETS[1:]]
    become(sandbox, seed=3, only=[name])
    assert [ask(sandbox, target) for target in TARGETS[1:]] != honest


def test_an_invented_answer_has_the_id_that_was_asked_for_and_somebody_elses_content(sandbox: Caller) -> None:
    become(sandbox, only=["invented"])
    found = sandbox.send("GET", "Observation/absent").json
    assert (found["resourceType"], found["id"]) == ("Observation", "absent")
    assert found["code"]


def test_links_and_redirects_lead_where_they_were_told_to(sandbox: Caller) -> None:
    become(sandbox, only=["elsewhere"], elsewhere="http://127.0.0.1:9/trap")
    answers = [sandbox.send("GET", "Patient/ana") for _ in range(20)]
    assert {answer.status for answer in answers} <= {301, 302, 303, 307, 308}
    assert "http://127.0.0.1:9/trap" in {answer.headers["location"] for answer in answers}


def test_narrowing_is_ignored_now_and_then(sandbox: Caller) -> None:
    become(sandbox, only=["honest"])
    totals = {json.loads(sandbox.send("GET", "Condition?patient=ana").body)["total"] for _ in range(20)}
    assert len(totals) == 2


@pytest.mark.parametrize("mode", [{"seed": "x"}, {"only": ["kindness"]}])
def test_a_hostile_mode_that_cannot_be_is_refused(sandbox: Caller, mode: dict[str, object]) -> None:
    assert sandbox.send("PUT", "/_mode", {"mode": "hostile", **mode}).status == 400
