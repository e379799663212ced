"""What the launcher keeps of a launch: who began it, what belongs to it, and what was seen. No secret, no record."""

import uuid

from django.db import models


class Run(models.Model):
    """One launch from the launcher, watched until `watched_until`.

    `browser` is the digest of the cookie of who began it, and of nobody else's. `choices` are the fields of the form.
    `opened` is the URL at which the app is opened, sealed: its launch handle is for the app alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    browser = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    client_id = models.CharField(max_length=255)
    choices = models.JSONField(default=dict)
    fault = models.CharField(max_length=32, blank=True, default="")
    habit = models.CharField(max_length=32, blank=True, default="")
    opened = models.TextField(blank=True, default="")
    result = models.JSONField(default=dict, blank=True, help_text="Of requests the launcher made itself")
    begun_at = models.DateTimeField()
    watched_until = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["client_id", "-begun_at"], name="run_of_client"),
            models.Index(fields=["begun_at"], name="run_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.client_id}"


class Handle(models.Model):
    """What a request of a run may show to be known as one of it: the digest of a launch, a code, a token, …"""

    digest = models.CharField(max_length=64, primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="handles")

    def __str__(self) -> str:
        return f"handle of {self.run_id}"


class Step(models.Model):
    """One request of a run, as it was answered. `facts` holds names, numbers and yes or no."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    at = models.DateTimeField()
    part = models.CharField(max_length=16)
    what = models.CharField(max_length=255)
    outcome = models.CharField(max_length=255)
    status = models.PositiveSmallIntegerField()
    took = models.PositiveIntegerField(help_text="Milliseconds")
    trace_id = models.UUIDField(null=True)
    rule = models.CharField(max_length=64, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    expected = models.TextField(blank=True, default="")
    seen = models.TextField(blank=True, default="")
    fix = models.TextField(blank=True, default="")
    fault = models.CharField(max_length=32, blank=True, default="", help_text="The fault that was made here")
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.part} of {self.run_id}"
