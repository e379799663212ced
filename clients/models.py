"""The registry's rows: clients, tenants, their brands, activations, key sets of clients, and spent assertion ids."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from oauth2_provider.models import AbstractApplication, ApplicationManager


class AuthMethod(models.TextChoices):
    """How a client authenticates at the token endpoint (RFC 7591 §2)."""

    NONE = "none", "none (public client)"
    BASIC = "client_secret_basic", "client_secret_basic"
    POST = "client_secret_post", "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt", "private_key_jwt"


WITH_SECRET = (AuthMethod.BASIC, AuthMethod.POST)


class Client(AbstractApplication):
    """A registered app. Fields follow RFC 7591 where it has a name for them.

    The toolkit's columns for grants it implements itself are overridden away; secrets are SHA-256 digests of values
    we generated with 256 bits, so a fast digest is as good as a slow one and a login cannot be made expensive.
    """

    class Status(models.TextChoices):
        DRAFT = "draft"
        SUBMITTED = "submitted"
        APPROVED = "approved"
        DECLINED = "declined"
        SUSPENDED = "suspended"
        RETIRED = "retired"

    class ApplicationType(models.TextChoices):
        WEB = "web"
        NATIVE = "native"

    class SmartVersion(models.TextChoices):
        """Which SMART App Launch the client was written for, where versions differ in what they are told."""

        V2_2 = "2.2", "2.1 or 2.2"
        V2_0 = "2.0", "2.0"
        V1_0 = "1.0", "1.0"

    authorization_grant_type = None
    algorithm = None
    hash_client_secret = None
    skip_authorization = None
    cimd_expires_at = None

    client_id = models.CharField(max_length=255)
    client_secret = models.CharField(max_length=64, blank=True, default="", editable=False)
    previous_client_secret = models.CharField(max_length=64, blank=True, default="", editable=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DRAFT)
    is_operator_verified = models.BooleanField(default=False)

    application_type = models.CharField(
        max_length=8, choices=ApplicationType.choices, default=ApplicationType.WEB, help_text="OIDC Registration §2"
    )
    token_endpoint_auth_method = models.CharField(max_length=32, choices=AuthMethod.choices, default=AuthMethod.BASIC)
    token_endpoint_auth_signing_alg = models.CharField(max_length=16, blank=True, default="")
    grant_types = ArrayField(models.CharField(max_length=64), default=list)
    response_types = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    scope = models.TextField(blank=True, default="", help_text="The most this client may ever be granted")
    client_jwks = models.JSONField(null=True, blank=True)
    client_jwks_uri = models.TextField(blank=True, default="")
    id_token_signed_response_alg = models.CharField(max_length=16, default="RS256")
    smart_version = models.CharField(
        max_length=4,
        choices=SmartVersion.choices,
        default=SmartVersion.V2_2,
        help_text="The SMART App Launch it was written for. fhirContext is objects in 2.2, references in 2.0, and left "
        "out in 1.0.",
    )
    launch_urls = models.TextField(blank=True, default="", help_text="Complete URLs, separated by blanks")
    client_uri = models.TextField(blank=True, default="")
    logo_uri = models.TextField(blank=True, default="")
    tos_uri = models.TextField(blank=True, default="")
    policy_uri = models.TextField(blank=True, default="")
    contacts = ArrayField(models.CharField(max_length=255), default=list, blank=True)
    software_id = models.CharField(max_length=255, blank=True, default="")
    software_version = models.CharField(max_length=255, blank=True, default="")
    require_pushed_authorization_requests = models.BooleanField(
        default=False, help_text="It may begin a launch only with a request it pushed before (RFC 9126)"
    )
    dpop_bound_access_tokens = models.BooleanField(
        default=False, help_text="Its tokens are good only with a proof by the key they were issued to (RFC 9449)"
    )
    require_dpop_nonce = models.BooleanField(default=False, help_text="Its proofs must carry a nonce of ours")
    restrictions = models.JSONField(default=dict, blank=True, help_text="patients, groups, operator_types")
    registration_access_token = models.CharField(max_length=64, blank=True, default="", editable=False)

    objects = ApplicationManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["client_id"], name="client_id_is_unique"),
            models.CheckConstraint(
                name="client_has_a_secret_exactly_where_it_shows_one",
                condition=Q(token_endpoint_auth_method__in=WITH_SECRET, client_type="confidential")
                & ~Q(client_secret="")
                | ~Q(token_endpoint_auth_method__in=WITH_SECRET) & Q(client_secret="", previous_client_secret=""),
            ),
            models.CheckConstraint(
                name="client_is_public_exactly_without_authentication",
                condition=Q(token_endpoint_auth_method=AuthMethod.NONE, client_type="public")
                | ~Q(token_endpoint_auth_method=AuthMethod.NONE) & Q(client_type="confidential"),
            ),
            models.CheckConstraint(
                name="client_has_one_source_of_keys",
                condition=Q(token_endpoint_auth_method=AuthMethod.PRIVATE_KEY_JWT)
                & (
                    Q(client_jwks__isnull=False, client_jwks_uri="")
                    | Q(client_jwks__isnull=True) & ~Q(client_jwks_uri="")
                )
                | ~Q(token_endpoint_auth_method=AuthMethod.PRIVATE_KEY_JWT),
            ),
            models.CheckConstraint(
                name="client_credentials_only_with_private_key_jwt",
                condition=~Q(grant_types__contains=["client_credentials"])
                | Q(token_endpoint_auth_method=AuthMethod.PRIVATE_KEY_JWT),
            ),
        ]

    def natural_key(self) -> tuple[str]:
        return (self.client_id,)

    def is_usable(self, request: object) -> bool:
        """Tell the toolkit's authentication classes whether this client may act at all."""
        return self.status == Client.Status.APPROVED

    def clean(self) -> None:
        """Leave validation to `registration.py`: the toolkit's own rules speak of columns this model does not have."""


class Tenant(models.Model):
    """One protected FHIR base. Its upstream lives with the proxy; its slug is part of public URLs and never changes."""

    slug = models.CharField(max_length=32)
    name = models.CharField(max_length=255, blank=True, default="")
    is_active = models.BooleanField(default=True)
    policy = models.JSONField(default=dict, blank=True, help_text="Policy switches that differ from the default")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slug"], name="tenant_slug_is_unique"),
            models.CheckConstraint(name="tenant_slug_grammar", condition=Q(slug__regex=r"^[a-z0-9][a-z0-9-]{0,31}$")),
        ]

    def __str__(self) -> str:
        return self.slug


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


class Brand(models.Model):
    """How a tenant presents itself to everybody; `brand_details.py` says what may be in `details`.

    A brand is withdrawn, not deleted: a list without it must still know when it went.
    """

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, related_name="brand")
    details = models.JSONField(help_text="What is published, as a JSON object")
    is_published = models.BooleanField(default=True, help_text="Everybody may read it while the tenant is active")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"brand of {self.tenant_id}"


class Activation(models.Model):
    """An approved client works at a tenant only through a row here, for at most `allowed_scope`."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="activations", db_index=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="activations")
    is_active = models.BooleanField(default=True)
    allowed_scope = models.TextField(
        blank=True,
        default="",
        help_text="Empty: everything the client is registered for; otherwise the most it may have",
    )
    activated_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "tenant"], name="activation_once_per_tenant")]

    def __str__(self) -> str:
        return f"{self.client_id} at {self.tenant_id}"


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
