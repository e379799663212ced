"""A search, carried out: upstream pages are fetched until a page of visible matches is full, or there are no more.

Page sizes, totals and the presence of a next link depend on visible matches alone. Source: FHIR R4 search, http paging.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fhirproxy.exchange import Exchange, UpstreamPage
from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.compartments import Checked, Unchecked, check, find_unchecked, is_member, needed
from fhirproxy.policy.including import Tie
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import CanonicalRequest, SearchPlan
from fhirproxy.policy.references import Bases, Local
from fhirproxy.policy.results import Include
from fhirproxy.policy.shaping import Entry, Shaped, entry, searchset
from fhirproxy.policy.targets import render
from smartauth.errors import Refusal

MAX_PAGES = 20  # upstream pages one request may fetch
MAX_COUNTED = 5_000
MAX_HOPS = 2  # from a match to what comes along with what came along

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on: an upstream page, and how many of its matches were given already."""

    request: CanonicalRequest
    skip: int = 0


@dataclass(slots=True)
class Gathered:
    """What was found on the way: visible matches in order, and everything that may be an include."""

    matches: dict[Key, Checked] = field(default_factory=dict)
    candidates: dict[Key, Unchecked] = field(default_factory=dict)
    following: Position | None = None
    upstream_total: int | None = None


def search(
    plan: SearchPlan, authority: Authority, exchange: Exchange, *, self_url: str, seal: Callable[[Position], str]
) -> Shaped:
    """Return the searchset. `seal` turns where to go on into a page URL.

    Raises FhirRefusal or UpstreamError.
    """
    sifter = Sifter(plan, authority, exchange)
    if plan.request is None or not sifter.all_members(plan.resolve):
        return searchset([], total=None if plan.total == "none" else 0, links={"self": self_url})
    start = Position(plan.request, plan.skip)
    if plan.only_count and plan.counting is not None:
        total = sifter.count(plan.counting)
        if total is None:
            raise _too_costly()
        return searchset([], total=total, links={"self": self_url})
    gathered = sifter.gather(start, plan.count)
    total = sifter.total(gathered)
    links = {"self": self_url} | ({"next": seal(gathered.following)} if gathered.following else {})
    return searchset(sifter.entries(gathered), total=total, links=links)


def self_url(plan: SearchPlan, bases: Bases) -> str:
    """Return the search as it was understood, on our base."""
    return f"{bases.public_url}/{render((plan.type,) if plan.path is None else plan.path, plan.pairs)}"


class Sifter:
    """Looks at every entry of every page for one search."""

    bundle_type = "searchset"

    def __init__(self, plan: SearchPlan, authority: Authority, exchange: Exchange) -> None:
        self._plan = plan
        self._authority = authority
        self._exchange = exchange
        self._bases = exchange.info.bases

    def all_members(self, targets: tuple[Local, ...]) -> bool:
        """Return True when every resource a search hangs on lies inside the authority; absent ones do not."""
        known = self._exchange.learn(targets)
        for target in targets:
            found = find_unchecked(known.get((target.type, target.id)))
            if found is None or not any(
                isinstance(grant.patients, frozenset)
                and is_member(found, grant.patients, self._bases, rules=grant.rules)
                for grant in self._plan.via
            ):
                return False
        return True

    def gather(self, start: Position, wanted: int) -> Gathered:
        """Fetch pages until `wanted` visible matches are there, and for restricted authority until one more is known.

        That one more decides whether there is a next page: a next link that leads to nothing would tell of hidden
        matches.
        """
        gathered = Gathered()
        position: Position | None = start
        visited: set[str] = set()
        while position is not None:
            page = self._exchange.page(position.request, kind=self.bundle_type)
            visited.add(position.request.target)
            if len(visited) == 1:
                gathered.upstream_total = page.total
            gathered.following = self._take(page, position, gathered, wanted)
            if gathered.following is not None:
                return gathered
            position = Position(page.next) if page.next and page.next.target not in visited else None
            is_enough = self._plan.is_full and len(gathered.matches) >= wanted
            if is_enough or len(visited) == MAX_PAGES:
                gathered.following = position
                return gathered
        return gathered

    def count(self, request: CanonicalRequest) -> int | None:
        """Return how many matches are visible, or None when there are too many to count."""
        if self._plan.is_full:
            total = self._exchange.page(request).total
            if total is not None:
                return total
        counter = Sifter(replace(self._plan, includes=()), self._authority, self._exchange)
        gathered = counter.gather(Position(request), MAX_COUNTED)
        return None if gathered.following else len(gathered.matches)

    def total(self, gathered: Gathered) -> int | None:
        """Return the total to tell, or None. The upstream's own number is for full authority, or where it is exact."""
        plan = self._plan
        if plan.total == "none":
            return None
        is_trusted = plan.is_full or (plan.trusts_total and not self._exchange.removed)
        if is_trusted and gathered.upstream_total is not None:
            return gathered.upstream_total
        if gathered.following is None:
            return len(gathered.matches)
        return self.count(plan.counting) if plan.counting is not None else None

    def entries(self, gathered: Gathered) -> list[Entry]:
        """Return the entries that leave: the matches, then what they brought along."""
        included = self._included(gathered)  # Before shaping, which uses the matches up.
        for one in (*gathered.matches.values(), *included):
            self._exchange.give(one)
        shape, bases = self._plan.shape, self._bases
        entries = [entry(match, shape, bases, "match") for match in gathered.matches.values()]
        return entries + [entry(one, shape, bases, "include") for one in included]

    def _take(self, page: UpstreamPage, position: Position, gathered: Gathered, wanted: int) -> Position | None:
        """Sort one page's entries. Returns where to go on when there is a visible match more than wanted."""
        matches = self._sort(page, gathered)
        for index, unchecked in enumerate(matches[position.skip :], start=position.skip):
            checked = self.check(unchecked, self._plan.via, self._letters(unchecked), matches)
            key = (unchecked.type, unchecked.id)
            if checked is None or key in gathered.matches:
                continue
            if len(gathered.matches) == wanted:
                return Position(position.request, index)
            gathered.matches[key] = checked
        return None

    def _sort(self, page: UpstreamPage, gathered: Gathered) -> list[Unchecked]:
        """Return what a page claims are matches, and keep what may have come along."""
        matches: list[Unchecked] = []
        for found in page.entries:
            unchecked, mode = entry_of(found, self._bases)
            if mode == "include" and unchecked is not None and self._plan.includes:
                gathered.candidates.setdefault((unchecked.type, unchecked.id), unchecked)
            elif mode in ("match", "") and unchecked is not None and self._is_wanted(unchecked):
                matches.append(unchecked)
            elif mode != "outcome":
                self._exchange.removed += 1
        return matches

    def _is_wanted(self, unchecked: Unchecked) -> bool:
        return unchecked.type in (self._plan.types or {self._plan.type})

    def _letters(self, unchecked: Unchecked) -> str:
        """Return the letters of which a match needs one."""
        return "s"

    def check(
        self, unchecked: Unchecked, grants: tuple[Grant, ...], letters: str, neighbours: list[Unchecked]
    ) -> Checked | None:
        """Check one entry. What it hangs on is fetched first, unless it is a neighbour in the same result."""
        exchange = self._exchange
        is_full = any(grant.is_full and any(grant.permits(one, unchecked.type) for one in letters) for grant in grants)
        wanted = () if is_full else needed(unchecked, self._bases)
        for one in neighbours if wanted else ():
            exchange.known.setdefault((one.type, one.id), one.resource)
        exchange.learn(wanted)
        exchange.checked += 1
        checked = check(unchecked, grants, letters, self._bases, exchange.known)
        exchange.removed += checked is None
        return checked

    def _included(self, gathered: Gathered) -> list[Checked]:
        """Return the visible candidates that an include of this search ties to a match on this page.

        A page may hold matches we hid or will give later; what came along with those alone would tell of them.
        """
        found: list[Checked] = []
        origins, includes = list(gathered.matches.values()), self._plan.includes
        for _ in range(MAX_HOPS):
            origins = self._brought_by(origins, includes, gathered)
            found += origins
            includes = tuple(include for include in includes if include.iterate)
        return found

    def _brought_by(self, origins: list[Checked], includes: tuple[Include, ...], gathered: Gathered) -> list[Checked]:
        """Take from the candidates what the includes bring along with `origins` and may be seen."""
        starts = [Unchecked(one.resource, one.type, one.id) for one in origins]
        found = []
        for include in includes if gathered.candidates and starts else ():
            tied = Tie(include, starts, self._bases)
            for key, unchecked in list(gathered.candidates.items()):
                if key in gathered.matches or not tied.holds(unchecked):
                    continue
                grants = self._authority.having(include.letters, unchecked.type)
                checked = self.check(unchecked, grants, include.letters, starts)
                if checked is not None:
                    found.append(checked)
                    del gathered.candidates[key]
        return found


def _too_costly() -> FhirRefusal:
    reason = "there are too many matches to count; narrow the search"
    return FhirRefusal(400, "too-costly", Refusal("search.count_too_costly", reason))


def entry_of(found: Resource, bases: Bases) -> tuple[Unchecked | None, str]:
    """Return an entry's resource and mode; no resource when its fullUrl says it is something else."""
    search = found.get("search")
    mode = search.get("mode", "") if isinstance(search, dict) else ""
    unchecked = find_unchecked(found.get("resource"))
    full_url = found.get("fullUrl")
    if unchecked is not None and full_url is not None:
        rest = bases.relative(full_url) if isinstance(full_url, str) else None
        if rest != f"{unchecked.type}/{unchecked.id}":
            unchecked = None
    return unchecked, mode if isinstance(mode, str) else "unknown"
