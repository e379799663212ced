"""How honest the server is. Another behaviour is another class, here or elsewhere, and a name in `MODES`."""

from typing import Protocol

from fhirproxy.r4server.distortions import DISTORTIONS
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.faults import Sending
from fhirproxy.r4server.hostile import NOWHERE, Hostile
from fhirproxy.r4server.messages import Request
from fhirproxy.r4server.search.bundle import Entry
from fhirproxy.r4server.search.query import SearchQuery
from fhirproxy.r4server.store import Store, Version


class Mode(Protocol):
    """The places where a server can be less than honest."""

    name: str

    def select(self, query: SearchQuery, store: Store) -> list[Version]:
        """Return the resources that the server claims are matches."""

    def complete(self, entries: list[Entry], query: SearchQuery, store: Store) -> list[Entry]:
        """Return the entries of one page as they leave."""

    def written(self, version: Version, store: Store) -> Version:
        """Return the version with which a write is answered."""

    def distort(self, sending: Sending, request: Request, path: str, store: Store, *, base_url: str) -> Sending:
        """Return what goes out in place of an answer. `path` is what followed the base."""


class _Undistorted:
    def distort(self, sending: Sending, request: Request, path: str, store: Store, *, base_url: str) -> Sending:
        """Return the answer unchanged."""
        return sending


class Faithful(_Undistorted):
    """Does what was asked."""

    name = "faithful"

    def select(self, query: SearchQuery, store: Store) -> list[Version]:
        """Return exactly the resources that fulfil the query."""
        return [version for version in store.all_of(query.resource_type) if query.admits(version)]

    def complete(self, entries: list[Entry], query: SearchQuery, store: Store) -> list[Entry]:
        """Return the entries unchanged."""
        return entries

    def written(self, version: Version, store: Store) -> Version:
        """Return what was written."""
        return version


class Leaky(_Undistorted):
    """Ignores filters, and slips resources of other types and patients into every page, as matches and as includes.

    Writes are done as asked, and answered with another resource of the type. Reads stay honest: what a search leaks is
    what a proxy is likeliest to pass on unseen.
    """

    name = "leaky"

    # Each page gets the first and the last resource of each of these, so of two patients as a rule.
    foreign_types = ("Patient", "Observation", "Condition", "DocumentReference", "MedicationRequest", "Encounter")

    def select(self, query: SearchQuery, store: Store) -> list[Version]:
        """Return every resource of the type."""
        return list(store.all_of(query.resource_type))

    def complete(self, entries: list[Entry], query: SearchQuery, store: Store) -> list[Entry]:
        """Add foreign entries: the matches of other types in front, the includes at the end."""
        present = {entry.version.key for entry in entries}
        foreign: dict[str, Entry] = {}
        for resource_type in self.foreign_types:
            versions = store.all_of(resource_type)
            candidates = [Entry(version, "match") for version in versions[:1]]
            candidates += [Entry(version, "include") for version in versions[-1:]]
            for entry in candidates:
                if entry.version.key not in present:
                    foreign.setdefault(entry.version.key, entry)
        in_front = [entry for entry in foreign.values() if entry.search_mode == "match"]
        at_the_end = [entry for entry in foreign.values() if entry.search_mode == "include"]
        return in_front + entries + at_the_end

    def written(self, version: Version, store: Store) -> Version:
        """Return the first resource of the type that is not the one written."""
        return next((one for one in store.all_of(version.resource_type) if one.key != version.key), version)


MODES: dict[str, Mode] = {mode.name: mode for mode in (Faithful(), Leaky(), Hostile())}


def get_mode(name: str) -> Mode:
    """Return a mode by its name. Raises FhirError 400 for an unknown one."""
    if name not in MODES:
        raise FhirError(400, "invalid", "unknown mode")
    return MODES[name]


def parse_mode(document: object) -> Mode:
    """Read ``{"mode": name}``; the hostile one takes ``seed``, ``only`` and ``elsewhere`` too. Raises FhirError 400."""
    if not isinstance(document, dict):
        raise FhirError(400, "invalid", 'a mode is {"mode": name}')
    if document.get("mode") != "hostile":
        return get_mode(str(document.get("mode")))
    only = tuple(map(str, document.get("only") or ()))
    if not set(only) <= set(DISTORTIONS):
        raise FhirError(400, "invalid", f"only holds some of: {', '.join(DISTORTIONS)}")
    try:
        return Hostile(int(document.get("seed", 0)), only, str(document.get("elsewhere", NOWHERE)))
    except (TypeError, ValueError) as error:
        raise FhirError(400, "invalid", "the seed is not a number") from error
