"""One row per completed consent, or per backend service and tenant: the root of every token."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Authorization(models.Model):
    """What one client may do at one tenant, for whom, until when. Codes and tokens point here; revoking it ends them.

    `user`: one completed consent, one token family. `service`: the standing one of a backend service and tenant.
    `minted`: made by the debugging command of the sandbox, with claims nobody checked.
    """

    class Kind(models.TextChoices):
        USER = "user"
        SERVICE = "service"
        MINTED = "minted"

    class Unasked(models.TextChoices):
        REMEMBERED = "remembered"
        OPERATOR = "operator"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    client = models.ForeignKey("clients.Client", on_delete=models.CASCADE, null=True, related_name="authorizations")
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, null=True, related_name="authorizations")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="authorizations"
    )
    scope = models.TextField(blank=True, default="")
    context = models.JSONField(default=dict, blank=True, help_text="Launch context: patient, encounter, fhirContext, …")
    auth_time = models.DateTimeField(null=True, blank=True)
    session = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        default="",
        editable=False,
        help_text="Only for online_access: SHA-256 of the key of the browser session it ends with",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="When it ends however often it is used, as the user or the tenant said"
    )
    remembered_scope = models.TextField(
        blank=True, db_default="", default="", help_text="What may be asked for without asking the user again"
    )
    remembered_until = models.DateTimeField(null=True, blank=True)
    unasked = models.CharField(
        max_length=10,
        blank=True,
        db_default="",
        default="",
        choices=Unasked.choices,
        help_text="Why nobody was asked; empty where the user was",
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=64, blank=True, default="", help_text="user, administrator, reuse, …")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="authorization_kinds_are_apart",
                condition=Q(
                    kind="user", client__isnull=False, tenant__isnull=False, user__isnull=False, auth_time__isnull=False
                )
                | Q(
                    kind="service",
                    client__isnull=False,
                    tenant__isnull=False,
                    user__isnull=True,
                    auth_time__isnull=True,
                )
                | Q(kind="minted"),
            ),
            models.UniqueConstraint(
                fields=["client", "tenant"],
                name="one_standing_authorization_per_service_and_tenant",
                condition=Q(kind="service", revoked_at__isnull=True),
            ),
            models.CheckConstraint(
                name="authorization_expires_after_it_began",
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=models.F("created_at")),
            ),
            models.CheckConstraint(
                name="authorization_expires_before_it_ends",
                condition=Q(ends_at__isnull=True) | Q(expires_at__isnull=True) | Q(expires_at__lte=models.F("ends_at")),
            ),
            models.CheckConstraint(
                name="authorization_remembers_what_and_until_when",
                condition=Q(remembered_until__isnull=True, remembered_scope="")
                | Q(remembered_until__isnull=False, kind="user") & ~Q(remembered_scope=""),
            ),
            models.CheckConstraint(
                name="authorization_session_only_of_a_user", condition=Q(session="") | Q(kind="user")
            ),
        ]
        indexes = [
            models.Index(fields=["session"], name="authorization_of_session", condition=~Q(session="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} authorization {self.id}"
