"""The public CapabilityStatement of a tenant, from a copy of the upstream's that is at most ten minutes old."""

from clients.tenants import TenantInfo
from fhirproxy.exchange import Exchange
from fhirproxy.messages import FHIR_JSON, RawResponse
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.capabilities import reduce_capabilities
from fhirproxy.policy.decisions import read_capabilities
from fhirproxy.policy.shaping import written_by_us
from fhirproxy.tenancy import UpstreamInfo
from fhirproxy.tenant_rules import extras_under, limits_under
from fhirproxy.timed import TimedCache
from fhirproxy.upstream import UpstreamError
from smartauth import endpoints

MAX_AGE = 600  # seconds
KEPT_FAILURE = 5.0  # seconds until an upstream that did not answer is asked again

_copies: TimedCache[tuple[str, str], Resource | None] = TimedCache(max_size=1_000)
_last_good: TimedCache[tuple[str, str], Resource | None] = TimedCache(max_size=1_000)
FOR_EVER = 10 * 365 * 86_400.0


def capability_answer(tenant: TenantInfo, info: UpstreamInfo | None, *, request_id: str, pretty: bool) -> RawResponse:
    """Return the statement: the same for everybody, readable from any origin."""
    upstream = _upstream_statement(info, request_id) if info else None
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


def _upstream_statement(info: UpstreamInfo, request_id: str) -> Resource | None:
    key = (info.tenant, info.base_url)

    def load() -> tuple[Resource | None, float]:
        try:
            statement = Exchange(info, request_id).capabilities(read_capabilities())
        except UpstreamError:
            return _last_good.get(key, lambda: (None, 0.0)), KEPT_FAILURE
        _last_good.put(key, statement, FOR_EVER)
        return statement, float(MAX_AGE)

    return _copies.get(key, load)
