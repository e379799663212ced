"""Where the proxy is: everything at and below a tenant's FHIR base that nobody else serves."""

from django.urls import re_path

from fhirproxy.views import proxy

# Any slug and any character: what is not there is answered in FHIR's words and not by a page.
urlpatterns = [
    re_path(r"^fhir/(?P<tenant>[^/]+)/r4(?:/[\s\S]*)?\Z", proxy),
]
