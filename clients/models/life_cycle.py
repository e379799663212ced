"""A client's way through the registry: drafts, changes that wait, and what happened to it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from clients.models.clients import AppKind, Client


class Draft(models.Model):
    """A registration that is being filled in: of a new client, or of `client` as its owner wants it to be.

    `answers` are members of client metadata as typed, checked or not, and `tenants`: slugs of where it wants to work.
    Never a secret, and never a private key. `before` is the metadata of the client when the draft was begun, with
    where it worked then, so that what it became meanwhile is not undone.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16, choices=AppKind.choices)
    client = models.OneToOneField(Client, on_delete=models.CASCADE, null=True, blank=True, related_name="draft")
    answers = models.JSONField(default=dict)
    before = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return str(self.answers.get("client_name") or f"draft {self.pk}")


class ChangeRequest(models.Model):
    """What the owner of an approved client wants changed; the client goes on as it was until somebody decides.

    `before` and `wanted` are whole metadata, so that what was decided can still be read when the client has moved on.
    """

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="change_requests")
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    before = models.JSONField()
    wanted = models.JSONField()
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="", help_text="Why it was decided so; the owner reads it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["client"], condition=Q(state="open"), name="change_request_open_once"),
            models.CheckConstraint(
                name="change_request_decided_exactly_when_closed",
                condition=Q(state="open", decided_at__isnull=True) | ~Q(state="open") & Q(decided_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"change of client {self.client_id}, {self.state}"


class ClientEvent(models.Model):
    """One thing that happened to a client, with the words of who did it. Its owner reads all of them."""

    class Actor(models.TextChoices):
        OWNER = "owner"
        OPERATOR = "operator"
        CLIENT = "client", "the client itself"
        SERVER = "server", "the server by itself"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    act = models.CharField(max_length=32)
    actor = models.CharField(max_length=16, choices=Actor.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    tenant = models.CharField(max_length=32, blank=True, default="", help_text="Where it concerns one tenant only")
    reason = models.TextField(blank=True, default="")
    status = models.CharField(max_length=16, choices=Client.Status.choices, help_text="Of the client, afterwards")

    class Meta:
        indexes = [models.Index(fields=["client", "-at"], name="event_of_client")]
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.act} client {self.client_id}"
