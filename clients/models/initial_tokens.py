"""What lets somebody register clients by protocol."""

from django.db import models

from clients.models.tenants import Tenant


class InitialAccessToken(models.Model):
    """What lets somebody register clients by protocol (RFC 7591 §3). The token itself is shown once and not kept."""

    token_digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the token")
    label = models.CharField(max_length=255, blank=True, default="", help_text="For whom it is")
    tenants = models.ManyToManyField(Tenant, blank=True, help_text="Where its clients are active or wait for it")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never")
    uses_left = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: without a limit")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token_digest"], name="initial_access_token_once")]

    def __str__(self) -> str:
        return self.label or f"initial access token {self.pk}"
