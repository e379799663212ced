"""Tokens and requests between which one rule decides, for drawing at random comes upon such a pair too seldom.

A situation says who asks for what, and nothing about the answer: that is for the properties. A new rule joins by a line
in SITUATIONS, with tokens that hold exactly what the rule turns on and the resources it turns on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlencode

from hypothesis import strategies as st

from tests.proxy.oracle import PUBLIC, Token
from tests.proxy.proof.population import CATEGORY_SYSTEM, LOINC, ROLES, SHARED, odd_references
from tests.proxy.proof.world import Request

LABORATORY = f"category={CATEGORY_SYSTEM}|laboratory"
VITAL_SIGNS = f"category={CATEGORY_SYSTEM}|vital-signs"


class Situation(NamedTuple):
    """What is decided, who asks, and for what."""

    about: str
    tokens: tuple[Token, ...]
    requests: tuple[Request, ...]
    weight: int = 1  # how often it is drawn beside others


Asked = tuple[Token, Request]


def apps(*scopes: str, patient: str = "ana") -> Token:
    """Return what a patient's app holds."""
    return Token(scopes, patient=patient, client="app")


def users(*scopes: str, who: str, patient: str | None = None) -> Token:
    """Return what an app of somebody who is known holds."""
    return Token(scopes, patient=patient, fhir_user=who, client="app")


def services(*scopes: str, patients: Iterable[str] | None = None, operators: Iterable[str] = ()) -> Token:
    """Return what a backend service holds."""
    confined = None if patients is None else frozenset(patients)
    return Token(scopes, client="service", only_patients=confined, operator_types=frozenset(operators))


def reads(*names: str) -> tuple[Request, ...]:
    """Return a read of each Type/id."""
    return tuple(Request("read", f"/{name}") for name in names)


def searches(*queries: str) -> tuple[Request, ...]:
    """Return a search for each Type?query, whose values are not escaped yet."""
    return tuple(Request("search", f"/{_escaped(query)}") for query in queries)


def asks(*paths: str) -> tuple[Request, ...]:
    """Return a request for each operation of the tenant's own."""
    return tuple(Request("own operation", path) for path in paths)


def _escaped(text: str) -> str:
    kind, mark, query = text.partition("?")
    return kind + mark + urlencode([tuple(pair.split("=", 1)) for pair in query.split("&") if pair])


def _relatives() -> Iterator[Token]:
    for who in ("RelatedPerson/ana-aunt",) * 3 + ("RelatedPerson/ana-mother", "RelatedPerson/none"):
        yield users("user/*.rs", who=who)
        yield users("user/Observation.rs", "user/Patient.rs", who=who)
        yield users("patient/*.rs", who=who, patient="ana")


def _selves(who: str) -> tuple[Token, ...]:
    return (
        users("openid", "fhirUser", who=who),
        users("openid", "fhirUser", "patient/Observation.rs", who=who, patient="ana"),
        users("openid", "fhirUser", "user/Condition.rs", who=who),
    )


# Two filters, of one scope or of two: what fulfils one of them only is hidden among the matches, or is not.
BOTH = (
    apps(f"patient/Observation.rs?{LABORATORY}&code={LOINC}|29463-7"),
    apps(f"patient/Observation.rs?category=laboratory&code={LOINC}|718-7"),
    apps("patient/Observation.rs?code=8302-2&category=vital-signs"),
    users(f"user/Observation.rs?{VITAL_SIGNS}&code={LOINC}|718-7", who="Practitioner/practitioner"),
    services(f"system/Observation.rs?{LABORATORY}&code={LOINC}|8302-2"),
)
EITHER = (
    apps(f"patient/Observation.rs?{LABORATORY}", f"patient/Observation.rs?code={LOINC}|8302-2"),
    apps("patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=vital-signs"),
    apps(f"patient/Observation.rs?code={LOINC}|718-7", f"patient/Observation.rs?code={LOINC}|29463-7"),
)
FEW = (
    apps("patient/Observation.rs?category=laboratory&code=718-7", "patient/Observation.rs?status=final&code=8302-2"),
    apps(f"patient/Observation.rs?{LABORATORY}&status=final", f"patient/Observation.rs?{VITAL_SIGNS}&code=29463-7"),
)
COMPANIONS = ("patient/Encounter.rs", "patient/Practitioner.rs", "patient/Device.rs", "patient/Patient.rs")
ODD = range(len(odd_references("ben", "")))
# Those that name somebody, if at all, in other ways than by a reference.
VAGUE = tuple(n for n in ODD if isinstance(one := odd_references("ben", "")[n], dict) and "reference" not in one)
SOME = tuple(f"Observation/ana-observation-{number}" for number in range(5))
SYSTEMS = tuple(f"Observation/ana-system-{number}" for number in range(4))
WIDE = (apps("patient/*.rs"), apps("patient/*.rs", patient="ben"), services("system/*.rs", patients=("ana", "cho")))

SITUATIONS: tuple[Situation, ...] = (
    Situation("whether a relation counts", tuple(_relatives()), (
        *reads("Patient/ana", "Observation/ana-observation", "Observation/ana-observation-1", "Observation/was-ana"),
        *searches("Observation", "Patient", "Observation?patient=Patient/ana"),
    )),
    Situation("whether a user is one of ours", (
        *(users("user/*.rs", who=f"https://elsewhere.example/{who}")
          for who in ("Practitioner/practitioner", "Patient/ana", "RelatedPerson/ana-mother")),
        users("user/*.rs", who=f"{PUBLIC}/Patient/ana"), users("user/*.rs", who="Practitioner/practitioner/_history/1"),
        users("patient/*.rs", who="https://elsewhere.example/Patient/ana", patient="ana"),
    ), (*reads("Patient/ana", "Observation/ana-observation", "Observation/was-ana"), *searches("Observation"))),
    Situation("members of a group", (
        *(Token((f"system/{kind}.rs",), client="service", only_groups=frozenset({group}))
          for kind in ("*", "Observation") for group in ("cohort", "cohort", "none")),
    ), (
        *reads("Observation/ana-observation", "Observation/ben-observation", "Observation/ben-observation-1"),
        *searches("Observation", "Observation?patient=Patient/ben"),
    )),
    Situation("letters", tuple(apps(f"patient/{kind}.{letter}") for kind in ("*", "Observation") for letter in "rs"), (
        *searches("Observation", "Observation?_count=5", "Observation?patient=Patient/ana"),
        *reads("Observation/ana-observation", "Observation/ana-observation-1"),
    ), 2),
    Situation("who is signed in, a patient", _selves("Patient/ana"), reads(
        "Patient/ana", "Patient/ben", "Patient/ANA", "Patient/cho",
    )),
    Situation("who is signed in, somebody else", (
        *_selves("RelatedPerson/ana-mother"), *_selves("RelatedPerson/ana-aunt"),
    ), reads("RelatedPerson/ana-mother", "RelatedPerson/ben-relatedperson", "RelatedPerson/ana-aunt")),
    Situation("types of the operator", (
        users("user/*.rs", who="Practitioner/practitioner"), users("user/*.rs", who="Practitioner/practitioner"),
        apps("patient/*.rs"), services("system/*.rs"), services("system/AuditEvent.rs"),
        services("system/*.rs", patients=("ana",)), services("system/*.rs", operators=("AuditEvent",)),
    ), (
        *reads("AuditEvent/auditevent", "Endpoint/endpoint", "Subscription/subscription", "Linkage/linkage"),
        *searches("AuditEvent", "Endpoint"),
    )),
    Situation("a role in what is about nobody", WIDE[:2], reads(
        *(f"{kind}/{whose}-role-{kind.lower()}" for kind in ROLES for whose in ("ana", "ben")),
        *(f"Observation/role-{number}" for number in (0, 1, 2)),
    )),
    Situation("ids of patients", (
        apps("patient/*.rs"), apps("patient/Patient.rs"), apps("patient/Patient.rs", patient="ANA"),
        users("user/*.rs", who="Patient/ana"), services("system/Patient.rs", patients=("ana", "cho")),
    ), (
        *searches("Patient", "Patient?_count=20", "Patient?_id=ana", "Patient?_sort=_id", "Patient?_total=accurate"),
        *reads("Patient/ANA"),
    ), 2),
    Situation("odd references", WIDE[:2], (
        *reads(*(f"Observation/ana-odd-observation-{number}" for number in ODD)), *searches("Observation?_count=500"),
    )),
    Situation("odd references of what need not be about anybody", (*WIDE[:2], apps("patient/Device.rs")), (
        *reads(*(f"Device/ana-odd-device-{number}" for number in VAGUE)), *searches(*("Device?_count=500",) * 3),
    )),
    Situation("whose a Binary is", (*WIDE, apps("patient/Binary.rs"), apps("patient/Binary.r")), reads(
        "Binary/of-ana", "Binary/of-ben", "Binary/of-nobody", "Binary/of-other", "Binary/of-ana-note",
        "Binary/of-ben-note", "Binary/attached-ana", "Binary/attached-ben",
    ), 2),
    Situation("whose a document is", (*WIDE, apps("patient/Bundle.rs"), services("system/*.rs")), reads(
        *(f"Bundle/document-{number}" for number in range(4)),
    ), 2),
    Situation("directories", (*WIDE, apps(*(f"patient/{kind}.rs" for kind in SHARED))), (
        *reads(*(f"{kind}/{kind.lower()}" for kind in SHARED)), *searches("Practitioner", "Location"),
    )),
    Situation("several filters of one scope", BOTH, (
        *reads(*SOME, "Observation/ana-observation"), *searches("Observation", "Observation?_count=50"),
    )),
    Situation("codes of other systems", (
        apps(f"patient/Observation.rs?{LABORATORY}"), apps(f"patient/Observation.rs?code={LOINC}|718-7"),
        apps("patient/Observation.rs?code=|718-7"), apps(f"patient/Observation.rs?code={LOINC}|"),
        users(f"user/Observation.rs?{LABORATORY}", who="Practitioner/practitioner"),
    ), (*reads(*SYSTEMS, *SYSTEMS), *searches("Observation"))),
    Situation("patients named by the client", (*WIDE, apps("patient/Observation.rs", "patient/Condition.rs")), searches(
        "Observation?patient=Patient/ana", "Condition?patient=Patient/ana", "Observation?patient=ana&code=718-7",
        "Observation?patient=Patient/ana,Patient/ben", "Encounter?patient=Patient/ana", "Patient?_id=ana",
        "Observation?patient=Patient/ana&patient=Patient/ana", "Task?patient=Patient/ana",
    )),
    Situation("what cannot be confined to patients", (*WIDE, apps("patient/Binary.rs", "patient/Bundle.rs")), searches(
        "Bundle", "Binary", "Binary?_count=5", "Bundle?_count=5",
    )),
    Situation("provenance of named targets", (*WIDE, apps("patient/Provenance.rs", "patient/Observation.rs")), searches(
        "Provenance?target=Observation/ben-observation", "Provenance?target=Observation/ana-observation",
        "Provenance?target=Device/ben-device", "Provenance?target=Observation/missing",
        "Provenance?target=Practitioner/practitioner", "Provenance?target=Binary/of-ana",
    ), 2),
    Situation("pages with hidden matches", (*EITHER, *EITHER, *WIDE[:1]), searches(
        *(f"Observation?_count={count}" for count in (2, 3, 5, 7)), "Observation?_count=5&_sort=_id",
        "Appointment?_count=1", "Account?_count=1",
    )),
    Situation("what hidden matches bring along",
        tuple(replace(one, scopes=one.scopes + COMPANIONS) for one in (*FEW, *FEW, *EITHER)), searches(
        *(f"Observation?{count}_include=Observation:{name}"
          for name in ("encounter", "encounter", "encounter", "performer") for count in ("", "_count=5&")),
    ), 2),
    Situation("includes of types that were not granted", (
        apps("patient/Observation.rs"), apps("patient/Observation.rs", "patient/Practitioner.rs"),
        users("user/Observation.rs", who="Practitioner/practitioner"), services("system/Observation.rs"),
    ), searches(
        "Observation?_include=Observation:encounter", "Observation?_include=Observation:subject",
        "Observation?_include=Observation:performer:Practitioner", "Observation?_revinclude=Condition:encounter",
        "Observation?_revinclude=Provenance:target",
    )),
    Situation("a parameter of the tenant's own", (*WIDE, *EITHER, apps("patient/Observation.rs")), searches(
        *(f"Observation?{more}remark={word}" for word in ("cheerful", "gloomy") for more in ("", "patient=ana&")),
    )),
    Situation("operations of the tenant's own", (*WIDE, apps("patient/Observation.rs", "patient/Patient.r")), (
        *asks(*(f"/Patient/{one}/$overview" for one in ("ana", "ben", "cho", "an", "Ana")), "/Observation/$noted"),
    ), 4),
)  # fmt: skip

situated = st.sampled_from([one for one in SITUATIONS for _ in range(one.weight)]).flatmap(
    lambda one: st.tuples(st.sampled_from(one.tokens), st.sampled_from(one.requests))
)


def mostly_situated(at_random: st.SearchStrategy[Asked]) -> st.SearchStrategy[Asked]:
    """Return pairs of token and request: in the end about four of ten out of situations.

    Three of four draws are, but hypothesis goes on to vary what was drawn, and a long draw is varied more often.
    """
    return st.sampled_from((situated, situated, situated, at_random)).flatmap(lambda one: one)
