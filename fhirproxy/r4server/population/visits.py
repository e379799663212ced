"""When each patient came: the days everything else hangs on."""

from datetime import date

from fhirproxy.r4server.population.people import Person
from fhirproxy.r4server.population.shapes import Reference, refer, seeded

YEARS = range(2021, 2026)


def visits(person: Person) -> list[date]:
    """Return the days of a patient's visits, oldest first, at most one in a month."""
    chance = seeded(person.id, "visits")
    step = 12 // person.visits_a_year
    days = [date(year, month, chance.randint(1, 28)) for year in YEARS for month in range(3, 13, step)]
    return [day for day in days if person.died is None or day < person.died]


def month_of(day: date) -> str:
    """Return the part of a readable id that says when, e.g. ``2021-03``."""
    return f"{day.year}-{day.month:02d}"


def encounter_at(person: Person, day: date) -> Reference:
    """Return the reference to the encounter of a visit."""
    return refer("Encounter", f"{person.id}-encounter-{month_of(day)}")
