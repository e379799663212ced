"""Facts about people that grants hang on and only the upstream knows: members of Groups, relatives, panels.

Read with our own credentials and kept five minutes. What cannot be read gives nobody, never everybody.
"""

from datetime import datetime

from clients.tenants import STRICT, TenantPolicy
from fhirproxy.exchange import Exchange
from fhirproxy.panels import find_panel
from fhirproxy.policy.authority import Loaded, is_panel_bound, user_of
from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.dates import interval_of
from fhirproxy.policy.decisions import read_for_ourselves
from fhirproxy.policy.references import Local, classify, is_id
from fhirproxy.timed import TimedCache
from fhirproxy.upstream import UpstreamError
from smartauth.policy.access import Access

KEPT = 300.0  # seconds
KEPT_FAILURE = 5.0  # seconds: a server that is down is not asked by every request

_facts: TimedCache[tuple[str, str, str], Resource | None] = TimedCache(max_size=5_000)


def load_facts(access: Access, exchange: Exchange, *, now: datetime, policy: TenantPolicy = STRICT) -> Loaded:
    """Return what grants of this token need to know at a tenant. Does nothing upstream for most tokens."""
    members: frozenset[str] = frozenset()
    for group in access.restrictions.groups or ():
        members |= _members(_fetch("Group", group, exchange), exchange)
    user = user_of(access, exchange.info.bases) if access.fhir_user else None
    if user is None or not _is_asked_for(access):
        return Loaded(members)
    if is_panel_bound(access, user, policy.practitioner_access):
        return Loaded(members, panel=find_panel(user, exchange, policy, now=now))
    if user.type != "RelatedPerson":
        return Loaded(members)
    return Loaded(members, _related(_fetch("RelatedPerson", user.id, exchange), exchange, now))


def _is_asked_for(access: Access) -> bool:
    return any(scope.level in ("user", "patient") for scope in access.scopes)


def _fetch(resource_type: str, resource_id: str, exchange: Exchange) -> Resource | None:
    if not is_id(resource_id):
        return None

    def load() -> tuple[Resource | None, float]:
        request = read_for_ourselves(resource_type, resource_id)
        try:
            found = exchange.read(request, Local(resource_type, resource_id)).unchecked
        except UpstreamError:
            return None, KEPT_FAILURE
        return (found.resource if found else None), KEPT

    info = exchange.info
    return _facts.get((info.tenant, info.base_url, f"{resource_type}/{resource_id}"), load)


def _members(group: Resource | None, exchange: Exchange) -> frozenset[str]:
    members = group.get("member") if group else None
    found: set[str] = set()
    for member in members if isinstance(members, list) else []:
        if isinstance(member, dict) and member.get("inactive") is not True:
            found.update(_patient(member.get("entity"), exchange))
    return frozenset(found)


def _related(person: Resource | None, exchange: Exchange, now: datetime) -> frozenset[str]:
    if person is None or person.get("active") is not True:
        return frozenset()
    if "period" in person:
        period = interval_of(person["period"])
        if period is None or not period.start <= now < period.end:
            return frozenset()
    return _patient(person.get("patient"), exchange)


def _patient(reference: Json, exchange: Exchange) -> frozenset[str]:
    who = classify(reference, exchange.info.bases)
    return frozenset({who.id}) if isinstance(who, Local) else frozenset()
