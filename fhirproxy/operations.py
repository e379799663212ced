"""Operations that answer with a searchset, carried out on the loop that fills pages.

Source: FHIR R4 patient-operation-everything and observation-operation-lastn.
"""

from collections.abc import Callable

from fhirproxy.exchange import Exchange, UpstreamPage
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import Json
from fhirproxy.policy.compartments import Checked, Unchecked
from fhirproxy.policy.operating import sees_all_of
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.paths import STEPS
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.references import Bases, Local, classify, find_local, values_at
from fhirproxy.policy.shaping import Shaped, entry, searchset
from fhirproxy.reading import fetch
from fhirproxy.searching import MAX_COUNTED, Gathered, Key, Position, Sifter, entry_of
from smartauth.errors import Refusal
from smartauth.policy import r4


def tell_everything(
    plan: SearchPlan, authority: Authority, exchange: Exchange, *, self_url: str, seal: Callable[[Position], str]
) -> Shaped:
    """Return what there is about one patient, who must be readable. Raises FhirRefusal or UpstreamError."""
    if plan.within is not None:
        fetch(plan.within, authority, exchange)
    if plan.request is None:
        raise AssertionError("a patient outside is not fetched")
    sifter = _Everything(plan, authority, exchange)
    gathered = sifter.gather(Position(plan.request, plan.skip), plan.count)
    links = {"self": self_url} | ({"next": seal(gathered.following)} if gathered.following else {})
    return searchset(sifter.entries(gathered), total=sifter.total(gathered), links=links)


class _Everything(Sifter):
    """A sifter for a result of many types, in which every entry is a match.

    Directories and drugs are open to the token, yet that one comes along tells that something names it. Unless the
    token sees all there is about the patient, they come with a resource on the same page that names them.
    """

    def __init__(self, plan: SearchPlan, authority: Authority, exchange: Exchange) -> None:
        super().__init__(plan, authority, exchange)
        self._with_ties = not sees_all_of(authority, plan.id)

    def _sort(self, page: UpstreamPage, gathered: Gathered) -> list[Unchecked]:
        matches: list[Unchecked] = []
        for found in page.entries:
            unchecked, mode = entry_of(found, self._bases)
            if unchecked is None or mode not in ("match", "include", "") or unchecked.type not in self._plan.types:
                self._exchange.removed += mode != "outcome"
            elif self._with_ties and self._is_open(unchecked):
                gathered.candidates.setdefault((unchecked.type, unchecked.id), unchecked)
            else:
                matches.append(unchecked)
        return matches

    def _is_open(self, unchecked: Unchecked) -> bool:
        """Return True for what is nobody's, and so open to everybody: a directory entry, a device of no patient."""
        facts = r4.memberships()[unchecked.type]
        values = [value for path in facts.primary for value in values_at(unchecked.resource, STEPS[path])]
        return facts.cls == "shared" or (
            facts.cls == "conditional" and not any(isinstance(classify(one, self._bases), Local) for one in values)
        )

    def _letters(self, unchecked: Unchecked) -> str:
        return "rs" if (unchecked.type, unchecked.id) == ("Patient", self._plan.id) else "s"

    def _included(self, gathered: Gathered) -> list[Checked]:
        named: set[Key] = set()
        for match in gathered.matches.values() if gathered.candidates else ():
            _collect(match.resource, self._bases, named)
        tied = [one for key, one in gathered.candidates.items() if key in named]
        found = [self.check(one, self._plan.via, "s", []) for one in tied]
        return [one for one in found if one is not None]


def _collect(tree: Json, bases: Bases, named: set[Key]) -> None:
    if isinstance(tree, dict):
        literal = tree.get("reference")
        local = find_local(literal, bases) if isinstance(literal, str) else None
        if local is not None:
            named.add((local.type, local.id))
        for value in tree.values():
            _collect(value, bases, named)
    elif isinstance(tree, list):
        for value in tree:
            _collect(value, bases, named)


def tell_latest(
    plan: SearchPlan, authority: Authority, exchange: Exchange, *, self_url: str, seal: Callable[[Position], str]
) -> Shaped:
    """Return the latest Observations of each kind among those visible, at once. Raises FhirRefusal or UpstreamError."""
    if plan.request is None:
        return searchset([], total=0, links={"self": self_url})
    gathered = Sifter(plan, authority, exchange).gather(Position(plan.request), MAX_COUNTED)
    if gathered.following is not None:
        reason = "there are too many Observations to compare; narrow the search by category, code or date"
        raise FhirRefusal(400, "too-costly", Refusal("lastn.too_costly", reason))
    kinds: dict[str, int] = {}
    counts: list[int] = []
    entries = []
    for checked in gathered.matches.values():
        kind = _kind(checked, kinds, counts)
        counts[kind] += 1
        if counts[kind] <= plan.most:
            exchange.give(checked)
            entries.append(entry(checked, plan.shape, exchange.info.bases, "match"))
    return searchset(entries, total=len(entries), links={"self": self_url})


def _kind(checked: Checked, kinds: dict[str, int], counts: list[int]) -> int:
    """Return the number of the group an Observation belongs to: that of the first of its codes seen before."""
    names = _code_names(checked.resource.get("code"))
    number = next((kinds[name] for name in names if name in kinds), None)
    if number is None:
        number = len(counts)
        counts.append(0)
    for name in names:
        kinds.setdefault(name, number)
    return number


def _code_names(code: Json) -> list[str]:
    if not isinstance(code, dict):
        return ["?"]
    codings = code.get("coding")
    names = [
        f"{one.get('system')}|{one.get('code')}"
        for one in (codings if isinstance(codings, list) else [])
        if isinstance(one, dict)
    ]
    return names or [f"text {code.get('text')}"]
