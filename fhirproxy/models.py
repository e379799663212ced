"""How to reach the FHIR server behind a tenant."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Upstream(models.Model):
    """The FHIR server behind one tenant. The secret is sealed with a key from the environment and never shown."""

    class Credential(models.TextChoices):
        NONE = "none", "none"
        BEARER = "bearer", "bearer token"
        BASIC = "basic", "user and password"

    tenant = models.OneToOneField("clients.Tenant", on_delete=models.CASCADE, related_name="upstream")
    base_url = models.TextField(help_text="FHIR base URL, without trailing slash")
    aliases = ArrayField(
        models.TextField(),
        default=list,
        blank=True,
        help_text="Further base URLs of the same server, as they occur in its references and links",
    )
    credential = models.CharField(max_length=8, choices=Credential.choices, default=Credential.NONE)
    sealed_secret = models.TextField(blank=True, default="", editable=False)
    timeout_seconds = models.PositiveSmallIntegerField(default=30, help_text="For one request, from start to end")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="upstream_base_url_is_plain",
                condition=Q(base_url__regex=r"^https?://[^/?#@\s]+(/[^/?#@\s]+)*$"),
            ),
            models.CheckConstraint(
                name="upstream_secret_exactly_with_credential",
                condition=Q(credential="none", sealed_secret="") | ~Q(credential="none") & ~Q(sealed_secret=""),
            ),
            models.CheckConstraint(
                name="upstream_timeout_in_bounds", condition=Q(timeout_seconds__gte=1, timeout_seconds__lte=60)
            ),
        ]

    def __str__(self) -> str:
        return self.base_url
