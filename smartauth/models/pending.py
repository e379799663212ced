"""An authorization request between its arrival and its answer."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class PendingAuthorization(models.Model):
    """A validated authorization request, stored before anybody signs in, so that our forms carry choices only.

    Its id is in the address of our pages and no secret: from the first page on the row belongs to the browser whose
    cookie has the digest `browser`, and to the `user` who is answering. `page` changes with the user, the patient and
    the visit: a form that was shown for others carries an old one and decides nothing.

    A request that an app pushed waits here for a browser first; from `opened_at` on it is like any other.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey("clients.Client", on_delete=models.CASCADE, related_name="+", db_index=False)
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    redirect_uri = models.TextField()
    state = models.TextField()
    scope = models.TextField(help_text="What the client asked for and may have")
    dropped = models.TextField(blank=True, default="", help_text="What it asked for in vain, for the audit trail")
    code_challenge = models.CharField(max_length=43)
    nonce = models.TextField(blank=True, default="")
    prompts = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    max_age = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds")
    dpop_jkt = models.CharField(
        max_length=43, blank=True, default="", help_text="Thumbprint of the only key that may exchange the code"
    )
    ui_locale = models.CharField(
        max_length=8, blank=True, default="", help_text="The language the app wishes pages in, of those there are"
    )
    request_uri = models.CharField(
        max_length=64, blank=True, default="", help_text="SHA-256 of the request_uri it was pushed as (RFC 9126)"
    )
    opened_at = models.DateTimeField(null=True, blank=True, help_text="When a browser came with that request_uri")
    launch = models.ForeignKey(
        "smartauth.Launch",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="What the EHR began that this request goes on with",
    )

    browser = models.CharField(max_length=64, blank=True, default="", help_text="SHA-256 of the browser's cookie")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    patient = models.CharField(max_length=64, blank=True, default="", help_text="Logical id of the chosen patient")
    encounter = models.CharField(
        max_length=64,
        null=True,
        blank=True,
        help_text="Logical id of the chosen encounter, empty for none of them; absent until somebody chose",
    )
    page = models.UUIDField(default=uuid.uuid4)

    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="pending_authorization_expires_after_it_began",
                condition=models.Q(expires_at__gt=models.F("created_at")),
            ),
            models.CheckConstraint(
                name="pending_authorization_has_a_user_before_a_patient",
                condition=models.Q(patient="") | models.Q(user__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["request_uri"], name="pending_authorization_pushed_once", condition=~models.Q(request_uri="")
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="pending_authorization_expiry")]

    def __str__(self) -> str:
        return f"request {self.id} of client {self.client_id}"
