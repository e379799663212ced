"""Keys of partners' own programs to the portal's JSON interface."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class ApiToken(models.Model):
    """Lets a program act in the portal as the user it belongs to. The token itself is shown once and not kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    label = models.CharField(max_length=100, help_text="What uses it")
    token_digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the token")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token_digest"], name="api_token_once"),
            models.CheckConstraint(name="api_token_ends", condition=Q(expires_at__gt=F("created_at"))),
        ]

    def __str__(self) -> str:
        return self.label
