"""A server that lies in every way it can think of, repeatably: what it does follows from a seed and a count."""

from dataclasses import dataclass, field
from functools import cache
from random import Random

from fhirproxy.r4server.distortions import DISTORTIONS, Scene
from fhirproxy.r4server.faults import Sending
from fhirproxy.r4server.messages import Request
from fhirproxy.r4server.search.bundle import Entry
from fhirproxy.r4server.search.query import SearchQuery
from fhirproxy.r4server.store import Store, Version

NOWHERE = "http://127.0.0.1:1/fhir"


@dataclass(slots=True)
class Hostile:
    """Ignores filters now and then, and distorts most answers.

    The n-th answer after the mode was made is the same for the same seed, whatever came in between elsewhere.
    only: names of the distortions to choose from; empty means all.  elsewhere: where its links and redirects lead.
    """

    seed: int = 0
    only: tuple[str, ...] = ()
    elsewhere: str = NOWHERE
    name: str = "hostile"
    answered: int = field(default=0, repr=False)

    def select(self, query: SearchQuery, store: Store) -> list[Version]:
        """Return every resource of the type, or now and then what was asked for."""
        versions = store.all_of(query.resource_type)
        if self._random("select").random() < 0.5:
            return list(versions)
        return [version for version in versions if query.admits(version)]

    def complete(self, entries: list[Entry], query: SearchQuery, store: Store) -> list[Entry]:
        """Return the entries unchanged: `distort` looks at the whole answer."""
        return entries

    def written(self, version: Version, store: Store) -> Version:
        """Return what was written, or now and then another resource of the type."""
        others = [one for one in store.all_of(version.resource_type) if one.key != version.key]
        rng = self._random("written")
        return rng.choice(others) if others and rng.random() < 0.5 else version

    def distort(self, sending: Sending, request: Request, path: str, store: Store, *, base_url: str) -> Sending:
        """Return what goes out in place of an answer."""
        rng = self._random("distort")
        self.answered += 1
        name = rng.choice(self.only or _weighted())
        return DISTORTIONS[name](Scene(sending.response, request, path, store, base_url, self.elsewhere, rng))

    def _random(self, purpose: str) -> Random:
        return Random(f"{self.seed}/{self.answered}/{purpose}")  # noqa: S311  it is to be predictable


@cache
def _weighted() -> tuple[str, ...]:
    """Most lies are of the kind that a reader could believe."""
    return (*DISTORTIONS, *("honest", "foreign-entries", "foreign-entries") * 4)
