"""A read, carried out: fetch, check, shape. To restricted authority absent, outside and deleted look the same."""

from fhirproxy.answers import content_answer, resource_answer
from fhirproxy.attachments import learn_referrer
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.binaries import MalformedContent, content, is_download
from fhirproxy.policy.compartments import Checked, check, needed
from fhirproxy.policy.decisions import read_for_ourselves
from fhirproxy.policy.headers import Headers, accepts_json, not_acceptable
from fhirproxy.policy.outcomes import FhirRefusal, not_found
from fhirproxy.policy.plans import ReadPlan
from fhirproxy.policy.references import Local
from fhirproxy.policy.shaping import meta_parameters, shape
from fhirproxy.upstream import UpstreamMalformed
from smartauth.errors import Refusal


def read(plan: ReadPlan, authority: Authority, exchange: Exchange, headers: Headers) -> RawResponse:
    """Return the resource. Raises FhirRefusal (404; 410 for full authority) or UpstreamError."""
    checked = fetch(plan, authority, exchange)
    if checked.type == "Binary" and not (plan.only_meta or plan.shape.formats):
        if is_download(checked, headers.accept):
            return _download(checked)
        if not accepts_json(headers.accept):
            raise not_acceptable("Accept")
    bases, resource = exchange.info.bases, checked.resource
    shaped = meta_parameters(checked, bases) if plan.only_meta else shape(checked, plan.shape, bases)
    return resource_answer(resource, shaped, headers, pretty=plan.shape.pretty)


def _download(checked: Checked) -> RawResponse:
    try:
        return content_answer(content(checked))
    except MalformedContent as why:
        raise UpstreamMalformed(str(why)) from None


def fetch(plan: ReadPlan, authority: Authority, exchange: Exchange) -> Checked:
    """Return the resource a read is about, checked. Raises what `read` raises."""
    if plan.request is None:
        raise not_found("the id itself is outside the authority; nothing was asked upstream")
    if plan.version and not plan.is_full and not is_current_inside(plan.type, plan.id, plan.via, authority, exchange):
        raise not_found("the current version is absent, deleted or outside the authority")
    found = exchange.read(plan.request, Local(plan.type, plan.id))
    if found.unchecked is None:
        if found.is_deleted and plan.is_full:
            raise FhirRefusal(410, "deleted", Refusal("read.deleted", "the resource was deleted"))
        raise not_found("deleted upstream" if found.is_deleted else "absent upstream")
    bases = exchange.info.bases
    known = exchange.learn(() if plan.is_full else needed(found.unchecked, bases))
    if not plan.is_full:
        learn_referrer(found.unchecked, plan.via, authority, exchange)
    exchange.checked += 1
    checked = check(found.unchecked, plan.via, "r", bases, known)
    if checked is None:
        exchange.removed += 1
        raise not_found("the upstream has it, and it is outside the authority")
    exchange.give(checked)
    return checked


def is_current_inside(
    resource_type: str, resource_id: str, via: tuple[Grant, ...], authority: Authority, exchange: Exchange
) -> bool:
    """Say whether the current version of a resource exists and `via` admits it with `r`. Raises UpstreamError.

    A resource that moved to somebody else takes its past along: earlier versions would tell whose it was.
    """
    found = exchange.read(read_for_ourselves(resource_type, resource_id), Local(resource_type, resource_id))
    if found.unchecked is None:
        return False
    bases = exchange.info.bases
    learn_referrer(found.unchecked, via, authority, exchange)
    return check(found.unchecked, via, "r", bases, exchange.learn(needed(found.unchecked, bases))) is not None
