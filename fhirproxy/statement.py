"""The upstream's CapabilityStatement, in a copy at most ten minutes old: what is published of it, what can be asked."""

from dataclasses import dataclass, replace

from clients.tenants import TenantInfo
from fhirproxy.exchange import Exchange
from fhirproxy.messages import FHIR_JSON, RawResponse
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.capabilities import reduce_capabilities
from fhirproxy.policy.decisions import read_capabilities
from fhirproxy.policy.shaping import written_by_us
from fhirproxy.policy.supported import NOTHING_SAID, Supported, read_supported
from fhirproxy.tenancy import UpstreamInfo
from fhirproxy.tenant_rules import extras_under, limits_under
from fhirproxy.timed import TimedCache
from fhirproxy.upstream import UpstreamError
from smartauth import endpoints

MAX_AGE = 600  # seconds
KEPT_FAILURE = 5.0  # seconds until an upstream that did not answer is asked again

KEPT_SILENCE = 60.0  # seconds until a search asks again
PATIENCE = 10  # seconds a search waits for it
FOR_EVER = 10 * 365 * 86_400.0

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Copy:
    """What the upstream said. `is_current`: when it was last asked."""

    statement: Resource | None = None
    supported: Supported = NOTHING_SAID
    is_current: bool = False


_copies: TimedCache[Key, _Copy] = TimedCache(max_size=1_000)
_last_good: TimedCache[Key, _Copy] = TimedCache(max_size=1_000)
_silent: TimedCache[Key, bool] = TimedCache(max_size=1_000)


def capability_answer(tenant: TenantInfo, info: UpstreamInfo | None, *, request_id: str, pretty: bool) -> RawResponse:
    """Return the statement: the same for everybody, readable from any origin."""
    upstream = _copy(Exchange(info, request_id)).statement if info else None
    statement = reduce_capabilities(
        upstream,
        public_url=tenant.fhir_base,
        oauth_uris=endpoints.advertised(tenant.slug),
        writes=limits_under(tenant.policy).writes,
        extras=extras_under(tenant.policy),
    )
    return RawResponse(
        200,
        (
            ("Content-Type", FHIR_JSON),
            ("Cache-Control", f"public, max-age={MAX_AGE if upstream else int(KEPT_FAILURE)}"),
            ("X-Content-Type-Options", "nosniff"),
        ),
        written_by_us(statement).encode(pretty=pretty),
    )


def supported_parameters(exchange: Exchange) -> Supported:
    """Return the search parameters the upstream has, as far as it says so.

    Asks it when there is no copy, and does not wait for long. One that does not answer is left in peace for a minute.
    """
    key = _key(exchange.info)
    if _silent.find(key):
        return (_last_good.find(key) or _Copy()).supported
    info = exchange.info
    asking = Exchange(replace(info, timeout_seconds=min(info.timeout_seconds, PATIENCE)), exchange.request_id)
    copy = _copy(asking)
    exchange.calls += asking.calls
    if not copy.is_current:
        _silent.put(key, True, KEPT_SILENCE)
    return copy.supported


def find_supported_parameters(info: UpstreamInfo) -> Supported | None:
    """Return the same from a copy that is there, or None. Nothing is asked."""
    copy = _copies.find(_key(info))
    return copy.supported if copy and copy.is_current else None


def _copy(exchange: Exchange) -> _Copy:
    key = _key(exchange.info)

    def load() -> tuple[_Copy, float]:
        try:
            statement = exchange.capabilities(read_capabilities())
        except UpstreamError:
            return replace(_last_good.find(key) or _Copy(), is_current=False), KEPT_FAILURE
        copy = _Copy(statement, read_supported(statement), is_current=True)
        _last_good.put(key, copy, FOR_EVER)
        return copy, float(MAX_AGE)

    return _copies.get(key, load)


def _key(info: UpstreamInfo) -> Key:
    return info.tenant, info.base_url
