"""Patients whose records touch wherever FHIR lets them, and everything odd that a reference can be.

Every version of every resource carries a marker of its own: what the marker is seen in, the version was seen in.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from smartauth.policy import r4

PATIENTS = ("ana", "ben", "cho")
# Collisions of case and of prefix, and one whose id is another's with a suffix.
LOOKALIKES = ("ANA", "an", "ana-1", "ana.1", "Ana")
COMMON = (
    "Observation",
    "Condition",
    "Encounter",
    "MedicationRequest",
    "DocumentReference",
    "Procedure",
    "Task",
    "List",
)
JOINT = ("Account", "Appointment", "Group", "Person")
SHARED = (
    "Practitioner", "PractitionerRole", "Organization", "Location", "Medication", "Substance", "HealthcareService",
    "Slot", "ValueSet", "Questionnaire", "ResearchStudy",
)  # fmt: skip
# Types in which somebody can have a role although they are about nobody, besides Observation.
ROLES = ("Condition", "Procedure", "DocumentReference", "Communication", "List", "QuestionnaireResponse", "Claim")
CATEGORIES = ("laboratory", "vital-signs", "social-history")
CODES = ("29463-7", "718-7", "8302-2")
LABELS = ("N", "R", "V")
CATEGORY_SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
LOINC = "http://loinc.org"
LABEL_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
# Elements whose absence would make a resource something else than what it says it is.
SPECIAL: dict[str, dict[str, Any]] = {
    "Group": {"type": "person", "actual": True},
    "RelatedPerson": {"active": True},
    "DocumentReference": {"status": "current"},
    "List": {"status": "current", "mode": "working"},
}

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a store: a version came, or a resource was deleted."""

    resource: Resource
    is_deletion: bool = False


@dataclass(slots=True)
class Maker:
    """Makes resources. `upstream`: the base URL of the server they are for."""

    upstream: str
    rng: Random
    next_marker: int = 0
    keys: list[str] = field(default_factory=list)

    def resource(self, kind: str, resource_id: str, about: Any = None, **members: Any) -> Resource:
        """Return a resource with a fresh marker, about whoever `about` says, with links along every other path."""
        code = marker(self.next_marker)
        minutes = self.next_marker % 60
        self.next_marker += 1
        made: Resource = {
            "resourceType": kind,
            "id": resource_id,
            "meta": {
                "lastUpdated": f"2024-0{1 + self.next_marker % 9}-1{self.next_marker % 7}T08:{minutes:02}:00Z",
                "tag": [{"system": "urn:marker", "code": code}],
                "security": [{"system": LABEL_SYSTEM, "code": self.rng.choice(LABELS)}],
            },
            "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{code}</div>'},
            **SPECIAL.get(kind, {}),
        }
        if kind == "Binary":
            del made["text"]
            made |= {"contentType": "text/plain", "data": base64.b64encode(f"data {code} data".encode()).decode()}
        self._describe(made)
        primary = r4.memberships()[kind].primary
        for path in r4.elements(kind).refs:
            if path not in primary:
                self._link(made, path)
        if about is not None and primary:
            put_at(made, primary[0].split("."), about)
        return made | members

    def _describe(self, made: Resource) -> None:
        """Give what clinical types are searched by."""
        elements = r4.elements(made["resourceType"]).elements
        if "category" in elements and made["resourceType"] in ("Observation", "Condition"):
            made["category"] = [coded(CATEGORY_SYSTEM, self.rng.choice(CATEGORIES))]
        if "code" in elements and made["resourceType"] in ("Observation", "Condition", "Procedure"):
            made["code"] = coded(LOINC, self.rng.choice(CODES))
        if "status" in elements and "status" not in made:
            made["status"] = self.rng.choice(("active", "final", "completed"))
        if made["resourceType"] == "Observation":
            made["effectiveDateTime"] = (
                f"202{self.rng.randint(0, 4)}-0{self.rng.randint(1, 9)}-1{self.rng.randint(0, 9)}"
            )
            made["valueQuantity"] = {"value": self.rng.randint(1, 200), "unit": "kg"}
            made["note"] = [{"text": self.rng.choice(("cheerful", "gloomy"))}]

    def _link(self, made: Resource, path: str) -> None:
        """Point somewhere that the path allows, at anybody's, at nothing, or in an odd way."""
        if self.rng.random() < 0.4:
            return
        targets = r4.elements(made["resourceType"]).refs[path]
        kind = self.rng.choice(targets)
        if kind == "*":
            kind = self.rng.choice(("Patient", "Observation", "Condition", "Encounter", "Practitioner"))
        whose = self.rng.choice(PATIENTS)
        target = f"{kind}/{whose}" if kind == "Patient" else f"{kind}/{whose}-{kind.lower()}"
        if kind in SHARED:
            target = f"{kind}/{kind.lower()}"
        value: Any = {"reference": target}
        if self.rng.random() < 0.15:
            value = self.rng.choice(odd_references("ben", self.upstream))
        put_at(made, path.split("."), value)


def marker(number: int) -> str:
    """Return the marker of the n-th version."""
    return f"mRk{number:06d}Z"


def coded(system: str, code: str) -> Resource:
    """Return a CodeableConcept."""
    return {"coding": [{"system": system, "code": code}], "text": code}


def put_at(tree: Resource, path: list[str], value: Any) -> None:
    """Set a value at a dotted path, through objects made on the way."""
    for step in path[:-1]:
        following = tree.setdefault(step, {})
        if isinstance(following, list):
            following = following[0]
        tree = following
    tree[path[-1]] = value


def odd_references(patient: str, upstream: str) -> list[Any]:
    """Return everything that looks as if it meant `patient`, and a few things that do."""
    here, public = f"Patient/{patient}", "http://127.0.0.1:8000/fhir/sandbox/r4"
    texts = (
        f"{public}/{here}", f"{upstream}/{here}", f"{here}/_history/1", f"{upstream}/{here}/_history/2",
        upstream.upper().replace("/R4", "/r4") + f"/{here}",
        f"https://elsewhere.example/r4/{here}", f"{upstream}evil/{here}", f"{upstream}@evil.example/{here}",
        f"{upstream.replace('127.0.0.1', '127.0.0.1.evil.example')}/{here}", f"{upstream}/../{here}",
        "#contained", "urn:uuid:6f1c1b0e-0000-4000-8000-000000000000", f"/{here}", f"{here}/", f"{here}?x=1",
        f"{here}#part", f"patient/{patient}", f"Patient/{here}", f"Patient/{patient.upper()}", f"Patient/{patient}-1",
        f"Patient?identifier={patient}", f" {here}", f"{here}\n", f"Patient/{patient}%2F..", "", "Patient/", patient,
        f"{public}/fhir/sandbox/r4/{here}", "http://127.0.0.1:8000/fhir/other/r4/" + here,
    )  # fmt: skip
    return [
        *({"reference": text} for text in texts),
        {"reference": here, "type": "Group"}, {"reference": here, "type": "Patient"},
        {"type": "Patient"}, {"type": "Device"}, {"type": "patient"}, {"display": patient}, {},
        {"identifier": {"system": "urn:mrn", "value": patient}},
        {"identifier": {"system": "urn:mrn", "value": patient}, "type": "Patient"},
        {"reference": None}, {"reference": [here]}, {"reference": 7}, here, None, [],
        {"reference": "Group/cohort"}, {"reference": "Device/ana-device"}, {"reference": "Location/location"},
    ]  # fmt: skip


def populate(seed: int, *, upstream: str) -> Iterator[Step]:
    """Give the history of one store: the same for the same seed."""
    make = Maker(upstream, Random(seed))
    yield from _people(make)
    yield from _records(make)
    yield from _odd_records(make)
    yield from _joint_records(make)
    yield from _derived(make)
    yield from _history(make)


def _people(make: Maker) -> Iterator[Step]:
    for patient in (*PATIENTS, *LOOKALIKES):
        yield Step(make.resource("Patient", patient, link=[{"other": {"reference": "Patient/ana"}, "type": "seealso"}]))
    for kind in SHARED:
        yield Step(make.resource(kind, kind.lower()))
        yield Step(make.resource(kind, "ana"))
    for kind in r4.memberships():
        if r4.memberships()[kind].cls == "operator" and kind not in ("OperationOutcome", "Parameters"):
            yield Step(make.resource(kind, f"{kind.lower()}"))
    yield Step(make.resource("RelatedPerson", "ana-mother", {"reference": "Patient/ana"}, active=True))
    yield Step(make.resource("RelatedPerson", "ana-aunt", {"reference": "Patient/ana"}, active=False))
    yield Step(make.resource("Person", "ana", None, link=[{"target": {"reference": "Patient/ana"}}]))
    members = [{"entity": {"reference": "Patient/ana"}}, {"entity": {"reference": "Patient/ben"}, "inactive": True}]
    yield Step(make.resource("Group", "cohort", None, member=members))
    yield Step(
        make.resource("Group", "everyone", None, member=[{"entity": {"reference": f"Patient/{p}"}} for p in PATIENTS])
    )


def _records(make: Maker) -> Iterator[Step]:
    """One of each kind of record for each patient, and more of what is searched most."""
    for kind, facts in r4.memberships().items():
        if facts.cls in ("compartment", "conditional") and kind not in JOINT:
            for patient in PATIENTS:
                yield Step(make.resource(kind, f"{patient}-{kind.lower()}", {"reference": f"Patient/{patient}"}))
    for kind in COMMON:
        for patient in ("ana", "ben"):
            for number in range(5):
                made = make.resource(kind, f"{patient}-{kind.lower()}-{number}", {"reference": f"Patient/{patient}"})
                if kind == "Observation":  # To each its own, so that what it brings along tells which one did.
                    made["encounter"] = {"reference": f"Encounter/{patient}-encounter-{number}"}
                yield Step(made)
        # The same id as the patient's own, in another type.
        for patient in ("ana", "ben"):
            yield Step(make.resource(kind, patient, {"reference": "Patient/ben"}))


def _odd_records(make: Maker) -> Iterator[Step]:
    for patient in ("ana", "ben"):
        for number, reference in enumerate(odd_references(patient, make.upstream)):
            # An Observation must be about somebody. A Device need not, so one about nobody is judged in another way.
            for kind in ("Observation", "Device", ("Condition", "Task", "Schedule", "Encounter")[number % 4]):
                yield Step(make.resource(kind, f"{patient}-odd-{kind.lower()}-{number}", reference))
    ana, ben = {"reference": "Patient/ana"}, {"reference": "Patient/ben"}
    for number, members in enumerate(
        [
            {"performer": [ana]}, {"performer": [ben]}, {"performer": [ana, ben]}, {"performer": ["Patient/ana"]},
            {"subject": [ana, ben]}, {"subject": [ana, "Patient/ben"]}, {"subject": [[ana]]}, {"subject": []},
            {"subject": ben, "performer": [ana], "focus": [ana], "encounter": {"reference": "Encounter/ana-encounter"}},
            {"subject": {"reference": "Group/cohort"}, "performer": [ana]},
            {"subject": {"reference": "Device/ana-device"}, "performer": [ana]},
            {"subject": {"reference": "#p"}, "contained": [{"resourceType": "Patient", "id": "p"}], "performer": [ana]},
        ]
    ):  # fmt: skip
        made = make.resource("Observation", f"role-{number}")
        made.pop("performer", None)
        yield Step(made | members)
    for kind in ROLES:
        for patient in ("ana", "ben"):
            made = make.resource(kind, f"{patient}-role-{kind.lower()}")
            put_at(made, r4.memberships()[kind].secondary[0].split("."), {"reference": f"Patient/{patient}"})
            yield Step(made)
    # The codes that filters name, from another system or from none.
    for number, system in enumerate(("urn:other", "", LOINC, CATEGORY_SYSTEM)):
        codes = {"code": coded(system, "718-7"), "category": [coded(system, "laboratory")]}
        if not system:
            codes = {"code": {"coding": [{"code": "718-7"}]}, "category": [{"coding": [{"code": "laboratory"}]}]}
        yield Step(make.resource("Observation", f"ana-system-{number}", ana) | codes)
    for number, kind in enumerate(("Device", "Schedule", "Basic", "CareTeam", "Coverage", "Consent")):
        yield Step(make.resource(kind, f"nobody-{number}"))


def _joint_records(make: Maker) -> Iterator[Step]:
    for kind in JOINT:
        path = r4.memberships()[kind].primary[0].split(".")
        for number, who in enumerate((("ana",), ("ben",), ("ana", "ben"), ("ana", "cho"), ("ben", "cho"), ())):
            made = make.resource(kind, f"joint-{number}" if number else f"ana-{kind.lower()}")
            references = [{"reference": f"Patient/{one}"} for one in who]
            if len(path) == 2:
                made[path[0]] = [{path[1]: one} for one in references]
            else:
                made[path[0]] = references
            yield Step(made)


def _derived(make: Maker) -> Iterator[Step]:
    """What hangs on something else: provenance, documents, attachments."""
    sets = [
        ["Patient/ana"], ["Patient/ben"], ["Observation/ana-observation"], ["Observation/ben-observation"],
        ["Observation/ana-observation", "Observation/ben-observation"], ["Practitioner/practitioner"],
        ["Provenance/about-0"], ["Observation/missing"], ["Patient/ana", "Patient/ben"], ["Group/everyone"],
        ["Device/ben-device"], [], [f"Observation/ana-observation-{n % 5}" for n in range(11)], ["Binary/of-ana"],
    ]  # fmt: skip
    for number, targets in enumerate(sets):
        made = make.resource("Provenance", f"about-{number}")
        yield Step(made | {"target": [{"reference": one} for one in targets]})
    for name, context in (
        ("of-ana", "Patient/ana"), ("of-ben", "Patient/ben"), ("of-nobody", None),
        ("of-other", "https://x.example/Patient/ana"), ("of-ana-note", "DocumentReference/ana-documentreference"),
        ("of-ben-note", "DocumentReference/ben-documentreference"),
    ):  # fmt: skip
        made = make.resource("Binary", name)
        yield Step(made | ({"securityContext": {"reference": context}} if context else {}))
    for patient, name in (("ana", "attached-ana"), ("ben", "attached-ben")):
        yield Step(make.resource("Binary", name))
        note = make.resource("DocumentReference", f"{patient}-attached", {"reference": f"Patient/{patient}"})
        yield Step(note | {"content": [{"attachment": {"url": f"{make.upstream}/Binary/{name}"}}]})
    for number, who in enumerate((("ana",), ("ana", "ben"), ("ben",), ())):
        made = make.resource("Bundle", f"document-{number}")
        inner = [
            {"resource": {"resourceType": "Observation", "id": f"in-{p}", "subject": {"reference": f"Patient/{p}"}}}
            for p in who
        ]
        made.pop("text")
        yield Step(
            made
            | {"type": "document", "entry": inner, "link": [{"relation": "next", "url": f"{make.upstream}/Patient"}]}
        )


def _history(make: Maker) -> Iterator[Step]:
    """Several versions, some of which were somebody else's, and what was deleted."""
    for resource_id, owners in (
        ("was-ana", "ana ben"),
        ("was-ben", "ben ana"),
        ("both", "ana ben ana"),
        ("ana-3", "ana ana ana"),
    ):
        for kind in ("Observation", "Condition"):
            for owner in owners.split():
                yield Step(make.resource(kind, f"{resource_id}", {"reference": f"Patient/{owner}"}))
    for patient in ("ana", "ben"):
        for kind in ("Observation", "Encounter", "Task"):
            gone = make.resource(kind, f"{patient}-gone", {"reference": f"Patient/{patient}"})
            yield Step(gone)
            yield Step(gone, is_deletion=True)
