"""App configuration."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The audit trail, under a label of its own."""

    name = "smartauth.audit"
    label = "audit"
