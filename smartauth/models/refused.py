"""An authorization request that was refused, while its answer waits for somebody to sign in."""

import uuid

from django.db import models


class RefusedAuthorization(models.Model):
    """The error an app is to be told, kept until the user is signed in. Its id is in the address of a page of ours.

    It grants nothing and holds nothing of a user: whoever signs in may go on to the app with it, or stay.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey("clients.Client", on_delete=models.CASCADE, related_name="+", db_index=False)
    tenant = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="Slug of the tenant it was for, where that was known",
    )
    redirect_uri = models.TextField()
    state = models.TextField(blank=True, default="")
    error = models.CharField(max_length=64)
    description = models.TextField(help_text="error_description, with the trace id in it")
    trace_id = models.UUIDField(help_text="Of the request that was refused")
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="refused_authorization_expiry")]

    def __str__(self) -> str:
        return f"refused request {self.id} of client {self.client_id}"
