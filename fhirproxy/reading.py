"""A read, carried out: fetch, check, shape. To restricted authority absent, outside and deleted look the same."""

from fhirproxy.answers import resource_answer
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.authority import Grant
from fhirproxy.policy.compartments import Checked, check, needed
from fhirproxy.policy.decisions import read_for_ourselves
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal, not_found
from fhirproxy.policy.plans import ReadPlan
from fhirproxy.policy.references import Local
from fhirproxy.policy.shaping import meta_parameters, shape
from smartauth.errors import Refusal


def read(plan: ReadPlan, exchange: Exchange, headers: Headers) -> RawResponse:
    """Return the resource. Raises FhirRefusal (404; 410 for full authority) or UpstreamError."""
    checked = fetch(plan, exchange)
    bases, resource = exchange.info.bases, checked.resource
    shaped = meta_parameters(checked, bases) if plan.only_meta else shape(checked, plan.shape, bases)
    return resource_answer(resource, shaped, headers, pretty=plan.shape.pretty)


def fetch(plan: ReadPlan, exchange: Exchange) -> Checked:
    """Return the resource a read is about, checked. Raises what `read` raises."""
    if plan.request is None:
        raise not_found("the id itself is outside the authority; nothing was asked upstream")
    if plan.version and not plan.is_full and not is_current_inside(plan.type, plan.id, plan.via, exchange):
        raise not_found("the current version is absent, deleted or outside the authority")
    found = exchange.read(plan.request, Local(plan.type, plan.id))
    if found.unchecked is None:
        if found.is_deleted and plan.is_full:
            raise FhirRefusal(410, "deleted", Refusal("read.deleted", "the resource was deleted"))
        raise not_found("deleted upstream" if found.is_deleted else "absent upstream")
    bases = exchange.info.bases
    known = {} if plan.is_full else exchange.learn(needed(found.unchecked, bases))
    exchange.checked += 1
    checked = check(found.unchecked, plan.via, "r", bases, known)
    if checked is None:
        exchange.removed += 1
        raise not_found("the upstream has it, and it is outside the authority")
    return checked


def is_current_inside(resource_type: str, resource_id: str, via: tuple[Grant, ...], exchange: Exchange) -> bool:
    """Say whether the current version of a resource exists and `via` admits it with `r`. Raises UpstreamError.

    A resource that moved to somebody else takes its past along: earlier versions would tell whose it was.
    """
    found = exchange.read(read_for_ourselves(resource_type, resource_id), Local(resource_type, resource_id))
    if found.unchecked is None:
        return False
    bases = exchange.info.bases
    return check(found.unchecked, via, "r", bases, exchange.learn(needed(found.unchecked, bases))) is not None
