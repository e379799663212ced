"""Histories, carried out: page by page like a search, each version checked by itself.

To restricted authority a resource has a history when its current version is inside, and deletions are not told.
Source: FHIR R4 http, "history".
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from fhirproxy.exchange import Exchange, UpstreamPage
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.outcomes import not_found
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.references import Local, find_local, is_id
from fhirproxy.policy.shaping import Event, Shaped, history, shape
from fhirproxy.reading import is_current_inside
from fhirproxy.searching import Gathered, Position, Sifter, entry_of
from fhirproxy.upstream import UpstreamGone


def tell_history(
    plan: SearchPlan, authority: Authority, exchange: Exchange, *, self_url: str, seal: Callable[[Position], str]
) -> Shaped:
    """Return the history Bundle. Raises FhirRefusal (404 for an instance outside or absent) or UpstreamError."""
    if plan.request is None:
        raise not_found("the id itself is outside the authority; nothing was asked upstream")
    if plan.id and not plan.is_full and not is_current_inside(plan.type, plan.id, plan.via, authority, exchange):
        raise not_found("the current version is absent, deleted or outside the authority")
    teller = _Teller(plan, authority, exchange)
    try:
        told = teller.gather(Position(plan.request, plan.skip), plan.count)
    except UpstreamGone as gone:
        raise not_found(str(gone)) from None
    links = {"self": self_url} | ({"next": seal(told.following)} if told.following else {})
    return history(teller.events(), exchange.info.bases, total=teller.total(told), links=links)


@dataclass(frozen=True, slots=True)
class _Entry:
    type: str
    id: str
    version: str
    at: str
    method: str
    resource: Resource | None


@dataclass(slots=True)
class _Told:
    """One version that may be told: checked, or a deletion."""

    entry: _Entry
    checked: Checked | None = field(default=None)


class _Teller(Sifter):
    """A sifter of versions: the same resource comes again and again, and every time it is judged anew."""

    bundle_type = "history"

    def __init__(self, plan: SearchPlan, authority: Authority, exchange: Exchange) -> None:
        super().__init__(plan, authority, exchange)
        self._told: list[_Told] = []
        self._letter = "r" if plan.id else "s"

    def total(self, gathered: Gathered) -> int | None:
        """Return the upstream's number for full authority over a type, else our own when all is on this page."""
        if self._plan.is_full and self._plan.type and gathered.upstream_total is not None:
            return gathered.upstream_total
        return len(self._told) if gathered.following is None and not self._plan.skip else None

    def events(self) -> list[Event]:
        """Return what may be told, newest first as the upstream gave it."""
        return [self._event(one) for one in self._told]

    def _event(self, told: _Told) -> Event:
        entry, checked = told.entry, told.checked
        if checked is not None:
            self._exchange.give(checked)
        shaped = shape(checked, self._plan.shape, self._bases) if checked is not None else None
        method = "DELETE" if shaped is None else "POST" if entry.method == "POST" else "PUT"
        return Event(entry.type, entry.id, method, shaped, entry.version, entry.at)  # type: ignore[arg-type]

    def _take(self, page: UpstreamPage, position: Position, gathered: Gathered, wanted: int) -> Position | None:
        for index, found in enumerate(page.entries[position.skip :], start=position.skip):
            told = self._judge(found)
            if told is None:
                continue
            if len(self._told) == wanted:
                return Position(position.request, index)
            self._told.append(told)
            if told.checked is not None:  # So that the loop that fetches pages knows when it has enough.
                gathered.matches[(f"{told.entry.type}/{told.entry.id}", str(len(self._told)))] = told.checked
        return None

    def _judge(self, found: Resource) -> _Told | None:
        entry = self._read(found)
        plan = self._plan
        if entry is None or (plan.type not in ("", entry.type)) or (plan.id not in ("", entry.id)):
            self._exchange.removed += 1
            return None
        if entry.resource is None:
            # Whose it was can no longer be seen, so only those who may see everybody's learn of it.
            is_told = any(g.is_full for g in self._authority.having(self._letter, entry.type))
            self._exchange.removed += not is_told
            return _Told(entry) if is_told else None
        unchecked, _ = entry_of({"resource": entry.resource}, self._bases)
        checked = self.check(unchecked, plan.via, self._letter, []) if unchecked is not None else None
        return _Told(entry, checked) if checked is not None else None

    def _read(self, found: Resource) -> _Entry | None:
        """Return what an entry says, or None when its parts contradict each other or say too little."""
        request, response = _part(found, "request"), _part(found, "response")
        method = request.get("method")
        resource = found.get("resource")
        if isinstance(resource, dict):
            unchecked, _ = entry_of(found, self._bases)
            if unchecked is None:
                return None
            meta = _part(resource, "meta")
            at, version = _instant(meta.get("lastUpdated")), _version(meta.get("versionId"))
            return _Entry(unchecked.type, unchecked.id, version, at, str(method), resource)
        url = request.get("url")
        deleted = find_local(url, self._bases) if isinstance(url, str) else None
        if method != "DELETE" or not isinstance(deleted, Local):
            return None
        at = _instant(response.get("lastModified"))
        return _Entry(deleted.type, deleted.id, _etag_version(response.get("etag")), at, "DELETE", None)


def _part(parent: Resource, name: str) -> Resource:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _instant(value: Json) -> str:
    return value if isinstance(value, str) and find_interval(value) is not None else ""


def _version(value: Json) -> str:
    return value if isinstance(value, str) and is_id(value) else ""


def _etag_version(value: Json) -> str:
    return _version(value.removeprefix("W/").strip('"')) if isinstance(value, str) else ""
