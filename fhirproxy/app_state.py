"""The state of apps, carried out: who asks was seen by the pipeline, whose it is by the policy, and it never goes
upstream. What is not there, not the asker's or not the last version is one answer, 412.

Source: SMART 2.2 app-state.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from clients.tenants import TenantInfo
from fhirproxy import app_states
from fhirproxy.answers import PRIVATE, answer
from fhirproxy.app_states import Item
from fhirproxy.audit_events import event_by, scopes_in
from fhirproxy.limits import watch_results
from fhirproxy.messages import FHIR_JSON, RawResponse
from fhirproxy.policy.app_state import (
    CreateState,
    DeleteState,
    QueryState,
    StateBody,
    StateCapabilities,
    StateKey,
    StateRequest,
    UpdateState,
    capability_statement,
    parse_state_request,
    read_state,
)
from fhirproxy.policy.authority import Authority, Grant, user_of
from fhirproxy.policy.bodies import Json
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal, bad_request, unprocessable
from fhirproxy.policy.plans import Deny
from fhirproxy.policy.results import Shape
from fhirproxy.policy.shaping import Entry, searchset, written_by_us
from fhirproxy.policy.state_trust import Permitted, decide_state, having_letter
from fhirproxy.policy.targets import Target, render
from fhirproxy.tenant_rules import limits_under
from smartauth import endpoints
from smartauth.audit.recording import AuditEvent, record_before, record_read
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.errors import Refusal
from smartauth.policy.access import Access

VERBS = {"c": "create", "u": "update", "d": "delete", "s": "search-type"}
LOST = "This version of the app state is not there: it was changed or deleted, or was never yours."


@dataclass(frozen=True, slots=True)
class Keeping:
    """One request about app state, with what the pipeline knows of it. now: aware."""

    context: RequestContext
    access: Access
    tenant: TenantInfo
    authority: Authority
    now: datetime

    @property
    def base_url(self) -> str:
        return endpoints.app_state(self.tenant.slug)


def require_offered(tenant: TenantInfo) -> str:
    """Return the base of app state at a tenant. Raises FhirRefusal (404) while it is switched off."""
    if not config().app_state:
        refusal = Refusal(
            "app_state.off", "app state is not offered here", fix="The operator sets SMARTAUTH_APP_STATE."
        )
        raise FhirRefusal(404, "not-found", refusal, public="There is nothing at this path.")
    return endpoints.app_state(tenant.slug)


def capabilities(method: str, target: Target, headers: Headers, tenant: TenantInfo) -> RawResponse:
    """Return the statement of what the base can do, for everybody. Raises FhirRefusal."""
    wanted = parse_state_request(method, target, headers, public_url=tenant.fhir_base)
    value = written_by_us(capability_statement(endpoints.app_state(tenant.slug)))
    lines = (("Content-Type", FHIR_JSON), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff"))
    return RawResponse(200, lines, value.encode(pretty=wanted.shape.pretty))


def answer_state(keeping: Keeping, method: str, target: Target, headers: Headers, body: bytes) -> RawResponse:
    """Answer one request below the base of app state. Raises FhirRefusal or AuditUnavailable."""
    tenant = keeping.tenant
    wanted = parse_state_request(method, target, headers, public_url=tenant.fhir_base)
    if isinstance(wanted, StateCapabilities):
        return capabilities(method, target, headers, tenant)
    grants = having_letter(keeping.access, keeping.authority, wanted.letter, limits_under(tenant.policy))
    if isinstance(grants, Deny):
        raise grants.as_refusal()
    match wanted:
        case QueryState():
            return _query(keeping, wanted, grants)
        case DeleteState():
            if body:
                raise bad_request("body.unexpected", "a delete has no body")
            return _delete(keeping, wanted, grants)
        case CreateState():
            return _create(keeping, wanted, grants, read_state(headers.content_type, body, public_url=tenant.fhir_base))
        case UpdateState():
            sent = read_state(headers.content_type, body, public_url=tenant.fhir_base, resource_id=wanted.id)
            return _update(keeping, wanted, grants, sent)


def _query(keeping: Keeping, wanted: QueryState, grants: tuple[Grant, ...]) -> RawResponse:
    permitted = _permitted(keeping, wanted, wanted.key, grants)
    owner = None if permitted.is_shared else keeping.access.client_id
    items = app_states.find_items(keeping.tenant.pk, owner, wanted.key)
    own_url = f"{keeping.base_url}/{render(('Basic',), wanted.pairs)}"
    entries = [Entry(_url(keeping, one), written_by_us(one.as_resource()), "match") for one in items]
    event = _event(keeping, wanted, wanted.key, permitted, query=render(("Basic",), wanted.pairs), found=len(items))
    record_read(keeping.context, event)
    watch_results(keeping.access, keeping.tenant.policy, len(items))
    bundle = searchset(entries, total=len(entries), links={"self": own_url})
    return answer(200, bundle, pretty=wanted.shape.pretty)


def _create(keeping: Keeping, wanted: CreateState, grants: tuple[Grant, ...], sent: StateBody) -> RawResponse:
    permitted = _permitted(keeping, wanted, sent.key, grants)
    try:
        with app_states.in_one():
            item = app_states.add(keeping.tenant.pk, keeping.access.client_id, sent, keeping.now)
            record_before(keeping.context, _event(keeping, wanted, item.key, permitted, item.id))
    except app_states.TooMany:
        reason = f"the app keeps {app_states.MOST} items about this subject, which is the most"
        raise unprocessable("app_state.full", reason, fix="Update or delete one of them.") from None
    return _told(keeping, 201, item, wanted.shape, ("Location", f"{_url(keeping, item)}/_history/{item.version}"))


def _update(keeping: Keeping, wanted: UpdateState, grants: tuple[Grant, ...], sent: StateBody) -> RawResponse:
    with app_states.in_one():
        item, permitted = _take(keeping, wanted, grants)
        if _filed_under(item) != _filed_under(sent):
            raise _lost("subject or code of the body are not those of what is kept")
        written = app_states.replace(item, sent, keeping.now)
        record_before(keeping.context, _event(keeping, wanted, item.key, permitted, item.id))
    return _told(keeping, 200, written, wanted.shape)


def _delete(keeping: Keeping, wanted: DeleteState, grants: tuple[Grant, ...]) -> RawResponse:
    with app_states.in_one():
        item, permitted = _take(keeping, wanted, grants)
        app_states.remove(item, keeping.now)
        record_before(keeping.context, _event(keeping, wanted, item.key, permitted, item.id))
    return RawResponse(204, PRIVATE)


def _take(keeping: Keeping, wanted: UpdateState | DeleteState, grants: tuple[Grant, ...]) -> tuple[Item, Permitted]:
    """Return what is to be changed, held until the transaction ends, and why it may be. Raises FhirRefusal (412).

    It is judged by what is kept and not by what was sent: whoever may not change it is not told that it is there.
    """
    item = app_states.take(keeping.tenant.pk, wanted.id)
    if item is None:
        raise _lost("nothing is kept under this id, or no more")
    decision = _decide(keeping, wanted, item.key, grants)
    if isinstance(decision, Deny):
        raise _lost(f"{decision.rule}: {decision.reason}")
    if not (decision.is_shared or item.client_id == keeping.access.client_id):
        raise _lost("another client keeps it")
    if str(item.version) != wanted.version:
        raise _lost(f"the last version is {item.version}")
    return item, decision


def _lost(officer: str) -> FhirRefusal:
    refusal = Refusal(
        "app_state.precondition",
        "no such version of app state is there for this client, or the change is to its subject or code",
        fix="Query for the state, and repeat the change with the ETag and the subject and code found there.",
        officer=officer,
    )
    return FhirRefusal(412, "conflict", refusal, public=LOST)


def _filed_under(state: Item | StateBody) -> tuple[StateKey, Json, Json]:
    """Return what an update leaves as it is: subject and code, with all that is said of them."""
    subject = state.members.get("subject", {})
    said = {name: value for name, value in subject.items() if name != "reference"} if isinstance(subject, dict) else {}
    return state.key, state.members["code"], said


def _decide(keeping: Keeping, wanted: StateRequest, key: StateKey, grants: tuple[Grant, ...]) -> Permitted | Deny:
    trusts = app_states.trusts_of(keeping.tenant.pk, keeping.access.client_id)
    bases = keeping.authority.bases
    return decide_state(wanted, key, grants, trusts, user=user_of(keeping.access, bases), bases=bases)


def _permitted(keeping: Keeping, wanted: StateRequest, key: StateKey, grants: tuple[Grant, ...]) -> Permitted:
    decision = _decide(keeping, wanted, key, grants)
    if isinstance(decision, Deny):
        raise decision.as_refusal()
    return decision


def _url(keeping: Keeping, item: Item) -> str:
    return f"{keeping.base_url}/Basic/{quote(item.id)}"


def _told(keeping: Keeping, status: int, item: Item, shape: Shape, *lines: tuple[str, str]) -> RawResponse:
    value = written_by_us(item.as_resource())
    return answer(status, value, *lines, ("ETag", f'W/"{item.version}"'), pretty=shape.pretty)


def _event(
    keeping: Keeping,
    wanted: StateRequest,
    key: StateKey,
    permitted: Permitted,
    resource_id: str = "",
    *,
    query: str = "",
    found: int = 0,
) -> AuditEvent:
    about = {key.subject.removeprefix("Patient/")} if key.kind == "patient" else set()
    verb = VERBS[wanted.letter]
    return event_by(
        keeping.access,
        "search" if verb == "search-type" else verb,
        rule="app_state",
        resource_type="Basic",
        resource_id=resource_id,
        query=query,
        patients=frozenset(about),
        details={
            "interaction": verb,
            "scopes": scopes_in(permitted.via),
            "state": f"{key.kind} {key.system}|{key.code}",
            "checked": found,
        },
    )
