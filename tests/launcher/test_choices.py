"""What can be chosen: each field by itself and with others, read from a form or from a link anybody could have made."""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from smartauth.sandbox.launcher.choices import Choices, Known, forget, missing, read
from smartauth.sandbox.launcher.habits import HABITS, scopes_under
from smartauth.sandbox.launcher.kinds import Launchable

PEOPLE, SERVICES = frozenset({"authorization_code"}), frozenset({"client_credentials"})
KNOWN = Known(
    clients={
        "chart": Launchable("chart", "Chart", PEOPLE, "launch patient/*.rs", has_launch_url=True),
        "mobile": Launchable("mobile", "Mobile", PEOPLE, "launch/patient patient/*.rs", has_launch_url=False),
        "loader": Launchable("loader", "Loader", SERVICES, "system/*.rs", has_launch_url=False),
    },
    users={"ana": "Patient/ana", "dr-grey": "Practitioner/dr-grey", "parent": ""},
)
STUDY = '[{"reference": "ImagingStudy/img-88"}]'

CASES = [
    # given                                                                   the field    part of what is said
    ({},                                                                      None,        ""),
    ({"kind": "provider-ehr", "client": "chart", "user": "dr-grey"},          None,        ""),
    ({"kind": "sideways"},                                                    "kind",      "provider-ehr"),
    ({"client": "mallory"},                                                   "client",    "no client with this id"),
    ({"client": "mobile"},                                                    "client",    "no EHR can launch it"),
    ({"client": "mobile", "kind": "standalone"},                              None,        ""),
    ({"client": "loader"},                                                    "client",    "backend service"),
    ({"client": "loader", "kind": "backend"},                                 None,        ""),
    ({"client": "chart", "kind": "backend"},                                  "client",    "no backend service"),
    ({"user": "nobody"},                                                      "user",      "nobody of this name"),
    ({"user": "dr-grey", "kind": "patient-portal"},                           "user",      "for patients"),
    ({"user": "ana", "kind": "patient-portal"},                               None,        ""),
    ({"patient": "Patient/ana"},                                              "patient",   "write ana"),
    ({"patient": "ana", "encounter": "visit-1"},                              None,        ""),
    ({"patient": "ana", "encounter": "latest"},                               None,        ""),
    ({"encounter": "visit-1"},                                                "encounter", "with its patient"),
    ({"encounter": "latest", "kind": "patient-portal"},                       None,        ""),
    ({"patient": "ana", "encounter": "a b"},                                  "encounter", "logical id"),
    ({"intent": "x" * 256},                                                   "intent",    "255"),
    ({"intent": "reconcile\x00"},                                             "intent",    "printed"),
    ({"need_patient_banner": "perhaps"},                                      "need_patient_banner", "yes nor no"),
    ({"smart_style_url": "javascript:alert(1)"},                              "smart_style_url", "https"),
    ({"smart_style_url": "https://ehr.example.org/style.json"},               None,        ""),
    ({"fhir_context": STUDY},                                                 None,        ""),
    ({"fhir_context": '[{"reference": '},                                     "fhir_context", "line 1, column 15"),
    ({"fhir_context": "[" * 100_000},                                         "fhir_context", "longer than 2000"),
    ({"fhir_context": '[{"reference": "Patient/ana"}]'},                      "fhir_context", "told as patient"),
    ({"fhir_context": '["\\ud800"]'},                                         "fhir_context", "not JSON"),
    ({"fhir_context": '["\\u0000"]'},                                         "fhir_context", "stored"),
    ({"scope": "openid patient/*.rs"},                                        None,        ""),
    ({"scope": "patient/*.sr"},                                               "scope",     "patient/*.sr"),
    ({"habit": "no-refresh", "fault": "fhir-fails"},                          None,        ""),
    ({"habit": "sulks"},                                                      "habit",     "short-tokens"),
    ({"fault": "gremlins"},                                                   "fault",     "wrong-aud"),
    ({"fault": "expired-code", "kind": "backend"},                            "fault",     "it exchanges no code"),
    ({"fault": "altered-state", "kind": "backend"},                           "fault",     "nobody to authorize"),
    ({"fault": "missing-context", "kind": "backend"},                         "fault",     "no launch context"),
    ({"habit": "no-refresh", "kind": "backend"},                              "habit",     "gets a refresh token"),
    ({"minutes": "60"},                                                       None,        ""),
    ({"minutes": "0"},                                                        "minutes",   "1 to 60"),
    ({"minutes": "٣"},                                                        "minutes",   "1 to 60"),
    ({"minutes": "9" * 500},                                                  "minutes",   "1 to 60"),
    ({"place": "frame"},                                                      None,        ""),
    ({"place": "moon"},                                                       "place",     "frame nor window"),
    ({"next": "https://evil.example"},                                        "",          "no such choice: next"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "field", "says"), CASES)
def test_a_field_is_good_or_said_to_be_wrong(given: dict[str, str], field: str | None, says: str) -> None:
    found, wrong = read(given, KNOWN)
    assert list(wrong) == ([] if field is None else [field])
    assert says in "".join(wrong.values())
    kept = forget(found, wrong)
    assert read({name: getattr(kept, name) for name in given if hasattr(kept, name)}, KNOWN)[1] == {}


def test_what_was_typed_stays_beside_what_is_wrong_with_it() -> None:
    found, wrong = read({"patient": "Patient/ana", "intent": "x"}, KNOWN)
    assert (found.patient, found.intent, set(wrong)) == ("Patient/ana", "x", {"patient"})


def test_a_link_brings_back_every_choice() -> None:
    chosen: dict[str, Any] = {
        "kind": "patient-portal",
        "client": "chart",
        "user": "ana",
        "patient": "ana",
        "encounter": "latest",
        "intent": "a & b = c",
        "need_patient_banner": "yes",
        "smart_style_url": "https://ehr.example.org/style.json?a=1&b=2",
        "fhir_context": STUDY,
        "scope": "openid patient/Observation.rs?category=http://x.example/c|vital-signs",
        "habit": "v1-scopes",
        "fault": "missing-context",
        "minutes": "30",
        "place": "window",
    }
    found = Choices(**chosen)
    assert read(dict(parse_qsl(found.as_query())), KNOWN) == (found, {})
    assert Choices().as_query() == ""


def test_a_launch_needs_an_app_and_an_ehr_its_user() -> None:
    assert set(missing(Choices())) == {"client", "user"}
    assert set(missing(Choices(kind="standalone"))) == {"client"}
    assert missing(Choices(client="chart", user="ana")) == {}


HABIT_CASES = [
    # habit             asked                                                  counts
    ("",                "openid patient/*.rs offline_access",                  "openid patient/*.rs offline_access"),
    ("gremlins",        "openid patient/*.rs",                                 "openid patient/*.rs"),
    ("short-tokens",    "openid patient/*.rs",                                 "openid patient/*.rs"),
    ("no-refresh",      "openid offline_access online_access user/*.rs",       "openid user/*.rs"),
    ("exact-scopes",    "launch patient/*.rs user/Goal.rs system/*.*",         "launch user/Goal.rs"),
    ("v1-scopes",       "launch patient/*.read patient/Goal.rs user/Goal.*",   "launch patient/*.read user/Goal.*"),
    ("v1-scopes",       "patient/Goal.r",                                      ""),
    ("narrowed-scopes", "openid patient/*.read user/Goal.rs",
                        "openid patient/Patient.read patient/Observation.read"),
    ("narrowed-scopes", "patient/*.rs patient/Patient.rs",
                        "patient/Patient.rs patient/Observation.rs"),
    ("narrowed-scopes", "patient/Goal.rs",                                     ""),
    ("exact-scopes",    "not/a.scope",                                         "not/a.scope"),
]  # fmt: skip


@pytest.mark.parametrize(("habit", "asked", "counts"), HABIT_CASES)
def test_a_habit_turns_scopes_into_what_counts(habit: str, asked: str, counts: str) -> None:
    assert scopes_under(habit, asked) == counts


def test_every_habit_is_tried() -> None:
    assert {habit for habit, _, _ in HABIT_CASES} >= set(HABITS)
