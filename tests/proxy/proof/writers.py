"""Who writes what: writes aimed where a rule decides, each with a token that could mean it."""

from hypothesis import strategies as st

from tests.proxy.oracle import LETTERS, Token
from tests.proxy.proof.editing import URN, Edit, Several
from tests.proxy.proof.population import CATEGORY_SYSTEM, LABEL_SYSTEM, LOINC
from tests.proxy.proof.writing import PLANTED

OWN_KINDS = ("Observation", "Condition", "DocumentReference", "Encounter", "Task", "Goal", "Device", "Communication")
OWN_THINGS = (
    *(f"{kind}/ana-{kind.lower()}" for kind in OWN_KINDS), "Observation/ana-observation-1", "Observation/ana-3",
    "Condition/ana-condition-2", "Binary/of-ana", "DocumentReference/ana-attached", "Provenance/about-2",
    "Schedule/ana-schedule", "Account/ana-account", "Appointment/ana-appointment", "RelatedPerson/ana-mother",
    "Basic/ana-basic",
)  # fmt: skip
OTHERS_THINGS = (
    *(f"{kind}/ben-{kind.lower()}" for kind in OWN_KINDS), "Binary/of-ben", "Provenance/about-3", "Account/joint-2",
    "Appointment/joint-2", "Observation/was-ana", "Observation/ben-gone", "Observation/ana-gone", "Observation/absent",
    "Device/nobody-0", "Schedule/nobody-1", "Group/everyone", "Person/joint-2", "Observation/role-9",
)  # fmt: skip
DIRECTORIES = (
    "Practitioner/practitioner", "Organization/organization", "Location/location", "Medication/medication",
    "PractitionerRole/practitionerrole", "ValueSet/valueset", "Questionnaire/questionnaire", "Organization/ana",
    "AuditEvent/auditevent", "Endpoint/endpoint", "Device/nobody-0", "Schedule/nobody-1",
)  # fmt: skip
PATIENTS = ("Patient/ana", "Patient/ana", "Patient/ana", "Patient/ben", "Patient/ANA", "Patient/nobody")
# Here a search confined to one patient finds what is not, or not only, theirs.
FOUND_WIDELY = (
    ("Device", "_id=ana-device,ben-device"), ("Device", "_id=ben-device"), ("Device", "status=active"),
    ("Device", "_id=ben-device,cho-device"), ("Schedule", "_id=ana-schedule,ben-schedule"),
    ("Appointment", "_id=ana-appointment,joint-2"), ("Appointment", "_id=joint-2"), ("Account", "_id=joint-2"),
    ("Account", "_id=ana-account,joint-2"), ("Device", "_id=ana-device,nobody-0"), ("Person", "_id=joint-2"),
    ("Observation", "_id=ana-observation-1,ana-observation-2"), ("Observation", "_id=ana-observation-3"),
    ("Condition", "_id=ana-condition-1,ana-condition-2"), ("Observation", "code=718-7"),
)  # fmt: skip
VERBS = ("create", "create", "update", "update", "update", "patch", "patch", "delete", "validate")
CONDITIONAL = ("conditional create", "conditional update", "conditional patch", "conditional delete")
SUFFIXES = ("cruds", "cruds", "cruds", "cud", "*", "write", "crus", "rds", "crds", "c", "u", "d", "cu", "rs", "read")
NEEDED = {"create": "c", "update": "u", "patch": "u", "delete": "d", "validate": "cu"}
FILTERS = {
    "Observation": (f"category={CATEGORY_SYSTEM}|laboratory", f"code={LOINC}|718-7", "status=final"),
    "Condition": ("category=laboratory", f"code={LOINC}|718-7"),
}
MARKS = ("_tag=urn:marker|more", "_profile=urn:profile:1", f"_security={LABEL_SYSTEM}|N")

picks = st.integers(0, 59)
targets = st.sampled_from((*[one for one in PLANTED if one], f"{URN}0", f"{URN}1", "Observation/ben-observation-1"))


@st.composite
def records(draw: st.DrawFn) -> Edit:
    """A write of an ordinary record, mostly one's own."""
    return Edit(
        draw(st.sampled_from(VERBS)),
        draw(st.sampled_from(OWN_THINGS * 3 + OTHERS_THINGS)),
        draw(st.sampled_from((("note",), ("subject",), ("subject",), ("plant",), ("plant",), ("plant",), ("label",),
                              ("label",), ("tag",), ("profile",), ("code",), ("identity",), ("code", "tag")))),
        draw(picks), draw(targets), draw(st.integers(-19, 19)),
    )  # fmt: skip


@st.composite
def people(draw: st.DrawFn) -> Edit:
    """A write of a patient."""
    return Edit(
        draw(st.sampled_from(("create", "update", "update", "patch", "patch", "delete", "delete", "conditional delete",
                              "validate"))),
        draw(st.sampled_from(PATIENTS)),
        draw(st.sampled_from((("link",), ("link",), ("link",), ("note",), ("label",), ("plant",)))),
        draw(picks), draw(targets), criteria=draw(st.sampled_from(("_id=ana", "_id=ana,ben", "_id=ben"))),
    )  # fmt: skip


@st.composite
def directories(draw: st.DrawFn) -> Edit:
    """A write of what is everybody's."""
    where = draw(st.sampled_from(DIRECTORIES))
    verb = draw(st.sampled_from((*VERBS, "conditional update", "conditional create")))
    return Edit(verb, where, ("note",), draw(picks), criteria=f"_id={where.partition('/')[2]}")


@st.composite
def found(draw: st.DrawFn) -> Edit:
    """A conditional write, of which the criteria find something of others, too, or nothing else."""
    if draw(st.booleans()):
        kind, criteria = draw(st.sampled_from(FOUND_WIDELY))
        where = f"{kind}/ana-{kind.lower()}"
    else:
        where = draw(st.sampled_from(OWN_THINGS))
        kind, _, own = where.partition("/")
        criteria = draw(st.sampled_from((f"_id={own}", f"_id={own},ben-{kind.lower()}", f"_id=ben-{kind.lower()}")))
    changes = draw(st.sampled_from((("note",), ("note",), ("label",), ("plant",), ("subject",))))
    return Edit(draw(st.sampled_from(CONDITIONAL)), where, changes, draw(picks), draw(targets),
                draw(st.integers(-19, 19)), criteria)  # fmt: skip


edits = st.one_of(records(), records(), records(), records(), people(), people(), directories(), found(), found())


@st.composite
def bundles(draw: st.DrawFn) -> Several:
    """A batch or a transaction in which writes refer to each other."""
    kind = draw(st.sampled_from(("batch", "transaction", "transaction")))
    within = st.one_of(records(), records(), records(), people(), directories(), found())
    some = draw(st.lists(within.filter(lambda one: one.verb != "validate"), min_size=1, max_size=3))
    return Several(kind, tuple(some))


writes = st.one_of(edits, edits, edits, edits, bundles())


@st.composite
def tokens_for(draw: st.DrawFn, kind: str, letters: str) -> Token:
    """A token of somebody who reaches ana, or now and then everybody, mostly with the letters to write a type."""
    named = draw(st.sampled_from(("*", "*", kind)))
    enough = tuple(one for one in SUFFIXES if set(letters) <= set(LETTERS.get(one, one)))
    suffix = draw(st.sampled_from(SUFFIXES if draw(st.integers(0, 3)) == 3 else enough))
    level = draw(st.sampled_from(("patient", "patient", "patient", "user", "user", "system")))
    scopes = [f"{level}/{named}.{suffix}"]
    form = draw(st.integers(0, 9))
    if form < 2 and kind in FILTERS:
        scopes = [f"{level}/{kind}.{suffix}?{one}" for one in draw(st.permutations(FILTERS[kind]))[: form + 1]]
    elif form == 2:
        scopes.append(f"{level}/{kind}.rs?{draw(st.sampled_from(MARKS))}")
    match level:
        case "patient":
            user = draw(st.sampled_from((None, "Patient/ana", "Practitioner/practitioner")))
            return Token(tuple(scopes), patient="ana", fhir_user=user, client="app")
        case "user":
            users = ("Patient/ana", "Patient/ana", "RelatedPerson/ana-mother", "Practitioner/practitioner")
            return Token(tuple(scopes), fhir_user=draw(st.sampled_from(users)), client="app")
    only = draw(st.sampled_from((frozenset({"ana"}), frozenset({"ana"}), frozenset({"ana", "cho"}), None)))
    return Token(tuple(scopes), client="service", only_patients=only)


def writes_with_tokens() -> st.SearchStrategy[tuple[Token, Edit | Several]]:
    """Return writes, each with a token for the type it writes first."""
    return writes.flatmap(lambda what: st.tuples(tokens_for(*_wanted(what)), st.just(what)))


def _wanted(what: Edit | Several) -> tuple[str, str]:
    """Return the type and the letters that a write is about, of a Bundle those of the first."""
    first = what if isinstance(what, Edit) else what.edits[0]
    verb = first.verb.removeprefix("conditional ")
    return first.where.partition("/")[0], NEEDED[verb] + ("s" if verb != first.verb else "")
