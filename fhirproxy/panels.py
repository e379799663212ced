"""The panel of a clinician: whom the tenant names, whose general practitioner they are, on whose care team they are.

Asked for with our own credentials and kept five minutes. Every answer is looked at again: a server that ignores a
filter would put everybody on everyone's panel. Source: FHIR R4 patient (generalPractitioner), careteam.
"""

import logging
from collections.abc import Iterator
from datetime import datetime

from clients.tenants import TenantPolicy
from fhirproxy.exchange import Exchange
from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.compartments import find_unchecked
from fhirproxy.policy.dates import interval_of
from fhirproxy.policy.decisions import search_for_ourselves
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import CanonicalRequest
from fhirproxy.policy.references import Bases, Local, Other, classify, values_at
from fhirproxy.timed import TimedCache
from fhirproxy.upstream import UpstreamError

KEPT = 300.0  # seconds
KEPT_FAILURE = 5.0  # seconds: a server that is down is not asked by every request
MAX_PAGES = 20
PAGE = ("_count", "500")
NOBODY: frozenset[str] = frozenset()

_panels: TimedCache[tuple[str, str, str, str], frozenset[str]] = TimedCache(max_size=5_000)
_log = logging.getLogger(__name__)


def find_panel(user: Local, exchange: Exchange, policy: TenantPolicy, *, now: datetime) -> frozenset[str]:
    """Return the patients on the panel of a clinician. A source that cannot be read gives nobody."""
    found = frozenset(policy.panels.get(str(user), ()))
    for source in policy.panel_by:

        def load(source: str = source) -> tuple[frozenset[str], float]:
            try:
                return read_panel(user, exchange, source, now=now), KEPT
            except (UpstreamError, FhirRefusal) as error:
                _log.warning("the panel of %s at %s cannot be read: %s", user, exchange.info.tenant, error)
                return NOBODY, KEPT_FAILURE

        found |= _panels.get((exchange.info.tenant, exchange.info.base_url, str(user), source), load)
    return found


def read_panel(user: Local, exchange: Exchange, source: str, *, now: datetime) -> frozenset[str]:
    """Return the patients that one source puts on a panel.

    source: "general-practitioner" or "care-team". Raises UpstreamError, or FhirRefusal when the server behind does not
    support the search.
    """
    bases = exchange.info.bases
    if source == "general-practitioner":
        request = search_for_ourselves("Patient", (("general-practitioner", str(user)), PAGE))
        patients = (one for one in _resources("Patient", request, exchange) if _is_practitioner_of(user, one, bases))
        return frozenset(str(one["id"]) for one in patients)
    request = search_for_ourselves("CareTeam", (("participant", str(user)), ("status", "active"), PAGE))
    teams = (one for one in _resources("CareTeam", request, exchange) if _is_on(user, one, bases, now))
    return frozenset(who.id for team in teams if isinstance(who := classify(team.get("subject"), bases), Local))


def _resources(resource_type: str, request: CanonicalRequest, exchange: Exchange) -> Iterator[Resource]:
    """Yield the resources of one type on every page of a search. Raises UpstreamError or FhirRefusal."""
    following: CanonicalRequest | None = request
    for _ in range(MAX_PAGES):
        if following is None:
            return
        page = exchange.page(following)
        for entry in page.entries:
            found = find_unchecked(entry.get("resource"))
            if found is not None and found.type == resource_type:
                yield found.resource
        following = page.next
    if following is not None:
        _log.warning("a panel at %s has more than %d pages; the rest is left out", exchange.info.tenant, MAX_PAGES)


def _is_practitioner_of(user: Local, patient: Resource, bases: Bases) -> bool:
    return any(_means(user, value, bases) for value in values_at(patient, ("generalPractitioner",)))


def _is_on(user: Local, team: Resource, bases: Bases, now: datetime) -> bool:
    if team.get("status") != "active" or not _is_current(team, now):
        return False
    return any(
        isinstance(place, dict) and _means(user, place.get("member"), bases) and _is_current(place, now)
        for place in values_at(team, ("participant",))
    )


def _means(user: Local, reference: Json, bases: Bases) -> bool:
    who = classify(reference, bases)
    return (
        isinstance(who, Other) and who.target is not None and (who.target.type, who.target.id) == (user.type, user.id)
    )


def _is_current(tree: Resource, now: datetime) -> bool:
    """A period that cannot be read has ended; none at all has not."""
    if "period" not in tree:
        return True
    period = interval_of(tree["period"])
    return period is not None and period.start <= now < period.end
