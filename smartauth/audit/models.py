"""What is kept of an allowed request, a grant or an administrative act."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now


class AuditRecord(models.Model):
    """One fact. Names and ids only: resource content, tokens and secrets never enter."""

    at = models.DateTimeField(db_default=Now())
    trace_id = models.UUIDField(null=True)
    action = models.CharField(max_length=32, help_text="token, introspect, revoke, read, search, …")
    rule = models.CharField(max_length=64, blank=True, default="")
    client_id = models.CharField(max_length=255, blank=True, default="")
    tenant = models.CharField(max_length=32, blank=True, default="")
    user_id = models.BigIntegerField(null=True)
    patient = models.CharField(max_length=64, blank=True, default="", help_text="In the context of the token")
    patients = ArrayField(
        models.CharField(max_length=64),
        default=list,
        db_default=[],
        blank=True,
        help_text="Whose data it was: in context, read as such, or in what left",
    )
    authorization = models.UUIDField(null=True)
    resource_type = models.CharField(max_length=64, blank=True, default="")
    resource_id = models.CharField(max_length=64, blank=True, default="")
    query = models.TextField(blank=True, default="", help_text="The canonical request; for the security officer")
    details = models.JSONField(default=dict, blank=True)
    remote_address = models.CharField(max_length=45, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["tenant", "patient", "-at"], name="audit_of_patient"),
            GinIndex(fields=["patients"], name="audit_of_patients"),
            models.Index(
                fields=["client_id", "-at"], condition=models.Q(action="token"), name="audit_of_client_tokens"
            ),
            models.Index(
                fields=["user_id", "-at"],
                condition=models.Q(patient="", user_id__isnull=False),
                name="audit_of_user_alone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.client_id or self.user_id}"
