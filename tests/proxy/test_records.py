"""What the picker and the consent page are told: what the proxy would give the same person, and nothing beyond.

FHIR R4 patient, datatypes (HumanName, Identifier) and search; SMART 2.2 scopes-and-launch-context.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.db import OperationalError

from clients.models import Tenant
from clients.registered import parse_restrictions
from clients.tenants import TenantInfo
from fhirproxy.models import Upstream
from fhirproxy.records import ProxyRecords
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.records import (
    START,
    EncounterPage,
    PatientPage,
    PatientRecord,
    PatientSearch,
    Person,
    Place,
    Records,
    RecordsUnavailable,
)
from tests.proxy.conftest import Behind, put_behind
from tests.servers import free_port

RECORDS: Records = ProxyRecords()
NOW = datetime(2026, 3, 1, tzinfo=UTC)
Load = Callable[..., None]
ANAS = {"reference": "Patient/ana"}


def person(fhir_user: str | None = None, *related: str, **restrictions: Any) -> Person:
    limits = parse_restrictions(restrictions)
    return Person(7, "sandbox", "a-subject", fhir_user, frozenset(related), "growth-chart", limits)


CLINICIAN = person("Practitioner/dr-grey")
ANA = person("Patient/ana")


def page(who: Person, limit: int, *, birth_date: str = "", place: Place = START, **search: str) -> PatientPage:
    wanted = PatientSearch(**search, birth_dates=(birth_date,) if birth_date else ())
    return RECORDS.find_patients(who, wanted, limit=limit, context=new_context(), now=NOW, place=place)


def found(who: Person, **search: str) -> tuple[PatientRecord, ...]:
    return page(who, 50, **search).patients


def ids(who: Person, **search: str) -> list[str]:
    return [one.id for one in found(who, **search)]


def one(who: Person, patient_id: str) -> PatientRecord | None:
    return RECORDS.find_patient(who, patient_id, context=new_context(), now=NOW)


def name_of(who: Person) -> str:
    return RECORDS.find_user_name(who, context=new_context(), now=NOW)


@pytest.fixture
def load(small: Behind) -> Iterator[Load]:
    """Put resources behind the tenant of the small population until the test ends: `load("Patient", "x", name=[…])`."""
    loaded = []

    def put(kind: str, resource_id: str, **members: Any) -> None:
        small.load({"resourceType": kind, "id": resource_id, **members})
        loaded.append(f"{kind}/{resource_id}")

    yield put
    for key in loaded:
        small.ask("DELETE", f"/r4/{key}")


def policy(**switches: Any) -> None:
    Tenant.objects.update(policy=switches)


EVERYBODY = {"ana", "ben", "ANA"}
REACH: list[tuple[Person, set[str]]] = [
    (ANA, {"ana"}),
    (person("Patient/ana", "ben"), {"ana", "ben"}),
    (person("Patient/ana", "ghost"), {"ana"}),
    (person("Patient/ghost"), set()),
    (person(None, "ben"), {"ben"}),
    (person("Person/p", "ben"), {"ben"}),
    (person("Organization/hillside-clinic", "ben"), {"ben"}),
    (person("https://other.example/Practitioner/dr-grey", "ben"), {"ben"}),
    (person("RelatedPerson/ana-as-wife-of-ben"), {"ben"}),
    (person("RelatedPerson/ana-as-wife-of-ben", "ana"), {"ana", "ben"}),
    (person("RelatedPerson/ghost"), set()),
    (CLINICIAN, EVERYBODY),
    (person("PractitionerRole/any"), EVERYBODY),
]


@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("who", "patients"), REACH, ids=str)
def test_a_person_is_shown_whom_they_may_act_for(small: Behind, who: Person, patients: set[str], leak: bool) -> None:
    if leak:
        small.leak()
    shown = ids(who)
    assert (set(shown), len(shown)) == (patients, len(patients))
    for patient_id in (*EVERYBODY, "ghost"):
        record = one(who, patient_id)
        assert (record.id if record else None) == (patient_id if patient_id in patients else None)


RESTRICTED: list[tuple[Person, set[str]]] = [
    (person("Practitioner/dr-grey", patients=["ben"]), {"ben"}),
    (person("Practitioner/dr-grey", patients=["ben", "ghost"]), {"ben"}),
    (person("Practitioner/dr-grey", patients=[]), set()),
    (person("Practitioner/dr-grey", groups=["both"]), {"ana", "ben"}),
    (person("Practitioner/dr-grey", groups=["nowhere"]), set()),
    (person("Practitioner/dr-grey", groups=[], patients=["ana"]), {"ana"}),
    (person("Patient/ana", "ben", patients=["ben"]), {"ben"}),
    (person("Patient/ana", "ben", proxy_relations=False), {"ana"}),
    (person("Patient/ana", patients=["ben"]), set()),
    (person("RelatedPerson/ana-as-wife-of-ben", patients=["ana"]), set()),
    (person("Practitioner/dr-grey", panel=True), {"ben"}),
]


@pytest.mark.parametrize(("who", "patients"), RESTRICTED, ids=str)
def test_nobody_is_shown_whom_the_app_may_not_reach(load: Load, who: Person, patients: set[str]) -> None:
    members = [{"entity": {"reference": f"Patient/{one}"}} for one in ("ana", "ben")]
    load("Group", "both", type="person", actual=True, member=members)
    policy(panel_by=[], panels={"Practitioner/dr-grey": ["ben"]})
    assert set(ids(who)) == patients
    for patient_id in (*EVERYBODY, "ghost"):
        record = one(who, patient_id)
        assert (record.id if record else None) == (patient_id if patient_id in patients else None)


VISITS = [
    # who                                                    of ana   of ben
    (CLINICIAN,                                              True,    True),
    (ANA,                                                    True,    False),
    (person("Patient/ana", "ben"),                           True,    True),
    (person(None, "ben"),                                    False,   True),
    (person("Practitioner/dr-grey", patients=["ben"]),       False,   True),
    (person("Practitioner/dr-grey", patients=[]),            False,   False),
    (person("Patient/ana", "ben", proxy_relations=False),    True,    False),
]  # fmt: skip


@pytest.mark.requirement("CTX-07")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("who", "of_ana", "of_ben"), VISITS, ids=str)
def test_an_encounter_is_that_patient_s_and_the_person_may_see_it(
    small: Behind, load: Load, who: Person, of_ana: bool, of_ben: bool, leak: bool
) -> None:
    members = {"status": "finished", "class": {"code": "AMB"}}
    for patient in ("ana", "ben"):
        load("Encounter", f"visit-{patient}", subject={"reference": f"Patient/{patient}"}, **members)
    load("Encounter", "visit-nobody", **members)
    if leak:
        small.leak()

    def is_of(patient: str, encounter: str) -> bool:
        return RECORDS.find_encounter(who, patient, encounter, context=new_context(), now=NOW) is not None

    assert (is_of("ana", "visit-ana"), is_of("ben", "visit-ben")) == (of_ana, of_ben)
    others = [("ana", "visit-ben"), ("ben", "visit-ana"), ("ana", "visit-nobody"), ("ana", "ghost")]
    others += [("ghost", "visit-ana"), ("ana", "../Patient/ana"), ("", "visit-ana"), ("ana", "")]
    assert not any(is_of(*other) for other in others)
    recorded = AuditRecord.objects.values_list("action", "resource_id", "patients")
    expected = [("read", f"visit-{one}", [one]) for one, seen in (("ana", of_ana), ("ben", of_ben)) if seen]
    assert list(recorded.order_by("pk")) == expected


def test_whether_it_is_cannot_be_said_without_the_records(small: Behind) -> None:
    small.fail(kind="status", status=500)
    with pytest.raises(RecordsUnavailable):
        RECORDS.find_encounter(CLINICIAN, "ana", "visit-ana", context=new_context(), now=NOW)
    with pytest.raises(RecordsUnavailable):
        visits_of(CLINICIAN, "ana")


def visits_of(who: Person, patient: str, day: str = "", *, limit: int = 20) -> EncounterPage:
    return RECORDS.find_encounters(who, patient, day, limit=limit, context=new_context(), now=NOW)


@pytest.mark.requirement("CTX-04", "CTX-22")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("who", "of_ana", "of_ben"), VISITS, ids=str)
def test_visits_are_listed_to_whom_they_may_be_shown(
    small: Behind, load: Load, who: Person, of_ana: bool, of_ben: bool, leak: bool
) -> None:
    for patient in ("ana", "ben"):
        load("Encounter", f"visit-{patient}", subject={"reference": f"Patient/{patient}"}, status="finished")
    if leak:
        small.leak()
    for patient, shown in (("ana", of_ana), ("ben", of_ben)):
        listed = {one.id for one in visits_of(who, patient).encounters}
        assert (f"visit-{patient}" in listed) is shown
        assert not [one for one in listed if one.startswith("visit-") and one != f"visit-{patient}"]
    assert visits_of(who, "ghost").encounters == ()


ENCOUNTERS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"kind": "", "reason": "", "start": "", "end": "", "place": ""}),
    ({"type": [{"text": "Check-up"}], "class": {"display": "ambulatory"}}, {"kind": "Check-up"}),
    ({"type": [{"coding": [{"code": "x"}, {"display": "Follow  up\n visit"}]}]}, {"kind": "Follow up visit"}),
    ({"class": {"display": "ambulatory"}}, {"kind": "ambulatory", "setting": ""}),
    ({"class": {"code": "AMB", "display": "ambulatory"}}, {"kind": "", "setting": "AMB"}),
    ({"class": {"code": "XX", "display": "other"}}, {"kind": "other", "setting": ""}),
    ({"reasonCode": [{"coding": [{"display": "Cough"}]}]}, {"reason": "Cough"}),
    ({"reasonCode": [{"coding": [{"display": "Cough"}]}, {"text": "Dry cough"}]}, {"reason": "Dry cough"}),
    ({"period": {"start": "2025-03-04T09:00:00Z", "end": "2025-03-04T10:00:00Z"}}, {"start": "2025-03-04"}),
    ({"period": {"start": "2025-03-04", "end": "2025-03-09"}}, {"start": "2025-03-04", "end": "2025-03-09"}),
    ({"period": {"start": "2025-03"}}, {"start": "2025-03"}),
    ({"period": {"start": "yesterday", "end": 7}}, {"start": "", "end": ""}),
    ({"location": [{"location": {"display": "Ward 7"}}], "serviceProvider": {"display": "Hillside"}}, {"place": "Ward 7"}),  # noqa: E501
    ({"serviceProvider": {"display": "Hillside"}}, {"place": "Hillside"}),
    ({"serviceProvider": {"display": "x" * 500}}, {"place": "x" * 200}),
]  # fmt: skip


@pytest.mark.parametrize(("members", "told"), ENCOUNTERS, ids=str)
def test_a_visit_is_told_as_people_know_it(load: Load, members: dict[str, Any], told: dict[str, str]) -> None:
    load("Encounter", "odd", status="finished", subject=ANAS, **members)
    record = RECORDS.find_encounter(ANA, "ana", "odd", context=new_context(), now=NOW)
    assert record is not None
    assert {name: getattr(record, name) for name in told} == told


def test_the_newest_visit_comes_first_and_a_day_narrows(load: Load) -> None:
    days = ["2019-05-01", "2019-05", "2024-01-31", "2023-12-31", ""]
    for at, day in enumerate(days):
        period = {"period": {"start": day, "end": day}} if day else {}
        load("Encounter", f"v{at}", status="finished", subject=ANAS, **period)
    mine = [one.id for one in visits_of(ANA, "ana").encounters if one.id.startswith("v")]
    assert mine == ["v2", "v3", "v1", "v0", "v4"]
    load("Encounter", "stay", status="finished", subject=ANAS, period={"start": "2018-01-02", "end": "2018-01-09"})
    assert [one.id for one in visits_of(ANA, "ana", "2018-01-05").encounters] == ["stay"]
    assert {one.id for one in visits_of(ANA, "ana", "2019-05-01").encounters} == {"v0", "v1"}
    assert {one.id for one in visits_of(ANA, "ana", "2019").encounters} == {"v0", "v1"}
    for nonsense in ("the fifth of May", "2019-13", "2019-05-01T10:00:00Z", "gt2000", "2019&patient=ben", "0001"):
        assert visits_of(ANA, "ana", nonsense) == EncounterPage(())
    first = visits_of(ANA, "ana", limit=2)
    assert ([one.id for one in first.encounters], first.has_more) == (["v2", "v3"], True)


def test_the_members_of_an_app_s_groups_must_be_readable(small: Behind) -> None:
    small.fail(kind="status", status=500)
    with pytest.raises(RecordsUnavailable):
        found(person("Practitioner/dr-grey", groups=["both"]))


def test_people_are_told_their_own_name_whatever_the_app_may_reach(small: Behind) -> None:
    assert name_of(person("Patient/ana", patients=["ben"])) == name_of(ANA) != ""


NOBODYS = [
    person(),
    person(""),
    person("Person/p"),
    person("Patient/ana/_history/1"),
    person("https://other.example/Patient/ana"),
    person("Organization/hillside-clinic"),
]


@pytest.mark.parametrize("who", NOBODYS, ids=str)
def test_a_person_without_rights_is_shown_nobody_and_nothing_is_asked(small: Behind, who: Person) -> None:
    assert (found(who), one(who, "ana")) == ((), None)
    assert small.received() == []
    assert not AuditRecord.objects.exists()


def test_what_clinicians_reach_is_the_tenants_to_say(small: Behind) -> None:
    policy(practitioner_access="none")
    assert (found(CLINICIAN), one(CLINICIAN, "ana")) == ((), None)
    assert small.received() == []
    assert ids(person("Practitioner/dr-grey", "ben")) == ["ben"]
    assert name_of(CLINICIAN) == "Alma Grey"


def test_a_clinician_with_a_panel_is_shown_their_panel(small: Behind) -> None:
    policy(practitioner_access="panel", panel_by=[], panels={"Practitioner/dr-grey": ["ben"]})
    assert ids(CLINICIAN) == ["ben"]
    assert (one(CLINICIAN, "ana"), one(person("Practitioner/other"), "ben")) == (None, None)


def test_a_panel_that_cannot_be_read_is_not_taken_for_an_empty_one(small: Behind) -> None:
    policy(practitioner_access="panel")
    for status in (400, 500):
        small.fail(kind="status", status=status)
        with pytest.raises(RecordsUnavailable):
            found(CLINICIAN)


SEARCHES: list[tuple[dict[str, str], list[str]]] = [
    ({"name": "lindqvist"}, ["ana", "ANA"]),
    ({"name": "LIND"}, ["ana2", "ana", "ANA"]),
    ({"name": "Ana Lindqvist"}, ["ana", "ANA"]),
    ({"name": "lindqvist ana"}, ["ana", "ANA"]),
    ({"name": " Lindqvist,  Ana "}, ["ana", "ANA"]),
    ({"name": "Lindqvist, Ben"}, []),
    ({"name": "lucia"}, ["lucia"]),
    ({"name": "Ana Maria"}, ["ana-maria"]),
    ({"name": "nobody"}, []),
    ({"name": ","}, []),
    ({"birth_date": "1984-05-12"}, ["ana-maria", "ana"]),
    ({"birth_date": "1984-05"}, ["ana-maria", "ana", "ANA"]),
    ({"birth_date": "1990"}, ["ana2"]),
    ({"identifier": "MRN-1001"}, ["ana"]),
    ({"identifier": " MRN-1001 "}, ["ana"]),
    ({"identifier": "MRN-10"}, []),
    ({"identifier": "MRN-1001,MRN-1002"}, []),
    ({"identifier": "|"}, []),
    ({"identifier": "*"}, []),
    ({"name": "ana", "birth_date": "1984-05-12"}, ["ana-maria", "ana"]),
    ({"name": "ana", "birth_date": "1984-05-12", "identifier": "MRN-1001"}, ["ana"]),
    ({"name": "ben", "identifier": "MRN-1001"}, []),
]


@pytest.mark.parametrize(("search", "patients"), SEARCHES, ids=str)
def test_a_clinician_searches_and_the_order_is_by_name(
    sandbox: Behind, search: dict[str, str], patients: list[str]
) -> None:
    assert ids(CLINICIAN, **search) == patients


def test_a_search_narrows_what_a_person_is_shown_and_never_widens_it(small: Behind) -> None:
    mother = person("Patient/ana", "ben")
    assert ids(mother, name="okafor") == ["ben"]
    assert ids(ANA, name="okafor") == []
    assert ids(ANA, identifier="MRN-1002") == []
    (asked,) = {target.split("&")[0] for target in small.targets()[1:]}
    assert asked == "Patient?_id=ana"


UNREADABLE: list[dict[str, str]] = [
    *(
        {"birth_date": text}
        for text in (
            *("yesterday", "ge1900", "1984-05-12,1979", "1984-02-30", "0000", "84", "1984-5-1", " ", "*", "1984\n"),
            *("1984-05-12T00:00:00Z", "1984\\", "\x00", "１９８４"),
        )
    ),
    *({"name": text} for text in (" ", "\x00", "a\x1bb", "\ud800", "x" * 3000, "a " * 9, "a " * 100_000)),
    *({"identifier": text} for text in (" ", "\x00", "\ud800", "x" * 3000)),
    {"name": "ana", "birth_date": "ge1900"},
    {"name": " ", "identifier": "MRN-1001"},
]


@pytest.mark.parametrize("search", UNREADABLE, ids=ascii)
def test_what_cannot_be_read_finds_nobody_and_is_never_left_out(small: Behind, search: dict[str, str]) -> None:
    assert ids(CLINICIAN, **search) == []
    assert small.received() == []


@pytest.mark.parametrize(
    "patient_id",
    [
        *("", ".", "..", "ana ", "ana/../ben", "Patient/ana", "ana?_id=ben", "ana,ben", "%61na", "a" * 65),
        *("_search", "_history", "$everything", "\x00", "\ud800"),
    ],
    ids=ascii,
)
def test_an_id_that_is_none_names_nobody(small: Behind, patient_id: str) -> None:
    assert one(CLINICIAN, patient_id) is None
    assert one(ANA, patient_id) is None
    assert small.received() == []


def test_what_is_typed_is_a_value_and_never_structure(load: Load, small: Behind) -> None:
    load("Patient", "odd", name=[{"family": "$x|y\\z"}], identifier=[{"value": "A|1,2\\3$4&_id=ben"}])
    assert ids(CLINICIAN, identifier="A|1,2\\3$4&_id=ben") == ["odd"]
    assert ids(CLINICIAN, name="$x|y\\z") == ["odd"]
    assert ids(CLINICIAN, name="ana&_id=ben") == []
    identifier, name, attempt = (dict(parse_qsl(target.split("?")[1])) for target in small.targets())
    rest = {"_sort": "family,given", "_count": "51"}
    assert identifier == {"identifier": "A\\|1\\,2\\\\3\\$4&_id=ben", **rest}
    assert name == {"name": "$x|y\\\\z", **rest}  # In a string | and $ mean themselves.
    assert attempt == {"name": "ana&_id=ben", **rest}


@pytest.mark.parametrize(
    ("typed", "patients"),
    [
        ("van der berg", ["jan"]),
        ("Jan van der Berg", ["jan"]),
        ("van der Berg, Jan", ["jan"]),
        ("van Jan", ["jan"]),
        ("Jan der Berg", []),
        ("van der Berg, Piet", []),
    ],
)
def test_a_part_of_a_name_may_be_several_words(load: Load, typed: str, patients: list[str]) -> None:
    load("Patient", "jan", name=[{"family": "van der Berg", "given": ["Jan"]}])
    assert ids(CLINICIAN, name=typed) == patients


@pytest.mark.parametrize("max_count", [500, 2])
def test_the_limit_is_kept_and_more_is_said_only_of_more(sandbox: Behind, max_count: int) -> None:
    policy(max_count=max_count)
    everybody = page(CLINICIAN, 1000)
    assert (len(everybody.patients), everybody.has_more) == (25, False)
    for limit in (0, 1, 3, 24, 25, 26):
        some = page(CLINICIAN, limit)
        assert some.patients == everybody.patients[:limit]
        assert some.has_more is (limit < 25)
    few = person("Patient/ana", "ben", "chiyo", "ghost")
    assert [page(few, limit).has_more for limit in (1, 2, 3, 4)] == [True, True, False, False]
    assert [len(page(few, limit).patients) for limit in (1, 2, 3, 4)] == [1, 2, 3, 3]


def test_one_call_asks_for_no_more_than_is_shown_and_one(sandbox: Behind) -> None:
    assert page(CLINICIAN, 5, name="ana").has_more is False
    assert sandbox.targets() == ["Patient?name=ana&_sort=family%2Cgiven&_count=6"]


@contextmanager
def refusing_to_sort(patients: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Run a FHIR server that has these patients and cannot sort; gives its base URL and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in patients]}
            self.send_response(400 if "_sort" in self.path else 200)
            self.end_headers()
            self.wfile.write(json.dumps(bundle).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/r4", asked
        server.shutdown()
        thread.join()


def test_a_server_that_cannot_sort_can_still_search(tenant: TenantInfo) -> None:
    names = ("", "Zamani", "Åberg", "berg", "Costa")
    patients = [
        {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": name}]} for number, name in enumerate(names)
    ]
    with refusing_to_sort(patients) as (base_url, asked):
        put_behind(tenant, base_url, bearer="")
        assert [one.name for one in found(CLINICIAN)] == ["Åberg", "berg", "Costa", "Zamani", ""]
    assert asked == ["/r4/Patient?_sort=family%2Cgiven&_count=51", "/r4/Patient?_count=51"]
    assert AuditRecord.objects.get().query == "Patient?_count=51"


FAULTS: list[dict[str, Any]] = [
    *({"kind": kind} for kind in ("truncate", "close", "html", "notfhir", "duplicate-keys")),
    {"kind": "redirect", "location": "http://127.0.0.1:1/"},
    *({"kind": "status", "status": status} for status in (400, 401, 403, 422, 500, 503)),
    {"kind": "delay", "seconds": 2},
]
WHOSE = [CLINICIAN, ANA, person("RelatedPerson/ana-as-wife-of-ben")]


@pytest.mark.parametrize("who", WHOSE, ids=str)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_server_that_fails_is_not_taken_for_one_that_has_nobody(
    small: Behind, who: Person, fault: dict[str, Any]
) -> None:
    Upstream.objects.update(timeout_seconds=1)
    small.fail(**fault)
    for ask in (lambda: found(who), lambda: one(who, "ben" if who is WHOSE[2] else "ana"), lambda: name_of(who)):
        with pytest.raises(RecordsUnavailable):
            ask()
    assert not AuditRecord.objects.exists()


@pytest.mark.parametrize("break_it", ["down", "none", "tenant", "credential"])
def test_without_a_usable_upstream_there_are_no_records(small: Behind, break_it: str) -> None:
    match break_it:
        case "down":
            Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")
        case "none":
            Upstream.objects.all().delete()
        case "tenant":
            Tenant.objects.update(is_active=False)
        case "credential":
            Upstream.objects.update(sealed_secret="spoilt")
    for ask in (lambda: found(ANA), lambda: one(ANA, "ana"), lambda: name_of(ANA)):
        with pytest.raises(RecordsUnavailable):
            ask()
    assert small.received() == []


def test_nobody_is_shown_whom_the_audit_trail_cannot_record(small: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(AuditRecord, "save", away)
    for ask in (lambda: found(ANA), lambda: one(ANA, "ana"), lambda: name_of(ANA)):
        with pytest.raises(RecordsUnavailable, match="AuditUnavailable"):
            ask()


def test_every_read_is_recorded(small: Behind) -> None:
    context = new_context()
    small.leak()
    RECORDS.find_patients(person("Patient/ana", "ben"), PatientSearch("ana"), limit=5, context=context, now=NOW)
    small.ask("PUT", "/_mode", {"mode": "faithful"})
    one(ANA, "ana")
    name_of(CLINICIAN)
    search, read, name = AuditRecord.objects.order_by("pk")
    for record in (search, read, name):
        assert (record.rule, record.client_id, record.tenant, record.user_id) == (
            "picker",
            "growth-chart",
            "sandbox",
            7,
        )
    assert search.trace_id == context.trace_id
    assert (search.action, search.resource_type, search.resource_id) == ("search", "Patient", "")
    assert search.query == "Patient?_id=ana%2Cben&name=ana&_sort=family%2Cgiven&_count=6"
    assert (search.details["interaction"], search.details["upstream_calls"]) == ("search-type", 1)
    assert search.details["removed"] >= 1
    assert (search.patients, read.patients, name.patients) == (["ana", "ben"], ["ana"], [])
    assert (read.action, read.resource_type, read.resource_id) == ("read", "Patient", "ana")
    assert (read.query, read.details["interaction"], read.details["checked"]) == ("Patient/ana", "read", 1)
    assert (name.action, name.resource_type, name.resource_id) == ("read", "Practitioner", "dr-grey")


def test_what_is_not_shown_is_not_recorded_as_read(small: Behind) -> None:
    assert (one(ANA, "ben"), one(ANA, "ghost"), one(CLINICIAN, "ghost")) == (None, None, None)
    assert not AuditRecord.objects.exists()
    assert small.targets() == ["Patient/ghost"]


def test_a_deleted_patient_is_nobody(load: Load, small: Behind) -> None:
    load("Patient", "gone")
    small.ask("DELETE", "/r4/Patient/gone")
    assert (one(CLINICIAN, "gone"), one(person(None, "gone"), "gone")) == (None, None)


USER_NAMES = [
    ("Practitioner/dr-grey", "Alma Grey"),
    ("Patient/ana", "Ana Lindqvist"),
    ("RelatedPerson/ana-as-wife-of-ben", "Ana Lindqvist"),
    ("PractitionerRole/dr-grey-role", ""),
    ("Practitioner/ghost", ""),
    ("Organization/hillside-clinic", ""),
    ("https://other.example/Practitioner/dr-grey", ""),
    ("", ""),
    (None, ""),
]


@pytest.mark.parametrize(("fhir_user", "name"), USER_NAMES)
def test_the_name_of_who_is_signed_in(small: Behind, fhir_user: str | None, name: str) -> None:
    assert name_of(person(fhir_user, "ben")) == name
    assert small.targets() in ([fhir_user], [])


def test_what_a_patient_is_recognised_by(small: Behind) -> None:
    assert one(ANA, "ana") == PatientRecord("ana", "Ana Lindqvist", "1984-05-12", "female", "MRN-1001")
    assert found(ANA) == (one(ANA, "ana"),)


OFFICIAL, OLD = {"use": "official", "text": "Official"}, {"use": "old", "text": "Old"}
NAMES: list[tuple[Any, str]] = [
    # what is under `name`, what is shown
    (None, ""),
    ([], ""),
    (5, ""),
    ("Ana", ""),
    ([1, None, "x", [], {}], ""),
    ([OLD, {"text": "Plain"}, {"use": "usual", "text": "Usual"}, OFFICIAL], "Official"),
    ([OLD, {"text": "Plain"}, {"use": "usual", "text": "Usual"}], "Usual"),
    ([OLD, {"text": "Plain"}], "Plain"),
    ([OLD, {"use": "nickname", "text": "Nick"}], "Nick"),
    ([{"use": "maiden", "text": "Maiden"}], "Maiden"),
    ([OFFICIAL | {"period": {"end": "2020-01-01"}}, {"use": "usual", "text": "Usual"}], "Usual"),
    ([OFFICIAL, {"use": "official", "text": "Second"}], "Official"),
    ([{"use": "official"}, {"use": "official", "text": " "}, OLD], "Old"),
    ([{"use": "official", "family": "Moreau", "given": ["Ana", "Maria"]}], "Ana Maria Moreau"),
    ([{"family": "Moreau"}], "Moreau"),
    ([{"given": ["Ana"]}], "Ana"),
    ([{"text": "Dr. A. Moreau", "family": "Moreau"}], "Dr. A. Moreau"),
    ([{"text": 5, "family": ["Moreau"], "given": "Ana"}], "Ana Moreau"),
    ([{"use": ["official"], "family": 7.5, "given": [1, {"a": 1}, None, "Ana"]}], "Ana"),
    ([{"use": {"a": 1}, "text": True, "family": {"a": 1}, "given": {"a": 1}}], ""),
    ([{"text": "<script>alert('x')</script> &amp; \"y\""}], "<script>alert('x')</script> &amp; \"y\""),
    ([{"text": " Ana\n\tMaria\u2003Moreau "}], "Ana Maria Moreau"),
    ([{"text": "x" * 500}], "x" * 200),
    ([{"family": "x" * 150, "given": ["y" * 150]}], "y" * 150 + " " + "x" * 49),
]


@pytest.mark.parametrize(("names", "shown"), NAMES, ids=lambda value: ascii(value)[:60])
def test_names(load: Load, names: Any, shown: str) -> None:
    load("Patient", "named", name=names)
    load("Practitioner", "named", name=names)
    record = one(CLINICIAN, "named")
    assert record is not None
    assert record.name == shown
    assert name_of(person("Practitioner/named")) == shown
    assert "named" in ids(CLINICIAN)


MR = {"coding": [{"code": "XX"}, {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
IDENTIFIERS: list[tuple[Any, str]] = [
    # what is under `identifier`, what is shown
    (None, ""),
    ({"value": 5}, ""),
    (["x", 5, None, {}, {"value": None}, {"value": ["x"]}], ""),
    ([{"value": "1"}, {"value": "2", "type": MR}], "2"),
    ([{"value": "1"}, {"value": "2"}], "1"),
    ([{"type": MR}, {"value": "2"}], "2"),
    ([{"value": "1", "type": MR | {"text": "Record number"}}], "1"),
    ([{"value": "1", "type": {"text": "Passport"}}], "1 (Passport)"),
    ([{"value": "1", "type": {"text": "x" * 41}}], "1"),
    ([{"value": "1", "type": {"text": 5, "coding": "MR"}}], "1"),
    ([{"value": "1", "type": ["MR"]}], "1"),
    ([{"use": "old", "value": "1", "type": MR}, {"value": "2"}], "2"),
    ([{"use": "old", "value": "1", "type": MR}], "1"),
    ([{"value": "9" * 500}], "9" * 200),
]


@pytest.mark.parametrize(("identifiers", "shown"), IDENTIFIERS, ids=lambda value: ascii(value)[:60])
def test_identifiers(load: Load, identifiers: Any, shown: str) -> None:
    load("Patient", "numbered", identifier=identifiers)
    record = one(CLINICIAN, "numbered")
    assert record is not None
    assert record.identifier == shown


STANDINGS: list[tuple[dict[str, Any], tuple[bool, str, str]]] = [
    # what the record says, whether and when they died, how the record stands
    ({}, (False, "", "")),
    ({"active": True, "deceasedBoolean": False}, (False, "", "")),
    ({"deceasedBoolean": True}, (True, "", "")),
    ({"deceasedDateTime": "2024-03-01T10:00:00+01:00"}, (True, "2024-03-01", "")),
    ({"deceasedDateTime": "2024"}, (True, "2024", "")),
    ({"deceasedDateTime": "long ago"}, (True, "", "")),
    ({"deceasedBoolean": "true", "active": "false", "link": {"type": 5}}, (False, "", "")),
    ({"active": False}, (False, "", "inactive")),
    ({"active": False, "link": [{"type": "seealso"}, {"type": "replaced-by"}]}, (False, "", "replaced")),
    ({"link": [{"type": "replaces"}]}, (False, "", "")),
]


@pytest.mark.parametrize(("members", "told"), STANDINGS, ids=str)
def test_who_has_died_and_what_is_not_in_use_is_told(load: Load, members: dict[str, Any], told: Any) -> None:
    load("Patient", "odd", **members)
    record = one(CLINICIAN, "odd")
    assert record is not None
    assert (record.has_died, record.death_date, record.standing) == told


@pytest.mark.parametrize("value", [None, 5, 1984.5, True, "<b>", ["1984"], {"a": 1}, "1984-05-12T00:00:00Z", "Female"])
def test_what_is_no_date_and_no_sex_is_unknown(load: Load, value: Any) -> None:
    load("Patient", "odd", birthDate=value, gender=value)
    assert one(CLINICIAN, "odd") == PatientRecord("odd", "", "", "", "")
