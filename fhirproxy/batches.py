"""A batch: each entry goes the whole way alone, in FHIR's order; a bad entry fails alone.

Source: FHIR R4 http, "batch"; SMART 2.2 scopes-and-launch-context, "Batches and Transactions".
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from fhirproxy.messages import RawResponse
from fhirproxy.policy.bodies import Json
from fhirproxy.policy.bundles import BundleRequest, Entry, parse_entry
from fhirproxy.policy.extras import Extras
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.references import Bases
from fhirproxy.policy.requests import Interaction
from fhirproxy.policy.shaping import Answered, Shaped, bundle_response

# Both take the place of the entry first. Acting may raise as a request does; attempting turns that into an answer.
Act = Callable[[int, Interaction, Headers], RawResponse]
Attempt = Callable[[int, Callable[[], RawResponse]], RawResponse]


def run_batch(
    bundle: BundleRequest, headers: Headers, bases: Bases, extras: Extras, act: Act, attempt: Attempt
) -> Shaped:
    """Return the batch-response. Refusals of entries become answers of entries."""
    answers: dict[int, RawResponse] = {}
    ready: list[tuple[int, Entry]] = []
    for index, tree in enumerate(bundle.entries):
        entry = _read(index, tree, headers, bases, extras, attempt)
        if isinstance(entry, Entry):
            ready.append((index, entry))
        else:
            answers[index] = entry
    for index, entry in sorted(ready, key=lambda one: (one[1].rank, one[0])):
        answers[index] = carry_out(index, entry, act, attempt)
    return bundle_response("batch", [as_answered(answers[index]) for index in range(len(bundle.entries))])


def carry_out(index: int, entry: Entry, act: Act, attempt: Attempt) -> RawResponse:
    """Return the answer to one entry, whatever comes of it."""
    return attempt(index, lambda: act(index, entry.interaction, entry.headers))


def _read(
    index: int, tree: Json, headers: Headers, bases: Bases, extras: Extras, attempt: Attempt
) -> Entry | RawResponse:
    found: list[Entry] = []

    def read() -> RawResponse:
        found.append(parse_entry(tree, headers, bases, extras))
        return RawResponse(200, ())

    refused = attempt(index, read)
    return found[0] if found else refused


def as_answered(response: RawResponse) -> Answered:
    """Return an answer of its own as the answer to an entry."""
    lines = dict(response.headers)
    modified = lines.get("Last-Modified", "")
    return Answered(
        response.status,
        response.value,
        location=lines.get("Location", ""),
        etag=lines.get("ETag", ""),
        last_modified=parsedate_to_datetime(modified).astimezone(UTC).isoformat() if modified else "",
    )
