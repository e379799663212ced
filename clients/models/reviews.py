"""What the hospital decided about clients and changes that waited, and on what grounds."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from clients.models.clients import Client
from clients.models.life_cycle import ChangeRequest


class Review(models.Model):
    """One decision about a client, or about a change of one. Its owner reads `reason`; the rest is for the hospital."""

    class Outcome(models.TextChoices):
        APPROVED = "approved", "approved as asked"
        NARROWED = "narrowed", "approved with fewer scopes"
        RETURNED = "returned", "sent back for changes"
        DECLINED = "declined", "declined"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="reviews")
    change = models.ForeignKey(
        ChangeRequest, on_delete=models.CASCADE, null=True, related_name="reviews", help_text="Empty: the client itself"
    )
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    checked = ArrayField(models.CharField(max_length=32), default=list, help_text="What was ticked on the checklist")
    hints = ArrayField(models.CharField(max_length=32), default=list, help_text="Rules of the risk hints shown then")
    left_out = ArrayField(models.TextField(), default=list, help_text="Scopes that were asked for and not given")
    reason = models.TextField(blank=True, default="", help_text="The owner of the client reads it")
    note = models.TextField(blank=True, default="", help_text="For the hospital alone")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["client", "-at"], name="review_of_client")]
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"client {self.client_id} {self.outcome}"
