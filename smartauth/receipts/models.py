"""What is kept of a refusal."""

from django.db import models


class Receipt(models.Model):
    """One refusal. Everything but `officer`, `decision` and the addresses may be shown to the owner of the client."""

    trace_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField()
    endpoint = models.CharField(max_length=32)
    method = models.CharField(max_length=16)
    status = models.PositiveSmallIntegerField()
    error = models.CharField(max_length=64)
    rule = models.CharField(max_length=64)
    reason = models.TextField()
    expected = models.TextField(blank=True, default="")
    seen = models.TextField(blank=True, default="")
    fix = models.TextField(blank=True, default="")
    officer = models.TextField(blank=True, default="")
    decision = models.JSONField(
        default=dict, blank=True, help_text="What was parsed, granted, planned, checked and removed; for the officer"
    )
    client_id = models.CharField(
        max_length=255, blank=True, default="", help_text="As claimed, when authentication failed"
    )
    tenant = models.CharField(max_length=32, blank=True, default="")
    remote_address = models.CharField(max_length=45, blank=True, default="")
    correlation_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="receipt_at"),
            models.Index(fields=["client_id", "-at"], name="receipt_of_client"),
        ]

    def __str__(self) -> str:
        return f"{self.trace_id} {self.rule}"


class RefusalCount(models.Model):
    """How many refusals of one rule were only counted in one minute, after a flood from one client or address."""

    minute = models.DateTimeField()
    source = models.CharField(max_length=255)
    rule = models.CharField(max_length=64)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["minute", "source", "rule"], name="refusal_count_once_per_minute")
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.rule} from {self.source}"
