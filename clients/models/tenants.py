"""Protected FHIR bases, how they present themselves, and which clients work there."""

from django.db import models
from django.db.models import Q

from clients.models.clients import Client


class Tenant(models.Model):
    """One protected FHIR base. Its upstream lives with the proxy; its slug is part of public URLs and never changes."""

    slug = models.CharField(max_length=32)
    name = models.CharField(max_length=255, blank=True, default="")
    is_active = models.BooleanField(default=True)
    policy = models.JSONField(default=dict, blank=True, help_text="Policy switches that differ from the default")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slug"], name="tenant_slug_is_unique"),
            models.CheckConstraint(name="tenant_slug_grammar", condition=Q(slug__regex=r"^[a-z0-9][a-z0-9-]{0,31}$")),
        ]

    def __str__(self) -> str:
        return self.slug


class Brand(models.Model):
    """How a tenant presents itself to everybody; `brand_details.py` says what may be in `details`.

    A brand is withdrawn, not deleted: a list without it must still know when it went.
    """

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, related_name="brand")
    details = models.JSONField(help_text="What is published, as a JSON object")
    is_published = models.BooleanField(default=True, help_text="Everybody may read it while the tenant is active")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"brand of {self.tenant_id}"


class Activation(models.Model):
    """An approved client works at a tenant only through a row here, for at most `allowed_scope`."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="activations", db_index=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="activations")
    is_active = models.BooleanField(default=True)
    allowed_scope = models.TextField(
        blank=True,
        default="",
        help_text="Empty: everything the client is registered for; otherwise the most it may have",
    )
    skips_consent = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Weakens a rule: clinicians whom an EHR launches into this app are not asked. Needs a client that "
        "proves who it is, and its scopes written down here; about patients and sensitive categories people are asked",
    )
    activated_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody last switched it on or off; empty while it waits for that"
    )
    note = models.TextField(blank=True, default="", help_text="Why; the owner of the client reads it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "tenant"], name="activation_once_per_tenant")]

    def __str__(self) -> str:
        return f"{self.client_id} at {self.tenant_id}"
