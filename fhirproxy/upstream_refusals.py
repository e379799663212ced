"""What a client is told, and what an officer, when the FHIR server behind does not do its part."""

from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.upstream import UpstreamResting, UpstreamTimeout
from smartauth.errors import Refusal


def upstream_refusal(error: Exception) -> FhirRefusal:
    """Return 502, 503 or 504 with the details in the officer's view only.  Source: RFC 9110 §15.6."""
    officer = f"{type(error).__name__}: {error}"
    if isinstance(error, UpstreamTimeout):
        refusal = Refusal("upstream.timeout", "the FHIR server did not answer in time", officer=officer)
        return FhirRefusal(504, "timeout", refusal, public="The FHIR server behind this one did not answer in time.")
    if isinstance(error, UpstreamResting):
        refusal = Refusal("upstream.resting", "the FHIR server has not been answering", officer=officer)
        public = "The FHIR server behind this one has not been answering."
        return FhirRefusal(503, "transient", refusal, public=public, retry_after=error.retry_after)
    refusal = Refusal("upstream.failed", "the FHIR server gave no usable answer", officer=officer)
    return FhirRefusal(502, "transient", refusal, public="The FHIR server behind this one gave no usable answer.")
