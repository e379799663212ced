"""Keys that clients publish: copies, spent assertions, which key was used when, and what is wrong."""

from django.db import models
from django.db.models import F, Q

from clients.models.clients import Client


class KeySet(models.Model):
    """The last good copy of a client's JWKS, by URL, shared by all workers.

    `expires_at` is when HTTP caching rules say the copy may no longer be used (RFC 9111 §4.2); a copy past it is never
    used. `attempted_at` is when the last fetch began. After one that failed `last_problem` holds "rule: reason", and
    who moves `attempted_at` on, five seconds later at the earliest, may try again. `forced_at` spaces out the fetches
    that an unknown `kid` may force while the copy is good. `watched_kids` and `watched_at` are the kids and the
    `fetched_at` of the copy that the watch over key sets saw last; `first_seen` says since when it knows each of them.
    """

    jwks_uri = models.TextField()
    document = models.JSONField(null=True)
    fetched_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    attempted_at = models.DateTimeField(null=True)
    forced_at = models.DateTimeField(null=True, help_text="When an unknown kid last forced a fetch")
    last_problem = models.CharField(max_length=255, blank=True, default="")
    certificate_ends_at = models.DateTimeField(null=True, help_text="Of the host, as of the last good fetch")
    watched_kids = models.JSONField(null=True)
    watched_at = models.DateTimeField(null=True)
    first_seen = models.JSONField(default=dict, db_default={}, help_text="kid to when the watch first saw it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["jwks_uri"], name="key_set_once_per_url"),
            models.CheckConstraint(
                name="key_set_document_has_its_times",
                condition=Q(document__isnull=True) | Q(fetched_at__isnull=False, expires_at__gte=F("fetched_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.jwks_uri


class AssertionId(models.Model):
    """A spent `jti` of a client assertion. The unique constraint is what makes replay impossible (RFC 7523 §3)."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, db_index=False)
    jti_digest = models.CharField(max_length=64, help_text="SHA-256 of the jti")
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "jti_digest"], name="assertion_id_spent_once")]
        indexes = [models.Index(fields=["expires_at"], name="assertion_id_expiry")]

    def __str__(self) -> str:
        return f"assertion id of client {self.client_id}"


class KeyUse(models.Model):
    """A key by URL that signed a good assertion. `used_at` is rounded down, so a row stands for minutes of work."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, db_index=False)
    kid = models.CharField(max_length=255)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "kid", "used_at"], name="key_use_once")]
        indexes = [models.Index(fields=["used_at"], name="key_use_age")]

    def __str__(self) -> str:
        return f"{self.kid} of client {self.client_id}"


class KeyFinding(models.Model):
    """Something wrong with the key set a client publishes, from when it was seen until it was seen to be mended."""

    class Kind(models.TextChoices):
        UNREACHABLE = "unreachable"
        UNREADABLE = "unreadable"
        PRIVATE_KEY = "private-key"
        EMPTY = "empty"
        KID_CLASH = "kid-clash"
        UNFIT_KEY = "unfit-key"
        VANISHED = "key-in-use-vanished"
        NO_OVERLAP = "rotation-without-overlap"
        CERTIFICATE = "certificate-ends"

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="key_findings")
    kind = models.CharField(max_length=32, choices=Kind.choices)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    details = models.JSONField(default=dict, help_text="Rules, kids and numbers; never a key")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["client", "kind"], condition=Q(resolved_at__isnull=True), name="key_finding_open_once"
            ),
            models.CheckConstraint(
                name="key_finding_times_in_order",
                condition=Q(last_seen_at__gte=F("first_seen_at"))
                & (Q(resolved_at__isnull=True) | Q(resolved_at__gte=F("last_seen_at"))),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of client {self.client_id}"


class KeyWatchRound(models.Model):
    """The last round of the watch over key sets: one row, so that whoever asks sees whether the watch runs."""

    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    key_sets = models.PositiveIntegerField()
    fetched = models.PositiveIntegerField()
    failed = models.PositiveIntegerField(default=0, help_text="Key sets that could not be judged, by a fault of ours")
    new_findings = models.PositiveIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="key_watch_round_is_the_last", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"round that ended at {self.ended_at:%Y-%m-%d %H:%M:%S}"
