"""Where the proxy is: all at and below a tenant's FHIR base that nobody else serves, and the base of app state."""

from django.urls import re_path

from fhirproxy.views import proxy

# Any slug and any character: what is not there is answered in FHIR's words and not by a page.
urlpatterns = [
    re_path(r"^fhir/(?P<tenant>[^/]+)/(?P<place>r4|app-state)(?:/[\s\S]*)?\Z", proxy),
]
