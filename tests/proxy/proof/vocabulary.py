"""The words requests are made of: what apps say, what nobody should, and bytes that mislead."""

from collections.abc import Callable

from tests.proxy.oracle import PUBLIC
from tests.proxy.proof.population import CATEGORY_SYSTEM, COMMON, JOINT, LABEL_SYSTEM, LOINC

KINDS = (
    *COMMON, *COMMON, *JOINT, *("Provenance", "Binary", "Bundle", "Device") * 3, "Patient", "Patient", "Schedule",
    "Practitioner", "Organization", "AllergyIntolerance", "CarePlan", "Coverage", "Immunization", "AuditEvent", "Basic",
    "DiagnosticReport", "RelatedPerson", "Medication", "Specimen", "Goal", "Communication",
)  # fmt: skip
SUFFIXES = ("rs", "rs", "rs", "read", "cruds", "*", "r", "s", "cud", "write", "c", "u", "d", "cu")
CONSTRAINTS = {
    "Observation": (
        f"category={CATEGORY_SYSTEM}|laboratory", "category=vital-signs", f"code={LOINC}|718-7", f"code={LOINC}|",
        "status=final", "date=ge2022-01-01", "subject=Patient/ana", "encounter=Encounter/ana-encounter",
        f"category={CATEGORY_SYSTEM}|laboratory,{CATEGORY_SYSTEM}|social-history", "code=|718-7",
        f"category=laboratory&code={LOINC}|29463-7", f"_security={LABEL_SYSTEM}|N", "_id=ana-observation-1",
        "category=LABORATORY", "category=LABORATORY", f"category=laboratory&code={LOINC}|29463-7",
    ),
    "Condition": ("category=laboratory", f"code={LOINC}|718-7,{LOINC}|8302-2", "_security=R", "subject=Patient/ben"),
    "*": (f"_security={LABEL_SYSTEM}|N", "_security=R,V", "_id=ana"),
}  # fmt: skip
PATIENT_CLAIMS = (
    "ana", "ana", "ana", "ana", "ben", "ben", None, "", "nobody", "ANA", "ana,ben", "*", "ana/../ben", "an",
)  # fmt: skip
USERS = (
    None, None, None, "Patient/ana", "Patient/ben", "Practitioner/practitioner", "Practitioner/practitioner", "",
    "RelatedPerson/ana-mother", "RelatedPerson/ana-aunt", "RelatedPerson/none", "Device/x", "ana",
    f"{PUBLIC}/Patient/ana", "https://elsewhere.example/Practitioner/practitioner",
    "https://elsewhere.example/Practitioner/practitioner", "https://elsewhere.example/Patient/ana",
    "PractitionerRole/practitionerrole", "Person/ana", "Patient/ana/_history/1",
)  # fmt: skip
GOOD_SUFFIXES = ("rs", "rs", "rs", "read", "cruds", "*")
WHOM = (
    "ana", "ben", "Patient/ana", "Patient/ana", "Patient/ben", "ana,ben", "Patient/nobody", "Patient/ANA",
    "Group/cohort", f"{PUBLIC}/Patient/ana", f"{PUBLIC}/Patient/ben", "Patient/ana,Patient/ben", "Device/ana-device",
)  # fmt: skip
IDS = (
    "ana", "ben", "ana,ben", "ana-observation", "ben-observation", "ana-observation-1,ben-observation-1", "was-ana",
    "ANA",
)  # fmt: skip
ORDINARY = (
    ("code", "718-7"), ("code", f"{LOINC}|29463-7,{LOINC}|8302-2"), ("status", "final"), ("status:not", "final"),
    ("category", "laboratory"), ("category", f"{CATEGORY_SYSTEM}|vital-signs"), ("date", "ge2022-01-01"),
    ("date", "lt2024"), ("_security", "R"), ("_security", f"{LABEL_SYSTEM}|N"), ("_lastUpdated", "gt2024-03-01"),
    ("_lastUpdated", "le2024-06"), ("encounter", "Encounter/ana-encounter"), ("encounter", "Encounter/ben-encounter"),
    ("performer", "Patient/ana"), ("performer", "Practitioner/practitioner"), ("value-quantity", "gt100"),
    ("active", "true"), ("code:text", "718"), ("type", "person"), ("target", "Patient/ana"),
    ("target", "Observation/ana-observation"), ("recorded", "gt2020"), ("target", "Observation/ben-observation"),
    ("member", "Patient/ana"), ("organization", "Organization/organization"),
)  # fmt: skip
RESULTS = (
    *(("_count", value) for value in ("1", "2", "5", "20", "50", "0", "500", "100000")),
    *(("_sort", value) for value in ("_lastUpdated", "-_lastUpdated", "_id", "-_id", "code", "date")),
    ("_summary", "count"), ("_summary", "true"), ("_summary", "text"), ("_summary", "data"), ("_elements", "id"),
    ("_elements", "code,subject"), ("_total", "accurate"), ("_total", "none"), ("_total", "estimate"),
    ("_pretty", "true"), ("_format", "json"),
)  # fmt: skip
INCLUDES = tuple(
    ("_include", text)
    for text in ("Observation:subject", "Observation:patient", "Observation:performer", "Observation:encounter",
                 "Observation:has-member", "Observation:focus", "Observation:subject:Patient", "Encounter:patient",
                 "Condition:subject", "Condition:encounter", "MedicationRequest:medication", "Provenance:target",
                 "Task:focus", "Task:patient", "DocumentReference:author", "Group:member", "Account:patient",
                 "List:item", "Patient:general-practitioner", "Patient:link", "Observation:*",
                 "Observation:subject:Group")
) + tuple(
    ("_revinclude", text)
    for text in ("Observation:subject", "Observation:patient", "Provenance:target", "Condition:patient", "Task:focus",
                 "Encounter:patient", "Observation:encounter", "Observation:has-member", "List:item", "Group:member",
                 "Person:patient", "Patient:link", "AuditEvent:entity", "Observation:focus", "Provenance:patient", "*")
)  # fmt: skip
# Offered to some tokens and refused to others: what a search can be asked by way of another resource.
CHAINED = (
    ("patient.name", "a"), ("subject:Patient.name", "a"), ("subject:Patient.birthdate", "lt2000"),
    ("patient.general-practitioner.name", "a"), ("encounter.status", "planned"), ("performer:Practitioner.name", "a"),
    ("_has:Observation:patient:code", "718-7"), ("_has:Observation:subject:status", "final"),
    ("_has:Condition:encounter:code", "x"), ("_has:Provenance:target:recorded", "gt2000"),
    ("_include:iterate", "Observation:subject"), ("_include:iterate", "Patient:general-practitioner"),
)  # fmt: skip
REFUSED = (
    ("_has:Observation:patient:code", "718-7"), ("encounter.status", "planned"), ("_list", "x"),
    ("_filter", "subject eq Patient/ben"), ("_text", "ben"), ("_content", "ben"), ("subject:missing", "true"),
    ("patient:identifier", "urn:mrn|ben"), ("subject:not", "Patient/ana"),
    ("_getpages", "x"), ("_offset", "1"), ("_method", "DELETE"),
    ("nonsense", "1"), ("has-member.code", "718-7"), ("_type", "Patient"), ("_query", "x"), ("_source", "x"),
    ("_in", "Group/everyone"), ("_graph", "x"), ("page", "2"), ("_contained", "true"),
    ("subject:Group", "Patient/ben"), ("code:in", "http://x"), ("subject", "Patient/ana/_history/1"),
    ("subject", "https://elsewhere.example/Patient/ana"), ("subject", "#p"), ("subject", "Patient?name=ben"),
)  # fmt: skip
OTHER_IDS = (
    "ana", "ben", "cho", "ANA", "an", "ana-1", "absent", "absent-1", "ana-gone", "ben-gone", "was-ana", "was-ben",
    "both", "cohort", "everyone", "of-ana", "of-ben", "of-ana-note", "of-ben-note", "of-nobody", "of-other",
    "attached-ana", "attached-ben", "ana-mother", "ana-aunt", "practitioner", "organization", "auditevent",
    "medication",
)  # fmt: skip
MUTATIONS: tuple[Callable[[str], str], ...] = (
    lambda path: path.replace("/", "//", 1), lambda path: path + "/", lambda path: path.replace("=", "=%00", 1),
    lambda path: path.replace("/", "/./", 1), lambda path: path + "/../../Patient/ben",
    lambda path: path + "%2f..%2fben", lambda path: path + ";x=1", lambda path: path + "#x",
    lambda path: path.replace("?", "?&", 1), lambda path: path.replace("a", "%61"),
    lambda path: path.replace("a", "%2561"), lambda path: path + "&patient=Patient/ben",
    lambda path: path + "?patient=Patient/ben", lambda path: path.lower(), lambda path: path.upper(),
    lambda path: path + "\r\nX-Evil: 1", lambda path: path + "\u00e4", lambda path: path.replace("P", "%50", 1),
    lambda path: path + "%", lambda path: path + "%ff", lambda path: path.replace("=", "%3D", 1),
    lambda path: "http://x" + path, lambda path: path + "&" * 150, lambda path: path + "?" + "x" * 9_000,
    lambda path: path.replace("&", ";"), lambda path: path + "&_count=1&_count=2",
    lambda path: path.replace("patient", "patient[]"),
)  # fmt: skip
POISON = (
    ("X-HTTP-Method-Override", "DELETE"), ("X-Forwarded-Host", "poison.example"), ("Host", "poison.example"),
    ("Cookie", "poison=1"), ("X-Original-URL", "/Patient/ben"), ("Forwarded", "host=poison.example"),
    ("Range", "bytes=0-1"), ("If-None-Match", "poison"), ("X-Request-ID", "poison poison"),
    ("X-Request-ID", "poison-1"), ("Prefer", "poison"), ("Accept", "application/fhir+xml"),
    ("Accept", "application/fhir+json"), ("traceparent", "poison"), ("X-Poison", "poison"),
    ("Accept-Encoding", "poison"), ("User-Agent", "poison"), ("Content-Encoding", "gzip"),
    ("Transfer-Encoding", "chunked"), ("Authorization", "Bearer poison"), ("Expect", "poison"),
    ("If-None-Exist", "poison=1"), ("Origin", "https://poison.example"),
)  # fmt: skip
