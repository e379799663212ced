"""The synthetic population: invented people, the same to the byte at every start."""

from collections.abc import Callable

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population import awkward, care, documents, history, people, places, series


def generate(name: str) -> list[JsonObject]:
    """Return the resources of a population: "sandbox", "small" or "empty". Raises KeyError for another name."""
    return POPULATIONS[name]()


def _sandbox() -> list[JsonObject]:
    """At least twenty patients with everything, and what is awkward about ana and ben."""
    resources = places.all_places()
    for person in people.ROSTER:
        resources.append(people.patient(person))
        for part in (history, series, care, documents):
            resources += part.resources_for(person)
    return resources + people.groups() + awkward.resources()


def _small() -> list[JsonObject]:
    """Ana, ben, their doctor, and what is awkward about them: for tests that start often."""
    return [
        *places.essentials(),
        *(people.patient(person) for person in people.ROSTER if person.id in ("ana", "ben")),
        *awkward.resources(),
    ]


def _empty() -> list[JsonObject]:
    return []


POPULATIONS: dict[str, Callable[[], list[JsonObject]]] = {"sandbox": _sandbox, "small": _small, "empty": _empty}
