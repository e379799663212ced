"""Finding users, patients and visits on the form: as the chosen user sees them, without losing what is typed."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client as Browser

from smartauth.sandbox.launcher import form
from smartauth.sandbox.models import Run
from tests.endpoints.app_launch import App, Load
from tests.proxy.conftest import Behind
from tests.proxy.test_records import load

__all__ = ["load"]

pytestmark = pytest.mark.usefixtures("small", "chart", "dr_grey", "ana")

TYPED = {"kind": "provider-ehr", "client": "chart", "user": "dr-grey", "patient": "ana", "intent": "kept"}


def ask(do: str, **changes: str) -> Any:
    answer = Browser().post("/launcher/", TYPED | {"do": do} | changes)
    assert answer.status_code == 200
    assert 'value="kept"' in answer.content.decode()
    assert not Run.objects.exists()
    return answer


def picks(answer: Any) -> list[str]:
    return [unescape(one) for one in re.findall(r'name="pick" value="([^"]+)"', answer.content.decode())]


PATIENTS = [
    # changes                                       found
    ({"find_patient": ""},                          ["ana", "ANA", "ben"]),
    ({"find_patient": "lind"},                      ["ana", "ANA"]),
    ({"find_patient": "1979-11-03"},                ["ben"]),
    ({"find_patient": "3 nov 1979"},                ["ben"]),
    ({"find_patient": "11/03/1979"},                ["ben"]),
    ({"find_patient": "19791103"},                  []),
    ({"find_patient": "MRN-1001"},                  ["ana"]),
    ({"find_patient": "nobody"},                    []),
    ({"find_patient": "", "user": "ana"},           ["ana"]),
    ({"find_patient": "", "user": ""},              ["ana", "ANA", "ben"]),
    ({"find_patient": "", "user": "not known"},     ["ana", "ANA", "ben"]),
    ({"find_patient": "\x00\ud800".encode("utf-8", "replace").decode()}, []),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "found"), PATIENTS)
def test_patients_are_found_by_name_birth_date_or_number_as_the_user_sees_them(
    changes: dict[str, str], found: list[str]
) -> None:
    answer = ask("find-patient", **changes)
    assert [one.removeprefix("patient ") for one in picks(answer)] == found
    assert (f"{len(found)} found" if found else "Nothing found") in answer.content.decode()


def test_visits_are_listed_with_date_kind_and_place_the_newest_first(load: Load) -> None:
    for number, day in ((1, "2025-03-01"), (2, "2026-01-20")):
        visit = {
            "status": "finished",
            "class": {"code": "AMB", "display": "ambulatory"},
            "subject": {"reference": "Patient/ana"},
            "period": {"start": f"{day}T09:00:00Z"},
            "location": [{"location": {"display": "<b>Ward</b> 7"}}],
        }
        load("Encounter", f"visit-{number}", **visit)
    answer = ask("find-encounter")
    assert picks(answer)[:2] == ["encounter visit-2", "encounter visit-1"]
    for shown in ("Outpatient visit", "2026-01-20", "&lt;b&gt;Ward&lt;/b&gt; 7"):
        assert shown in answer.content.decode()
    for typed in ("2025-03", "March 2025", "1.3.2025"):
        assert picks(ask("find-encounter", find_encounter=typed)) == ["encounter visit-1"]
    for typed, told in (("yesterday", "yesterday is no date"), ("03/01/2025", "can be 2025-01-03 or 2025-03-01")):
        answer = ask("find-encounter", find_encounter=typed)
        assert (picks(answer), told in answer.content.decode()) == ([], True)
    # In a portal it is the own record without being named.
    portal = {"kind": "patient-portal", "user": "ana", "patient": ""}
    assert picks(ask("find-encounter", **portal))[:1] == ["encounter visit-2"]
    chosen = ask("", pick="encounter visit-2").content.decode()
    assert 'value="visit-2"' in chosen
    assert '<p class="chosen">' in chosen


def test_visits_are_of_a_patient() -> None:
    assert "Choose a patient first" in ask("find-encounter", patient="").content.decode()


@pytest.mark.parametrize(
    ("picked", "before", "patient", "encounter"),
    [
        ("patient ben", "visit-1", "ben", ""),
        ("patient ben", "latest", "ben", "latest"),
        ("patient ana", "visit-1", "ana", "visit-1"),
        ("encounter visit-2", "", "ana", "visit-2"),
        ("client mallory", "visit-1", "ana", "visit-1"),
        ("", "visit-1", "ana", "visit-1"),
    ],
)
def test_what_is_picked_stands_in_its_field(picked: str, before: str, patient: str, encounter: str) -> None:
    page = ask("", pick=picked, encounter=before).content.decode()
    for field, value in (("patient", patient), ("encounter", encounter)):
        assert re.search(rf'<input id="{field}" name="{field}" value="{value}"', page)


def test_a_patient_whom_the_user_cannot_see_is_said_before_the_launch_is_refused() -> None:
    assert "ana sees no patient ben" in ask("find-", user="ana", patient="ben").content.decode()


@pytest.mark.parametrize(
    ("stands", "then"),
    [
        ("", '[{"reference": "CarePlan/c1"}]'),
        ('[{"reference": "Task/t1"}]', '[{"reference": "Task/t1"}, {"reference": "CarePlan/c1"}]'),
        ('[{"reference": "CarePlan/c1"}]', '[{"reference": "CarePlan/c1"}]'),
        ("{}", None),
        ("[", None),
        ("[" * 2_000, None),
    ],
)
def test_a_resource_is_added_to_the_context_and_nothing_that_stands_there_is_lost(
    stands: str, then: str | None
) -> None:
    page = unescape(ask("", pick="context CarePlan/c1", fhir_context=stands).content.decode())
    assert f">{stands if then is None else then}</textarea>" in page
    assert ("nothing was added" in page) == (then is None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"find_context": "CarePlan"}, "has no key for bulk-loader"),
        ({"find_context": "<i>"}, "Choose one of DiagnosticReport"),
        ({"find_context": "CarePlan", "patient": ""}, "Choose a patient first"),
    ],
)
def test_what_keeps_resources_from_being_listed_is_said(changes: dict[str, str], says: str) -> None:
    assert says in ask("find-context", **changes).content.decode()


def test_records_that_do_not_answer_are_said_and_an_id_can_be_typed(small: Behind) -> None:
    small.fail(kind="status", status=500)
    for do in ("find-patient", "find-encounter"):
        assert "The records do not answer at the moment" in ask(do).content.decode()
    assert Browser().get("/launcher/").status_code == 200


def test_very_many_users_are_searched_instead_of_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "MOST_LISTED", 1)
    assert picks(ask("find-user", find_user="GREY")) == ["user dr-grey"]
    assert picks(ask("find-user", find_user="patient/")) == ["user ana"]
    page = ask("", pick="user ana").content.decode()
    assert '<input id="user" name="user" value="ana"' in page


def test_a_portal_is_also_for_whoever_acts_for_a_patient(chart: App) -> None:
    page = ask("find-", kind="patient-portal", user="dr-grey").content.decode()
    assert "a portal is for patients and those who act for them" in unescape(page)
