"""A launch that an EHR has begun: the context an app will be told, under a handle that is good once."""

import uuid
from typing import cast

from django.conf import settings
from django.db import models


class Launch(models.Model):
    """What an EHR said when it opened an app for somebody: for which app and user, at which tenant, about what.

    `handle` is the digest of what the app carries to authorize. `context` has the members of the token response, as
    SMART 2.2 has them. `used_at`: when a code was issued for it; until then the app may ask with it again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    handle = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the launch parameter")
    client = models.ForeignKey("clients.Client", on_delete=models.CASCADE, related_name="+", db_index=False)
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    begun_by = models.CharField(max_length=255, help_text="client_id of the EHR")
    context = models.JSONField(default=dict, help_text="patient, encounter, fhirContext, …")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="launch_expires_after_it_began", condition=models.Q(expires_at__gt=models.F("created_at"))
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="launch_expiry")]

    def __str__(self) -> str:
        return f"launch {self.id} of client {self.client_id}"

    @property
    def patient(self) -> str:
        """Return the logical id of the patient in context, "" for a launch about nobody."""
        return cast(str, self.context.get("patient", ""))

    @property
    def encounter(self) -> str:
        """Return the logical id of the encounter in context, "" for none."""
        return cast(str, self.context.get("encounter", ""))
