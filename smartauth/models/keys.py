"""Our signing keys."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class SigningKey(models.Model):
    """One of our keys, through its life: next (published, not signing), active (signing), retired (still published).

    The private part is sealed with keys from the environment; the public part is what `jwks.json` shows.
    """

    class Purpose(models.TextChoices):
        ACCESS_TOKEN = "access_token"
        ID_TOKEN = "id_token"

    class State(models.TextChoices):
        NEXT = "next"
        ACTIVE = "active"
        RETIRED = "retired"

    kid = models.CharField(max_length=64, help_text="RFC 7638 thumbprint")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    alg = models.CharField(max_length=16)
    state = models.CharField(max_length=8, choices=State.choices, default=State.NEXT)
    public_jwk = models.JSONField()
    sealed_private_key = models.TextField(editable=False)
    created_at = models.DateTimeField(db_default=Now())
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kid"], name="signing_key_kid_is_unique"),
            models.UniqueConstraint(
                fields=["purpose", "alg"], name="one_active_signing_key_per_use", condition=Q(state="active")
            ),
            models.CheckConstraint(
                name="signing_key_states_have_their_times",
                condition=Q(state="next", activated_at__isnull=True, retired_at__isnull=True)
                | Q(state="active", activated_at__isnull=False, retired_at__isnull=True)
                | Q(state="retired", retired_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.alg} {self.kid}"
