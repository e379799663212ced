"""What came with a request beside its path, and how the places it can go to read it.

Source: FHIR R4 http.
"""

from dataclasses import dataclass

from fhirproxy.policy.extras import Extras
from fhirproxy.policy.headers import Headers, require_form
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.parameters import SearchQuery, parse_search
from fhirproxy.policy.references import Bases
from fhirproxy.policy.targets import Pairs, parse_form
from smartauth.errors import Refusal


@dataclass(frozen=True, slots=True)
class Arrived:
    """`verb`: the method, GET for HEAD. `extras`: search parameters and operations of the tenant's own."""

    verb: str
    pairs: Pairs
    headers: Headers
    body: bytes
    bases: Bases
    extras: Extras

    def require(self, *verbs: str) -> None:
        """Raise FhirRefusal (405) for a method that is none of `verbs`."""
        if self.verb not in verbs:
            raise method_not_allowed(", ".join(verbs).replace("GET", "GET, HEAD"))

    def pairs_and_form(self) -> Pairs:
        """Return the query and the form in the body as one list. Raises FhirRefusal."""
        require_form(self.headers.content_type)
        return self.pairs + parse_form(self.body)

    def search(self, kind: str, pairs: Pairs) -> SearchQuery:
        """Read a search of one type. Raises FhirRefusal."""
        return parse_search(kind, pairs, self.bases, lenient=self.headers.is_lenient, extras=self.extras)


def method_not_allowed(allow: str) -> FhirRefusal:
    """Return the refusal of a method: 405. `allow`: those that are taken."""
    refusal = Refusal("http.method", "the HTTP method is not allowed here", expected=allow)
    return FhirRefusal(405, "not-supported", refusal, allow=allow)


def no_such_place(rule: str, reason: str) -> FhirRefusal:
    """Return the refusal of a path that leads nowhere: 404."""
    return FhirRefusal(404, "not-found", Refusal(rule, reason), public="There is nothing at this path.")
