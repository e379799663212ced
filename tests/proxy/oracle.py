"""Which resources a token may see, written apart from the product: from the words of SMART and the compartment facts.

It looks at stored resources, shares no code with the proxy, and is slow on purpose.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import smartauth.policy

FACTS = json.loads((Path(smartauth.policy.__file__).parent / "facts" / "compartment-patient-r4.json").read_text())
TYPES: dict[str, Any] = FACTS["type"]
LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
PUBLIC = "http://127.0.0.1:8000/fhir/sandbox/r4"
LOGICAL_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
WHO_A_USER_MAY_BE = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person")
# Where a constraint of a scope looks; only what is listed is used by the tests.
PLACES: dict[str, tuple[str, ...]] = {
    "category": ("category",), "code": ("code",), "status": ("status",), "clinical-status": ("clinicalStatus",),
    "_id": ("id",), "_tag": ("meta", "tag"), "_security": ("meta", "security"), "_profile": ("meta", "profile"),
    "subject": ("subject",), "encounter": ("encounter",), "date": ("effectiveDateTime",),
}  # fmt: skip

Resource = dict[str, Any]


@dataclass(frozen=True)
class Token:
    """What a token says, and what its client may do at most. `patient` and `fhir_user` are None when absent.

    `client`: "app" for scopes of people, "service" for system/ scopes, "" to tell by the scopes.
    """

    scopes: tuple[str, ...]
    patient: str | None = None
    fhir_user: str | None = None
    client: str = ""
    only_patients: frozenset[str] | None = None
    only_groups: frozenset[str] | None = None
    operator_types: frozenset[str] = frozenset()

    @property
    def is_service(self) -> bool:
        return self.client == "service" or (not self.client and any("system/" in scope for scope in self.scopes))


@dataclass(frozen=True)
class State:
    """What is stored: the current resources by Type/id, and the bases on which a reference is one of ours."""

    resources: Mapping[str, Resource] = field(default_factory=dict)
    bases: tuple[str, ...] = (PUBLIC,)
    binary: str = "security-context"  # or "referenced"


NOTHING_STORED = State()


def allowed(token: Token, resource: Resource, letters: str, state: State = NOTHING_STORED) -> bool:
    """Say whether some scope with one of `letters` lets the token see `resource`, in strict compartment mode."""
    if set(letters) <= set("rs") and not all(
        _is_shown_inside(token, one, letters, state) for one in _entries(resource)
    ):
        return False
    if _is_own_record(token, resource, letters, state):
        return True
    if resource["resourceType"] == "Binary" and not _may_read_what_attaches(token, resource, state):
        return False
    return any(_one_allows(token, scope, resource, letters, state) for scope in token.scopes)


def _entries(resource: Resource) -> list[Any]:
    """Return the resources in a stored Bundle: each is read together with it."""
    entries = resource.get("entry") if resource["resourceType"] == "Bundle" else None
    listed = entries if isinstance(entries, list) else []
    return [entry["resource"] for entry in listed if isinstance(entry, dict) and entry.get("resource") is not None]


def _is_shown_inside(token: Token, resource: Any, letters: str, state: State) -> bool:
    if (
        not isinstance(resource, dict)
        or resource.get("resourceType") not in TYPES
        or resource["resourceType"] == "Bundle"
    ):
        return False
    return allowed(token, resource, letters, state)


def _may_read_what_attaches(token: Token, binary: Resource, state: State) -> bool:
    """A Binary that does not say whose it is shows to who may read something that attaches it, or reaches everybody."""
    if _named(binary, TYPES["Binary"]["primary"], state) or reach(token, "Binary", "r", state) == "everybody":
        return True
    return any(allowed(token, holder, "r", state) for holder in _holders(binary, state))


def reach(token: Token, kind: str, letter: str, state: State) -> Any:
    """Return whose resources of a type some scope with `letter` is about, filters aside: a set, or "everybody"."""
    found: set[str] = set()
    for scope in token.scopes:
        level, _, rest = scope.partition("?")[0].partition("/")
        named, _, suffix = rest.partition(".")
        if (
            (level == "system") != token.is_service
            or named not in ("*", kind)
            or letter not in LETTERS.get(suffix, suffix)
        ):
            continue
        patients = _limited(_patients(token, level, state), token, state)
        if patients == "everybody":
            return patients
        found |= patients
    return found


def may_be_shown(token: Token, kind: str, letters: str, state: State) -> bool:
    """Say whether a token may be shown anything of a type, by some scope with one of `letters` or as its own record."""
    who = token.fhir_user or ""
    is_own = "r" in letters and "fhirUser" in token.scopes and f"{kind}/" in who
    return is_own or any(reach(token, kind, letter, state) for letter in letters)


def are_inside(names: list[str], patients: set[str], state: State) -> bool:
    """Say whether each Type/id is one of these patients, or stored and about nobody but them."""
    return all(
        name.removeprefix("Patient/") in patients
        if name.startswith("Patient/")
        else name in state.resources and _inside(state.resources[name], patients, state)
        for name in names
    )


def _one_allows(token: Token, scope: str, resource: Resource, letters: str, state: State) -> bool:
    left, _, query = scope.partition("?")
    level, _, rest = left.partition("/")
    kind, _, suffix = rest.partition(".")
    if level not in ("patient", "user", "system") or (level == "system") != token.is_service:
        return False
    if kind not in ("*", resource["resourceType"]) or not set(letters) & set(LETTERS.get(suffix, suffix)):
        return False
    if not all(_matches(resource, *pair.split("=", 1), state=state) for pair in query.split("&") if pair):
        return False
    if TYPES[resource["resourceType"]]["class"] == "operator":
        return level == "system" and resource["resourceType"] in token.operator_types
    patients = _limited(_patients(token, level, state), token, state)
    if patients == "everybody":
        return True
    return bool(patients) and _inside(resource, patients, state)


def _is_own_record(token: Token, resource: Resource, letters: str, state: State) -> bool:
    """`openid fhirUser` shows whoever is signed in their own record."""
    if token.is_service or "r" not in letters or not {"openid", "fhirUser"} <= set(token.scopes):
        return False
    who = _whom({"reference": token.fhir_user or ""}, state)
    return who == f"{resource['resourceType']}/{resource.get('id')}" and who.partition("/")[0] in WHO_A_USER_MAY_BE


def _patients(token: Token, level: str, state: State) -> Any:
    if level == "system":
        return "everybody"
    rights = _rights(token, state)
    if level == "user":
        return rights
    if not token.patient or LOGICAL_ID.fullmatch(token.patient) is None:
        return set()
    if token.fhir_user is None or rights == "everybody":
        return {token.patient}
    return {token.patient} & rights


def _rights(token: Token, state: State) -> Any:
    """Whom the person who is signed in may look at."""
    kind, _, user = _whom({"reference": token.fhir_user or ""}, state).partition("/")
    if "/_history/" in (token.fhir_user or ""):
        return set()
    if kind in ("Practitioner", "PractitionerRole"):
        return "everybody"
    if kind == "Patient":
        return {user}
    if kind == "RelatedPerson":
        relative = state.resources.get(f"RelatedPerson/{user}", {})
        who = _whom(relative.get("patient"), state)
        if relative.get("active") is True and "period" not in relative and who.startswith("Patient/"):
            return {who.removeprefix("Patient/")}
    return set()


def _limited(patients: Any, token: Token, state: State) -> Any:
    """Within what the client may reach at most."""
    if token.only_patients is None and token.only_groups is None:
        return patients
    limit = set(token.only_patients or ())
    for group in token.only_groups or ():
        for member in state.resources.get(f"Group/{group}", {}).get("member", []):
            who = _whom(member.get("entity"), state)
            if who.startswith("Patient/") and not member.get("inactive"):
                limit.add(who.removeprefix("Patient/"))
    return limit if patients == "everybody" else limit & patients


def _inside(resource: Resource, patients: set[str], state: State, *, deeper: bool = True) -> bool:
    """The strict rule: about authorized patients and nobody else."""
    facts = TYPES[resource["resourceType"]]
    match facts["class"]:
        case "patient-self":
            return resource.get("id") in patients
        case "shared":
            return True
        case "compartment" | "conditional":
            return _about(resource, facts, patients, state)
        case "derived-targets" if deeper:
            return _hangs_on(_named(resource, facts["primary"], state), patients, state)
        case "derived-binary" if deeper:
            context = _named(resource, facts["primary"], state)
            if context or state.binary != "referenced":
                return _hangs_on(context, patients, state)
            return _is_attached(resource, patients, state)
        case "document" if deeper:
            entries = resource.get("entry") or []
            return bool(entries) and all(
                isinstance(entry, dict)
                and isinstance(entry.get("resource"), dict)
                and entry["resource"].get("resourceType") in TYPES
                and LOGICAL_ID.fullmatch(str(entry["resource"].get("id"))) is not None
                and _inside(entry["resource"], patients, state, deeper=False)
                for entry in entries
            )
    return False


def _about(resource: Resource, facts: Any, patients: set[str], state: State) -> bool:
    named = _named(resource, facts["primary"], state)
    if any(one == "unclear" or (one.startswith("Patient/") and one[8:] not in patients) for one in named):
        return False
    if any(one.startswith("Patient/") for one in named):
        return True
    if facts["class"] == "conditional":
        return True
    if named:
        return False
    others = _named(resource, facts.get("secondary", ()), state)
    return any(one.startswith("Patient/") and one[8:] in patients for one in others)


def _hangs_on(targets: list[str], patients: set[str], state: State) -> bool:
    """Every target is an authorized patient or something of theirs that exists."""
    if not 1 <= len(targets) <= 10:
        return False
    for target in targets:
        if target.startswith("Patient/"):
            if target[8:] not in patients:
                return False
        elif target not in state.resources or not _inside(state.resources[target], patients, state, deeper=False):
            return False
    return True


def _is_attached(binary: Resource, patients: set[str], state: State) -> bool:
    return any(_inside(holder, patients, state, deeper=False) for holder in _holders(binary, state))


def _holders(binary: Resource, state: State) -> list[Resource]:
    """Return what is stored and attaches a Binary."""
    found = []
    for holder in state.resources.values():
        paths = {"DocumentReference": ("content", "attachment"), "DiagnosticReport": ("presentedForm",)}
        path = paths.get(holder["resourceType"]) or (("content",) if holder["resourceType"] == "Media" else ())
        urls = [one.get("url") for one in _soft_at(holder, path) if isinstance(one, dict)] if path else []
        named = [_whom({"reference": url}, state) for url in urls if isinstance(url, str)]
        if f"Binary/{binary.get('id')}" in named:
            found.append(holder)
    return found


def _named(resource: Resource, paths: Any, state: State) -> list[str]:
    return [_whom(value, state) for path in paths for value in _at(resource, path.split("."))]


def _whom(value: Any, state: State = NOTHING_STORED) -> str:
    """Return Type/id of a reference, Type/? when only the type is told, or "unclear"."""
    reference = value.get("reference") if isinstance(value, dict) else None
    declared = value.get("type") if isinstance(value, dict) else None
    if declared is not None and declared not in TYPES:
        return "unclear"
    if reference is None:
        return f"{declared}/?" if declared not in (None, "Patient") else "unclear"
    if not isinstance(reference, str):
        return "unclear"
    parts = _below_base(reference, state).split("/")
    if len(parts) == 4 and parts[2] == "_history" and LOGICAL_ID.fullmatch(parts[3]):
        parts = parts[:2]
    if len(parts) != 2 or parts[0] not in TYPES or LOGICAL_ID.fullmatch(parts[1]) is None or parts[1] in (".", ".."):
        return "unclear"
    return "/".join(parts) if declared in (None, parts[0]) else "unclear"


def _below_base(reference: str, state: State) -> str:
    if "://" not in reference:
        return reference
    given = urlsplit(reference)
    for base in state.bases:
        ours = urlsplit(base)
        same_host = (given.scheme.lower(), given.netloc.lower()) == (ours.scheme, ours.netloc)
        if same_host and given.path.startswith(f"{ours.path}/") and not given.query and not given.fragment:
            return given.path.removeprefix(f"{ours.path}/")
    return "nowhere"


def _at(value: Any, path: list[str]) -> list[Any]:
    """Return what is at a path; something of the wrong shape on the way counts as found, and is unclear to everyone."""
    if isinstance(value, list):
        # FHIR has no lists of lists: one within another is of the wrong shape, too.
        return [found for one in value for found in ([one] if isinstance(one, list) else _at(one, path))]
    if not path:
        return [value]
    if not isinstance(value, dict):
        return [value]
    return _at(value[path[0]], path[1:]) if path[0] in value else []


def _soft_at(value: Any, path: tuple[str, ...]) -> list[Any]:
    return [found for found in _at(value, list(path)) if found is not None]


def _matches(resource: Resource, name: str, wanted: str, *, state: State) -> bool:
    """Match one constraint of a scope: system|code or a reference; comma means or."""
    values = _soft_at(resource, PLACES[name])
    for alternative in unquote(wanted).split(","):
        if name in ("subject", "encounter"):
            if any(_whom(value, state) == alternative for value in values):
                return True
            continue
        if name == "date":
            # Days only, as the tests write them.
            if any(isinstance(value, str) and value[:10] >= alternative.removeprefix("ge") for value in values):
                return True
            continue
        system, bar, code = alternative.rpartition("|")
        for has_system, has_code in (pair for value in values for pair in _codes(value)):
            if (has_code == code or not code) and (not bar or has_system == system):
                return True
    return False


def _codes(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [("", value)]
    if not isinstance(value, dict):
        return []
    if "coding" in value:
        return [(one.get("system", ""), one.get("code", "")) for one in value["coding"]]
    return [(value.get("system", ""), value.get("code", ""))]


# What the oracle of writes needs of this one.
inside, whom, values_at, below_base = _inside, _whom, _at, _below_base
