"""Operations a tenant has added, carried out: of what comes back each resource is checked, and nothing else passes."""

from fhirproxy.answers import answer
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import Json
from fhirproxy.policy.compartments import Checked, Unchecked, check, find_unchecked, needed
from fhirproxy.policy.outcomes import FhirRefusal, not_found
from fhirproxy.policy.own_operations import OwnOperationPlan
from fhirproxy.policy.plans import CanonicalRequest
from fhirproxy.policy.shaping import Shaped, entry, parameters, searchset, shape
from fhirproxy.policy.targets import render
from fhirproxy.reading import fetch
from fhirproxy.searching import MAX_PAGES, entry_of
from smartauth.errors import Refusal


def carry_out_own(plan: OwnOperationPlan, authority: Authority, exchange: Exchange) -> RawResponse:
    """Return the result, of what lies inside. Raises FhirRefusal or UpstreamError."""
    if plan.within is not None:
        fetch(plan.within, authority, exchange)
    match plan.result:
        case "Bundle":
            shaped = _bundle(plan, authority, exchange)
        case "Parameters":
            shaped = _parameters(plan, authority, exchange)
        case _:
            shaped = _resource(plan, authority, exchange)
    return answer(200, shaped, pretty=plan.shape.pretty)


def _bundle(plan: OwnOperationPlan, authority: Authority, exchange: Exchange) -> Shaped:
    """Return all pages at once: a link to the next one would have to be judged without knowing what it asks."""
    bases = exchange.info.bases
    found: dict[tuple[str, str], Checked] = {}
    request: CanonicalRequest | None = plan.request
    pages = 0
    while request is not None:
        if pages == MAX_PAGES:
            reason = "the operation has too many results; narrow it"
            raise FhirRefusal(400, "too-costly", Refusal("operation.too_costly", reason))
        page = exchange.page(request)
        pages, request = pages + 1, page.next
        for one in page.entries:
            unchecked, mode = entry_of(one, bases)
            checked = None if mode == "outcome" else _check(unchecked, "s", authority, exchange)
            if checked is not None:
                found.setdefault((checked.type, checked.id), checked)
    for checked in found.values():
        exchange.give(checked)
    url = f"{bases.public_url}/{render((plan.type, *((plan.id,) if plan.id else ()), plan.interaction), ())}"
    entries = [entry(checked, plan.shape, bases, "match") for checked in found.values()]
    return searchset(entries, total=len(entries), links={"self": url})


def _parameters(plan: OwnOperationPlan, authority: Authority, exchange: Exchange) -> Shaped:
    def inside(value: Json) -> Shaped | None:
        checked = _check(find_unchecked(value), "r", authority, exchange)
        return _given(checked, plan, exchange) if checked is not None else None

    tree = exchange.result(plan.request, "Parameters")
    return parameters(tree, inside, exchange.info.bases, with_values=plan.sees_all)


def _resource(plan: OwnOperationPlan, authority: Authority, exchange: Exchange) -> Shaped:
    checked = _check(find_unchecked(exchange.result(plan.request, plan.result)), "r", authority, exchange)
    if checked is None:
        raise not_found("the result lies outside the authority")
    return _given(checked, plan, exchange)


def _given(checked: Checked, plan: OwnOperationPlan, exchange: Exchange) -> Shaped:
    exchange.give(checked)
    return shape(checked, plan.shape, exchange.info.bases)


def _check(unchecked: Unchecked | None, letter: str, authority: Authority, exchange: Exchange) -> Checked | None:
    """Check one resource. What has no type and id of its own cannot be judged and is left out."""
    exchange.checked += 1
    checked = None
    if unchecked is not None:
        bases, grants = exchange.info.bases, authority.having(letter, unchecked.type)
        is_full = any(grant.is_full for grant in grants)
        known = exchange.learn(() if is_full else needed(unchecked, bases))
        checked = check(unchecked, grants, letter, bases, known)
    exchange.removed += checked is None
    return checked
