"""How to reach the FHIR server behind a tenant, the bulk exports that run there, and the state of apps."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Upstream(models.Model):
    """The FHIR server behind one tenant. The secret is sealed with a key from the environment and never shown."""

    class Credential(models.TextChoices):
        NONE = "none", "none"
        BEARER = "bearer", "bearer token"
        BASIC = "basic", "user and password"

    tenant = models.OneToOneField("clients.Tenant", on_delete=models.CASCADE, related_name="upstream")
    base_url = models.TextField(help_text="FHIR base URL, without trailing slash")
    aliases = ArrayField(
        models.TextField(),
        default=list,
        blank=True,
        help_text="Further base URLs of the same server, as they occur in its references and links",
    )
    file_hosts = ArrayField(
        models.TextField(),
        default=list,
        blank=True,
        help_text="Origins where the server keeps files of bulk exports, if not its own; no credentials are sent there",
    )
    credential = models.CharField(max_length=8, choices=Credential.choices, default=Credential.NONE)
    sealed_secret = models.TextField(blank=True, default="", editable=False)
    timeout_seconds = models.PositiveSmallIntegerField(default=30, help_text="For one request, from start to end")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="upstream_base_url_is_plain",
                condition=Q(base_url__regex=r"^https?://[^/?#@\s]+(/[^/?#@\s]+)*$"),
            ),
            models.CheckConstraint(
                name="upstream_secret_exactly_with_credential",
                condition=Q(credential="none", sealed_secret="") | ~Q(credential="none") & ~Q(sealed_secret=""),
            ),
            models.CheckConstraint(
                name="upstream_timeout_in_bounds", condition=Q(timeout_seconds__gte=1, timeout_seconds__lte=60)
            ),
        ]

    def __str__(self) -> str:
        return self.base_url


class BulkJob(models.Model):
    """One bulk export a client started: what was frozen then, and where the upstream keeps it.

    The upstream's URLs may open its files to whoever knows them, so they are sealed. `sealed_files` is empty until the
    upstream said that it is done.
    """

    class Level(models.TextChoices):
        SYSTEM = "system", "everything"
        PATIENT = "patient", "all patients"
        GROUP = "group", "one group"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="bulk_jobs")
    client_id = models.CharField(max_length=255)
    level = models.CharField(max_length=8, choices=Level.choices)
    group = models.CharField(max_length=64, blank=True, default="")
    types = ArrayField(models.CharField(max_length=64), help_text="Frozen: nothing else ever leaves in a file")
    elements = ArrayField(models.CharField(max_length=128), default=list, blank=True)
    request = models.TextField(help_text="The kick-off in our words, relative to our FHIR base")
    sealed_status_url = models.TextField(blank=True, default="", editable=False)
    sealed_files = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "client_id", "expires_at"], name="bulk_jobs_of_client"),
            models.Index(fields=["expires_at"], name="bulk_jobs_by_end"),
        ]
        constraints = [
            models.CheckConstraint(
                name="bulk_job_names_its_group",
                condition=Q(level="group") & ~Q(group="") | ~Q(level="group") & Q(group=""),
            ),
            models.CheckConstraint(name="bulk_job_ends", condition=Q(expires_at__gt=models.F("created_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.level} export by {self.client_id}"


class AppState(models.Model):
    """What one client remembers about one subject under one code, at one tenant. Read in `app_states.py` alone.

    What was deleted stays for a week as a row without content. The content may hold keys of the app, so it is sealed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="app_states")
    # By its id, which is never given again; what an app keeps goes with the app.
    client = models.ForeignKey("clients.Client", to_field="client_id", on_delete=models.CASCADE, related_name="+")
    subject = models.CharField(max_length=96, blank=True, default="", help_text="Relative; empty: about nobody")
    system = models.CharField(max_length=512)
    code = models.CharField(max_length=128)
    version = models.PositiveIntegerField(default=1)
    sealed_members = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "subject", "client"], name="app_states_by_subject")]
        constraints = [
            models.CheckConstraint(
                name="app_state_content_until_deleted",
                condition=Q(deleted_at__isnull=True) & ~Q(sealed_members="")
                | Q(deleted_at__isnull=False, sealed_members=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} of {self.client_id}"


class AppStateTrust(models.Model):
    """An operator's word that a client may use state codes, whichever client keeps state under them."""

    class Kind(models.TextChoices):
        PATIENT = "patient", "about a patient"
        USER = "user", "about the person who uses the app"
        GLOBAL = "global", "about nobody"

    tenant = models.ForeignKey("clients.Tenant", on_delete=models.CASCADE, related_name="app_state_trusts")
    client = models.ForeignKey("clients.Client", to_field="client_id", on_delete=models.CASCADE, related_name="+")
    system = models.CharField(max_length=512, help_text="The system of the code, exactly")
    code = models.CharField(max_length=128, blank=True, default="", help_text="Empty: every code of the system")
    queries = ArrayField(models.CharField(max_length=8, choices=Kind.choices), default=list, blank=True)
    modifies = ArrayField(models.CharField(max_length=8, choices=Kind.choices), default=list, blank=True)

    class Meta:
        verbose_name = "trust with app state"
        verbose_name_plural = "trust with app state"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "client", "system", "code"], name="app_state_trust_said_once"),
        ]

    def __str__(self) -> str:
        return f"{self.client_id} with {self.system}|{self.code or '*'}"
