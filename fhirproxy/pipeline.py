"""The whole way of one request, without a framework: each step refuses or passes something smaller on.

Limits and headers, tenant, token, grants, one typed interaction, decision, upstream, check, shape, audit.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid5

from clients.tenants import TenantInfo, find_tenant
from fhirproxy import app_state, bulk
from fhirproxy.answers import answer, error_code, preflight_answer, refusal_answer, with_challenge
from fhirproxy.audit_events import read_event
from fhirproxy.batches import run_batch
from fhirproxy.cursors import no_page, open_cursor, seal_cursor
from fhirproxy.exchange import Exchange
from fhirproxy.explaining import Explanation
from fhirproxy.limits import admitted, watch_results
from fhirproxy.messages import RawRequest, RawResponse, Unreadable
from fhirproxy.operations import tell_everything, tell_latest
from fhirproxy.own_operations import carry_out_own
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bulk_requests import BulkInteraction
from fhirproxy.policy.bundles import parse_bundle
from fhirproxy.policy.decisions import AnyPlan, decide
from fhirproxy.policy.headers import Headers, access_token, screen_headers
from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from fhirproxy.policy.own_operations import OwnOperationPlan
from fhirproxy.policy.plans import Deny, ReadPlan, SearchPlan
from fhirproxy.policy.references import make_bases
from fhirproxy.policy.requests import Bundled, Capabilities, Interaction, Page, is_public, parse_request
from fhirproxy.policy.targets import parse_target, render
from fhirproxy.policy.terminology import TerminologyPlan
from fhirproxy.policy.validation_plans import ValidationPlan
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.readers import path_below_base, preflight_origin, readable
from fhirproxy.reading import read
from fhirproxy.rights import load_facts
from fhirproxy.searching import Position, search, self_url
from fhirproxy.statement import capability_answer
from fhirproxy.supported import as_supported
from fhirproxy.tenancy import find_upstream
from fhirproxy.tenant_rules import authority_under, extras_under, limits_under
from fhirproxy.terminology import ask_about_codes
from fhirproxy.transacting import Transaction
from fhirproxy.upstream import UpstreamError, UpstreamGone
from fhirproxy.upstream_refusals import upstream_refusal
from fhirproxy.validating import validate
from fhirproxy.versions import tell_history
from fhirproxy.write_trail import Trail
from fhirproxy.writing import write
from smartauth import endpoints
from smartauth.audit.recording import AuditUnavailable, record_read
from smartauth.errors import OAuthError, Refusal, TemporarilyUnavailable
from smartauth.policy.access import Access
from smartauth.policy.showing import Shown
from smartauth.receipts.recording import record
from smartauth.sealing import Unsealable
from smartauth.tokens import require_access

# What is answered with a Bundle and is not a search as such.
CARRIED_OUT = {
    "history-instance": tell_history,
    "history-type": tell_history,
    "history-system": tell_history,
    "$everything": tell_everything,
    "$lastn": tell_latest,
}


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks, where, and with what authority: the same for every entry of a Bundle."""

    tenant: TenantInfo
    access: Access
    authority: Authority
    now: datetime


@dataclass(slots=True)
class _Progress:
    """What is known so far; the answer to a refusal depends on how far the request came."""

    headers: Headers = field(default_factory=Headers)
    access: Access | None = None
    held: ExitStack = field(default_factory=ExitStack)  # given back when the answer is ready


def handle(raw: RawRequest) -> RawResponse:
    """Answer one request. Never raises for what a client or an upstream did; database errors and bugs pass through."""
    progress = _Progress()
    with progress.held:
        return _finish(raw, _attempt(raw, lambda: _answer(raw, progress)), progress)


def _attempt(raw: RawRequest, act: Callable[[], RawResponse]) -> RawResponse:
    """Return what `act` answers, or the answer to what it raises."""
    try:
        return act()
    except (FhirRefusal, OAuthError) as refused:
        return _refuse(raw, refused)
    except (UpstreamError, Unsealable) as error:
        return _refuse(raw, upstream_refusal(error))
    except AuditUnavailable:
        refusal = Refusal("audit.unavailable", "nothing can be recorded at the moment, so nothing is allowed")
        return _refuse(raw, TemporarilyUnavailable(refusal))


def _answer(raw: RawRequest, progress: _Progress) -> RawResponse:
    raw.context.endpoint = "fhir"
    progress.headers = headers = screen_headers(raw.method, raw.headers, has_body=raw.body != b"")
    body = _require_body(raw)
    tenant = find_tenant(raw.tenant)
    if tenant is None:
        raise FhirRefusal(404, "not-found", Refusal("tenant.unknown", "there is no FHIR API at this URL"))
    raw.context.tenant = tenant.slug
    base_url = app_state.require_offered(tenant) if raw.place == "app-state" else tenant.fhir_base
    if raw.method == "OPTIONS":
        return preflight_answer(allowed_origin=preflight_origin(raw))
    if is_public(raw.method, path_below_base(raw)):
        return _capabilities(raw, headers, tenant)
    now = datetime.now(UTC)
    scheme, token = access_token(headers.authorization)
    shown = Shown(scheme, headers.dpop, raw.method, base_url + path_below_base(raw))
    progress.access = access = require_access(token, tenant=tenant.slug, context=raw.context, now=now, shown=shown)
    progress.held.enter_context(admitted(access, tenant.policy))
    info = find_upstream(tenant.slug)
    if info is None:
        raise upstream_refusal(UpstreamError("no upstream is configured for this tenant"))
    target = parse_target(raw.target, prefix=raw.prefix)
    exchange = Exchange(info, str(raw.context.trace_id))
    if raw.place == "app-state":
        keeping = app_state.Keeping(raw.context, access, tenant, _authority(access, tenant, exchange, now), now)
        return app_state.answer_state(keeping, raw.method, target, headers, body)
    wanted = parse_request(raw.method, target, headers, body, info.bases, extras_under(tenant.policy))
    if isinstance(wanted, Capabilities):
        return _capabilities(raw, headers, tenant)
    asker = _Asker(tenant, access, _authority(access, tenant, exchange, now), now)
    return _carry_out(raw, wanted, asker, exchange, headers)


def _carry_out(
    raw: RawRequest, wanted: Interaction, asker: _Asker, exchange: Exchange, headers: Headers
) -> RawResponse:
    """Decide and act. What was allowed is recorded before it is given."""
    tenant, access, authority = asker.tenant, asker.access, asker.authority
    if isinstance(wanted, BulkInteraction):
        return bulk.carry_out(raw, wanted, tenant, access, authority, exchange, now=asker.now)
    if isinstance(wanted, Bundled):
        return _bundle(raw, wanted, asker, exchange, headers)
    raw.context.explanation = explanation = Explanation(access, wanted, authority, exchange, tenant.policy)
    plan = as_supported(_plan(wanted, asker), exchange, extras_under(tenant.policy))
    explanation.planned(plan)
    match plan:
        case Deny():
            raise plan.as_refusal()
        case ReadPlan():
            response = read(plan, authority, exchange, headers)
        case WritePlan():
            return write(plan, authority, exchange, Trail(raw.context, access, exchange))
        case SearchPlan():
            response = _search(plan, wanted, asker, exchange)
        case TerminologyPlan():
            response = ask_about_codes(plan, exchange)
        case OwnOperationPlan():
            response = carry_out_own(plan, authority, exchange)
        case ValidationPlan():
            response = validate(plan, authority, exchange)
    record_read(raw.context, read_event(plan, access, exchange))
    watch_results(access, tenant.policy, exchange.checked - exchange.removed)
    return response


def _bundle(raw: RawRequest, wanted: Bundled, asker: _Asker, exchange: Exchange, headers: Headers) -> RawResponse:
    """Carry out a batch or a transaction: each entry is asked for as if it were sent alone."""
    info, policy = exchange.info, asker.tenant.policy
    entries: dict[int, RawRequest] = {}

    def alone(index: int) -> RawRequest:
        # A receipt has a trace id to itself; those of entries follow from that of the whole.
        if index not in entries:
            context = replace(raw.context, trace_id=uuid5(raw.context.trace_id, str(index)), explanation=None)
            entries[index] = replace(raw, context=context)
        return entries[index]

    def act(index: int, inner: Interaction, own: Headers) -> RawResponse:
        return _carry_out(alone(index), inner, asker, Exchange(info, exchange.request_id), own)

    def attempt(index: int, do: Callable[[], RawResponse]) -> RawResponse:
        return _attempt(alone(index), do)

    bundle = parse_bundle(wanted.sent.content_type, wanted.sent.body, most=policy.max_entries)
    if bundle.is_transaction:
        trail = Trail(raw.context, asker.access, exchange, "transaction")
        transaction = Transaction(asker.authority, limits_under(policy), exchange, trail, headers)
        answers = transaction.run(bundle, act, attempt)
    else:
        answers = run_batch(bundle, headers, info.bases, extras_under(policy), act, attempt)
    return answer(200, answers, pretty=wanted.sent.shape.pretty)


def _plan(wanted: Interaction, asker: _Asker) -> AnyPlan | Deny:
    if isinstance(wanted, Page):
        return open_cursor(wanted.cursor, asker.authority, access=asker.access, now=asker.now)
    return decide(wanted, asker.authority, limits_under(asker.tenant.policy))


def _search(plan: SearchPlan, wanted: Interaction, asker: _Asker, exchange: Exchange) -> RawResponse:
    public_url = exchange.info.bases.public_url

    def page_url(cursor: str) -> str:
        return f"{public_url}/{render(('_page',), (('c', cursor),))}"

    def seal(position: Position) -> str:
        return page_url(seal_cursor(plan, position.request, position.skip, access=asker.access, now=asker.now))

    own_url = page_url(wanted.cursor) if isinstance(wanted, Page) else self_url(plan, exchange.info.bases)
    try:
        carry_out = CARRIED_OUT.get(plan.interaction, search)
        bundle = carry_out(plan, asker.authority, exchange, self_url=own_url, seal=seal)
    except UpstreamGone as gone:
        if not isinstance(wanted, Page):
            raise
        raise no_page("page.gone", "the search behind this page has been forgotten; repeat it", str(gone)) from None
    return answer(200, bundle, pretty=plan.shape.pretty)


def _authority(access: Access, tenant: TenantInfo, exchange: Exchange, now: datetime) -> Authority:
    loaded = load_facts(access, exchange, now=now, policy=tenant.policy)
    return authority_under(tenant.policy, access, exchange.info.bases, loaded)


def _capabilities(raw: RawRequest, headers: Headers, tenant: TenantInfo) -> RawResponse:
    base_url = endpoints.fhir_base(tenant.slug)
    target = parse_target(raw.target, prefix=raw.prefix)
    if raw.place == "app-state":
        return app_state.capabilities(raw.method, target, headers, tenant)
    wanted = parse_request(raw.method, target, headers, b"", make_bases(base_url, ()))
    if not isinstance(wanted, Capabilities):
        raise AssertionError(wanted)
    info = find_upstream(tenant.slug)
    trace_id = str(raw.context.trace_id)
    return capability_answer(tenant, info, request_id=trace_id, pretty=wanted.shape.pretty)


def _refuse(raw: RawRequest, refused: FhirRefusal | OAuthError) -> RawResponse:
    record(raw.context, status=refused.status, error=error_code(refused), refusal=refused.refusal)
    return refusal_answer(refused, str(raw.context.trace_id))


def _finish(raw: RawRequest, response: RawResponse, progress: _Progress) -> RawResponse:
    response = with_challenge(response, progress.access, raw.context.tenant)
    lines = list(readable(raw, response, progress.access).headers)
    if progress.headers.request_id:
        lines.append(("X-Request-ID", progress.headers.request_id))
    body, stream = response.body, response.stream
    if raw.method == "HEAD" and stream is not None:
        stream.close()
        body, stream = b"", None
    elif raw.method == "HEAD":
        lines.append(("Content-Length", str(len(body))))
        body = b""
    return RawResponse(response.status, tuple(lines), body, stream)


def _require_body(raw: RawRequest) -> bytes:
    match raw.body:
        case Unreadable.BROKEN:
            raise bad_request("http.body", "the body ended before its Content-Length")
        case Unreadable.WITHOUT_LENGTH:
            raise FhirRefusal(411, "invalid", Refusal("http.length", "the body has no Content-Length"))
        case Unreadable.TOO_LARGE:
            raise FhirRefusal(413, "too-long", Refusal("http.size", "the body is larger than 10 MiB"))
        case body:
            return body
