"""The table of data an app wants: kinds of information against what is done with them, and back to scopes. Pure.

What the table cannot say (filters, other types, SMART 1 letters) stands beside it as text and is kept as it is.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from clients.app_kinds import Kind
from smartauth.policy.advertising import US_CORE_TYPES
from smartauth.policy.granting import parse_registered
from smartauth.policy.scopes import NamedScope, ResourceScope, find_scope, split_scope
from smartauth.policy.wording import words_for

LETTERS = (("r", "Read"), ("s", "Search"), ("c", "Create"), ("u", "Update"), ("d", "Delete"))
ORDER = "cruds"
GROUPS = (
    ("Everything", ("*",)),
    ("Who and where", (
        "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "CareTeam", "Organization", "Location",
        "Coverage",
    )),
    ("Health and history", (
        "Condition", "AllergyIntolerance", "Immunization", "Procedure", "Encounter", "FamilyMemberHistory", "Goal",
        "CarePlan", "Device",
    )),
    ("Results and documents", (
        "Observation", "DiagnosticReport", "DocumentReference", "Specimen", "QuestionnaireResponse", "ServiceRequest",
        "Provenance",
    )),
    ("Medicines", ("MedicationRequest", "MedicationDispense", "Medication")),
)  # fmt: skip
ROWS = tuple(resource for _, resources in GROUPS for resource in resources)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of information. `cells` are (value of the tick, name, whether it is ticked); `scope` says it as text."""

    resource: str
    title: str
    detail: str
    cells: tuple[tuple[str, str, bool], ...]
    scope: str
    is_us_core: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A scope text taken apart: ticks of the table at one level, named scopes, and the rest as typed."""

    level: str
    letters: dict[str, str]
    named: tuple[str, ...]
    rest: tuple[str, ...]


def take_apart(kind: Kind, scope: str) -> Wanted:
    """Return what of a scope text the page shows where."""
    level = level_of(kind, scope)
    letters: dict[str, str] = {}
    named, rest = [], []
    for text in split_scope(scope):
        parsed = find_scope(text)
        if isinstance(parsed, ResourceScope) and _is_a_row(parsed, text, level) and parsed.resource not in letters:
            letters[parsed.resource] = parsed.permissions
            continue
        if isinstance(parsed, NamedScope) and text in kind.launch_scopes:
            named.append(text)
        else:
            rest.append(text)
    return Wanted(level, letters, tuple(named), tuple(rest))


def put_together(level: str, ticks: Iterable[str], named: Iterable[str], rest: str) -> str:
    """Return the scope text of a filled-in page.  ticks: "Condition.r" and the like; unknown ones say nothing."""
    letters: dict[str, set[str]] = {}
    for tick in ticks:
        resource, _, letter = tick.rpartition(".")
        if resource in ROWS and len(letter) == 1 and letter in ORDER:
            letters.setdefault(resource, set()).add(letter)
    table = [f"{level}/{one}.{_suffix(letters[one])}" for one in ROWS if one in letters]
    return " ".join(dict.fromkeys((*named, *table, *rest.split())))


def with_us_core(kind: Kind, scope: str) -> str:
    """Return a scope text with reading and searching of the US Core types added."""
    wanted = take_apart(kind, scope)
    letters = {**wanted.letters} | {one: _suffix({*wanted.letters.get(one, ""), "r", "s"}) for one in US_CORE_TYPES}
    ticks = [f"{resource}.{letter}" for resource, held in letters.items() for letter in held]
    return put_together(wanted.level, ticks, wanted.named, " ".join(wanted.rest))


def moved_to(kind: Kind, before: Kind, scope: str) -> str:
    """Return a scope text for another kind of app: the same data at its own level, and the launch it begins with."""
    wanted = take_apart(before, scope)
    ticks = [f"{resource}.{letter}" for resource, held in wanted.letters.items() for letter in held]
    named = [one for one in split_scope(str(kind.preset.get("scope", ""))) if one in kind.launch_scopes]
    named += [one for one in wanted.named if one in kind.launch_scopes and one not in named]
    return put_together(kind.level, ticks, named, " ".join(wanted.rest))


def rows(wanted: Wanted) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """Return the table, group by group, with its ticks."""
    return tuple((title, tuple(_row(one, wanted) for one in resources)) for title, resources in GROUPS)


def level_of(kind: Kind, scope: str) -> str:
    """Return the level the table speaks of: a clinician app may be about the patient of the chart alone."""
    levels = [one.level for one in parse_registered(scope) if isinstance(one, ResourceScope)]
    return "patient" if kind.level == "user" and levels and set(levels) == {"patient"} else kind.level


def _is_a_row(scope: ResourceScope, text: str, level: str) -> bool:
    """Return True for what the table would write in the very same words: SMART 1 letters are an answer of their own."""
    return scope.resource in ROWS and text == f"{level}/{scope.resource}.{scope.permissions}"


def _row(resource: str, wanted: Wanted) -> Row:
    held: Collection[str] = wanted.letters.get(resource, "")
    words = words_for(ResourceScope(level="user", resource=resource, permissions="rs"))
    cells = tuple((f"{resource}.{letter}", name, letter in held) for letter, name in LETTERS)
    scope = f"{wanted.level}/{resource}.{_suffix(held)}" if held else ""
    return Row(resource, words.title, words.detail, cells, scope, resource in US_CORE_TYPES)


def _suffix(letters: Collection[str]) -> str:
    return "".join(letter for letter in ORDER if letter in letters)
