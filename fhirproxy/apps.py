"""App configuration."""

from django.apps import AppConfig


class FhirproxyConfig(AppConfig):
    """The proxy, with the rows that say where it forwards to."""

    name = "fhirproxy"
    verbose_name = "FHIR proxy"
