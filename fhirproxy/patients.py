"""What a person recognises a patient by, read out of a checked Patient, and how patients are searched for by it.

Source: FHIR R4 patient, datatypes (HumanName, Identifier) and search.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.targets import Pairs
from fhirproxy.policy.values import escape
from fhirproxy.shown_texts import LONGEST, Tree, is_date, objects, text_of, texts
from smartauth.records import PatientRecord, PatientSearch

BY_NAME = ("_sort", "family,given")
MOST_WORDS = 8  # in a name that is searched for: the runs of n words are n² / 2
LONGEST_KIND = 40  # characters of what is said about an identifier
MOST_NAMES = 3  # that are told beside the one a person goes by
DATE = 10  # characters of a date with its day
SEXES = frozenset({"male", "female", "other", "unknown"})
# A name in use before one of which nothing is said, and that before one no longer in use.
USES = {"official": 0, "usual": 1, "old": 3, "maiden": 3}
UNSAID, ENDED = 2, 3


def patient_of(checked: Checked) -> PatientRecord:
    """Return a Patient as people know them."""
    resource = checked.resource
    birth_date, sex = text_of(resource.get("birthDate")), text_of(resource.get("gender"))
    name, *others = _names(resource) or [""]
    died = text_of(resource.get("deceasedDateTime"))[:DATE]
    return PatientRecord(
        id=checked.id,
        name=name,
        birth_date=birth_date if is_date(birth_date) else "",
        sex=sex if sex in SEXES else "",
        identifier=_identifier(resource),
        other_names=tuple(others[:MOST_NAMES]),
        has_died=bool(died) or resource.get("deceasedBoolean") is True,
        death_date=died if is_date(died) else "",
        standing=_standing(resource),
    )


def name_in(checked: Checked) -> str:
    """Return the name a person goes by, "" where the resource has none."""
    return next(iter(_names(checked.resource)), "")


def in_order(found: Iterable[Checked]) -> list[Checked]:
    """Return Patients by family and given name, those without a name last, as servers do; records not in use after."""
    return sorted(found, key=_order)


def criteria(search: PatientSearch) -> Pairs:
    """Return the search parameters for what somebody means."""
    pairs = list(_name_criteria(search.name)) if search.name else []
    if search.birth_dates:
        pairs.append(("birthdate", ",".join(search.birth_dates)))
    if search.identifier:
        pairs.append(("identifier", escape(search.identifier.strip())))
    return tuple(pairs)


def _names(resource: Resource) -> list[str]:
    return list(dict.fromkeys(map(_full_name, _by_use(resource))))


def _by_use(resource: Resource) -> list[Tree]:
    """Return the HumanNames that say anything, the one a person goes by first."""
    names = [name for name in objects(resource, "name") if _full_name(name)]
    return sorted(names, key=lambda name: ENDED if texts(name, "period", "end") else _use(name))


def _use(name: Tree) -> int:
    return USES.get(text_of(name.get("use")), UNSAID)


def _full_name(name: Tree) -> str:
    parts = [*texts(name, "given"), *texts(name, "family")]
    return text_of(name.get("text")) or " ".join(parts)[:LONGEST]


def _standing(resource: Resource) -> Literal["", "replaced", "inactive"]:
    if "replaced-by" in texts(resource, "link", "type"):
        return "replaced"
    return "inactive" if resource.get("active") is False else ""


def _order(checked: Checked) -> tuple[bool, bool, str, str, str]:
    name = next(iter(_by_use(checked.resource)), {})
    family = " ".join(texts(name, "family")) or _full_name(name)
    given = _folded(" ".join(texts(name, "given")))
    return bool(_standing(checked.resource)), not family, _folded(family), given, checked.id


def _folded(text: str) -> str:
    """Return text without case and accents, which is how string search compares."""
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one)).casefold()


def _identifier(resource: Resource) -> str:
    """Return the medical record number, else another identifier, with its kind: a bare number would pass for one."""
    found = [one for one in objects(resource, "identifier") if text_of(one.get("value"))]
    best = min(found, key=lambda one: (one.get("use") == "old", not _is_record_number(one)), default={})
    value = text_of(best.get("value"))
    kind = next(iter(texts(best, "type", "text")), "")
    return value if _is_record_number(best) or not 0 < len(kind) <= LONGEST_KIND else f"{value} ({kind})"


def _is_record_number(identifier: Tree) -> bool:
    return "MR" in texts(identifier, "type", "coding", "code")


def _name_criteria(text: str) -> Iterator[tuple[str, str]]:
    """Ask that each word typed be in a run of words with which some part of the name begins.

    Servers compare with the beginning of single parts: "Berg" alone does not find the family name "van der Berg".
    """
    words = text.replace(",", " ").split()
    if not 0 < len(words) <= MOST_WORDS:
        words = [""]  # An empty value is refused, and nobody found; no value at all would find everybody.
    for at in range(len(words)):
        runs = (words[start:end] for start in range(at + 1) for end in range(at + 1, len(words) + 1))
        yield "name", ",".join(escape(" ".join(run)) for run in runs)
