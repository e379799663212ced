"""Who writes what: writes aimed where a rule decides, each with a token that could mean it.

A case is drawn whole from one number, so that no two are alike: what draws choice by choice repeats itself.
"""

from collections.abc import Callable
from random import Random

from hypothesis import strategies as st

from tests.proxy.oracle import LETTERS, PUBLIC, Token
from tests.proxy.proof.editing import URN, Edit, Several
from tests.proxy.proof.population import CATEGORY_SYSTEM, LABEL_SYSTEM, LOINC
from tests.proxy.proof.writing import PLANTED

OWN_KINDS = ("Observation", "Condition", "DocumentReference", "Encounter", "Task", "Goal", "Device", "Communication")
OWN_THINGS = (
    *(f"{kind}/ana-{kind.lower()}" for kind in OWN_KINDS), "Observation/ana-observation-1", "Observation/ana-3",
    "Condition/ana-condition-2", "Binary/of-ana", "Provenance/about-2", "Schedule/ana-schedule", "Account/ana-account",
    "Appointment/ana-appointment", "RelatedPerson/ana-mother", "Basic/ana-basic",
)  # fmt: skip
OTHERS_THINGS = (
    *(f"{kind}/ben-{kind.lower()}" for kind in OWN_KINDS), "Binary/of-ben", "Provenance/about-3", "Account/joint-2",
    "Appointment/joint-2", "Observation/was-ana", "Observation/ben-gone", "Observation/ana-gone", "Observation/absent",
    "Device/nobody-0", "Schedule/nobody-1", "Group/everyone", "Person/joint-2", "Observation/role-9",
    "Observation/ben-observation-1", "Condition/ben-condition-2", "Basic/ben-basic", "RelatedPerson/ben-relatedperson",
)  # fmt: skip
DIRECTORIES = (
    "Practitioner/practitioner", "Organization/organization", "Location/location", "Medication/medication",
    "PractitionerRole/practitionerrole", "ValueSet/valueset", "Questionnaire/questionnaire", "Organization/ana",
    "AuditEvent/auditevent", "Endpoint/endpoint", "Device/nobody-0", "Schedule/nobody-1",
)  # fmt: skip
PATIENTS = (*("Patient/ana",) * 6, "Patient/ben", "Patient/ANA", "Patient/nobody")
# Here a search confined to one patient finds what is not, or not only, theirs.
FOUND_WIDELY = (
    ("Device", "_id=ana-device,ben-device"), ("Device", "_id=cho-device,ana-device"),
    ("Device", "_id=ben-device"), ("Device", "status=active"),
    ("Device", "_id=ben-device,cho-device"), ("Schedule", "_id=ana-schedule,ben-schedule"),
    ("Appointment", "_id=ana-appointment,joint-2"), ("Appointment", "_id=joint-2"), ("Account", "_id=joint-2"),
    ("Account", "_id=ana-account,joint-2"), ("Device", "_id=ana-device,nobody-0"), ("Person", "_id=joint-2"),
    ("Observation", "_id=ana-observation-1,ana-observation-2"), ("Observation", "_id=ana-observation-3"),
    ("Condition", "_id=ana-condition-1,ana-condition-2"), ("Observation", "code=718-7"),
    ("Encounter", "_id=ana-encounter,ana-encounter-1"), ("Task", "patient=Patient/ana"),
    ("Procedure", "_id=ana-procedure-3,ana-procedure"), ("Goal", "patient=Patient/ana"),
)  # fmt: skip
OUTSIDE = (
    "Observation/ben-observation", "Observation/ben-observation-1", "Binary/of-ben", "Binary/attached-ben",
    "Patient/ben", "Encounter/ben-encounter", "Observation/missing", "Condition/ben-condition", "AuditEvent/auditevent",
)  # fmt: skip
TARGETS = (*(one for one in PLANTED if one), f"{URN}0", f"{URN}1", "Device/nobody-0", *OUTSIDE * 3)
URNS = tuple(f"{URN}{number}" for number in range(3))
ADDRESSES = ("Patient/ana", "Observation/ana-observation", f"{PUBLIC}/Patient/ana")  # those of others
# Places in `subjects`: those that are plain, and those that say more than one patient's address.
PLAINLY, TELLING = range(6), range(6, 10)
CHANGING = ("create", "update", "update", "patch")
CONDITIONAL = ("conditional create", "conditional update", "conditional patch", "conditional delete")
SUFFIXES = ("cruds", "cruds", "cruds", "cud", "*", "write", "crus", "rds", "crds", "c", "u", "d", "cu", "rs", "read")
NEEDED = {"create": "c", "update": "u", "patch": "u", "delete": "d", "validate": "cu"}
FILTERS = {
    "Observation": (f"category={CATEGORY_SYSTEM}|laboratory", f"code={LOINC}|718-7", "status=final"),
    "Condition": ("category=laboratory", f"code={LOINC}|718-7"),
}
MARKS = ("_tag=urn:marker|more", "_profile=urn:profile:1", f"_security={LABEL_SYSTEM}|N")


def harmless(chance: Random) -> Edit:
    """A write of one's own that only a letter or a filter can refuse."""
    verb = chance.choice((*CHANGING, "delete"))
    return Edit(verb, chance.choice(OWN_THINGS), (chance.choice(("note", "note", "tag", "profile", "code")),))


def others(chance: Random) -> Edit:
    """A write of what is not one's own, as it is or as if it were about oneself."""
    verb = chance.choice(("update", "patch", "delete"))
    changes = chance.choice((("note",), ("subject",), ("subject",), ("subject",)))
    return Edit(verb, chance.choice(OTHERS_THINGS), changes, subject=chance.choice(PLAINLY))


def subject(chance: Random) -> Edit:
    """A write that says in other words whom it is about."""
    way = chance.choice(TELLING if chance.random() < 0.6 else range(-19, 20))
    return Edit(chance.choice(CHANGING), chance.choice(OWN_THINGS), ("subject",), subject=way)


def planted(chance: Random) -> Edit:
    """A write that points at something."""
    changes = chance.choice((("plant",), ("plant",), ("plant", "subject")))
    return Edit(chance.choice(CHANGING), chance.choice(OWN_THINGS), changes, target=chance.choice(TARGETS))


def marked(chance: Random) -> Edit:
    """A write that labels or marks."""
    changes = chance.choice((("label",), ("label",), ("label",), ("tag",), ("profile",), ("code", "tag")))
    return Edit(chance.choice(CHANGING), chance.choice((*OWN_THINGS, "Patient/ana")), changes)


def linked(chance: Random) -> Edit:
    """A write of the links of a patient."""
    return Edit(chance.choice(("update", "patch")), chance.choice(PATIENTS), ("link",))


def people(chance: Random) -> Edit:
    """A patient made, deleted or changed."""
    verb = chance.choice(("create", "delete", "delete", "delete", "conditional create", "conditional delete"))
    criteria = chance.choice(("_id=ana", "_id=ana", "_id=ana,ben", "_id=ben"))
    return Edit(verb, chance.choice(PATIENTS), (chance.choice(("note", "link", "label")),), criteria=criteria)


def directories(chance: Random) -> Edit:
    """A write of what is everybody's."""
    where = chance.choice(DIRECTORIES)
    verb = chance.choice((*CHANGING, "delete", "conditional update", "conditional create"))
    return Edit(verb, where, ("note",), criteria=f"_id={where.partition('/')[2]}")


def found(chance: Random) -> Edit:
    """A conditional write, of which the criteria find something of others, too, or nothing else."""
    kind, criteria = chance.choice(FOUND_WIDELY)
    where = f"{kind}/ana-{kind.lower()}"
    if chance.random() < 0.3:
        where = chance.choice(OWN_THINGS)
        kind, _, own = where.partition("/")
        criteria = chance.choice((f"_id={own}", f"_id={own},ben-{kind.lower()}", f"_id=ben-{kind.lower()}"))
    changes = (chance.choice(("note", "note", "note", "label", "plant", "subject")),)
    return Edit(chance.choice(CONDITIONAL), where, changes, target=chance.choice(TARGETS), criteria=criteria)


def validated(chance: Random) -> Edit:
    """What would be one of the writes, only to be looked at."""
    edit = chance.choice((harmless, others, subject, planted, marked, linked))(chance)
    return edit._replace(verb="validate")


# How often each is drawn.
AIMS: tuple[tuple[Callable[[Random], Edit], int], ...] = (
    (harmless, 4), (others, 5), (subject, 6), (planted, 5), (marked, 5), (linked, 6), (people, 4), (directories, 4),
    (found, 8), (validated, 4),
)  # fmt: skip


def edit(chance: Random) -> Edit:
    """One write."""
    [aim] = chance.choices([aim for aim, _ in AIMS], [weight for _, weight in AIMS])
    seen = chance.choice(("", "", "", "", 'W/"1"', 'W/"2"', 'W/"7"'))
    return aim(chance)._replace(pick=chance.randrange(60), seen=seen)


def parting(chance: Random) -> tuple[Edit, ...]:
    """Something deleted, and something written that points at it or hangs on it."""
    gone = "Observation/ana-observation"
    hanging = Edit(chance.choice(CHANGING), "Provenance/about-2", ("note",))
    if chance.random() < 0.5:
        gone = chance.choice(OWN_THINGS)
        hanging = planted(chance)._replace(target=gone, pick=chance.randrange(60))
    edits = [Edit("delete", gone), hanging]
    chance.shuffle(edits)
    return tuple(edits)


def bundle(chance: Random) -> Several:
    """A batch or a transaction in which one write may not be as harmless as the others, and may refer to them."""
    kind, names = chance.choice(("batch", "transaction", "transaction")), chance.choice((URNS, URNS, URNS, ADDRESSES))
    if chance.random() < 0.2:
        return Several(kind, parting(chance), names)
    if names is ADDRESSES and chance.random() < 0.5:
        return Several(kind, (harmless(chance)._replace(verb="create"),), names)
    aimed = edit(chance)
    while aimed.verb == "validate":  # No operation goes in a Bundle.
        aimed = edit(chance)
    rest = {
        one.where: one for one in (harmless(chance) for _ in range(chance.randrange(3))) if one.where != aimed.where
    }
    edits = [*rest.values(), aimed]
    chance.shuffle(edits)
    return Several(kind, tuple(edits), names)


def write(chance: Random) -> Edit | Several:
    """One write, or some in a Bundle."""
    return bundle(chance) if chance.random() < 0.3 else edit(chance)


def token_for(chance: Random, kind: str, letters: str) -> Token:
    """A token of somebody who reaches ana, or now and then everybody, mostly with the letters to write a type."""
    named = chance.choice(("*", "*", kind))
    enough = [one for one in SUFFIXES if set(letters) <= set(LETTERS.get(one, one))]
    suffix = chance.choice(SUFFIXES if chance.random() < 0.3 else enough)
    level = chance.choice(("patient", "patient", "patient", "user", "user", "system"))
    scopes = [f"{level}/{named}.{suffix}"]
    form = chance.randrange(10)
    if form < 2 and kind in FILTERS:
        scopes = [f"{level}/{kind}.{suffix}?{one}" for one in chance.sample(FILTERS[kind], form + 1)]
    elif form < 4:
        scopes.append(f"{level}/{kind}.rs?{chance.choice(MARKS)}")
    match level:
        case "patient":
            user = chance.choice((None, "Patient/ana", "Practitioner/practitioner"))
            return Token(tuple(scopes), patient="ana", fhir_user=user, client="app")
        case "user":
            users = ("Patient/ana", "Patient/ana", "RelatedPerson/ana-mother", "Practitioner/practitioner")
            return Token(tuple(scopes), fhir_user=chance.choice(users), client="app")
    only = chance.choice((frozenset({"ana"}), frozenset({"ana"}), frozenset({"ana", "cho"}), None))
    return Token(tuple(scopes), client="service", only_patients=only)


def write_with_token(chance: Random) -> tuple[Token, Edit | Several]:
    """One write and a token for it: of a Bundle for all that may be in one."""
    what = write(chance)
    if isinstance(what, Several):
        return token_for(chance, "*", "cud"), what
    verb = what.verb.removeprefix("conditional ")
    letters = NEEDED[verb] + ("s" if verb != what.verb else "")
    return token_for(chance, what.where.partition("/")[0], letters), what


numbers = st.integers(0, 2**24 - 1)  # no more: larger ones are not drawn evenly
