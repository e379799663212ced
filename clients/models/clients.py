"""Registered apps."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from oauth2_provider.models import AbstractApplication, ApplicationManager

from clients.lifetimes import ACCESS_TOKEN_SECONDS, REFRESH_TOKEN_DAYS


class AuthMethod(models.TextChoices):
    """How a client authenticates at the token endpoint (RFC 7591 §2)."""

    NONE = "none", "none (public client)"
    BASIC = "client_secret_basic", "client_secret_basic"
    POST = "client_secret_post", "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt", "private_key_jwt"


class AppKind(models.TextChoices):
    """What kind of app it is: the first question at registration, which decides what else is asked."""

    PATIENT = "patient", "Patient app"
    CLINICIAN = "clinician", "Clinician app"
    SERVICE = "service", "Backend service"


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
    client_secret_expires_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Empty: never")
    previous_client_secret_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DRAFT)
    is_operator_verified = models.BooleanField(default=False)
    kind = models.CharField(max_length=16, choices=AppKind.choices, blank=True, default="")

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
    publisher = models.CharField(max_length=255, blank=True, default="", help_text="Who answers for the app")
    purpose = models.TextField(blank=True, default="", help_text="What it is for, in plain words; people read it")
    intended_users = models.CharField(max_length=255, blank=True, default="", help_text="For whom it is made")
    funding = models.TextField(blank=True, default="", help_text="Who pays for the app, in its publisher's words")
    data_sharing = models.TextField(blank=True, default="", help_text="To whom it passes data on")
    data_deletion = models.TextField(blank=True, default="", help_text="How people have their data deleted")
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
    access_token_lifetime = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Seconds, from 60 to 3600; to 300 for a backend service. Empty: as for everybody",
    )
    refresh_token_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Days without use, from 1 to 365, after which a refresh token ends. Empty: as for everybody",
    )
    registration_access_token = models.CharField(max_length=64, blank=True, default="", editable=False)

    objects = ApplicationManager()

    class Meta:
        permissions = [("own_client", "May register clients of their own and look after them")]
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
            models.CheckConstraint(
                name="client_lifetimes_in_bounds",
                condition=(Q(access_token_lifetime__isnull=True) | Q(access_token_lifetime__range=ACCESS_TOKEN_SECONDS))
                & (Q(refresh_token_days__isnull=True) | Q(refresh_token_days__range=REFRESH_TOKEN_DAYS)),
            ),
        ]

    def natural_key(self) -> tuple[str]:
        return (self.client_id,)

    def is_usable(self, request: object) -> bool:
        """Tell the toolkit's authentication classes whether this client may act at all."""
        return self.status == Client.Status.APPROVED

    def clean(self) -> None:
        """Leave validation to `registration.py`: the toolkit's own rules speak of columns this model does not have."""


class SpentClientId(models.Model):
    """The id of a client that was deleted. The database writes it; nobody is ever called so again."""

    client_id = models.CharField(max_length=255)
    deleted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client_id"], name="client_id_spent_once")]

    def __str__(self) -> str:
        return self.client_id
