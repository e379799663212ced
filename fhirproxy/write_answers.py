"""What a writer is told: where it is and which version, and the resource itself only to those who may read it.

Source: FHIR R4 http, "create" and "update"; RFC 7240 §4.2; SMART 2.2 scopes: writing does not imply reading.
"""

from dataclasses import dataclass

from fhirproxy.answers import PRIVATE, answer, version_lines
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.compartments import Checked, Unchecked, check, needed
from fhirproxy.policy.shaping import shape
from fhirproxy.policy.write_plans import WritePlan


@dataclass(frozen=True, slots=True)
class Written:
    """A write that has happened. `checked` is what is there now; None after a delete."""

    status: int
    id: str
    checked: Checked | None = None


def written_answer(plan: WritePlan, written: Written, exchange: Exchange) -> RawResponse:
    """Return the answer to a write that has happened."""
    if written.checked is None:
        return RawResponse(written.status, PRIVATE)
    return _told(plan, written.status, written.checked, exchange, with_location=written.status == 201)


def existing_answer(plan: WritePlan, checked: Checked, exchange: Exchange) -> RawResponse:
    """Return the answer to a conditional create that found what it would have created."""
    return _told(plan, 200, checked, exchange, with_location=True)


def _told(plan: WritePlan, status: int, checked: Checked, exchange: Exchange, *, with_location: bool) -> RawResponse:
    bases = exchange.info.bases
    lines, etag, _ = version_lines(checked.resource)
    if with_location:
        lines = (("Location", _location(checked, etag, bases.public_url)), *lines)
    unchecked = Unchecked(checked.resource, checked.type, checked.id)
    exchange.learn(needed(unchecked, bases))
    readable = check(unchecked, plan.readers, "r", bases, exchange.known)
    if plan.returns == "minimal" or readable is None:
        return RawResponse(status, (*PRIVATE, *lines))
    return answer(status, shape(readable, plan.shape, bases), *lines, pretty=plan.shape.pretty)


def _location(checked: Checked, etag: str, public_url: str) -> str:
    url = f"{public_url}/{checked.type}/{checked.id}"
    return f"{url}/_history/{etag[3:-1]}" if etag else url
